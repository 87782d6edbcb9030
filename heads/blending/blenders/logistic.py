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
_SMALL_STEP = 1e-5  # of the way that a step would go
_SMALL_GAIN = 1e-9  # nats a clip; what would follow is of the order of its square
_BLOCK = 32768
_NUMBERS_AT_ONCE = 2**18


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
    logits: Stack,
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
        learned, asked = of_clips(logits, ~scored), of_clips(logits, scored)
        own, others = (None, None) if weights is None else (weights[scored], weights[~scored])
        departures = np.zeros((labels.shape[1], 1 + len(logits)))
        for strength in candidates:
            if strength is not None:  # a little weaker than the one before, whose answer is nearly right
                departures = fit_departures(learned, labels[~scored], strength, departures, weights=others)
            losses = losses_of_logits(_stacked(asked, departures), labels[scored], own)
            candidates[strength] += float(losses.mean() * scored.sum())
    return min(candidates, key=lambda strength: candidates[strength])


def _stacked(logits: Stack, departures: NDArray[np.float64]) -> NDArray[np.float64]:
    if not logits.shape[1]:
        return np.empty(logits.shape[1:])
    known = ~np.isnan(logits[:, 0, :])
    weights = np.where(known, 1 / np.maximum(known.sum(axis=0), 1) + departures[:, 1:].T, 0.0)
    stacked = weighted_sum(logits, weights) + departures[:, 0]
    stacked[:, ~known.any(axis=0)] = np.nan
    return stacked


def fit_departures(
    logits: Stack,
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
    if len(labels) <= _CLIPS_TO_START:
        return _fit_side_by_side(logits, labels, strength, start, weights)
    every = len(labels) // _CLIPS_TO_START
    if start is None and every > 1:
        few = np.arange(len(labels)) % every == 0
        fewer = None if weights is None else weights[few]
        start = _fit_side_by_side(of_clips(logits, few), labels[few], strength / every, None, fewer)
    departures, space = np.zeros((labels.shape[1], 1 + len(logits))), np.ones((1 + len(logits), len(labels)))
    for column in range(labels.shape[1]):
        known = ~np.isnan(logits[:, 0, column])
        own = np.r_[True, known]
        inputs = space[: own.sum()]
        inputs[1:] = logits[:, :, column] if known.all() else logits[known, :, column]
        base, truth = inputs[1:].mean(axis=0) if known.any() else np.zeros(len(labels)), labels[:, column].astype(float)
        first = None if start is None else start[column, own]
        departures[column, own] = newton(inputs.T, base, truth, strength, first, weights=weights)
    return departures


def _fit_side_by_side(
    logits: Stack,
    labels: NDArray[np.uint8],
    strength: float,
    start: NDArray[np.float64] | None,
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """The same of few clips, several classes at a time: alone, each would be a thousand short calls."""
    models, clips, classes = logits.shape
    departures = np.zeros((classes, 1 + models))
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, (1 + models) * clips))
    for first in range(0, classes, at_once):
        some = slice(first, first + at_once)
        inputs = np.ones((len(departures[some]), 1 + models, clips))
        inputs[:, 1:] = logits[:, :, some].transpose(2, 0, 1)
        known = ~np.isnan(inputs[:, 1:, :1])
        inputs[:, 1:][~known[:, :, 0]] = 0.0  # the penalty keeps what has no say at 0
        base = inputs[:, 1:].sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        own = None if start is None else start[some]
        departures[some] = _newton_side_by_side(inputs, base, labels[:, some].T.astype(float), strength, own, weights)
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
        if float(gradient @ step) < _SMALL_GAIN * len(labels):
            break
    return fitted


def _newton_side_by_side(
    inputs: NDArray[np.float64],
    base: NDArray[np.float64],
    labels: NDArray[np.float64],
    strength: float,
    start: NDArray[np.float64] | None,
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """What `newton` finds for each of C classes, (C, K), of inputs (C, K, N), base and labels (C, N).

    Of many clips `newton` is quicker, which takes them in blocks that the cache holds.
    """

    def loss_of(logits: NDArray[np.float64], departures: NDArray[np.float64]) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = losses_of_logits(logits.T, labels.T, weights) * logits.shape[1]
        summed += strength / 2 * (departures**2).sum(axis=1)
        return summed

    found = np.zeros(inputs.shape[:2])
    fitted, logits = found.copy(), base
    loss = loss_of(logits, fitted)
    if start is not None:
        there = base + _combine(start, inputs)
        at_start = loss_of(there, start)
        better = at_start < loss
        fitted, logits = np.where(better[:, None], start, fitted), np.where(better[:, None], there, logits)
        loss = np.where(better, at_start, loss)
    place = np.arange(len(found))
    for _ in range(_NEWTON_STEPS):
        counts = 1.0 if weights is None else weights
        probability = to_probabilities(logits)
        gradient = (inputs @ (counts * (probability - labels))[:, :, None])[:, :, 0] + strength * fitted
        curvature = (inputs * (counts * probability * (1 - probability))[:, None]) @ inputs.transpose(0, 2, 1)
        penalised = curvature + strength * np.eye(inputs.shape[1])
        step = np.linalg.solve(penalised, gradient[:, :, None])[:, :, 0]
        moved, size = _combine(step, inputs), np.ones((len(step), 1))
        while True:
            after = loss_of(logits - size * moved, fitted - size * step)
            too_far = (after > loss) & (size[:, 0] > _SMALL_STEP)
            if not too_far.any():
                break
            size[too_far] /= 2
        better = after < loss
        fitted = np.where(better[:, None], fitted - size * step, fitted)
        going = better & ((gradient * step).sum(axis=1) >= _SMALL_GAIN * labels.shape[1])
        found[place] = fitted
        if not going.any():
            break
        logits = (logits - size * moved)[going]
        inputs, labels, fitted, loss, place = (each[going] for each in (inputs, labels, fitted, after, place))
    return found


def _combine(departures: NDArray[np.floating[Any]], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, N) the sum over k of departures (C, K) times inputs (C, K, N)."""
    combined: NDArray[np.float64] = (departures[:, None] @ inputs)[:, 0]
    return combined


def _derivatives(
    inputs: NDArray[np.float64],
    logits: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K,) the first and (K, K) the second derivatives of the summed log loss; clips in blocks that the cache holds."""
    width = inputs.shape[1]
    gradient, curvature = np.zeros(width), np.zeros((width, width))
    space = np.empty((width, min(_BLOCK, len(labels))))
    for start in range(0, len(labels), _BLOCK):
        some = slice(start, start + _BLOCK)
        probability, own = to_probabilities(logits[some]), inputs[some]
        counts = 1.0 if weights is None else weights[some]
        gradient += own.T @ (counts * (probability - labels[some]))
        weighted = np.multiply(own.T, counts * probability * (1 - probability), out=space[:, : len(own)])
        curvature += weighted @ own
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
