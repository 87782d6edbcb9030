"""Every member finds clips of its own in every step, however its clips lie among the folds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_store import clip_ids, made_key, make_store

from heads.data.labels import LabelTable
from heads.data.splitting.folds import Folds
from heads.recipe import HeadConfig
from heads.trainers.cross_validation import cross_validate_head
from heads.trainers.members import plan_members
from heads.trainers.sampler import BatchSampler, ensure_two_clips_each

FOLD = np.repeat([0, 1, 2], [100, 2, 2])
SMALL: dict[str, Any] = {"dense_units": (8,), "metadata": (), "batch_clips": 8, "epochs": 3, "learning_rate": 0.01}
KINDS = {"attention": HeadConfig(**SMALL), "recurrent": HeadConfig(**SMALL, kind="recurrent", recurrent_units=3)}


def curriculum_of(fold: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> BatchSampler:
    plan = plan_members(HeadConfig(), 3, 0, judged=False)
    seen = np.stack([member.learns_from(fold) for member in plan]).astype(np.float32)
    none = np.zeros((len(plan), 0), np.float32)
    return BatchSampler(config=KINDS["attention"], targets=targets, fold=fold, seen=seen, seen_unlabelled=none, seed=0)


def test_members_with_few_clips_meet_them_more_often_and_no_others() -> None:
    targets = np.random.default_rng(0).random((len(FOLD), 2)).astype(np.float32)
    curriculum = curriculum_of(FOLD, targets)
    lessons = curriculum.batches(0)
    assert any((weights[0] > 0).sum() == 0 for _, weights, _ in lessons)
    met = set()
    for before, (places, weights, wanted) in zip(lessons, ensure_two_clips_each(lessons), strict=True):
        count = len(before[0])
        for one, other in zip(before, (places[:count], weights[:, :count], wanted[:, :count]), strict=True):
            np.testing.assert_array_equal(one, other)
        assert ((weights > 0).sum(axis=1) >= 2).all()
        assert not (weights * (1 - curriculum.seen[:, places])).any()
        np.testing.assert_array_equal(wanted, np.broadcast_to(targets[places], wanted.shape))
        met |= set(places[weights[0] > 0].tolist())
    assert met == set(np.flatnonzero(FOLD).tolist())


def test_lessons_that_have_enough_for_everyone_stay_as_they_are() -> None:
    lessons = curriculum_of(np.arange(60) % 3, np.ones((60, 2), np.float32)).batches(0)
    assert ensure_two_clips_each(lessons) is lessons


@pytest.mark.parametrize("kind", KINDS)
def test_one_site_with_nearly_all_clips_leaves_every_probability_a_number(tmp_path: Path, kind: str) -> None:
    ids, deer = clip_ids(len(FOLD)), np.arange(len(FOLD)) % 2
    values = np.stack([1 - deer, deer], axis=1).astype(np.uint8)
    store = make_store(tmp_path, values)
    labels = LabelTable(ids=tuple(ids), classes=("blank", "deer"), values=values)
    folds = Folds(ids=tuple(ids), fold=FOLD, groups=tuple(ids), n_folds=3)
    done = cross_validate_head(store.reader(made_key()), store.clips(), labels, folds, KINDS[kind], name=kind)
    assert np.isfinite(done.predictions.probabilities).all()
    assert np.isfinite([epoch.losses for epoch in done.epochs]).all()
