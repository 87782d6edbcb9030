"""A part of features: rows of clips to HDF5 bytes, and the row columns back."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.errors import CorruptPartError
from store.format.columns import STATUSES, read_column, read_text, status_column, text_column
from store.format.hdf5_image import Block, build_image
from store.format.open_part import WITH_PICTURES, WITH_ROUNDED, open_part, read_attribute
from store.format.rounded import (
    LEAST_EXPONENT,
    ROUNDED,
    are_exponents,
    bytes_of_steps,
    restored_dtype,
    round_features,
)
from store.key import FORMAT_VERSION, FeatureKey
from store.records import ClipFeatures

KIND = "trapline features"


@dataclass(frozen=True, kw_only=True)
class FeaturePart:
    """What a part says about its rows; the features themselves stay on the disk.

    Attributes:
        path: the file.
        size_bytes: its size.
        clip_ids: (N) clip ids, in row order.
        fingerprints: (N) content fingerprints.
        statuses: (N) uint8 codes of `columns.STATUS_CODES`.
        reasons: (N) reasons.
        offsets: (N + 1,) int64; row i has the frames [offsets[i], offsets[i + 1]).
        dtype: float16 or float32, of the features as they are read.
        features_at: where the features' (F, D) block begins in the file; 0 if there is no frame.
        times_at: where the (F,) float64 block of times begins in the file; 0 if there is no frame.
        pictures_at: where the block of all pictures, one after the other, begins in the file; 0 if there is none.
        picture_offsets_at: where the (F + 1,) int64 block begins that says where in it each picture does; 0 if none.
        exponents: (N,) int8 of features that are rounded to bytes, as `rounded.Rounded` has them; None of others.
        steps_at: where the (N, ceil(D / 2)) uint8 block of their steps begins in the file; 0 if they are not rounded.
    """

    path: Path
    size_bytes: int
    clip_ids: list[str]
    fingerprints: list[str]
    statuses: NDArray[np.uint8]
    reasons: list[str]
    offsets: NDArray[np.int64]
    dtype: np.dtype[Any]
    features_at: int
    times_at: int
    pictures_at: int = 0
    picture_offsets_at: int = 0
    exponents: NDArray[np.int8] | None = None
    steps_at: int = 0

    @property
    def value_bytes(self) -> int:
        """Size of a value in the file."""
        return self.dtype.itemsize if self.exponents is None else ROUNDED.itemsize


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Where the per-frame numbers of one name are in a part.

    Attributes:
        name: what they are called.
        position: where the block of all frames begins in the file; 0 if there is no frame.
        shape: of the numbers of one frame.
        dtype: of each number.
    """

    name: str
    position: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def frame_bytes(self) -> int:
        """Size of the numbers of one frame."""
        return math.prod(self.shape) * self.dtype.itemsize


def encode_features(key: FeatureKey, rows: Sequence[ClipFeatures]) -> Iterator[memoryview]:
    """The HDF5 bytes of a part of `rows` (valid, and alike in their per-frame names and shapes), in pieces."""
    lengths = np.array([len(row.times_s) for row in rows], dtype=np.int64)
    columns = _columns(rows, lengths)
    if key.is_rounded:
        dtype: np.dtype[Any] = ROUNDED
        rounded = [round_features(row.features) for row in rows]
        columns |= {
            "exponents": np.array([each.exponent for each in rounded], "i1"),
            "steps": np.stack([each.steps for each in rounded]),
        }
        features = [each.codes for each in rounded if len(each.codes)]
    else:
        dtype = np.result_type(*(row.features.dtype for row in rows)).newbyteorder("<")
        features = [np.ascontiguousarray(row.features, dtype=dtype) for row in rows if len(row.features)]
    if key.holds_pictures:  # beside which the features are few
        pictures = [picture for row in rows for picture in row.pictures]
        columns["features"] = np.concatenate([np.empty((0, key.dim), dtype), *features])
        columns["picture_offsets"] = np.cumsum([0, *map(len, pictures)]).astype("<i8")
        body = [memoryview(picture) for picture in pictures]
        block: Block = ("pictures", (int(columns["picture_offsets"][-1]),), np.dtype(np.uint8))
    else:
        body = [each.data.cast("B") for each in features]
        block = ("features", (int(lengths.sum()), key.dim), dtype)
    head, tail = build_image(
        attributes=_attributes(key), columns=columns, block=block, notes={"features": _tap_attributes(key)}
    )
    yield memoryview(head)
    yield from body
    yield memoryview(tail)


