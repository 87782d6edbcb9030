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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heads.ahead import read_ahead
from heads.joined import Reader
from store.digest import settings_digest

StatisticName = Literal["change", "deviation", "direction", "background", "mean", "spread", "event"]
Statistics = dict[str, NDArray[np.float32]]

_CLIPS_AT_ONCE = 64
_FEWEST_REMEMBERED = 64
_SMALLEST = 1e-6
_ORDERED = frozenset({"change", "deviation", "direction", "background"})
_log = logging.getLogger(__name__)


def clip_statistics(reader: Reader, rows: NDArray[np.int64], names: Sequence[str]) -> Statistics:
    """Statistics of clips over their frames, each remembered in the store for these very contents of these clips.

    Those that are not remembered yet are computed in one pass over the frames. A few clips are not worth a file.

    Args:
        reader: the cached features.
        rows: (N,) indices into the reader; clips without frames give zeros.
        names: which statistics.

    Returns:
        (N, D) float32 for each name, mapped from a file where the store can be written to.
    """
    shape = (len(rows), reader.dim)
    if len(rows) < _FEWEST_REMEMBERED:
        return _fill({name: np.zeros(shape, np.float32) for name in names}, reader, rows)
    clips = [(reader.ids[row], reader.fingerprints[row], int(reader.lengths[row])) for row in rows.tolist()]
    digest = settings_digest([reader.digest, clips])[:32]
    paths = {name: reader.cache / f"{name}-{digest}.npy" for name in names}
    missing = [name for name in names if not paths[name].exists()]
    try:
        reader.cache.mkdir(exist_ok=True)
        made = {name: _new_file(reader.cache) for name in missing}
    except OSError as error:
        _log.info("statistics are not remembered: %s", error)
        found = _fill({name: np.zeros(shape, np.float32) for name in missing}, reader, rows)
        return {name: found[name] if name in found else _mapped(paths[name]) for name in names}
    try:
        opened: Statistics = {
            name: np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            for name, path in made.items()
        }
        for name, written in _fill(opened, reader, rows).items():
            written.flush()  # type: ignore[attr-defined]  # it is a memory map
            made[name].replace(paths[name])
    finally:
        for path in made.values():
            path.unlink(missing_ok=True)
    return {name: _mapped(path) for name, path in paths.items()}


def _new_file(folder: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".npy")
    os.close(handle)
    return Path(name)


def _mapped(path: Path) -> NDArray[np.float32]:
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _fill(out: Statistics, reader: Reader, rows: NDArray[np.int64]) -> Statistics:
    """Put the statistics of clips into `out`, which has zeros; several clips at a time, while the next are read."""
    import tensorflow as tf  # recipes name statistics, and reading a recipe must stay quick

    wide = any(name not in _ORDERED for name in out)

    def chunks() -> Iterator[tuple[int, NDArray[Any], NDArray[np.bool_]]]:
        for start in range(0, len(rows) if out else 0, _CLIPS_AT_ONCE):
            yield start, *reader.batch(rows[start : start + _CLIPS_AT_ONCE])

    def one(place: int, frames: NDArray[Any], widened: NDArray[np.float32]) -> None:
        energy = reader.per_frame("motion_energy", int(rows[place])) if "event" in out else None
        for name, values in statistics_of(frames, tuple(out), energy, widened).items():
            out[name][place] = values

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start, features, mask in read_ahead(chunks()):
            # TensorFlow widens several times faster than numpy.
            widened = tf.cast(features, tf.float32).numpy() if wide else features
            lengths = mask.sum(axis=1).tolist()
            done = [
                pool.submit(one, start + place, features[place, :length], widened[place, :length])
                for place, length in enumerate(lengths)
                if length
            ]
            for each in done:
                each.result()
    return out


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
