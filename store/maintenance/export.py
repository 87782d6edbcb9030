"""Exporting: one plain, padded HDF5 file of a key, for people who want a single file."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.access.reader import FeatureReader
from store.format.columns import status_column, text_column
from store.format.commit import commit_part
from store.format.hdf5_image import Block, build_image

_BATCH = 64


def export_features(reader: FeatureReader, path: Path) -> None:
    """Write all clips of `reader` to one HDF5 file at `path`; what was there is replaced.

    It holds `features` (N, T, D), zero behind a clip's last frame, with T the longest clip; `n_frames` (N,) int64;
    `clip_id` and `status` (N,); `tap_names`, `tap_starts` and `tap_stops` as attributes of `features`;
    and, where the key holds pictures, `pictures` and `picture_offsets` as in a part.

    Raises:
        StoreWriteError: the disk refused; there is no half-written file.
    """
    frames = int(reader.lengths.max(initial=0))
    taps = reader.key.tap_columns
    dtype = reader.dtype.newbyteorder("<")
    shape = (len(reader), frames, reader.dim)
    columns: dict[str, NDArray[Any]] = {
        "clip_id": text_column(reader.ids),
        "status": status_column(reader.status),
        "n_frames": reader.lengths.astype("<i8"),
    }
    if reader.key.holds_pictures:  # beside which the features are few
        columns["features"] = np.concatenate([np.empty((0, *shape[1:]), dtype), *_features(reader, frames)])
        sizes = [reader.picture_sizes(place) for place in range(len(reader))]
        columns["picture_offsets"] = np.cumsum(np.concatenate([[0], *sizes])).astype("<i8")
        body = (memoryview(picture) for place in range(len(reader)) for picture in reader.pictures(place))
        block: Block = ("pictures", (int(columns["picture_offsets"][-1]),), np.dtype(np.uint8))
    else:
        body = (features.data.cast("B") for features in _features(reader, frames))
        block = ("features", shape, dtype)
    head, tail = build_image(
        attributes={"backbone": reader.key.backbone, "key": reader.key.folder},
        columns=columns,
        block=block,
        notes={
            "features": {
                "tap_names": [tap.name for tap in taps],
                "tap_starts": np.array([tap.start for tap in taps], "<i8"),
                "tap_stops": np.array([tap.stop for tap in taps], "<i8"),
            }
        },
    )
    commit_part(path, chain([memoryview(head)], body, [memoryview(tail)]))


def _features(reader: FeatureReader, frames: int) -> Iterator[NDArray[Any]]:
    """The features (B, T, D) of all clips, some at a time."""
    for first in range(0, len(reader) if frames else 0, _BATCH):
        yield reader.batch(np.arange(first, min(first + _BATCH, len(reader))), pad_to=frames)[0]
