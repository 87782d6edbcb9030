"""What not every system can do, done by what the one at hand can: positioned reads, gathered writes, durable names.

Each is chosen by whether the call is there, not by the system's name. What a system cannot promise is said with it.
"""

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_SHARING_VIOLATION = 32  # Windows' number for: another process has the file open
# One lock for all descriptors: where there is no positioned read, the place in the file is moved and read from.
_moving = threading.Lock()


def open_to_read(path: Path) -> int:
    """A descriptor of the bytes of `path`; on Windows, too, not one that translates the ends of lines."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def open_new(path: Path) -> int:
    """A descriptor of a new file at `path`, to write bytes to.

    Raises:
        FileExistsError: there is one already.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)


def open_to_append(path: Path) -> int:
    """A descriptor of the file at `path`, made if it is missing, that reads anywhere and writes at its end only."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)


def read_at(descriptor: int, out: memoryview, position: int) -> int:
    """Read into `out` (bytes) from `position` of a file, and return how many bytes came; 0 at its end.

    Safe to call from several threads: without `preadv` they wait for each other.
    """
    preadv = getattr(os, "preadv", None)
    if preadv is not None:
        return int(preadv(descriptor, [out], position))
    with _moving:
        os.lseek(descriptor, position, os.SEEK_SET)
        read = os.read(descriptor, len(out))
    out[: len(read)] = read
    return len(read)


def write_some(descriptor: int, pieces: Sequence[bytes | memoryview]) -> int:
    """Write the beginning of `pieces`, one after the other, and return how many bytes that was."""
    writev = getattr(os, "writev", None)
    return int(writev(descriptor, pieces)) if writev is not None else os.write(descriptor, pieces[0])


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable.

    Windows opens no folders: there a name is durable when the file system's journal is, soon after.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        if folder.is_dir() and os.access(folder, os.R_OK):
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_running(pid: int) -> bool:
    """Whether there is a process of that number. It is not asked by a signal, which would end it on Windows."""
    import psutil

    return bool(psutil.pid_exists(pid))


def lock_file(descriptor: int, *, wait: bool = True) -> bool | None:
    """Lock an open file against other processes and openings, until it is closed or the process ends, however it does.

    Args:
        descriptor: of the file, open to write: network file systems ask for that.
        wait: until nobody else holds it.

    Returns:
        Whether that went; None on a system without such locks.

    Raises:
        OSError: the file system has no such locks.
    """
    fcntl: Any = None if sys.platform == "win32" else importlib.import_module("fcntl")
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def unless_in_use() -> Iterator[None]:
    """Within it, that a file cannot be removed because somebody has it open is no error: only Windows minds.

    The file stays; whoever comes next removes it.
    """
    try:
        yield
    except PermissionError as error:
        if getattr(error, "winerror", None) != _SHARING_VIOLATION:
            raise
