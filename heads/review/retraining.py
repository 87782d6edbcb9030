"""Training again beside the page: in a process of its own, so that the page stays quick, with word of how it goes."""

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from heads.data.history import Epoch
from heads.errors import ReviewError
from heads.workflows.training.ahead import load_ahead
from heads.workflows.training.retrain import Order, retrain
from store.errors import TraplineError

_TRAINING = 0.85  # the share of the time that is not blending
_STARTING = "loading the libraries"


class Retraining:
    """One training at a time, and how it stands.

    Args:
        done: called with the order once the new run is there, before it is told of; what it raises is told instead.
    """

    def __init__(self, done: Callable[[Order], None]) -> None:
        self._done = done
        self._lock = threading.Lock()
        self._process: Any = None
        self._ready: tuple[Any, Any] | None = None
        self._state: dict[str, Any] = {"state": "idle"}
        self._began = 0.0

    def state(self) -> dict[str, Any]:
        """How it stands: `state` (idle, running, done or failed), `share` that is done, `text`, `notes`, `seconds`."""
        with self._lock:
            passed = {"seconds": round(time.monotonic() - self._began, 1)} if self._state["state"] == "running" else {}
            return {**self._state, **passed}

    def prepare(self) -> None:
        """Begin to load, in the process that is to train, what takes seconds to load; it waits there for the order."""
        with self._lock:
            if self._state["state"] != "running":
                self._ready = self._waiting()

    def start(self, order: Order) -> None:
        """Begin.

        Raises:
            ReviewError: one is running.
        """
        with self._lock:
            if self._state["state"] == "running":
                raise ReviewError("a training is running already; wait until it is done")
            self._began = time.monotonic()
            self._state = {"state": "running", "share": 0.0, "text": _STARTING, "notes": []}
            self._process, ours = self._waiting()
            self._ready = None
        with contextlib.suppress(OSError):  # of a process that has ended meanwhile, which whoever listens will tell
            ours.send(order)
        threading.Thread(target=self._listen, args=(order, ours), daemon=True).start()

    def stop(self) -> None:
        """End the training that is running, if one is; what it has finished stays in its folder."""
        for process in (self._process, None if self._ready is None else self._ready[0]):
            if process is not None and process.is_alive():
                process.terminate()

    def _waiting(self) -> tuple[Any, Any]:
        """A process that waits for an order, and the pipe to it: the one that was prepared, if it lives."""
        if self._ready is not None and self._ready[0].is_alive():
            return self._ready
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_work, args=(theirs,))
        process.start()
        theirs.close()
        return process, ours

    def _listen(self, order: Order, ours: Connection) -> None:
        failed = "the training ended without a word; see the terminal, or try `heads retrain`"
        with contextlib.suppress(EOFError, OSError):
            while True:
                kind, value = ours.recv()
                with self._lock:
                    if kind == "note":
                        self._state["notes"].append(value)
                    elif kind == "step":
                        self._state["share"], self._state["text"] = value
                if kind in ("done", "failed"):
                    failed = "" if kind == "done" else value
                    break
        if not failed:
            try:
                self._done(order)
            except TraplineError as error:
                failed = str(error)
        with self._lock:
            self._state |= {"state": "failed" if failed else "done", "text": failed, "share": 1.0}
            self._state["seconds"] = round(time.monotonic() - self._began, 1)


class _Teller:
    """Tells through a pipe how training goes."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._shares: dict[str, float] = {}
        self.heads = 1

    def note(self, sentence: str) -> None:
        """Hand a sentence on."""
        self._pipe.send(("note", sentence))

    def epoch(self, head: str, epoch: Epoch) -> None:
        """Tell how far all heads are."""
        self._shares[head] = epoch.number / epoch.epochs
        share = _TRAINING * sum(self._shares.values()) / self.heads
        self._pipe.send(("step", (share, f"{head}: epoch {epoch.number} of {epoch.epochs}")))

    def blending(self) -> None:
        """Tell so."""
        self._pipe.send(("step", (_TRAINING, "blending")))


def _work(pipe: Connection) -> None:
    """Carry out the order that comes, and leave nothing unsaid that goes wrong; without one it ends with the pipe."""
    try:
        teller = _Teller(pipe)
        load_ahead()
        try:
            order: Order = pipe.recv()
        except EOFError:
            return
        job = order.job()
        teller.heads = len(job.heads)
        retrain(order, teller, job)
        pipe.send(("done", ""))
    except TraplineError as error:
        pipe.send(("failed", str(error)))
    except Exception as error:
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        raise
