from pathlib import Path

import pytest
from typer.testing import CliRunner

from heads import output
from heads.cli import app
from heads.errors import PredictionError
from heads.output import require_writable


def test_parquet_without_its_library_is_one_sentence_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "find_spec", lambda name: None)
    require_writable(tmp_path / "new.csv")
    options = {"--run": tmp_path / "run", "--store": tmp_path / "store", "--out": tmp_path / "new.Parquet"}
    done = CliRunner().invoke(app, ["predict", *(str(word) for option in options.items() for word in option)])
    assert isinstance(done.exception, PredictionError)
    assert str(done.exception).startswith("new.Parquet: Parquet needs pyarrow, which is not installed: pip install")
    assert not list(tmp_path.iterdir())


def test_a_folder_to_write_to_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    options = {"--run": tmp_path / "run", "--store": tmp_path / "store", "--out": tmp_path}
    done = CliRunner().invoke(app, ["predict", *(str(word) for option in options.items() for word in option)])
    assert isinstance(done.exception, PredictionError)
    assert str(done.exception).startswith(f"{tmp_path}: is a folder; name the file to write, such as {tmp_path}")
