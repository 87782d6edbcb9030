"""Members of a fold that differ in their seed only, as one."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from heads.models.layers import LEAST_CHANCE, MeanOfLogits


def mean_of_logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """(..., C) from (S, ..., C): the probability whose logit is the mean of the members' logits."""
    if len(probabilities) == 1:
        return np.asarray(probabilities[0], np.float64)
    kept = probabilities.astype(np.float64).clip(LEAST_CHANCE, 1 - LEAST_CHANCE)
    logits = np.log(kept / (1 - kept)).mean(axis=0)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def average_models(models: Sequence[keras.Model]) -> keras.Model:
    """One network of members of different names that take the same inputs; the member itself if it is the only one."""
    if len(models) == 1:
        return models[0]
    inputs = {name: keras.Input(each.shape[1:], dtype=each.dtype, name=name) for name, each in models[0].input.items()}
    members = [model(inputs) for model in models]
    return keras.Model(inputs, MeanOfLogits(name="probabilities")(members), name="seeds")
