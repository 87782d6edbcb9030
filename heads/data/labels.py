"""Label tables: which clip shows which species, and at which site it was taken."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.data.tables import ID_COLUMNS, TextTable, read_table
from heads.errors import LabelError
from store.ids import name_a_few, require_known, require_unique

BLANK = "blank"
_RESERVED = frozenset({*ID_COLUMNS, "fold", "status"})
_CELLS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelTable:
    """What is known to be on each clip.

    Attributes:
        ids: clip ids, each once.
        classes: class names, in column order.
        values: (N, C) uint8, 1 where the class is on the clip. A row of zeros is a clip that shows none of the classes
            (an animal outside the list): allowed, and something to learn from.
        sites: where each clip was taken, or None if that is not known.
        origin: the file it came from, for messages.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    values: NDArray[np.uint8]
    sites: tuple[str, ...] | None = None
    origin: str = "labels"

    def select(self, ids: Sequence[str]) -> "LabelTable":
        """The rows of `ids`, in that order.

        Raises:
            UnknownClipError: one of `ids` has no labels.
            DuplicateClipError: one of `ids` is asked for twice.
        """
        require_unique(ids, self.origin)
        require_known(ids, self.ids, self.origin, "label these clips or leave them out")
        place = {clip_id: row for row, clip_id in enumerate(self.ids)}
        rows = [place[clip_id] for clip_id in ids]
        sites = None if self.sites is None else tuple(self.sites[row] for row in rows)
        return replace(self, ids=tuple(ids), values=self.values[rows], sites=sites)

    def only(self, classes: Sequence[str]) -> "LabelTable":
        """The same clips with these classes, in the order given.

        Raises:
            LabelError: a class is not there.
        """
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            raise LabelError(f"{self.origin}: there is no class '{unknown[0]}', only {name_a_few(self.classes)}")
        columns = [self.classes.index(name) for name in classes]
        return replace(self, classes=tuple(classes), values=self.values[:, columns])

    def with_sites(self, sites: Mapping[str, str], origin: str) -> "LabelTable":
        """The same table with the site of each clip looked up in `sites`; clips that have no labels are ignored.

        Raises:
            UnknownClipError: a labelled clip has no site.
        """
        require_known(self.ids, sites, origin, "every labelled clip needs a site, or leave the sites out altogether")
        return replace(self, sites=tuple(sites[clip_id] for clip_id in self.ids))

    def check_against(self, known_ids: Iterable[str]) -> None:
        """Raise UnknownClipError, naming the first few, unless every labelled clip is one of `known_ids`."""
        require_known(self.ids, known_ids, self.origin, "featurize these clips or remove their rows")


def load_labels(path: Path, *, allow_empty_classes: bool = False) -> LabelTable:
    """Read a label table, one-hot or long, whichever its header shows.

    One-hot: a column `filename` (or `filepath`, `clip_id`), a column a class holding 0 or 1, optionally `site`.
    Long: the same first column and `label`, a row a label, optionally `site`; other columns are ignored; a clip with
    several labels has several rows; classes are in alphabetical order.

    Args:
        path: the CSV file.
        allow_empty_classes: whether a class may stand on no clip (a part of a table that was checked as a whole).

    Raises:
        LabelError: anything that makes the table ambiguous or useless, named by line and clip.
    """
    table = read_table(path)
    labels = _read_long(table) if "label" in table.columns else _read_one_hot(table)
    if not allow_empty_classes:
        _require_positives(labels)
    _require_blank_alone(labels)
    return labels


def load_sites(path: Path) -> dict[str, str]:
    """Read a table of sites: a column of clips and a column `site`; other columns are ignored.

    Returns:
        The site of each clip id.

    Raises:
        LabelError: a column is missing, a site is empty, or a clip stands twice.
    """
    table = read_table(path)
    if "site" not in table.columns:
        raise LabelError(
            f"{table.name}: there is no column 'site', found {', '.join(table.columns)}; name it in line 1"
        )
    ids = table.clip_ids()
    _require_single_rows(table, [(clip_id,) for clip_id in ids])
    return dict(zip(ids, _sites(table, ids), strict=True))


def sites_from_pattern(ids: Sequence[str], pattern: str) -> dict[str, str]:
    """The site of each clip, cut out of its id by a regular expression.

    Args:
        ids: clip ids.
        pattern: searched in each id; its group named `site`, else its first group, is the site.
            `^([^/]+)/` takes the first folder.

    Raises:
        LabelError: the pattern is malformed, has no group, or does not match an id.
    """
    found = sites_where_matched(ids, pattern)
    missed = [clip_id for clip_id in ids if clip_id not in found]
    if missed:
        raise LabelError(f"site pattern '{pattern}': no site in {len(missed)} clip ids: {name_a_few(missed)}")
    return found


