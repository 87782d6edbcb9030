"""Heads that are trained by a cluster are those that are trained here, and what is no good there is said."""

import hashlib
import json
import os
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from ray_home import ray_home
from typer.testing import CliRunner

from heads.cli import app
from heads.errors import TrainError
from heads.run import RunDirectory
from heads.workflows.training.on_cluster import _train_there
from heads.workflows.training.train import versions_here

RECIPE = """
folds: 3
heads:
  - {kind: deviation, statistics: [deviation], queries: 0, metadata: [], dense_units: [8], epochs: 3, batch_clips: 16}
  - {kind: discriminant, statistics: [event]}
"""
CLIPS = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    deer = np.random.default_rng(1).integers(0, 2, CLIPS).astype(np.uint8)
    labels, ids = np.stack([1 - deer, deer], axis=1), clip_ids(CLIPS)
    make_store(folder / "store", labels, boxes=True)
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": labels[:, 0], "deer": labels[:, 1]})
    table.to_csv(folder / "labels.csv", index=False)
    (folder / "recipe.yaml").write_text(RECIPE)
    train(folder, "here")
    return folder


def train(folder: Path, run: str, *words: str) -> None:
    told = ["train", "--store", str(folder / "store"), "--labels", str(folder / "labels.csv"), "--run"]
    told += [str(folder / run), "--recipe", str(folder / "recipe.yaml"), "--json", *words]
    result = CliRunner().invoke(app, told, catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture
def surroundings() -> Iterator[None]:
    with ray_home():
        yield


def content_of(run: RunDirectory, name: str) -> dict[str, Any]:
    oof = run.read_oof(name)
    epochs = run.epochs_path(name).read_text().splitlines()
    losses = [json.loads(epoch)["losses"] for epoch in epochs]
    return {"probabilities": hashlib.sha256(oof.probabilities.tobytes()).hexdigest(), "ids": oof.ids, "losses": losses}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_heads_of_a_cluster_are_the_same_bits(folder: Path, surroundings: None) -> None:
    train(folder, "there", "--ray", "local")
    here, there = RunDirectory(folder / "here"), RunDirectory(folder / "there")
    assert here.head_names() == there.head_names() != []
    for name in here.head_names():
        assert content_of(here, name) == content_of(there, name)


def test_a_machine_that_does_not_see_the_run_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"node .*: does not see the run .*mount its folder there"):
        _train_there(partial(os.getpid), tmp_path / "none", "deviation", versions_here())  # type: ignore[arg-type]


def test_a_machine_with_other_versions_says_so(folder: Path) -> None:
    expected = {**versions_here(), "keras": "9.9"}
    with pytest.raises(TrainError, match=r"node .*: has keras .*, expected 9.9; install the same there"):
        _train_there(partial(os.getpid), folder / "here", "deviation", expected)  # type: ignore[arg-type]
