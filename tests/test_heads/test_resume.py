"""Training that was stopped goes on where it was, to the same bits."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, make_store, sites_of

import heads.progress
from heads.fit import OutOfFold, train_heads
from heads.folds import assign_folds
from heads.labels import LabelTable
from heads.progress import Epoch, Progress, StoppedError
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.train import train_run

pytestmark = pytest.mark.slow

CONFIG = HeadConfig(
    kind="deviation",
    statistics=("deviation",),
    queries=0,
    dense_units=(8,),
    metadata=(),
    epochs=4,
    pseudo_epochs=2,
    batch_clips=16,
    pseudo_clips=4,
    learning_rate=0.01,
    averaging=0.9,
    weight_decay=0.1,
)


class _KilledError(Exception):
    pass


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(heads.progress, "_SECONDS_BETWEEN", 0.0)
    labels = np.random.default_rng(3).integers(0, 2, (60, 2)).astype(np.uint8)
    store = make_store(tmp_path / "store", np.concatenate([labels, labels[:20]]))
    ids = tuple(clip_ids(80))
    folds = assign_folds(labels, sites_of(ids[:60]), 3, 0, ids=ids[:60])
    table = LabelTable(ids=ids[:60], classes=("a", "b"), values=labels)

    def train(progress: Progress | None = None, die_after: int = 0, interrupt_after: int = 0) -> OutOfFold:
        def report(epoch: Epoch) -> None:
            if epoch.number == interrupt_after:
                os.kill(os.getpid(), signal.SIGINT)
            if die_after and epoch.number > die_after:
                raise _KilledError

        return train_heads(
            store.reader(made_key()),
            store.clips(),
            table,
            folds,
            CONFIG,
            name="x",
            unlabelled=ids[60:],
            progress=progress,
            report=report,
        )

    return train


@pytest.mark.parametrize("died_after", [2, 5])
def test_a_killed_training_goes_on_to_the_same_bits(train, tmp_path: Path, died_after: int) -> None:  # type: ignore[no-untyped-def]
    whole = train()
    state = tmp_path / "state.npz"
    with pytest.raises(_KilledError):
        train(Progress(path=state), die_after=died_after)
    again = Progress(path=state)
    rest = train(again)
    assert [epoch.number for epoch in rest.epochs] == [1, 2, 3, 4, 5, 6]
    assert [epoch.losses for epoch in rest.epochs] == [epoch.losses for epoch in whole.epochs]
    np.testing.assert_array_equal(rest.predictions.probabilities, whole.predictions.probabilities)
    assert [part.judgement for part in rest.folds] == [part.judgement for part in whole.folds]
    assert [epoch.unlabelled for epoch in whole.epochs] == [False] * 4 + [True] * 2


def test_ctrl_c_finishes_the_epoch_and_saves(train, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    logged: list[int] = []
    progress = Progress(path=tmp_path / "state.npz", log=lambda epochs: logged.append(len(epochs)))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(StoppedError, match="stopped after epoch 3 of 6; the same command goes on there"):
        train(progress, interrupt_after=3)
    assert signal.getsignal(signal.SIGINT) is before
    assert logged == [1, 2, 3]
    rest = Progress(path=tmp_path / "state.npz")
    train(rest)
    assert len(rest.epochs) == 6


def test_a_run_logs_an_epoch_a_line_and_leaves_no_state(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 2, (60, 2)).astype(np.uint8)
    store = make_store(tmp_path / "store", labels)
    frame = pd.DataFrame({"filename": clip_ids(60), "a": labels[:, 0], "b": labels[:, 1]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    run = RunDirectory(tmp_path / "run")
    train_run(store, tmp_path / "labels.csv", run, Recipe(folds=2, heads=(CONFIG,)))
    lines = [json.loads(line) for line in run.epochs_path("deviation-made").read_text().splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3, 4]
    assert all(len(line["losses"]) == 2 and line["head"] == "deviation-made" for line in lines)
    assert not run.state_path("deviation-made").exists()
    assert list(pd.read_csv(run.balance_path)["class"]) == ["a", "b"]
