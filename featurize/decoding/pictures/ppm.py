"""Pictures out of what ffmpeg writes: binary PPM files one after the other, each of which says how large it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def ppm_frames(stream: IO[bytes]) -> Iterator[NDArray[np.uint8]]:
    """The whole pictures (H, W, 3) uint8 of a stream of binary PPM files; one that was cut off is not among them."""
    while stream.readline() == b"P6\n":
        width, height = map(int, stream.readline().split())
        stream.readline()
        size = width * height * 3
        content = stream.read(size)
        if len(content) < size:
            return
        yield np.frombuffer(content, np.uint8).reshape(height, width, 3)


def ppm_frames_alike(path: Path) -> NDArray[np.uint8]:
    """The pictures (L, H, W, 3) uint8 of a file of binary PPM files, in the size of the first; none without a file."""
    if not path.exists():
        return np.empty((0, 0, 0, 3), np.uint8)
    with path.open("rb") as file:
        frames = list(ppm_frames(file))
    return (
        np.stack([_sized(frame, frames[0].shape) for frame in frames]) if frames else np.empty((0, 0, 0, 3), np.uint8)
    )


def _sized(frame: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """`frame` in another's shape: a clip's resolution may change on the way."""
    if frame.shape == shape:
        return frame
    return np.asarray(Image.fromarray(frame).resize((shape[1], shape[0]), Image.Resampling.BOX))
