"""Clips of the same place that were taken shortly before or after a clip, and what was said of them.

An animal that stays before a camera is on several clips, so that what models say of the others tells of this one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.data.splitting.events import place_of

BURST_S = 60.0
_HOUR_S = 3600.0
_EPOCH = datetime(1970, 1, 1)

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which clips around a clip are meant: those of some time before and after it, or the nearest ones.

    Attributes:
        within_s: how far away they may be, in seconds; None for any distance.
        count: how many on either side; None for all.
        beyond_s: those that are no further away are left out; negative to leave out none.
    """

    within_s: float | None = None
    count: int | None = None
    beyond_s: float = -1.0

    def to_json(self) -> dict[str, Any]:
        """The window as JSON values."""
        return asdict(self)


_SPANS = (
    *(Window(within_s=seconds) for seconds in (BURST_S, 10 * 60.0, _HOUR_S, 24 * _HOUR_S)),
    *(Window(count=count) for count in (1, 3, 10)),
)
WINDOWS = _SPANS
# The same without bursts: clips that follow at once show the same animal in the same pose.
WINDOWS_APART = tuple(
    Window(within_s=each.within_s, count=each.count, beyond_s=BURST_S) for each in _SPANS if each.within_s != BURST_S
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Nearby:
    """Where clips stand among those of their place.

    Attributes:
        group: (N,) clips of one group are each other's neighbours: of one place, and asked of the same models.
        at: (N,) seconds on one clock, or, where `timed` is false, places in the order of their names; NaN where a
            clip's time is not known.
        copy: (N,) clips with the same number are copies of each other, and no neighbours.
        timed: whether `at` are times.
    """

    group: Rows
    at: NDArray[np.float64]
    copy: Rows
    timed: bool

    def means(self, values: NDArray[np.float64], windows: Sequence[Window]) -> NDArray[np.float64]:
        """(W, N, C) the mean of (N, C) values over each clip's neighbours in each window; NaN where there is none."""
        found = np.full((len(windows), *values.shape), np.nan)
        placed = np.flatnonzero(~np.isnan(self.at))
        order = placed[np.lexsort((placed, self.at[placed], self.group[placed]))]
        edges = [0, *(np.flatnonzero(np.diff(self.group[order])) + 1).tolist(), len(order)]
        for start, end in pairwise(edges):
            rows = order[start:end]
            if len(rows) > 1:
                found[:, rows] = self._means_of_group(values[rows], rows, windows)
        return found

    def _means_of_group(
        self, values: NDArray[np.float64], rows: Rows, windows: Sequence[Window]
    ) -> NDArray[np.float64]:
        """(W, n, C) of the clips `rows` of one group, in the order of time."""
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
        copies = _copies(self.copy[rows])
        means = np.full((len(windows), *values.shape), np.nan)
        for mean, window in zip(means, windows, strict=True):
            if not self.timed and (window.within_s is not None or window.beyond_s >= 0):
                continue
            spans = _spans(self.at[rows], window)
            (low, own), (behind, high) = spans
            total = sums[own] - sums[low] + sums[high] - sums[behind]
            count = own - low + high - behind
            for row, others in copies.items():
                for other in others:
                    if any(start[row] <= other < end[row] for start, end in spans):
                        total[row] -= values[other]
                        count[row] -= 1
            some = count > 0
            mean[some] = total[some] / count[some, None]
        return means


def _spans(at: NDArray[np.float64], window: Window) -> list[tuple[Rows, Rows]]:
    """The clips before and those behind each clip that a window means, each from a row up to another."""
    own = np.arange(len(at))
    low, high = own, own + 1  # what is left out around the clip, itself above all
    if window.beyond_s >= 0:
        low = np.searchsorted(at, at - window.beyond_s, "left")
        high = np.searchsorted(at, at + window.beyond_s, "right")
    reach = math.inf if window.within_s is None else window.within_s
    first = np.searchsorted(at, at - reach, "left")
    last = np.searchsorted(at, at + reach, "right")
    if window.count is not None:
        first, last = np.maximum(first, low - window.count), np.minimum(last, high + window.count)
    return [(np.minimum(first, low), low), (high, np.maximum(last, high))]


def _copies(marks: Rows) -> dict[int, list[int]]:
    """For each row whose mark others have too: the others."""
    rows_of: dict[int, list[int]] = {}
    for row, mark in enumerate(marks.tolist()):
        rows_of.setdefault(mark, []).append(row)
    several = [rows for rows in rows_of.values() if len(rows) > 1]
    return {row: [other for other in rows if other != row] for rows in several for row in rows}


def nearby(
    ids: Sequence[str],
    *,
    sites: Mapping[str, str],
    clock: Mapping[str, datetime],
    side: Callable[[str], int],
    marks: Mapping[str, str],
) -> Nearby:
    """Where clips stand among those of their place; by the names of their files where no time at all is known.

    Args:
        ids: (N) the clips.
        sites: the place of each clip; the folder of a clip that has none stands for it.
        clock: when each was taken, all on one clock.
        side: tells which models are asked about a clip; what is said of those of another side does not count.
        marks: the fingerprint of each clip's file, as far as known.
    """
    timed = any(clip_id in clock for clip_id in ids)
    if timed:
        times = [(clock[name] - _EPOCH).total_seconds() if name in clock else np.nan for name in ids]
    else:
        ranks = {name: rank for rank, name in enumerate(sorted(ids))}
        times = [float(ranks[name]) for name in ids]
    return Nearby(
        group=_numbered([(place_of(name, sites), side(name)) for name in ids]),
        at=np.array(times, np.float64),
        copy=_numbered([marks.get(name) or name for name in ids]),
        timed=timed,
    )


def _numbered(names: Sequence[Any]) -> Rows:
    """(N,) one number for each different name."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
