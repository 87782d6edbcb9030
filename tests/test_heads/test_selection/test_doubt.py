"""What is in doubt about species at sites in weeks, and which clips remove most of it."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from pools import pool_saying

from heads.selection.doubt import doubt_queue, species_doubt, weeks
from heads.selection.pool import Pool
from heads.selection.queued import Request


def _doubt_after(chances: list[float], looked_at: list[int]) -> float:
    """The variance of "any of them", once some are known: by going through everything that may be."""
    left = 0.0
    for seen in product((0, 1), repeat=len(looked_at)):
        chance = np.prod([chances[row] if hit else 1 - chances[row] for row, hit in zip(looked_at, seen, strict=True)])
        rest = [p for row, p in enumerate(chances) if row not in looked_at]
        none = 0.0 if any(seen) else float(np.prod([1 - p for p in rest]))
        left += chance * none * (1 - none)
    return left


def _one_species(chances: list[float], **known: object) -> Pool:
    return pool_saying([[0.0, p, 0.0] for p in chances], **known)


def test_a_queue_removes_what_going_through_all_outcomes_says_it_does():
    chances = [0.2, 0.5, 0.35, 0.05]
    pool = _one_species(chances, sites=("a",) * 4)
    queue = doubt_queue(pool, Request(count=4))
    rows = [int(each.clip_id[:4]) for each in queue]
    for done in range(len(rows)):
        expected = _doubt_after(chances, rows[:done]) - _doubt_after(chances, rows[: done + 1])
        assert queue[done].score == pytest.approx(expected, abs=1e-4)
    assert rows[0] == 1
    assert rows[0] == int(np.argmin([_doubt_after(chances, [row]) for row in range(4)]))


def test_a_record_that_other_clips_settle_needs_no_look():
    # site a has hog for certain in another clip: its half-sure clip says nothing new
    pool = _one_species([0.9999, 0.5, 0.3, 0.0], sites=("a", "a", "b", "c"))
    assert [each.clip_id for each in doubt_queue(pool, Request(count=5))] == ["0002.mp4"]
    labels = np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.uint8)
    labelled = replace(
        _one_species([0.1, 0.5, 0.3, 0.0], sites=("a", "a", "b", "c")), labels=labels, labelled=np.arange(4) == 0
    )
    assert [each.clip_id for each in doubt_queue(labelled, Request(count=5))] == ["0002.mp4"]


def test_a_label_that_denies_leaves_the_others_to_decide():
    pool = _one_species([0.9, 0.5], sites=("a", "a"))
    denied = replace(pool, labelled=np.array([True, False]))
    [found] = [each for each in species_doubt(denied) if each.name == "hog"]
    assert found.records == pytest.approx(0.5, abs=1e-4)
    assert found.doubt == pytest.approx(0.25, abs=1e-4)


def test_weeks_part_records_and_begin_on_monday():
    days = np.array(["2026-03-01", "2026-03-02", "2026-03-08", "2026-03-09", "NaT"], "datetime64[s]")
    found = weeks(days, 5)
    assert found[1] == found[2] == found[0] + 1 == found[3] - 1
    assert found[4] == -1
    pool = _one_species([0.4, 0.4], sites=("a", "a"), times=days[[1, 3]])
    assert next(each for each in species_doubt(pool) if each.name == "hog").records == pytest.approx(0.8, abs=1e-4)
    together = replace(pool, times=days[[1, 2]])
    assert next(each for each in species_doubt(together) if each.name == "hog").records == pytest.approx(0.64, abs=1e-4)
    assert "in the week of 2026-03-02 (likely by 0.64 so far)" in doubt_queue(together, Request(count=1))[0].reason


def test_a_burst_is_one_witness_and_is_looked_at_once():
    start = np.datetime64("2026-03-02T00:00:00")
    times = start + np.array([0, 10, 3600], "timedelta64[s]")
    pool = _one_species([0.5, 0.4, 0.2], sites=("a",) * 3, times=times)
    assert next(each for each in species_doubt(pool) if each.name == "hog").records == pytest.approx(0.6, abs=1e-4)
    assert [each.clip_id for each in doubt_queue(pool, Request(count=5))] == ["0000.mp4", "0002.mp4"]


def test_the_queue_ends_where_species_are_settled():
    rng = np.random.default_rng(0)
    sure = np.where(rng.random(200) < 0.5, 0.999, 0.0005)
    pool = _one_species(sure.tolist(), sites=tuple(f"s{row}" for row in range(200)))
    known = replace(pool, labelled=np.arange(200) < 30, labels=np.zeros((200, 3), np.uint8))
    [hog] = [each for each in species_doubt(known) if each.name == "hog"]
    assert hog.is_settled
    assert hog.reviews == 0
    assert hog.tolerance == pytest.approx(0.05 * hog.records)
    assert doubt_queue(known, Request(count=50)) == []


def test_it_is_said_how_many_looks_settle_a_species():
    pool = _one_species([0.5] * 10, sites=tuple(f"s{row}" for row in range(10)))
    [hog] = [each for each in species_doubt(pool) if each.name == "hog"]
    # 2.5 in doubt, a quarter each; a quarter may be left: nine looks
    assert hog.doubt == pytest.approx(2.5)
    assert hog.reviews == 9
    assert [each.name for each in species_doubt(pool)] == ["hog", "lion"]
