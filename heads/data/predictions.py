"""Predictions: a table of probabilities, joined with everything else by clip id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.tables import ID_COLUMNS, composed, delimiter_of
from heads.errors import PredictionError
from store.ids import name_a_few, normalise_clip_id, require_known, require_unique

ID_COLUMN = "clip_id"
FOLD_COLUMN = "fold"
STATUS_COLUMN = "status"
ORIGIN_COLUMN = "origin"


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What one model says about clips.

    Attributes:
        ids: (N) clip ids, each once.
        classes: (C) class names; a model may know fewer than the labels hold.
        probabilities: (N, C) float64, 0 to 1.
        fold: (N,) int64, the fold whose model made each row (it had not seen the clip), or None for new clips.
        provenance: where it comes from, JSON values; `model` is the name that blends and reports use.

    Example:
        >>> said = Predictions(
        ...     ids=("a.mp4", "b.mp4"),
        ...     classes=("blank", "duiker"),
        ...     probabilities=[[0.9, 0.1], [0.2, 0.7]],
        ...     provenance={"model": "mine"},
        ... )
        >>> said.select(["b.mp4"]).column("duiker")
        array([0.7])
        >>> said.to_frame()
          clip_id  blank  duiker
        0   a.mp4    0.9     0.1
        1   b.mp4    0.2     0.7
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    fold: NDArray[np.int64] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(self.ids))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "probabilities", np.asarray(self.probabilities, np.float64))
        require_unique(self.ids, self.where)
        _require_shape(self)
        _require_range(self)

    @property
    def model(self) -> str:
        """The model's name, "" if it has none."""
        return str(self.provenance.get("model", ""))

    @property
    def where(self) -> str:
        """How messages name these predictions."""
        return f"predictions of '{self.model}'" if self.model else "predictions"

    def select(self, ids: Sequence[str]) -> "Predictions":
        """The rows of `ids`, in that order.

        Raises:
            UnknownClipError: one of `ids` has no prediction.
        """
        if tuple(ids) == self.ids:
            return self
        require_known(ids, self.ids, self.where, "predict these clips too, or leave them out")
        place = {clip_id: row for row, clip_id in enumerate(self.ids)}
        rows = np.array([place[clip_id] for clip_id in ids], np.int64)
        fold = None if self.fold is None else self.fold[rows]
        return replace(self, ids=tuple(ids), probabilities=self.probabilities[rows], fold=fold)

    def over(self, everyone: "Predictions") -> "Predictions":
        """These predictions, and of clips that they lack what `everyone`, a table of the same classes, says."""
        place = {clip_id: row for row, clip_id in enumerate(everyone.ids)}
        probabilities = everyone.probabilities.copy()
        probabilities[[place[clip_id] for clip_id in self.ids]] = self.probabilities
        return replace(everyone, probabilities=probabilities, provenance=self.provenance)

    def only(self, classes: Sequence[str]) -> "Predictions":
        """The columns of `classes`, in that order.

        Raises:
            PredictionError: the model does not know one of them.
        """
        columns = [self.column(name) for name in classes]
        return replace(self, classes=tuple(classes), probabilities=np.column_stack(columns))

    def column(self, name: str) -> NDArray[np.float64]:
        """The (N,) probabilities of one class.

        Raises:
            PredictionError: the model does not know the class.
        """
        if name not in self.classes:
            raise PredictionError(f"{self.where}: there is no class '{name}', only {name_a_few(self.classes)}")
        return self.probabilities[:, self.classes.index(name)]

    def to_frame(self) -> pd.DataFrame:
        """A row a clip: `clip_id`, `fold` if it is known, and a column a class."""
        frame = pd.DataFrame(self.probabilities, columns=list(self.classes))
        frame.insert(0, ID_COLUMN, list(self.ids))
        if self.fold is not None:
            frame.insert(1, FOLD_COLUMN, self.fold)
        return frame

    def write_csv(self, path: Path) -> None:
        """Write the table of `to_frame`, with every digit that a float holds."""
        self.to_frame().to_csv(path, index=False, lineterminator="\n")


