"""Squares of a frame brought half way to a usual brightness and contrast: a dark animal at night, a pale one in fog.

Each square has one table of 256 levels, the same for red, green and blue. What decides about it are whole numbers, how
many pixels have which luminance, so that the same square gives the same bits on every machine.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEAN, SPREAD = 115.0, 58.0
# How much of the way to that: of the mean, and as a power (a root) of the gain that the spread would need.
SHARE = 0.5
# That gain, before the root is taken.
GAIN_RANGE = (0.2, 5.0)


def contrast_settings() -> dict[str, Any]:
    """What decides about it, as it stands in feature keys of views whose squares are so; the words are frozen."""
    return {
        "contrast.mean": MEAN,
        "contrast.spread": SPREAD,
        "contrast.share": SHARE,
        "contrast.gain_range": list(GAIN_RANGE),
    }


def even_out(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`square` (H, W, 3) uint8 with its luminance half way to the usual mean and spread, (H, W, 3) uint8.

    The spread is the standard deviation. A square without any only becomes lighter or darker.
    """
    picture = Image.fromarray(square)
    return np.asarray(picture.point(_levels(picture.convert("L").histogram()).tolist() * 3))


def _levels(counts: Sequence[int]) -> NDArray[np.uint8]:
    """What each level becomes, (256,), where so many pixels (256,) have a luminance of each; there is one at least."""
    found, level = np.array(counts, np.int64), np.arange(256)
    pixels, total, squares = (int(found @ level**power) for power in (0, 1, 2))
    mean = total / pixels
    spread = math.sqrt(pixels * squares - total**2) / pixels
    gain = math.sqrt(min(max(SPREAD / spread, GAIN_RANGE[0]), GAIN_RANGE[1])) if spread else 1.0
    moved = mean + SHARE * (MEAN - mean) + gain * (level - mean)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)  # type: ignore[no-any-return]
