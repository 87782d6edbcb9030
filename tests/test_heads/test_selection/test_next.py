"""Queues of what to label next, and the clips that chance draws."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pools import heaps, pool_of

from heads.errors import SelectionError
from heads.selection.clusters import cluster, spread_out, typicality
from heads.selection.pool import Pool
from heads.selection.queue import make_queue
from heads.selection.teaching import new, rare, unsure


def test_clusters_are_the_heaps_that_were_planted():
    vectors, heap = heaps([40, 5, 17, 9])
    found = cluster(vectors, 4, np.random.default_rng(3))
    assert len({(one, other) for one, other in zip(found.tolist(), heap.tolist(), strict=True)}) == 4


def test_spread_rows_stop_where_all_others_are_equal():
    vectors = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    chosen = spread_out(vectors, 10, np.random.default_rng(0))
    assert sorted(row // 5 for row in chosen) == [0, 1, 2]


def test_the_typical_one_is_the_one_in_the_middle():
    angles = np.array([0.0, 0.2, 0.4, 0.6, 0.8])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    found = typicality(vectors, 2)
    assert found.argmax() in (1, 2, 3)
    assert found[2] == pytest.approx(np.cos(0.2), abs=1e-6)
    assert found[0] == pytest.approx((np.cos(0.2) + np.cos(0.4)) / 2, abs=1e-6)


def test_a_first_batch_takes_a_clip_of_every_kind():
    vectors, heap = heaps([60, 30, 20, 10, 5, 5])
    queue = make_queue(pool_of(vectors), strategy="next", count=7, seed=1)
    chosen = [queued for queued in queue if not queued.is_random]
    assert {int(heap[int(queued.clip_id[:4])]) for queued in chosen} == {0, 1, 2, 3, 4, 5}
    assert all(queued.strategy == "typical" for queued in chosen)
    assert chosen[0].reason == "typical of 60 clips that look alike, of which none is labelled"


def test_kinds_that_are_labelled_come_after_those_that_are_not():
    vectors, heap = heaps([60, 30, 20, 10])
    labelled = heap < 2
    pool = pool_of(vectors, labelled=np.where(np.arange(len(heap)) % 7 == 0, labelled, False))
    chosen = [each for each in make_queue(pool, strategy="next", count=3, seed=0) if not each.is_random]
    assert {int(heap[int(each.clip_id[:4])]) for each in chosen} <= {2, 3}


def test_a_tenth_is_drawn_by_chance_and_marked_and_spread_over_the_batch():
    vectors, _ = heaps([80, 70, 50])
    pool = pool_of(vectors)
    queue = make_queue(pool, strategy="next", count=50, seed=0)
    marked = [number for number, each in enumerate(queue) if each.is_random]
    assert len(queue) == 50
    assert len(marked) == 5
    assert all(np.diff(marked) >= 8)
    drawn = [queue[number].clip_id for number in marked]
    assert drawn == [each.clip_id for each in make_queue(pool, strategy="random", count=5, seed=99)]
    assert len({each.clip_id for each in queue}) == 50


def test_chance_goes_on_where_it_stood_whatever_was_labelled_in_between():
    vectors, _ = heaps([30, 30])
    pool = pool_of(vectors)
    first = [each.clip_id for each in make_queue(pool, strategy="random", count=60, seed=0)]
    done = np.isin(pool.ids, [first[0], first[1], first[4]])
    later = make_queue(replace(pool, labelled=done), strategy="random", count=3, seed=5)
    assert [each.clip_id for each in later] == [first[2], first[3], first[5]]


def test_chance_takes_every_clip_as_often_as_any_other():
    # 2,000 names in order: the first 200 drawn hold about 100 of the first thousand (sd 6.7)
    pool = Pool.of([f"clip {number}" for number in range(2000)])
    drawn = make_queue(pool, strategy="random", count=200)
    assert 75 < sum(int(each.clip_id.split()[1]) < 1000 for each in drawn) < 125


def test_the_same_seed_gives_the_same_queue_and_another_seed_another():
    vectors, _ = heaps([80, 70, 50], spread=0.5)
    pool = pool_of(vectors)
    assert make_queue(pool, strategy="next", count=20, seed=1) == make_queue(pool, strategy="next", count=20, seed=1)
    assert make_queue(pool, strategy="next", count=20, seed=1) != make_queue(pool, strategy="next", count=20, seed=2)


def test_a_batch_holds_one_clip_a_burst_and_a_quota_a_site():
    vectors, _ = heaps([100, 100], spread=0.8)
    start = np.datetime64("2026-01-01T00:00:00")
    minutes = np.arange(200) // 4 * 60 + np.arange(200) % 4 // 2  # bursts of four within two minutes, an hour apart
    sites = tuple(["a"] * 100 + ["b"] * 50 + ["c"] * 25 + ["d"] * 25)
    pool = pool_of(vectors, sites=sites, times=(start + minutes.astype("timedelta64[m]")).astype("datetime64[s]"))
    queue = [each for each in make_queue(pool, strategy="next", count=20, seed=0) if not each.is_random]
    rows = pool.rows_of([each.clip_id for each in queue])
    assert max(Counter(pool.bursts[rows].tolist()).values()) == 1
    assert max(Counter(np.array(sites)[rows].tolist()).values()) <= 10


def test_a_burst_ends_after_its_gap_and_at_another_site():
    minutes = np.array([0, 25, 50, 81, 10, 20], "timedelta64[m]")
    times = np.datetime64("2026-01-01T00:00:00") + minutes.astype("timedelta64[s]")
    times[5] = np.datetime64("NaT")
    pool = pool_of(np.eye(6, dtype=np.float32), sites=("a", "a", "a", "a", "b", "a"), times=times)
    found = pool.bursts
    assert [len(set(found[[0, 1, 2]].tolist())), len(set(found.tolist()))] == [1, 4]
    assert len(set(replace(pool, gap=timedelta(minutes=20)).bursts.tolist())) == 6
    copied = replace(pool, copies=np.array([0, 1, 2, 0, 4, 4])).bursts
    assert len(set(copied.tolist())) == 2


def test_at_most_half_of_a_batch_is_likely_blank():
    vectors, heap = heaps([150, 30])
    said = np.full((180, 3), 0.2)
    said[:, 0] = np.where(heap == 0, 0.9, 0.1)
    rng = np.random.default_rng(0)
    said[:, 1] = rng.uniform(0.3, 0.7, 180)
    queue = make_queue(pool_of(vectors, probabilities=said), strategy="next", count=40, seed=0)
    rows = [int(each.clip_id[:4]) for each in queue]
    assert len(queue) == 40
    assert sum(heap[row] == 0 for row in rows) <= 20


def test_what_is_labelled_or_passed_over_is_not_asked_for_again():
    vectors, _ = heaps([20, 20])
    settled = np.arange(40) < 30
    for known in ({"labelled": settled}, {"reviewed": settled}):
        for strategy in ("next", "random"):
            queue = make_queue(pool_of(vectors, **known), strategy=strategy, count=40)
            assert sorted(each.clip_id for each in queue) == [f"{row:04}.mp4" for row in range(30, 40)]


def test_later_batches_take_of_each_part_its_share():
    vectors, _ = heaps([60, 60, 60, 60], spread=0.6)
    rng = np.random.default_rng(1)
    said = rng.uniform(0.02, 0.6, (240, 3))
    said[:, 0] = rng.uniform(0.0, 0.45, 240)
    labels = np.zeros((240, 3), np.uint8)
    labels[:40, 1] = 1
    labels[:20, 0] = 0
    said[:12, 1] = 1e-5  # twelve labels of a table that nobody would believe
    pool = pool_of(
        vectors,
        probabilities=said,
        labels=labels,
        labelled=np.arange(240) < 40,
        reviewed=(np.arange(240) >= 12) & (np.arange(240) < 40),
    )
    queue = make_queue(pool, strategy="next", count=50, seed=0)
    assert Counter(each.strategy for each in queue) == {"random": 5, "suspect": 4, "rare": 14, "new": 7, "unsure": 20}
    rows = {each.strategy: [] for each in queue}
    for each in queue:
        rows[each.strategy].append(int(each.clip_id[:4]))
    assert set(rows["suspect"]) <= set(range(12))
    assert min(row for part, own in rows.items() if part != "suspect" for row in own) >= 40
    lions = np.argsort(-said[40:, 2])[:7] + 40
    assert len({*rows["rare"], *rows["random"], *rows["suspect"]} & set(lions.tolist())) >= 5


def test_the_farthest_from_all_that_is_labelled_is_new():
    vectors, heap = heaps([50, 50, 4, 3], spread=0.03)
    pool = pool_of(vectors, probabilities=np.full((107, 3), 0.3), labelled=(heap < 2) & (np.arange(107) % 5 == 0))
    picks = list(new(pool, 2, np.random.default_rng(0)))[:2]
    assert {int(heap[each.row]) for each in picks} == {2, 3}
    assert picks[0].reason.startswith("looks like no labelled clip")


def test_rare_classes_are_looked_for_by_probability_and_by_likeness():
    vectors, heap = heaps([30, 30], spread=0.05)
    labels = np.zeros((60, 3), np.uint8)
    labels[30, 2] = 1
    labels[:10, 1] = 1
    said = np.full((60, 3), 0.05)
    said[15, 2] = 0.4
    pool = pool_of(vectors, probabilities=said, labels=labels, labelled=labels.any(axis=1))
    first, second = (next(each) for each in [rare(pool, 2, np.random.default_rng(0))] * 2)
    assert first.row == 15
    assert first.reason == "may show lion (probability 0.40), of which 1 clip is known"
    assert heap[second.row] == 1
    assert second.reason.startswith("looks like 0030.mp4, which shows lion")


def test_the_unsure_ones_lie_near_a_threshold_and_differ():
    vectors, _ = heaps([30, 30, 30], spread=0.02)
    said = np.full((90, 3), 0.001)
    said[[3, 4, 5, 40, 70]] = np.array([0.49, 0.491, 0.489, 0.45, 0.3])[:, None]
    for seed in range(5):
        rows = [each.row for each in unsure(pool_of(vectors, probabilities=said), 1, np.random.default_rng(seed))]
        assert set(rows) == {3, 4, 5, 40}  # four are proposed for one that is taken
        assert 40 in rows[:2]


def test_what_is_not_to_be_had_is_said():
    pool = pool_of(heaps([4])[0])
    with pytest.raises(SelectionError, match="no strategy 'best'; there are next, doubt"):
        make_queue(pool, strategy="best", count=5)
    with pytest.raises(SelectionError, match="0 clips was asked for"):
        make_queue(pool, strategy="next", count=0)
    with pytest.raises(SelectionError, match=r"no clip 'x\.mp4' among the 4"):
        pool.rows_of(["0001.mp4", "x.mp4"])
    with pytest.raises(SelectionError, match=r"sites is \(2,\), expected \(4,\)"):
        replace(pool, sites=("a", "b"))
    assert make_queue(Pool.of([]), strategy="next", count=5) == []
