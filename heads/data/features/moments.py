"""Means and spreads of columns over the clips of some folds, from one pass over all clips."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.data.features.rows import Rows, Values

_CLIPS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Moments of D columns.

    Attributes:
        count: how many values were taken, or their weight.
        mean: (D,) float64.
        squares: (D,) float64, sum of squared distances from the mean.
    """

    count: float
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @property
    def spread(self) -> NDArray[np.float64]:
        """(D,) population standard deviation."""
        return np.sqrt(self.squares / max(self.count, 1.0))


def moments_by_fold(
    values: Rows,
    fold: NDArray[np.int64],
    n_folds: int,
    *,
    counts: NDArray[np.int64] | None = None,
    minus: Rows | None = None,
) -> list[Moments]:
    """The moments of the clips of each fold.

    Args:
        values: (N, D), or more rows.
        fold: (N,) 0 to K - 1.
        n_folds: K.
        counts: (N,) how often each row counts; once if not given.
        minus: (N, D), or more rows, what is taken from each; nothing if not given.
    """
    weights = np.ones(len(fold)) if counts is None else counts.astype(np.float64)
    found = [_nothing(values.shape[1]) for _ in range(n_folds)]
    for start in range(0, len(fold), _CLIPS_AT_ONCE):
        part = slice(start, min(start + _CLIPS_AT_ONCE, len(fold)))
        chunk = values[part] if minus is None else values[part] - minus[part]
        for number in np.unique(fold[part]).tolist():
            here = fold[part] == number
            found[number] = combine_moments([found[number], _moments(chunk[here], weights[part][here])])
    return found


def combine_moments(parts: Iterable[Moments]) -> Moments:
    """The moments of all parts together.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """
    kept = [part for part in parts if part.count]
    if not kept:
        return _nothing(0)
    count = sum(part.count for part in kept)
    mean = sum(part.mean * (part.count / count) for part in kept)
    squares = sum(part.squares + part.count * (part.mean - mean) ** 2 for part in kept)
    return Moments(count=count, mean=np.asarray(mean), squares=np.asarray(squares))


def _moments(values: Values, weights: NDArray[np.float64]) -> Moments:
    count = float(weights.sum())
    if not count:
        return _nothing(values.shape[1])
    mean = weights @ values / count
    return Moments(count=count, mean=mean, squares=weights @ (values - mean) ** 2)


def _nothing(dim: int) -> Moments:
    return Moments(count=0.0, mean=np.zeros(dim), squares=np.zeros(dim))
