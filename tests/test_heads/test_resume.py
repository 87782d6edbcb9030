"""Training that was stopped goes on where it was, to the same bits."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, make_store, sites_of
from small_heads import small_head
from training import train_run
from typer.testing import CliRunner

import heads.trainers.checkpoint
import heads.trainers.trainer
from heads.cli import app
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.splitting.folds import assign_folds
from heads.data.splitting.splits import Unlabelled
from heads.errors import StoppedError
from heads.recipe import Recipe
from heads.run import RunDirectory
from heads.trainers.checkpoint import Checkpoint, stop_after_epoch
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head

pytestmark = pytest.mark.slow

CONFIG = small_head(epochs=4, averaging=0.9, weight_decay=0.1, mixup=0.4, tap_dropout=0.2, label_smoothing=0.1)
MANY_EPOCHS = Recipe(folds=2, heads=(small_head(epochs=400),))


Train = Callable[..., CrossValidatedHead]


class _KilledError(Exception):
    pass


@pytest.fixture
def _saved_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads.trainers.checkpoint, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(heads.trainers.checkpoint, "_MOST_TIME", float("inf"))


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    labels = np.random.default_rng(3).integers(0, 2, (60, 2)).astype(np.uint8)
    store = make_store(tmp_path_factory.mktemp("resumed"), np.concatenate([labels, labels[:20]]))
    ids = tuple(clip_ids(80))
    folds = assign_folds(labels, sites_of(ids[:60]), 3, 0, ids=ids[:60])
    table = LabelTable(ids=ids[:60], classes=("a", "b"), values=labels)

    def train(
        checkpoint: Checkpoint | None = None,
        die_after: int = 0,
        stopping: threading.Event | None = None,
        learned: list[int] | None = None,
    ) -> CrossValidatedHead:
        def report(epoch: Epoch) -> None:
            if learned is not None:
                learned.append(epoch.number)
            if die_after and epoch.number > die_after:
                raise _KilledError

        return cross_validate_head(
            store.reader(made_key()),
            store.clips(),
            table,
            folds,
            CONFIG,
            name="x",
            unlabelled=Unlabelled(ids=ids[60:], fold=np.full(20, -1)),
            checkpoint=checkpoint,
            stopping=stopping,
            report=report,
        )

    return train


@pytest.fixture(scope="module")
def whole(train: Train) -> CrossValidatedHead:
    """Trained without a stop."""
    return train()


@pytest.mark.usefixtures("_saved_after_every_epoch")
@pytest.mark.parametrize("died_after", [2, 5])
def test_a_killed_training_goes_on_to_the_same_bits(
    train: Train, whole: CrossValidatedHead, tmp_path: Path, died_after: int
) -> None:
    state = tmp_path / "state.npz"
    with pytest.raises(_KilledError):
        train(Checkpoint(path=state), die_after=died_after)
    learned: list[int] = []
    rest = train(Checkpoint(path=state), learned=learned)
    assert learned == list(range(died_after + 1, 7))
    assert [epoch.number for epoch in rest.epochs] == [1, 2, 3, 4, 5, 6]
    assert [epoch.losses for epoch in rest.epochs] == [epoch.losses for epoch in whole.epochs]
    np.testing.assert_array_equal(rest.predictions.probabilities, whole.predictions.probabilities)
    assert [part.judgement for part in rest.folds] == [part.judgement for part in whole.folds]
    assert [epoch.unlabelled for epoch in whole.epochs] == [False] * 4 + [True] * 2


def test_ctrl_c_finishes_the_epoch_and_the_same_command_goes_on(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 2, (60, 2)).astype(np.uint8)
    make_store(tmp_path / "store", labels)
    frame = pd.DataFrame({"filename": clip_ids(60), "a": labels[:, 0], "b": labels[:, 1]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "recipe.yaml").write_text(MANY_EPOCHS.model_dump_json())
    files = {"--store": "store", "--labels": "labels.csv", "--recipe": "recipe.yaml", "--run": "run"}
    words = [word for option, name in files.items() for word in (option, str(tmp_path / name))]
    command = [sys.executable, "-c", "from heads.cli import main; main()", "train", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        assert any("epoch 1 of 400" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    stopped = re.search(r"stopped after epoch (\d+) of 400; the same command goes on there", said)
    assert stopped, said
    run = RunDirectory(tmp_path / "run")
    assert _logged(run) == list(range(1, int(stopped[1]) + 1))
    assert CliRunner().invoke(app, ["train", *words], catch_exceptions=False).exit_code == 0
    assert _logged(run) == list(range(1, 401))


_KILLED_WHILE_WRITING = """
import os, signal
import numpy as np
import heads.trainers.checkpoint
from heads.cli import main

