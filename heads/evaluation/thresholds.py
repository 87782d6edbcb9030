"""Thresholds by species: from which probability on a find can be trusted, and how many are found then."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WANTED = (0.8, 0.9, 0.95)
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
        recall_interval: 95 % interval of the recall, computed the same way; None if it cannot be had.
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


def species_thresholds(
    probability: NDArray[np.float64],
    shown: NDArray[np.bool_],
    fold: NDArray[np.int64],
    group: NDArray[np.int64],
    aims: Sequence[tuple[str, float]],
    draws: NDArray[np.int64],
) -> list[Threshold]:
    """The thresholds of one species with what they cost, how sure that is, and what they give where they were not set.

    Args:
        probability: (N,) out of fold.
        shown: (N,) whether the clip shows the species.
        fold: (N,) fold of each clip.
        group: (N,) number of each clip's group, 0 to G - 1: the unit of resampling.
        aims: what to keep, and the share that is wanted, 0 to 1. `precision`: the lowest threshold, so the highest
            recall, at which the precision is at least that. `recall`: the highest threshold at which the recall is.
        draws: (R, G) how often each resample draws each group, as `group_draws` makes them.
    """
    order = np.argsort(-probability, kind="stable")
    falling, shown, fold, group = probability[order], shown[order], fold[order], group[order]
    everything = _Ranking.of_sorted(falling, shown)
    numbers = range(int(fold.max(initial=-1)) + 1)
    others = {number: _Ranking.of_sorted(falling[fold != number], shown[fold != number]) for number in np.unique(fold)}
    weight = draws.T.astype(np.float64)
    found = []
    for aim, wanted in aims:
        threshold = everything.threshold(aim, wanted)
        if threshold is None:
            found.append(Threshold(aim=aim, wanted=wanted, threshold=None))
            continue
        finds = falling >= threshold
        precision, recall = _rates(finds, shown)
        own = _resampled(finds, shown, group, weight)
        limits = {number: ranking.threshold(aim, wanted) for number, ranking in others.items()}
        of_fold = np.array([np.inf if limits.get(number) is None else limits[number] for number in numbers], float)
        honest = _rates(falling >= of_fold[fold], shown)
        found.append(
            Threshold(
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
        )
    return found


def group_draws(n_groups: int, seed: int = 0) -> NDArray[np.int64]:
    """(R, G): how often each of R resamples of G groups, with replacement, draws each of them."""
    return np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), _RESAMPLES)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ranking:
    """The probabilities that differ, falling; how many clips reach each, and how many of these show the species."""

    falling: NDArray[np.float64]
    reached: NDArray[np.int64]
    hits: NDArray[np.int64]

    @classmethod
    def of_sorted(cls, falling: NDArray[np.float64], shown: NDArray[np.bool_]) -> "_Ranking":
        last = np.flatnonzero(np.r_[falling[1:] != falling[:-1], len(falling) > 0])
        return cls(falling=falling[last], reached=last + 1, hits=np.cumsum(shown, dtype=np.int64)[last])

    def threshold(self, aim: str, wanted: float) -> float | None:
        if not len(self.hits) or not self.hits[-1]:
            return None
        if aim == "recall":
            return float(self.falling[np.searchsorted(self.hits, wanted * self.hits[-1] * (1 - 1e-12))])
        enough = np.flatnonzero((self.hits >= wanted * self.reached * (1 - 1e-12)) & (self.hits > 0))
        return float(self.falling[enough[-1]]) if len(enough) else None


def _rates(found: NDArray[np.bool_], shown: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    hits = int((found & shown).sum())
    n_found, n_shown = int(found.sum()), int(shown.sum())
    return (hits / n_found if n_found else None), (hits / n_shown if n_shown else None)


def _resampled(
    found: NDArray[np.bool_], shown: NDArray[np.bool_], group: NDArray[np.int64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(R, 2): precision and recall over groups drawn with replacement, NaN where a draw has none to count.

    `weight` is (G, R), how often each draw has each group.
    """
    counts = [np.bincount(group[each], minlength=len(weight)) for each in (found & shown, found, shown)]
    hits, n_found, n_shown = np.stack(counts).astype(np.float64) @ weight
    with np.errstate(invalid="ignore"):
        return np.stack([hits / n_found, hits / n_shown], axis=1)


def _interval(values: NDArray[np.float64]) -> Interval:
    known = values[~np.isnan(values)]
    if len(known) < _RESAMPLES / 2:
        return None
    low, high = np.percentile(known, _INTERVAL)
    return float(low), float(high)
