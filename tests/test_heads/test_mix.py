"""Labels that were chosen count as all clips are shared, so that models do not take blanks for rarer than they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from training import Told

from heads.blending.blenders import find_blender
from heads.data.decisions import Decision, DecisionLog, Decisions, State, Why
from heads.data.mix import stands_for
from heads.data.reading.label_formats import read_labels
from heads.errors import TrainError
from heads.models.kinds.discriminant_calibration import fit_calibration
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.trainers.sampler import BatchSampler
from heads.workflows.blend import blend_run
from heads.workflows.job import read_job
from heads.workflows.training.retrain import retrain_job
from heads.workflows.training.train import train
from store import ClipFacts, FeatureStore, Status

SMALL = {"statistics": ("event",), "queries": 0, "metadata": (), "dense_units": (), "dropout": 0.0, "epochs": 12}
RECIPE = Recipe(
    folds=3,
    heads=(
        HeadConfig(kind="discriminant", statistics=("event",)),
        HeadConfig(kind="deviation", batch_clips=16, learning_rate=0.05, start_at_prior=True, **SMALL),
    ),
)


def test_kinds_count_as_they_are_shared_among_all_clips() -> None:
    labelled = np.array([True] * 8 + [False] * 2)
    everyone = np.array([True] * 50 + [False] * 50)
    found = stands_for(labelled, everyone)
    assert found[labelled].sum() == pytest.approx(found[~labelled].sum())
    assert found.mean() == pytest.approx(1)
    assert stands_for(labelled, labelled).tolist() == pytest.approx([1.0] * 10)
    assert stands_for(np.ones(3, bool), everyone).tolist() == pytest.approx([1.0] * 3)
    extreme = stands_for(np.array([True] * 99 + [False]), np.array([False] * 99 + [True]))
    assert extreme[-1] / extreme[0] == pytest.approx(16)  # no clip counts more than four times its share, or less


def test_calibration_with_weights_is_calibration_on_repeated_clips() -> None:
    rng = np.random.default_rng(0)
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 60)]
    scores, known = targets * 2 + rng.normal(0, 1, (60, 3)), np.ones((60, 3), bool)
    times = rng.integers(1, 4, 60)
    weighted = fit_calibration(scores / scores.std(), known, targets, times.astype(float))
    again = np.repeat(np.arange(60), times)
    repeated = fit_calibration(scores[again] / scores[again].std(), known[again], targets[again])
    said = weighted.bias / np.abs(weighted.bias).max(), repeated.bias / np.abs(repeated.bias).max()
    assert said[0] == pytest.approx(said[1], abs=0.15)
    plain = fit_calibration(scores, known, targets)
    ones = fit_calibration(scores, known, targets, np.full(60, 7.0))
    assert ones.bias == pytest.approx(plain.bias)
    assert (ones.inverse_temperature, ones.strength) == (plain.inverse_temperature, plain.strength)


def test_batches_carry_what_clips_stand_for() -> None:
    targets = np.eye(2, dtype=np.float32)[np.arange(12) % 2]
    stands = np.where(np.arange(12) < 6, 0.5, 1.5)
    sampler = BatchSampler(
        config=HeadConfig(batch_clips=6),
        targets=targets,
        fold=np.arange(12) % 3,
        seen=np.stack([np.arange(12) % 3 != number for number in range(3)]).astype(np.float32),
        seen_unlabelled=np.zeros((3, 0), np.float32),
        seed=0,
        weights=stands,
    )
    for places, weights, _ in sampler.batches(0):
        expected = np.stack([np.where(places % 3 != number, stands[places], 0.0) for number in range(3)])
        assert weights == pytest.approx(expected)
    balanced = replace(sampler, config=HeadConfig(batch_clips=6, class_balance=1.0))
    for places, weights, _ in balanced.batches(0):
        assert weights.max(axis=0) == pytest.approx(stands[places], rel=0.4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store in two thirds of whose clips nothing moves, and nothing is; labels that were chosen: a third of these."""
    rng = np.random.default_rng(1)
    blank = np.arange(180) % 3 != 0
    rng.shuffle(blank)
    values = np.stack([blank, ~blank], axis=1).astype(np.uint8)
    store = make_store(tmp_path / "store", np.where(rng.random((180, 1)) < 0.6, values, 0), boxes=True)
    facts = store.clips().loc[clip_ids(180)].reset_index()
    with store.clip_writer() as writer:
        for row, still in zip(facts.to_dict("records"), blank.tolist(), strict=True):
            moving = {"status": Status(row["status"]), "motion_share": 0.0 if still else 0.4}
            writer.add(ClipFacts(**{**row, **moving}))
    ids = clip_ids(180)
    some = [row for row in range(180) if not blank[row] or rng.random() < 1 / 3]
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": values[:, 0], "deer": values[:, 1]})
    table.iloc[some].to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def _log(folder: Path, why: Why) -> Path:
    log = DecisionLog(folder / f"{why.strategy}.jsonl")
    first = pd.read_csv(folder / "labels.csv").iloc[0]
    after = ("deer",) if first["deer"] else ()
    log.append([Decision(clip_id=first["filename"], state=State.LABELLED, after=after, why=why)])
    return log.path


