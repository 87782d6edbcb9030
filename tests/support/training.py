"""Training a run in one call, for tests of what comes of it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heads.data.history import Epoch
from heads.recipe import Recipe
from heads.run import RunDirectory
from heads.workflows.job import Trained, read_job
from heads.workflows.train import train
from store import FeatureStore


class Told:
    """A listener that hands on what it is told."""

    def __init__(self, note: Callable[[str], None], report: Callable[[str, Epoch], None]) -> None:
        self.note, self.epoch, self.stopping = note, report, threading.Event()

    def scored(self, head: str, number: int, total: int) -> None:
        raise AssertionError("training scores no single frames")


def train_run(
    store: FeatureStore,
    labels: Path,
    run: RunDirectory,
    recipe: Recipe,
    *,
    note: Callable[[str], None] = lambda _: None,
    report: Callable[[str, Epoch], None] = lambda _name, _epoch: None,
    **settings: Any,
) -> list[Trained]:
    """Train `recipe` on a store and a label table; `settings` are those of `read_job`."""
    return train(read_job(store, labels, recipe, **settings), run, Told(note, report))
