import unicodedata
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from heads.cli import app
from heads.data.predictions import Predictions
from heads.errors import PredictionError
from heads.workflows import output
from heads.workflows.output import read_template, require_writable, write_predictions
from heads.workflows.predict import NewPredictions, Origin
from store import Status


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


def test_a_template_in_another_spelling_of_its_letters_is_kept_as_it_came(tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "Taï") for form in ("NFC", "NFD"))
    template = tmp_path / "template.csv"
    template.write_text(f"filename,{two}\n{two}.mp4,0\n")
    said = Predictions(ids=(f"{one}.mp4",), classes=(one,), probabilities=np.array([[0.25]]))
    wanted = read_template(template)
    assert wanted.clip_ids() == list(said.ids)
    write_predictions(
        tmp_path / "out.csv", NewPredictions(predictions=said, status=(Status.OK,), origin=(Origin.NEW,)), wanted
    )
    assert (tmp_path / "out.csv").read_text() == f"filename,{two}\n{two}.mp4,0.25\n"
