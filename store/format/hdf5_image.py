"""The HDF5 bytes of a part, made in memory, so that every write to the disk is our own plain `os.write`.

HDF5 itself copes badly with a full disk: a file that cannot be flushed cannot be closed either.
"""

import io
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.format.commit import HEADER_BYTES

_ALIGNMENT = 4096
# Name, shape and type of a dataset.
Block = tuple[str, tuple[int, ...], np.dtype[Any]]


class _SparseFile(io.RawIOBase):
    """A file in memory that remembers what was written where, and does not store what never was."""

    def __init__(self) -> None:
        self._writes: list[tuple[int, bytes]] = []
        self._position = 0
        self._size = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, content: Any) -> int:
        self._writes.append((self._position, bytes(content)))
        self._position += len(content)
        self._size = max(self._size, self._position)
        return len(content)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        view[:count] = self.extract(self._position, self._position + count)
        self._position += count
        return count

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def flush(self) -> None:
        """Nothing is buffered."""

    def extract(self, start: int, stop: int) -> bytes:
        """The bytes of [start, stop); what was never written reads as zero."""
        content = bytearray(stop - start)
        for position, piece in self._writes:
            first, last = max(position, start), min(position + len(piece), stop)
            if first < last:
                content[first - start : last - start] = piece[first - position : last - position]
        return bytes(content)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size


def build_image(
    *,
    attributes: Mapping[str, Any],
    columns: Mapping[str, NDArray[Any]],
    block: Block | None = None,
    notes: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> tuple[bytes, bytes]:
    """The bytes of an HDF5 file before and after its one large block, whose own bytes the caller has.

    Args:
        attributes: attributes of the root group.
        columns: datasets by path, stored contiguously and little-endian.
        block: (name, shape, dtype) of the large dataset; its bytes go between the two results.
        notes: attributes of datasets, by their path.

    Returns:
        head, tail: what stands before the block (without the user block) and after it; `tail` may be empty.
    """
    sparse = _SparseFile()
    with h5py.File(
        sparse, "w", userblock_size=HEADER_BYTES, alignment_threshold=_ALIGNMENT, alignment_interval=_ALIGNMENT
    ) as file:
        file.attrs.update(attributes)
        for name, column in columns.items():
            file.create_dataset(name, data=column)
        start, stop = _reserve(file, block) if block is not None else (-1, -1)
        for name, attributes_of_it in notes.items():
            file[name].attrs.update(attributes_of_it)
    if start < 0:
        return sparse.extract(HEADER_BYTES, sparse.size), b""
    return sparse.extract(HEADER_BYTES, start), sparse.extract(stop, max(stop, sparse.size))


def _reserve(file: h5py.File, block: Block) -> tuple[int, int]:
    """Allocate the large dataset without writing it: the byte range it takes, or (-1, -1) if it is empty."""
    name, shape, dtype = block
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    identifier = h5py.h5d.create(
        file.id, name.encode(), h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape), plist
    )
    if 0 in shape:
        return -1, -1
    start = identifier.get_offset()
    return start, start + dtype.itemsize * math.prod(shape)
