"""Arrays mapped from files, which a process need not hold in its memory for longer than it reads them."""

import mmap

import numpy as np
from numpy.typing import NDArray

_MOST_HELD = 2**30  # bytes of arrays that stay mapped as they are: giving back small ones would only cost time


def give_back(*arrays: NDArray[np.float32]) -> None:
    """Let the system take back the memory of arrays that are mapped from files, where they are large together.

    They stay as they are: what is asked for next comes from the system's cache of files, or from the disk, and what was
    written to them goes there. Otherwise a process counts as large as all that it ever read of them. Does nothing where
    the system has no such call (Windows), and for arrays that are not mapped.
    """
    if sum(each.nbytes for each in arrays) <= _MOST_HELD:
        return
    for each in arrays:
        mapped = _map_of(each)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _map_of(values: NDArray[np.float32]) -> mmap.mmap | None:
    base = values.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
