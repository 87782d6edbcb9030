"""The forms that labels come in, one class each; `LABEL_FORMATS` is the table of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from heads.data.class_names import joined_notes, means_blank, spelling_notes, with_one_blank
from heads.data.labels import BLANK, Labelled, LabelTable
from heads.data.reading.formats.camtrap_dp import CamtrapDp
from heads.data.reading.formats.camtrapr import RecordTable
from heads.data.reading.formats.coco_camera_traps import CocoCameraTraps
from heads.data.reading.formats.collected import Reading
from heads.data.reading.formats.timelapse import TimelapseCsv, TimelapseDatabase
from heads.data.reading.formats.wildlife_insights import WildlifeInsights
from heads.data.reading.formats.zamba_cloud import ZambaCloud
from heads.data.reading.mapping import ClassMapping
from heads.data.tables import ID_COLUMNS, TextTable, find_id_column, quoted, read_header, read_table, tidy
from heads.errors import LabelError
from store.ids import counted, name_a_few

_RESERVED = frozenset({*ID_COLUMNS, "fold", "status", "origin"})
_CELLS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "0,0": 0, "1,0": 1}  # with decimal commas too


class LabelFormat(Protocol):
    """A form that labels come in.

    Attributes:
        about: what it is, for the sentence that lists the formats.
    """

    @property
    def about(self) -> str:
        """What it is, for the sentence that lists the formats."""

    def recognises(self, path: Path) -> bool:
        """Whether the file, or folder, at `path` is of this form; a path that cannot be read is of none."""

    def read(self, path: Path) -> Labelled:
        """Read it; where the site of every labelled clip is known, the labels have their sites too.

        Raises:
            LabelError: anything that makes it ambiguous, named by place and clip.
        """


class OneHot:
    """A column `filename` (or `filepath`, `clip_id`), a column a class holding 0 or 1, optionally `site`."""

    about = "a CSV of filename and a column of 0 and 1 for each class"

    def recognises(self, path: Path) -> bool:
        """Whether it has a column of clips and none of labels."""
        header = read_header(path)
        return "label" not in header and find_id_column(header) is not None

    def read(self, path: Path) -> Labelled:
        """Read it; classes are in the order of their columns."""
        table = read_table(path)
        ids = table.clip_ids()
        classes = tuple(name for name in table.columns if name not in (table.id_column, "site"))
        if not classes:
            raise LabelError(f"{table.name}: there is no class column; add a column of 0 and 1 for each species")
        _require_class_names(table.name, classes)
        table.require_single_rows([(clip_id,) for clip_id in ids])
        places = [table.columns.index(name) for name in classes]
        values = np.zeros((len(ids), len(classes)), np.uint8)
        for row, cells in enumerate(table.rows):
            try:
                values[row] = [_CELLS[cells[place]] for place in places]
            except KeyError:
                values[row] = [_value(table, row, ids[row], place) for place in places]
        sites = tuple(table.sites(ids)) if "site" in table.columns else None
        labels = LabelTable(ids=tuple(ids), classes=classes, values=values, sites=sites, origin=table.name)
        return Labelled(labels=labels, sites=labels.known_sites)


class Long:
    """The same first column and `label`, a row a label, optionally `site`; other columns are ignored."""

    about = "a CSV of filename and label with a row for each label"

    def recognises(self, path: Path) -> bool:
        """Whether it has columns of clips and of labels."""
        header = read_header(path)
        return "label" in header and find_id_column(header) is not None

    def read(self, path: Path) -> Labelled:
        """Read it: a clip with several labels has several rows; classes are in alphabetical order."""
        table = read_table(path)
        row_ids, names = table.clip_ids(), table.names("label")
        spellings = dict(zip(table.column("label"), names, strict=True))
        for line, clip_id, label in zip(table.lines, row_ids, names, strict=True):
            if not label:
                raise LabelError(
                    f"{table.name}, line {line}, clip '{clip_id}': the label is empty, expected a class name; write "
                    f"'{BLANK}' if the clip shows nothing, or remove the row"
                )
        table.require_single_rows(list(zip(row_ids, names, strict=True)))
        ids, classes = list(dict.fromkeys(row_ids)), tuple(sorted(set(names)))
        _require_class_names(table.name, classes)
        row_of = {clip_id: row for row, clip_id in enumerate(ids)}
        column_of = {name: column for column, name in enumerate(classes)}
        values = np.zeros((len(ids), len(classes)), np.uint8)
        for clip_id, label in zip(row_ids, names, strict=True):
            values[row_of[clip_id], column_of[label]] = 1
        sites = None
        if "site" in table.columns:
            sites = tuple(_one_each(table, row_ids, table.sites(row_ids), "site", "a clip has one site").values())
        labels = LabelTable(ids=tuple(ids), classes=classes, values=values, sites=sites, origin=table.name)
        notes = joined_notes(table.name, "class", spellings)
        parts = {}
        if "split" in table.columns:
            parts = _one_each(table, row_ids, table.names("split"), "split", "a clip is in one part")
        return Labelled(labels=labels, sites=labels.known_sites, notes=notes, adds_up=True, parts=parts)


LABEL_FORMATS: tuple[LabelFormat, ...] = (
    CamtrapDp(),
    CocoCameraTraps(),  # before those that look for the header of a table in all of a long JSON
    WildlifeInsights(),
    TimelapseDatabase(),
    TimelapseCsv(),
    RecordTable(),
    ZambaCloud(),
    OneHot(),
    Long(),
)


@runtime_checkable
class ReadsAsAsked(Protocol):
    """A form whose files can be read in several ways."""

    def read_as(self, path: Path, reading: Reading) -> Labelled:
        """Read it so; raises as `LabelFormat.read` does."""


def read_labels(path: Path, mapping: ClassMapping | None = None, *, machine: bool = False) -> Labelled:
    """Read labels in whichever of `LABEL_FORMATS` recognises them.

    Args:
        path: of the file, or the folder.
        mapping: the class of each name in the file, and the columns that hold names; None to take them as they are.
        machine: whether what a machine said counts, in a form that tells it from what people said.

    Raises:
        LabelError: no format does, or the labels are ambiguous or useless.
    """
    form = _format_of(path)
    reading = Reading(columns=() if mapping is None else mapping.columns, machine=machine)
    read = form.read_as(path, reading) if isinstance(form, ReadsAsAsked) else form.read(path)
    if mapping is not None:
        read = mapping.apply(read)
    _require_class_names(read.labels.origin, read.labels.classes)
    found = with_one_blank(_shown_classes(read))
    _require_blank_alone(found.labels, [name for name in read.labels.classes if means_blank(name)])
    notes = spelling_notes(found.labels.origin, "classes", found.labels.classes)
    return replace(found, notes=(*found.notes, *notes))


def load_labels(path: Path) -> LabelTable:
    """The labels of `read_labels`, without the sites of other clips."""
    return read_labels(path).labels


def about_format(path: Path) -> str:
    """What form a label file is of, in words.

    Raises:
        LabelError: it is of none.
    """
    return _format_of(path).about


def candidate_columns(path: Path) -> Mapping[str, Sequence[str]]:
    """The names in each column of a file that may hold labels; {} for a form that says which column does."""
    form = _format_of(path)
    return form.candidates(path) if isinstance(form, TimelapseCsv | TimelapseDatabase) else {}


def _format_of(path: Path) -> LabelFormat:
    for each in LABEL_FORMATS:
        if each.recognises(path):
            return each
    expected = f"labels are read from {', or '.join(each.about for each in LABEL_FORMATS)}"
    try:
        columns = read_table(path).columns
    except LabelError as error:
        if not path.exists():
            raise
        raise LabelError(f"{error}; {expected}") from error
    raise LabelError(
        f"{path.name}: there is no column of clips, expected one of {quoted(ID_COLUMNS)}, found {quoted(columns)}; "
        "name the clips' column so in the first line"
    )


def _one_each(table: TextTable, row_ids: Sequence[str], cells: Sequence[str], what: str, rule: str) -> dict[str, str]:
    """The cell of each clip, which all of its rows must share; clips of empty cells are left out.

    Raises:
        LabelError: a clip has two, named by `what` they are, and the `rule`.
    """
    found: dict[str, str] = {}
    for line, clip_id, cell in zip(table.lines, row_ids, cells, strict=True):
        if cell and found.setdefault(clip_id, cell) != cell:
            raise LabelError(
                f"{table.name}, line {line}, clip '{clip_id}': {what} '{cell}', but '{found[clip_id]}' further up; "
                f"{rule}"
            )
    return found


def _require_class_names(name: str, classes: Sequence[str]) -> None:
    taken = [label for label in classes if label in _RESERVED]
    if taken:
        raise LabelError(f"{name}: a class cannot be called '{taken[0]}', predictions use that column; rename it")


def _shown_classes(found: Labelled) -> Labelled:
    """The labels without the classes that no clip shows, of which nothing can be learned, and a note on them."""
    labels = found.labels
    shown = [name for name, count in zip(labels.classes, labels.values.sum(axis=0), strict=True) if count]
    if len(shown) == len(labels.classes):
        return found
    empty = [name for name in labels.classes if name not in shown]
    said = f"{labels.origin}: no clip shows {name_a_few(empty)}"
    if not shown:
        raise LabelError(f"{said}; a class needs at least one positive example, label some clips")
    note = f"{said}: left out, since a class needs at least one positive example"
    return replace(found, labels=labels.only(shown), notes=(*found.notes, note))


def _value(table: TextTable, row: int, clip_id: str, place: int) -> int:
    """Whether a class is on a clip, by its cell."""
    cell = table.rows[row][place]
    if (tidied := tidy(cell)) not in _CELLS:
        raise LabelError(
            f"{table.name}, line {table.lines[row]}, clip '{clip_id}': '{table.columns[place]}' is '{cell}', "
            "expected 0 or 1"
        )
    return _CELLS[tidied]


def _require_blank_alone(labels: LabelTable, written: Sequence[str]) -> None:
    if BLANK not in labels.classes:
        return
    blank = labels.values[:, labels.classes.index(BLANK)] == 1
    wrong = [labels.ids[row] for row in np.flatnonzero(blank & (labels.values.sum(axis=1) > 1))]
    if wrong:
        called = " or ".join(f"'{name}'" for name in written)
        are = "is" if len(wrong) == 1 else "are"
        raise LabelError(
            f"{labels.origin}: {counted(len(wrong), 'clip')} {are} labelled {called} and a species at once: "
            f"{name_a_few(wrong)}; a blank clip shows nothing, remove one of the labels"
        )
