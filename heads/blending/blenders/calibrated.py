"""Calibration after a blend, as a blender of its own, so that nesting scores blend and calibration together.

First one temperature for all classes, then for each class a slope and an offset of its own (Platt scaling) that depart
from it only as far as the data insist: a class with few positives stays where the temperature put it. Last come the
steps of `heads.blending.blenders.calibration_steps`, where they help.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.calibration_steps import apply_steps, fit_steps
from heads.blending.blenders.cross_fit import cross_fit
from heads.blending.blenders.logistic import LogisticStacking
from heads.blending.blenders.logits import to_logits, to_probabilities
from heads.blending.blenders.newton import newton
from heads.blending.blenders.protocol import Blender, Stack

SUFFIX = "+calibrated"
_MOST_CLIPS = 20_000
_STEEPEST = 20.0


class Calibrated(Blender):
    """Another blender, calibrated on predictions that it made for folds it was not fitted on."""

    is_calibrated = True

    def __init__(self, blender: Blender) -> None:
        self.blender = blender
        self.name = f"{blender.name}{SUFFIX}"
        self.about = f"{blender.about}, then calibrated"
        self.complexity = blender.complexity + 1
        self.cost = blender.cost
        self.takes_frames = blender.takes_frames
        self.windows = blender.windows
        self.needs_keras = blender.needs_keras

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Calibrate on cross-fitted blends, then fit the blend to everything."""
        return self.fit_weighted(stack, labels, fold, None)

    def fit_weighted(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """The same, where clips count as (N,) `weights` say; the last steps, which would bend it back, are left out."""
        folds = np.unique(fold)
        blend = self.blender.fit(stack, labels, fold)
        if len(folds) < 2:
            return {
                "blend": blend,
                "temperature": 1.0,
                "platt": LogisticStacking().fit_weighted(
                    self.blender.predict(stack, blend)[None], labels, fold, weights
                ),
                "steps": [],
            }
        crossed = cross_fit(self.blender, stack, labels, fold)
        temperature = fit_temperature(crossed, labels, weights)
        platt = LogisticStacking().fit_weighted(cool(crossed, temperature)[None], labels, fold, weights)
        calibrated = LogisticStacking().predict(cool(crossed, temperature)[None], platt)
        steps = [] if weights is not None else fit_steps(calibrated, labels, fold)
        return {"blend": blend, "temperature": temperature, "platt": platt, "steps": steps}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The calibrated blend."""
        blended = self.blender.predict(stack, parameters["blend"])
        calibrated = LogisticStacking().predict(cool(blended, parameters["temperature"])[None], parameters["platt"])
        return apply_steps(calibrated, parameters["steps"])

    def on_logits(self) -> Blender | None:
        """The same for stacks of logits, if there is the other blender for such."""
        own = self.blender.on_logits()
        return None if own is None else Calibrated(own)

    def looks_around(self, parameters: Mapping[str, Any]) -> bool:
        """Whether the other blender does."""
        return self.blender.looks_around(parameters["blend"])

    def missing(self) -> str:
        """Why the other blender cannot be used here; "" if it can."""
        return self.blender.missing()

    def model_weights(self, parameters: Mapping[str, Any], models: Sequence[str]) -> dict[str, float] | None:
        """Those of the other blender."""
        return self.blender.model_weights(parameters["blend"], models)


def fit_temperature(
    probabilities: NDArray[np.float64], labels: NDArray[np.uint8], weights: NDArray[np.float64] | None = None
) -> float:
    """The number to divide all logits by that makes the (N, C) labels most likely; 1 if there is no such number.

    Where logits tell the labels of a few clips apart without an error, the lower the better: it is 0.05 at least. Of
    large tables 20,000 clips are enough for one number.
    """
    every = max(1, -(-len(labels) // _MOST_CLIPS))
    logits = to_logits(probabilities[::every]).ravel()
    counts = None if weights is None else np.repeat(weights[::every], labels.shape[1])
    if not logits.any():  # it tells nothing
        return 1.0
    departure = newton(logits[None, None], logits[None], labels[::every].ravel()[None], strength=0.0, weights=counts)
    slope = 1.0 + float(departure[0, 0])
    return 1.0 / min(slope, _STEEPEST) if slope > 0 else 1.0


def cool(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """The probabilities with their logits divided by `temperature`."""
    return to_probabilities(to_logits(probabilities) / temperature)
