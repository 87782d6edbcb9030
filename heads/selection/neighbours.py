"""Clips that look like given ones: exact search, since a product with all clips takes a hundredth of a second."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ASKED_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A clip that looks like one that was asked about.

    Attributes:
        row: of the clip.
        similarity: how alike they are, -1 to 1.
        like: the row of the one it is most alike of those that were asked about.
    """

    row: int
    similarity: float
    like: int


def nearest(
    vectors: NDArray[np.float32], asked: Sequence[int], count: int, allowed: NDArray[np.bool_] | None = None
) -> list[Neighbour]:
    """The clips most alike any of some, the most alike first; neither these, nor clips without frames.

    Args:
        vectors: (N, D) of length 1; zeros for a clip without frames.
        asked: rows of the clips that are asked about.
        count: how many at most.
        allowed: (N,) which clips may be found; all if None.
    """
    rows = np.asarray(asked, np.int64)
    best, like = np.full(len(vectors), -np.inf, np.float32), np.zeros(len(vectors), np.int64)
    for start in range(0, len(rows), _ASKED_AT_ONCE):
        some = rows[start : start + _ASKED_AT_ONCE]
        alike = vectors @ vectors[some].T
        nearest_of = alike.argmax(axis=1)
        highest = alike[np.arange(len(alike)), nearest_of]
        better = highest > best
        best[better], like[better] = highest[better], some[nearest_of[better]]
    best[rows] = -np.inf
    if allowed is not None:
        best[~allowed] = -np.inf
    best[best == 0.0] = -np.inf  # of zeros alone
    some = np.argpartition(-best, min(count, len(best) - 1))[:count] if len(best) else rows[:0]
    order = some[np.lexsort((some, -best[some]))]
    return [
        Neighbour(row=row, similarity=float(best[row]), like=int(like[row]))
        for row in order.tolist()
        if np.isfinite(best[row])
    ]
