"""Mappings: the class that each name in somebody's label file means here, as a CSV that a person fills in."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heads.data.class_names import means_blank
from heads.data.labels import BLANK, Labelled, LabelTable
from heads.data.reading.formats.collected import means_unknown
from heads.data.tables import quoted, read_table, tidy
from heads.errors import LabelError
from store.files import write_text
from store.ids import counted, name_a_few

THEIRS, CLASS, COLUMN, CLIPS = "theirs", "class", "column", "clips"
BETWEEN = ";"
UNKNOWN = "?"


@dataclass(frozen=True, kw_only=True)
class ClassMapping:
    """What the names in a label file mean.

    Attributes:
        name: of the mapping's file, for messages.
        classes_of: the classes of each name: several for one name of several species, none for a name that is no
            label, UNKNOWN alone for one that says that nobody knows.
        columns: of the label file, those that hold names; () where its form says so itself.
    """

    name: str
    classes_of: Mapping[str, tuple[str, ...]]
    columns: tuple[str, ...] = ()

    def apply(self, found: Labelled) -> Labelled:
        """The labels under the classes that are meant, and a sentence on what was left out.

        A clip that had labels and has none any more is left out, and so is one of which only is known that it shows
        something unknown: what is unknown is not blank.

        Raises:
            LabelError: the mapping lacks a name.
        """
        labels = found.labels
        meant = {name: self._meant(name) for name in labels.classes}
        missing = [name for name, classes in meant.items() if classes is None]
        if missing:
            raise LabelError(
                f"{self.name}: {len(missing)} names of {labels.origin} are not in it, such as {name_a_few(missing)}; "
                f"add rows of {THEIRS} and {CLASS}: a class, '{UNKNOWN}' for what nobody knows, nothing for what is no "
                "label"
            )
        known = {name: classes or () for name, classes in meant.items()}
        classes = list(dict.fromkeys(each for some in known.values() for each in some if each != UNKNOWN))
        if not classes:
            raise LabelError(f"{self.name}: no name of {labels.origin} is given a class; fill in the column {CLASS}")
        values = np.zeros((len(labels.ids), len(classes)), np.uint8)
        unsure = np.zeros(len(labels.ids), bool)
        for column, name in enumerate(labels.classes):
            shown = labels.values[:, column] == 1
            unsure |= shown & (UNKNOWN in known[name])
            for each in known[name]:
                if each != UNKNOWN:
                    values[shown, classes.index(each)] = 1
        if BLANK in classes:
            values[unsure, classes.index(BLANK)] = 0
        lost = (labels.values.sum(axis=1) > 0) & (values.sum(axis=1) == 0)
        kept = [clip_id for clip_id, out in zip(labels.ids, lost.tolist(), strict=True) if not out]
        if not kept:
            raise LabelError(
                f"{self.name}: no clip of {labels.origin} is left with a label; fill in the column {CLASS}"
            )
        renamed = sum(some != (name,) for name, some in known.items())
        out = f", which leaves out {counted(int(lost.sum()), 'clip')}" if lost.any() else ""
        note = f"{self.name}: {renamed} of {len(known)} names of {labels.origin} mean another class{out}"
        mapped = replace(labels, classes=tuple(classes), values=values).select(kept)
        return replace(found, labels=mapped, notes=(*found.notes, note))

    def _meant(self, name: str) -> tuple[str, ...] | None:
        asked = BLANK if means_blank(name) else name
        return self.classes_of.get(asked, (BLANK,) if asked == BLANK else None)


def read_mapping(path: Path) -> ClassMapping:
    """Read a mapping: columns `theirs` and `class`, and `column` where the label file has columns of its own.

    Raises:
        LabelError: a column is missing, or a name stands twice and means two things.
    """
    table = read_table(path)
    missing = [name for name in (THEIRS, CLASS) if name not in table.columns]
    if missing:
        raise LabelError(
            f"{table.name}: there is no column {quoted(missing)}, found {quoted(table.columns)}; a mapping has the "
            f"columns {THEIRS} and {CLASS}, `heads labels --write-mapping` drafts one"
        )
    classes_of: dict[str, tuple[str, ...]] = {}
    for line, theirs, cell in zip(table.lines, table.column(THEIRS), table.column(CLASS), strict=True):
        if not tidy(theirs):
            raise LabelError(f"{table.name}, line {line}: '{THEIRS}' is empty; name what the label file has")
        classes = tuple(dict.fromkeys(_class(part) for part in cell.split(BETWEEN) if tidy(part)))
        name = BLANK if means_blank(tidy(theirs)) else tidy(theirs)
        if classes_of.setdefault(name, classes) != classes:
            raise LabelError(
                f"{table.name}, line {line}: '{theirs}' is '{cell}', but '{BETWEEN.join(classes_of[name])}' further "
                "up; a name means one thing"
            )
    columns = dict.fromkeys(name for name in (table.names(COLUMN) if COLUMN in table.columns else ()) if name)
    return ClassMapping(name=table.name, classes_of=classes_of, columns=tuple(columns))


def write_draft(path: Path, found: LabelTable | None, columns: Mapping[str, Iterable[str]]) -> int:
    """Write a mapping to be filled in: every name as a class of its own, unknown ones as '?'.

    Args:
        path: where to; a file that is there is not touched.
        found: the labels under their own names; None where it is not to be seen which column holds them.
        columns: then the names in each column that may.

    Returns:
        How many names it has.

    Raises:
        LabelError: there is such a file.
    """
    if path.exists():
        raise LabelError(f"{path}: is there already and may have been filled in; name a new file")
    counts = {} if found is None else dict(zip(found.classes, found.values.sum(axis=0).tolist(), strict=True))
    rows = [(column, name) for column, names in columns.items() for name in names] or [("", name) for name in counts]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*([COLUMN] if columns else []), THEIRS, CLASS, CLIPS])
    for column, name in rows:
        meant = UNKNOWN if means_unknown(name) else BLANK if means_blank(name) else name
        writer.writerow([*([column] if columns else []), name, meant, counts.get(meant, "")])
    write_text(path, written.getvalue())
    return len(rows)


def _class(text: str) -> str:
    name = tidy(text)
    return UNKNOWN if name == UNKNOWN else BLANK if means_blank(name) else name
