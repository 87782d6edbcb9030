"""The cache of a store: numbers that can be computed again from features, in a folder for each set of features.

A folder's `features.json` names the features that its numbers come from, so that they go when the features do. Whoever
uses a file marks it as used, so that what nobody uses any more can be told. Any file may be deleted at any time.
"""

import contextlib
import json
import os
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from store.files import is_abandoned, is_temporary, remove_abandoned, write_json

_FEATURES = "features.json"
_DIGEST_CHARS = 32
_DAY_S = 24 * 3600.0


def cache_folder(root: Path, digest: str) -> Path:
    """Where the store at `root` keeps what comes from the features whose settings have this digest."""
    return root / "cache" / digest[:_DIGEST_CHARS]


def prepare_cache(folder: Path, key_folders: Sequence[str]) -> None:
    """Make a folder for numbers that come from the features in `key_folders`, and clear it of what the dead left.

    Raises:
        OSError: the disk refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    if not (folder / _FEATURES).exists():
        write_json(folder / _FEATURES, {"features": list(key_folders)})


def mark_used(path: Path) -> None:
    """Note that a file of the cache was used just now; where that cannot be noted it may be deleted the earlier."""
    with contextlib.suppress(OSError):
        os.utime(path)


def cached_files(root: Path) -> list[Path]:
    """All files of the cache of the store at `root`, but for the notes of what they come from."""
    return sorted(path for path in (root / "cache").rglob("*") if path.is_file() and path.name != _FEATURES)


def useless_files(root: Path, key_folders: Collection[str], unused_days: float) -> list[Path]:
    """Those of `cached_files` that nobody misses.

    Args:
        root: the store.
        key_folders: the features that are there; what comes from others is useless.
        unused_days: after how many days without use a file is useless; one in the making is not before it is abandoned.
    """
    stale = time.time() - unused_days * _DAY_S
    return [
        path
        for path in cached_files(root)
        if (is_abandoned(path) if is_temporary(path) else _facts(path)[1] < stale or _is_of_others(path, key_folders))
    ]


def bytes_of(paths: Iterable[Path]) -> int:
    """The size of all of `paths` that are still there."""
    return sum(_facts(path)[0] for path in paths)


def remove_files(root: Path, paths: Iterable[Path]) -> int:
    """Delete files of the cache, and the folders that are empty then; how many bytes that freed."""
    freed = 0
    for path in paths:
        size = bytes_of([path])
        with contextlib.suppress(OSError):
            path.unlink()
            freed += size
    for note in (root / "cache").glob(f"*/{_FEATURES}"):
        with contextlib.suppress(OSError):
            if [path.name for path in note.parent.iterdir()] == [_FEATURES]:
                note.unlink()
                note.parent.rmdir()
    return freed


def _is_of_others(path: Path, key_folders: Collection[str]) -> bool:
    """Whether it is known to come from features that are not among `key_folders`."""
    try:
        return not set(json.loads((path.parent / _FEATURES).read_bytes())["features"]) <= set(key_folders)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _facts(path: Path) -> tuple[int, float]:
    """Size in bytes and time of last use; of a file that somebody else has deleted, none and long ago."""
    try:
        facts = path.stat()
    except OSError:
        return 0, 0.0
    return facts.st_size, facts.st_mtime
