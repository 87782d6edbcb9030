"""Soft labels: a clip without labels shows what the heads of an earlier run agree that it does, fold by fold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from small_heads import small_head
from training import Told, train_run
from typer.testing import CliRunner

from heads.cli import app
from heads.errors import TrainError
from heads.models.trained_head import TrainedHead
from heads.recipe import Recipe
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob, read_job
from heads.workflows.training.agreement import agreed, with_soft_labels
from heads.workflows.training.train import train
from store import FeatureStore

LABELLED, CLIPS = 60, 100
TEACHERS = Recipe(folds=3, heads=(small_head(name="one", epochs=8), small_head(name="two", epochs=8, dense_units=(4,))))
PUPIL = Recipe(folds=3, heads=(small_head(epochs=3, pseudo_epochs=3, pseudo_clips=8),))


def test_the_mean_counts_where_deviations_from_it_add_up_to_less_than_the_limit() -> None:
    said = np.array([[[[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]]], [[[0.7, 0.1], [0.3, 0.1], [np.nan, np.nan]]]])
    found = agreed(said, 0.1)  # 0.02, 0.18, and a clip of which one head says nothing
    np.testing.assert_allclose(found[0, 0], [0.8, 0.1], rtol=1e-6)
    assert np.isnan(found[0, 1:]).all()
    assert not np.isnan(agreed(said, 0.2)[0, :2]).any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agreement")
    deer = np.random.default_rng(3).integers(0, 2, CLIPS).astype(np.uint8)
    store = make_store(folder / "store", np.stack([1 - deer, deer], axis=1))
    ids = clip_ids(CLIPS)
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": 1 - deer, "deer": deer})
    table.iloc[:LABELLED].drop(columns="site").to_csv(folder / "labels.csv", index=False)
    table[["filename", "site"]].to_csv(folder / "sites.csv", index=False)
    train_run(store, folder / "labels.csv", RunDirectory(folder / "teachers"), TEACHERS, sites=folder / "sites.csv")
    return folder


def job_of(folder: Path, recipe: Recipe = PUPIL) -> TrainingJob:
    store = FeatureStore.open(folder / "store")
    return read_job(store, folder / "labels.csv", recipe, sites=folder / "sites.csv", unlabelled=True)


@pytest.mark.slow
def test_members_of_a_fold_are_told_what_models_say_that_have_not_seen_it_either(folder: Path) -> None:
    job, teachers = job_of(folder), RunDirectory(folder / "teachers")
    told = with_soft_labels(job, teachers, 0.5).unlabelled
    heads = [TrainedHead(teachers, job.store, name) for name in teachers.head_names()]
    said = np.stack([head.predict(head.examples(told.ids)) for head in heads])
    assert told.said is not None
    assert told.said.shape == (3, CLIPS - LABELLED, 2)
    known = ~np.isnan(told.said)
    assert known.mean() > 0.1
    np.testing.assert_allclose(told.said[known], said.mean(axis=0)[known], atol=1e-5)
    assert (said.mean(axis=0)[0] != said.mean(axis=0)[1]).any()


@pytest.mark.slow
def test_what_one_fold_is_told_changes_its_members_and_no_others(folder: Path, tmp_path: Path) -> None:
    job = with_soft_labels(job_of(folder), RunDirectory(folder / "teachers"), 0.5)
    assert job.unlabelled.said is not None
    other = job.unlabelled.said.copy()
    other[1] = 1 - other[1]
    nothing = np.full_like(other, np.nan)
    oof = {}
    for name, said in (("told", job.unlabelled.said), ("lied to", other), ("told nothing", nothing)):
        run = RunDirectory(tmp_path / name)
        train(replace(job, unlabelled=replace(job.unlabelled, said=said)), run, Told(lambda _: None, lambda *_: None))
        oof[name] = run.read_oof(job.heads[0].name)
    own = oof["told"].fold == 1
    told, lied = oof["told"].probabilities, oof["lied to"].probabilities
    np.testing.assert_array_equal(told[~own], lied[~own])
    judged = RunDirectory(tmp_path / "told").read_head(job.heads[0].name)["pseudo_labels"]
    assert judged is not None
    if judged[1]["kept"]:
        assert (told[own] != lied[own]).any()
    assert any(each["kept"] for each in judged)
    assert (told != oof["told nothing"].probabilities).any()


@pytest.mark.slow
def test_other_folds_single_heads_and_senseless_limits_are_refused(folder: Path, tmp_path: Path) -> None:
    teachers = RunDirectory(folder / "teachers")
    with pytest.raises(TrainError, match="expected a number above 0"):
        with_soft_labels(job_of(folder), teachers, 0.0)
    with pytest.raises(TrainError, match="expected a number above 0"):
        with_soft_labels(job_of(folder), teachers, float("nan"))
    with pytest.raises(TrainError, match="no head of the recipe learns from clips without labels"):
        with_soft_labels(job_of(folder, Recipe(folds=3, heads=(small_head(pseudo_epochs=0),))), teachers)
    with pytest.raises(TrainError, match="has other folds than this training"):
        with_soft_labels(job_of(folder, PUPIL.model_copy(update={"folds": 2})), teachers)
    alone = RunDirectory(tmp_path / "alone")
    recipe = TEACHERS.model_copy(update={"heads": TEACHERS.heads[:1]})
    train_run(FeatureStore.open(folder / "store"), folder / "labels.csv", alone, recipe, sites=folder / "sites.csv")
    with pytest.raises(TrainError, match="has 1 heads that tell all classes apart"):
        with_soft_labels(job_of(folder), alone)


@pytest.mark.slow
def test_the_command_says_how_many_clips_are_agreed_on_and_knows_its_run_again(folder: Path) -> None:
    (folder / "pupil.yaml").write_text(PUPIL.model_dump_json())
    words = ["train", "--store", folder / "store", "--labels", folder / "labels.csv", "--sites", folder / "sites.csv"]
    words += ["--recipe", folder / "pupil.yaml", "--run", folder / "pupil", "--soft-labels", folder / "teachers"]
    said = CliRunner().invoke(app, [*map(str, words), "--agreement", "0.5"])
    assert said.exit_code == 0, said.output
    assert "its 2 heads agree on " in said.output
    again = CliRunner().invoke(app, [*map(str, words), "--agreement", "0.5"])
    assert again.exit_code == 0, again.output
    other = CliRunner().invoke(app, [*map(str, words), "--agreement", "0.2"])
    assert other.exit_code != 0
    assert "other clips without labels, or other soft labels" in str(other.exception) + other.output
    together = CliRunner().invoke(app, [*map(str, words), "--compare-splits"])
    assert "--compare-splits deals other folds" in together.output
