"""Heads side by side: each is trained in a process of its own, as many at a time as there are processors for."""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from heads.data.history import Epoch
from heads.errors import TrainError
from heads.run import RunDirectory
from heads.trainers.checkpoint import stop_after_epoch
from heads.workflows.job import Trained, TrainingJob
from heads.workflows.training.ahead import all_threads, load_ahead, training_processes
from store.errors import TraplineError

# Each process holds a head's statistics: more would cost memory rather than save time.
_MOST_AT_A_TIME = 2


def train_side_by_side(
    job: Callable[[], TrainingJob],
    run: RunDirectory,
    names: Sequence[str],
    on_epoch: Callable[[str, Epoch], None],
) -> dict[str, Trained]:
    """Train heads of a job.

    Training keeps one processor busy and a bit, whatever threads it is given, so that two heads at a time take little
    more than half as long.

    Args:
        job: gives what is trained on what; is called in each process, and must be such that it can be pickled.
        run: where everything is written.
        names: of the heads.
        on_epoch: called with a head's name after each of its epochs.

    Returns:
        What was trained, by name; a head whose process was ended from outside is missing.

    Raises:
        TrainError: nothing can be trained, or the run was begun with something else, or is being trained by somebody
            else.
        StoppedError: the user asked to stop; what is finished is kept.
    """
    with run.in_training():
        return _train(job, run, names, on_epoch)


def _train(
    job: Callable[[], TrainingJob], run: RunDirectory, names: Sequence[str], on_epoch: Callable[[str, Epoch], None]
) -> dict[str, Trained]:
    """Train heads in processes that are begun for it, and ended."""
    load_ahead()
    context = training_processes()
    pipes: list[Any] = []
    processes = []
    with all_threads():
        for _ in range(max(1, min(_MOST_AT_A_TIME, os.cpu_count() or 1, len(names)))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(job, run, theirs))
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
    try:
        # Ctrl-C reaches the processes themselves: they finish their epoch, and say so.
        with stop_after_epoch(threading.Event()):
            return _hand_out(pipes, list(names), on_epoch)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _hand_out(pipes: list[Any], names: list[str], on_epoch: Callable[[str, Epoch], None]) -> dict[str, Trained]:
    """Give a head to each process that is ready, until there is none left, and hear what they say."""
    trained: dict[str, Trained] = {}
    first: Any = None
    waiting: list[Any] = []
    begun = False
    while pipes:
        for pipe in cast("list[Any]", wait(list(pipes))):
            try:
                kind, *said = pipe.recv()
            except (EOFError, ConnectionResetError):
                pipes.remove(pipe)
                if pipe is first and not begun:
                    return trained
                continue
            if kind == "failed":
                raise said[0]
            if kind == "epoch":
                on_epoch(*said)
                continue
            if kind == "trained":
                trained[said[0].name] = said[0]
            begun = begun or kind == "begun"
            if first is None:
                first = pipe
                pipe.send("")
            else:
                waiting.append(pipe)
        while begun and waiting:
            with contextlib.suppress(OSError):  # of a process that has been ended meanwhile
                waiting.pop().send(names.pop(0) if names else None)
    return trained


def _work(job: Callable[[], TrainingJob], run: RunDirectory, pipe: Connection) -> None:
    """Train the heads that are called for; "" calls for what all of them share, None for the end."""
    from heads.workflows.training.loaded import begin, train_head

    teller = _Teller(pipe)
    try:
        prepared = job()
        heads = {head.name: head for head in prepared.heads}
        pipe.send(("ready",))
        while (name := pipe.recv()) is not None:
            if name:
                pipe.send(("trained", train_head(prepared, run, heads[name], teller)))
            else:
                begin(prepared, run)
                pipe.send(("begun",))
    except TraplineError as error:
        pipe.send(("failed", error))
    except Exception as error:
        pipe.send(("failed", TrainError(f"training failed for an unforeseen reason: {type(error).__name__}: {error}")))
        raise


class _Teller:
    """A listener that tells through a pipe how training goes."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.stopping = threading.Event()

    def note(self, sentence: str) -> None:
        """Said already, by whoever gave the order."""

    def epoch(self, head: str, epoch: Epoch) -> None:
        """Hand it on."""
        self._pipe.send(("epoch", head, epoch))

    def scored(self, head: str, number: int, total: int) -> None:
        """Single frames are not scored."""
