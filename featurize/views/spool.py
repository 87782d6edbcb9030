"""Full-resolution frames waiting for what decides about them; beyond a bound they wait on the disk."""

import contextlib
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES_IN_MEMORY = 192 * 2**20


class FrameSpool:
    """A sequence of (H, W, 3) uint8 frames that takes a bounded amount of memory.

    The first ones are held as they came, and must not be written to; those for which there is no room go to a file.
    """

    def __init__(self) -> None:
        self._held: list[NDArray[np.uint8]] = []
        self._bytes_held = 0
        self._file = TemporaryFile()  # noqa: SIM115 (closed below)
        self._shapes: list[tuple[int, int]] = []
        self._starts: list[int] = [0]

    def __len__(self) -> int:
        return len(self._held) + len(self._shapes)

    def append(self, frame: NDArray[np.uint8]) -> None:
        """Put `frame` (H, W, 3) at the end."""
        if not self._shapes and self._bytes_held + frame.nbytes <= _MOST_BYTES_IN_MEMORY:
            self._held.append(frame)
            self._bytes_held += frame.nbytes
            return
        self._file.seek(self._starts[-1])
        self._file.write(np.ascontiguousarray(frame).data)
        self._shapes.append((frame.shape[0], frame.shape[1]))
        self._starts.append(self._starts[-1] + frame.nbytes)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The frame (H, W, 3) at `index`."""
        if index < len(self._held):
            return self._held[index]
        place = index - len(self._held)
        height, width = self._shapes[place]
        self._file.seek(self._starts[place])
        content = self._file.read(height * width * 3)
        return np.frombuffer(content, np.uint8).reshape(height, width, 3)

    def close(self) -> None:
        """Let go of the frames; what could not be written to a full disk is let go of too."""
        self._held.clear()
        with contextlib.suppress(OSError):
            self._file.close()
