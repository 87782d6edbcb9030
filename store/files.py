"""Files that are either whole or not there: written beside their place, flushed to the disk, then renamed.

Until then a file has a temporary name that tells whose it is, so that what the dead leave is told from what is in the
making.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from store.portable import is_running, sync_folder

_TEMPORARY = re.compile(r"\.tmp-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{16}(?:\.[^.]+)?")
_FORMER = re.compile(r"\..+\.\d+\.tmp(?:\.[^.]+)?")
_STALE_AFTER_S = 24 * 3600.0


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` once the block ends well.

    The temporary file keeps the ending of `path`, since some writers choose their format by it. Its folder is made if
    it is missing. If the block raises, the temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, path.suffix) as temporary:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def replacing(path: Path, ending: str = "") -> Iterator[Path]:
    """Give a temporary path beside `path`, which is renamed to it, durably, if the block ends well.

    What the block wrote it must have flushed to the disk itself.
    """
    temporary = path.parent / temporary_name(ending)
    try:
        yield temporary
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        # After a successful rename there is nothing left under this name.
        with contextlib.suppress(OSError):
            temporary.unlink()


def temporary_name(ending: str = "") -> str:
    """A name for a file in the making, which tells the host and the process that makes it."""
    return f".tmp-{_host()}-{os.getpid()}-{secrets.token_hex(8)}{ending}"


def abandoned_files(folder: Path, *, former: bool = False) -> list[Path]:
    """The temporary files in `folder` whose writer is dead; with `former`, those of before files told their host too.

    A writer of this host (of this boot, in this process-id namespace) is dead if its process is. Of any other writer
    nothing is known; its file is abandoned once it has not changed for a day, since writing one takes seconds.
    """
    if not folder.is_dir():
        return []
    return [entry for entry in sorted(folder.iterdir()) if is_abandoned(entry, former=former)]


def remove_abandoned(folder: Path, *, former: bool = False) -> list[Path]:
    """Delete what `abandoned_files` finds in `folder`: the files that were deleted."""
    removed = []
    for path in abandoned_files(folder, former=former):
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
    return removed


def is_temporary(path: Path) -> bool:
    """Whether the name of `path` is one of a file in the making."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_abandoned(path: Path, *, former: bool = False) -> bool:
    """Whether `abandoned_files` would find `path`."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None and not (former and _FORMER.fullmatch(path.name)):
        return False
    if match is not None and match["host"] == _host():
        return not is_running(int(match["pid"]))
    try:
        return time.time() - path.stat().st_mtime > _STALE_AFTER_S
    except FileNotFoundError:
        return False


@cache
def _host() -> str:
    """The name of this host and a token of its boot and process-id namespace: among these a process id is unique."""
    name = socket.gethostname()
    token = sha256(f"{name}\n{_boot_id()}\n{_pid_namespace()}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9.]", "_", name)[:40]
    return f"{readable}_{token}"


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _pid_namespace() -> str:
    path = Path("/proc/self/ns/pid")
    return str(path.readlink()) if path.is_symlink() else ""
