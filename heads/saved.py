"""Trained heads, as they were saved, at work on clips."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from heads.ahead import read_ahead
from heads.examples import Examples, in_turn
from heads.model import METADATA

_CLIPS_AT_ONCE = 64


def predict_models(models: Sequence[keras.Model], examples: Examples) -> NDArray[np.float64]:
    """The probabilities (K, N, C) that each of some models gives the examples; clips are read once for all.

    Args:
        models: (K) models that take the same inputs, each with its own row of the examples' metadata.
        examples: the clips.
    """
    places = list(in_turn(len(examples), _CLIPS_AT_ONCE))
    predict = tf.function(lambda inputs: _predict(models, inputs), reduce_retracing=True)
    parts = [predict(inputs).numpy() for inputs in read_ahead(examples.batch(some) for some in places)]
    nothing = np.zeros((len(models), 0, models[0].output_shape[-1]))
    return np.concatenate([nothing, *parts], axis=1).astype(np.float64)


def _predict(models: Sequence[keras.Model], inputs: dict[str, Any]) -> Any:
    if "features" in inputs:
        inputs = {**inputs, "features": tf.cast(inputs["features"], tf.float32)}
    outputs = []
    for number, model in enumerate(models):
        own = {name: each[number] if name == METADATA else each for name, each in inputs.items()}
        outputs.append(model(own, training=False))
    return tf.stack(outputs)
