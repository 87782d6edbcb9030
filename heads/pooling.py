"""Clip statistics that nothing is learned in: computed once a head, so that training never reads a frame again."""

import numpy as np
from numpy.typing import NDArray

from store import FeatureReader

_CLIPS_AT_ONCE = 64


def max_minus_median(reader: FeatureReader, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """What stands out from each clip's own background: every feature's maximum minus its median over the frames.

    A trap's camera does not move and an animal is on screen for part of a clip, so the median frame is mostly the
    place, and what rises above it is mostly the animal.

    Args:
        reader: the cached features.
        rows: (N,) indices into the reader; clips without frames give zeros.

    Returns:
        (N, D) float32.
    """
    pooled = np.zeros((len(rows), reader.dim), np.float32)
    for start in range(0, len(rows), _CLIPS_AT_ONCE):
        chunk = rows[start : start + _CLIPS_AT_ONCE]
        features, mask = reader.batch(chunk)
        for place, (frames, length) in enumerate(zip(features, mask.sum(axis=1), strict=True), start):
            if length:
                clip = frames[:length].astype(np.float32)
                pooled[place] = clip.max(axis=0) - np.median(clip, axis=0)
    return pooled
