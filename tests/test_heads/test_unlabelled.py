"""Clips without labels: nothing of a site, or of a copy of a clip, is learned from by models that are scored on it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, make_store, sites_of
from numpy.typing import NDArray
from small_heads import small_head
from training import Told, train_run

from heads.data.labels import LabelTable
from heads.data.listener import LoggingListener
from heads.data.reading.sites import labels_and_sites
from heads.data.splitting.splits import assign_clip_folds
from heads.models.trained_head import TrainedHead
from heads.recipe import Recipe
from heads.run import RunDirectory
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head
from heads.workflows.answers.predict import Origin, predict_run
from heads.workflows.blend import blend_run
from heads.workflows.eligibility import find_unlabelled
from heads.workflows.job import read_job
from heads.workflows.training.compare_metadata import compare_metadata
from heads.workflows.training.compare_splits import compare_splits
from store import ClipFacts, Status

LABELLED = 60
RECIPE = Recipe(folds=3, heads=(small_head(epochs=3, pseudo_epochs=2),))


def _shown(count: int) -> NDArray[np.uint8]:
    deer = np.random.default_rng(3).integers(0, 2, count).astype(np.uint8)
    return np.stack([1 - deer, deer], axis=1)


def _labels(ids: list[str], shown: NDArray[np.uint8], *, sites: bool = True) -> LabelTable:
    own = tuple(ids[:LABELLED])
    return LabelTable(
        ids=own, classes=("blank", "deer"), values=shown[:LABELLED], sites=tuple(sites_of(own)) if sites else None
    )


def test_a_clip_goes_where_its_site_is(tmp_path: Path) -> None:
    ids, shown = clip_ids(80), _shown(80)
    store, labels = make_store(tmp_path / "store", shown), _labels(ids, shown)
    sites = dict(zip(ids, sites_of(ids), strict=True)) | {ids[70]: "a site without labels"}
    others, lost = find_unlabelled(labels, {"made": store.reader(made_key())}, sites)
    assert lost == []
    folds, found = assign_clip_folds(labels, store.clips(), RECIPE.folds, RECIPE.seed, others, sites)
    fold_of = dict(zip(labels.sites or (), folds.fold.tolist(), strict=True))
    assert found.ids == tuple(sorted(ids[LABELLED:]))
    for clip_id, fold in zip(found.ids, found.fold.tolist(), strict=True):
        assert fold == fold_of.get(sites[clip_id], -1)
    assert (found.fold == -1).sum() == 1


def test_a_copy_of_a_labelled_clip_goes_where_that_is(tmp_path: Path) -> None:
    ids, shown = clip_ids(80), _shown(80)
    store, labels = make_store(tmp_path / "store", shown), _labels(ids, shown, sites=False)
    facts = store.clips().copy()
    facts.loc[ids[75], "fingerprint"] = facts.loc[ids[7], "fingerprint"]
    folds, found = assign_clip_folds(labels, facts, RECIPE.folds, RECIPE.seed, ids[LABELLED:])
    assert found.fold[75 - LABELLED] == folds.of([ids[7]])[0]
    assert (np.delete(found.fold, 75 - LABELLED) == -1).all()


def test_a_clip_of_no_known_site_is_left_out_where_sites_count(tmp_path: Path) -> None:
    ids, shown = clip_ids(70), _shown(70)
    store, labels = make_store(tmp_path / "store", shown), _labels(ids, shown)
    readers = {"made": store.reader(made_key())}
    found, [said] = find_unlabelled(labels, readers, {ids[64]: "site 4"})
    assert found == (ids[64],)
    assert said.startswith("9 of 10 clips without labels are of no known site, such as 'site 0/060.mp4'")
    without_sites = find_unlabelled(_labels(ids, shown, sites=False), readers, {})
    assert without_sites == (tuple(sorted(ids[LABELLED:])), [])


def test_a_pattern_finds_the_sites_of_clips_without_labels_where_it_can(tmp_path: Path) -> None:
    ids = clip_ids(12)
    table = pd.DataFrame({"filename": ids[:6], "a": [0, 1] * 3})
    table.to_csv(tmp_path / "labels.csv", index=False)
    everyone = [*ids, "elsewhere.mp4"]
    found = labels_and_sites(tmp_path / "labels.csv", everyone, sites=None, site_pattern="^([^/]+)/")
    labels, sites = found.labels, found.sites
    assert labels.sites == tuple(sites_of(ids[:6]))
    assert sites == dict(zip(ids, sites_of(ids), strict=True))


@pytest.mark.slow
def test_what_clips_of_a_held_out_site_show_changes_nothing_there(tmp_path: Path) -> None:
    ids, shown = clip_ids(100), _shown(100)
    store, labels = make_store(tmp_path / "first", shown), _labels(ids, shown)
    sites = dict(zip(ids, sites_of(ids), strict=True))
    folds, others = assign_clip_folds(labels, store.clips(), RECIPE.folds, RECIPE.seed, ids[LABELLED:], sites)
    planted = shown.copy()
    planted[LABELLED:][others.fold == 1] ^= 1
    assert (planted != shown).any()

    def train(name: str, values: NDArray[np.uint8]) -> CrossValidatedHead:
        held = store if name == "first" else make_store(tmp_path / name, values)
        config = RECIPE.heads[0]
        return cross_validate_head(
            held.reader(made_key()), held.clips(), labels, folds, config, name="x", unlabelled=others
        )

    before, after = (train(*each).predictions for each in (("first", shown), ("second", planted)))
    same = before.fold == 1
    np.testing.assert_array_equal(before.probabilities[same], after.probabilities[same])
    assert (before.probabilities[~same] != after.probabilities[~same]).any()


@pytest.mark.slow
def test_second_runs_learn_from_the_same_clips_without_labels(tmp_path: Path) -> None:
    ids, shown = clip_ids(80), _shown(80)
    store = make_store(tmp_path / "store", shown)
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": shown[:, 0], "deer": shown[:, 1]})
    table.iloc[:LABELLED].drop(columns="site").to_csv(tmp_path / "labels.csv", index=False)
    table.iloc[:78][["filename", "site"]].to_csv(tmp_path / "sites.csv", index=False)
    run, said = RunDirectory(tmp_path / "run"), []
    given = {"sites": tmp_path / "sites.csv", "unlabelled": True, "note": said.append}
    train_run(store, tmp_path / "labels.csv", run, RECIPE, **given)  # type: ignore[arg-type]
    assert any("2 of 20 clips without labels are of no known site" in sentence for sentence in said)
    learned = pd.read_csv(run.unlabelled_path)
    assert set(learned["clip_id"]) == set(ids[LABELLED:78])
    job = read_job(store, tmp_path / "labels.csv", RECIPE, sites=tmp_path / "sites.csv", unlabelled=True)
    compare_metadata(job, run, LoggingListener())
    assert pd.read_csv(RunDirectory(run.path / "other_metadata").unlabelled_path).equals(learned)
    compare_splits(job, run, LoggingListener())
    at_random = pd.read_csv(RunDirectory(run.path / "random_split").unlabelled_path)
    assert at_random["clip_id"].tolist() == learned["clip_id"].tolist()
    assert (at_random["fold"] == -1).all()
    # What an earlier version compared with: clips of no known site were learned from at random, and only there.
    other = RunDirectory(run.path / "random_split")
    other.write_config({**other.read_config(), "unlabelled_sha256": "of other clips"})
    told = list[str]()
    train_at_random = compare_splits(job, run, Told(told.append, lambda _name, _epoch: None))
    assert [row["head"] for row in train_at_random] == ["deviation-made"]
    assert "it is trained anew" in told[0]
    assert pd.read_csv(other.unlabelled_path).equals(at_random)


@pytest.mark.slow
def test_an_answer_that_every_model_may_have_learned_from_does_not_pass_for_new(tmp_path: Path) -> None:
    """Without sites, clips without labels are learned from by the models of all folds."""
    ids, shown = clip_ids(80), _shown(80)
    store = make_store(tmp_path / "store", shown)
    table = pd.DataFrame({"filename": ids, "blank": shown[:, 0], "deer": shown[:, 1]})
    table.iloc[:LABELLED].to_csv(tmp_path / "labels.csv", index=False)
    run = RunDirectory(tmp_path / "run")
    train_run(store, tmp_path / "labels.csv", run, RECIPE, unlabelled=True)
    blend_run(run, "mean", most_clips_for_trees=0)
    said = predict_run(run, store)
    origin = dict(zip(said.predictions.ids, said.origin, strict=True))
    assert {origin[clip_id] for clip_id in ids[:LABELLED]} == {Origin.OUT_OF_FOLD}
    assert {origin[clip_id] for clip_id in ids[LABELLED:]} == {Origin.GUESSED}
    copy = make_store(tmp_path / "moved", shown[:1], ids=["moved.mp4"])
    facts = copy.clips().loc["moved.mp4"].to_dict()
    with copy.clip_writer() as writer:
        changed = {**facts, "status": Status.OK, "fingerprint": f"print of {ids[0]}"}
        writer.add(ClipFacts(clip_id="moved.mp4", **changed))
    asked = TrainedHead(run, copy, "deviation-made").folds_for(["moved.mp4"])
    assert asked.sum() == 1
    assert asked[0, int(run.read_folds().of(ids[:1])[0])]