def read_csv(path: Path, *, model: str | None = None) -> Predictions:
    """Read what `write_csv` wrote, or any CSV of that shape; the clips' column may be called as in a label table.

    The columns `status` and `origin`, which `heads predict` writes, are passed over where they hold words.

    Args:
        path: the file.
        model: the model's name; the file's name without its ending if not given.

    Raises:
        PredictionError: the file is missing, unreadable or not such a table.
        DuplicateClipError: a clip stands twice.
    """
    try:
        frame = _read_numbers(path)
    except FileNotFoundError as error:
        raise PredictionError(f"{path}: there is no such file; name a CSV of predictions that exists") from error
    except OSError as error:
        raise PredictionError(f"{path}: cannot be read ({error.strerror}); name a CSV file that can") from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise PredictionError(f"{path.name}: not a CSV table in UTF-8 ({error}); export it again") from error
    other = next((name for name in ID_COLUMNS if name in frame.columns), ID_COLUMN)
    frame = frame.rename(columns={other: ID_COLUMN})
    in_words = [
        name
        for name in (STATUS_COLUMN, ORIGIN_COLUMN)
        if name in frame.columns and not pd.api.types.is_numeric_dtype(frame[name])
    ]
    frame = frame.drop(columns=in_words)
    frame = frame.rename(columns=lambda name: composed(str(name)))
    if not frame.columns.is_unique:
        repeated = name_a_few(frame.columns[frame.columns.duplicated()])
        raise PredictionError(f"{path.name}: the header names {repeated} more than once; name each class once")
    if ID_COLUMN not in frame.columns:
        raise PredictionError(
            f"{path.name}: there is no column '{ID_COLUMN}', found {name_a_few(map(str, frame.columns))}; "
            f"expected clip_id, optionally fold, and a column a class"
        )
    classes = [str(name) for name in frame.columns if name not in (ID_COLUMN, FOLD_COLUMN)]
    for name in classes:
        _require_numbers(path, frame, name, whole=False)
    if FOLD_COLUMN in frame.columns:
        _require_numbers(path, frame, FOLD_COLUMN, whole=True)
    return Predictions(
        ids=tuple(normalise_clip_id(clip_id) for clip_id in frame[ID_COLUMN]),
        classes=tuple(classes),
        probabilities=frame[classes].to_numpy(np.float64),
        fold=frame[FOLD_COLUMN].to_numpy(np.int64) if FOLD_COLUMN in frame.columns else None,
        provenance={"model": path.stem if model is None else model, "file": path.name},
    )


def _read_numbers(path: Path) -> pd.DataFrame:
    """A table whose columns of clips are text. Where not commas separate its cells, numbers may have decimal commas."""
    delimiter, text = delimiter_of(path), dict.fromkeys(ID_COLUMNS, str)
    frame: pd.DataFrame = pd.read_csv(path, sep=delimiter, dtype=text, keep_default_na=False)
    if delimiter == "," or not any(frame[name].astype(str).str.contains(",").any() for name in frame.columns[1:]):
        return frame
    with_commas: pd.DataFrame = pd.read_csv(path, sep=delimiter, decimal=",", dtype=text, keep_default_na=False)
    return with_commas


def _require_numbers(path: Path, frame: pd.DataFrame, name: str, *, whole: bool) -> None:
    """Raise, naming the first wrong cell, unless a column was read as numbers (as whole numbers)."""
    column = frame[name]
    is_right = pd.api.types.is_integer_dtype(column) if whole else pd.api.types.is_numeric_dtype(column)
    if is_right or len(frame) == 0:
        return
    numbers = pd.to_numeric(column, errors="coerce")
    row = int(np.argmax((numbers.isna() | (numbers % 1 != 0) if whole else numbers.isna()).to_numpy()))
    expected = "a fold number" if whole else "a probability from 0 to 1"
    raise PredictionError(
        f"{path.name}, line {row + 2}, clip '{frame[ID_COLUMN].iloc[row]}': '{name}' is '{column.iloc[row]}', "
        f"expected {expected}"
    )


def _require_shape(predictions: Predictions) -> None:
    expected = (len(predictions.ids), len(predictions.classes))
    if predictions.probabilities.shape != expected:
        raise PredictionError(
            f"{predictions.where}: probabilities are {predictions.probabilities.shape}, expected {expected} "
            f"(clips, classes)"
        )
    if len(set(predictions.classes)) != len(predictions.classes):
        raise PredictionError(f"{predictions.where}: a class stands twice; name each class once")
    if predictions.fold is not None and predictions.fold.shape != (len(predictions.ids),):
        raise PredictionError(
            f"{predictions.where}: {predictions.fold.shape} folds for {len(predictions.ids)} clips; expected one a clip"
        )


def _require_range(predictions: Predictions) -> None:
    wrong = ~((predictions.probabilities >= 0) & (predictions.probabilities <= 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise PredictionError(
            f"{predictions.where}: clip '{predictions.ids[row]}', class '{predictions.classes[column]}' is "
            f"{predictions.probabilities[row, column]}, expected a probability from 0 to 1"
        )
