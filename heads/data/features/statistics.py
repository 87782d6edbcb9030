"""Clip statistics that nothing is learned in, so that they need computing only once.

They go by what they are for: `change` is the maximum minus the minimum over the frames of a clip, `deviation` the
maximum minus the median, `direction` the same divided by its root mean square over the columns (so that it is as long
for a small animal as for a large one), `background` the median, `mean` and `spread` the moments over time, `event` the
mean weighted by the motion energy that is stored with each frame: the plain mean where nothing moves or none is stored.

A trap's camera does not move and an animal is on screen for part of a clip, so the median frame is mostly the place,
and what rises above it is mostly the animal.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heads.data.features.prefetch import read_ahead
from heads.data.features.readers import Reader

StatisticName = Literal["change", "deviation", "direction", "background", "mean", "spread", "event"]
Statistics = dict[str, NDArray[np.float32]]

_CLIPS_AT_ONCE = 64
_SMALLEST = 1e-6
_ORDERED = frozenset({"change", "deviation", "direction", "background"})


def compute_statistics(out: Statistics, reader: Reader, rows: NDArray[np.int64], places: NDArray[np.int64]) -> None:
    """Compute statistics of some clips, in one pass over their frames, several at a time while the next are read.

    Args:
        out: where they go, (N, D) each by name; clips without frames are left as they are.
        reader: the cached features.
        rows: (N,) indices into the reader.
        places: which of the N to compute.
    """
    import tensorflow as tf  # recipes name statistics, and reading a recipe must stay quick

    wide = any(name not in _ORDERED for name in out)

    def chunks() -> Iterator[tuple[NDArray[np.int64], NDArray[Any], NDArray[np.bool_]]]:
        for start in range(0, len(places), _CLIPS_AT_ONCE):
            some = places[start : start + _CLIPS_AT_ONCE]
            yield some, *reader.batch(rows[some])

    def one(place: int, frames: NDArray[Any], widened: NDArray[np.float32]) -> None:
        energy = reader.per_frame("motion_energy", int(rows[place])) if "event" in out else None
        for name, values in statistics_of(frames, tuple(out), energy, widened).items():
            out[name][place] = values

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for some, features, mask in read_ahead(chunks()):
            # TensorFlow widens several times faster than numpy.
            widened = tf.cast(features, tf.float32).numpy() if wide else features
            lengths = mask.sum(axis=1).tolist()
            done = [
                pool.submit(one, place, features[number, :length], widened[number, :length])
                for number, (place, length) in enumerate(zip(some.tolist(), lengths, strict=True))
                if length
            ]
            for each in done:
                each.result()


def statistics_of(
    frames: NDArray[Any],
    names: Sequence[str],
    energy: NDArray[np.float32] | None = None,
    widened: NDArray[np.float32] | None = None,
) -> Statistics:
    """Statistics (D,) of one clip.

    Args:
        frames: (T, D), T at least 1.
        names: which.
        energy: (T,) motion energy, if there is any.
        widened: the frames in float32, if somebody has them already.
    """
    found: Statistics = {}
    if any(name not in _ORDERED for name in names):
        wide = frames.astype(np.float32) if widened is None else widened
        if "mean" in names:
            found["mean"] = wide.mean(axis=0)
        if "spread" in names:
            found["spread"] = wide.std(axis=0)
        if "event" in names:
            found["event"] = event_mean(wide, energy)
    if not _ORDERED.isdisjoint(names):
        found |= _ordered_statistics(frames, names)
    return found


def event_mean(frames: NDArray[Any], energy: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """(D,) the mean of the frames (T, D) weighted by their motion energy (T,)."""
    if energy is None or not energy.any():
        return np.asarray(frames.mean(axis=0, dtype=np.float32))
    return np.asarray(np.average(frames, axis=0, weights=energy), np.float32)


def _ordered_statistics(frames: NDArray[Any], names: Sequence[str]) -> Statistics:
    """Those of `names` that come from sorting each column of the frames (T, D), which is done once."""
    ordered = _sort_each_column(frames)
    middle = len(frames) // 2
    median = ordered[:, middle].astype(np.float32)
    if len(frames) % 2 == 0:
        median = (median + ordered[:, middle - 1]) / 2
    highest = ordered[:, -1].astype(np.float32)
    deviation = highest - median
    found: Statistics = {"background": median, "deviation": deviation}
    if "change" in names:
        found["change"] = highest - ordered[:, 0].astype(np.float32)
    if "direction" in names:
        found["direction"] = deviation / np.sqrt(np.mean(deviation**2) + _SMALLEST)
    return {name: values for name, values in found.items() if name in names}


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
