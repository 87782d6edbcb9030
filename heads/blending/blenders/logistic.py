"""Logistic stacking that starts from the mean of logits and departs from it only as far as the data insist.

For each class, logit = offset + sum over models of (1 / M + d_m) * logit_m. The offset and the departures d_m are
fitted by penalised maximum likelihood; the strength of the penalty, one for all classes, is chosen by cross-validation
over the folds at hand, and an infinite strength (the mean of logits itself) is always among the candidates.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import losses_of_logits, of_clips, to_probabilities, weighted_sum
from heads.blending.blenders.of_logits import OfLogits
from heads.blending.blenders.protocol import Stack

_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
_NEWTON_STEPS = 12
_MOST_CLIPS_FOR_CHOICE = 6000
_CLIPS_TO_START = 10_000
_SMALL_STEP = 1e-5
_BLOCK = 8192


class LogisticStacking(OfLogits):
    """Penalised logistic stacking, a model for each class."""

    name = "logistic"
    about = "logistic regression of the models' log odds"
    complexity = 4
    is_calibrated = True

    def fit_logits(
        self, logits: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """Choose the strength, then fit: `departures` is (C, 1 + M), the offset first; `strength` None is infinite."""
        strength = choose_strength(logits, labels, fold, weights)
        if strength is None:
            return {"strength": None, "departures": np.zeros((labels.shape[1], 1 + len(logits))).tolist()}
        return {"strength": strength, "departures": fit_departures(logits, labels, strength, weights=weights).tolist()}

    def predict_logits(self, logits: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The stacked probabilities."""
        return to_probabilities(_stacked(logits, np.array(parameters["departures"], np.float64)))


def choose_strength(
    logits: NDArray[np.float64],
    labels: NDArray[np.uint8],
    fold: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> float | None:
    """The strength with the lowest cross-validated loss; None for infinite."""
    every = max(1, -(-len(labels) // _MOST_CLIPS_FOR_CHOICE))
    few = np.arange(len(labels)) % every == 0
    logits, labels, fold = of_clips(logits, few), labels[few], fold[few]
    weights = None if weights is None else weights[few]
    candidates: dict[float | None, float] = dict.fromkeys((None, *reversed(_STRENGTHS)), 0.0)
    folds = np.unique(fold)
    if len(folds) < 2:
        return None
    for number in folds:
        scored = fold == number
        departures = np.zeros((labels.shape[1], 1 + len(logits)))
        for strength in candidates:
            if strength is not None:  # a little weaker than the one before, whose answer is nearly right
                departures = fit_departures(
                    of_clips(logits, ~scored),
                    labels[~scored],
                    strength,
                    departures,
                    weights=None if weights is None else weights[~scored],
                )
            own = None if weights is None else weights[scored]
            losses = losses_of_logits(_stacked(of_clips(logits, scored), departures), labels[scored], own)
            candidates[strength] += float(losses.mean() * scored.sum())
    return min(candidates, key=lambda strength: candidates[strength])


def _stacked(logits: NDArray[np.float64], departures: NDArray[np.float64]) -> NDArray[np.float64]:
    if not logits.shape[1]:
        return np.empty(logits.shape[1:])
    known = ~np.isnan(logits[:, 0, :])
    weights = np.where(known, 1 / np.maximum(known.sum(axis=0), 1) + departures[:, 1:].T, 0.0)
    stacked = weighted_sum(logits, weights) + departures[:, 0]
    stacked[:, ~known.any(axis=0)] = np.nan
    return stacked


def fit_departures(
    logits: NDArray[np.float64],
    labels: NDArray[np.uint8],
    strength: float,
    start: NDArray[np.float64] | None = None,
    *,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The offset and the departures from even weights of each class, (C, 1 + M), at a strength of the penalty.

    `start` is where to look for them first. Without it, on a large table, they are first fitted to 10,000 of its clips:
    what is left to do on all of them is a step or two.
    """
    departures = np.zeros((labels.shape[1], 1 + len(logits)))
    every = len(labels) // _CLIPS_TO_START
    for column in range(labels.shape[1]):
        known = ~np.isnan(logits[:, 0, column])
        own = np.r_[True, known]
        inputs = np.ones((1 + int(known.sum()), len(labels)))
        inputs[1:] = logits[known, :, column]
        base, truth = inputs[1:].mean(axis=0) if known.any() else np.zeros(len(labels)), labels[:, column].astype(float)
        first = None if start is None else start[column, own]
        if first is None and every > 1:
            fewer = None if weights is None else weights[::every]
            first = newton(
                inputs[:, ::every].copy().T, base[::every].copy(), truth[::every], strength / every, weights=fewer
            )
        departures[column, own] = newton(inputs.T, base, truth, strength, first, weights=weights)
    return departures


def newton(
    inputs: NDArray[np.float64],
    base: NDArray[np.float64],
    labels: NDArray[np.float64],
    strength: float,
    start: NDArray[np.float64] | None = None,
    *,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Minimise the summed log loss of base + inputs @ d, plus strength / 2 * |d| squared.

    Args:
        inputs: (N, K); quickest if its columns lie together in memory.
        base: (N,).
        labels: (N,) 0 or 1.
        strength: of the penalty.
        start: (K,) where to begin if that is better than 0.
        weights: (N,) how often each counts; once each if None.

    Returns:
        (K,) d.
    """
    fitted, logits = np.zeros(inputs.shape[1]), base
    loss = _penalised(logits, labels, strength, fitted, weights)
    if start is not None:
        there = base + inputs @ start
        if (better := _penalised(there, labels, strength, start, weights)) < loss:
            fitted, logits, loss = start, there, better
    for _ in range(_NEWTON_STEPS):
        gradient, curvature = _derivatives(inputs, logits, labels, weights)
        gradient += strength * fitted
        step = np.linalg.solve(curvature + strength * np.eye(len(fitted)), gradient)
        moved, size = inputs @ step, 1.0
        while (after := _penalised(logits - size * moved, labels, strength, fitted - size * step, weights)) > loss:
            if size <= _SMALL_STEP:
                break
            size /= 2
        if after >= loss:
            break
        fitted, logits, loss = fitted - size * step, logits - size * moved, after
        if np.abs(size * step).max() < _SMALL_STEP:
            break
    return fitted


def _derivatives(
    inputs: NDArray[np.float64],
    logits: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K,) the first and (K, K) the second derivatives of the summed log loss; clips in blocks that the cache holds."""
    width = inputs.shape[1]
    gradient, curvature = np.zeros(width), np.zeros((width, width))
    for start in range(0, len(labels), _BLOCK):
        some = slice(start, start + _BLOCK)
        probability, own = to_probabilities(logits[some]), inputs[some]
        counts = 1.0 if weights is None else weights[some]
        gradient += own.T @ (counts * (probability - labels[some]))
        curvature += (own.T * (counts * probability * (1 - probability))) @ own
    return gradient, curvature


def _penalised(
    logits: NDArray[np.float64],
    labels: NDArray[np.float64],
    strength: float,
    departures: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
) -> float:
    losses = 0.0
    for start in range(0, len(labels), _BLOCK):
        some = slice(start, start + _BLOCK)
        own = None if weights is None else weights[some]
        losses += float(losses_of_logits(logits[some], labels[some], own)) * len(labels[some])
    return losses + float(strength / 2 * departures @ departures)
