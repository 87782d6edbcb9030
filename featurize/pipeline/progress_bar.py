"""How far a run has come, shown while it works: a live bar, or a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from featurize.pipeline.summary import Progress
from store.console import human_seconds, is_live

_LINE_EVERY_S = 30.0


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Callable[[Progress], None]]:
    """A callback that shows progress: a live bar on a terminal or in a notebook, a line every half minute elsewhere."""
    if not is_live(console):
        yield _line_reporter(console, total)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[rates]}"))
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("clips", total=total, rates="starting")
        yield lambda progress: bar.update(task, completed=progress.clips, rates=_rates(progress, total))


def _line_reporter(console: Console, total: int) -> Callable[[Progress], None]:
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            console.print(f"{progress.clips} of {total} clips, {_rates(progress, total)}")

    return report


def _rates(progress: Progress, total: int) -> str:
    seconds = max(progress.seconds, 1e-9)
    left = (total - progress.clips) * seconds / max(progress.clips, 1)
    return (
        f"{progress.clips / seconds:.2f} clips/s, {progress.frames / seconds:.0f} frames/s, "
        f"{progress.wait_s / seconds:.0%} waiting for decode, {human_seconds(left)} left"
    )
