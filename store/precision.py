"""The number format of stored features: float16 wherever it can hold the values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_HALF_MAGNITUDE = np.uint16(0x7FFF)
_HALF_INFINITY = np.uint16(0x7C00)


def all_finite(values: NDArray[Any]) -> bool:
    """Whether no value is infinite or NaN; for float16 by its bits, which is many times faster than `np.isfinite`."""
    if values.dtype == np.float16:
        magnitudes = values.view(np.uint16) & _HALF_MAGNITUDE
        return bool(magnitudes.size == 0 or magnitudes.max() < _HALF_INFINITY)
    return bool(np.isfinite(values).all())


def to_stored(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """A copy of finite `values` as they are stored under a key of `dtype`.

    Under a float16 key that is float16, unless a value would overflow (beyond 65504): then float32.
    """
    if dtype == "float16":
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16, order="C")
        if all_finite(halves):
            return halves
    return values.astype(np.float32, order="C")
