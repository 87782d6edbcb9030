"""Pseudo-labels: who learns from whom, and who decides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from small_heads import small_head
from training import train_run

from heads.recipe import Recipe
from heads.run import RunDirectory
from heads.trainers.members import plan_members
from heads.trainers.pseudo_labels import decide
from heads.trainers.sampler import BatchSampler

CONFIG = small_head(epochs=6)


def test_a_judge_sees_neither_the_fold_that_it_speaks_for_nor_the_one_that_it_judges_by() -> None:
    plan = plan_members(CONFIG, 4, 0, judged=True)
    fold = np.arange(20) % 4
    assert [member.inner is None for member in plan] == [True] * 4 + [False] * 4
    for member in plan:
        learned = set(fold[member.learns_from(fold)].tolist())
        assert learned == set(range(4)) - {member.fold, member.inner}
    assert all(member.inner is None for member in plan_members(CONFIG, 2, 0, judged=True))


def test_every_lesson_mixes_the_counts_that_were_asked_for() -> None:
    plan = plan_members(CONFIG, 4, 0, judged=False)
    fold = np.arange(80) % 4
    targets = np.random.default_rng(0).random((80, 3)).astype(np.float32)
    seen = np.stack([member.learns_from(fold) for member in plan]).astype(np.float32)
    allowed = np.stack([member.learns_from(np.array([0, 1, 2, 3, 3, -1, -1])) for member in plan]).astype(np.float32)
    sampler = BatchSampler(config=CONFIG, targets=targets, fold=fold, seen=seen, seen_unlabelled=allowed, seed=0)
    guesses = np.random.default_rng(1).random((4, 7, 3)).astype(np.float32)
    drawn = []
    for places, weights, wanted in sampler.batches(6, guesses):
        labelled = places < 80
        assert (~labelled).sum() == 4
        assert np.all(np.abs(weights[:, labelled].sum(axis=1) - 12) <= 2)
        np.testing.assert_array_equal(weights[:, ~labelled], allowed[:, places[~labelled] - 80])
        np.testing.assert_array_equal(wanted[:, ~labelled], guesses[:, places[~labelled] - 80])
        np.testing.assert_array_equal(wanted[2, labelled], targets[places[labelled]])
        drawn += places[~labelled].tolist()
    assert set(drawn[:7]) == set(range(80, 87))
    assert [len(np.flatnonzero(each == 0)) for each in allowed] == [1, 1, 1, 2]
    plain = np.concatenate([places for places, _, _ in sampler.batches(0)])
    assert sorted(plain) == list(range(80))


def test_worse_on_the_inner_fold_is_not_kept() -> None:
    plan = plan_members(CONFIG, 3, 0, judged=True)
    fold = np.arange(9) % 3
    targets = (np.arange(9)[:, None] % 2 == [0, 1]).astype(np.float32)
    good, bad = (np.tile(np.where(targets == 1, p, 1 - p), (6, 1, 1)) for p in (0.9, 0.4))
    after = good.copy()
    after[4] = bad[4]  # the judge of fold 1
    judgements = decide(plan, np.full_like(good, 0.7), after, targets, fold)
    assert {fold: each.kept for fold, each in judgements.items()} == {0: True, 1: False, 2: True}
    assert judgements[1].inner == 2
    assert judgements[1].after == pytest.approx(-np.log(0.4), rel=1e-5)


def test_a_judge_without_clips_to_judge_by_keeps_nothing() -> None:
    plan = plan_members(CONFIG, 3, 0, judged=True)
    fold = np.array([0, 1, 0, 1])
    targets = np.array([[1.0], [0.0], [0.0], [1.0]], np.float32)
    judgements = decide(plan, np.full((6, 4, 1), 0.7), np.full((6, 4, 1), 0.6), targets, fold)
    assert (judgements[1].inner, judgements[1].before, judgements[1].after) == (2, None, None)
    assert not judgements[1].kept


@pytest.mark.slow
def test_a_run_says_which_folds_kept_what_unlabelled_clips_taught(tmp_path: Path) -> None:
    deer = np.random.default_rng(3).integers(0, 2, 120).astype(np.uint8)
    labels = np.stack([1 - deer, deer], axis=1)
    store = make_store(tmp_path / "store", labels, failed=(100,))
    ids = clip_ids(120)
    frame = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": labels[:, 0], "deer": labels[:, 1]})
    frame.iloc[:60].to_csv(tmp_path / "labels.csv", index=False)
    frame[["filename", "site"]].to_csv(tmp_path / "sites.csv", index=False)
    recipe = Recipe(folds=3, heads=(CONFIG,))
    taught = RunDirectory(tmp_path / "taught")
    train_run(store, tmp_path / "labels.csv", taught, recipe, sites=tmp_path / "sites.csv", unlabelled=True)
    told = taught.read_head("deviation-made")["pseudo_labels"]
    assert [each["fold"] for each in told] == [0, 1, 2]
    assert all(each["kept"] == (each["after"] < each["before"]) for each in told)
    plain = RunDirectory(tmp_path / "plain")
    train_run(store, tmp_path / "labels.csv", plain, recipe)
    assert plain.read_head("deviation-made")["pseudo_labels"] is None
    mine, theirs = (run.read_oof("deviation-made") for run in (taught, plain))
    for each in told:
        same = np.allclose(
            mine.probabilities[mine.fold == each["fold"]], theirs.probabilities[theirs.fold == each["fold"]], atol=1e-5
        )
        assert same == (not each["kept"])
