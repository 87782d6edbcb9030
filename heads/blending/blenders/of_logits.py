"""Blenders that see of the models' probabilities nothing but the logits."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import to_logits
from heads.blending.blenders.protocol import Blender, Stack


class OfLogits(Blender):
    """A blender that says how it is fitted to logits, (M, N, C), NaN if a model lacks the class, and how it is used."""

    @abstractmethod
    def fit_logits(
        self, logits: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """Find the parameters, where clips count as (N,) `weights` say."""

    @abstractmethod
    def predict_logits(self, logits: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The probabilities (N, C)."""

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Find the parameters."""
        return self.fit_logits(to_logits(stack), labels, fold, None)

    def fit_weighted(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """The same, where clips count as (N,) `weights` say."""
        return self.fit_logits(to_logits(stack), labels, fold, weights)

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The probabilities (N, C)."""
        return self.predict_logits(to_logits(stack), parameters)

    def on_logits(self) -> Blender:
        """The same, given logits."""
        return _OnLogits(self)


class Wrapped(Blender):
    """A blender that tells of another one what that tells of itself."""

    def __init__(self, blender: Blender) -> None:
        self.blender = blender
        self.name = blender.name
        self.about = blender.about
        self.complexity = blender.complexity
        self.cost = blender.cost
        self.takes_frames = blender.takes_frames
        self.windows = blender.windows
        self.is_calibrated = blender.is_calibrated
        self.needs_keras = blender.needs_keras

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """The parameters of the other blender."""
        return self.fit_weighted(stack, labels, fold, None)

    def fit_without_each_fold(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]
    ) -> dict[int, dict[str, Any]] | None:
        """What the other blender finds."""
        return self.blender.fit_without_each_fold(stack, labels, fold)

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """What the other blender predicts."""
        return self.blender.predict(stack, parameters)

    def looks_around(self, parameters: Mapping[str, Any]) -> bool:
        """Whether the other blender does."""
        return self.blender.looks_around(parameters)

    def missing(self) -> str:
        """Why the other blender cannot be used here; "" if it can."""
        return self.blender.missing()

    def model_weights(self, parameters: Mapping[str, Any], models: Sequence[str]) -> dict[str, float] | None:
        """Those of the other blender."""
        return self.blender.model_weights(parameters, models)


class _OnLogits(Wrapped):
    def __init__(self, blender: OfLogits) -> None:
        super().__init__(blender)
        self._own = blender

    def fit_weighted(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """Find the parameters, of a stack of logits."""
        return self._own.fit_logits(stack, labels, fold, weights)

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The probabilities (N, C), of a stack of logits."""
        return self._own.predict_logits(stack, parameters)
