"""Waiting for subprocesses that may hang, in steps of a second that do not pass while this process is stopped.

A clock goes on while Ctrl-Z or a laptop's lid holds everything up; what is counted here are steps that were waited.
"""

import math
import os
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

_STEP_S = 1.0
_READ_BYTES = 2**20
# What the filter `showinfo` prints with every frame.
FRAME_LINE = b" pts_time:"


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
        self._log = log
        self._steps = _steps(timeout_s)
        self._idle_steps = 0
        self._read_bytes = 0
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
        """Whether a frame was logged since the last call; the decoder's own place in the file does not move."""
        new = os.pread(self._log.fileno(), _READ_BYTES, self._read_bytes)
        self._read_bytes += len(new)
        return FRAME_LINE in new

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


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
