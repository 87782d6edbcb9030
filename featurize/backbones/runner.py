"""What runs an extractor, as far as the rest of featurize needs to know: no network library is imported here."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RuntimeName = Literal["auto", "tensorflow", "openvino"]
DeviceName = Literal["auto", "cpu", "gpu"]
Precision = Literal["f32", "bf16", "f16", "int8"]
FULL: Precision = "f32"

# The features of a frame are the same bits wherever it stands in a batch of one size, but not in batches of another.
BATCH_FRAMES = 16
# A GPU is kept busy by more at once.
GPU_BATCH_FRAMES = 64

Runner = Callable[[NDArray[Any]], NDArray[np.float32]]
"""uint8 (B, H, W, 3) to float32 (B, D), B always the same; for sound, float32 windows (S, samples) to (S, D)."""
