"""One recurrent layer over the frames of a clip as they come; what it remembers at the end stands for the clip."""

from typing import Any

import keras
from keras import layers

from heads.models.kinds.pixels import relu_tail
from heads.models.layers import Dropout
from heads.models.networks import FRONT, POOLED, HeadShape, window_of
from heads.recipe import HeadConfig


def gru_front(config: HeadConfig, dim: int) -> Any:
    """What a wide recurrent layer remembers of (a part of) a clip after its last frame.

    Features are taken as they are: a bit of a hash that hardly ever changes at the places that were learned from would,
    standardised, drown all others at a place where it does.

    It resets what it remembers before it multiplies it, as such layers did when this network was published.

    Source: second place of DrivenData's Pri-matrix Factorization (GRU over image hashes, VGG16 and Inception v3).
    """
    features, mask = keras.Input((None, dim), name="features"), keras.Input((None,), dtype="bool", name="mask")
    read = layers.GRU(
        config.recurrent_units, recurrent_dropout=config.recurrent_dropout, reset_after=False, name="recurrent"
    )
    return keras.Model([features, mask], read(features, mask=window_of(config, mask)), name=FRONT)


def gru_tail(config: HeadConfig, inputs: dict[str, Any], shape: HeadShape) -> Any:
    """A part of it dropped, and dense layers, if the recipe asks for any."""
    remembered = Dropout(config.dropout, name="clip_dropout")(inputs[POOLED])
    return relu_tail(config, {**inputs, POOLED: remembered}, shape)
