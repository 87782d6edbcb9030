"""Memory for batches, used again once nobody holds anything made of it.

Fresh memory comes from the kernel page by page, which costs more than copying a batch out of the page cache.
"""

import math
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT = 4
_SMALL_BYTES = 2**20
# Who refers to memory that is free: the list, the variable that looks at it, and the call that counts.
_REFERENCES_WHEN_FREE = 3


class Buffers:
    """Hands out uninitialised arrays; keeps the memory of a few for the next ones. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array whose memory nobody else refers to, by itself or by any view."""
        size = math.prod(shape) * dtype.itemsize
        if size < _SMALL_BYTES:
            return np.empty(shape, dtype)
        with self._lock:
            # A view refers to the array that owns the memory, whatever views lie between.
            return self._memory(size)[:size].view(dtype).reshape(shape)

    def _memory(self, size: int) -> NDArray[np.uint8]:
        for place in range(len(self._kept)):
            memory = self._kept[place]
            if sys.getrefcount(memory) == _REFERENCES_WHEN_FREE:
                if memory.nbytes >= size:
                    return memory
                self._kept[place] = np.empty(size, np.uint8)
                return self._kept[place]
        fresh = np.empty(size, np.uint8)
        if len(self._kept) < _KEPT:
            self._kept.append(fresh)
        return fresh
