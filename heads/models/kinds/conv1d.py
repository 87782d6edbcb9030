"""A network of convolutions over the sound of a clip, which learns from the samples as they were recorded."""

from typing import Any

import keras
from keras import layers

from heads.models.networks import FRONT
from heads.models.sound_layers import POOL, CropSound, SoundBlock, TakeBack
from heads.recipe import HeadConfig

# Of each block, the last for all further ones.
_CONVOLUTIONS = (1, 2, 2, 3)


def conv1d_front(config: HeadConfig, dim: int) -> Any:
    """Blocks of convolutions over time, each with a maximum over 16 steps behind it, laid out flat.

    Four blocks make 5 steps of 80 pieces of 4,096 samples.

    Source: second place of DrivenData's Pri-matrix Factorization (get_zf_simple_audio_model_v1).
    """
    features, mask = keras.Input((None, dim), name="features"), keras.Input((None,), dtype="bool", name="mask")
    x, there = CropSound(config.crop_frames, name="crop")(features, mask)
    for block, filters in enumerate(config.filters):
        convolutions = _CONVOLUTIONS[min(block, len(_CONVOLUTIONS) - 1)]
        whole = dim % POOL ** (block + 1) == 0  # clips are whole pieces
        x, there = SoundBlock(filters, convolutions, whole, name=f"block{block}")(x, there)
    found = TakeBack(name="take_back")(layers.Flatten(name="flat")(x), mask)
    return keras.Model([features, mask], found, name=FRONT)
