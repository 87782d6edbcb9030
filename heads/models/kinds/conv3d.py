"""A network of convolutions over time and space, which learns from pixels without any that was trained before."""

from typing import Any

import keras
from keras import layers

from heads.models.kinds.pixels import cropped_clip
from heads.models.networks import FRONT
from heads.models.pixel_layers import KeepFrames
from heads.recipe import HeadConfig


def conv3d_front(config: HeadConfig, _dim: int) -> Any:
    """Blocks of two convolutions over time and space and a maximum over 2 x 2 x 2, laid out flat.

    Source: second place of DrivenData's Pri-matrix Factorization (VGG_3D_24_56_56).
    """
    inputs, x, kept = cropped_clip(config)
    for block, filters in enumerate(config.filters):
        for number in range(2):
            x = layers.Conv3D(filters, 3, padding="same", activation="relu", name=f"block{block}_{number}")(x)
            x = KeepFrames(name=f"keep{block}_{number}")(x, kept)
        x = layers.MaxPooling3D(2, name=f"pool{block}")(x)
    return keras.Model(inputs, layers.Flatten(name="flat")(x), name=FRONT)
