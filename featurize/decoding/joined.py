"""Recordings that stand one behind the other in a file of which ffmpeg reads the first ones only.

Only the outermost boxes of the file are walked along: a few reads, however large it is.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_EBML_HEADER = bytes.fromhex("1a45dfa3")
_MOST_BOXES = 10_000
# Of Matroska files that were joined, ffmpeg reads two.
_MATROSKA_READ = 2


def recordings_not_read(path: Path) -> int:
    """How many recordings of the file ffmpeg passes over, as far as the outermost boxes tell.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(16)
        if start[4:8] == b"ftyp":
            names = list(_walk(file, _mp4_box))
            return max(0, min(names.count(b"ftyp"), names.count(b"moov")) - 1)
        if start == _ASF_HEADER:
            return max(0, list(_walk(file, _asf_object)).count(_ASF_HEADER) - 1)
        if start.startswith(_EBML_HEADER):
            return max(0, list(_walk(file, _matroska_element)).count(_EBML_HEADER) - _MATROSKA_READ)
    return 0


def _walk(file: BinaryIO, read_head: Callable[[BinaryIO], tuple[bytes, int]]) -> Iterator[bytes]:
    """The names of the outermost boxes, until one does not say where it ends.

    Args:
        file: is moved about in.
        read_head: reads the head of a box: its name, and its size with the head; 0 where that is not known.
    """
    place, end = 0, os.fstat(file.fileno()).st_size
    for _ in range(_MOST_BOXES):
        if place >= end:
            return
        file.seek(place)
        name, size = read_head(file)
        yield name
        if size <= 0:
            return
        place += size


def _mp4_box(file: BinaryIO) -> tuple[bytes, int]:
    head = file.read(16)
    size = int.from_bytes(head[:4], "big")
    return head[4:8], int.from_bytes(head[8:16], "big") if size == 1 else size


def _asf_object(file: BinaryIO) -> tuple[bytes, int]:
    head = file.read(24)
    return head[:16], int.from_bytes(head[16:24], "little")


def _matroska_element(file: BinaryIO) -> tuple[bytes, int]:
    head = file.read(12)
    name_bytes = _bytes_of_number(head, 0)
    size_bytes = _bytes_of_number(head, name_bytes)
    stop = name_bytes + size_bytes
    if not name_bytes or not size_bytes or stop > len(head):
        return b"", 0
    size = int.from_bytes(head[name_bytes:stop], "big") & (1 << 7 * size_bytes) - 1
    is_open = size == (1 << 7 * size_bytes) - 1
    return head[:name_bytes], 0 if is_open else stop + size


def _bytes_of_number(head: bytes, place: int) -> int:
    """How many bytes the number of variable length at `place` has; 0 if there is none."""
    return 9 - head[place].bit_length() if place < len(head) and head[place] else 0
