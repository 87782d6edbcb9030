"""Inception-v4 as a Keras model, which keras.applications does not have, and the reader of its ImageNet weights.

Source: Szegedy et al., Inception-v4, arXiv:1602.07261, laid out and numbered as timm's `inception_v4` is, so that a
convolution here carries the name that its tensors have in timm's checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from featurize.backbones.spec import Backbone
from featurize.errors import WeightsError

_BATCH_NORM_EPSILON = 1e-3
_A_BLOCKS, _B_BLOCKS, _C_BLOCKS = 4, 7, 3

# One convolution: its channels, its kernel as (rows, columns), its step, and its padding.
_Conv = tuple[int, tuple[int, int], int, str]


def _one(channels: int) -> _Conv:
    return (channels, (1, 1), 1, "same")


def _same(channels: int, rows: int, columns: int) -> _Conv:
    return (channels, (rows, columns), 1, "same")


def _down(channels: int) -> _Conv:
    return (channels, (3, 3), 2, "valid")


def inception_v4_network(backbone: Backbone, weights: Path | None, _side_px: int | None = None) -> keras.Model:
    """The network of the registry's row, with the weights of timm's checkpoint unless that is None."""
    network = build_inception_v4(backbone.name)
    if weights is not None:
        load_timm_weights(network, weights)
    return network


def build_inception_v4(name: str = "inception_v4") -> keras.Model:
    """An untrained Inception-v4 without its classifier.

    Returns:
        A model from float32 (B, H, W, 3), H and W at least 75, to float32 (B, H/32, W/32, 1536). The blocks' outputs
        are the layers `a1_out` to `a4_out`, `b1_out` to `b7_out` and `c1_out` to `c3_out`.
    """
    image = keras.Input((None, None, 3), name="image")
    x = _chain(image, "features", [(32, (3, 3), 2, "valid"), (32, (3, 3), 1, "valid"), _same(64, 3, 3)])
    x = layers.Concatenate(name="mixed3a_out")([_max_pool(x), _conv(x, "features.3.conv", _down(96))])
    tall = _same(64, 7, 1)
    x = _join(
        "mixed4a_out",
        _chain(x, "features.4.branch0", [_one(64), (96, (3, 3), 1, "valid")]),
        _chain(x, "features.4.branch1", [_one(64), _same(64, 1, 7), tall, (96, (3, 3), 1, "valid")]),
    )
    x = _join("mixed5a_out", _conv(x, "features.5.conv", _down(192)), _max_pool(x))
    place = 6
    for number in range(_A_BLOCKS):
        x = _block_a(x, f"features.{place}", f"a{number + 1}_out")
        place += 1
    x = _reduction_a(x, f"features.{place}")
    place += 1
    for number in range(_B_BLOCKS):
        x = _block_b(x, f"features.{place}", f"b{number + 1}_out")
        place += 1
    x = _reduction_b(x, f"features.{place}")
    place += 1
    for number in range(_C_BLOCKS):
        x = _block_c(x, f"features.{place}", f"c{number + 1}_out")
        place += 1
    return keras.Model(image, x, name=name)


def _conv(x: Any, name: str, conv: _Conv) -> Any:
    channels, kernel, step, padding = conv
    x = layers.Conv2D(channels, kernel, step, padding=padding, use_bias=False, name=f"{name}.conv")(x)
    x = layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}.bn")(x)
    return layers.ReLU(name=f"{name}.relu")(x)


def _chain(x: Any, name: str, convs: list[_Conv]) -> Any:
    for number, conv in enumerate(convs):
        x = _conv(x, f"{name}.{number}", conv)
    return x


def _join(name: str, *branches: Any) -> Any:
    return layers.Concatenate(name=name)(list(branches))


def _max_pool(x: Any) -> Any:
    return layers.MaxPooling2D(3, 2)(x)


def _mean_branch(x: Any, name: str, channels: int) -> Any:
    """Averages over 3 x 3 (of what lies inside the picture), then a 1 x 1 convolution."""
    return _conv(layers.AveragePooling2D(3, 1, padding="same")(x), f"{name}.branch3.1", _one(channels))


def _block_a(x: Any, at: str, name: str) -> Any:
    return _join(
        name,
        _conv(x, f"{at}.branch0", _one(96)),
        _chain(x, f"{at}.branch1", [_one(64), _same(96, 3, 3)]),
        _chain(x, f"{at}.branch2", [_one(64), _same(96, 3, 3), _same(96, 3, 3)]),
        _mean_branch(x, at, 96),
    )


def _reduction_a(x: Any, at: str) -> Any:
    return _join(
        "reduction_a_out",
        _conv(x, f"{at}.branch0", _down(384)),
        _chain(x, f"{at}.branch1", [_one(192), _same(224, 3, 3), _down(256)]),
        _max_pool(x),
    )


def _block_b(x: Any, at: str, name: str) -> Any:
    tall_and_wide = [_one(192), _same(192, 7, 1), _same(224, 1, 7), _same(224, 7, 1), _same(256, 1, 7)]
    return _join(
        name,
        _conv(x, f"{at}.branch0", _one(384)),
        _chain(x, f"{at}.branch1", [_one(192), _same(224, 1, 7), _same(256, 7, 1)]),
        _chain(x, f"{at}.branch2", tall_and_wide),
        _mean_branch(x, at, 128),
    )


def _reduction_b(x: Any, at: str) -> Any:
    return _join(
        "reduction_b_out",
        _chain(x, f"{at}.branch0", [_one(192), _down(192)]),
        _chain(x, f"{at}.branch1", [_one(256), _same(256, 1, 7), _same(320, 7, 1), _down(320)]),
        _max_pool(x),
    )


def _block_c(x: Any, at: str, name: str) -> Any:
    """The block whose second and third branch fork at their ends."""
    second = _conv(x, f"{at}.branch1_0", _one(384))
    third = _conv(x, f"{at}.branch2_0", _one(384))
    third = _conv(third, f"{at}.branch2_1", _same(448, 3, 1))
    third = _conv(third, f"{at}.branch2_2", _same(512, 1, 3))
    return _join(
        name,
        _conv(x, f"{at}.branch0", _one(256)),
        _conv(second, f"{at}.branch1_1a", _same(256, 1, 3)),
        _conv(second, f"{at}.branch1_1b", _same(256, 3, 1)),
        _conv(third, f"{at}.branch2_3a", _same(256, 1, 3)),
        _conv(third, f"{at}.branch2_3b", _same(256, 3, 1)),
        _mean_branch(x, at, 256),
    )


def load_timm_weights(network: keras.Model, checkpoint: Path) -> None:
    """Fill `network` with the tensors of timm's `inception_v4` checkpoint; its classifier is left out.

    Args:
        network: from `build_inception_v4`.
        checkpoint: a safetensors file.

    Raises:
        WeightsError: safetensors is not installed, or the file does not hold this network.
    """
    tensors = _read_safetensors(checkpoint)
    try:
        for layer in network.layers:
            if layer.weights:
                layer.set_weights(_layer_weights(layer, tensors))
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{checkpoint}: not a checkpoint of timm's inception_v4 ({error})") from error


def _read_safetensors(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise WeightsError(
            f"{path}: reading it needs safetensors, which is not installed; run `pip install safetensors`"
        ) from error
    try:
        tensors: Mapping[str, NDArray[Any]] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file ({error}); download it again") from error
    return tensors


def _layer_weights(layer: Any, tensors: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    """The arrays of one Keras layer, in the order that `set_weights` wants."""
    if isinstance(layer, layers.Conv2D):
        return [tensors[f"{layer.name}.weight"].transpose(2, 3, 1, 0)]
    return [tensors[f"{layer.name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
