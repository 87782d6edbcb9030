"""Probabilities from the scores of a discriminant: temperature, a bias for each class, and how they compete."""

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

from heads.data.class_balance import initial_competition
from heads.models.kinds.discriminant import Matrix

# A few dozen numbers are found: more clips would not tell them better.
_MOST_CLIPS = 20_000
_INVERSE = 3.0
_SMALLEST_SHARE = 1e-3
_UNKNOWN = -7.0
_LEAST_STRENGTH, _MOST_STRENGTH = 0.02, 0.98
# Scores that tell the classes of a few clips apart without fault would be multiplied by ever more.
_MOST_LOG_INVERSE = 7.0
_SMALLEST_ODDS = 1e-100
# Numbers that are found for all classes together, before those of each class.
_SHARED = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How scores become probabilities.

    Attributes:
        inverse_temperature: what scores are multiplied by.
        bias: (C,) what is added then.
        strength: of `Competing`, the same for all classes.
        loss: mean log loss on the clips that it was fitted to.
        belief: what is beside the scores is multiplied by.
    """

    inverse_temperature: float
    bias: Matrix
    strength: float
    loss: float
    belief: float = 1.0

    def bias_of(self, known: NDArray[np.bool_]) -> Matrix:
        """(C,) the bias, and for classes that the scores know nothing of one that makes them improbable."""
        return np.where(known, self.bias, _UNKNOWN)


def clips_to_fit(count: int) -> NDArray[np.int64]:
    """Which of so many clips are worth scoring for a calibration, rising: all, or some that chance draws."""
    if count <= _MOST_CLIPS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _MOST_CLIPS, replace=False))


def fit_calibration(
    scores: Matrix,
    known: NDArray[np.bool_],
    targets: NDArray[np.float32],
    weights: Matrix | None = None,
    beside: Matrix | float = 0.0,
) -> Calibration:
    """The calibration that gives clips with these scores the least log loss.

    The bias is drawn towards a multiple of the logarithm of each class's share, as strongly as a clip would.

    Args:
        scores: (N, C) of clips that what made the scores has not seen.
        known: (N, C) whether it had seen the class at all.
        targets: (N, C) 0 or 1.
        weights: (N,) how many clips each stands for, where some kinds were chosen more often than others; one each if
            None.
        beside: (N, C) what else speaks for each class, which is added, times a number that is drawn towards 1, before
            classes compete.
    """
    weights = np.ones(len(scores)) if weights is None else weights * (len(weights) / weights.sum())
    n_classes = targets.shape[1]
    spread, log_share, weight_of = _spread(scores), _log_share(targets, weights), weights[:, None]
    given, count = scores / spread, targets.size

    def objective(numbers: Matrix) -> tuple[float, Matrix]:
        (inverse, inverse_slope), (_, shift, weight, logit, belief) = _inverse(numbers[0]), numbers[:_SHARED]
        strength = scipy.special.expit(logit)
        own = given * inverse + shift + weight * log_share + numbers[_SHARED:]
        moved = np.where(known, own, _UNKNOWN) + belief * beside
        against, odds, others = _against(moved)
        logits = moved - strength * against
        losses = _log_losses(logits, targets)
        slope = np.where(known, weight_of * (scipy.special.expit(logits) - targets), 0.0) / count
        share = slope / others
        anyway = slope - strength * odds * (share.sum(axis=1, keepdims=True) - share)
        along = np.where(known, anyway, 0.0)
        by_class = along.sum(axis=0)
        gradient = np.concatenate(
            [
                [np.sum(along * given) * inverse_slope, by_class.sum(), by_class @ log_share],
                [-np.sum(slope * against) * strength * (1 - strength)],
                [np.sum(anyway * beside) + 2 * (belief - 1) / count],
                by_class + 2 * numbers[_SHARED:] / count,
            ]
        )
        drawn = np.sum(numbers[_SHARED:] ** 2) + (belief - 1) ** 2
        return float((weight_of * losses)[known].sum() + drawn) / count, gradient

    strength = float(np.clip(initial_competition(targets), _LEAST_STRENGTH, _MOST_STRENGTH))
    start = np.concatenate([[np.log(_INVERSE), 0.0, 1.0, np.log(strength / (1 - strength)), 1.0], np.zeros(n_classes)])
    fitted = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B")
    _, shift, weight, logit, belief = fitted.x[:_SHARED]
    return Calibration(
        inverse_temperature=_inverse(fitted.x[0])[0] / spread,
        bias=shift + weight * log_share + fitted.x[_SHARED:],
        strength=float(scipy.special.expit(logit)),
        loss=float(fitted.fun),
        belief=float(belief),
    )


def default_calibration(scores: Matrix, targets: NDArray[np.float32], beside: Matrix | float = 0.0) -> Calibration:
    """Calibration where there are no clips to fit them to but those that made the scores (N, C)."""
    inverse, bias, strength = _INVERSE / _spread(scores), _log_share(targets), initial_competition(targets)
    moved = scores * inverse + bias + beside
    loss = float(_log_losses(moved - strength * _against(moved)[0], targets).mean())
    return Calibration(inverse_temperature=inverse, bias=bias, strength=strength, loss=loss)


def _inverse(logarithm: float) -> tuple[float, float]:
    """What scores are multiplied by, which has a limit, and its slope along its logarithm, none beyond the limit."""
    inverse = float(np.exp(min(logarithm, _MOST_LOG_INVERSE)))
    return inverse, inverse if logarithm < _MOST_LOG_INVERSE else 0.0


def _spread(scores: Matrix) -> float:
    return max(float(scores.std()), 1e-6)


def _log_share(targets: NDArray[np.float32], weights: Matrix | None = None) -> Matrix:
    """(C,) the logarithm of the share of each class among the clips."""
    shares = np.average(targets.astype(np.float64), axis=0, weights=weights)
    return np.asarray(np.log(np.maximum(shares, _SMALLEST_SHARE)))


def _log_losses(logits: Matrix, targets: NDArray[np.float32]) -> Matrix:
    """(N, C) the log loss of each class of each clip."""
    return np.asarray(np.logaddexp(0.0, logits) - targets * logits)


def _against(scores: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """What speaks against each class (N, C), as `Competing` has it: the logarithm of the summed odds of the others.

    Then the odds of each class and the summed odds of the others, both divided by the same number for each clip.
    """
    top = np.maximum(scores.max(axis=1, keepdims=True), 0.0)
    odds, nothing = np.exp(scores - top), np.exp(-top)
    others = np.maximum(odds.sum(axis=1, keepdims=True) - odds + nothing, _SMALLEST_ODDS)
    return np.log(others) + top, odds, others
