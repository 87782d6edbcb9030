"""Names in a store folder: parts in the order of their making, and temporary files that show whose they are."""

import os
import re
import secrets
import socket
import time
from functools import cache
from hashlib import sha256
from pathlib import Path

from ulid import ULID

from store.errors import StoreReadError

_PART = re.compile(r"part-([0-9A-HJKMNP-TV-Z]{26})\.h5")
_TEMPORARY = re.compile(r"\.tmp-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{16}")
_STALE_AFTER_S = 24 * 3600.0
# A ULID is a time in milliseconds and 80 random bits: a merged part stays within the millisecond of its newest input.
_MERGE_GAP_BITS = 32
_ONE_MILLISECOND = 1 << 80


def list_parts(folder: Path) -> list[str]:
    """The names of the parts in `folder`, oldest first; none if the folder is not there.

    Raises:
        StoreReadError: the machine refused to list it.
    """
    try:
        names = [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreReadError(
            f"{folder}: could not be listed ({error.strerror}); restore access and try again"
        ) from error
    return sorted(name for name in names if _PART.fullmatch(name))


def new_part_name(folder: Path) -> str:
    """A name for a part that is committed to `folder` now: it sorts after every part that is already there.

    A clock that runs behind (of another machine, or after a correction) must not make new rows older than the rows
    that they replace.
    """
    present = list_parts(folder)
    now = ULID()
    newest = _ulid_of(present[-1]) if present else None
    return _name(now if newest is None or now > newest else ULID.from_int(int(newest) + _ONE_MILLISECOND))


def merged_part_name(newest_input: str) -> str:
    """A name for the merged rows of parts of which `newest_input` is the newest.

    It sorts directly after that part: before everything that was committed later, so that merging never makes a row
    newer than one that replaced it.
    """
    return _name(ULID.from_int(int(_ulid_of(newest_input)) + 1 + secrets.randbits(_MERGE_GAP_BITS)))


def temporary_name() -> str:
    """A name for a file in the making, which tells the host and the process that makes it."""
    return f".tmp-{_host()}-{os.getpid()}-{secrets.token_hex(8)}"


def abandoned_files(folder: Path) -> list[Path]:
    """The temporary files in `folder` whose writer is dead.

    A writer of this host (of this boot, in this process-id namespace) is dead if its process is. Of any other writer
    nothing is known; its file is abandoned once it has not changed for a day, since writing one takes seconds.
    """
    if not folder.is_dir():
        return []
    return [entry for entry in sorted(folder.iterdir()) if _is_abandoned(entry)]


def _is_abandoned(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] == _host():
        return not _is_running(int(match["pid"]))
    try:
        return time.time() - path.stat().st_mtime > _STALE_AFTER_S
    except FileNotFoundError:
        return False


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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


def _name(ulid: ULID) -> str:
    return f"part-{ulid}.h5"


def _ulid_of(part_name: str) -> ULID:
    match = _PART.fullmatch(part_name)
    if match is None:
        raise ValueError(f"{part_name!r} is not the name of a part")
    return ULID.from_str(match[1])
