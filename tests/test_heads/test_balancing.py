"""Rare classes may be preferred in training; predictions must not show it, nor may the scored fold have a say."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_store import clip_ids, made_key, make_store, sites_of

from heads.data.class_balance import exclusiveness, initial_competition, sample_weights, weighted_share
from heads.data.labels import LabelTable
from heads.data.splitting.folds import assign_folds
from heads.recipe import HeadConfig
from heads.trainers.cross_validation import cross_validate_head
from heads.trainers.sampler import BatchSampler, learned_weights

# Nine of the first class, one of the second, two of neither.
TARGETS = np.array([[1, 0]] * 9 + [[0, 1]] + [[0, 0]] * 2, np.float32)


def test_a_clip_counts_by_its_rarest_class() -> None:
    for strength, ratio in ((1.0, 9.0), (0.5, 3.0), (0.0, 1.0)):
        found = sample_weights(TARGETS, strength)
        assert found.mean() == pytest.approx(1)
        assert found[9] / found[0] == pytest.approx(ratio)
    both = sample_weights(np.concatenate([TARGETS, [[1, 1]]]).astype(np.float32), 1.0)
    assert both[-1] == both[9]
    share, without = weighted_share(TARGETS, sample_weights(TARGETS, 1.0))
    assert share.tolist() == pytest.approx([1 / 3, 1 / 3])
    assert without == pytest.approx(1 / 3)
    assert weighted_share(TARGETS)[0].tolist() == pytest.approx([9 / 12, 1 / 12])


def test_exclusiveness_is_what_co_occurrence_lacks_to_chance() -> None:
    rng = np.random.default_rng(0)
    alone = np.eye(5)[rng.integers(0, 5, 1000)]
    assert exclusiveness(alone) == 1
    assert exclusiveness((rng.random((20_000, 5)) < 0.2).astype(np.float32)) == pytest.approx(0, abs=0.05)
    assert exclusiveness(np.repeat(alone[:, :1], 3, axis=1)) == 0
    some = alone.copy()
    some[:100] = [1, 1, 0, 0, 0]
    assert 0.5 < exclusiveness(some) < 1
    assert initial_competition(some) == 1
    some[:600] = [1, 1, 0, 0, 0]
    assert 0 < exclusiveness(some) < 0.5
    assert initial_competition(some) == pytest.approx(2 * exclusiveness(some))
    assert exclusiveness(np.zeros((3, 2))) == 1


def curriculum(targets: np.ndarray[Any, Any], **settings: Any) -> BatchSampler:
    fold = np.arange(len(targets)) % 3
    seen = np.stack([fold != number for number in range(3)]).astype(np.float32)
    config = HeadConfig(batch_clips=8, **settings)
    none = np.zeros((3, 0), np.float32)
    return BatchSampler(config=config, targets=targets, fold=fold, seen=seen, seen_unlabelled=none, seed=0)


def test_sampling_draws_rare_clips_more_often() -> None:
    targets = np.random.default_rng(0).permutation(np.tile(TARGETS, (30, 1)))
    drawn = np.concatenate([places for places, _, _ in curriculum(targets, class_balance=1.0).batches(0)])
    assert len(drawn) == len(targets)
    share = targets[drawn].mean(axis=0)
    assert share[1] > 0.2 > 3 * targets.mean(axis=0)[1] / 2
    plain = np.concatenate([places for places, _, _ in curriculum(targets).batches(0)])
    assert Counter(plain.tolist()) == Counter(range(len(targets)))


@pytest.mark.parametrize(
    "settings",
    [{"class_balance": 1.0}, {"class_balance": 1.0, "balance_by": "loss"}, {"label_smoothing": 0.2}],
)
def test_the_scored_fold_has_no_say_in_what_its_member_learns(settings: dict[str, Any]) -> None:
    """Other labels in fold 0 change nothing for the member that is scored on fold 0, and something for the others."""
    targets = np.random.default_rng(0).permutation(np.tile(TARGETS, (6, 1)))
    other = targets.copy()
    other[::3] = 1 - other[::3]
    changed = False
    for one, two in zip(
        curriculum(targets, **settings).batches(0), curriculum(other, **settings).batches(0), strict=True
    ):
        assert all(
            np.array_equal(first, second) for first, second in zip(of_member(one, 0), of_member(two, 0), strict=True)
        )
        changed |= not all(
            np.array_equal(first, second) for first, second in zip(of_member(one, 1), of_member(two, 1), strict=True)
        )
    assert changed


def of_member(lesson: Any, member: int) -> tuple[Any, ...]:
    places, weights, targets = lesson
    rows = weights[member] > 0
    return places[rows], weights[member, rows], targets[member, rows]


def test_smoothed_labels_keep_the_share_of_each_class() -> None:
    targets = np.random.default_rng(0).permutation(np.tile(TARGETS, (6, 1)))
    lessons = curriculum(targets, label_smoothing=0.2).batches(0)
    own = np.concatenate([of_member(lesson, 1)[2] for lesson in lessons])
    learned = targets[np.arange(len(targets)) % 3 != 1]
    np.testing.assert_allclose(own.mean(axis=0), learned.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(own.max(axis=0), 0.8 + 0.2 * learned.mean(axis=0), rtol=1e-5)


def test_weights_are_those_of_what_a_member_sees() -> None:
    fold = np.arange(12) % 3
    config = HeadConfig(class_balance=1.0, balance_by="loss")
    found = learned_weights(config, TARGETS, fold, fold != 1)
    assert not found[fold == 1].any()
    np.testing.assert_allclose(found[fold != 1], sample_weights(TARGETS[fold != 1], 1.0))
    by_fold = learned_weights(config.model_copy(update={"balance_by": "sampling"}), TARGETS, fold, fold != 1)
    np.testing.assert_allclose(by_fold[fold == 2], sample_weights(TARGETS[fold == 2], 1.0))


@pytest.mark.slow
@pytest.mark.parametrize("competing", [True, False])
@pytest.mark.parametrize("balance_by", ["sampling", "loss"])
def test_predictions_are_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balance_by: str, competing: bool
) -> None:
    """Features say nothing of the rare class, so every clip must get about its share, and got far more in training."""
    labels = np.random.default_rng(0).permutation(np.tile(TARGETS.astype(np.uint8), (40, 1)))
    store = make_store(tmp_path, np.zeros_like(labels))
    ids = tuple(clip_ids(len(labels)))
    folds = assign_folds(labels, sites_of(ids), 3, 0, ids=ids)
    config = HeadConfig(
        kind="deviation",
        statistics=("mean",),
        queries=0,
        metadata=(),
        dense_units=(),
        dropout=0.0,
        epochs=8,
        batch_clips=24,
        learning_rate=0.003,
        start_at_prior=True,
        competing=competing,
        class_balance=1.0,
        balance_by=balance_by,
    )
    table = LabelTable(ids=ids, classes=("often", "rare"), values=labels)
    arguments: Any = (store.reader(made_key()), store.clips(), table, folds, config)
    corrected = cross_validate_head(*arguments, name="x").predictions.probabilities.mean(axis=0)
    np.testing.assert_allclose(corrected, labels.mean(axis=0), rtol=0.25)
    monkeypatch.setattr("heads.trainers.trainer.adjust_for_prior_shift", lambda *_: None)
    uncorrected = cross_validate_head(*arguments, name="x").predictions.probabilities.mean(axis=0)
    assert uncorrected[1] > 2 * labels[:, 1].mean()
