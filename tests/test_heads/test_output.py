import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from heads.cli import app
from heads.data.predictions import Predictions
from heads.data.tables import TextTable
from heads.errors import PredictionError
from heads.models.explain.attribution import Moment
from heads.workflows.answers import output
from heads.workflows.answers.output import OUTPUT_FORMATS, Frames, read_template, require_writable, write_predictions
from heads.workflows.answers.predict import NewPredictions, Origin
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


@pytest.mark.parametrize("name", ["p.xls", "p.tsv", "p.csv.zip"])
def test_an_ending_of_no_format_is_refused_before_anything_is_done(tmp_path: Path, name: str) -> None:
    options = {"--run": tmp_path / "run", "--store": tmp_path / "store", "--out": tmp_path / name}
    done = CliRunner().invoke(app, ["predict", *(str(word) for option in options.items() for word in option)])
    assert isinstance(done.exception, PredictionError)
    assert str(done.exception) == (
        f"{name}: predictions are not written as '{Path(name).suffix}'; name a file that ends in one of "
        ".csv, .csv.gz, .parquet, .xlsx"
    )
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    out = tmp_path / "no" / "such" / "p.csv"
    options = {"--run": tmp_path / "run", "--store": tmp_path / "store", "--out": out}
    done = CliRunner().invoke(app, ["predict", *(str(word) for option in options.items() for word in option)])
    assert isinstance(done.exception, PredictionError)
    assert str(done.exception) == f"{out}: there is no folder {out.parent}; make it, or name a file in another folder"
    with pytest.raises(PredictionError, match="there is no folder"):
        write_predictions(out, predicted())
    assert not list(tmp_path.iterdir())


def test_a_name_without_an_ending_is_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_predictions(Path("predictions"), predicted())
    assert (tmp_path / "predictions").read_text().startswith("clip_id,status,origin,hog,lion\n")


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


def predicted() -> NewPredictions:
    said = Predictions(ids=("a.mp4", "b.mp4"), classes=("hog", "lion"), probabilities=np.array([[0.25, 0.5], [1, 0]]))
    return NewPredictions(predictions=said, status=(Status.OK, Status.FAILED), origin=(Origin.NEW, Origin.OUT_OF_FOLD))


@pytest.mark.parametrize(
    ("name", "read"),
    [("p.csv", pd.read_csv), ("p.CSV", pd.read_csv), ("p.csv.gz", pd.read_csv), ("p.Parquet", pd.read_parquet)],
)
def test_every_format_holds_the_same_table(tmp_path: Path, name: str, read: Callable[[Path], pd.DataFrame]) -> None:
    write_predictions(tmp_path / name, predicted(), frames={"a.mp4": [Moment(time_s=1.5, weight=0.75)]})
    table = read(tmp_path / name)
    assert list(table) == ["clip_id", "status", "origin", "hog", "lion", "top_frames_s", "top_frames_weight"]
    assert table[["hog", "lion"]].to_numpy().tolist() == [[0.25, 0.5], [1, 0]]
    assert [float(table.loc[0, name]) for name in ("top_frames_s", "top_frames_weight")] == [1.5, 0.75]
    assert str(table.loc[1, "top_frames_s"]) in ("", "nan")
    assert table["status"].tolist() == ["ok", "failed"]
    assert table["origin"].tolist() == ["new", "out of fold"]


def test_a_format_is_added_by_its_row_in_the_table_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Observations:
        """What a table of columns cannot hold: a record a clip, with the name of the model."""

        def missing(self) -> str:
            return "it needs a licence" if unlicensed else ""

        def write(self, path: Path, new: NewPredictions, template: TextTable | None, frames: Frames | None) -> None:
            records = [
                {"media": clip_id, "status": status.value, "by": new.predictions.model}
                for clip_id, status in zip(new.predictions.ids, new.status, strict=True)
            ]
            path.write_text(json.dumps(records))

    unlicensed = False
    monkeypatch.setattr(output, "OUTPUT_FORMATS", {**OUTPUT_FORMATS, ".json": Observations()})
    write_predictions(tmp_path / "p.json", predicted())
    assert json.loads((tmp_path / "p.json").read_text())[1] == {"media": "b.mp4", "status": "failed", "by": ""}
    unlicensed = True
    with pytest.raises(PredictionError, match=r"^q\.json: it needs a licence, or name a file that ends in .csv$"):
        write_predictions(tmp_path / "q.json", predicted())
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
