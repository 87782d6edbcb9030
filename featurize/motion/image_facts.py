"""Cheap facts about a clip's picture, from a low-resolution copy of it: no network is involved.

The copy has a fixed size and rate, so that the facts do not depend on how a backbone samples the clip.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurize.motion.lowres import LowresFrames, median_over_time

LOW_WIDTH_PX = 160
LOW_FPS = 8.0
# A clip that would give more low-resolution frames than this is looked at more thinly over its whole length.
MOST_LOW_FRAMES = 512
# A frame counts as infrared where its mean chroma (largest minus smallest channel) is below this share of its mean
# grey level: relative, so that a dark frame in colour does not pass for one.
_INFRARED_CHROMA = 0.05


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """Brightness, colour and motion of a clip; see `ClipFacts` for units. NaN where there is no frame."""

    brightness_mean: float = float("nan")
    brightness_std: float = float("nan")
    saturation_mean: float = float("nan")
    infrared_share: float = float("nan")
    motion_mean: float = float("nan")
    motion_share: float = float("nan")
    motion_peak: float = float("nan")
    image_hash: str = ""


def find_image_facts(lowres: LowresFrames) -> ImageFacts:
    """The facts of a low-resolution copy."""
    if len(lowres) == 0:
        return ImageFacts()
    grey = lowres.grey / 255
    saturation = np.divide(
        lowres.chroma, lowres.largest, out=np.zeros(grey.shape, np.float32), where=lowres.largest > 0
    )
    motion = float(np.abs(np.diff(grey, axis=0)).mean()) if len(lowres) > 1 else float("nan")
    return ImageFacts(
        brightness_mean=float(grey.mean()),
        brightness_std=float(grey.std(axis=(1, 2)).mean()),
        saturation_mean=float(saturation.mean()),
        infrared_share=float(_infrared_frames(lowres).mean()),
        motion_mean=motion,
        image_hash=difference_hash(median_over_time(grey)),
    )


def _infrared_frames(lowres: LowresFrames) -> NDArray[np.bool_]:
    """(L,) whether each frame is without colour."""
    return np.asarray(lowres.chroma.mean(axis=(1, 2)) <= _INFRARED_CHROMA * lowres.grey.mean(axis=(1, 2)))


def difference_hash(grey: NDArray[np.float32]) -> str:
    """The 64-bit difference hash of a grey picture, as 16 hex digits.

    Each bit says whether a cell of a 9 x 8 reduction is darker than its right neighbour. Source: N. Krawetz, "Kind of
    like that" (2013).
    """
    small = Image.fromarray((grey * 255).astype(np.uint8)).resize((9, 8), Image.Resampling.BOX)
    cells = np.asarray(small, np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()
