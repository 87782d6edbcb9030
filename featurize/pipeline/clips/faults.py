"""Faults that nobody foresaw: of a clip, which get a reason, and of the machine, which stop the run."""

import errno
import logging

from featurize.decoding.ffmpeg import clean_text
from featurize.errors import MachineError

# What the machine has run out of: a clip is not to blame for it.
_OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_log = logging.getLogger(__name__)


def unforeseen(error: Exception, clip_id: str) -> str:
    """The reason of a clip over which decoding broke, one sentence.

    Raises:
        MachineError: the machine has run out of something, so the next clip would fare no better.
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE):
        lacking = getattr(error, "strerror", None) or str(error) or "out of memory"
        raise MachineError(
            f"clip '{clip_id}': {lacking}; give the machine what it lacks, or ask for fewer --workers, "
            "and run the same command again: what was committed is kept"
        ) from error
    _log.info("clip '%s'", clip_id, exc_info=error)
    what = " ".join([type(error).__name__, *(f"({said})" for said in [clean_text(str(error))] if said)])
    return (
        f"decoding met a fault of Trapline's own, {what}; please report it with the traceback that "
        "--retry-failed --verbose shows"
    )
