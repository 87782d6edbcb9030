"""What clips that chance drew say of a whole collection."""

from dataclasses import replace

import numpy as np
import pytest
from pools import CLASSES

from heads.evaluation.collection import mean_estimate, score_collection, share_estimate
from heads.report.tables.collection import collection_sentences
from heads.selection.by_chance import draw
from heads.selection.pool import Pool
from heads.selection.sample import collection_score, drawn_by_chance


def _collection(n: int, seed: int) -> Pool:
    rng = np.random.default_rng(seed)
    shown = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    said = np.clip(rng.dirichlet([1, 1, 1], n) * 0.5 + 0.5 * np.eye(3)[shown], 0.01, 0.99)
    return replace(
        Pool.of([f"{seed} {row}" for row in range(n)], classes=CLASSES),
        probabilities=said,
        labels=np.eye(3, dtype=np.uint8)[shown],
    )


def _settle(pool: Pool, rows: list[int], *, by_chance: bool) -> Pool:
    labelled, drawn = pool.labelled.copy(), pool.drawn.copy()
    labelled[rows] = True
    drawn[rows] |= by_chance
    return replace(pool, labelled=labelled, reviewed=labelled, drawn=drawn)


def test_the_sample_is_what_stands_before_the_first_open_clip():
    pool = _collection(200, 0)
    order = np.argsort(pool.order)
    active = _settle(pool, order[[1, 3, 90]].tolist(), by_chance=False)
    assert len(drawn_by_chance(active)) == 0  # nobody drew
    drawn = _settle(active, [each.row for each in draw(active, 4)], by_chance=True)
    assert sorted(drawn_by_chance(drawn).tolist()) == sorted(order[:6].tolist())
    skipped = replace(drawn, labelled=drawn.labelled & (np.arange(200) != order[2]))
    assert sorted(drawn_by_chance(skipped).tolist()) == sorted(order[:6].tolist())
    everything = replace(pool, labelled=np.ones(200, bool))
    assert len(drawn_by_chance(everything)) == 200


def test_it_is_fair_although_what_was_labelled_before_was_chosen():
    # lions are a tenth of all; half of them were looked for and labelled first
    found = []
    for seed in range(300):
        pool = _collection(150, seed)
        lions = np.flatnonzero(pool.labels[:, 2])
        pool = _settle(pool, lions[: len(lions) // 2].tolist(), by_chance=False)
        pool = _settle(pool, [each.row for each in draw(pool, 25)], by_chance=True)
        rows = drawn_by_chance(pool)
        found.append(pool.labels[rows, 2].mean() - pool.labels[:, 2].mean())
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)
    assert np.std(found) > 0.02


def test_intervals_hold_the_truth_in_nineteen_of_twenty():
    inside, shares = [], []
    pool = _collection(480, 1)
    truth = score_collection(CLASSES, pool.labels, pool.probabilities, clips=480, drawn=480)
    assert truth is not None
    assert truth.log_loss.low == truth.log_loss.value == truth.log_loss.high
    for seed in range(400):
        rows = np.random.default_rng(seed).choice(480, 48, replace=False)
        found = score_collection(CLASSES, pool.labels[rows], pool.probabilities[rows], clips=480, drawn=48)
        assert found is not None
        inside.append(found.log_loss.low <= truth.log_loss.value <= found.log_loss.high)
        shares.append(found.shares["hog"].low <= truth.shares["hog"].value <= found.shares["hog"].high)
    assert 0.92 <= np.mean(inside) <= 0.98
    assert 0.92 <= np.mean(shares) <= 0.98


def test_estimates_are_those_of_the_books():
    # Wilson's interval of 3 of 10 without correction: 0.1078 to 0.6032
    found = share_estimate(3, 10, 1.0)
    assert (found.low, found.high) == pytest.approx((0.10779, 0.60322), abs=1e-5)
    assert share_estimate(3, 10, 0.0).low == share_estimate(3, 10, 0.0).high == 0.3
    values = np.array([0.1, 0.2, 0.3, 0.4])
    found = mean_estimate(values, 1.0)
    factor = np.exp(3.18245 * values.std(ddof=1) / 2 / 0.25)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25 / factor, 0.25 * factor), rel=1e-5)


def test_where_everything_is_labelled_chance_has_no_part():
    pool = _collection(60, 4)
    found = collection_score(replace(pool, labelled=np.ones(60, bool)))
    assert found is not None
    [sentence] = collection_sentences(found)
    assert sentence.startswith(f"All 60 clips have a label; their mean log loss is {found.log_loss.value:.4f}")


def test_few_clips_say_nothing_and_skipped_ones_are_told():
    pool = _collection(100, 3)
    few = _settle(pool, [each.row for each in draw(pool, 19)], by_chance=True)
    assert collection_score(few) is None
    assert collection_score(replace(few, probabilities=None)) is None
    enough = _settle(pool, [each.row for each in draw(pool, 30)], by_chance=True)
    skipped = replace(enough, labelled=enough.labelled & (np.arange(100) % 9 != 0))
    found = collection_score(skipped)
    assert found is not None
    assert (found.clips, found.drawn) == (100, 30)
    assert found.answered == int(skipped.labelled.sum())
    assert found.right is not None
    assert found.log_loss.low < found.log_loss.value < found.log_loss.high
