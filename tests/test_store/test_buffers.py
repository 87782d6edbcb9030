"""Batch memory is used again only when nobody refers to it."""

import numpy as np

from store.access.buffers import Buffers

_LARGE = (300, 2000)
_HALF = np.dtype(np.float16)


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again_when_it_is_free() -> None:
    buffers = Buffers()
    first = buffers.take(_LARGE, _HALF)
    place = address(first)
    del first
    assert address(buffers.take(_LARGE, _HALF)) == place


def test_memory_that_any_view_refers_to_is_left_alone() -> None:
    buffers = Buffers()
    first = buffers.take(_LARGE, _HALF)
    keepers = [first[3:5].T, memoryview(first), first.reshape(-1).view(np.uint16)[::7]]
    first[:] = 7
    del first
    while keepers:
        keeper = keepers.pop()
        for _ in range(3):
            buffers.take(_LARGE, _HALF)[:] = 0
        values = np.asarray(keeper)
        assert (values == (7 if values.dtype == np.float16 else values.flat[0])).all()
        assert values.flat[0] != 0
        del values, keeper


def test_more_than_it_keeps_and_larger_than_it_has() -> None:
    buffers = Buffers()
    held = [buffers.take(_LARGE, _HALF) for _ in range(9)]
    for number, array in enumerate(held):
        array[:] = number
    assert [int(array[0, 0]) for array in held] == list(range(9))
    del held, array
    assert buffers.take((600, 2000), np.dtype(np.float32)).shape == (600, 2000)
    assert buffers.take((3, 4), _HALF).shape == (3, 4)
