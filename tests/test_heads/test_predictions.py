import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.data.predictions import Predictions, read_csv
from heads.errors import PredictionError
from store.errors import DuplicateClipError, UnknownClipError


def table(values: list[list[float]], fold: list[int] | None = None, model: str = "m") -> Predictions:
    return Predictions(
        ids=tuple(f"clip {row}.mp4" for row in range(len(values))),
        classes=("hog", "small cat"),
        probabilities=np.array(values),
        fold=None if fold is None else np.array(fold),
        provenance={"model": model},
    )


probability = st.floats(min_value=0, max_value=1, allow_subnormal=True)


@given(values=st.lists(st.tuples(probability, probability), min_size=1, max_size=20))
def test_every_digit_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float]]
) -> None:
    path = tmp_path_factory.mktemp("round trip") / "m.csv"
    before = table([list(row) for row in values], fold=list(range(len(values))))
    before.write_csv(path)
    after = read_csv(path)
    assert (after.ids, after.classes, after.model) == (before.ids, before.classes, "m")
    assert np.array_equal(after.probabilities, before.probabilities)
    assert after.fold is not None
    assert after.fold.tolist() == list(range(len(values)))


def test_the_file_is_plain(tmp_path: Path) -> None:
    table([[0.25, 1.0]], fold=[3]).write_csv(tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == "clip_id,fold,hog,small cat\nclip 0.mp4,3,0.25,1.0\n"


def test_new_clips_have_no_fold_and_numeric_names_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("clip_id,hog\n007,0.5\nnull,1\n")
    read = read_csv(path, model="other")
    assert read.fold is None
    assert read.ids == ("007", "null")
    assert read.model == "other"


def test_select_joins_by_id() -> None:
    predictions = table([[0.1, 0.2], [0.3, 0.4]], fold=[0, 1])
    chosen = predictions.select(["clip 1.mp4", "clip 0.mp4"])
    assert chosen.probabilities.tolist() == [[0.3, 0.4], [0.1, 0.2]]
    assert chosen.fold is not None
    assert chosen.fold.tolist() == [1, 0]
    assert chosen.column("small cat").tolist() == [0.4, 0.2]
    with pytest.raises(UnknownClipError, match="predictions of 'm': 1 clip id is unknown: 'x'"):
        predictions.select(["x"])
    with pytest.raises(DuplicateClipError):
        predictions.select(["clip 1.mp4", "clip 1.mp4"])
    with pytest.raises(PredictionError, match="no class 'lion'"):
        predictions.column("lion")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,hog\na,1.5\n", "clip 'a', class 'hog' is 1.5, expected a probability"),
        ("clip_id,hog\na,\n", "line 2, clip 'a': 'hog' is '', expected a probability"),
        ("clip_id,hog\na,0.5\nb,high\n", "line 3, clip 'b': 'hog' is 'high'"),
        ("clip_id,hog\na,nan\n", "expected a probability"),
        ("clip_id,fold,hog\na,x,0.5\n", "line 2, clip 'a': 'fold' is 'x', expected a fold number"),
        ("name,hog\na,0.5\n", "no column 'clip_id', found 'name', 'hog'"),
        ("", "not a CSV table"),
    ],
)
def test_wrong_files_get_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(PredictionError, match=message):
        read_csv(path)


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_compressed_tables_are_read(tmp_path: Path, ending: str) -> None:
    before = table([[0.25, 0.5], [0.125, 1.0]], fold=[0, 1])
    path = tmp_path / f"m.csv.{ending}"
    before.to_frame().to_csv(path, index=False)
    after = read_csv(path, model="m")
    assert (after.ids, after.classes) == (before.ids, before.classes)
    assert np.array_equal(after.probabilities, before.probabilities)


def test_two_spellings_of_one_letter_are_one_class(tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "Taï") for form in ("NFC", "NFD"))
    path = tmp_path / "p.csv"
    path.write_text(f"clip_id,{two}\na,0.5\n")
    assert read_csv(path).classes == (one,)
    path.write_text(f"clip_id,{one},{two}\na,0.5,0.5\n")
    with pytest.raises(PredictionError, match=r"p.csv: the header names 'Taï' more than once"):
        read_csv(path)


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="no such file"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(PredictionError, match=r"cannot be read \(Is a directory\); name a CSV file"):
        read_csv(tmp_path)
    with pytest.raises(PredictionError, match=r"probabilities are \(1, 1\), expected \(1, 2\)"):
        table([[0.5]])
    with pytest.raises(PredictionError, match=r"\(2,\) folds for 1 clips"):
        table([[0.5, 0.5]], fold=[0, 1])
    with pytest.raises(DuplicateClipError, match="'a'"):
        Predictions(ids=("a", "a"), classes=("hog",), probabilities=np.zeros((2, 1)))


def test_decimal_commas_are_numbers_where_semicolons_separate(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("filename;hog;fold\na, b.mp4;0,25;1\nc.mp4;1;0\n")
    found = read_csv(path)
    assert found.ids == ("a, b.mp4", "c.mp4")
    assert found.probabilities.tolist() == [[0.25], [1.0]]
    assert found.fold is not None
    assert found.fold.tolist() == [1, 0]
    path.write_text("filename;hog\na.mp4;0.25\n")
    assert read_csv(path).probabilities.tolist() == [[0.25]]


@pytest.mark.parametrize("fold", [None, np.array([0, 1, 0, 1, 0])])
def test_a_table_is_written_as_pandas_writes_it(tmp_path: Path, fold: NDArray[np.int64] | None) -> None:
    ids = ("plain.mp4", "a, b.mp4", 'c "d".mp4', "e\nf.mp4", "ü.mp4")
    probabilities = np.array([[0.0, 1.0], [1e-5, 0.1], [1 / 3, 5e-324], [0.0001, 1 - 1e-16], [1e-17, 0.7]])
    said = Predictions(ids=ids, classes=("a, b", "c"), probabilities=probabilities, fold=fold)
    said.write_csv(tmp_path / "own.csv")
    said.to_frame().to_csv(tmp_path / "pandas.csv", index=False, lineterminator="\n")
    assert (tmp_path / "own.csv").read_bytes() == (tmp_path / "pandas.csv").read_bytes()
