"""Rows of tables that may be too large for memory: read from a file when they are asked for."""

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_MOST_IN_MEMORY = 2**26  # bytes
Values = NDArray[np.float32]


class Rows(Protocol):
    """An array (N, D) of float32, or what reads its rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, some: slice | NDArray[np.int64], /) -> Values:
        """The rows of a slice or of places (B,), as an array (B, D)."""


class ChangeableRows(Rows, Protocol):
    """The same, where rows can be assigned to."""

    def __setitem__(self, some: slice | NDArray[np.int64], values: Values, /) -> None:
        """Put in rows (B, D)."""


class RowsOfFile:
    """The rows of a `.npy` file, (N, D) float32.

    Nothing is mapped: a mapped file counts as memory of the process, and where memory is short, the system reads up to
    2 MB of it for every row of a few kB.

    Args:
        path: of the file.
        writable: whether rows may be assigned to, also by several threads, until it is closed.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is no such file, or not whole.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        table = np.load(path, mmap_mode="r", allow_pickle=False)  # for its header; its contents are not touched
        if not isinstance(table, np.memmap) or table.ndim != 2 or table.dtype != np.float32 or np.isfortran(table):
            raise ValueError(f"{path}: not a table of float32, row by row")
        self.shape: tuple[int, ...] = table.shape
        self._offset, self._row_bytes = table.offset, table.shape[1] * table.itemsize
        self._path, self._places, self._lock = path, np.arange(len(table)), threading.Lock()
        self._file = path.open("r+b" if writable else "rb", buffering=0)
        if sys.platform == "linux":  # so that the system does not read on behind each row
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        self.close = weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        """N."""
        return int(self.shape[0])

    def __getitem__(self, some: slice | NDArray[np.int64], /) -> Values:
        """The rows of a slice or of places (B,), as an array (B, D)."""
        places = self._places[some]
        found = np.empty((len(places), self.shape[1]), np.float32)
        for start, end, place in _runs(places):
            self._move(found[start:end].data.cast("B"), place, self._read)
        return found

    def __setitem__(self, some: slice | NDArray[np.int64], values: Values, /) -> None:
        """Write rows."""
        places = self._places[some]
        given = np.ascontiguousarray(np.broadcast_to(values, (len(places), self.shape[1])), np.float32)
        for start, end, place in _runs(places):
            self._move(given[start:end].data.cast("B"), place, self._write)

    def _move(self, block: memoryview, place: int, move: Callable[[memoryview, int], int]) -> None:
        """Read or write a block that begins with the row at `place`; the system may move less than it is asked for.

        Raises:
            OSError: the file ends before the block does, or the disk is full.
        """
        offset = self._offset + place * self._row_bytes
        while block:
            moved = move(block, offset)
            if not moved:
                raise OSError(f"{self._path}: is shorter than it was; start again")
            block, offset = block[moved:], offset + moved

    if sys.platform == "win32":

        def _read(self, block: memoryview, offset: int) -> int:
            with self._lock:
                self._file.seek(offset)
                return self._file.readinto(block) or 0

        def _write(self, block: memoryview, offset: int) -> int:
            with self._lock:
                self._file.seek(offset)
                return self._file.write(block) or 0

    else:  # without a place in the file that threads, or a process and its fork, would share

        def _read(self, block: memoryview, offset: int) -> int:
            return os.preadv(self._file.fileno(), [block], offset)

        def _write(self, block: memoryview, offset: int) -> int:
            return os.pwrite(self._file.fileno(), block, offset)


def load_rows(path: Path) -> Rows:
    """The rows of a `.npy` file, (N, D) float32, that cannot be changed: in memory up to 64 MB.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is no such file, or not whole.
    """
    if path.stat().st_size > _MOST_IN_MEMORY:
        return RowsOfFile(path)
    values: Values = np.load(path, allow_pickle=False)
    values.flags.writeable = False
    return values


def _runs(places: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Where each run of consecutive places begins and ends among (B,) `places`, and the place that it begins with."""
    edges = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
    for start, end in pairwise(edges) if len(places) else ():
        yield start, end, int(places[start])
