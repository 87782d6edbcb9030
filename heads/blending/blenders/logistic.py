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
from heads.blending.blenders.newton import AT_ONCE, newton
from heads.blending.blenders.of_logits import OfLogits
from heads.blending.blenders.protocol import Stack

_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
_MOST_CLIPS_FOR_CHOICE = 6000
_CLIPS_TO_START = 10_000


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
    models, clips, classes = logits.shape
    every = clips // _CLIPS_TO_START
    if start is None and every > 1:
        few = np.arange(clips) % every == 0
        fewer = None if weights is None else weights[few]
        start = fit_departures(of_clips(logits, few), labels[few], strength / every, weights=fewer)
    departures = np.zeros((classes, 1 + models)) if start is None else start
    inputs = logits.transpose(2, 0, 1)
    known = ~np.isnan(inputs[:, :, :1])
    if not known.all():
        inputs = np.where(known, inputs, 0.0)  # the penalty keeps what has no say at 0
    base = inputs.sum(axis=1, dtype=np.float64) / np.maximum(known.sum(axis=1), 1)
    at_once = max(1, AT_ONCE // max(1, (1 + models) * clips))  # of few clips: alone, a class would be many short calls
    return np.concatenate(
        [
            newton(
                inputs[some], base[some], labels[:, some].T, strength, departures[some], offset=True, weights=weights
            )
            for some in (slice(first, first + at_once) for first in range(0, classes, at_once))
        ]
    )
