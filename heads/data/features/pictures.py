"""Pictures of clips, out of the store's JPEG files, as heads that learn from pixels see them."""

import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import psutil
import simplejpeg
from numpy.typing import NDArray

from store import FeatureReader, Status
from store.errors import CorruptPartError

# Of the memory that is free, so much may be taken by pictures that need not be decoded again.
_SHARE_OF_MEMORY = 0.25


class PictureReader:
    """The pictures of clips as squares of one size, in the place of features; see `heads.data.features.readers.Reader`.

    Of a clip that has more pictures than are asked for, evenly spaced ones are taken; one that has fewer has them all,
    and `mask` says which these are: nothing stands in for frames that are not there. Pictures are decoded in threads.
    Those that were decoded first are kept as long as there is room, since in every epoch all of them come once.

    Args:
        reader: of features that pictures are kept beside.
        frames: how many pictures of a clip are seen.
        px: side in pixels; other shapes are squashed.
        most_bytes: of decoded pictures in memory; a quarter of what is free if None.
    """

    def __init__(self, reader: FeatureReader, frames: int, px: int, most_bytes: int | None = None) -> None:
        self.reader = reader
        self.ids: Sequence[str] = reader.ids
        self.fingerprints: Sequence[str] = reader.fingerprints
        self.status: Sequence[Status] = reader.status
        self.reasons: Sequence[str] = reader.reasons
        self.lengths = reader.lengths
        self.dim = reader.dim
        self.tap_widths = reader.tap_widths
        self.digest = reader.digest
        self.key_folders = reader.key_folders
        self.cache: Path = reader.cache
        self.dtype = np.dtype(np.uint8)
        self._shape = (frames, px, px, 3)
        self._most_bytes = (
            round(psutil.virtual_memory().available * _SHARE_OF_MEMORY) if most_bytes is None else most_bytes
        )
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self.kept_bytes = 0
        self._lock = threading.Lock()

    def index_of(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """The index of each of `ids`.

        Raises:
            UnknownClipError: some are not there; the first few are named.
        """
        return self.reader.index_of(ids)

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The pictures (B, T, px, px, 3) of some clips in red, green and blue, and their mask (B, T).

        Raises:
            CorruptPartError: a picture cannot be decoded.
        """
        frames = self._shape[0]
        pixels = np.zeros((len(indices), *self._shape), np.uint8)
        rows = [int(row) for row in indices]
        with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode-pictures") as pool:
            for place, found in enumerate(pool.map(self._clip, rows)):
                pixels[place, : len(found)] = found
        return pixels, np.arange(frames) < self.lengths[rows][:, None]

    def some(self, rows: Sequence[int], places: Sequence[int]) -> NDArray[np.uint8]:
        """(B, 1, px, px, 3) one picture of each of some clips: `places` counts those that are seen, from 0.

        Raises:
            CorruptPartError: a picture cannot be decoded.
        """
        with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode-pictures") as pool:
            return np.stack([found[None] for found in pool.map(self._picture, rows, places)])

    def seen(self, row: int) -> list[int]:
        """Which of a clip's pictures are seen, in order."""
        return evenly_chosen(int(self.lengths[row]), self._shape[0])

    def times(self, index: int) -> NDArray[np.float64]:
        """(T,) the presentation time of each frame of a clip, in seconds."""
        return self.reader.times(index)

    def per_frame(self, name: str, index: int) -> NDArray[np.float32] | None:
        """(T, ...) the per-frame numbers `name` of a clip; None if they were not stored with it."""
        return self.reader.per_frame(name, index)

    def _clip(self, row: int) -> NDArray[np.uint8]:
        """(T, px, px, 3) the pictures of a clip that are seen, out of memory where they are there."""
        kept = self._kept.get(row)
        if kept is not None:
            return kept
        pictures = self.reader.pictures(row)
        chosen = evenly_chosen(len(pictures), self._shape[0])
        found = np.empty((len(chosen), *self._shape[1:]), np.uint8)
        for place, number in enumerate(chosen):
            found[place] = self._decoded(row, pictures, number)
        with self._lock:
            if row not in self._kept and self.kept_bytes + found.nbytes <= self._most_bytes:
                self._kept[row] = found
                self.kept_bytes += found.nbytes
        return found

    def _picture(self, row: int, place: int) -> NDArray[np.uint8]:
        """(px, px, 3) one of the pictures of a clip that are seen; the others are not decoded for it."""
        kept = self._kept.get(row)
        return self._decoded(row, self.reader.pictures(row), self.seen(row)[place]) if kept is None else kept[place]

    def _decoded(self, row: int, pictures: Sequence[bytes], number: int) -> NDArray[np.uint8]:
        try:
            return decode_square(pictures[number], self._shape[1])
        except (ValueError, cv2.error) as error:
            raise CorruptPartError(
                f"clip '{self.ids[row]}': its picture {number} cannot be decoded ({error}); run `store verify`"
            ) from error


def evenly_chosen(count: int, most: int) -> list[int]:
    """Which of `count` frames are seen where `most` are: all of them, or evenly spaced ones with both ends."""
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def decode_square(picture: bytes, px: int) -> NDArray[np.uint8]:
    """A JPEG file as a square (px, px, 3) in red, green and blue, reduced while it is decoded as far as that goes."""
    reduced = simplejpeg.decode_jpeg(picture, "RGB", min_height=px, min_width=px)
    return np.asarray(cv2.resize(reduced, (px, px), interpolation=cv2.INTER_AREA), np.uint8)
