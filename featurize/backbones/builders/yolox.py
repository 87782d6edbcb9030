"""YOLOX-tiny as a Keras model: one class, three strides.

Source: Ge et al., YOLOX: Exceeding YOLO Series in 2021, arXiv:2107.08430; depth 0.33 and width 0.375 of it. Layers are
called what the tensors of the published checkpoints are called, so that a converted checkpoint needs no table of names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from featurize.backbones.builders.tensor_file import read_tensor_file
from featurize.backbones.spec import Backbone
from featurize.errors import WeightsError

STRIDES = (8, 16, 32)
# Of each place of a map: x, y, width and height of a box, how surely there is something, and of which class.
NUMBERS = 6
_BATCH_NORM_EPSILON = 1e-3
_STEM, _DARK3, _DARK4, _DARK5 = 24, 96, 192, 384
_HEAD = 96
_POOLS = (5, 9, 13)
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def yolox_network(_backbone: Backbone, weights: Path | None, side_px: int | None = None) -> keras.Model:
    """The network for squares of `side_px`, with the tensors of a file unless that is None.

    Raises:
        WeightsError: the file's tensors are not those of this network.
    """
    network = build_yolox_tiny(side_px)
    if weights is not None:
        load_tensors(network, read_tensor_file(weights), weights)
    return network


def build_yolox_tiny(side_px: int | None) -> keras.Model:
    """An untrained YOLOX-tiny.

    Args:
        side_px: side of the pictures, a multiple of 32; None for any.

    Returns:
        A model from float32 (B, S, S, 3), RGB in 0 to 255, to float32 (B, N * 6): of each place of the maps of strides
        8, 16 and 32, row by row, where the box lies and how sure that is, as it leaves the network (see `decoded`).
    """
    image = keras.Input((side_px, side_px, 3), name="image")
    fine, middle, coarse = _pyramid(*_darknet(image))
    heads = [_head(x, place) for place, x in enumerate((fine, middle, coarse))]
    return keras.Model(image, layers.Concatenate(name="raw")(heads), name="yolox_tiny")


def _darknet(image: Any) -> tuple[Any, Any, Any]:
    """The maps of stride 8, 16 and 32."""
    prefix = "backbone.backbone"
    x = _conv(_focus(image), _STEM, 3, 1, f"{prefix}.stem.conv")
    x = _conv(x, 2 * _STEM, 3, 2, f"{prefix}.dark2.0")
    x = _csp(x, 2 * _STEM, 1, f"{prefix}.dark2.1")
    x = _conv(x, _DARK3, 3, 2, f"{prefix}.dark3.0")
    fine = _csp(x, _DARK3, 3, f"{prefix}.dark3.1")
    x = _conv(fine, _DARK4, 3, 2, f"{prefix}.dark4.0")
    middle = _csp(x, _DARK4, 3, f"{prefix}.dark4.1")
    x = _conv(middle, _DARK5, 3, 2, f"{prefix}.dark5.0")
    x = _conv(x, _DARK5 // 2, 1, 1, f"{prefix}.dark5.1.conv1")
    pooled = [layers.MaxPooling2D(size, 1, padding="same", name=f"{prefix}.dark5.1.m.{size}")(x) for size in _POOLS]
    x = _conv(layers.Concatenate()([x, *pooled]), _DARK5, 1, 1, f"{prefix}.dark5.1.conv2")
    return fine, middle, _csp(x, _DARK5, 1, f"{prefix}.dark5.2", shortcut=False)


def _pyramid(fine: Any, middle: Any, coarse: Any) -> tuple[Any, Any, Any]:
    """The same maps, each knowing what the others see: from coarse to fine, and back."""
    top = _conv(coarse, _DARK4, 1, 1, "backbone.lateral_conv0")
    x = layers.Concatenate()([layers.UpSampling2D(2)(top), middle])
    x = _csp(x, _DARK4, 1, "backbone.C3_p4", shortcut=False)
    between = _conv(x, _DARK3, 1, 1, "backbone.reduce_conv1")
    x = layers.Concatenate()([layers.UpSampling2D(2)(between), fine])
    fine = _csp(x, _DARK3, 1, "backbone.C3_p3", shortcut=False)
    x = layers.Concatenate()([_conv(fine, _DARK3, 3, 2, "backbone.bu_conv2"), between])
    middle = _csp(x, _DARK4, 1, "backbone.C3_n3", shortcut=False)
    x = layers.Concatenate()([_conv(middle, _DARK4, 3, 2, "backbone.bu_conv1"), top])
    return fine, middle, _csp(x, _DARK5, 1, "backbone.C3_n4", shortcut=False)


def _head(x: Any, place: int) -> Any:
    """(B, n * 6) what one map says of each of its n places."""
    x = _conv(x, _HEAD, 1, 1, f"head.stems.{place}")
    of_class, of_box = x, x
    for step in range(2):
        of_class = _conv(of_class, _HEAD, 3, 1, f"head.cls_convs.{place}.{step}")
        of_box = _conv(of_box, _HEAD, 3, 1, f"head.reg_convs.{place}.{step}")
    box = layers.Conv2D(4, 1, name=f"head.reg_preds.{place}")(of_box)
    there = layers.Conv2D(1, 1, name=f"head.obj_preds.{place}")(of_box)
    kind = layers.Conv2D(1, 1, name=f"head.cls_preds.{place}")(of_class)
    return layers.Flatten(dtype="float32")(layers.Concatenate()([box, there, kind]))


def _focus(image: Any) -> Any:
    """Every second pixel in four maps of half the size: top left, bottom left, top right, bottom right."""
    return layers.Concatenate(name="focus")(
        [image[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    )


def _conv(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    if stride == 2:
        # Padded alike on all sides, as in torch; Keras' "same" would pad an even picture at the right and below only.
        x = layers.ZeroPadding2D(kernel // 2)(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(channels, kernel, stride, padding=padding, use_bias=False, name=f"{name}.conv")(x)
    x = layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}.bn")(x)
    return layers.Activation("silu", name=f"{name}.act")(x)


def _csp(x: Any, channels: int, depth: int, name: str, *, shortcut: bool = True) -> Any:
    """A cross-stage block: half of the channels go through `depth` bottlenecks, half go past them."""
    through = _conv(x, channels // 2, 1, 1, f"{name}.conv1")
    past = _conv(x, channels // 2, 1, 1, f"{name}.conv2")
    for step in range(depth):
        y = _conv(through, channels // 2, 1, 1, f"{name}.m.{step}.conv1")
        y = _conv(y, channels // 2, 3, 1, f"{name}.m.{step}.conv2")
        through = layers.Add()([through, y]) if shortcut else y
    return _conv(layers.Concatenate()([through, past]), channels, 1, 1, f"{name}.conv3")


def load_tensors(network: keras.Model, tensors: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Fill `network` with tensors in torch's layout.

    Raises:
        WeightsError: one is missing, or has another shape.
    """
    for layer in network.layers:
        if not layer.weights:
            continue
        try:
            layer.set_weights(_layer_weights(layer, tensors))
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"{path}: the tensors of {layer.name} are not those of {network.name} ({error}); fetch them again"
            ) from error


def tensor_names(network: keras.Model) -> list[str]:
    """What the tensors are called that `load_tensors` asks for."""
    parts = [(layer.name, _parts(layer)) for layer in network.layers if layer.weights]
    return [f"{name}.{part}" for name, some in parts for part in some]


def _parts(layer: Any) -> tuple[str, ...]:
    if isinstance(layer, layers.BatchNormalization):
        return _BATCH_NORM
    return ("weight", "bias") if layer.use_bias else ("weight",)


def _layer_weights(layer: Any, tensors: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    """The arrays of one Keras layer, in the order that `set_weights` wants."""
    found = [np.asarray(tensors[f"{layer.name}.{part}"], np.float32) for part in _parts(layer)]
    return found if found[0].ndim == 1 else [found[0].transpose(2, 3, 1, 0), *found[1:]]
