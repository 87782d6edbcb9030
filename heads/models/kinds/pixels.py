"""What heads that learn from pixels have in common: the part of a clip that they are shown, and what they end in."""

from typing import Any

import keras
from keras import layers

from heads.models.layers import Dropout
from heads.models.networks import POOLED, HeadShape
from heads.models.pixel_layers import CropClip
from heads.recipe import HeadConfig


def relu_tail(config: HeadConfig, inputs: dict[str, Any], _shape: HeadShape) -> Any:
    """Dense layers over what the front found, each with dropout behind it."""
    x = inputs[POOLED]
    for number, width in enumerate(config.dense_units):
        x = layers.Dense(width, activation="relu", name=f"dense{number}")(x)
        x = Dropout(config.dense_dropout, name=f"dense_dropout{number}")(x)
    return x


def cropped_clip(config: HeadConfig) -> tuple[list[Any], Any, Any]:
    """The inputs of a front, and the part of the clip that it sees with its mask."""
    px = config.clip_px
    pixels = keras.Input((config.clip_frames, px, px, 3), name="features")
    mask = keras.Input((config.clip_frames,), dtype="bool", name="mask")
    crop = CropClip(config.crop_frames, config.crop_px, config.colour_shift, name="crop")
    return [pixels, mask], *crop(pixels, mask)
