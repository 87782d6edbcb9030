"""How training is shown to who watches it: a bar on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from heads.progress import Epoch

_SECONDS_BETWEEN_LINES = 30.0

Watcher = Callable[[str, Epoch], None]


@contextmanager
def watched(console: Console, epochs: int) -> Iterator[Watcher]:
    """A function that shows an epoch of the head called so.

    Args:
        console: where; off a terminal a head's first and last epoch get a line, and one every half minute between.
        epochs: how many there are going to be in all.
    """
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("heads", total=epochs)
        last: dict[str, int] = {}

        def advance(name: str, epoch: Epoch) -> None:
            text = f"{name} epoch {epoch.number} of {epoch.epochs} loss {epoch.loss:.4f}"
            # What an earlier process has done is not waited for, nor is its speed known.
            done_before = epoch.number - 1 if epoch.number != last.get(name, 0) + 1 else 0
            total = (bar.tasks[task].total or 0) - done_before
            bar.update(task, advance=1, description=text, total=total)
            last[name] = epoch.number

        yield advance


def _lines(console: Console) -> Watcher:
    said = time.monotonic()

    def line(name: str, epoch: Epoch) -> None:
        nonlocal said
        if 1 < epoch.number < epoch.epochs and time.monotonic() - said < _SECONDS_BETWEEN_LINES:
            return
        said = time.monotonic()
        left = timedelta(seconds=round((epoch.epochs - epoch.number) * epoch.seconds))
        text = f"{name}: epoch {epoch.number} of {epoch.epochs}, loss {epoch.loss:.4f}"
        console.print(f"{text}, {left} left" if left else text, highlight=False, soft_wrap=True)

    return line
