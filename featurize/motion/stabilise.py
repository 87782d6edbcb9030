"""Undoes the shaking of a camera: frames are shifted onto the background they belong to."""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

# Shifts in pixels of the low-resolution copy. Below the first nothing is gained and resampling would add noise of its
# own; beyond the second it is no shaking.
LEAST_SHIFT_PX = 0.75
MOST_SHIFT_PX = 16.0
# A shift is believed only if it brings the frame so much nearer to the background, in the median over pixels: an
# animal that walks through does not move the trees.
GAIN = 0.7
STRIDE_PX = 3
# How the above is carried out. 1 let OpenCV 5 fade the edges of background and frames further with every frame, which
# undid the wrong shifts of clips that shake.
REVISION = 2


def stabilised(grey: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
    """`grey` (L, H, W) float32, each frame shifted onto `background` (H, W) where that brings it clearly nearer.

    Shifts are found by phase correlation (OpenCV's `phaseCorrelate`). A frame that stands still is returned untouched.
    """
    height, width = background.shape
    if min(height, width) < 4 * MOST_SHIFT_PX:
        return grey
    steady = grey.copy()
    for index, frame in enumerate(grey):
        right, down = shift_between(background, frame)
        if not LEAST_SHIFT_PX <= max(abs(right), abs(down)) <= MOST_SHIFT_PX:
            continue
        moved = shifted_back(frame, right, down)
        if _distance(moved, background) < GAIN * _distance(frame, background):
            steady[index] = moved
    return steady


def shift_between(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """By how many pixels `other` (h, w) is shifted to the right and downwards against `one`, by phase correlation."""
    window = _window(*one.shape)
    # OpenCV 5 multiplies what it is given by the window, in place.
    (right, down), _ = cv2.phaseCorrelate(one.copy(), other.copy(), window)
    return float(right), float(down)


@functools.lru_cache(maxsize=4)
def _window(height: int, width: int) -> NDArray[np.float32]:
    """(height, width) weights that fade towards the edges."""
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)


def shifted_back(picture: NDArray[np.float32], right: float, down: float) -> NDArray[np.float32]:
    """`picture` (h, w) moved to the left by `right` and up by `down`; its edges are repeated."""
    height, width = picture.shape
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(picture, shift, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The median difference of two pictures, on a grid of their pixels."""
    return float(np.median(np.abs(one[::STRIDE_PX, ::STRIDE_PX] - other[::STRIDE_PX, ::STRIDE_PX])))
