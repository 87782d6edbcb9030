"""A network of the registry as one `.keras` file, from pictures to its last tap, for heads that tune it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from featurize.backbones.spec import Backbone, Preprocessing, resolve
from featurize.backbones.weights import RANDOM_SEED, Weights
from featurize.errors import BackboneError
from featurize.runtime.extractor import tap_output
from store.files import atomic_path
from store.models import whole_network_path


def write_whole_network(backbone: Backbone, weights: Weights, px: int | None = None) -> Path:
    """Write a network with its weights, where heads look for it.

    Args:
        backbone: a network's row.
        weights: its weights; none for an untrained network.
        px: side of the square that it is going to see, for networks that are built for one size.

    Raises:
        BackboneError: it is no network of Keras, or does not consist of layers alone.
        WeightsError: the weights file is not what it claims to be.
    """
    if backbone.kind != "network":
        raise BackboneError(f"{backbone.name} is no network of Keras, so there is nothing to tune; name another")
    path = whole_network_path(backbone.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    network = build_whole_network(backbone, weights, px)
    with atomic_path(path) as temporary:
        network.save(temporary)
    return path


def build_whole_network(backbone: Backbone, weights: Weights, px: int | None = None) -> keras.Model:
    """From pictures (B, H, W, 3) in red, green and blue, 0 to 255, to what the last tap sees, layers by their names."""
    if weights.path is None:
        keras.utils.set_random_seed(RANDOM_SEED)
    side_px = None if backbone.any_shape else px or backbone.input_px
    network = resolve(backbone)(backbone, weights.path, side_px)
    last = keras.Model(network.inputs, tap_output(network, backbone, backbone.taps[-1]), name=backbone.name)
    pixels = keras.Input((side_px, side_px, 3), name="pixels")
    prepared = _preprocessing(backbone.preprocessing)(pixels)
    return keras.Model(pixels, _gone_through(last, prepared), name=backbone.name)


def _gone_through(network: keras.Model, pictures: Any) -> Any:
    """What a network makes of pictures, layer by layer: so they stay layers, instead of one that holds them all."""
    made = {id(network.inputs[0]): pictures}
    for step in network.operations:
        if not isinstance(step, layers.Layer):
            raise BackboneError(
                f"{network.name}: its step {step.name} is no layer, so it cannot be tuned; name another"
            )
        if not isinstance(step, layers.InputLayer):
            ends = keras.tree.flatten(step.output)
            given = keras.tree.map_structure(lambda tensor, made=made: made[id(tensor)], step.input)
            made |= zip(map(id, ends), keras.tree.flatten(step(given)), strict=True)
    return made[id(network.outputs[0])]


def _preprocessing(rule: Preprocessing) -> layers.Conv2D:
    """(x - mean) / scale in the network's order of channels: a product with each pixel, and a sum."""
    order = np.eye(3, dtype=np.float32)[:: -1 if rule.order == "bgr" else 1]
    scale, mean = np.array(rule.scale, np.float32), np.array(rule.mean, np.float32)
    layer = layers.Conv2D(3, 1, trainable=False, name="preprocessing")
    layer.build((None, None, None, 3))
    layer.set_weights([(order / scale)[None, None], -mean / scale])
    return layer
