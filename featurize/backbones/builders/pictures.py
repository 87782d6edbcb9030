"""The frames themselves, in place of a network: JPEG files, for heads that learn from pixels, and their mean colour."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from featurize.backbones.encoding import QUALITY, SUBSAMPLING
from featurize.backbones.runner import Runner
from featurize.backbones.spec import Backbone


def mean_colour_runner(_backbone: Backbone) -> Runner:
    """A function from frames (B, H, W, 3) uint8 to the mean of their red, green and blue, (B, 3) float32, 0 to 1."""
    return lambda pixels: np.asarray(pixels.mean(axis=(1, 2)) / 255, np.float32)


def encode_picture(frame: NDArray[np.uint8]) -> bytes:
    """A frame (H, W, 3) as a JPEG file; the same frame gives the same bytes."""
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(frame), quality=QUALITY, colorspace="RGB", colorsubsampling=SUBSAMPLING, fastdct=False
    )
    return encoded
