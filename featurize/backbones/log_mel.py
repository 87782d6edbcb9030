"""Statistics of the sound around a frame, in place of a network: log-mel bands over a second."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featurize.backbone import Backbone
from featurize.sound import RATE_HZ

BANDS = 64
_FRAME = 400  # 25 ms
_STEP = 160  # 10 ms
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7800.0
_QUIETEST = 1e-6


def log_mel_runner(_backbone: Backbone) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A function from windows (S, 16000) float32 to mean, standard deviation and maximum of each band (S, 192)."""
    import tensorflow as tf

    weights = tf.signal.linear_to_mel_weight_matrix(BANDS, _FRAME // 2 + 1, RATE_HZ, _LOWEST_HZ, _HIGHEST_HZ).numpy()

    def run(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        bands = np.stack([_log_mel(window, weights) for window in windows])
        return np.concatenate([bands.mean(axis=1), bands.std(axis=1), bands.max(axis=1)], axis=1)

    return run


def _log_mel(window: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The natural logarithm of the power in each mel band, (steps, bands)."""
    frames = np.lib.stride_tricks.sliding_window_view(window, _FRAME)[::_STEP] * np.hanning(_FRAME).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / _FRAME
    bands: NDArray[np.float32] = np.log(power.astype(np.float32) @ weights + _QUIETEST)
    return bands
