"""The single best model, as a blend: what every other blend must beat."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import losses_of_logits, mean_over_models, to_logits
from heads.blending.blenders.protocol import Blender, Stack


class BestSingle(Blender):
    """The one model with the lowest log loss among those that know the most classes."""

    name = "best_single"
    about = "the one best model"
    complexity = 1

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Pick the model."""
        losses = np.array([losses_of_logits(logits, labels) for logits in to_logits(stack)])
        known = np.isfinite(losses).sum(axis=1)
        mean = np.where(known == known.max(), np.nan_to_num(losses).sum(axis=1), np.inf)
        return {"model": int(np.argmin(mean))}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The model's probabilities; for a class it lacks, the mean of the others."""
        chosen = stack[parameters["model"]]
        return np.where(np.isnan(chosen), mean_over_models(stack), chosen)
