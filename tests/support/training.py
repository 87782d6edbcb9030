"""Training a run in one call, for tests of what comes of it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from made_store import clip_ids, sites_of
from numpy.typing import NDArray

from heads.data.history import Epoch
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from heads.workflows.job import Trained, read_job
from heads.workflows.training.train import train
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


def blended_run(folder: Path, store: FeatureStore, shown: NDArray[np.uint8], config: HeadConfig) -> RunDirectory:
    """A blended run in `folder` of one head over two folds, on clips called `clip_ids` that show `blank` or `deer`."""
    ids = clip_ids(len(shown))
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": shown[:, 0], "deer": shown[:, 1]})
    table.to_csv(folder / "labels.csv", index=False)
    run = RunDirectory(folder / "run")
    train_run(store, folder / "labels.csv", run, Recipe(folds=2, heads=(config,)))
    blend_run(run)
    return run
