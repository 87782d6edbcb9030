"""Clips whose frames say which they are: the grey level of frame i is `grey_of(i)`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurize.demo.scenes import write_video

STEP = 4


def grey_of(index: int) -> int:
    return 20 + STEP * index


def index_of(frame: NDArray[np.uint8]) -> int:
    """Which frame of an indexed clip this is, from its middle; resizing and coding leave flat pictures nearly alone."""
    height, width = frame.shape[:2]
    middle = frame[height // 4 : -height // 4, width // 4 : -width // 4].astype(float).mean()
    return round((middle - 20) / STEP)


def indexed_frames(count: int, width: int = 64, height: int = 48) -> Iterator[NDArray[np.uint8]]:
    for index in range(count):
        yield np.full((height, width, 3), grey_of(index), np.uint8)


def write_indexed_clip(path: Path, count: int, fps: float, arguments: Sequence[str] = ()) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sharp = ["-crf", "1"] if path.suffix.lower() == ".mp4" else []
    write_video(path, indexed_frames(count), fps=fps, arguments=[*sharp, *arguments])
    return path
