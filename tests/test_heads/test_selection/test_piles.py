"""Queues of one kind of clip: likely blanks, a class, look-alikes, labels that are hard to believe."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pools import heaps, pool_of, pool_saying

from heads.errors import SelectionError
from heads.selection.neighbours import nearest
from heads.selection.queue import STRATEGIES, make_queue


def test_blanks_come_site_by_site_and_by_time_within_one():
    said = [[p, 0.1, 0.1] for p in (0.9, 0.95, 0.3, 0.99, 0.6, 0.7)]
    sites = ("b", "a", "a", "a", "a", "b")
    times = np.array([0, 30, 0, 20, 10, 5], "datetime64[s]")
    pool = pool_saying(said, sites=sites, times=times)
    queue = make_queue(pool, strategy="blanks", count=10)
    assert [each.clip_id[:4] for each in queue] == ["0004", "0003", "0001", "0000", "0005"]
    assert queue[0].reason == "likely blank (probability 0.60), one of 3 such clips of a"
    without = make_queue(replace(pool, times=None), strategy="blanks", count=4)
    assert [each.clip_id[:4] for each in without] == ["0003", "0001", "0004", "0000"]


def test_before_there_are_models_a_blank_is_where_nothing_moves():
    pool = pool_of(np.eye(3, dtype=np.float32), moves=np.array([True, False, False]))
    queue = make_queue(pool, strategy="blanks", count=10)
    assert [(each.clip_id, each.reason) for each in queue] == [
        ("0001.mp4", "nothing moves, one of 2 such clips"),
        ("0002.mp4", "nothing moves, one of 2 such clips"),
    ]


def test_a_class_is_shown_over_its_whole_range():
    rng = np.random.default_rng(0)
    hog = np.concatenate([rng.uniform(0, 0.1, 400), rng.uniform(0.1, 1.0, 100)])
    pool = pool_saying(np.column_stack([np.full(500, 0.1), hog, hog / 9]).tolist())
    queue = make_queue(pool, strategy="class", count=40, about="hog", seed=2)
    counts = Counter(min(int(each.score * 10), 9) for each in queue)
    assert set(counts.values()) == {4}
    assert [int(each.score * 10) for each in queue[:10]] == list(range(9, -1, -1))
    assert queue[9].reason == "one of 400 such clips to which the models give hog between 0.0 and 0.1"
    assert queue == make_queue(pool, strategy="class", count=40, about="hog", seed=2)
    assert queue != make_queue(pool, strategy="class", count=40, about="hog", seed=3)


def test_neighbours_are_the_nearest_that_nobody_looked_at():
    vectors, heap = heaps([10, 10], spread=0.05)
    pool = pool_of(vectors, reviewed=np.arange(20) == 3)
    queue = make_queue(pool, strategy="neighbours", count=8, about="0000.mp4")
    rows = [int(each.clip_id[:4]) for each in queue]
    expected = np.argsort(-(vectors @ vectors[0]), kind="stable")
    assert rows == [row for row in expected.tolist() if row not in (0, 3)][:8]
    assert set(heap[rows].tolist()) == {0}
    assert queue[0].score == pytest.approx(float(vectors[rows[0]] @ vectors[0]), abs=1e-6)


def test_search_is_exact_and_says_which_of_several_it_is_like():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(500, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = 0  # without frames
    found = nearest(vectors, [3, 99], 30)
    alike = np.maximum(vectors @ vectors[3], vectors @ vectors[99])
    alike[[3, 99, 7]] = -2
    assert [each.row for each in found] == np.argsort(-alike, kind="stable")[:30].tolist()
    assert all(float(vectors[each.row] @ vectors[each.like]) == pytest.approx(each.similarity) for each in found)
    assert len(nearest(vectors, [3], 1000)) == 498
    only = np.arange(500) % 2 == 0
    assert all(each.row % 2 == 0 for each in nearest(vectors, [3], 40, only))


def test_labels_that_models_disbelieve_come_first_unless_a_person_settled_them():
    said = [[0.9, 0.05, 0.05]] * 30 + [[0.05, 0.9, 0.05]] * 30
    labels = np.array([[1, 0, 0]] * 30 + [[0, 1, 0]] * 30, np.uint8)
    labels[4], labels[41], labels[50] = (0, 1, 0), (1, 0, 0), (0, 0, 1)
    reviewed = np.arange(60) == 41
    pool = pool_saying(said, labels=labels, labelled=np.ones(60, bool), reviewed=reviewed)
    queue = make_queue(pool, strategy="suspects", count=10)
    assert {each.clip_id for each in queue} == {"0004.mp4"}
    assert queue[0].reason == "labelled hog, to which the models give 0.05, and say blank"
    unknown = replace(pool, reviewed=np.zeros(60, bool))
    assert {each.clip_id for each in make_queue(unknown, strategy="suspects", count=10)} == {"0004.mp4", "0041.mp4"}


def test_piles_hold_labelled_clips_only_where_nothing_else_is_left():
    said = [[0.9, 0.05, 0.05]] * 6
    pool = pool_saying(said, labelled=np.arange(6) < 4, reviewed=np.arange(6) < 1)
    assert [each.clip_id[:4] for each in make_queue(pool, strategy="blanks", count=9)] == ["0004", "0005"]
    everything = replace(pool, labelled=np.ones(6, bool))
    assert len(make_queue(everything, strategy="blanks", count=9)) == 5
    assert make_queue(everything, strategy="next", count=9) == []


def test_what_strategies_need_is_asked_for():
    pool = pool_of(np.eye(3, dtype=np.float32))
    for strategy in ("suspects", "class", "doubt"):
        with pytest.raises(SelectionError, match=f"strategy '{strategy}' asks models, and there is no run"):
            make_queue(pool, strategy=strategy, count=1, about="hog")
    with pytest.raises(SelectionError, match="needs a class; name it"):
        make_queue(pool, strategy="class", count=1)
    with pytest.raises(SelectionError, match="needs a clip; name it"):
        make_queue(pool, strategy="neighbours", count=1)
    said = pool_saying([[0.1, 0.2, 0.3]])
    with pytest.raises(SelectionError, match="no class 'ibex'; there are blank, hog, lion"):
        make_queue(said, strategy="class", count=1, about="ibex")
    assert all(each.summary for each in STRATEGIES.values())
