"""What float16 can hold, and noticing what is not finite by its bits."""

import numpy as np
import pytest

from store.format.precision import all_finite, to_stored


def test_every_float16_is_judged_as_numpy_judges_it() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    judged = np.array([all_finite(every[place : place + 1]) for place in range(len(every))])
    np.testing.assert_array_equal(judged, np.isfinite(every))


def test_one_bad_value_among_many_is_noticed() -> None:
    values = np.linspace(-5, 5, 1001).astype(np.float16)
    assert all_finite(values)
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        spoilt = values.copy()
        spoilt[500] = bad
        assert not all_finite(spoilt)


def test_nothing_is_finite() -> None:
    assert all_finite(np.empty((0, 3), np.float16))


@pytest.mark.parametrize(
    ("value", "dtype", "stored"),
    [
        (65504.0, "float16", np.float16),
        (65519.0, "float16", np.float16),
        (65520.0, "float16", np.float32),
        (-1e6, "float16", np.float32),
        (1.0, "float32", np.float32),
    ],
)
def test_float32_is_kept_only_where_float16_overflows(value: float, dtype: str, stored: type) -> None:
    assert to_stored(np.array([[value, 0.5]], np.float32), dtype).dtype == stored
