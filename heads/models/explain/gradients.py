"""How much each frame of a clip added to the answer of a head that sees statistics over time, not single frames.

The answer is the mean logit of the classes, weighted by their probabilities. What a column of a statistic adds to it
is its gradient times its distance from a reference, and that is handed on to the frames it came from: a peak to the
frame that holds it, a mean to all frames by their weights in it, and what the network itself takes the clip for to
those in which it does so most.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from heads.models.layers import LEAST_CHANCE, Named
from heads.recipe import HeadConfig

# The largest value over time, less something that no single frame decides: nothing stands out where that is zero.
_PEAKS = ("deviation", "change", "direction")
# Means over time: like the average training clip where they add nothing.
_MEANS = ("mean", "event")
_SMALLEST = 1e-7


def has_frame_shares(config: HeadConfig) -> bool:
    """Whether some statistic of a head can be traced to frames; a median or a spread belongs to all of them."""
    return any(name in (*_PEAKS, *_MEANS) for name in config.statistics)


def answer_gradients(
    model: keras.Model, inputs: Mapping[str, NDArray[np.float32]], names: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """The gradient (B, D) of each clip's answer along each of some statistics.

    Args:
        model: of one fold.
        inputs: what it takes, (B, ...) each.
        names: of the statistics.
    """
    batch: dict[str, Any] = {name: tf.constant(values) for name, values in inputs.items()}
    with tf.GradientTape() as tape:
        tape.watch([batch[name] for name in names])
        given = model(batch, training=False)
        logits = tf.math.log(given + _SMALLEST) - tf.math.log(1.0 - given + _SMALLEST)
        answer = tf.reduce_sum(tf.stop_gradient(given) * logits)
    found = tape.gradient(answer, [batch[name] for name in names])
    return {name: each.numpy() for name, each in zip(names, found, strict=True)}


def traced_statistics(config: HeadConfig) -> tuple[str, ...]:
    """The statistics of a head that can be traced to frames, in the recipe's order."""
    return tuple(name for name in config.statistics if name in (*_PEAKS, *_MEANS))


def frame_shares(
    frames: NDArray[np.float32],
    energy: NDArray[np.float32] | None,
    values: Mapping[str, NDArray[np.float32]],
    gradients: Mapping[str, NDArray[np.float32]],
    usual: Mapping[str, NDArray[np.float32]],
    beside: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """The share (T,) of each frame of a clip in what speaks for the answer; even shares where nothing does.

    Args:
        frames: (T, D).
        energy: (T,) motion energy, if the store has it.
        values: (D,) of each statistic.
        gradients: (D,) of the answer along each.
        usual: (D,) of each mean over time among the training clips.
        beside: (T,) what frames added otherwise.
    """
    added = np.zeros(len(frames)) + beside
    peak = frames.argmax(axis=0)
    for name, gradient in gradients.items():
        if name in _PEAKS:
            added += np.bincount(peak, np.maximum(gradient * values[name], 0), len(frames))
        else:
            moving = name == "event" and energy is not None and bool(energy.any())
            weights = energy / energy.sum() if moving and energy is not None else np.full(len(frames), 1 / len(frames))
            added += np.maximum(weights * ((frames - usual[name]) @ gradient), 0)
    total = added.sum()
    return added / total if total > 0 else np.full(len(frames), 1 / len(frames))


def named_parts(
    animals: NDArray[np.float32], value: NDArray[np.float32], gradient: NDArray[np.float32], layer: Named
) -> NDArray[np.float64]:
    """(T,) what each frame added to what speaks for the answer by the names of classes.

    Args:
        animals: (T, K) the logarithm of the probability of each animal in each frame.
        value: (K,) the same of the clip.
        gradient: (K,) of the answer along it.
        layer: which weighs it.
    """
    meaning, usual = (keras.ops.convert_to_numpy(each).astype(np.float64) for each in (layer.meaning, layer.usual))
    along = (gradient / np.maximum(meaning.sum(axis=1), 1)) @ meaning
    added = np.maximum(along * (np.log(np.exp(value) @ meaning + LEAST_CHANCE) - usual), 0.0)
    seen = (np.exp(animals.astype(np.float64)) @ meaning) ** 2
    return np.asarray(seen / np.maximum(seen.sum(axis=0), _SMALLEST**2) @ added)
