"""Blenders that weigh nothing: the mean of probabilities, the mean of logits, and the single best model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import EPS, mean_over_models, to_probabilities
from heads.blending.blenders.of_logits import OfLogits
from heads.blending.blenders.protocol import Blender, Stack
from heads.evaluation.metrics import log_losses


class _Even(Blender):
    """Nothing is fitted, and every model has the same weight."""

    complexity = 0

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def model_weights(self, parameters: Mapping[str, Any], models: Sequence[str]) -> dict[str, float]:
        """The same for each model."""
        return dict.fromkeys(models, 1 / len(models))


class Mean(_Even):
    """The plain mean of the models' probabilities."""

    name = "mean"
    about = "mean of the probabilities"

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The mean over the models that know the class."""
        return mean_over_models(stack)


class MeanOfLogits(OfLogits, _Even):
    """The mean of the models' logits: a model that is sure counts for more than in the plain mean."""

    name = "mean_of_logits"
    about = "mean of the log odds: a model that is sure counts for more"

    def fit_logits(
        self, logits: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def predict_logits(self, logits: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The mean over the models that know the class, on the scale of logits."""
        return to_probabilities(mean_over_models(logits))


class BestSingle(Blender):
    """The one model with the lowest log loss among those that know the most classes."""

    name = "best_single"
    about = "the one best model"
    complexity = 1

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Pick the model."""
        return _pick(np.array([log_losses(labels, own, EPS).sum(axis=0) for own in stack]))

    def fit_without_each_fold(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]
    ) -> dict[int, dict[str, Any]]:
        """The pick without each fold, of losses that are taken once."""
        folds = np.unique(fold).tolist()
        sums = np.empty((len(folds), len(stack), labels.shape[1]))
        for model, own in enumerate(stack):
            losses = log_losses(labels, own, EPS)
            for place, number in enumerate(folds):
                sums[place, model] = losses[fold == number].sum(axis=0)
        return {number: _pick(np.delete(sums, place, axis=0).sum(axis=0)) for place, number in enumerate(folds)}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The model's probabilities; for a class it lacks, the mean of the others."""
        chosen = stack[parameters["model"]]
        return np.where(np.isnan(chosen), mean_over_models(stack), chosen)


def _pick(losses: NDArray[np.float64]) -> dict[str, Any]:
    """The model of the lowest of (M, C) losses, NaN where a model lacks a class."""
    known = np.isfinite(losses).sum(axis=1)
    total = np.where(known == known.max(), np.nan_to_num(losses).sum(axis=1), np.inf)
    return {"model": int(np.argmin(total))}
