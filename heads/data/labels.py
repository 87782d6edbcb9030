"""Label tables: which clip shows which species, and at which site it was taken."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.errors import LabelError
from store.ids import name_a_few, require_known, require_unique

BLANK = "blank"
OWN_COLUMNS = ("filename", "site")  # of `LabelTable.to_frame`, beside those of classes
_MARK = "class:"


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

    Example:
        >>> frame = pd.DataFrame({"filename": ["a.mp4", "b.mp4"], "site": ["s1", "s2"], "hog": [1, 0], "lion": [1, 1]})
        >>> labels = LabelTable.from_frame(frame)
        >>> labels.classes, labels.sites
        (('hog', 'lion'), ('s1', 's2'))
        >>> labels.select(["b.mp4"]).only(["lion"]).values
        array([[1]], dtype=uint8)
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    values: NDArray[np.uint8]
    sites: tuple[str, ...] | None = None
    origin: str = "labels"

    @property
    def known_sites(self) -> dict[str, str]:
        """The site of each clip; empty if sites are not known."""
        return {} if self.sites is None else dict(zip(self.ids, self.sites, strict=True))

    def select(self, ids: Sequence[str]) -> "LabelTable":
        """The rows of `ids`, in that order.

        Raises:
            UnknownClipError: one of `ids` has no labels.
            DuplicateClipError: one of `ids` is asked for twice.
        """
        require_unique(ids, self.origin)
        if tuple(ids) == self.ids:
            return self
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

    def to_frame(self) -> pd.DataFrame:
        """A row a clip: `filename`, `site` where sites are known, and a column of 0 and 1 for each class.

        The column of a class that is called like one of the first two has a mark in front.
        """
        frame = pd.DataFrame(self.values, columns=[_marked(name) for name in self.classes])
        frame.insert(0, "filename", list(self.ids))
        if self.sites is not None:
            frame.insert(1, "site", list(self.sites))
        return frame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, origin: str = "labels") -> "LabelTable":
        """The table that `to_frame` gave, whether its cells are numbers or, out of a CSV, text.

        Args:
            frame: has a column `filename`; a class may stand on no clip.
            origin: where it comes from, for messages.

        Raises:
            LabelError: a cell of a class is neither 0 nor 1.
        """
        columns = [str(name) for name in frame if name not in OWN_COLUMNS]
        ids, classes = frame["filename"].tolist(), [_unmarked(name) for name in columns]
        cells = frame[columns].to_numpy().astype(str)
        values = (cells == "1") | (cells == "1.0")
        for row, column in np.argwhere(~values & (cells != "0") & (cells != "0.0"))[:1]:
            raise LabelError(
                f"{origin}, clip '{ids[row]}': '{classes[column]}' is '{cells[row, column]}', expected 0 or 1"
            )
        return cls(
            ids=tuple(ids),
            classes=tuple(classes),
            values=values.astype(np.uint8),
            sites=tuple(frame["site"].tolist()) if "site" in frame else None,
            origin=origin,
        )


def _marked(name: str) -> str:
    """What the column of a class is called beside `OWN_COLUMNS`."""
    return f"{_MARK}{name}" if _without_marks(name) in OWN_COLUMNS else name


def _unmarked(column: str) -> str:
    return column.removeprefix(_MARK) if _without_marks(column) in OWN_COLUMNS else column


def _without_marks(name: str) -> str:
    while name.startswith(_MARK):
        name = name.removeprefix(_MARK)
    return name


def in_words(classes: Sequence[str], shown: NDArray[np.uint8]) -> str:
    """The classes that a clip shows, of a row (C,) of labels."""
    return ", ".join(classes[column] for column in np.flatnonzero(shown).tolist()) or "none of the classes"


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """What a file says of clips.

    Attributes:
        labels: the labelled clips.
        sites: the site of each clip whose site the file tells, labelled or not.
        notes: what was left out of the file, a sentence each.
        adds_up: whether a clip may have several rows, so that two ids of one clip add up to one row.
        parts: the part of somebody's own split that each clip is in, such as `train` or `val`; empty without one.
    """

    labels: LabelTable
    sites: Mapping[str, str]
    notes: tuple[str, ...] = ()
    adds_up: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)

    def for_clips(self, clip_of: Mapping[str, str]) -> "Labelled":
        """The same under the ids of clips.

        Args:
            clip_of: the clip of each id that means one; others keep their ids.

        Raises:
            LabelError: two ids mean one clip, and say different things of it or may not add up.
        """
        ids = [clip_of.get(clip_id, clip_id) for clip_id in self.labels.ids]
        sites = renamed_sites(self.sites, clip_of, self.labels.origin)
        if tuple(ids) == self.labels.ids and sites == dict(self.sites):
            return self
        first: dict[str, int] = {}
        values, kept = self.labels.values.copy(), []
        for row, clip_id in enumerate(ids):
            if first.setdefault(clip_id, row) == row:
                kept.append(row)
            elif self.adds_up:
                values[first[clip_id]] |= values[row]
            else:
                raise LabelError(
                    f"{self.labels.origin}: '{self.labels.ids[first[clip_id]]}' and '{self.labels.ids[row]}' mean one "
                    f"clip, '{clip_id}'; keep one of the rows"
                )
        own = None if self.labels.sites is None else tuple(self.labels.sites[row] for row in kept)
        if own is not None:
            renamed_sites(self.labels.known_sites, clip_of, self.labels.origin)
        labels = replace(self.labels, ids=tuple(first), values=values[kept], sites=own)
        parts = {clip_of.get(clip_id, clip_id): part for clip_id, part in self.parts.items()}
        return replace(self, labels=labels, sites=sites, parts=parts)


def renamed_sites(sites: Mapping[str, str], clip_of: Mapping[str, str], origin: str) -> dict[str, str]:
    """The site of each clip, where ids of a table mean clips of another name.

    Raises:
        LabelError: two ids mean one clip and have different sites.
    """
    found: dict[str, str] = {}
    given: dict[str, str] = {}
    for clip_id, site in sites.items():
        clip = clip_of.get(clip_id, clip_id)
        if found.setdefault(clip, site) != site:
            raise LabelError(
                f"{origin}: '{given[clip]}' and '{clip_id}' mean one clip, '{clip}', but have the sites "
                f"'{found[clip]}' and '{site}'; a clip has one site"
            )
        given.setdefault(clip, clip_id)
    return found
