"""Queues of what to label next, and the clips that chance draws."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from heads.errors import SelectionError
from heads.selection.clusters import cluster, spread_out, typicality
from heads.selection.pool import Pool, join_bursts
from heads.selection.queue import make_queue


def _heaps(sizes: list[int], spread: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 around an axis each, and the heap of each."""
    rng = np.random.default_rng(seed)
    heap = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(len(sizes))[heap] + spread * rng.normal(size=(len(heap), len(sizes)))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), heap


def _pool(vectors: np.ndarray, **known: object) -> Pool:
    ids = [f"{row:04}.mp4" for row in range(len(vectors))]
    return replace(Pool.of(ids, classes=("blank", "hog", "lion")), embedding=vectors, **known)


def test_clusters_are_the_heaps_that_were_planted():
    vectors, heap = _heaps([40, 5, 17, 9])
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
    vectors, heap = _heaps([60, 30, 20, 10, 5, 5])
    queue = make_queue(_pool(vectors), strategy="next", count=7, seed=1)
    chosen = [queued for queued in queue if not queued.is_random]
    assert {int(heap[int(queued.clip_id[:4])]) for queued in chosen} == {0, 1, 2, 3, 4, 5}
    assert all(queued.strategy == "typical" for queued in chosen)
    assert chosen[0].reason == "typical of 60 clips that look alike, of which none is labelled"


def test_kinds_that_are_labelled_come_after_those_that_are_not():
    vectors, heap = _heaps([60, 30, 20, 10])
    labelled = heap < 2
    pool = _pool(vectors, labelled=np.where(np.arange(len(heap)) % 7 == 0, labelled, False))
    chosen = [each for each in make_queue(pool, strategy="next", count=3, seed=0) if not each.is_random]
    assert {int(heap[int(each.clip_id[:4])]) for each in chosen} <= {2, 3}


def test_a_tenth_is_drawn_by_chance_and_marked_and_spread_over_the_batch():
    vectors, _ = _heaps([80, 70, 50])
    pool = _pool(vectors)
    queue = make_queue(pool, strategy="next", count=50, seed=0)
    marked = [number for number, each in enumerate(queue) if each.is_random]
    assert len(queue) == 50
    assert len(marked) == 5
    assert all(np.diff(marked) >= 8)
    drawn = [queue[number].clip_id for number in marked]
    assert drawn == [each.clip_id for each in make_queue(pool, strategy="random", count=5, seed=99)]
    assert len({each.clip_id for each in queue}) == 50


def test_chance_goes_on_where_it_stood_whatever_was_labelled_in_between():
    vectors, _ = _heaps([30, 30])
    pool = _pool(vectors)
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
    vectors, _ = _heaps([80, 70, 50], spread=0.5)
    pool = _pool(vectors)
    assert make_queue(pool, strategy="next", count=20, seed=1) == make_queue(pool, strategy="next", count=20, seed=1)
    assert make_queue(pool, strategy="next", count=20, seed=1) != make_queue(pool, strategy="next", count=20, seed=2)


def test_a_batch_holds_one_clip_a_burst_and_a_quota_a_site():
    vectors, _ = _heaps([100, 100], spread=0.8)
    start = np.datetime64("2026-01-01T00:00:00")
    minutes = np.arange(200) // 4 * 60 + np.arange(200) % 4 // 2  # bursts of four within a minute, an hour apart
    sites = tuple(["a"] * 100 + ["b"] * 50 + ["c"] * 25 + ["d"] * 25)
    pool = _pool(vectors, sites=sites, times=(start + minutes.astype("timedelta64[m]")).astype("datetime64[s]"))
    queue = [each for each in make_queue(pool, strategy="next", count=20, seed=0) if not each.is_random]
    rows = pool.rows_of([each.clip_id for each in queue])
    assert max(Counter(pool.bursts[rows].tolist()).values()) == 1
    assert max(Counter(np.array(sites)[rows].tolist()).values()) <= 10


def test_a_burst_ends_after_a_minute_and_at_another_site():
    seconds = np.array([0, 50, 100, 161, 30, 40], "timedelta64[s]")
    times = np.datetime64("2026-01-01T00:00:00") + seconds
    times[5] = np.datetime64("NaT")
    found = join_bursts(("a", "a", "a", "a", "b", "a"), times, np.arange(6))
    assert [len(set(found[[0, 1, 2]].tolist())), len(set(found.tolist()))] == [1, 4]
    copied = join_bursts(("a", "a", "a", "a", "b", "a"), times, np.array([0, 1, 2, 0, 4, 4]))
    assert len(set(copied.tolist())) == 2


def test_at_most_half_of_a_batch_is_likely_blank():
    vectors, heap = _heaps([150, 30])
    said = np.full((180, 3), 0.2)
    said[:, 0] = np.where(heap == 0, 0.9, 0.1)
    rng = np.random.default_rng(0)
    said[:, 1] = rng.uniform(0.3, 0.7, 180)
    queue = make_queue(_pool(vectors, probabilities=said), strategy="next", count=40, seed=0)
    rows = [int(each.clip_id[:4]) for each in queue]
    assert len(queue) == 40
    assert sum(heap[row] == 0 for row in rows) <= 20


def test_what_is_labelled_or_passed_over_is_not_asked_for_again():
    vectors, _ = _heaps([20, 20])
    settled = np.arange(40) < 30
    for known in ({"labelled": settled}, {"reviewed": settled}):
        for strategy in ("next", "random"):
            queue = make_queue(_pool(vectors, **known), strategy=strategy, count=40)
            assert sorted(each.clip_id for each in queue) == [f"{row:04}.mp4" for row in range(30, 40)]


def test_what_is_not_to_be_had_is_said():
    pool = _pool(_heaps([4])[0])
    with pytest.raises(SelectionError, match="no strategy 'best'; there are next, random"):
        make_queue(pool, strategy="best", count=5)
    with pytest.raises(SelectionError, match="0 clips was asked for"):
        make_queue(pool, strategy="next", count=0)
    with pytest.raises(SelectionError, match=r"no clip 'x\.mp4' among the 4"):
        pool.rows_of(["0001.mp4", "x.mp4"])
    with pytest.raises(SelectionError, match=r"sites is \(2,\), expected \(4,\)"):
        replace(pool, sites=("a", "b"))
    assert make_queue(Pool.of([]), strategy="next", count=5) == []
