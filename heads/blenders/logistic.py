"""Logistic stacking that starts from the mean of logits and departs from it only as far as the data insist.

For each class, logit = offset + sum over models of (1 / M + d_m) * logit_m. The offset and the departures d_m are
fitted by penalised maximum likelihood; the strength of the penalty, one for all classes, is chosen by cross-validation
over the folds at hand, and an infinite strength (the mean of logits itself) is always among the candidates.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blenders.logits import losses_of_logits, mean_over_models, to_logits, to_probabilities
from heads.blenders.protocol import Stack

_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
_NEWTON_STEPS = 12
_MOST_CLIPS_FOR_CHOICE = 6000
_SMALL_STEP = 1e-5


class Logistic:
    """Penalised logistic stacking, a model for each class."""

    name = "logistic"
    complexity = 4

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Choose the strength, then fit: `departures` is (C, 1 + M), the offset first; `strength` None is infinite."""
        logits = to_logits(stack)
        strength = choose_strength(logits, labels, fold)
        if strength is None:
            return {"strength": None, "departures": np.zeros((labels.shape[1], 1 + len(stack))).tolist()}
        return {"strength": strength, "departures": fit_departures(logits, labels, strength).tolist()}

    def combine(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The stacked probabilities."""
        logits = to_logits(stack)
        return to_probabilities(_stacked(logits, np.array(parameters["departures"], np.float64)))


def choose_strength(logits: NDArray[np.float64], labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> float | None:
    """The strength with the lowest cross-validated loss; None for infinite."""
    every = max(1, -(-len(labels) // _MOST_CLIPS_FOR_CHOICE))
    logits, labels, fold = logits[:, ::every], labels[::every], fold[::every]
    candidates: dict[float | None, float] = dict.fromkeys((None, *_STRENGTHS), 0.0)
    folds = np.unique(fold)
    if len(folds) < 2:
        return None
    for number in folds:
        scored = fold == number
        for strength in candidates:
            departures = (
                np.zeros((labels.shape[1], 1 + len(logits)))
                if strength is None
                else fit_departures(logits[:, ~scored], labels[~scored], strength)
            )
            losses = losses_of_logits(_stacked(logits[:, scored], departures), labels[scored])
            candidates[strength] += float(losses.mean() * scored.sum())
    return min(candidates, key=lambda strength: candidates[strength])


def _stacked(logits: NDArray[np.float64], departures: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = np.einsum("cm,mnc->nc", departures[:, 1:], np.nan_to_num(logits), optimize=True)
    stacked: NDArray[np.float64] = mean_over_models(logits) + departures[:, 0] + moved
    return stacked


def fit_departures(logits: NDArray[np.float64], labels: NDArray[np.uint8], strength: float) -> NDArray[np.float64]:
    """The offset and the departures from even weights of each class, (C, 1 + M), at a strength of the penalty."""
    base = mean_over_models(logits)
    departures = np.zeros((labels.shape[1], 1 + len(logits)))
    for column in range(labels.shape[1]):
        known = ~np.isnan(logits[:, 0, column])
        inputs = np.column_stack([np.ones(len(labels)), logits[known, :, column].T])
        fitted = newton(inputs, base[:, column], labels[:, column].astype(np.float64), strength)
        departures[column, np.r_[True, known]] = fitted
    return departures


def newton(
    inputs: NDArray[np.float64], base: NDArray[np.float64], labels: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    """Minimise the summed log loss of base + inputs @ d, plus strength / 2 * |d| squared, from d = 0."""
    fitted = np.zeros(inputs.shape[1])
    loss = _penalised(inputs, base, labels, strength, fitted)
    for _ in range(_NEWTON_STEPS):
        probability = to_probabilities(base + inputs @ fitted)
        gradient = inputs.T @ (probability - labels) + strength * fitted
        curvature = (inputs * (probability * (1 - probability))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + strength * np.eye(len(fitted)), gradient)
        size = 1.0
        while (after := _penalised(inputs, base, labels, strength, fitted - size * step)) > loss and size > _SMALL_STEP:
            size /= 2
        if after >= loss:
            break
        fitted, loss = fitted - size * step, after
        if np.abs(size * step).max() < _SMALL_STEP:
            break
    return fitted


def _penalised(
    inputs: NDArray[np.float64],
    base: NDArray[np.float64],
    labels: NDArray[np.float64],
    strength: float,
    departures: NDArray[np.float64],
) -> float:
    logits = base + inputs @ departures
    return float(losses_of_logits(logits, labels) * len(labels) + strength / 2 * departures @ departures)
