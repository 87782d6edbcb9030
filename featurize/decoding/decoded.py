"""What decoding gives of one clip."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurize.decoding.ffmpeg import Probe
from featurize.motion.energy import NO_MOTION, Motion
from featurize.motion.image_facts import PictureFacts
from featurize.views.crops import Look, Pictures
from store.records import Status


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The sampled frames of one clip.

    Attributes:
        pictures: what each look shows of them.
        times_s: (T,) presentation times in seconds, from the clip's start.
        status: how decoding went.
        reason: why it was not OK, one sentence; "" if it was.
        source: what the container says.
        picture: brightness, colour and motion.
        motion: where something moves.
    """

    pictures: Mapping[Look, Pictures]
    times_s: NDArray[np.float64]
    status: Status
    reason: str
    source: Probe
    picture: PictureFacts
    motion: Motion


def no_frames(reason: str, source: Probe) -> Frames:
    """A clip that failed for `reason`; `source` is what its container says."""
    return Frames(
        pictures={},
        times_s=np.empty(0),
        status=Status.FAILED,
        reason=reason,
        source=source,
        picture=PictureFacts(),
        motion=NO_MOTION,
    )
