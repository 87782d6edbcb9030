"""Image hashes and colour statistics of a frame, in place of a network.

Four hashes of 64 bits, each bit a column of 0 or 1, by the imagehash library, as the second place of Pri-matrix
Factorization used them; and twelve numbers about brightness, colour and edges, each from 0 to 1.
"""

from collections.abc import Callable, Sequence

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurize.backbones.runner import Runner
from featurize.backbones.spec import Backbone

_HASHES = (imagehash.average_hash, imagehash.phash, imagehash.dhash, imagehash.whash)
_TWO_HASHES = (imagehash.phash, imagehash.dhash)
_PERCENTILES = (5, 50, 95)


def image_hash_runner(_backbone: Backbone) -> Runner:
    """A function from frames (B, H, W, 3) uint8 to their hashes and statistics (B, 268) float32."""
    return lambda pixels: np.stack([_describe(frame) for frame in pixels])


def two_hashes_runner(_backbone: Backbone) -> Runner:
    """A function from frames (B, H, W, 3) uint8 to two of their hashes (B, 128) float32."""
    return lambda pixels: np.stack([_bits(Image.fromarray(frame), _TWO_HASHES) for frame in pixels])


def statistics_runner(_backbone: Backbone) -> Runner:
    """A function from frames (B, H, W, 3) uint8 to their statistics alone (B, 12) float32."""
    return lambda pixels: np.stack([frame_statistics(frame) for frame in pixels])


def _describe(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([_bits(Image.fromarray(frame), _HASHES), frame_statistics(frame)])


def _bits(image: Image.Image, hashes: Sequence[Callable[[Image.Image], imagehash.ImageHash]]) -> NDArray[np.float32]:
    """The bits of some hashes of a frame, one after the other, (64 each) 0 or 1."""
    return np.concatenate([hashed(image).hash.ravel().astype(np.float32) for hashed in hashes])


def frame_statistics(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Twelve numbers, each 0 to 1, about a frame (H, W, 3) uint8.

    In order: mean of red, green and blue; their standard deviations; the 5th, 50th and 95th percentile of the grey
    level; mean HSV saturation; mean chroma (largest minus smallest channel); mean absolute step between neighbouring
    pixels.
    """
    colour = frame.astype(np.float32) / 255
    grey = colour.mean(axis=2)
    largest, chroma = colour.max(axis=2), np.ptp(colour, axis=2)
    saturation = np.divide(chroma, largest, out=np.zeros_like(chroma), where=largest > 0)
    steps = (np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()) / 2
    numbers = [
        *colour.mean(axis=(0, 1)),
        *colour.std(axis=(0, 1)),
        *np.percentile(grey, _PERCENTILES),
        saturation.mean(),
        chroma.mean(),
        steps,
    ]
    return np.array(numbers, np.float32)
