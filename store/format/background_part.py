"""A part of backgrounds: what clips are seen against, to HDF5 bytes and back."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.digest import settings_digest
from store.errors import CorruptPartError
from store.format.columns import read_column, read_text, text_column
from store.format.hdf5_image import build_image
from store.format.open_part import open_part
from store.key import FORMAT_VERSION
from store.records import SeenAgainst

KIND = "trapline backgrounds"
BACKGROUNDS = "backgrounds"
_DIGEST_CHARS = 12
# What decides about backgrounds, among the settings of a view.
_SETTINGS, _AND = "background.", "low_px"
# A column that came later, and stands only in parts of clips of which it was said.
_DEPLOYMENT = "deployment"


def background_folder(root: Path, settings: Mapping[str, Any]) -> Path:
    """Where the store at `root` keeps what was found out under `settings`."""
    return root / BACKGROUNDS / settings_digest(settings)[:_DIGEST_CHARS]


def background_part_of(view: Mapping[str, Any]) -> dict[str, Any]:
    """Of the settings of a view, those that decide what clips are seen against; none if it compares no clips."""
    own = {name: value for name, value in view.items() if name.startswith(_SETTINGS)}
    return {**own, _AND: view[_AND]} if own else {}


def background_digest(
    settings: Mapping[str, Any],
    own: NDArray[np.uint8],
    others: Sequence[NDArray[np.uint8]],
    shifts: NDArray[np.float32],
) -> str:
    """The sha256, in hex, of all that a background is made of: two clips with the same are seen against the same."""
    digest = hashlib.sha256(settings_digest(settings).encode())
    for picture in [own, *others]:
        digest.update(np.array(picture.shape, "<i8").tobytes() + np.ascontiguousarray(picture).tobytes())
    digest.update(np.ascontiguousarray(shifts, "<f4").tobytes())
    return digest.hexdigest()


def encode_backgrounds(settings: Mapping[str, Any], rows: Sequence[SeenAgainst]) -> Iterator[memoryview]:
    """The HDF5 bytes of a part of `rows`."""
    head, tail = build_image(
        attributes={
            "format": KIND,
            "format_version": FORMAT_VERSION,
            "settings": json.dumps(settings, sort_keys=True, ensure_ascii=False),
            "settings_digest": settings_digest(settings),
            "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        },
        columns={
            "clip_id": text_column([row.clip_id for row in rows]),
            "fingerprint": text_column([row.fingerprint for row in rows]),
            "infrared": np.array([row.infrared for row in rows], "?"),
            "picture_shape": np.array([row.picture.shape for row in rows], "<i8").reshape(-1, 2),
            "picture": np.concatenate([np.empty(0, np.uint8), *(row.picture.ravel() for row in rows)]),
            "offsets": np.cumsum([0, *(len(row.others) for row in rows)]).astype("<i8"),
            "other": text_column([other for row in rows for other in row.others]),
            "shift": np.concatenate([np.empty((0, 2), "<f4"), *(row.shifts for row in rows)]).astype("<f4"),
            "digest": text_column([row.digest for row in rows]),
            **({_DEPLOYMENT: text_column(told)} if any(told := [row.deployment for row in rows]) else {}),
        },
    )
    yield memoryview(head)
    yield memoryview(tail)


def load_background_part(path: Path) -> list[SeenAgainst]:
    """The rows of the part at `path`.

    Raises:
        CorruptPartError: it is damaged or belongs to other settings.
        FileNotFoundError: it is gone.
    """
    with open_part(path, KIND) as file:
        if not str(file.attrs["settings_digest"]).startswith(path.parent.name):
            raise CorruptPartError(f"it belongs to the settings {file.attrs['settings_digest'][:_DIGEST_CHARS]}")
        ids, fingerprints, digests = (read_text(file, name) for name in ("clip_id", "fingerprint", "digest"))
        infrared, shapes, offsets = (read_column(file, name) for name in ("infrared", "picture_shape", "offsets"))
        others, shifts, pixels = read_text(file, "other"), read_column(file, "shift"), read_column(file, "picture")
        deployments = read_text(file, _DEPLOYMENT) if _DEPLOYMENT in file else [""] * len(ids)
    starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))])
    _require_consistent(
        [ids, fingerprints, digests, infrared, shapes, offsets[1:], deployments],
        offsets,
        others,
        shifts,
        pixels,
        starts,
    )
    return [
        SeenAgainst(
            clip_id=ids[row],
            fingerprint=fingerprints[row],
            infrared=bool(infrared[row]),
            picture=pixels[starts[row] : starts[row + 1]].reshape(shapes[row]),
            others=tuple(others[offsets[row] : offsets[row + 1]]),
            shifts=shifts[offsets[row] : offsets[row + 1]],
            digest=digests[row],
            deployment=deployments[row],
        )
        for row in range(len(ids))
    ]


def _require_consistent(
    columns: Sequence[Any],
    offsets: NDArray[np.int64],
    others: Sequence[str],
    shifts: NDArray[np.float32],
    pixels: NDArray[np.uint8],
    starts: NDArray[np.int64],
) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        raise CorruptPartError(f"its row columns have the lengths {lengths}, expected equal ones")
    if offsets[0] != 0 or np.any(np.diff(offsets) < 0) or not offsets[-1] == len(others) == len(shifts):
        raise CorruptPartError(f"its offsets do not rise from 0 to its {len(others)} other clips")
    if starts[-1] != len(pixels):
        raise CorruptPartError(f"it has {len(pixels)} pixels, expected {starts[-1]}")