def load_feature_part(path: Path, key: FeatureKey) -> FeaturePart:
    """Read the row columns of the part at `path`.

    Raises:
        CorruptPartError: it is damaged or belongs to another key.
        FileNotFoundError: it is gone.
    """
    with open_part(path, KIND) as file:
        digest = read_attribute(file, "key_digest")
        if digest != key.digest:
            raise CorruptPartError(f"it belongs to the key {str(digest)[:12]}, expected {key.digest[:12]}")
        features = h5py.h5d.open(file.id, b"features")
        part = _read_rows(path, file, features)
        if key.is_rounded:
            part = _with_exponents(part, file, key)
        _require_consistent(part, features.shape, key)
        if key.holds_pictures:
            part = _with_pictures(part, file)
        return part


def load_extras(path: Path) -> list[Extra]:
    """Where the per-frame extras of the part at `path` are.

    Raises:
        CorruptPartError: it is damaged, or some are not one block.
        FileNotFoundError: it is gone.
    """
    with open_part(path, KIND) as file:
        found = []
        for name, values in file.get("per_frame", {}).items():
            if values.size and values.id.get_offset() is None:
                raise CorruptPartError(f"its per-frame {name} are not one contiguous block, as they must be")
            position = values.id.get_offset() or 0
            found.append(Extra(name=name, position=position, shape=values.shape[1:], dtype=values.dtype))
        return found


def _read_rows(path: Path, file: h5py.File, features: h5py.h5d.DatasetID) -> FeaturePart:
    return FeaturePart(
        path=path,
        size_bytes=path.stat().st_size,
        clip_ids=read_text(file, "clip_id"),
        fingerprints=read_text(file, "fingerprint"),
        statuses=read_column(file, "status"),
        reasons=read_text(file, "reason"),
        offsets=read_column(file, "offsets"),
        dtype=features.dtype,
        features_at=features.get_offset() or 0,
        times_at=h5py.h5d.open(file.id, b"times_s").get_offset() or 0,
    )


def _with_exponents(part: FeaturePart, file: h5py.File, key: FeatureKey) -> FeaturePart:
    """The part with what its features are to be multiplied by."""
    if int(read_attribute(file, "format_version")) < WITH_ROUNDED:
        raise CorruptPartError(f"its features are rounded to bytes, expected format version {WITH_ROUNDED}")
    if part.dtype != ROUNDED:
        raise CorruptPartError(f"its features are {part.dtype}, expected {ROUNDED}")
    exponents, steps = read_column(file, "exponents"), h5py.h5d.open(file.id, b"steps")
    expected = (len(part.clip_ids), bytes_of_steps(key.dim))
    if exponents.shape != expected[:1] or exponents.dtype != np.int8 or not are_exponents(exponents):
        raise CorruptPartError(f"its exponents are not one int8 a row, {LEAST_EXPONENT} or more")
    at = steps.get_offset() or 0
    if steps.shape != expected or steps.dtype != np.uint8 or at + math.prod(expected) > part.size_bytes:
        raise CorruptPartError(f"its steps are {steps.shape} {steps.dtype}, expected {expected} uint8")
    return replace(part, dtype=restored_dtype(exponents), exponents=exponents, steps_at=at)


