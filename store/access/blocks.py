"""Reading the blocks of parts by position: plain `pread` of contiguous bytes into the caller's array.

It is as fast as copying out of a memory map where the bytes are in the page cache; those that are not are waited for
several at a time. No mapping is kept, so the memory in use does not grow with what was read, and a disk error is an
exception, where a mapping kills the process.
"""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from store.access.index import FeatureIndex
from store.access.places import Places, places_of, relocated
from store.errors import CorruptPartError, StoreError, StoreReadError
from store.format.feature_part import FeaturePart, load_extras
from store.format.rounded import Rounded, bytes_of_steps, restore_features
from store.portable import open_to_read, read_at

_HELD_OPEN = 64
_THREADS = 4
# Copying out of the page cache is bound by the processor; beyond a few threads it is bound by the memory.
_COPIERS = min(_THREADS, os.cpu_count() or 1)
_BYTES_PER_COPIER = 1 << 20
_BYTES_PER_ROUNDER = 1 << 17  # restoring takes ten times as long
# Only Linux can be asked to read what is in the page cache and nothing else.
_CACHED_ONLY: int = getattr(os, "RWF_NOWAIT", 0)
_RELOCATIONS = 5

Result = TypeVar("Result")
Pair = tuple[int, NDArray[Any]]


class BlockReader:
    """Reads clips' blocks; safe to use from several threads, and in a process that was forked from this one."""

    def __init__(self, index: FeatureIndex, dim: int, reload: Callable[[], FeatureIndex]) -> None:
        self._index = index
        self._dim = dim
        self._reload = reload
        self._lock = threading.Lock()
        self._places = places_of(index, dim)
        self._descriptors: list[int] = []
        self._pools: dict[int, ThreadPoolExecutor] = {}
        weakref.finalize(self, _release, self._descriptors, self._pools)

    def read_features(
        self, clips: Sequence[int], outs: Sequence[NDArray[Any]], columns: NDArray[np.int64] | None = None
    ) -> None:
        """Fill each of `outs`, (T, D) contiguous, with all frames of a clip, or only some columns of them."""
        pairs = list(zip(clips, outs, strict=True))
        plain = columns is None and bool(outs) and self._places.dtype == outs[0].dtype
        if self._places.row_of:
            self._read_rounded(pairs, columns)
            return
        slow = self._read_cached(pairs) if plain and _CACHED_ONLY else pairs
        if len(slow) == 1:  # nothing to wait for beside it
            self._read_waiting(*slow[0], columns)
        elif slow:
            list(self._pool().map(lambda pair: self._read_waiting(pair[0], pair[1], columns), slow))

    def _read_cached(self, pairs: list[Pair]) -> list[Pair]:
        """Read what is in the page cache; what is worth it, with as many threads as can copy at the same time."""
        places = self._places
        helpers = min(_COPIERS, sum(out.nbytes for _, out in pairs) // _BYTES_PER_COPIER) - 1
        if helpers < 1:
            return _read_cached(places, pairs)
        others = [self._pool().submit(_read_cached, places, pairs[k :: helpers + 1]) for k in range(1, helpers + 1)]
        left = _read_cached(places, pairs[:: helpers + 1])
        return left + [pair for other in others for pair in other.result()]

    def _read_rounded(self, pairs: list[Pair], columns: NDArray[np.int64] | None) -> None:
        """Read features that are rounded, which is work, with as many threads as there are processors for it."""
        helpers = min(_COPIERS, sum(out.nbytes for _, out in pairs) // _BYTES_PER_ROUNDER) - 1

        def read(some: list[Pair]) -> None:
            for clip, out in some:
                self._read_waiting(clip, out, columns)

        others = [self._pool().submit(read, pairs[k :: helpers + 1]) for k in range(1, helpers + 1)]
        read(pairs[:: max(helpers, 0) + 1])
        for other in others:
            other.result()

    def read_times(self, clip: int) -> NDArray[np.float64]:
        """(T,) times of a clip's frames in seconds."""
        times = np.empty(int(self._index.lengths[clip]), dtype=np.float64)
        self._retrying(lambda places: self._read_block(places, clip, times, places.times_at[clip]))
        return times

    def read_picture_sizes(self, clip: int) -> NDArray[np.int64]:
        """(T,) how many bytes each picture of a clip takes; none under a key without pictures."""
        return np.diff(self._retrying(lambda places: self._picture_offsets(places, clip)))

    def read_pictures(self, clip: int) -> list[bytes]:
        """(T) the pictures of a clip; none under a key without pictures."""
        return self._retrying(lambda places: self._read_pictures(places, clip))

    def read_per_frame(self, clip: int, name: str | None = None) -> dict[str, NDArray[np.float32]]:
        """The per-frame extras of a clip by name, (T, ...) each, or one of them; none for a clip without frames."""
        length = int(self._index.lengths[clip])
        return self._retrying(lambda places: self._read_extras(places, clip, length, name)) if length else {}

    def stored_dtype(self, clip: int) -> np.dtype[Any]:
        """The dtype of a clip's features in its part."""
        places = self._places
        return places.parts[places.part_of[clip]].dtype

    def _read_waiting(self, clip: int, out: NDArray[Any], columns: NDArray[np.int64] | None) -> None:
        self._retrying(lambda places: self._read_clip(places, clip, out, columns))

    def _read_clip(self, places: Places, clip: int, out: NDArray[Any], columns: NDArray[np.int64] | None) -> None:
        """Read a clip's frames straight into `out`, or by way of a copy if something must be cast or left out."""
        part = places.parts[places.part_of[clip]]
        if columns is None and part.dtype == out.dtype:
            self._read_whole(places, part, clip, out)
            return
        whole = np.empty((len(out), self._dim), dtype=part.dtype)
        self._read_whole(places, part, clip, whole)
        out[:] = whole if columns is None else whole[:, columns]

    def _read_whole(self, places: Places, part: FeaturePart, clip: int, out: NDArray[Any]) -> None:
        """Fill `out`, (T, D) of the part's dtype, with a clip's features."""
        if part.exponents is None or not len(out):
            self._read_block(places, clip, out, places.features_at[clip])
            return
        row, codes = places.row_of[clip], np.empty(out.shape, np.int8)
        steps = np.empty(bytes_of_steps(self._dim), np.uint8)
        self._read_block(places, clip, codes, places.features_at[clip])
        self._read_block(places, clip, steps, part.steps_at + row * steps.nbytes)
        restore_features(Rounded(codes=codes, exponent=int(part.exponents[row]), steps=steps), out)

    def _read_extras(self, places: Places, clip: int, length: int, name: str | None) -> dict[str, NDArray[np.float32]]:
        number = places.part_of[clip]
        if number not in places.extras:  # opening a part costs more than reading hundreds of clips' numbers from it
            places.extras[number] = load_extras(places.parts[number].path)
        found = {}
        for extra in places.extras[number]:
            if name in (None, extra.name):
                found[extra.name] = np.empty((length, *extra.shape), extra.dtype)
                position = extra.position + places.starts[clip] * extra.frame_bytes
                self._read_block(places, clip, found[extra.name], position)
        return found

    def _picture_offsets(self, places: Places, clip: int) -> NDArray[np.int64]:
        """(T + 1,) where each picture of a clip begins in its part's block of them, and where the last one ends."""
        part, length = places.parts[places.part_of[clip]], int(self._index.lengths[clip])
        if not part.picture_offsets_at or not length:
            return np.zeros(1, np.int64)
        offsets = np.empty(length + 1, np.int64)
        self._read_block(places, clip, offsets, part.picture_offsets_at + places.starts[clip] * offsets.itemsize)
        return offsets

    def _read_pictures(self, places: Places, clip: int) -> list[bytes]:
        offsets = self._picture_offsets(places, clip)
        part = places.parts[places.part_of[clip]]
        if np.any(np.diff(offsets) <= 0):
            raise CorruptPartError(f"{part.path}: its picture offsets do not rise; run `store repair`")
        found = np.empty(int(offsets[-1] - offsets[0]), np.uint8)
        self._read_block(places, clip, found, part.pictures_at + int(offsets[0]))
        content, stops = found.tobytes(), (offsets - offsets[0]).tolist()
        return [content[start:stop] for start, stop in pairwise(stops)]

    def _read_block(self, places: Places, clip: int, out: NDArray[Any], position: int) -> None:
        """Fill `out` from `position` of a clip's part, through the descriptor that is held or one of its own."""
        if out.nbytes == 0:
            return
        number = places.part_of[clip]
        path = places.parts[number].path
        descriptor = places.held.get(number)
        if descriptor is not None:
            _read_fully(descriptor, out, position, path)
            return
        descriptor = open_to_read(path)
        held = self._hold(places, number, descriptor)
        try:
            _read_fully(descriptor, out, position, path)
        finally:
            if not held:
                os.close(descriptor)

    def _hold(self, places: Places, number: int, descriptor: int) -> bool:
        """Keep `descriptor` if there is room; one that is kept is never closed while other threads may read from it."""
        with self._lock:
            if number in places.held or len(places.held) >= _HELD_OPEN:
                return False
            self._descriptors.append(descriptor)
            places.held[number] = descriptor
            return True

    def _retrying(self, read: Callable[[Places], Result]) -> Result:
        """`read`, done again with the rows' new places if a part is gone because it was merged."""
        for _ in range(_RELOCATIONS):
            places = self._places
            try:
                return read(places)
            except FileNotFoundError:
                self._relocate(places)
            except StoreError:
                raise
            except OSError as error:
                folder = places.parts[0].path.parent
                raise StoreReadError(f"{folder}: a part could not be read ({error}); restore access") from error
        return read(self._places)

    def _relocate(self, outdated: Places) -> None:
        with self._lock:
            if self._places is outdated:
                self._places = relocated(self._index, self._reload(), self._dim)

    def _pool(self) -> ThreadPoolExecutor:
        """The threads of this process; those of a parent do not come along when it forks."""
        with self._lock:
            if os.getpid() not in self._pools:
                self._pools[os.getpid()] = ThreadPoolExecutor(_THREADS, thread_name_prefix="read-features")
            return self._pools[os.getpid()]


def _read_cached(places: Places, pairs: list[Pair]) -> list[Pair]:
    """Read what is in the page cache, from parts that are held open, without anything between the reads.

    Returns:
        The pairs of clip and array that are left, for whatever reason: a real error comes up when they are read.
    """
    part_of, features_at, held, preadv = places.part_of, places.features_at, places.held, getattr(os, "preadv")  # noqa: B009  there wherever `_CACHED_ONLY` is
    left = []
    for pair in pairs:
        clip, out = pair
        descriptor = held.get(part_of[clip])
        if descriptor is None:
            left.append(pair)
            continue
        try:
            if preadv(descriptor, (out.data,), features_at[clip], _CACHED_ONLY) != out.nbytes:
                left.append(pair)
        except OSError:
            left.append(pair)
    return left


def _read_fully(descriptor: int, out: NDArray[Any], position: int, path: Path) -> None:
    """Fill `out` from `position`; a short read goes on where it stopped."""
    rest, done = out.data.cast("B"), 0
    while done < len(rest):
        count = read_at(descriptor, rest[done:], position + done)
        if count == 0:
            raise CorruptPartError(f"{path}: ends before its rows do; run `store repair`")
        done += count


def _release(descriptors: list[int], pools: dict[int, ThreadPoolExecutor]) -> None:
    pool = pools.get(os.getpid())
    if pool is not None:
        pool.shutdown(wait=False)
    for descriptor in descriptors:
        os.close(descriptor)
