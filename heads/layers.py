"""The layers of saved heads, registered with Keras: import this to load a head without the rest of Trapline."""

from heads.models.layers import (
    AttentionPooling,
    Competing,
    Dropout,
    MeanOfLogits,
    Named,
    Standardise,
    TapDropout,
    TimeWindow,
    TurnRound,
)
from heads.models.pixel_layers import CropClip, KeepFrames
from heads.models.sound_layers import CropSound, NormaliseHeard, SoundBlock, TakeBack

__all__ = [
    "AttentionPooling",
    "Competing",
    "CropClip",
    "CropSound",
    "Dropout",
    "KeepFrames",
    "MeanOfLogits",
    "Named",
    "NormaliseHeard",
    "SoundBlock",
    "Standardise",
    "TakeBack",
    "TapDropout",
    "TimeWindow",
    "TurnRound",
]
