"""Statistics of the sound around a frame, in place of a network: log-mel bands over a second."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.spec import Backbone
from featurize.decoding.audio import RATE_HZ

BANDS = 64
_FRAME = 400  # 25 ms
_STEP = 160  # 10 ms
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7800.0
_QUIETEST = 1e-6


def log_mel_runner(_backbone: Backbone) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A function from windows (S, 16000) float32 to mean, standard deviation and maximum of each band (S, 192)."""
    weights = mel_weights()

    def run(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        bands = np.stack([_log_mel(window, weights) for window in windows])
        return np.concatenate([bands.mean(axis=1), bands.std(axis=1), bands.max(axis=1)], axis=1)

    return run


def mel_weights() -> NDArray[np.float32]:
    """How much each frequency of a spectrum counts in each mel band, (201, 64): triangles on the mel scale, peak 1.

    As `tf.signal.linear_to_mel_weight_matrix` gives them, up to its rounding; without importing TensorFlow for it.
    """
    frequencies = _mel(np.linspace(0, RATE_HZ / 2, _FRAME // 2 + 1))[:, None]
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    slopes = np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle))
    return np.maximum(slopes, 0).astype(np.float32)


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127 * np.log1p(np.asarray(hertz) / 700))


def _log_mel(window: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The natural logarithm of the power in each mel band, (steps, bands)."""
    frames = np.lib.stride_tricks.sliding_window_view(window, _FRAME)[::_STEP] * np.hanning(_FRAME).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / _FRAME
    bands: NDArray[np.float32] = np.log(power.astype(np.float32) @ weights + _QUIETEST)
    return bands
