"""How much what a backbone itself takes clips for speaks for the classes of those names, by the clips learned from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

from heads.data.features.animals import ANIMALS_INPUT
from heads.data.features.batches import in_turn
from heads.models.layers import LEAST_CHANCE
from heads.trainers.task import HeadTask

_CLIPS_AT_ONCE = 1024
# A network that is right about how sure it is would be believed as it says. Few clips do not tell another slope.
_USUAL_SLOPE, _SLOPE_SPREAD = 1.0, 0.5
_SMALLEST_SHARE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What speaks for the classes by their names, as a member has learned to weigh it.

    Attributes:
        meaning: (K, C) which animals each class means, 0 or 1.
        usual: (C,) the usual value of each class.
        slope: what the distance from it is multiplied by.
        values: (N, C) of the labelled clips, as the member's layer will have them.
    """

    meaning: NDArray[np.float32]
    usual: NDArray[np.float64]
    slope: float
    values: NDArray[np.float64]

    def give(self, layer: Any, belief: float = 1.0) -> None:
        """Set a member's layer, to so many times the evidence."""
        layer.set_evidence(self.meaning, self.usual, belief * self.slope)


class NamedEvidence:
    """What the backbone of a task's head takes the labelled clips for, by class."""

    def __init__(self, task: HeadTask) -> None:
        animals = task.examples.statistics[ANIMALS_INPUT]
        self._targets = task.targets
        self._weights = np.ones(len(task.fold)) if task.weights is None else task.weights
        self._meaning = np.zeros((animals.shape[1], len(task.meant)), np.float32)
        for column, numbers in enumerate(task.meant):
            self._meaning[list(numbers), column] = 1
        self._found = np.concatenate(
            [
                np.log(np.exp(animals[some].astype(np.float64)) @ self._meaning + LEAST_CHANCE)
                for some in in_turn(len(task.fold), _CLIPS_AT_ONCE)
            ]
        )

    def learn(self, seen: NDArray[np.bool_]) -> Evidence:
        """What a member makes of it that learns from the clips `seen` (N,)."""
        usual, known = self._found[seen].mean(axis=0), self._meaning.any(axis=0)
        away = np.where(known, self._found - usual, 0.0)
        slope = _slope(away[seen][:, known], self._targets[seen][:, known], self._weights[seen])
        return Evidence(meaning=self._meaning, usual=usual, slope=slope, values=slope * away)


def _slope(evidence: NDArray[np.float64], targets: NDArray[np.float32], weights: NDArray[np.float64]) -> float:
    """What evidence (N, C) is multiplied by, beside how frequent each class is, for the targets to be likeliest."""
    weights = weights / weights.mean()
    share = np.average(targets, axis=0, weights=weights).clip(_SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
    prior = scipy.special.logit(share)

    def objective(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, shift = numbers
        logits = slope * evidence + prior + shift
        away = (slope - _USUAL_SLOPE) / _SLOPE_SPREAD
        wrong = weights[:, None] * (scipy.special.expit(logits) - targets)
        losses = weights[:, None] * (np.logaddexp(0.0, logits) - targets * logits)
        gradient = np.array([np.sum(wrong * evidence) + away / _SLOPE_SPREAD, wrong.sum()])
        return float(losses.sum() + away**2 / 2), gradient

    found = scipy.optimize.minimize(
        objective, np.array([_USUAL_SLOPE, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    return float(found.x[0])
