"""Training again with decisions keeps every clip on its side, and says what changed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from typer.testing import CliRunner

from heads.cli import app
from heads.data.decisions import Decision, DecisionLog, State, default_log
from heads.data.splitting.folds import Folds, keep_folds, torn_clips
from heads.errors import DecisionError, TrainError
from heads.run import RunDirectory
from heads.workflows.run_names import first_folder, next_folder
from heads.workflows.training.retrain import retrain_job
from store import FeatureStore

RECIPE = """
folds: 3
heads:
  - {kind: deviation, statistics: [deviation], queries: 0, metadata: [], dense_units: [8], epochs: 10, batch_clips: 16,
     learning_rate: 0.02}
  - {kind: discriminant, statistics: [event]}
"""
CLIPS, LABELLED = 72, 48


def call(*words: str) -> Any:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the first clips of a store of which more are there."""
    folder = tmp_path_factory.mktemp("again")
    deer = np.random.default_rng(1).integers(0, 2, CLIPS).astype(np.uint8)
    labels = np.stack([1 - deer, deer], axis=1)
    ids = clip_ids(CLIPS)
    make_store(folder / "store", labels, boxes=True)
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": labels[:, 0], "deer": labels[:, 1]})
    table.to_csv(folder / "all.csv", index=False)
    table[["filename", "site"]].to_csv(folder / "sites.csv", index=False)
    table[:LABELLED].to_csv(folder / "labels.csv", index=False)
    (folder / "recipe.yaml").write_text(RECIPE)
    words = ("--store", str(folder / "store"), "--labels", str(folder / "labels.csv"), "--run", str(folder / "run"))
    call("train", *words, "--recipe", str(folder / "recipe.yaml"), "--json")
    call("blend", "--run", str(folder / "run"), "--json")
    log = []
    for clip_id, shown in zip(ids[LABELLED:], deer[LABELLED:].tolist(), strict=True):
        log.append(Decision(clip_id=clip_id, state=State.LABELLED, after=("deer",) * shown))
    log.append(Decision(clip_id=ids[0], state=State.UNSURE))
    log.append(Decision(clip_id=ids[1], state=State.LABELLED, after=("deer",) * (1 - int(deer[1]))))  # the other way
    DecisionLog(default_log(folder / "store")).append(log)
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> Any:
    words = ("--store", str(folder / "store"), "--run", str(folder / "run"), "--sites", str(folder / "sites.csv"))
    return call("retrain", *words, "--json")


def test_no_clip_changes_sides_and_new_ones_join_their_site(folder: Path, told: Any) -> None:
    before, after = RunDirectory(folder / "run").read_folds(), RunDirectory(folder / "run.r2").read_folds()
    assert Path(told["run"]) == folder / "run.r2"
    kept = [clip_id for clip_id in before.ids if clip_id in after.ids]
    assert len(kept) == LABELLED - 1  # one was unsure
    assert after.of(kept).tolist() == before.of(kept).tolist()
    fold_of_site = dict(zip(before.groups, before.fold.tolist(), strict=True))
    assert [fold_of_site[group] for group in after.groups] == after.fold.tolist()
    assert len(after.ids) == CLIPS - 1


def test_the_new_run_knows_what_was_decided(folder: Path, told: Any) -> None:
    labels = RunDirectory(folder / "run.r2").read_labels()
    truth = pd.read_csv(folder / "all.csv").set_index("filename")
    ids = [clip_id for clip_id in labels.ids if clip_id != clip_ids(CLIPS)[1]]
    assert (labels.select(ids).values == truth.loc[ids, list(labels.classes)].to_numpy()).all()
    assert (
        labels.select([clip_ids(CLIPS)[1]]).values != truth.loc[[clip_ids(CLIPS)[1]], list(labels.classes)].to_numpy()
    ).all()
    assert (RunDirectory(folder / "run").read_labels().ids) == tuple(clip_ids(CLIPS)[:LABELLED])  # it stays as it was


