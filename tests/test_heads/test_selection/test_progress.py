"""How far labelling has come: finds, learning curve, how many species there may be."""

from dataclasses import replace

import numpy as np
import pytest
from pools import pool_of, pool_saying

from heads.commands.queue import richness_sentence
from heads.data.decisions import Decision, Decisions, State, Why
from heads.selection.progress import Richness, chao2, expected, progress
from heads.selection.queue import make_queue


def _said(row: int, *after: str, seen: dict[str, float] | None = None, is_random: bool = False) -> Decision:
    return Decision(
        clip_id=f"{row:04}.mp4",
        state=State.LABELLED,
        after=after,
        seen=seen,
        why=Why(strategy="random" if is_random else "rare", is_random=is_random),
    )


def test_finds_are_counted_over_the_last_hundred_decisions():
    log = [_said(row, "lion") for row in range(10)] + [_said(row, "hog") for row in range(10, 30)]
    log += [_said(row) for row in range(30, 120)]
    found = progress(pool_of(np.eye(120, dtype=np.float32)), Decisions(log=tuple(log)))
    assert found.last == 100
    assert found.found_lately == {"blank": 90, "hog": 10, "lion": 0}
    assert (found.species[0], found.species[9], found.species[10], found.species[-1]) == (1, 1, 2, 2)


def test_the_learning_curve_is_of_clips_by_chance_and_of_what_was_said_before():
    right = {"blank": 0.1, "hog": 0.8, "lion": 0.1}
    log = [_said(row, "hog", seen={"blank": 0.9, "hog": 0.05, "lion": 0.05}, is_random=True) for row in range(20)]
    log += [_said(20 + row, "hog", seen={"blank": 1.0, "hog": 0.0, "lion": 0.0}) for row in range(30)]
    log += [_said(50 + row, "hog", seen=right, is_random=True) for row in range(10)]
    curve = progress(pool_of(np.eye(60, dtype=np.float32)), Decisions(log=tuple(log))).curve
    assert [(each.labelled, each.clips, each.right) for each in curve] == [(20, 20, 0.0), (60, 10, 1.0)]
    assert curve[1].log_loss == pytest.approx(-(2 * np.log(0.9) + np.log(0.8)) / 3)


def test_what_a_queue_will_find_is_the_sum_of_what_is_said():
    pool = pool_saying([[0.1, 0.7, 0.0], [0.2, 0.6, 0.5], [0.9, 0.0, 0.0]], labelled=np.array([False, False, True]))
    queue = make_queue(pool, strategy="random", count=5)
    assert expected(pool, queue) == pytest.approx({"blank": 0.3, "hog": 1.3, "lion": 0.5})
    assert expected(replace(pool, probabilities=None), queue) == {}


def test_chao_tells_unseen_species_from_those_seen_once_and_twice():
    # 10 units; of 5 species one is everywhere, two are in two units, two in one
    seen = np.zeros((10, 6), bool)
    seen[:, 0] = seen[:2, 1] = seen[3:5, 2] = True
    seen[6, 3] = seen[7, 4] = True
    found = chao2(seen)
    assert (found.found, found.units) == (5, 10)
    assert found.estimate == pytest.approx(5 + 0.9 * 4 / 4)
    assert found.found <= found.low < found.estimate < found.high
    once = chao2(seen[:, [0, 3, 4]])
    assert once.estimate == pytest.approx(3 + 0.9 * 2 * 1 / 2)
    everywhere = chao2(np.ones((4, 3), bool))
    assert (everywhere.estimate, everywhere.low, everywhere.high) == (3, 3, 3)


def test_an_interval_of_one_number_is_not_told():
    sure = Richness(found=4, estimate=4.0, low=4.0, high=4.2, units=9)
    assert richness_sentence(sure) == (
        "4 species found in the 9 sites, weeks or clips looked into; nothing points to more"
    )
    assert richness_sentence(replace(sure, estimate=4.6, high=8.1)).endswith("; there may be 5 (4 to 8)")


def test_species_are_counted_by_site():
    labels = np.zeros((6, 3), np.uint8)
    labels[[0, 1, 2], 1] = 1
    labels[3, 2] = 1
    pool = pool_of(
        np.eye(6, dtype=np.float32), labels=labels, labelled=np.ones(6, bool), sites=("a", "b", "c", "c", "d", "d")
    )
    found = progress(pool, Decisions()).richness
    assert found is not None
    assert (found.found, found.units) == (2, 4)
    assert progress(pool_of(np.eye(2, dtype=np.float32)), Decisions()).richness is None
