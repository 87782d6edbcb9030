"""Verifying: every byte of every part against its seal, and every row against the rules of the format."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np

from store.errors import CorruptPartError, StoreError, StoreReadError
from store.format.background_part import BACKGROUNDS, load_background_part
from store.format.classifier_file import CLASSIFIER, read_classifier
from store.format.clip_part import load_clip_part
from store.format.columns import STATUSES
from store.format.commit import HEADER_BYTES, header_of
from store.format.feature_part import KIND, FeaturePart, load_feature_part
from store.format.layout import SPEC, key_folders, read_spec
from store.format.network_file import list_networks, network_folder, require_whole
from store.format.open_part import JPEG_START, open_part
from store.format.part_names import list_parts
from store.format.precision import all_finite
from store.ids import name_a_few, normalise_clip_id
from store.key import FeatureKey
from store.records import Status

_CHUNK_BYTES = 16 * 2**20
_CHUNK_VALUES = 2**22


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with a file of the store.

    Attributes:
        path: the file.
        problem: what is wrong, one sentence.
        damaged: whether the content is at fault; false if the machine refused to read it.
    """

    path: Path
    problem: str
    damaged: bool = True


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What verifying a store found.

    Attributes:
        parts: number of part files looked at.
        bytes: their size.
        problems: what is wrong; empty if all is well.
    """

    parts: int
    bytes: int
    problems: list[Problem]


def verify_store(root: Path, progress: Callable[[Path], None] = lambda path: None) -> Verification:
    """Check every file of the store at `root`; `progress` is called with each part before it is read."""
    problems, parts, size = [], 0, 0
    for path, check in _checks(root):
        if path.name not in (SPEC, CLASSIFIER) and path.suffix != ".json":
            progress(path)
            parts, size = parts + 1, size + size_bytes(path)
        try:
            check()
        except FileNotFoundError:
            continue  # merged or quarantined by another process since the folder was listed
        except StoreReadError as error:
            problems.append(Problem(path=path, problem=str(error), damaged=False))
        except StoreError as error:
            problems.append(Problem(path=path, problem=str(error)))
    return Verification(parts=parts, bytes=size, problems=problems)


def require_sealed(path: Path) -> None:
    """Raise CorruptPartError unless the bytes of the part at `path` are those that were written."""
    try:
        with path.open("rb", buffering=0) as file:
            header = file.read(HEADER_BYTES)
            digest = sha256()
            while piece := file.read(_CHUNK_BYTES):
                digest.update(piece)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreReadError(f"{path}: could not be read ({error}); restore access and try again") from error
    if header != header_of(digest.hexdigest()):
        raise CorruptPartError(
            f"{path}: its bytes are not those that were written (sha256 {digest.hexdigest()[:12]}... is not what its "
            "header promises); run `store repair`, then the command that made it"
        )


def _checks(root: Path) -> Iterator[tuple[Path, Callable[[], object]]]:
    for folder in key_folders(root):
        yield folder / SPEC, partial(read_spec, folder)
        yield folder / CLASSIFIER, partial(read_classifier, folder)
        for name in list_parts(folder):
            yield folder / name, partial(_check_feature_part, folder / name)
    for name in list_parts(root / "clips"):
        yield root / "clips" / name, partial(_check_clip_part, root / "clips" / name)
    for folder in sorted((root / BACKGROUNDS).glob("*/")):
        for name in list_parts(folder):
            yield folder / name, partial(_check_background_part, folder / name)
    for path in list_networks(network_folder(root)):
        yield path, partial(require_whole, path)


def _check_clip_part(path: Path) -> None:
    require_sealed(path)
    part = load_clip_part(path)
    _require_ids(path, part.columns["clip_id"])


def _check_background_part(path: Path) -> None:
    require_sealed(path)
    _require_ids(path, [row.clip_id for row in load_background_part(path)])


def _check_feature_part(path: Path) -> None:
    require_sealed(path)
    key = part_key(path)
    _require(path, key.folder == path.parent.name, f"it holds features of {key.folder}")
    part = load_feature_part(path, key)
    _require_ids(path, part.clip_ids)
    for clip_id, code, length in zip(part.clip_ids, part.statuses, np.diff(part.offsets), strict=True):
        failed = STATUSES[code] is Status.FAILED
        _require(path, failed == (length == 0), f"clip {clip_id!r} is {STATUSES[code]} with {length} frames")
    with open_part(path, KIND) as file:
        _check_frames(path, part, file)


def _check_frames(path: Path, part: FeaturePart, file: h5py.File) -> None:
    times, frames = file["times_s"][()], int(part.offsets[-1])
    _require(
        path, len(times) == frames and bool(np.isfinite(times).all()), "its times are not one finite number a frame"
    )
    falls = np.flatnonzero(np.diff(times) < 0) + 1
    _require(path, bool(np.isin(falls, part.offsets).all()), "its times fall within a clip")
    for name, values in file.get("per_frame", {}).items():
        _require(path, len(values) == frames, f"its per-frame {name} has {len(values)} rows, expected {frames}")
    if "pictures" in file and part.picture_offsets_at:
        _check_pictures(path, file)
    features = file["features"]
    if part.exponents is not None:
        _check_rounded(path, part, features)
        return
    step = max(1, _CHUNK_VALUES // max(1, features.shape[1]))
    for start in range(0, frames, step):
        if not all_finite(features[start : start + step]):
            clip = part.clip_ids[int(np.searchsorted(part.offsets, start, side="right")) - 1]
            _require(path, False, f"it has features that are not finite, at or after clip {clip!r}")


def _check_rounded(path: Path, part: FeaturePart, features: h5py.Dataset) -> None:
    step = max(1, _CHUNK_VALUES // max(1, features.shape[1]))
    for start in range(0, len(features), step):
        if (features[start : start + step] == np.iinfo(np.int8).min).any():
            clip = part.clip_ids[int(np.searchsorted(part.offsets, start, side="right")) - 1]
            _require(path, False, f"it has a feature of -128, which stands for nothing, at or after clip {clip!r}")


def _check_pictures(path: Path, file: h5py.File) -> None:
    offsets = file["picture_offsets"][()]
    _require(path, bool((np.diff(offsets) > 0).all()), "its picture offsets do not rise")
    for start in offsets[:-1].tolist():
        _require(
            path, file["pictures"][start : start + len(JPEG_START)].tobytes() == JPEG_START, "a picture is no JPEG"
        )


def part_key(path: Path) -> FeatureKey:
    """The key that a part of features spells out."""
    with open_part(path, KIND) as file:
        return FeatureKey.from_json(json.loads(file.attrs["key"]))


def _require_ids(path: Path, clip_ids: list[str]) -> None:
    bad = [clip_id for clip_id in clip_ids if not clip_id or normalise_clip_id(clip_id) != clip_id]
    _require(path, not bad, f"{len(bad)} clip ids are not in normal form: {name_a_few(bad)}")


def _require(path: Path, holds: bool, problem: str) -> None:
    if not holds:
        raise CorruptPartError(f"{path}: {problem}; run `store repair`, then the command that made it")


def size_bytes(path: Path) -> int:
    """The size of a file; 0 if another process removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
