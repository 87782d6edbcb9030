"""The bounded folder that fetched clips pass through. What a killed process left there goes at the next start."""

import contextlib
import os
import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featurize.errors import SettingsError
from store.portable import lock_file

DEFAULT_SCRATCH_GB = 4.0
_PREFIX = "trapline-fetched-"
_LOCK = "lock"
_LOOK_AGAIN_S = 0.2


class Place:
    """Room in a scratch that is asked for in turn: who asked first is let in first, so that none waits for ever."""

    def __init__(self, scratch: "Scratch", size_bytes: int) -> None:
        self._scratch = scratch
        self.size_bytes = size_bytes
        self.path: Path | None = None

    def take(self, suffix: str, stopped: Callable[[], bool] = lambda: False) -> Path | None:
        """Wait for the room, and give the path of a file to be made in it; None if `stopped` says so first."""
        self.path = self._scratch.wait_for(self, suffix, stopped)
        return self.path

    def leave(self) -> None:
        """Remove the file, and give the room, or the place among those that wait, to others."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self._scratch.give_back(self)


class Scratch:
    """A folder for fetched clips of at most so many GB at any time, made when the first one is fetched.

    A copy in another process has a folder of its own.
    """

    def __init__(self, most_gb: float = DEFAULT_SCRATCH_GB) -> None:
        if not 0 < most_gb < float("inf"):
            raise SettingsError(f"--scratch-gb {most_gb:g}: expected more than 0")
        self.most_gb = most_gb
        self.most_bytes = int(most_gb * 1e9)
        self._turn = threading.Condition()
        self._waiting: deque[Place] = deque()
        self._held: dict[Place, int] = {}
        self._folder: Path | None = None
        self._made = 0

    @property
    def held_bytes(self) -> int:
        """How much room is taken."""
        return sum(self._held.values())

    def ask(self, size_bytes: int) -> Place:
        """A place for a file of `size_bytes`; -1, which nobody knows, takes all of the room.

        Raises:
            SettingsError: there will never be so much.
        """
        if size_bytes > self.most_bytes:
            raise SettingsError(
                f"a clip of {size_bytes / 1e9:.2f} GB is larger than the room for fetched clips, {self.most_gb:g} GB; "
                "give more by --scratch-gb"
            )
        place = Place(self, self.most_bytes if size_bytes < 0 else size_bytes)
        with self._turn:
            self._waiting.append(place)
        return place

    def wait_for(self, place: Place, suffix: str, stopped: Callable[[], bool]) -> Path | None:
        """Wait until `place` is the next and fits; the path of its file, None if `stopped` says so first."""
        with self._turn:
            while not (self._waiting[0] is place and self.held_bytes + place.size_bytes <= self.most_bytes):
                self._turn.wait(_LOOK_AGAIN_S)
                if stopped():
                    return None
            self._waiting.popleft()
            self._held[place] = place.size_bytes
            self._made += 1
            self._turn.notify_all()
            if self._folder is None:
                self._folder = self._make_folder()
            return self._folder / f"{self._made}{suffix}"

    def give_back(self, place: Place) -> None:
        """Let others have the room of `place`."""
        with self._turn:
            self._held.pop(place, None)
            with contextlib.suppress(ValueError):
                self._waiting.remove(place)
            self._turn.notify_all()

    def _make_folder(self) -> Path:
        clear_left_behind()
        while True:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            lock_file(lock)  # for as long as this process lives
            if (folder / _LOCK).exists():  # nobody took it for one that was left before it was locked
                weakref.finalize(self, _remove, folder, lock, os.getpid())
                return folder
            os.close(lock)

    def __getstate__(self) -> dict[str, Any]:
        return {"most_gb": self.most_gb}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["most_gb"])  # type: ignore[misc]


def clear_left_behind() -> None:
    """Remove the folders of processes that are no more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with _locked(folder) as is_left:
            if is_left:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether nobody holds the lock of `folder`, which is held meanwhile."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:  # being made, or another user's
        yield False
        return
    is_free = lock_file(lock, wait=False)
    if is_free is None:
        os.close(lock)
        yield _unlinked(folder / _LOCK)
        return
    try:
        yield is_free
    finally:
        os.close(lock)


def _unlinked(path: Path) -> bool:
    """Remove a file, and say whether that went: Windows refuses while a process has it open."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _remove(folder: Path, lock: int, pid: int) -> None:
    if os.getpid() == pid:  # a process that was forked off must not
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)