def die_half_way(file, **arrays):
    file.write(bytes(1000))
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

heads.trainers.checkpoint._SECONDS_BETWEEN = 0.0
heads.trainers.checkpoint._MOST_TIME = float("inf")
np.savez = die_half_way
main()
"""


def test_what_a_killed_training_left_half_written_goes_when_it_goes_on(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 2, (60, 2)).astype(np.uint8)
    make_store(tmp_path / "store", labels)
    frame = pd.DataFrame({"filename": clip_ids(60), "a": labels[:, 0], "b": labels[:, 1]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    recipe = Recipe(folds=2, heads=(small_head(epochs=2, pseudo_epochs=0),))
    (tmp_path / "recipe.yaml").write_text(recipe.model_dump_json())
    files = {"--store": "store", "--labels": "labels.csv", "--recipe": "recipe.yaml", "--run": "run"}
    words = [word for option, name in files.items() for word in (option, str(tmp_path / name))]
    killed = subprocess.run([sys.executable, "-c", _KILLED_WHILE_WRITING, "train", *words], check=False, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    folder = RunDirectory(tmp_path / "run").head_folder("deviation-made")
    (left,) = folder.glob(".*")
    assert left.stat().st_size == 1000
    assert CliRunner().invoke(app, ["train", *words], catch_exceptions=False).exit_code == 0
    assert {path.name for path in folder.iterdir()} == {"epochs.jsonl", "fold0.keras", "fold1.keras", "head.json"}


@pytest.mark.usefixtures("_saved_after_every_epoch")
def test_no_epoch_is_lost_whenever_ctrl_c_comes(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads.trainers.checkpoint, "_SECONDS_BETWEEN", 3600.0)
    asked, keep = threading.Event(), Checkpoint.save

    def keep_and_press(self: Checkpoint, *arguments: object, **named: bool) -> None:
        keep(self, *arguments, **named)  # type: ignore[arg-type]
        asked.set()

    monkeypatch.setattr(Checkpoint, "save", keep_and_press)
    state = Checkpoint(path=tmp_path / "state.npz")
    with pytest.raises(StoppedError, match=r"stopped after epoch 2 of") as stopped:
        train(state, stopping=asked)
    with np.load(tmp_path / "state.npz") as kept:
        assert len(kept["losses"]) == 2, str(stopped.value)


def test_ctrl_c_in_the_last_epoch_of_a_head_stops_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.random.default_rng(3).integers(0, 2, (60, 2)).astype(np.uint8)
    store = make_store(tmp_path / "store", labels)
    frame = pd.DataFrame({"filename": clip_ids(60), "a": labels[:, 0], "b": labels[:, 1]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    heads_of = tuple(small_head(name=name, epochs=1, pseudo_epochs=0) for name in ("first", "second"))
    run, recipe = RunDirectory(tmp_path / "run"), Recipe(folds=2, heads=heads_of)

    @contextmanager
    def pressed(asked: threading.Event) -> Iterator[None]:
        asked.set()
        yield

    with monkeypatch.context() as patch:
        patch.setattr(heads.trainers.trainer, "stop_after_epoch", pressed)
        with pytest.raises(StoppedError, match="stopped after head first-made, which is finished"):
            train_run(store, tmp_path / "labels.csv", run, recipe)
    assert run.head_names() == ("first-made",)
    done = train_run(store, tmp_path / "labels.csv", run, recipe)
    assert [(each.name, each.resumed) for each in done] == [("first-made", True), ("second-made", False)]


def test_what_ctrl_c_does_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_after_epoch(threading.Event()):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def _logged(run: RunDirectory) -> list[int]:
    return [json.loads(line)["number"] for line in run.epochs_path("deviation-made").read_text().splitlines()]


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
