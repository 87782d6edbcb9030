"""The clips that a person can be asked about, and what is known of them so far."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heads.data.labels import BLANK
from heads.data.splitting.events import USUAL_GAP, find_events
from heads.errors import SelectionError

LIKELY_BLANK = 0.5
_ORDER_BITS = 53  # that a float holds


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The clips of a store, and what is known of each.

    Attributes:
        ids: (N) clips, each once.
        sites: (N) where each was taken, "" where that is not known.
        embedding: (N, D) float32, rows of length 1, alike for clips that look alike; zeros for one without frames.
        moves: (N,) bool, whether something moves in the clip.
        copies: (N,) int64, a number shared by clips that are copies of each other.
        times: (N,) datetime64[s] when each was taken, NaT where that is not known; None where none is known.
        gap: the longest time between two clips of one burst.
        classes: (C) that clips may show.
        labels: (N, C) uint8, 1 where a class is on the clip; zeros where `labelled` is not set.
        labelled: (N,) bool, whether it is known what the clip shows.
        reviewed: (N,) bool, whether a person said something of the clip, if only that they are not sure.
        drawn: (N,) bool, whether the clip was shown to a person because chance had chosen it.
        probabilities: (N, C) float64 of models that have not learned from the clip; None before the first run.
        thresholds: (C,) the probability from which on each class is taken to be there; one half each if None.
        known: (N, C) bool, whether the models that were asked about the clip ever saw the class; all if None.

    Example:
        >>> pool = Pool.of(["a.mp4", "b.mp4", "c.mp4"], classes=["hog"], sites=["s1", "s1", "s2"])
        >>> len(pool), pool.open.tolist(), pool.site_names
        (3, [True, True, True], ('s1', 's2'))
    """

    ids: tuple[str, ...]
    sites: tuple[str, ...]
    embedding: NDArray[np.float32]
    moves: NDArray[np.bool_]
    copies: NDArray[np.int64]
    classes: tuple[str, ...]
    labels: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    reviewed: NDArray[np.bool_]
    drawn: NDArray[np.bool_]
    times: NDArray[np.datetime64] | None = None
    gap: timedelta = USUAL_GAP
    probabilities: NDArray[np.float64] | None = None
    thresholds: NDArray[np.float64] | None = None
    known: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        n, c = len(self.ids), len(self.classes)
        shapes = {
            "sites": (n,),
            "moves": (n,),
            "copies": (n,),
            "labelled": (n,),
            "reviewed": (n,),
            "drawn": (n,),
            "times": (n,),
            "labels": (n, c),
            "probabilities": (n, c),
            "thresholds": (c,),
            "known": (n, c),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise SelectionError(f"pool: {name} is {np.shape(value)}, expected {shape} for {n} clips, {c} classes")
        if self.embedding.ndim != 2 or len(self.embedding) != n:
            raise SelectionError(f"pool: embedding is {self.embedding.shape}, expected a row for each of {n} clips")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, ids: Sequence[str], *, classes: Sequence[str] = (), sites: Sequence[str] | None = None) -> "Pool":
        """A pool of clips of which next to nothing is known; `dataclasses.replace` adds what is."""
        n, c = len(ids), len(classes)
        return cls(
            ids=tuple(ids),
            sites=("",) * n if sites is None else tuple(sites),
            embedding=np.zeros((n, 1), np.float32),
            moves=np.ones(n, bool),
            copies=np.arange(n),
            classes=tuple(classes),
            labels=np.zeros((n, c), np.uint8),
            labelled=np.zeros(n, bool),
            reviewed=np.zeros(n, bool),
            drawn=np.zeros(n, bool),
        )

    @property
    def open(self) -> NDArray[np.bool_]:
        """(N,) whether it is neither known what the clip shows, nor did a person pass over it."""
        return ~(self.labelled | self.reviewed)

    @property
    def site_names(self) -> tuple[str, ...]:
        """The sites that there are, sorted; "" is none."""
        return tuple(sorted(set(self.sites) - {""}))

    @cached_property
    def order(self) -> NDArray[np.float64]:
        """(N,) the permanent random number of each clip, 0 to 1, of its id alone.

        Clips drawn by chance are those of the smallest numbers, so that a sample goes on where it stood, whoever draws
        it, and a clip that is there already when chance comes to it belongs to the sample like any other.

        Source: permanent random numbers, K. R. W. Brewer, L. J. Early and S. F. Joyce, "Selecting several samples from
        a single population", 1972.
        """
        digests = (hashlib.blake2b(clip_id.encode(), digest_size=8).digest() for clip_id in self.ids)
        return np.array([(int.from_bytes(each, "big") >> (64 - _ORDER_BITS)) / 2**_ORDER_BITS for each in digests])

    @cached_property
    def bursts(self) -> NDArray[np.int64]:
        """(N,) a number shared by clips of one event, or copies of each other; a clip of neither has its own."""
        events = np.arange(len(self))
        if self.times is not None:
            times = dict(zip(self.ids, self.times.astype("datetime64[s]").astype(object).tolist(), strict=True))
            known = {clip_id: when for clip_id, when in times.items() if when is not None}
            sites = {clip_id: site for clip_id, site in zip(self.ids, self.sites, strict=True) if site}
            numbers: dict[str, int] = {}
            for row, event in ((self._place[each], name) for each, name in find_events(known, sites, self.gap).items()):
                events[row] = numbers.setdefault(event, row)
        return _joined(events, self.copies)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {clip_id: row for row, clip_id in enumerate(self.ids)}

    @property
    def likely_blank(self) -> NDArray[np.bool_]:
        """(N,) whether the clip is more likely blank than not: by the models if there are any, else by what moves."""
        if self.probabilities is None or BLANK not in self.classes:
            return ~self.moves
        return np.asarray(self.probabilities[:, self.classes.index(BLANK)] > LIKELY_BLANK)

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """(n,) where each of `ids` stands.

        Raises:
            SelectionError: a clip is not there.
        """
        place = self._place
        missing = [clip_id for clip_id in ids if clip_id not in place]
        if missing:
            raise SelectionError(
                f"there is no clip '{missing[0]}' among the {len(self.ids)} of the store; give ids as "
                "`store ls` has them: paths below the folder that was featurized"
            )
        return np.array([place[clip_id] for clip_id in ids], np.int64)


def _joined(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) numbers of the sets that come of two groupings when sets that share a member are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(one)
    numbers = [np.unique(each, return_inverse=True)[1] for each in (one, other)]
    rows, columns = np.tile(np.arange(n), 2), np.concatenate([n + numbers[0], 2 * n + numbers[1]])
    linked = coo_array((np.ones(2 * n, np.int8), (rows, columns)), shape=(3 * n, 3 * n))
    found: NDArray[np.int64] = connected_components(linked, directed=False)[1][:n].astype(np.int64)
    return np.unique(found, return_inverse=True)[1]