def test_labels_that_were_chosen_count_as_the_store_is(folder: Path) -> None:
    store = FeatureStore.open(folder / "store")
    table = pd.read_csv(folder / "labels.csv")
    chosen = read_job(store, folder / "labels.csv", RECIPE, corrections=[_log(folder, Why(strategy="rare"))])
    assert chosen.weights is not None
    blank = np.array([table.set_index("filename")["blank"][clip] for clip in chosen.labels.ids])
    assert np.average(blank, weights=chosen.weights) == pytest.approx(2 / 3, abs=0.01)
    assert "labels were chosen rather than drawn" in chosen.notes[-1]
    for why in (Why(strategy="random", is_random=True), Why(strategy="order"), Why()):
        job = read_job(store, folder / "labels.csv", RECIPE, corrections=[_log(folder, why)])
        assert job.weights is None
    said = {}
    for name, job in (("chosen", chosen), ("alike", replace(chosen, weights=None))):
        run = RunDirectory(folder / name)
        train(job, run, Told(lambda _: None, lambda _name, _epoch: None))
        blend_run(run, "mean_of_logits+calibrated")
        said[name] = {each.model: each.column("blank").mean() for each in [*run.read_all_oof(), run.read_oof("blend")]}
    assert len(said["chosen"]) == 3
    for model in said["chosen"]:
        assert said["chosen"][model] > said["alike"][model] + 0.04
    assert (RunDirectory(folder / "chosen").read_weights(chosen.labels.ids) == chosen.weights).all()
    assert RunDirectory(folder / "alike").read_weights(chosen.labels.ids) is None
    with pytest.raises(TrainError, match="begun with labels that counted otherwise"):
        train(chosen, RunDirectory(folder / "alike"), Told(lambda _: None, lambda _name, _epoch: None))


def test_training_again_counts_them_so_too(folder: Path) -> None:
    store, table = FeatureStore.open(folder / "store"), pd.read_csv(folder / "labels.csv")
    labels = read_labels(folder / "labels.csv").labels
    log = [
        Decision(clip_id=clip, state=State.LABELLED, after=("deer",) if deer else (), why=Why(strategy="unsure"))
        for clip, deer in zip(table["filename"][:9], table["deer"][:9], strict=True)
    ]
    chosen = retrain_job(store, None, Decisions(log=tuple(log)), labels=labels, recipe=RECIPE)
    assert chosen.weights is not None
    assert chosen.weights.max() > 1.3
    by_chance = [replace(each, why=Why(strategy="random", is_random=True)) for each in log]
    job = retrain_job(store, None, Decisions(log=tuple(by_chance)), labels=labels, recipe=RECIPE)
    assert job.weights is None


def test_calibrated_blends_fit_what_clips_stand_for() -> None:
    rng = np.random.default_rng(2)
    labels = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, 300)]
    stack = np.clip(rng.uniform(0.2, 0.8, (1, 300, 2)) * 0.6 + 0.4 * labels, 0.01, 0.99)
    fold = np.arange(300) % 3
    times = np.where(labels[:, 0] == 1, 3, 1)
    again = np.repeat(np.arange(300), times)
    blender = find_blender("mean_of_logits+calibrated")
    weighted = blender.fit_weighted(stack, labels, fold, times / times.mean())
    repeated = blender.fit(stack[:, again], labels[again], fold[again])
    said = [blender.predict(stack, {**each, "steps": []}) for each in (weighted, repeated)]
    assert said[0] == pytest.approx(said[1], abs=0.05)
    assert blender.fit_weighted(stack, labels, fold, None) == blender.fit(stack, labels, fold)
    assert np.average(said[0][:, 0], weights=times) == pytest.approx(np.average(labels[:, 0], weights=times), abs=0.03)
