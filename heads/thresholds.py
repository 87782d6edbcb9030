"""Thresholds by species: from which probability on a find can be trusted, and how many are found then."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WANTED_PRECISION = 0.9
WANTED_RECALL = 0.9
_RESAMPLES = 200
_INTERVAL = (2.5, 97.5)

Interval = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold for one species.

    Attributes:
        aim: `precision` or `recall`.
        wanted: the share that was aimed at, 0 to 1.
        threshold: clips whose probability is at least this are finds; None if no threshold reaches what is wanted.
        precision: share of finds that show the species, at that threshold.
        recall: share of the clips with the species that are found.
        precision_interval: 95 % interval, groups drawn with replacement; None if it cannot be had.
        recall_interval: likewise.
        honest_precision: precision if each fold's threshold is set on the other folds; None if nothing is found then.
        honest_recall: recall then; None if no clip shows the species.
    """

    aim: str
    wanted: float
    threshold: float | None
    precision: float | None = None
    recall: float | None = None
    precision_interval: Interval = None
    recall_interval: Interval = None
    honest_precision: float | None = None
    honest_recall: float | None = None


def find_threshold(probability: NDArray[np.float64], shown: NDArray[np.bool_], aim: str, wanted: float) -> float | None:
    """The threshold that keeps what is wanted and gives most of the other.

    Args:
        probability: (N,) of the species.
        shown: (N,) whether the clip shows it.
        aim: `precision`: the lowest threshold, so the highest recall, at which the precision is at least `wanted`.
            `recall`: the highest threshold at which the recall is at least `wanted`.
        wanted: 0 to 1.

    Returns:
        The threshold, or None if there is none (no clip shows the species, or the precision is never reached).
    """
    if not shown.any():
        return None
    order = np.argsort(-probability, kind="stable")
    falling = probability[order]
    last = np.flatnonzero(np.r_[falling[1:] != falling[:-1], True])
    hits = np.cumsum(shown[order])[last]
    if aim == "recall":
        return float(falling[last[np.searchsorted(hits, wanted * hits[-1] * (1 - 1e-12))]])
    reached = np.flatnonzero((hits >= wanted * (last + 1) * (1 - 1e-12)) & (hits > 0))
    return float(falling[last[reached[-1]]]) if len(reached) else None


def species_threshold(
    probability: NDArray[np.float64],
    shown: NDArray[np.bool_],
    fold: NDArray[np.int64],
    group: NDArray[np.int64],
    aim: str,
    wanted: float,
    seed: int = 0,
) -> Threshold:
    """The threshold of one species with what it costs, how sure that is, and what it gives where it was not set.

    Args:
        probability: (N,) out of fold.
        shown: (N,) whether the clip shows the species.
        fold: (N,) fold of each clip.
        group: (N,) number of each clip's group, 0 to G - 1: the unit of resampling.
        aim: `precision` or `recall`.
        wanted: 0 to 1.
        seed: of the resampling.
    """
    threshold = find_threshold(probability, shown, aim, wanted)
    if threshold is None:
        return Threshold(aim=aim, wanted=wanted, threshold=None)
    found = probability >= threshold
    precision, recall = _rates(found, shown)
    own = _resampled(found, shown, group, seed)
    honest = _rates(_found_by_others(probability, shown, fold, aim, wanted), shown)
    return Threshold(
        aim=aim,
        wanted=wanted,
        threshold=threshold,
        precision=precision,
        recall=recall,
        precision_interval=_interval(own[:, 0]),
        recall_interval=_interval(own[:, 1]),
        honest_precision=honest[0],
        honest_recall=honest[1],
    )


def _rates(found: NDArray[np.bool_], shown: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    hits = int((found & shown).sum())
    n_found, n_shown = int(found.sum()), int(shown.sum())
    return (hits / n_found if n_found else None), (hits / n_shown if n_shown else None)


def _found_by_others(
    probability: NDArray[np.float64], shown: NDArray[np.bool_], fold: NDArray[np.int64], aim: str, wanted: float
) -> NDArray[np.bool_]:
    """The finds of each fold at the threshold that the other folds set."""
    found = np.zeros(len(probability), bool)
    for number in np.unique(fold):
        scored = fold == number
        threshold = find_threshold(probability[~scored], shown[~scored], aim, wanted)
        if threshold is not None:
            found[scored] = probability[scored] >= threshold
    return found


def _resampled(
    found: NDArray[np.bool_], shown: NDArray[np.bool_], group: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """(R, 2): precision and recall over groups drawn with replacement, NaN where a draw has none to count."""
    n_groups = int(group.max()) + 1
    counts = np.stack([np.bincount(group, weights=each, minlength=n_groups) for each in (found & shown, found, shown)])
    draws = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), _RESAMPLES)
    hits, n_found, n_shown = counts @ draws.T
    with np.errstate(invalid="ignore"):
        return np.stack([hits / n_found, hits / n_shown], axis=1)


def _interval(values: NDArray[np.float64]) -> Interval:
    known = values[~np.isnan(values)]
    if len(known) < _RESAMPLES / 2:
        return None
    low, high = np.percentile(known, _INTERVAL)
    return float(low), float(high)
