"""Where each clip's blocks are in the part files, and finding them again when parts were merged."""

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.access.index import FeatureIndex
from store.errors import StoreReadError
from store.format.feature_part import Extra, FeaturePart
from store.ids import counted, name_a_few


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the clips of a reader are, in arrays of Python's own, which are faster than numpy's when looked at one by
    one, and a fifth of the size of lists.

    Attributes:
        parts: the parts.
        part_of: (N) index into `parts`.
        starts: (N) first frame within the part.
        features_at: (N) position in the file of the first feature.
        times_at: (N) position in the file of the first time.
        dtype: of the features of all parts in the files; None if the parts differ, or are rounded.
        row_of: (N) row within the part; empty unless features are rounded.
        held: descriptors of the parts that are held open, by index into `parts`.
        extras: where the per-frame extras are of the parts that were asked for them, by index into `parts`.
    """

    parts: list[FeaturePart]
    part_of: "array[int]"
    starts: "array[int]"
    features_at: "array[int]"
    times_at: "array[int]"
    dtype: np.dtype[Any] | None
    row_of: "array[int]"
    held: dict[int, int] = field(default_factory=dict)
    extras: dict[int, list[Extra]] = field(default_factory=dict)


def places_of(index: FeatureIndex, dim: int, clips: list[int] | slice = slice(None)) -> Places:
    """The places of `clips` (rows of `index`, all if left out), in their order."""
    part_of, starts = index.part_of[clips], index.starts[clips]
    features_at = np.array([part.features_at for part in index.parts], dtype=np.int64)
    times_at = np.array([part.times_at for part in index.parts], dtype=np.int64)
    frame_bytes = np.array([part.value_bytes * dim for part in index.parts], dtype=np.int64)
    rounded = any(part.exponents is not None for part in index.parts)
    return Places(
        parts=index.parts,
        part_of=_plain(part_of),
        starts=_plain(starts),
        features_at=_plain(features_at[part_of] + starts * frame_bytes[part_of]),
        dtype=index.parts[0].dtype if len({part.dtype for part in index.parts}) == 1 and not rounded else None,
        row_of=_plain(index.row_of[clips] if rounded else np.empty(0, np.int64)),
        times_at=_plain(times_at[part_of] + starts * np.dtype(np.float64).itemsize),
    )


def _plain(numbers: NDArray[np.int64]) -> "array[int]":
    return array("q", numbers.astype(np.int64).tobytes())


def relocated(before: FeatureIndex, now: FeatureIndex, dim: int) -> Places:
    """The places, in the parts that are there `now`, of the rows of `before`.

    Raises:
        StoreReadError: a row is gone or was replaced by other content.
    """
    place_of = {clip_id: place for place, clip_id in enumerate(now.ids)}
    found = [place_of.get(clip_id, -1) for clip_id in before.ids]
    lengths = before.lengths.tolist()
    changed = [
        clip_id
        for clip_id, fingerprint, length, place in zip(before.ids, before.fingerprints, lengths, found, strict=True)
        if place < 0 or (now.fingerprints[place], int(now.lengths[place])) != (fingerprint, length)
    ]
    if changed:
        raise StoreReadError(
            f"{counted(len(changed), 'clip', 'were')} replaced since this reader was opened: "
            f"{name_a_few(changed)}; open it again"
        )
    return places_of(now, dim, found)
