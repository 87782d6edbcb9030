"""Waiting for subprocesses that may hang, in steps of a second that do not pass while this process is stopped.

A clock goes on while Ctrl-Z or a laptop's lid holds everything up; what is counted here are steps that were waited.
"""

import math
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Self

_STEP_S = 1.0
_READ_BYTES = 2**20
# What the filter `showinfo` prints with every frame.
FRAME_LINE = b" pts_time:"


def open_log() -> IO[bytes]:
    """A temporary file for what a decoder prints, which `FrameWatch` can read beside it."""
    return tempfile.TemporaryFile() if hasattr(os, "pread") else tempfile.NamedTemporaryFile()


class FrameWatch:
    """Within it, a decoder is killed that gives no frame for some seconds.

    A frame is one that was handed on (`frame_came`) or that the log tells of: few frames of a long clip may be
    wanted, and the log tells of those of low resolution too.

    Attributes:
        timed_out: whether the decoder was killed.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes], timeout_s: float) -> None:
        self.timed_out = False
        self._process = process
        self._tail = _Tail(log)
        self._steps = _steps(timeout_s)
        self._idle_steps = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def frame_came(self) -> None:
        """Say that there is a new frame."""
        self._idle_steps = 0

    def _watch(self) -> None:
        while not self._over.wait(_STEP_S):
            self._idle_steps = 0 if self._log_tells_of_frames() else self._idle_steps + 1
            if self._idle_steps >= self._steps:
                self.timed_out = True
                self._process.kill()
                return

    def _log_tells_of_frames(self) -> bool:
        """Whether a frame was logged since the last call."""
        return FRAME_LINE in self._tail.read()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._tail.close()


class _Tail:
    """What is new in a log that a decoder writes to; the decoder's own place in the file does not move.

    Without `pread` that takes a second handle, which Windows gives for a temporary file to those who ask for one.
    """

    def __init__(self, log: IO[bytes]) -> None:
        self._log, self._position = log, 0
        self._pread: Callable[[int, int, int], bytes] | None = getattr(os, "pread", None)
        self._again: IO[bytes] | None = None
        if self._pread is None:
            self._again = open(log.name, "rb", opener=_open_temporary)  # noqa: SIM115

    def read(self) -> bytes:
        if self._again is not None:
            return self._again.read(_READ_BYTES)
        if self._pread is None:
            return b""
        new = self._pread(self._log.fileno(), _READ_BYTES, self._position)
        self._position += len(new)
        return new

    def close(self) -> None:
        if self._again is not None:
            self._again.close()


def _open_temporary(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_TEMPORARY", 0))


def run_to_its_end(command: Sequence[str], *, timeout_s: float) -> "subprocess.CompletedProcess[bytes] | None":
    """Run `command` without input and collect what it prints; None if it had to be killed after `timeout_s` seconds."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            for _ in range(_steps(timeout_s)):
                try:
                    printed, complaints = process.communicate(timeout=_STEP_S)
                except subprocess.TimeoutExpired:
                    continue
                return subprocess.CompletedProcess(command, process.returncode, printed, complaints)
        finally:
            process.kill()
    return None


def _steps(timeout_s: float) -> int:
    return math.ceil(timeout_s / _STEP_S)
