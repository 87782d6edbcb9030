"""Progress on stderr: a live bar on a terminal, lines elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from heads.data.history import Epoch
from store.console import is_live

_BAR = 12
_SECONDS_BETWEEN_LINES = 30.0


class Done(NamedTuple):
    """One step of a piece of work: `text` says what was done, `number` of `total` is where the piece stands, `seconds`
    is how long the step took, if that is known.
    """

    piece: str
    text: str
    number: int
    total: int
    seconds: float = 0.0


Show = Callable[[Done], None]


def done_epoch(head: str, epoch: Epoch) -> Done:
    """An epoch of a head as a step."""
    text = f"{head}: epoch {epoch.number} of {epoch.epochs}, loss {epoch.loss:.4f}"
    return Done(head, text, epoch.number, epoch.epochs, epoch.seconds)


@contextmanager
def steps_shown(console: Console, steps: int) -> Iterator[Show]:
    """A callback for each step of some pieces of work: it moves a bar with the time left on a terminal.

    Elsewhere a line for the first and the last step of each piece, and one every half minute between.

    Args:
        console: where.
        steps: how many there are going to be in all; those that an earlier process has done are taken off when that
            shows.
    """
    if not is_live(console):
        yield _lines(console)
        return
    columns = (
        # a long name gives way where the terminal is narrow, not the numbers
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=_BAR),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, expand=True) as bar:
        task = bar.add_task("heads", total=steps)
        last: dict[str, int] = {}

        def advance(done: Done) -> None:
            done_before = done.number - 1 if done.number != last.get(done.piece, 0) + 1 else 0
            total = (bar.tasks[task].total or 0) - done_before
            bar.update(task, advance=1, description=done.text, total=total)
            last[done.piece] = done.number

        yield advance


def _lines(console: Console) -> Show:
    said, begun = time.monotonic(), dict[str, tuple[int, float]]()

    def line(done: Done) -> None:
        nonlocal said
        now = time.monotonic()
        first, since = begun.setdefault(done.piece, (done.number, now))
        if 1 < done.number < done.total and now - said < _SECONDS_BETWEEN_LINES:
            return
        said = now
        each = (now - since) / (done.number - first) if done.number > first else done.seconds
        left = timedelta(seconds=round((done.total - done.number) * each))
        console.print(f"{done.text}, {left} left" if left else done.text, highlight=False, soft_wrap=True)

    return line


class StepListener:
    """Shows epochs and scored clips as steps of a bar, and hands notes on.

    Args:
        on_note: called with each note: prints it, or warns.
        show: called with each step, as `steps_shown` gives it.
        events: called with each epoch too, such as TensorBoard's event files.
    """

    def __init__(
        self, on_note: Callable[[str], None], show: Show, events: Callable[[str, Epoch], None] | None = None
    ) -> None:
        self._on_note, self._show, self._events = on_note, show, events
        self.stopping = threading.Event()

    def note(self, sentence: str) -> None:
        """Hand a sentence on."""
        self._on_note(sentence)

    def epoch(self, head: str, epoch: Epoch) -> None:
        """Advance by an epoch."""
        self._show(done_epoch(head, epoch))
        if self._events is not None:
            self._events(head, epoch)

    def scored(self, head: str, number: int, total: int) -> None:
        """Advance by a clip."""
        self._show(Done(head, f"{head}: single frames of clip {number} of {total}", number, total))
