"""Predictions: a table of probabilities, joined with everything else by clip id."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.class_names import known_class
from heads.data.tables import TextTable, find_id_column, read_table, tidy
from heads.errors import LabelError, PredictionError
from store.ids import name_a_few, require_known, require_unique

ID_COLUMN = "clip_id"
FOLD_COLUMN = "fold"
STATUS_COLUMN = "status"
ORIGIN_COLUMN = "origin"
EVENT_COLUMN = "event"
_MOST_FOLDS = 2**31
_ROWS_AT_ONCE = 1024
_QUOTED = re.compile(r'[,"\r\n]')


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

    def renamed(self, clip_of: Mapping[str, str], classes: Sequence[str]) -> "Predictions":
        """The same under the ids of clips and the classes that are meant.

        Args:
            clip_of: the clip of each id that means one; others keep their ids.
            classes: those that there are; a word for BLANK means that class.

        Raises:
            DuplicateClipError: two ids mean one clip.
            PredictionError: two columns mean one class.
        """
        ids = tuple(clip_of.get(clip_id, clip_id) for clip_id in self.ids)
        return replace(self, ids=ids, classes=tuple(known_class(name, classes) for name in self.classes))

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
        folds = [] if self.fold is None else [self.fold.tolist()]
        header = [ID_COLUMN, *([FOLD_COLUMN] if folds else []), *self.classes]
        lines = zip(map(_csv_cell, self.ids), *(map(str, each) for each in folds), _numbers_of(self), strict=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(header)
            file.writelines(f"{','.join(filter(None, line))}\n" for line in lines)


def read_csv(path: Path, *, model: str | None = None) -> Predictions:
    """Read a CSV of predictions, whoever wrote it, by the rules of every table of clips.

    The columns `status`, `origin` and `event`, which `heads predict` writes, are passed over where they hold words.
    Where not commas separate its cells, numbers may have decimal commas.

    Args:
        path: the file.
        model: the model's name; the file's name without its ending if not given.

    Raises:
        PredictionError: the file is missing, unreadable or not such a table.
        DuplicateClipError: a clip stands twice.
    """
    try:
        table = read_table(path)
        if find_id_column(table.columns) is None:
            raise PredictionError(
                f"{path.name}: there is no column '{ID_COLUMN}', found {name_a_few(table.columns)}; expected clip_id, "
                "filename or filepath, optionally fold, and a column a class"
            )
        ids = table.clip_ids()
    except LabelError as error:
        raise PredictionError(str(error)) from error
    numbers = _Numbers(table, ids)
    classes = [name for name in table.columns if name not in (table.id_column, FOLD_COLUMN)]
    classes = [
        name for name in classes if name not in (STATUS_COLUMN, ORIGIN_COLUMN, EVENT_COLUMN) or numbers.are_in(name)
    ]
    probabilities = [numbers.of(name, "a probability from 0 to 1") for name in classes]
    return Predictions(
        ids=tuple(ids),
        classes=tuple(classes),
        probabilities=np.column_stack(probabilities) if classes else np.empty((len(ids), 0)),
        fold=numbers.folds() if FOLD_COLUMN in table.columns else None,
        provenance={"model": path.stem if model is None else model, "file": path.name},
    )


def read_written(path: Path, *, model: str) -> Predictions:
    """Read what `write_csv` wrote: every name and id as it was.

    Raises:
        PredictionError: the file has been changed into something else.
    """
    try:
        frame = pd.read_csv(path, dtype={ID_COLUMN: str}, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise PredictionError(f"{path.name}: not a CSV table in UTF-8 ({error}); make it again") from error
    classes = [str(name) for name in frame.columns if name not in (ID_COLUMN, FOLD_COLUMN)]
    numeric = all(pd.api.types.is_numeric_dtype(frame[name]) for name in classes)
    whole = FOLD_COLUMN not in frame or pd.api.types.is_integer_dtype(frame[FOLD_COLUMN])
    if ID_COLUMN not in frame or (len(frame) and not (numeric and whole)):
        return read_csv(path, model=model)  # somebody saved it anew, or it says what is wrong
    return Predictions(
        ids=tuple(frame[ID_COLUMN].tolist()),
        classes=tuple(classes),
        probabilities=frame[classes].to_numpy(np.float64),
        fold=frame[FOLD_COLUMN].to_numpy(np.int64) if FOLD_COLUMN in frame.columns else None,
        provenance={"model": model, "file": path.name},
    )


@dataclass(frozen=True)
class _Numbers:
    """The columns of a table that hold numbers."""

    table: TextTable
    ids: Sequence[str]

    def are_in(self, name: str) -> bool:
        """Whether every cell of a column is a number."""
        return bool(np.isfinite(self._read(name)).all())

    def of(self, name: str, expected: str) -> NDArray[np.float64]:
        """The numbers of a column.

        Raises:
            PredictionError: a cell holds none, named by its line.
        """
        found = self._read(name)
        self._require(name, np.isfinite(found), expected)
        return found

    def folds(self) -> NDArray[np.int64]:
        """The whole numbers of the column of folds.

        Raises:
            PredictionError: a cell is none.
        """
        expected = "a fold number"
        found = self.of(FOLD_COLUMN, expected)
        self._require(FOLD_COLUMN, (found == np.floor(found)) & (np.abs(found) < _MOST_FOLDS), expected)
        return found.astype(np.int64)

    def _read(self, name: str) -> NDArray[np.float64]:
        cells = self.table.column(name)
        try:
            return np.array([float(cell) for cell in cells], np.float64)
        except ValueError:
            return np.array([_number(cell) for cell in cells], np.float64)

    def _require(self, name: str, right: NDArray[np.bool_], expected: str) -> None:
        for row in np.flatnonzero(~right)[:1].tolist():
            raise PredictionError(
                f"{self.table.name}, line {self.table.lines[row]}, clip '{self.ids[row]}': '{name}' is "
                f"'{self.table.column(name)[row]}', expected {expected}"
            )


def _csv_cell(text: str) -> str:
    """A text as `csv.writer` writes it."""
    if not _QUOTED.search(text):
        return text
    cell = io.StringIO()
    csv.writer(cell, lineterminator="\n").writerow([text, ""])
    return cell.getvalue().removesuffix(",\n")


def _numbers_of(predictions: Predictions) -> Iterator[str]:
    """The cells of each row as text; a third of the time that `csv.writer` takes."""
    for start in range(0, len(predictions.ids), _ROWS_AT_ONCE):
        for row in predictions.probabilities[start : start + _ROWS_AT_ONCE].tolist():
            yield ",".join(map(repr, row))


def _number(cell: str) -> float:
    """The number in a cell, with a point or a comma; NaN if there is none."""
    try:
        return float(cell)
    except ValueError:
        tidied = tidy(cell).replace(",", ".")
    try:
        return float(tidied)
    except ValueError:
        return float("nan")


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
