"""From pixels to features in one Keras graph: preprocessing, the network, its taps averaged over space."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from featurize.errors import BackboneError
from featurize.registry import Backbone


def build_extractor(backbone: Backbone, weights: Path | None) -> keras.Model:
    """The feature extractor of a backbone.

    Args:
        backbone: a row of the registry.
        weights: its pretrained weights; None leaves the network untrained (for tests).

    Returns:
        A model from uint8 (B, H, W, 3), RGB, to float32 (B, D): each tap's activations averaged over the picture,
        taps in the registry's order.

    Raises:
        BackboneError: a tap is missing or has other channels than the registry declares.
        WeightsError: the weights file is not what it claims to be.
    """
    network = _resolve(backbone.builder)(backbone.name)
    if weights is not None:
        _resolve(backbone.loader)(network, weights)
    tapped = keras.Model(network.inputs, [_tap_output(network, backbone, index) for index in range(len(backbone.taps))])
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    maps = tapped(_preprocess(pixels, backbone))
    pooled = [
        layers.GlobalAveragePooling2D(name=f"{tap.name}_mean")(x) for tap, x in zip(backbone.taps, maps, strict=True)
    ]
    features = layers.Concatenate(name="features")(pooled)
    return keras.Model(pixels, features, name=f"{backbone.name}_extractor", trainable=False)


def _resolve(reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _preprocess(pixels: Any, backbone: Backbone) -> Any:
    """(x - mean) / scale as one multiplication and one addition per channel."""
    rule = backbone.preprocessing
    scale = [1 / value for value in rule.scale]
    offset = [-mean / value for mean, value in zip(rule.mean, rule.scale, strict=True)]
    return layers.Rescaling(scale, offset, name="preprocessing")(pixels)


def _tap_output(network: keras.Model, backbone: Backbone, index: int) -> Any:
    """The output of a tap's layer, after comparing its channels with the registry's."""
    tap = backbone.taps[index]
    try:
        output = network.get_layer(tap.layer).output
    except ValueError as error:
        raise BackboneError(f"{backbone.name}: tap {tap.name!r} names layer {tap.layer!r}, which it has not") from error
    if output.shape[-1] != tap.channels:
        raise BackboneError(
            f"{backbone.name}: tap {tap.name!r} has {output.shape[-1]} channels, the registry declares {tap.channels}"
        )
    return output
