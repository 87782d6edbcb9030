"""The index of a key: its parts' row columns in memory, and which row of each clip counts."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from store.access.rows import part_and_row, valid_rows
from store.errors import StoreReadError
from store.format.columns import STATUS_CODES, STATUSES
from store.format.feature_part import FeaturePart
from store.format.part_names import list_parts
from store.records import Status

Part = TypeVar("Part")
Number = TypeVar("Number", np.int64, np.uint8)

_LISTINGS = 100
FAILED_CODE = STATUS_CODES[Status.FAILED]


class PartCache(Generic[Part]):
    """The parts of one folder as they are now; what was read once is kept, since a part never changes."""

    def __init__(self, folder: Path, load: Callable[[Path], Part]) -> None:
        self._folder = folder
        self._load = load
        self._loaded: dict[str, Part] = {}

    def parts(self) -> list[Part]:
        """All parts that were there when this was called, and maybe newer ones, oldest first.

        The folder is listed twice, until nothing vanished between: one listing may miss both a merged part (made behind
        its back) and the parts that went into it (removed before it came to them). Parts that others add meanwhile
        do no harm, however fast they come.

        Raises:
            StoreReadError: they keep being merged, or cannot be read.
        """
        names = list_parts(self._folder)
        for _ in range(_LISTINGS):
            again = list_parts(self._folder)
            if set(names) <= set(again):
                found = {name: self._loaded.get(name) or self._try(name) for name in again}
                self._loaded = {name: part for name, part in found.items() if part is not None}
                if len(self._loaded) == len(again):
                    return list(self._loaded.values())
            names = again
        raise StoreReadError(f"{self._folder}: parts vanished {_LISTINGS} times while they were read; try again")

    def _try(self, name: str) -> Part | None:
        try:
            return self._load(self._folder / name)
        except FileNotFoundError:
            return None


@dataclass(frozen=True, kw_only=True)
class FeatureIndex:
    """Where the features of each clip are; N clips, sorted by id.

    Attributes:
        parts: the parts, oldest first.
        ids: (N) clip ids.
        fingerprints: (N) content fingerprints.
        codes: (N,) uint8 status codes.
        reasons: (N) reasons.
        part_of: (N,) int64 index into `parts`.
        row_of: (N,) int64 row within that part.
        starts: (N,) int64 first frame within that part.
        lengths: (N,) int64 number of frames.
    """

    parts: list[FeaturePart]
    ids: list[str]
    fingerprints: list[str]
    codes: NDArray[np.uint8]
    reasons: list[str]
    part_of: NDArray[np.int64]
    row_of: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def statuses(self) -> list[Status]:
        """(N) statuses."""
        return [STATUSES[code] for code in self.codes.tolist()]


def build_index(parts: list[FeaturePart]) -> FeatureIndex:
    """The index over `parts` (oldest first)."""
    ids, flat = valid_rows(((part.clip_ids, part.fingerprints, part.statuses) for part in parts), FAILED_CODE)
    part_of, row_of = part_and_row(flat, [len(part.clip_ids) for part in parts])
    starts = _joined([part.offsets[:-1] for part in parts], np.int64)[flat]
    stops = _joined([part.offsets[1:] for part in parts], np.int64)[flat]
    return FeatureIndex(
        parts=parts,
        ids=ids,
        fingerprints=_picked([part.fingerprints for part in parts], flat),
        codes=_joined([part.statuses for part in parts], np.uint8)[flat],
        reasons=_picked([part.reasons for part in parts], flat),
        part_of=part_of,
        row_of=row_of,
        starts=starts,
        lengths=stops - starts,
    )


def _picked(columns: list[list[str]], flat: NDArray[np.int64]) -> list[str]:
    """Those of the texts of all parts, one part after the other, that stand at `flat`."""
    everything = list(chain.from_iterable(columns))
    if np.array_equal(flat, np.arange(len(everything))):
        return everything
    return [everything[place] for place in flat.tolist()]


def _joined(arrays: list[NDArray[Number]], dtype: type[Number]) -> NDArray[Number]:
    """The arrays one after the other; an empty one if there are none."""
    return np.concatenate([np.empty(0, dtype), *arrays], dtype=dtype)
