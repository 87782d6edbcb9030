"""Callbacks for notes and progress, as one object."""

import logging
import threading
from typing import Protocol

from heads.data.history import Epoch

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Receives notes and progress of a piece of work: a terminal, a notebook, or a log.

    Attributes:
        stopping: set when the user asks to stop: the epoch that is running is finished and saved, then StoppedError is
            raised.
    """

    stopping: threading.Event

    def note(self, sentence: str) -> None:
        """Something that the user should know."""

    def epoch(self, head: str, epoch: Epoch) -> None:
        """An epoch of the head called `head` is over."""

    def scored(self, head: str, number: int, total: int) -> None:
        """The single frames of clip `number` of `total` have been scored by a head."""


class LoggingListener:
    """Logs notes as warnings, and everything else for those who look for it."""

    def __init__(self) -> None:
        self.stopping = threading.Event()

    def note(self, sentence: str) -> None:
        """Log a warning."""
        _log.warning(sentence)

    def epoch(self, head: str, epoch: Epoch) -> None:
        """Log an epoch."""
        _log.info("%s: epoch %d of %d, loss %.4f", head, epoch.number, epoch.epochs, epoch.loss)

    def scored(self, head: str, number: int, total: int) -> None:
        """Log a scored clip."""
        _log.debug("%s: single frames of clip %d of %d", head, number, total)
