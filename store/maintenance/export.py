"""Exporting: one plain, padded HDF5 file of a key, for people who want a single file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from store.access.reader import FeatureReader
from store.format.columns import status_column, text_column
from store.format.commit import commit_part
from store.format.hdf5_image import build_image

_BATCH = 64


def export_features(reader: FeatureReader, path: Path) -> None:
    """Write all clips of `reader` to one HDF5 file at `path`; what was there is replaced.

    It holds `features` (N, T, D), zero behind a clip's last frame, with T the longest clip; `n_frames` (N,) int64;
    `clip_id` and `status` (N,); `tap_names`, `tap_starts` and `tap_stops` as attributes of `features`.

    Raises:
        StoreWriteError: the disk refused; there is no half-written file.
    """
    frames = int(reader.lengths.max(initial=0))
    taps = reader.key.tap_columns
    head, tail = build_image(
        attributes={"backbone": reader.key.backbone, "key": reader.key.folder},
        columns={
            "clip_id": text_column(reader.ids),
            "status": status_column(reader.status),
            "n_frames": reader.lengths.astype("<i8"),
        },
        block=(
            "features",
            (len(reader), frames, reader.dim),
            reader.dtype.newbyteorder("<"),
            {
                "tap_names": [tap.name for tap in taps],
                "tap_starts": np.array([tap.start for tap in taps], "<i8"),
                "tap_stops": np.array([tap.stop for tap in taps], "<i8"),
            },
        ),
    )
    commit_part(path, _body(reader, head, frames, tail))


def _body(reader: FeatureReader, head: bytes, frames: int, tail: bytes) -> Iterator[memoryview]:
    yield memoryview(head)
    for first in range(0, len(reader) if frames else 0, _BATCH):
        features, _ = reader.batch(np.arange(first, min(first + _BATCH, len(reader))), pad_to=frames)
        yield features.data.cast("B")
    yield memoryview(tail)
