"""The layers of saved heads, registered with Keras: import this to load a head without the rest of Trapline."""

from heads.models.layers import (
    AttentionPooling,
    Competing,
    MeanOfLogits,
    Standardise,
    TapDropout,
    TimeWindow,
    TurnRound,
)
from heads.models.pixel_layers import CropClip, KeepFrames

__all__ = [
    "AttentionPooling",
    "Competing",
    "CropClip",
    "KeepFrames",
    "MeanOfLogits",
    "Standardise",
    "TapDropout",
    "TimeWindow",
    "TurnRound",
]
