"""Features in a byte each: whole numbers of -127 to 127, times a power of two of each column of a clip.

A clip is rounded by itself, so that nothing depends on which clips stand beside it, in which order they came, or what
was written before. Powers of two make it exact: what is read is written again as the same bytes, whoever merges parts.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDED = np.dtype(np.int8)
_MOST = 127
_FAR = 10_000  # below any exponent
MOST_STEPS = 15  # so that two fit a byte
# The smallest number of float16 is two to the power of -24.
_LEAST_OF_ALL = -24
LEAST_EXPONENT = _LEAST_OF_ALL + MOST_STEPS
_MOST_EXPONENT = 121  # 127 times two to that power is about the largest float32
_MOST_EXPONENT_OF_HALF = 9  # 127 times 512 is the largest that float16 can hold


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded:
    """The features of a clip of T frames and D columns: `codes` times two to the power of `exponent` minus the steps.

    Attributes:
        codes: (T, D) int8, -127 to 127.
        exponent: that of the columns with the largest values.
        steps: (ceil(D / 2),) uint8: by how much less a column's is, 0 to 15; two columns a byte, the first one below.
    """

    codes: NDArray[np.int8]
    exponent: int
    steps: NDArray[np.uint8]


def round_features(values: NDArray[Any]) -> Rounded:
    """Features (T, D) of a clip, finite, to the nearest of what can be kept in a byte each."""
    wide = np.asarray(values, np.float64)
    largest = np.abs(wide).max(axis=0, initial=0.0) / _MOST
    mantissa, exponents = np.frexp(largest)
    exponents = np.where(largest > 0, exponents - (mantissa == 0.5), -_FAR)
    exponent = min(max(int(exponents.max(initial=LEAST_EXPONENT)), LEAST_EXPONENT), _MOST_EXPONENT)
    steps = np.clip(exponent - exponents, 0, MOST_STEPS)
    codes = np.rint(np.ldexp(wide, (steps - exponent).astype(np.int32))).clip(-_MOST, _MOST).astype(np.int8)
    pairs = np.pad(steps.astype(np.uint8), (0, len(steps) % 2)).reshape(-1, 2)
    return Rounded(codes=codes, exponent=exponent, steps=pairs[:, 0] | pairs[:, 1] << 4)


def restore_features(rounded: Rounded, out: NDArray[Any]) -> None:
    """Fill `out`, (T, D) float16 or float32 and contiguous, with features; exact where that holds them."""
    below = np.empty(2 * len(rounded.steps), np.uint16)
    np.bitwise_and(rounded.steps, MOST_STEPS, out=below[::2])
    np.right_shift(rounded.steps, 4, out=below[1::2])
    # Where in the table the exponent of each column stands.
    at = np.subtract(rounded.exponent - _LEAST_OF_ALL, below[: out.shape[1]], dtype=np.uint16) << 8
    np.take(_values(out.dtype), at + rounded.codes.view(np.uint8), out=out, mode="clip")


def restored_dtype(exponents: NDArray[np.int8]) -> np.dtype[Any]:
    """The number format that holds features of these exponents: float16 wherever it can."""
    fits = int(exponents.max(initial=LEAST_EXPONENT)) <= _MOST_EXPONENT_OF_HALF
    return np.dtype(np.float16 if fits else np.float32)


def are_exponents(exponents: NDArray[np.int8]) -> bool:
    """Whether no value is smaller than the smallest step."""
    return int(exponents.min(initial=LEAST_EXPONENT)) >= LEAST_EXPONENT


def bytes_of_steps(dim: int) -> int:
    """How many bytes the steps of a clip of D columns take."""
    return -(-dim // 2)


@lru_cache
def _values(dtype: np.dtype[Any]) -> NDArray[Any]:
    """What each of 256 codes means under each exponent, from the least on."""
    codes = np.maximum(np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float64), -_MOST)  # -128 is no code
    most = _MOST_EXPONENT_OF_HALF if dtype == np.float16 else _MOST_EXPONENT
    return np.ldexp(codes, np.arange(_LEAST_OF_ALL, most + 1)[:, None]).astype(dtype).reshape(-1)
