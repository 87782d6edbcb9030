"""What a random split flatters by, and what `--dry-run` promises."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, make_store, sites_of
from tensorflow.python.summary.summary_iterator import summary_iterator
from training import train_run
from typer.testing import CliRunner

from heads.cli import app
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob, read_job
from heads.workflows.resolve import HeadSpec
from heads.workflows.training.estimate import CostEstimate, estimate_cost, estimate_job
from store import ClipFacts, ClipFeatures, FeatureStore, Status

pytestmark = pytest.mark.slow

RECIPE = """
folds: 3
heads:
  - {kind: deviation, statistics: [mean], queries: 0, metadata: [], dense_units: [], dropout: 0.0, epochs: 40,
     batch_clips: 16, learning_rate: 0.05, schedule: cosine}
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A planted leak: each site has a colour of its own, and its own habits; nothing else tells the classes apart."""
    rng = np.random.default_rng(0)
    ids = clip_ids(90)
    site_of = np.array([int(site[-1]) for site in sites_of(ids)])
    deer = (rng.random(90) < np.where(np.isin(site_of, [0, 3, 4]), 0.95, 0.05)).astype(int)
    store = FeatureStore.open(tmp_path / "store", create=True)
    with store.clip_writer() as facts, store.writer(made_key()) as writer:
        for place, clip_id in enumerate(ids):
            frames = rng.normal(0, 0.1, (4, 6)).astype(np.float32)
            frames[:, site_of[place]] += 3
            known = {"clip_id": clip_id, "fingerprint": str(place), "status": Status.OK, "reason": ""}
            facts.add(ClipFacts(**known, path="", size_bytes=1, mtime_ns=0, width=1, height=1))
            writer.add(ClipFeatures(**known, times_s=np.arange(4.0), features=frames))
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": 1 - deer, "deer": deer})
    table.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    files = {"--store": "store", "--labels": "labels.csv", "--recipe": "recipe.yaml", "--run": "run"}
    return ["train", *(word for option, name in files.items() for word in (option, str(tmp_path / name)))]


def test_the_gap_between_splits_shows_the_planted_leak(words: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*words, "--compare-splits", "--tensorboard"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "run" / "splits.json").read_text())["heads"]
    assert row["random"] < 0.45
    assert row["by_site"] > 0.7
    assert row["gap"] == pytest.approx(row["by_site"] - row["random"])
    assert "by site" in done.output
    (events,) = (tmp_path / "run" / "heads" / "deviation-made" / "tensorboard").glob("events*")
    written = [value.tag for event in summary_iterator(str(events)) for value in event.summary.value]
    assert written.count("loss") == written.count("loss/member 2") == 40
    assert (tmp_path / "run" / "random_split" / "oof" / "deviation-made.csv").is_file()


def test_frames_that_memory_cannot_hold_are_read_from_the_disk_in_every_epoch(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("queries: 0", "queries: 1"))
    held = CliRunner().invoke(app, [*words, "--dry-run"], catch_exceptions=False)
    assert "memory cannot hold" not in held.output
    monkeypatch.setattr("heads.workflows.training.estimate._memory_bytes", lambda: 1000)
    monkeypatch.setattr("heads.workflows.training.estimate._read_once", lambda *_: time.sleep(2))
    slow = CliRunner().invoke(app, [*words, "--dry-run", "--json"], catch_exceptions=False)
    (row,) = json.loads(slow.stdout)
    assert row["from_disk"]
    assert row["seconds"] > 40 * 2  # epochs cannot be quicker than reading
    said = CliRunner().invoke(app, [*words, "--dry-run"], catch_exceptions=False)
    assert "memory cannot hold the frames of deviation-made" in said.output.replace("'", "")


def test_a_dry_run_trains_nothing_to_its_end(words: list[str], tmp_path: Path) -> None:
    started = time.monotonic()
    done = CliRunner().invoke(app, [*words, "--dry-run", "--json"])
    took = time.monotonic() - started
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert (row["head"], row["members"]) == ("deviation-made", 3)
    # It has learned from each of the 90 clips in 3 of 40 epochs, so that much and no more is to be foreseen.
    assert 40 * 90 / row["clips_per_s"] <= row["seconds"] < took * 40 / 3
    assert row["cache_bytes"] == 90 * 6 * 4
    assert not (tmp_path / "run").exists()


def test_heads_that_differ_in_nothing_but_their_network_are_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.eye(2, dtype=np.uint8)[np.arange(60) % 2]
    store = make_store(tmp_path / "store", labels, ("one", "two"))
    frame = pd.DataFrame({"filename": clip_ids(60), "blank": labels[:, 0], "deer": labels[:, 1]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    heads = (HeadConfig(kind="discriminant"), HeadConfig(kind="discriminant", name="other", covariance_shrinkage=0.8))
    job = read_job(store, tmp_path / "labels.csv", Recipe(folds=3, heads=heads))
    asked: list[str] = []

    def measure(job: TrainingJob, head: HeadSpec) -> CostEstimate:
        asked.append(head.name)
        return estimate_cost(job, head)

    monkeypatch.setattr("heads.workflows.training.estimate.estimate_cost", measure)
    found = estimate_job(job)
    assert [each.head for each in found] == [head.name for head in job.heads]
    assert asked == ["discriminant-one", "other-one"]
    assert found[1].seconds == found[0].seconds


def test_a_dry_run_speaks_of_the_folds_that_training_makes(tmp_path: Path) -> None:
    """A clip without labels that is a copy of two labelled ones joins their sites, in a dry run as in training."""
    ids = clip_ids(60)
    labels = np.stack([np.arange(60) % 2, 1 - np.arange(60) % 2], axis=1).astype(np.uint8)
    store = make_store(tmp_path / "store", labels)
    copies = {ids[0]: "one content", ids[1]: "one content", ids[59]: "one content"}
    table = store.clips()
    with store.clip_writer() as writer:
        for clip_id, fingerprint in copies.items():
            rows = {**table.loc[clip_id].to_dict(), "fingerprint": fingerprint, "status": Status.OK}
            writer.add(ClipFacts(clip_id=clip_id, **rows))
    frame = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": labels[:, 0], "deer": labels[:, 1]})
    frame.drop(columns="site").iloc[:59].to_csv(tmp_path / "labels.csv", index=False)
    frame[["filename", "site"]].to_csv(tmp_path / "sites.csv", index=False)
    recipe = Recipe(folds=3, heads=(HeadConfig(kind="discriminant"),))
    files = {"sites": tmp_path / "sites.csv", "unlabelled": True}
    job = read_job(store, tmp_path / "labels.csv", recipe, **files)  # type: ignore[arg-type]
    run = RunDirectory(tmp_path / "run")
    train_run(store, tmp_path / "labels.csv", run, recipe, **files)
    assert estimate_cost(job, job.heads[0]).head == "discriminant-made"
    assert job.folds.fold.tolist() == run.read_folds().fold.tolist()
    assert job.folds.groups == run.read_folds().groups
