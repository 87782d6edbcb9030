"""Features of several sources beside each other, frame by frame, as if they were one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from heads.errors import JoinError
from store import FeatureReader, Status
from store.digest import settings_digest
from store.ids import name_a_few, require_known


class Reader(Protocol):
    """What a head needs of cached features; see `store.FeatureReader`."""

    @property
    def ids(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def fingerprints(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def status(self) -> Sequence[Status]: ...  # noqa: D102
    @property
    def reasons(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def lengths(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def tap_widths(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def key_folders(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def cache(self) -> Path: ...  # noqa: D102
    def index_of(self, ids: Iterable[str], /) -> NDArray[np.int64]: ...  # noqa: D102
    def batch(self, indices: NDArray[np.int64], /) -> tuple[NDArray[Any], NDArray[np.bool_]]: ...  # noqa: D102
    def times(self, index: int, /) -> NDArray[np.float64]: ...  # noqa: D102
    def per_frame(self, name: str, index: int, /) -> NDArray[np.float32] | None: ...  # noqa: D102


class TapReader:
    """Some taps of features, in the order in which they are named, as if there were no others.

    Args:
        reader: of all taps; it must have them.
        taps: their names.
    """

    def __init__(self, reader: FeatureReader, taps: Sequence[str]) -> None:
        self.reader = reader
        self.taps = tuple(taps)
        self.key = reader.key
        self.ids: Sequence[str] = reader.ids
        self.fingerprints: Sequence[str] = reader.fingerprints
        self.status: Sequence[Status] = reader.status
        self.reasons: Sequence[str] = reader.reasons
        self.lengths = reader.lengths
        self.dtype = reader.dtype
        widths = dict(reader.key.taps)
        self.tap_widths = tuple(widths[tap] for tap in self.taps)
        self.dim = sum(self.tap_widths)
        self.digest = settings_digest([reader.digest, self.taps])
        self.key_folders = reader.key_folders
        self.cache = reader.cache.with_name(self.digest[: len(reader.cache.name)])

    def index_of(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """The index of each of `ids`.

        Raises:
            UnknownClipError: some are not there; the first few are named.
        """
        return self.reader.index_of(ids)

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The features (B, T, D) of some clips, and their mask (B, T)."""
        return self.reader.batch(indices, self.taps)

    def times(self, index: int) -> NDArray[np.float64]:
        """(T,) the presentation time of each frame of a clip, in seconds."""
        return self.reader.times(index)

    def per_frame(self, name: str, index: int) -> NDArray[np.float32] | None:
        """(T, ...) the per-frame numbers `name` of a clip; None if they were not stored with it."""
        return self.reader.per_frame(name, index)


class ConcatenatedReader:
    """Some readers' features of the clips that all of them hold, columns side by side.

    A clip that has no frames under one of them has none here. Raises JoinError from its constructor if a clip has fewer
    frames under one source than under another.
    """

    def __init__(self, readers: Sequence[FeatureReader | TapReader]) -> None:
        self.readers = tuple(readers)
        self.ids = sorted(set.intersection(*(set(reader.ids) for reader in readers)))
        self._rows = [reader.index_of(self.ids) for reader in readers]
        first, rows = readers[0], self._rows[0]
        own_lengths = np.stack([reader.lengths[own] for reader, own in zip(readers, self._rows, strict=True)])
        self.lengths: NDArray[np.int64] = np.where((own_lengths > 0).all(axis=0), own_lengths[0], 0)
        self.status = _worst([[each.status[row] for row in own] for each, own in zip(readers, self._rows, strict=True)])
        own_reasons = [[each.reasons[row] for row in own] for each, own in zip(readers, self._rows, strict=True)]
        self.reasons = [next(filter(None, several), "") for several in zip(*own_reasons, strict=True)]
        self.fingerprints = [first.fingerprints[row] for row in rows.tolist()]
        self.dtype = np.result_type(*(reader.dtype for reader in readers))
        self.tap_widths = tuple(width for reader in readers for width in reader.tap_widths)
        self.dim = sum(reader.dim for reader in readers)
        self.digest = settings_digest([reader.digest for reader in readers])
        self.key_folders = tuple(reader.key.folder for reader in readers)
        self.cache = first.cache.with_name(self.digest[: len(first.cache.name)])
        self._places = {clip_id: place for place, clip_id in enumerate(self.ids)}
        for reader, lengths in zip(readers[1:], own_lengths[1:], strict=True):
            self._require_same_frames(reader, lengths)

    def index_of(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """The index of each of `ids`.

        Raises:
            UnknownClipError: some are not under all of the sources; the first few are named.
        """
        wanted, where = list(ids), " and ".join(reader.key.source for reader in self.readers)
        require_known(wanted, self._places, f"features of {where}", "featurize these clips first")
        return np.array([self._places[clip_id] for clip_id in wanted], np.int64)

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The features (B, T, D) of some clips that have frames, and their mask (B, T)."""
        parts = [reader.batch(rows[indices]) for reader, rows in zip(self.readers, self._rows, strict=True)]
        return np.concatenate([features for features, _ in parts], axis=2), parts[0][1]

    def times(self, index: int) -> NDArray[np.float64]:
        """(T,) the presentation time of each frame of a clip, in seconds."""
        return self.readers[0].times(int(self._rows[0][index]))

    def per_frame(self, name: str, index: int) -> NDArray[np.float32] | None:
        """(T, ...) the per-frame numbers `name` of a clip, as the first source that has them says."""
        found = (each.per_frame(name, int(own[index])) for each, own in zip(self.readers, self._rows, strict=True))
        return next((numbers for numbers in found if numbers is not None), None)

    def _require_same_frames(self, reader: FeatureReader | TapReader, lengths: NDArray[np.int64]) -> None:
        odd = np.flatnonzero((lengths != self.lengths) & (self.lengths > 0))
        if len(odd):
            named = sorted({str(each.key.view["name"]) for each in self.readers})
            views = " or ".join(f"`view: {name}`" for name in named)
            raise JoinError(
                f"{self.readers[0].key.source} and {reader.key.source} cannot be joined: {len(odd)} clips have not "
                f"as many frames under one as under the other, such as {name_a_few([self.ids[row] for row in odd])}; "
                f"featurize both with the same sampling, and join sources of one view only ({views} in the recipe), "
                "since views see different numbers of pictures"
            )


def columns_of_last_taps(reader: Reader) -> NDArray[np.bool_]:
    """(D,) which columns belong to the last tap of a source."""
    if isinstance(reader, ConcatenatedReader):
        return np.concatenate([columns_of_last_taps(each) for each in reader.readers])
    return np.arange(reader.dim) >= reader.dim - reader.tap_widths[-1]


def _worst(statuses: Sequence[Sequence[Status]]) -> list[Status]:
    """The worst status of each clip, of those under each source."""
    order = list(Status)
    return [max(each, key=order.index) for each in zip(*statuses, strict=True)]


def ids_with_frames(reader: Reader, ids: Sequence[str]) -> list[str]:
    """Those of some clips of a reader that have frames, in the order of `ids`."""
    return [clip_id for clip_id, row in zip(ids, reader.index_of(ids).tolist(), strict=True) if reader.lengths[row]]
