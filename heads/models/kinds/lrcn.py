"""A network of convolutions over each frame alone and an LSTM over what they find, which learns from pixels."""

from typing import Any

import keras
from keras import layers

from heads.models.kinds.pixels import cropped_clip
from heads.models.layers import Dropout
from heads.models.networks import FRONT
from heads.recipe import HeadConfig


def lrcn_front(config: HeadConfig, _dim: int) -> Any:
    """Convolutions over each frame alone, and an LSTM over what they find: a long-term recurrent convolutional network.

    Source: Donahue et al., "Long-term recurrent convolutional networks for visual recognition and description", 2015,
    in the form that Keras users know, for small squares and without batch normalisation.
    """
    inputs, x, kept = cropped_clip(config)
    for block, filters in enumerate(config.filters):
        for number in range(2):
            first = block == number == 0
            x = layers.Conv3D(
                filters,
                (1, 7, 7) if first else (1, 3, 3),
                strides=(1, 2, 2) if first else 1,
                padding="same",
                activation="relu",
                name=f"block{block}_{number}",
            )(x)
        x = layers.MaxPooling3D((1, 2, 2), name=f"pool{block}")(x)
    frames = layers.Reshape((config.crop_frames, -1), name="each_frame")(x)
    frames = Dropout(config.frame_dropout, name="frame_dropout")(frames)
    return keras.Model(inputs, layers.LSTM(config.recurrent_units, name="recurrent")(frames, mask=kept), name=FRONT)
