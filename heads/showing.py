"""Progress on stderr: a live bar on a terminal, lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

_BAR = 12


class Done(NamedTuple):
    """One step of a piece of work: `text` says what was done, `number` of `total` is where the piece stands."""

    text: str
    number: int
    total: int


@contextmanager
def steps_shown(console: Console, steps: int) -> Iterator[Callable[[Done], None]]:
    """A function that is told each of `steps` steps: a bar with the time left on a terminal.

    Elsewhere a line for the first and the last step of each piece of work, so that a log stays short.
    """
    if not console.is_terminal:

        def line(done: Done) -> None:
            if done.number in (1, done.total):
                console.print(done.text, highlight=False, soft_wrap=True)

        yield line
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

        def advance(done: Done) -> None:
            bar.update(task, advance=1, description=done.text)

        yield advance
