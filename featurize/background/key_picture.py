"""The key picture of a clip: what its place looked like then, in low resolution and grey."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurize.motion.energy import light_modes
from featurize.motion.lowres import LowresFrames, median_over_time

# Frames that a key picture is made of, evenly spaced; and how many different ones make it worth having.
KEY_FRAMES = 7
FEWEST_KEY_FRAMES = 3
# A clip of no more pixels than this, in all of its frames, is decoded whole for its key picture; of a longer one the
# decoder jumps from one frame that stands by itself to the next.
MOST_DECODED_PX = 50_000_000
# Added to the spread of grey levels (0 to 255), so that noise in a black picture is not blown up.
LEAST_SPREAD = 4.0
# Grey levels are brought to one scale by these percentiles: the one in the middle becomes 0, the outer two stand apart
# by 1.
SCALE_PERCENTILES = (10.0, 50.0, 90.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class KeyPicture:
    """The median of a few frames of a clip.

    Attributes:
        grey: (h, w) uint8 grey levels.
        infrared: whether the clip is infrared, or most of it: such pictures are never compared with those in colour.
    """

    grey: NDArray[np.uint8]
    infrared: bool


def key_picture(frames: LowresFrames) -> KeyPicture | None:
    """The key picture of some frames of a clip, of those in the light that most of them have; None without frames."""
    if not len(frames):
        return None
    modes = light_modes(frames)
    infrared = bool(2 * np.count_nonzero(modes) > len(modes))
    median = median_over_time(frames.grey[modes == infrared])
    return KeyPicture(grey=np.clip(np.rint(median), 0, 255).astype(np.uint8), infrared=infrared)


def scaled(grey: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (..., h, w) with median 0, and 1 from the 10th to the 90th percentile, each by itself."""
    levels = grey.astype(np.float32)
    low, middle, high = np.percentile(levels, SCALE_PERCENTILES, axis=(-2, -1), keepdims=True)
    return np.asarray((levels - middle) / (high - low + LEAST_SPREAD), np.float32)
