"""The low-resolution frames of a clip, from which its facts and its motion are computed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class LowresFrames:
    """Low-resolution frames, and what is asked of them more than once, each computed when it is first asked for.

    Attributes:
        pixels: (L, h, w, 3) uint8, evenly spaced in time; L may be 0.
    """

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        """L."""
        return len(self.pixels)

    @cached_property
    def grey(self) -> NDArray[np.float32]:
        """(L, h, w) grey levels, 0 to 255."""
        red, green, blue = _GREY
        grey = self._channels[0] * red
        grey += self._channels[1] * green
        grey += self._channels[2] * blue
        return np.asarray(grey, np.float32)

    @cached_property
    def largest(self) -> NDArray[np.uint8]:
        """(L, h, w) the largest channel of each pixel."""
        red, green, blue = self._channels
        return np.asarray(np.maximum(np.maximum(red, green), blue))

    @cached_property
    def chroma(self) -> NDArray[np.uint8]:
        """(L, h, w) the largest minus the smallest channel of each pixel."""
        red, green, blue = self._channels
        return np.asarray(self.largest - np.minimum(np.minimum(red, green), blue))

    @cached_property
    def _channels(self) -> NDArray[np.uint8]:
        """(3, L, h, w), each channel in one piece: far quicker to go through than every third byte."""
        return np.ascontiguousarray(np.moveaxis(self.pixels, -1, 0))


def median_over_time(frames: NDArray[Any]) -> NDArray[Any]:
    """The median over the first axis of (L, ...) numbers, L at least 1, as `np.median` gives it.

    Each pixel's numbers are laid side by side and sorted, for which numpy has vector instructions, as it has not for
    partitioning.
    """
    each = np.sort(np.ascontiguousarray(frames.reshape(len(frames), -1).T), axis=1)
    middle = len(frames) // 2
    median = each[:, middle] if len(frames) % 2 else (each[:, middle - 1] + each[:, middle]) / 2
    return np.ascontiguousarray(median.reshape(frames.shape[1:]), frames.dtype)  # OpenCV misreads every nth number
