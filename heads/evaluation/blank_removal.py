"""How many blank clips can be dropped unseen, for how many clips with animals lost on the way."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.evaluation.standard_errors import group_numbers

ACCEPTED_LOSSES = (0.01, 0.05, 0.10)
_RESAMPLES = 400
_INTERVAL = (2.5, 97.5)
_CHANCE = 0.05  # of a bound that does not hold


@dataclass(frozen=True, kw_only=True, eq=False)
class RemovalCurve:
    """What happens as the threshold on the probability of `blank` falls.

    Attributes:
        threshold: (S,) falling; clips at or above it are dropped. The first is infinite: nothing is dropped.
        animals_lost: (S,) share of the clips with an animal that is dropped, rising from 0.
        blanks_dropped: (S,) share of the blank clips that is dropped, rising from 0.
    """

    threshold: NDArray[np.float64]
    animals_lost: NDArray[np.float64]
    blanks_dropped: NDArray[np.float64]

    def at(self, accepted: float) -> tuple[float, float]:
        """The threshold that drops most blanks while losing at most `accepted` of the animals, and that share."""
        place = int(np.searchsorted(self.animals_lost, accepted * (1 + 1e-12), side="right")) - 1
        return float(self.threshold[place]), float(self.blanks_dropped[place])


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Blank removal at one accepted loss of animal clips; every share is 0 to 1.

    Attributes:
        accepted: share of animal clips that may be lost.
        threshold: clips whose probability of `blank` is at least this are dropped.
        dropped: share of blank clips dropped at that threshold.
        low: lower end of the 95 % interval of `dropped`, from resampling groups.
        high: upper end of it.
        honest_lost: share of animal clips lost if each fold's threshold is set on the other folds.
        honest_dropped: share of blank clips dropped then.
    """

    accepted: float
    threshold: float
    dropped: float
    low: float
    high: float
    honest_lost: float
    honest_dropped: float


def removal_curve(
    blank: NDArray[np.float64], is_blank: NDArray[np.bool_], weight: NDArray[np.float64] | None = None
) -> RemovalCurve:
    """The curve over all thresholds.

    Args:
        blank: (N,) probability of `blank`.
        is_blank: (N,) whether the clip is labelled blank; there are clips of both kinds.
        weight: (N,) how often each clip counts; once if not given.
    """
    order = np.argsort(-blank, kind="stable")
    weights = np.ones(len(blank)) if weight is None else weight[order]
    return _curve_of_falling(blank[order], is_blank[order], weights)


def blank_removal(
    blank: NDArray[np.float64],
    is_blank: NDArray[np.bool_],
    fold: NDArray[np.int64],
    groups: ArrayLike,
    *,
    accepted: Sequence[float] = ACCEPTED_LOSSES,
    seed: int = 0,
) -> list[Removal]:
    """How many blanks can be dropped at each accepted loss of animal clips.

    Args:
        blank: (N,) out-of-fold probability of `blank`.
        is_blank: (N,) whether the clip is labelled blank; there are clips of both kinds.
        fold: (N,) fold of each clip.
        groups: (N) group of each clip, the unit of resampling.
        accepted: shares of animal clips that may be lost.
        seed: of the resampling.
    """
    curve = removal_curve(blank, is_blank)
    resampled = [
        [again.at(share)[1] for share in accepted] for again in _resampled_curves(blank, is_blank, groups, seed)
    ]
    low, high = np.percentile(np.array(resampled), _INTERVAL, axis=0)
    removals = []
    for place, share in enumerate(accepted):
        threshold, dropped = curve.at(share)
        honest_lost, honest_dropped = _honest(blank, is_blank, fold, share)
        removals.append(
            Removal(
                accepted=share,
                threshold=threshold,
                dropped=dropped,
                low=float(low[place]),
                high=float(high[place]),
                honest_lost=honest_lost,
                honest_dropped=honest_dropped,
            )
        )
    return removals


def fewest_animals(accepted: float) -> int:
    """How many clips with an animal it takes to measure a loss of this share: as many as make it one clip."""
    return math.ceil(1 / accepted - 1e-9)


def none_lost_allows(animals: int) -> float:
    """The true share of animal clips that may yet be lost where none of so many was: the 95 % bound, from 0 to 1."""
    return 1.0 - float(_CHANCE ** (1 / animals))


def _honest(
    blank: NDArray[np.float64], is_blank: NDArray[np.bool_], fold: NDArray[np.int64], accepted: float
) -> tuple[float, float]:
    """Shares of animals lost and blanks dropped when each fold's threshold comes from the other folds."""
    drop = np.zeros(len(blank), bool)
    for number in np.unique(fold):
        scored = fold == number
        threshold, _ = removal_curve(blank[~scored], is_blank[~scored]).at(accepted)
        drop[scored] = blank[scored] >= threshold
    return float(drop[~is_blank].mean()), float(drop[is_blank].mean())


def _curve_of_falling(
    falling: NDArray[np.float64], blanks: NDArray[np.bool_], weights: NDArray[np.float64]
) -> RemovalCurve:
    """The curve of clips in the order of their probabilities, the highest first."""
    last = np.flatnonzero(np.r_[falling[1:] != falling[:-1], True])
    dropped = np.cumsum(weights * blanks)[last]
    lost = np.cumsum(weights * ~blanks)[last]
    return RemovalCurve(
        threshold=np.r_[np.inf, falling[last]],
        animals_lost=np.r_[0.0, lost / max(lost[-1], 1e-12)],
        blanks_dropped=np.r_[0.0, dropped / max(dropped[-1], 1e-12)],
    )


def _resampled_curves(
    blank: NDArray[np.float64], is_blank: NDArray[np.bool_], groups: ArrayLike, seed: int
) -> Iterator[RemovalCurve]:
    """The curve over groups drawn with replacement; draws without clips of both kinds are drawn again."""
    unit = group_numbers(groups)
    order = np.argsort(-blank, kind="stable")  # once for all curves
    blank, is_blank, unit = blank[order], is_blank[order], unit[order]
    n_groups, rng = int(unit.max()) + 1, np.random.default_rng(seed)
    made = 0
    while made < _RESAMPLES:
        weight = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups).astype(np.float64)[unit]
        if weight[is_blank].any() and weight[~is_blank].any():
            made += 1
            yield _curve_of_falling(blank, is_blank, weight)
