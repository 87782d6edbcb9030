"""`heads train` in processes of its own: the same bits, whoever interrupts or kills it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of

from heads.run import RunDirectory
from heads.workflows.training.ahead import all_threads

pytestmark = pytest.mark.slow

RECIPE = """
folds: 3
heads:
  - {kind: deviation, statistics: [deviation, direction], queries: 1, metadata: [], dense_units: [8], epochs: 60,
     batch_clips: 16, competing: true, mixup: 0.4, tap_dropout: 0.2, class_balance: 0.5, schedule: cosine}
"""
_LONG_S = 120
# Saves after every epoch, and after one of them again and again until a signal is caught or kills: so it comes in time
# on any machine, and most likely while a state is being written.
_HELD = """
import signal, time
import heads.trainers.checkpoint
from heads.cli import main
heads.trainers.checkpoint._SECONDS_BETWEEN = 0.0
heads.trainers.checkpoint._MOST_TIME = float("inf")
keep, until = heads.trainers.checkpoint.Checkpoint.save, time.monotonic() + {seconds}
def keep_on(self, variables, **how):
    caught = signal.getsignal(signal.SIGINT)
    keep(self, variables, **how)
    while len(self.epochs) == {epoch} and signal.getsignal(signal.SIGINT) is caught and time.monotonic() < until:
        keep(self, variables, now=True)
heads.trainers.checkpoint.Checkpoint.save = keep_on
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    deer = np.random.default_rng(3).integers(0, 2, 90).astype(np.uint8)
    make_store(tmp_path / "store", np.stack([1 - deer, deer], axis=1))
    table = pd.DataFrame({"filename": clip_ids(90), "site": sites_of(clip_ids(90)), "blank": 1 - deer, "deer": deer})
    table.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def test_processes_that_train_are_told_of_all_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['TF_NUM_INTRAOP_THREADS'])"
    with all_threads():
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert told.split() == [str(os.cpu_count())] * 2
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


def test_keras_is_loaded_without_what_it_only_draws_with_and_that_can_be_had_afterwards() -> None:
    code = (
        "import sys\n"
        "from heads.workflows.training.ahead import keras_alone\n"
        "with keras_alone():\n"
        "    import keras\n"
        "print(sorted({'matplotlib', 'sklearn'} & set(sys.modules)))\n"
        "import matplotlib.pyplot, sklearn.isotonic\n"
        "with keras_alone():\n"
        "    import sklearn\n"
        "print(keras.layers.Dense(1)(keras.ops.ones((1, 1))).shape)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert told.splitlines() == ["[]", "(1, 1)"]


def start(folder: Path, run: str, *, hold_at: int = 0) -> subprocess.Popen[str]:
    """Train; with `hold_at`, no further than that epoch before there is a signal."""
    files = {"--store": "store", "--labels": "labels.csv", "--recipe": "recipe.yaml", "--run": run}
    words = [word for option, name in files.items() for word in (option, str(folder / name))]
    code = _HELD.format(epoch=hold_at, seconds=_LONG_S) if hold_at else "from heads.cli import main; main()"
    command = [sys.executable, "-c", code, "train", *words, "--deterministic", "--seed", "3"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    said = process.communicate(timeout=_LONG_S)
    assert process.returncode == 0, said


def stop(process: subprocess.Popen[str], run: RunDirectory, number: int, epochs: int) -> str:
    """Send a signal once so many epochs are saved, where the process is held; what it said."""
    until = time.monotonic() + _LONG_S
    log = run.epochs_path("deviation-made")
    while not log.is_file() or len(log.read_text().splitlines()) < epochs:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, number)
    return process.communicate(timeout=_LONG_S)[1]


def test_the_same_bits_though_interrupted_and_killed(folder: Path) -> None:
    whole, broken = RunDirectory(folder / "whole"), RunDirectory(folder / "broken")
    finish(start(folder, "whole"))

    process = start(folder, "broken", hold_at=20)
    said = stop(process, broken, signal.SIGINT, 20)
    assert process.returncode == 130
    assert "the same command goes on there" in said
    kept = len(broken.epochs_path("deviation-made").read_text().splitlines())
    assert 20 <= kept < 40
    assert f"stopped after epoch {kept} of 60" in said

    process = start(folder, "broken", hold_at=40)
    stop(process, broken, signal.SIGKILL, 40)
    assert process.returncode == -signal.SIGKILL
    assert broken.state_path("deviation-made").is_file()
    assert not broken.oof_path("deviation-made").exists()

    finish(start(folder, "broken"))
    assert broken.oof_path("deviation-made").read_bytes() == whole.oof_path("deviation-made").read_bytes()
    losses = [
        [line.split('"losses"')[1].split("]")[0] for line in run.epochs_path("deviation-made").read_text().splitlines()]
        for run in (whole, broken)
    ]
    assert len(losses[0]) == 60
    assert losses[0] == losses[1]
