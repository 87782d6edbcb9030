"""From pixels to features in one Keras graph: preprocessing, the network, its taps averaged over space."""

from typing import Any

import keras
from keras import layers

from featurize.backbones.spec import NETWORK_OUTPUT, Backbone, Tap, resolve
from featurize.backbones.weights import RANDOM_SEED, Weights
from featurize.errors import BackboneError


def build_extractor(backbone: Backbone, weights: Weights, px: int | None = None) -> keras.Model:
    """The feature extractor of a backbone.

    Args:
        backbone: a network's row.
        weights: its pretrained weights; `RANDOM_WEIGHTS` leaves the network untrained, alike every time.
        px: side of the square that it is going to see; only networks that are built for one size look at it.

    Returns:
        A model from uint8 (B, H, W, 3), RGB, to float32 (B, D): each tap's activations averaged over the picture,
        taps in the registry's order.

    Raises:
        BackboneError: a tap is missing or has other channels than the registry declares.
        WeightsError: the weights file is not what it claims to be.
    """
    if weights.path is None:
        keras.utils.set_random_seed(RANDOM_SEED)
    side_px = None if backbone.any_shape else px or backbone.input_px
    network = resolve(backbone)(backbone, weights.path, side_px)
    tapped = keras.Model(network.inputs, [tap_output(network, backbone, tap) for tap in backbone.taps])
    pixels = keras.Input((side_px, side_px, 3), dtype="uint8", name="pixels")
    maps = tapped(_preprocess(pixels, backbone))
    pooled = [_averaged(x) for x in (maps if isinstance(maps, list) else [maps])]
    features = layers.Concatenate(name="features", dtype="float32")(pooled) if len(pooled) > 1 else pooled[0]
    return keras.Model(pixels, features, name="extractor", trainable=False)


def _averaged(activations: Any) -> Any:
    """A map (B, H, W, C) averaged over the picture in float32; a vector (B, C) as it is."""
    if len(activations.shape) == 2:
        return layers.Identity(dtype="float32")(activations)
    return layers.GlobalAveragePooling2D(dtype="float32")(activations)


def _preprocess(pixels: Any, backbone: Backbone) -> Any:
    """(x - mean) / scale as one multiplication and one addition per channel, in the network's order of channels."""
    rule = backbone.preprocessing
    if rule.order == "bgr":
        pixels = keras.ops.flip(pixels, axis=-1)
    scale = [1 / value for value in rule.scale]
    offset = [-mean / value for mean, value in zip(rule.mean, rule.scale, strict=True)]
    return layers.Rescaling(scale, offset, name="preprocessing")(pixels)


def tap_output(network: keras.Model, backbone: Backbone, tap: Tap) -> Any:
    """The activations that `tap` stands for, after comparing their channels with the registry's.

    Raises:
        BackboneError: there is no such layer, or it has other channels.
    """
    try:
        output = _tapped(network, tap)
    except ValueError as error:
        raise BackboneError(f"{backbone.name}: tap {tap.name!r} names layer {tap.layer!r}, which it has not") from error
    if output.shape[-1] != tap.channels:
        raise BackboneError(
            f"{backbone.name}: tap {tap.name!r} has {output.shape[-1]} channels, the registry declares {tap.channels}"
        )
    return output


def _tapped(network: keras.Model, tap: Tap) -> Any:
    if tap.layer == NETWORK_OUTPUT:
        return network.outputs[0]
    layer = network.get_layer(tap.layer)
    if tap.side == "output":
        return layer.output
    if not isinstance(layer, keras.Model):
        return layer.input
    # The input of a layer that is itself a model is its own entrance; what stands before it in the chain feeds it.
    return network.operations[network.operations.index(layer) - 1].output
