"""Full-resolution frames waiting for what decides about them; beyond a bound they wait on the disk."""

import contextlib
import tempfile

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES_IN_MEMORY = 192 * 2**20


class FrameSpool:
    """A sequence of (H, W, 3) uint8 frames that takes a bounded amount of memory."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MOST_BYTES_IN_MEMORY)  # noqa: SIM115 (closed below)
        self._shapes: list[tuple[int, int]] = []
        self._starts: list[int] = [0]

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, frame: NDArray[np.uint8]) -> None:
        """Put `frame` (H, W, 3) at the end."""
        self._file.seek(self._starts[-1])
        self._file.write(np.ascontiguousarray(frame).data)
        self._shapes.append((frame.shape[0], frame.shape[1]))
        self._starts.append(self._starts[-1] + frame.nbytes)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The frame (H, W, 3) at `index`."""
        height, width = self._shapes[index]
        self._file.seek(self._starts[index])
        content = self._file.read(height * width * 3)
        return np.frombuffer(content, np.uint8).reshape(height, width, 3)

    def close(self) -> None:
        """Let go of the frames; what could not be written to a full disk is let go of too."""
        with contextlib.suppress(OSError):
            self._file.close()
