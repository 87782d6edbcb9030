"""Low-resolution clips with a known background and known movers, for tests of what motion is found."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH, FRAMES, FPS = 90, 160, 60, 8.0
TIMES_S = np.arange(FRAMES) / FPS

Path = Callable[[int], tuple[float, float, float] | None]
"""Frame index to (left, top, side) of a square in pixels, or None where it is not there."""


def scene(seed: int = 0) -> NDArray[np.float32]:
    """(H, W, 3) a textured picture, 0 to 255, in colour."""
    noise = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(110 + 160 * texture + np.array([0, 12, 30], np.float32), 0, 255)


def clip(*paths: Path, noise: float = 2.0, seed: int = 0, grey: float = 225.0) -> NDArray[np.float32]:
    """(L, H, W, 3) the scene with noise and a bright square along each of `paths`."""
    rng = np.random.default_rng(seed + 1)
    frames = np.repeat(scene(seed)[None], FRAMES, axis=0)
    for index, frame in enumerate(frames):
        for path in paths:
            place = path(index)
            if place is not None:
                left, top, side = (round(value) for value in place)
                frame[max(top, 0) : top + side, max(left, 0) : left + side] = grey
    return frames + rng.normal(0, noise, frames.shape).astype(np.float32)


def as_pixels(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The frames as a decoder gives them."""
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


def walk(first: int = 20, last: int = 44, *, top: float = 40, side: float = 24, speed: float = 4.0) -> Path:
    """A square that comes in from the left at frame `first` and is gone after `last`."""
    return lambda index: (10 + speed * (index - first), top, side) if first <= index <= last else None


def overlap(box: tuple[float, float, float, float], square: tuple[float, float, float]) -> float:
    """Intersection over union of a box in shares of the frame and a square in pixels."""
    left, top, right, bottom = box[0] * WIDTH, box[1] * HEIGHT, box[2] * WIDTH, box[3] * HEIGHT
    x, y, side = square
    wide = max(0.0, min(right, x + side) - max(left, x))
    high = max(0.0, min(bottom, y + side) - max(top, y))
    shared = wide * high
    return shared / ((right - left) * (bottom - top) + side * side - shared)
