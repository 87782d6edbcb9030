"""Clip statistics that nothing is learned in: computed once, kept on disk, so that epochs need not read frames again.

They go by what they are for: `change` is the maximum minus the minimum over the frames of a clip, `deviation` the
maximum minus the median, `direction` the same divided by its root mean square over the columns (so that it is as long
for a small animal as for a large one), `background` the median, `mean` and `spread` the moments over time, `event` the
mean weighted by the motion energy that is stored with each frame: the plain mean where nothing moves or none is stored.

A trap's camera does not move and an animal is on screen for part of a clip, so the median frame is mostly the place,
and what rises above it is mostly the animal.
"""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heads.joined import Reader
from store.digest import settings_digest

StatisticName = Literal["change", "deviation", "direction", "background", "mean", "spread", "event"]
Statistics = dict[str, NDArray[np.float32]]

_CLIPS_AT_ONCE = 64
_SMALLEST = 1e-6
_ORDERED = frozenset({"change", "deviation", "direction", "background"})
_log = logging.getLogger(__name__)


def clip_statistics(reader: Reader, rows: NDArray[np.int64], names: Sequence[str]) -> Statistics:
    """Statistics of clips over their frames, each remembered in the store for these very contents of these clips.

    Args:
        reader: the cached features.
        rows: (N,) indices into the reader; clips without frames give zeros.
        names: which statistics.

    Returns:
        (N, D) float32 for each name, mapped from a file where the store can be written to.
    """
    return {name: _remembered(reader, rows, name) for name in names}


def _remembered(reader: Reader, rows: NDArray[np.int64], name: str) -> NDArray[np.float32]:
    clips = [(reader.ids[row], reader.fingerprints[row], int(reader.lengths[row])) for row in rows.tolist()]
    path = reader.cache / f"{name}-{settings_digest([reader.digest, clips])[:32]}.npy"
    if path.exists():
        return _mapped(path)
    try:
        reader.cache.mkdir(exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=reader.cache, prefix=".", suffix=".npy")
    except OSError as error:
        _log.info("statistics are not remembered: %s", error)
        return _fill(np.zeros((len(rows), reader.dim), np.float32), reader, rows, name)
    os.close(handle)
    try:
        shape = (len(rows), reader.dim)
        written = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        _fill(written, reader, rows, name)
        written.flush()
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return _mapped(path)


def _mapped(path: Path) -> NDArray[np.float32]:
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _fill(out: NDArray[np.float32], reader: Reader, rows: NDArray[np.int64], name: str) -> NDArray[np.float32]:
    import tensorflow as tf  # recipes name statistics, and reading a recipe must stay quick

    for start in range(0, len(rows), _CLIPS_AT_ONCE):
        features, mask = reader.batch(rows[start : start + _CLIPS_AT_ONCE])
        if name not in _ORDERED:
            features = tf.cast(features, tf.float32).numpy()  # numpy takes several times as long
        for place, (frames, length) in enumerate(zip(features, mask.sum(axis=1), strict=True), start):
            if length and name == "event":
                out[place] = event_mean(frames[:length], reader.per_frame("motion_energy", int(rows[place])))
            elif length:
                out[place] = statistic(frames[:length], name)
    return out


def event_mean(frames: NDArray[Any], energy: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """(D,) the mean of the frames (T, D) weighted by their motion energy (T,)."""
    if energy is None or not energy.any():
        return np.asarray(frames.mean(axis=0, dtype=np.float32))
    return np.asarray(np.average(frames, axis=0, weights=energy), np.float32)


def statistic(frames: NDArray[Any], name: str) -> NDArray[np.float32]:
    """One statistic (D,) of the frames (T, D) of a clip, T at least 1."""
    if name not in _ORDERED:
        wide = frames.astype(np.float32, copy=False)
        return np.asarray(wide.mean(axis=0) if name == "mean" else wide.std(axis=0))
    ordered = _sort_each_column(frames)
    middle = len(frames) // 2
    median = ordered[:, middle].astype(np.float32)
    if len(frames) % 2 == 0:
        median = (median + ordered[:, middle - 1]) / 2
    if name == "background":
        return median
    other = ordered[:, 0].astype(np.float32) if name == "change" else median
    found: NDArray[np.float32] = ordered[:, -1].astype(np.float32) - other
    return found if name != "direction" else found / np.sqrt(np.mean(found**2) + _SMALLEST)


def _sort_each_column(frames: NDArray[Any]) -> NDArray[Any]:
    """(D, T), each row in ascending order.

    Finite float16 are in the order of their bits once negative ones are turned round; sorting those as integers takes
    a fifth of the time of widening them and sorting floats.
    """
    columns = np.ascontiguousarray(frames.T)
    if columns.dtype != np.float16:
        columns.sort(axis=1)
        return columns
    keys = columns.view(np.int16)
    keys ^= (keys >> 15) & 0x7FFF
    keys.sort(axis=1)
    keys ^= (keys >> 15) & 0x7FFF
    return columns
