"""Low-resolution frames: what is computed quickly is what plain numpy gives, to the bit."""

import numpy as np
import pytest

from featurize.motion.lowres import LowresFrames, median_over_time


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_medians_are_those_of_numpy(count: int) -> None:
    frames = np.random.default_rng(count).normal(size=(count, 5, 6)).astype(np.float32)
    found = median_over_time(frames)
    np.testing.assert_array_equal(found, np.median(frames, axis=0))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


def test_grey_levels_and_chroma_are_those_of_each_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    low = LowresFrames(pixels)
    red, green, blue = np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_array_equal(low.grey, pixels[..., 0] * red + pixels[..., 1] * green + pixels[..., 2] * blue)
    np.testing.assert_array_equal(low.chroma, np.ptp(pixels, axis=-1))
    np.testing.assert_array_equal(low.largest, pixels.max(axis=-1))
    assert (low.grey.dtype, low.chroma.dtype) == (np.float32, np.uint8)
