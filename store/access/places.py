"""Where each clip's blocks are in the part files, and finding them again when parts were merged."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from store.access.index import FeatureIndex
from store.errors import StoreReadError
from store.format.feature_part import FeaturePart
from store.ids import name_a_few


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the clips of a reader are, as plain lists, which are faster than arrays when looked at one by one.

    Attributes:
        parts: the parts.
        part_of: (N) index into `parts`.
        starts: (N) first frame within the part.
        features_at: (N) position in the file of the first feature.
        times_at: (N) position in the file of the first time.
        dtype: of the features of all parts; None if the parts differ.
        held: descriptors of the parts that are held open, by index into `parts`.
    """

    parts: list[FeaturePart]
    part_of: list[int]
    starts: list[int]
    features_at: list[int]
    times_at: list[int]
    dtype: np.dtype[Any] | None
    held: dict[int, int] = field(default_factory=dict)


def places_of(index: FeatureIndex, dim: int, clips: list[int] | slice = slice(None)) -> Places:
    """The places of `clips` (rows of `index`, all if left out), in their order."""
    part_of, starts = index.part_of[clips], index.starts[clips]
    features_at = np.array([part.features_at for part in index.parts], dtype=np.int64)
    times_at = np.array([part.times_at for part in index.parts], dtype=np.int64)
    frame_bytes = np.array([part.dtype.itemsize * dim for part in index.parts], dtype=np.int64)
    return Places(
        parts=index.parts,
        part_of=part_of.tolist(),
        starts=starts.tolist(),
        features_at=(features_at[part_of] + starts * frame_bytes[part_of]).tolist(),
        dtype=index.parts[0].dtype if len({part.dtype for part in index.parts}) == 1 else None,
        times_at=(times_at[part_of] + starts * np.dtype(np.float64).itemsize).tolist(),
    )


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
            f"{len(changed)} clips were replaced since this reader was opened: {name_a_few(changed)}; open it again"
        )
    return places_of(now, dim, found)