def test_what_changed_is_told_class_by_class(told: Any) -> None:
    whole, *classes = told["changed"]["differences"]
    assert whole["clips"] == LABELLED - 1
    assert {each["name"] for each in classes} == {"blank", "deer"}
    assert all(np.isfinite([each["first"], each["second"]]).all() for each in (whole, *classes))


def test_a_new_class_is_learned(folder: Path, told: Any) -> None:
    store, before = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    decisions = DecisionLog(default_log(folder / "store")).read()
    more = tuple(
        Decision(clip_id=clip_id, state=State.LABELLED, after=("okapi",)) for clip_id in clip_ids(CLIPS)[10:20]
    )
    places = dict(zip(clip_ids(CLIPS), sites_of(clip_ids(CLIPS)), strict=True))
    job = retrain_job(store, before, replace(decisions, log=(*decisions.log, *more)), sites=places)
    assert job.labels.classes == ("blank", "deer", "okapi")
    assert {head.name for head in job.heads} == {each["name"] for each in told["heads"]}


def test_decided_clips_need_their_sites(folder: Path) -> None:
    decisions = DecisionLog(default_log(folder / "store")).read()
    with pytest.raises(DecisionError, match="24 clips that were decided have no site"):
        retrain_job(FeatureStore.open(folder / "store"), RunDirectory(folder / "run"), decisions)


def test_a_first_run_comes_of_decisions_alone(folder: Path) -> None:
    store = FeatureStore.open(folder / "store")
    decisions = DecisionLog(default_log(folder / "store")).read()
    places = dict(zip(clip_ids(CLIPS), sites_of(clip_ids(CLIPS)), strict=True))
    job = retrain_job(store, None, decisions, sites=places)
    assert job.labels.classes == ("blank", "deer")
    assert set(job.labels.ids) == {*clip_ids(CLIPS)[LABELLED:], clip_ids(CLIPS)[1]}
    with pytest.raises(TrainError, match="no clip of the store is labelled yet"):
        retrain_job(store, None, replace(decisions, log=()))


def test_folders_are_numbered(tmp_path: Path) -> None:
    assert next_folder(tmp_path / "run") == tmp_path / "run.r2"
    (tmp_path / "run.r2").mkdir()
    assert next_folder(tmp_path / "run") == tmp_path / "run.r3"
    assert next_folder(tmp_path / "run.r2") == tmp_path / "run.r3"
    assert first_folder(tmp_path / "store") == tmp_path / "store.run"
    (tmp_path / "store.run").mkdir()
    assert first_folder(tmp_path / "store") == tmp_path / "store.run.r2"


BEFORE = Folds(ids=("a", "b", "c"), fold=np.array([0, 1, 0]), groups=("s", "t", "s"), n_folds=2)


def test_new_groups_go_where_least_is_of_what_they_show() -> None:
    ids, groups = ["a", "b", "c", "d", "e", "f", "g"], ["s", "t", "s", "t", "u", "u", "v"]
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [0, 1], [0, 1], [1, 0]])
    folds = keep_folds(BEFORE, labels, groups, ids)
    assert dict(zip(ids, folds.fold.tolist(), strict=True)) == {
        "a": 0, "b": 1, "c": 0, "d": 1, "e": 0, "f": 0, "g": 1,
    }  # fmt: skip


def test_a_new_clip_that_ties_folds_together_is_told() -> None:
    assert torn_clips(BEFORE, ["st", "st", "st", "st", "u"], ["a", "b", "c", "d", "e"]) == ["d"]
    assert torn_clips(BEFORE, ["s", "t", "s", "s", "u"], ["a", "b", "c", "d", "e"]) == []


def test_a_command_that_finds_no_store_or_run_leaves_no_process_that_loads(folder: Path, tmp_path: Path) -> None:
    """Such a process would hold the command's output open for seconds after its end."""
    code = (
        "import sys\n"
        "from heads.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    from multiprocessing.forkserver import _forkserver\n"
        "    print(_forkserver._forkserver_pid)\n"
    )
    nowhere, store = str(tmp_path / "nowhere"), str(folder / "store")
    for words in (["--store", nowhere], ["--store", store, "--run", nowhere]):
        command = [sys.executable, "-c", code, "retrain", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert done.stdout.split() == ["None"]
