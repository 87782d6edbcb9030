"""What decoding gives of one clip."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurize.decoding.ffmpeg import Probe
from featurize.motion.energy import NO_MOTION, Motion
from featurize.motion.image_facts import ImageFacts
from featurize.views.crops import Crops, ViewSpec
from store.records import Status


@dataclass(frozen=True, kw_only=True)
class DecodedClip:
    """What decoding gives of one clip.

    Attributes:
        crops: what is shown of its sampled frames, by size and view.
        times_s: (T,) presentation times of the sampled frames in seconds, from the clip's start.
        status: how decoding went.
        reason: why it was not OK, one sentence; "" if it was.
        container: what the container states.
        image_facts: brightness, colour and motion.
        motion: where something moves.
    """

    crops: Mapping[ViewSpec, Crops]
    times_s: NDArray[np.float64]
    status: Status
    reason: str
    container: Probe
    image_facts: ImageFacts
    motion: Motion


def no_frames(reason: str, container: Probe) -> DecodedClip:
    """A clip that failed for `reason`; `container` is what its container states."""
    return DecodedClip(
        crops={},
        times_s=np.empty(0),
        status=Status.FAILED,
        reason=reason,
        container=container,
        image_facts=ImageFacts(),
        motion=NO_MOTION,
    )
