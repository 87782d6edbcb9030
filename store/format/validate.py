"""What a row must satisfy before it may enter the store."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidRecordError
from store.format.open_part import JPEG_START
from store.format.precision import all_finite
from store.ids import normalise_clip_id
from store.key import FeatureKey
from store.records import ClipFacts, ClipFeatures, Status


def require_valid_facts(row: ClipFacts) -> None:
    """Raise InvalidRecordError, naming the clip, unless `row` can be stored as it is."""
    _require_id(row.clip_id)
    _require_status(row.clip_id, row.status, row.reason)
    for name in ("path", "fingerprint", "reason", "container", "codec", "recorded_at", "image_hash"):
        _require_text(row.clip_id, name, getattr(row, name))


def require_valid_features(key: FeatureKey, row: ClipFeatures) -> None:
    """Raise InvalidRecordError, naming the clip, unless `row` is consistent in itself and with `key`."""
    _require_id(row.clip_id)
    _require_status(row.clip_id, row.status, row.reason)
    _require_text(row.clip_id, "fingerprint", row.fingerprint)
    _require_text(row.clip_id, "reason", row.reason)
    count = len(row.times_s)
    if row.features.shape != (count, key.dim):
        _refuse(row.clip_id, f"features have the shape {row.features.shape}, expected ({count}, {key.dim})")
    if row.features.dtype not in (np.float16, np.float32):
        _refuse(row.clip_id, f"features are {row.features.dtype}, expected float16 or float32")
    if (row.status is Status.FAILED) != (count == 0):
        _refuse(
            row.clip_id, f"status is {row.status} with {count} frames; a clip has no frames if, and only if, it failed"
        )
    if not np.isfinite(row.times_s).all() or np.any(np.diff(row.times_s) < 0):
        _refuse(row.clip_id, "times_s holds values that are not finite or that fall")
    for name, values in row.per_frame.items():
        _require_per_frame(row.clip_id, name, values, count)
    _require_pictures(key, row, count)
    if not all_finite(row.features):
        _refuse(
            row.clip_id, f"{_count_bad(row.features)} feature values are not finite; look for the cause in the network"
        )


def _require_id(clip_id: str) -> None:
    if not clip_id or normalise_clip_id(clip_id) != clip_id:
        _refuse(clip_id, "is no clip id; pass names through store.ids.normalise_clip_id")
    _require_text(clip_id, "clip_id", clip_id)


def _require_status(clip_id: str, status: Status, reason: str) -> None:
    if (status is Status.OK) != (reason == ""):
        _refuse(clip_id, f"status is {status} and the reason {reason!r}; a reason is due if, and only if, it is not ok")


def _require_text(clip_id: str, field: str, text: str) -> None:
    """HDF5 text is UTF-8 padded with zero bytes: what cannot be that would come back changed."""
    if "\0" in text:
        _refuse(clip_id, f"{field} holds a zero character; remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(clip_id, f"{field} {text!r} cannot be written as UTF-8; rename the file")


def _require_per_frame(clip_id: str, name: str, values: NDArray[Any], count: int) -> None:
    if not name or "/" in name or name.startswith("."):
        _refuse(clip_id, f"per-frame name {name!r} is empty, starts with '.' or holds '/'")
    if values.ndim < 1 or len(values) != count:
        _refuse(clip_id, f"per-frame {name!r} has the shape {values.shape}, expected ({count}, ...)")


def _require_pictures(key: FeatureKey, row: ClipFeatures, count: int) -> None:
    expected = count if key.holds_pictures else 0
    if len(row.pictures) != expected:
        _refuse(row.clip_id, f"there are {len(row.pictures)} pictures, expected {expected} under {key.folder}")
    if not all(picture.startswith(JPEG_START) for picture in row.pictures):
        _refuse(row.clip_id, "a picture is no JPEG file")


def _count_bad(features: NDArray[Any]) -> int:
    return int(np.count_nonzero(~np.isfinite(features)))


def _refuse(clip_id: str, problem: str) -> None:
    raise InvalidRecordError(f"clip {clip_id!r}: {problem}")