def _with_pictures(part: FeaturePart, file: h5py.File) -> FeaturePart:
    """The part with the places of its pictures."""
    if int(file.attrs["format_version"]) < WITH_PICTURES:
        raise CorruptPartError(f"it holds pictures, expected format version {WITH_PICTURES}")
    pictures, offsets = file["pictures"], file["picture_offsets"]
    frames = int(part.offsets[-1])
    if offsets.shape != (frames + 1,) or offsets.dtype != np.int64:
        raise CorruptPartError(
            f"its picture offsets are {offsets.shape} {offsets.dtype}, expected ({frames + 1},) int64"
        )
    if pictures.ndim != 1 or pictures.dtype != np.uint8:
        raise CorruptPartError(f"its pictures are {pictures.ndim}-dimensional {pictures.dtype}, expected bytes")
    at = pictures.id.get_offset() or 0
    if offsets[0] != 0 or offsets[-1] != len(pictures) or at + len(pictures) > part.size_bytes:
        raise CorruptPartError(f"its picture offsets do not go from 0 to its {len(pictures)} bytes of pictures")
    return replace(part, pictures_at=at, picture_offsets_at=offsets.id.get_offset() or 0)


def _require_consistent(part: FeaturePart, shape: tuple[int, ...], key: FeatureKey) -> None:
    """What must hold for a row to be found; `verify` checks the rest."""
    count = len(part.clip_ids)
    lengths = [count, len(part.fingerprints), len(part.statuses), len(part.reasons), len(part.offsets) - 1]
    if any(length != count for length in lengths):
        raise CorruptPartError(f"its row columns have the lengths {lengths}, expected equal ones")
    if int(part.statuses.max(initial=0)) >= len(STATUSES):
        raise CorruptPartError(f"it has the status code {part.statuses.max()}, expected at most {len(STATUSES) - 1}")
    if len(shape) != 2 or shape[1] != key.dim:
        raise CorruptPartError(f"its features have the shape {shape}, expected (frames, {key.dim})")
    if part.offsets[0] != 0 or part.offsets[-1] != shape[0] or bool((part.offsets[1:] < part.offsets[:-1]).any()):
        raise CorruptPartError(f"its offsets do not rise from 0 to its {shape[0]} frames")
    if part.dtype not in (np.float16, np.float32):
        raise CorruptPartError(f"its features are {part.dtype}, expected float16 or float32")
    if part.features_at + math.prod(shape) * part.value_bytes > part.size_bytes:
        raise CorruptPartError(f"it ends at byte {part.size_bytes}, before its features do")


def _attributes(key: FeatureKey) -> dict[str, Any]:
    return {
        "format": KIND,
        "format_version": _version(key),
        "key": json.dumps(key.to_json(), sort_keys=True, ensure_ascii=False),
        "key_digest": key.digest,
        "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _version(key: FeatureKey) -> int:
    if key.is_rounded:
        return WITH_ROUNDED
    return WITH_PICTURES if key.holds_pictures else FORMAT_VERSION


def _tap_attributes(key: FeatureKey) -> dict[str, Any]:
    taps = key.tap_columns
    return {
        "tap_names": np.array([tap.name for tap in taps], dtype=h5py.string_dtype()),
        "tap_starts": np.array([tap.start for tap in taps], dtype="<i8"),
        "tap_stops": np.array([tap.stop for tap in taps], dtype="<i8"),
    }


def _columns(rows: Sequence[ClipFeatures], lengths: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        "clip_id": text_column([row.clip_id for row in rows]),
        "fingerprint": text_column([row.fingerprint for row in rows]),
        "status": status_column([row.status for row in rows]),
        "reason": text_column([row.reason for row in rows]),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype("<i8"),
        "times_s": np.concatenate([row.times_s for row in rows]).astype("<f8"),
    }
    with_frames = [row for row in rows if len(row.times_s)]
    for name in with_frames[0].per_frame if with_frames else ():
        columns[f"per_frame/{name}"] = np.concatenate([row.per_frame[name] for row in with_frames]).astype("<f4")
    return columns
