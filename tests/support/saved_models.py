"""A small SavedModel with the interface of TF2 hub image models, made where it is needed."""

from pathlib import Path

import numpy as np
import tensorflow as tf


class _Pictures(tf.Module):
    """Two convolutions; called with `return_endpoints`, it gives their maps as well as the feature vector."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.first = tf.Variable(rng.normal(0, 0.3, (3, 3, 3, 4)).astype(np.float32))
        self.second = tf.Variable(rng.normal(0, 0.3, (3, 3, 4, 6)).astype(np.float32))

    def describe(self, image: tf.Tensor, training: bool = False, return_endpoints: bool = False) -> object:
        del training
        first = tf.nn.relu(tf.nn.conv2d(image, self.first, 4, "SAME"))
        second = tf.nn.relu(tf.nn.conv2d(first, self.second, 4, "SAME"))
        vector = tf.reduce_mean(second, (1, 2))
        return {"block1/unit": first, "block2": second, "default": vector} if return_endpoints else vector


def write_hub_model(folder: Path, *, endpoints: bool = True, side: int | None = None) -> Path:
    """Save a model as the hub's are saved: a callable, traced for each mode."""
    pictures = _Pictures()
    saved = tf.Module()
    saved.pictures = pictures
    image = tf.TensorSpec((None, side, side, 3), tf.float32)
    if endpoints:
        saved.__call__ = tf.function(pictures.describe)
        for training in (False, True):
            for with_endpoints in (False, True):
                saved.__call__.get_concrete_function(image, training=training, return_endpoints=with_endpoints)
    else:
        saved.__call__ = tf.function(lambda image: pictures.describe(image))
        saved.__call__.get_concrete_function(image)
    tf.saved_model.save(saved, str(folder))
    return folder


def described(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What the model gives for pictures (B, H, W, 3) uint8, averaged over space, computed without any SavedModel."""
    found = _Pictures().describe(tf.constant(pixels, tf.float32) / 255, return_endpoints=True)
    return {
        name: (tensor.numpy().mean(axis=(1, 2)) if len(tensor.shape) == 4 else tensor.numpy())
        for name, tensor in found.items()
    }
