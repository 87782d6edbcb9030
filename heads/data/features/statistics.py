"""Clip statistics that nothing is learned in, so that they need computing only once.

They go by what they are for: `change` is the maximum minus the minimum over the frames of a clip, `deviation` the
maximum minus the median, `direction` the same divided by its root mean square over the columns (so that it is as long
for a small animal as for a large one), `background` the median, `mean` and `spread` the moments over time, `event` the
mean weighted by the motion energy that is stored with each frame: the plain mean where nothing moves or none is stored.
`animals`, which no recipe names, is what the network itself takes the clip for (see `heads.data.features.animals`).

A trap's camera does not move and an animal is on screen for part of a clip, so the median frame is mostly the place,
and what rises above it is mostly the animal.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from heads.data.features.animals import ANIMALS_INPUT, clip_animals
from heads.data.features.prefetch import read_ahead
from heads.data.features.readers import Reader
from heads.data.features.rows import ChangeableRows

StatisticName = Literal["change", "deviation", "direction", "background", "mean", "spread", "event"]
InputName = StatisticName | Literal["animals"]
Statistics = dict[str, NDArray[np.float32]]

_CLIPS_AT_ONCE = 64
_SMALLEST = 1e-6
_AHEAD = os.cpu_count() or 1
_MOST_COMPARED = 16  # frames; beyond, sorting columns is quicker
_ORDERED = frozenset({"change", "deviation", "direction", "background"})


def compute_statistics(
    out: Mapping[str, ChangeableRows], reader: Reader, rows: NDArray[np.int64], places: NDArray[np.int64]
) -> None:
    """Compute statistics of some clips, in one pass over their frames, several at a time while the next are read.

    Args:
        out: where they go, (N, D) each by name, `animals` (N, K); clips without frames are left as they are.
        reader: the cached features.
        rows: (N,) indices into the reader.
        places: which of the N to compute.
    """
    import tensorflow as tf  # recipes name statistics, and reading a recipe must stay quick

    names = tuple(name for name in out if name != ANIMALS_INPUT)
    wide = any(name not in _ORDERED for name in names)

    def chunks() -> Iterator[tuple[NDArray[np.int64], NDArray[Any], NDArray[np.bool_]]]:
        for start in range(0, len(places), _CLIPS_AT_ONCE):
            some = places[start : start + _CLIPS_AT_ONCE]
            yield some, *reader.batch(rows[some])

    def some_alike(places: NDArray[np.int64], frames: NDArray[Any], widened: NDArray[np.float32]) -> None:
        energy = None
        if "event" in out:
            energy = [reader.per_frame("motion_energy", row) for row in rows[places].tolist()]
        for name, values in _statistics_of_alike(frames, names, energy, widened).items():
            out[name][places] = values
        if ANIMALS_INPUT in out:
            out[ANIMALS_INPUT][places] = np.stack([clip_animals(own, reader) for own in frames])

    # Clips are shared out to threads: more threads for each one's small product would only wait for each other.
    with threadpool_limits(1, "blas") if ANIMALS_INPUT in out else nullcontext(), ThreadPoolExecutor(_AHEAD) as pool:
        waiting: deque[Future[None]] = deque()
        for some, features, mask in read_ahead(chunks()):
            # TensorFlow widens several times faster than numpy.
            widened = tf.cast(features, tf.float32).numpy() if wide else features
            lengths = mask.sum(axis=1)
            for length in np.unique(lengths[lengths > 0]).tolist():
                alike = np.flatnonzero(lengths == length)
                given = some[alike], features[alike, :length], widened[alike, :length]
                waiting.append(pool.submit(some_alike, *given))
            while len(waiting) > 2 * _AHEAD or (waiting and waiting[0].done()):
                waiting.popleft().result()
        for each in waiting:
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


def _statistics_of_alike(
    frames: NDArray[Any],
    names: Sequence[str],
    energy: Sequence[NDArray[np.float32] | None] | None,
    widened: NDArray[np.float32],
) -> Statistics:
    """Statistics (B, D) of clips with as many frames each, (B, T, D); the same bits as of one clip after the other."""
    if frames.dtype != np.float16 or frames.shape[1] > _MOST_COMPARED or {"mean", "spread"} & {*names}:
        each = [
            statistics_of(own, names, None if energy is None else energy[clip], widened[clip])
            for clip, own in enumerate(frames)
        ]
        return {name: np.stack([found[name] for found in each]) for name in names}
    found: Statistics = {}
    if "event" in names:
        found["event"] = _event_means(widened, energy)
    if not _ORDERED.isdisjoint(names):
        found |= _of_ranks(_rank_frames(frames), names)
    return found


def event_mean(frames: NDArray[Any], energy: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """(D,) the mean of the frames (T, D) weighted by their motion energy (T,)."""
    if energy is None or not energy.any():
        return np.asarray(frames.mean(axis=0, dtype=np.float32))
    return np.asarray(np.average(frames, axis=0, weights=energy), np.float32)


def _event_means(frames: NDArray[Any], energy: Sequence[NDArray[np.float32] | None] | None) -> NDArray[np.float32]:
    """(B, D) `event_mean` of clips (B, T, D)."""
    none = np.zeros(frames.shape[1], np.float32)
    weights = np.stack(
        [none if energy is None or (own := energy[clip]) is None else own for clip in range(len(frames))]
    )
    means = np.empty((len(frames), frames.shape[2]), np.float32)
    moves = weights.any(axis=1)
    means[~moves] = frames[~moves].mean(axis=1, dtype=np.float32)
    some = weights[moves]
    means[moves] = (frames[moves] * some[:, :, None]).sum(axis=1) / some.sum(axis=1)[:, None]
    return means


def _ordered_statistics(frames: NDArray[Any], names: Sequence[str]) -> Statistics:
    """Those of `names` that come from sorting each column of the frames (T, D), which is done once."""
    return _of_ranks(list(_sort_each_column(frames).T), names)


def _of_ranks(ordered: Sequence[NDArray[Any]], names: Sequence[str]) -> Statistics:
    """Those of `names` that come from the values (..., D) of each rank in time, the lowest first."""
    middle = len(ordered) // 2
    median = ordered[middle].astype(np.float32)
    if len(ordered) % 2 == 0:
        median = (median + ordered[middle - 1]) / 2
    highest = ordered[-1].astype(np.float32)
    deviation = highest - median
    found: Statistics = {"background": median, "deviation": deviation}
    if "change" in names:
        found["change"] = highest - ordered[0].astype(np.float32)
    if "direction" in names:
        found["direction"] = deviation / np.sqrt(np.mean(deviation**2, axis=-1, keepdims=True) + _SMALLEST)
    return {name: values for name, values in found.items() if name in names}


def _sort_each_column(frames: NDArray[Any]) -> NDArray[Any]:
    """(D, T), each row in ascending order.

    Sorting the bits of float16 takes a fifth of the time of widening them and sorting floats.
    """
    columns = np.ascontiguousarray(frames.T)
    if columns.dtype != np.float16:
        columns.sort(axis=1)
        return columns
    keys = columns.view(np.int16)
    _turn_negatives(keys)
    keys.sort(axis=1)
    _turn_negatives(keys)
    return columns


def _rank_frames(frames: NDArray[np.float16]) -> list[NDArray[np.float16]]:
    """The values (B, D) of each rank in time of clips (B, T, D), the lowest first.

    Frames are compared with each other as whole arrays, which for few frames takes far less than sorting columns.
    """
    keys = np.ascontiguousarray(frames.transpose(1, 0, 2)).view(np.int16)
    _turn_negatives(keys)
    ranks = list(keys)
    for lower, upper in _comparisons(len(ranks)):
        ranks[lower], ranks[upper] = np.minimum(ranks[lower], ranks[upper]), np.maximum(ranks[lower], ranks[upper])
    for rank in ranks:
        _turn_negatives(rank)
    return [rank.view(np.float16) for rank in ranks]


def _turn_negatives(keys: NDArray[np.int16]) -> None:
    """Make the bits of finite float16 numbers that are in the order of the values, or back, in place."""
    keys ^= (keys >> 15) & 0x7FFF


@cache
def _comparisons(count: int) -> tuple[tuple[int, int], ...]:
    """The pairs of places that sort `count` values, whatever they are, if the lower is put first in each pair in turn.

    Source: Batcher's merge exchange, as in Knuth, "The Art of Computer Programming" 3, 5.2.2, algorithm M.
    """
    pairs: list[tuple[int, int]] = []
    largest = 1 << max(count - 1, 0).bit_length() >> 1
    step = largest
    while step:
        power, rest, apart = largest, 0, step
        while True:
            pairs += [(low, low + apart) for low in range(count - apart) if low & step == rest]
            if power == step:
                break
            apart, power, rest = power - step, power >> 1, step
        step >>= 1
    return tuple(pairs)
