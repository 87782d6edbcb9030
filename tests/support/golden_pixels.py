"""The picture that goldens are made of."""

import numpy as np
from numpy.typing import NDArray


def golden_pixels(height: int, width: int) -> NDArray[np.uint8]:
    """A fixed uint8 image (H, W, 3): smooth waves of several scales, different in each channel."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    channels = [
        127.5 + 60 * np.sin(x / (7 + 3 * c) + c) * np.cos(y / (11 - 2 * c)) + 60 * np.sin((x + 2 * y) / (29 + c))
        for c in range(3)
    ]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)
