"""The number format of stored features: float16 wherever it can hold the values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.format.rounded import ROUNDED

# The bits of infinity; NaN has larger ones. Negative values are the largest as unsigned bits, positive ones as signed.
_INFINITY = 0x7C00
_MINUS_INFINITY = 0xFC00


def all_finite(values: NDArray[Any]) -> bool:
    """Whether no value is infinite or NaN; for float16 by its bits, which is many times faster than `np.isfinite`."""
    if values.dtype != np.float16:
        return bool(np.isfinite(values).all())
    if values.size == 0:
        return True
    return bool(values.view(np.int16).max() < _INFINITY and values.view(np.uint16).max() < _MINUS_INFINITY)


def to_stored(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """A copy of finite float16 or float32 `values` as they wait to be stored under a key of `dtype`.

    Under a float16 key that is float16, unless a value would overflow (beyond 65504): then float32. Under an int8 key
    they are rounded once a part is written, and wait as they are.
    """
    if dtype == ROUNDED:
        return values.copy(order="C")
    if dtype == "float16":
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16, order="C")
        if values.dtype == np.float16 or all_finite(halves):
            return halves
    return values.astype(np.float32, order="C")