def sites_where_matched(ids: Iterable[str], pattern: str) -> dict[str, str]:
    """What `sites_from_pattern` gives, of those ids that have a site.

    Raises:
        LabelError: the pattern is malformed or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise LabelError(f"site pattern '{pattern}': not a regular expression ({error})") from error
    if expression.groups == 0:
        raise LabelError(f"site pattern '{pattern}': there is no group; put the part that is the site in brackets")
    group: str | int = "site" if "site" in expression.groupindex else 1
    found = ((clip_id, expression.search(clip_id)) for clip_id in ids)
    return {clip_id: match[group] for clip_id, match in found if match is not None and match[group]}


def _read_one_hot(table: TextTable) -> LabelTable:
    ids = table.clip_ids()
    classes = tuple(name for name in table.columns if name not in (table.id_column, "site"))
    if not classes:
        raise LabelError(f"{table.name}: there is no class column; add a column of 0 and 1 for each species")
    _require_class_names(table.name, classes)
    _require_single_rows(table, [(clip_id,) for clip_id in ids])
    places = [table.columns.index(name) for name in classes]
    values = np.zeros((len(ids), len(classes)), np.uint8)
    for row, cells in enumerate(table.rows):
        try:
            values[row] = [_CELLS[cells[place]] for place in places]
        except KeyError:
            place = next(place for place in places if cells[place] not in _CELLS)
            raise LabelError(
                f"{table.name}, line {table.lines[row]}, clip '{ids[row]}': '{table.columns[place]}' is "
                f"'{cells[place]}', expected 0 or 1"
            ) from None
    sites = tuple(_sites(table, ids)) if "site" in table.columns else None
    return LabelTable(ids=tuple(ids), classes=classes, values=values, sites=sites, origin=table.name)


def _read_long(table: TextTable) -> LabelTable:
    row_ids, labels = table.clip_ids(), table.names("label")
    for line, clip_id, label in zip(table.lines, row_ids, labels, strict=True):
        if not label:
            raise LabelError(f"{table.name}, line {line}, clip '{clip_id}': the label is empty, expected a class name")
    _require_single_rows(table, list(zip(row_ids, labels, strict=True)))
    ids, classes = list(dict.fromkeys(row_ids)), tuple(sorted(set(labels)))
    _require_class_names(table.name, classes)
    row_of = {clip_id: row for row, clip_id in enumerate(ids)}
    column_of = {name: column for column, name in enumerate(classes)}
    values = np.zeros((len(ids), len(classes)), np.uint8)
    for clip_id, label in zip(row_ids, labels, strict=True):
        values[row_of[clip_id], column_of[label]] = 1
    sites = _one_site_each(table, row_ids) if "site" in table.columns else None
    return LabelTable(ids=tuple(ids), classes=classes, values=values, sites=sites, origin=table.name)


def _one_site_each(table: TextTable, row_ids: Sequence[str]) -> tuple[str, ...]:
    site_of: dict[str, str] = {}
    for line, clip_id, site in zip(table.lines, row_ids, _sites(table, row_ids), strict=True):
        if site_of.setdefault(clip_id, site) != site:
            raise LabelError(
                f"{table.name}, line {line}, clip '{clip_id}': site '{site}', but '{site_of[clip_id]}' further up; "
                f"a clip has one site"
            )
    return tuple(site_of.values())


def _sites(table: TextTable, ids: Sequence[str]) -> list[str]:
    sites = table.names("site")
    for line, clip_id, site in zip(table.lines, ids, sites, strict=True):
        if not site:
            raise LabelError(f"{table.name}, line {line}, clip '{clip_id}': the site is empty; name it")
    return sites


def _require_single_rows(table: TextTable, keys: Sequence[tuple[str, ...]]) -> None:
    first_line: dict[tuple[str, ...], int] = {}
    for line, key in zip(table.lines, keys, strict=True):
        if first_line.setdefault(key, line) != line:
            what = " with label ".join(f"'{part}'" for part in key)
            raise LabelError(
                f"{table.name}, line {line}: clip {what} stands already in line {first_line[key]}; keep one of the rows"
            )


def _require_class_names(name: str, classes: Sequence[str]) -> None:
    taken = [label for label in classes if label in _RESERVED]
    if taken:
        raise LabelError(f"{name}: a class cannot be called '{taken[0]}', predictions use that column; rename it")


def _require_positives(labels: LabelTable) -> None:
    empty = [name for name, count in zip(labels.classes, labels.values.sum(axis=0), strict=True) if count == 0]
    if empty:
        raise LabelError(
            f"{labels.origin}: no clip shows {name_a_few(empty)}; a class needs at least one positive example, "
            f"remove the column or label some clips"
        )


def _require_blank_alone(labels: LabelTable) -> None:
    if BLANK not in labels.classes:
        return
    blank = labels.values[:, labels.classes.index(BLANK)] == 1
    wrong = [labels.ids[row] for row in np.flatnonzero(blank & (labels.values.sum(axis=1) > 1))]
    if wrong:
        raise LabelError(
            f"{labels.origin}: {len(wrong)} clips are labelled '{BLANK}' and a species at once: {name_a_few(wrong)}; "
            f"a blank clip shows nothing, remove one of the labels"
        )
