"""The folder for temporary files: that it is full is a fault of the machine, not of the clip that was being decoded."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from featurize.decoding.ffmpeg import FrameStream
from featurize.errors import ScratchSpaceError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def scratch_space() -> Iterator[None]:
    """Within it, a write that finds no space stops the run with one sentence.

    Raises:
        ScratchSpaceError: the folder for temporary files is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _no_space() from error
        raise


def require_space(stream: FrameStream, frames: int) -> None:
    """Raise ScratchSpaceError if a decode that gave `frames` frames ended for want of space.

    ffmpeg says so in its log or, since that may be on the same disk, by its exit code; or its log has an end missing.
    """
    codes = [256 - code for code in _FULL]
    words = [os.strerror(code) for code in _FULL]
    if (
        stream.return_code in codes
        or any(text in error for text in words for error in stream.errors)
        or len(stream.times_s("sampled")) < frames
    ):
        raise _no_space()


def _no_space() -> ScratchSpaceError:
    return ScratchSpaceError(
        f"{tempfile.gettempdir()}: no space is left for temporary files; free some, or set TMPDIR to a folder that has "
        "it, and run the same command again: what was committed is kept"
    )
