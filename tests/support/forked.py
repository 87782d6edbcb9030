"""Processes that begin at once, forked from one that has imported what they need: to be killed in the midst of work."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any, Self

import featurize.cli

_FORKED = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
_FORKED.set_forkserver_preload(["__main__", "store_writer", "featurize.pipeline.request", "featurize.cli"])


class Forked:
    """A process that calls a function, and its stdout; as `subprocess.Popen`, as far as tests ask.

    Args:
        function: of a module that can be imported, called with `arguments` in a session of its own.
        arguments: what can be pickled.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        receiver, sender = _FORKED.Pipe(duplex=False)
        self._process = _FORKED.Process(target=_call, args=(sender, function, arguments))
        self._process.start()
        sender.close()
        self.stdout = os.fdopen(os.dup(receiver.fileno()), encoding="utf-8")
        receiver.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> str:
        """What it says until it ends."""
        with self.stdout:
            said = self.stdout.read()
        self.wait(timeout)
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.wait()


def _call(sender: Any, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    os.dup2(sender.fileno(), 1)
    sender.close()
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    function(*arguments)


def run_featurize(*words: str) -> None:
    """Be the command `featurize`, which says nothing."""
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    sys.argv = ["featurize", *words]
    featurize.cli.main()
