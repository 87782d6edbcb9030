import numpy as np
import pytest
from numpy.typing import NDArray

from heads.evaluation.thresholds import Threshold, group_draws, species_thresholds

SAID = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
SHOWN = np.array([True, True, False, True, False, False])


def alone(
    said: NDArray[np.float64],
    shown: NDArray[np.bool_],
    fold: NDArray[np.int64],
    group: NDArray[np.int64],
    aim: str,
    wanted: float,
) -> Threshold:
    return species_thresholds(said, shown, fold, group, [(aim, wanted)], group_draws(int(group.max()) + 1))[0]


def threshold(said: NDArray[np.float64], shown: NDArray[np.bool_], aim: str, wanted: float) -> float | None:
    one = np.zeros(len(said), np.int64)
    return alone(said, shown, one, one, aim, wanted).threshold


def test_thresholds_by_hand() -> None:
    assert threshold(SAID, SHOWN, "precision", 1.0) == 0.8
    assert threshold(SAID, SHOWN, "precision", 0.75) == 0.6
    assert threshold(SAID, SHOWN, "recall", 1.0) == 0.6
    assert threshold(SAID, SHOWN, "recall", 0.6) == 0.8
    assert threshold(SAID[::-1], SHOWN, "precision", 0.9) is None
    assert threshold(SAID, np.zeros(6, bool), "recall", 0.5) is None


def test_equal_probabilities_stand_or_fall_together() -> None:
    said = np.array([0.9, 0.5, 0.5, 0.1])
    assert threshold(said, np.array([True, True, False, False]), "precision", 1.0) == 0.9
    assert threshold(said, np.array([False, True, False, False]), "recall", 1.0) == 0.5


def test_a_threshold_says_what_it_costs() -> None:
    found = alone(SAID, SHOWN, np.zeros(6, np.int64), np.arange(6), "precision", 0.75)
    assert (found.threshold, found.precision, found.recall) == (0.6, 0.75, 1.0)
    assert found.honest_precision is None
    assert found.honest_recall == 0.0
    assert found.recall_interval == (1.0, 1.0)
    assert found.precision_interval is not None
    assert found.precision_interval[0] < 0.75 < found.precision_interval[1]
    at_one_site = alone(SAID, SHOWN, np.zeros(6, np.int64), np.zeros(6, np.int64), "precision", 0.75)
    assert at_one_site.precision_interval == (0.75, 0.75)


def test_a_threshold_set_on_other_folds_does_what_it_should() -> None:
    rng = np.random.default_rng(0)
    said = rng.random(20_000)
    shown = rng.random(20_000) < said
    fold = rng.integers(0, 4, 20_000)
    found = alone(said, shown, fold, np.arange(20_000) % 50, "precision", 0.9)
    assert found.threshold == pytest.approx(0.8, abs=0.02)
    assert found.honest_precision == pytest.approx(0.9, abs=0.01)
    assert found.honest_recall == pytest.approx(0.36, abs=0.03)
    assert found.precision_interval is not None
    assert found.precision_interval[0] < 0.9 < found.precision_interval[1]
    assert found.precision_interval[1] - found.precision_interval[0] < 0.04


def test_on_noise_the_honest_precision_is_the_share() -> None:
    rng = np.random.default_rng(1)
    said, shown, fold = rng.random(400), rng.random(400) < 0.2, rng.integers(0, 4, 400)
    found = alone(said, shown, fold, np.arange(400), "recall", 0.5)
    assert found.honest_precision == pytest.approx(0.2, abs=0.08)


def test_several_aims_at_once_are_each_what_they_are_alone() -> None:
    rng = np.random.default_rng(2)
    said, fold, group = rng.random(3000).round(2), rng.integers(0, 5, 3000), np.arange(3000) % 30
    shown = rng.random(3000) < said
    aims = [("precision", 0.8), ("precision", 0.95), ("recall", 0.8), ("recall", 0.99)]
    together = species_thresholds(said, shown, fold, group, aims, group_draws(30))
    assert together == [alone(said, shown, fold, group, *aim) for aim in aims]
    assert together[0].threshold < together[1].threshold
    assert together[2].threshold > together[3].threshold
