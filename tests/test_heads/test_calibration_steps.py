"""Steps after calibration: each mends what it is for, and is left out where there is nothing to mend."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.blending.blenders.calibration_steps import (
    Isotonic,
    Limits,
    Reconcile,
    apply_steps,
    exclusive_column,
    fit_steps,
)
from heads.blending.blenders.logits import to_logits, to_probabilities
from heads.evaluation.metrics import log_loss_per_class, mean_log_loss


def drawn(truth: NDArray[np.float64], seed: int) -> NDArray[np.uint8]:
    return (np.random.default_rng(seed).random(truth.shape) < truth).astype(np.uint8)


def folds(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(9).integers(0, 5, count)


def test_probabilities_that_are_right_are_left_alone() -> None:
    truth = to_probabilities(np.random.default_rng(0).normal(-1, 1.5, (4000, 3)))
    labels = drawn(truth, 1)
    after = apply_steps(truth, fit_steps(truth, labels, folds(4000)))
    assert mean_log_loss(labels, after) < mean_log_loss(labels, truth) + 0.0005


def test_a_bent_class_is_straightened_and_a_rare_one_stays() -> None:
    rng = np.random.default_rng(2)
    truth = to_probabilities(rng.normal(0, 2, (6000, 2)))
    truth[:, 1] *= 0.003
    labels = drawn(truth, 3)
    said = truth.copy()
    said[:, 0] = np.where(truth[:, 0] > 0.5, 0.5 + (truth[:, 0] - 0.5) ** 3, truth[:, 0] / 3)
    curves = Isotonic().fit(said, labels)["curves"]
    assert curves[1] is None
    steps = json.loads(json.dumps(fit_steps(said, labels, folds(6000)), allow_nan=False))
    assert (steps[0]["step"], steps[0]["classes"]) == ("isotonic", [True, False])
    fresh = drawn(truth, 4)
    best, mended, bent = (log_loss_per_class(fresh, each)[0] for each in (truth, apply_steps(said, steps), said))
    assert mended - best < 0.15 * (bent - best)


def clips_with_blank(n_clips: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Exclusive labels, and what models say that see each class by itself: they do not know that blank is alone."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((n_clips, 4), np.uint8)
    labels[np.arange(n_clips), rng.choice(4, n_clips, p=(0.55, 0.25, 0.15, 0.05))] = 1
    prior = labels.mean(axis=0)
    seen = labels + rng.normal(0, 0.9, labels.shape)
    return labels, to_probabilities((seen - 0.5) / 0.81 + np.log(prior / (1 - prior)))


def test_blank_and_species_are_reconciled_where_models_have_not() -> None:
    labels, said = clips_with_blank(5000, 5)
    steps = fit_steps(said, labels, folds(5000))
    [rule] = [each for each in steps if each["step"] == "reconcile"]
    assert rule["parameters"]["blank"] == 0
    assert rule["parameters"]["down"] > 0.2
    new_labels, new_said = clips_with_blank(5000, 6)
    assert mean_log_loss(new_labels, apply_steps(new_said, [rule])) < 0.98 * mean_log_loss(new_labels, new_said)


def test_a_surer_blank_lowers_every_species_by_hand() -> None:
    parameters = {"blank": 0, "down": 1.0, "up": 0.5}
    after = Reconcile().apply(np.array([[0.75, 0.5]]), parameters)
    # species: odds 1 times (1 - 0.75); blank: odds 3 times (1 - 0.5) to the power of a half
    assert after == pytest.approx(np.array([[3 * 0.5**0.5 / (1 + 3 * 0.5**0.5), 0.2]]))


def test_blank_is_the_class_that_stands_alone() -> None:
    labels = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], np.uint8)
    assert exclusive_column(labels) == 1
    labels[0] = (1, 1, 0)
    assert exclusive_column(labels) is None


def test_limits_keep_a_class_from_being_surer_than_it_is_right() -> None:
    rng = np.random.default_rng(7)
    said = np.where(rng.random((4000, 2)) < 0.5, 1e-6, 0.3)
    truth = np.where(said < 0.1, 0.004, 0.3)
    labels = drawn(truth, 8)
    found = Limits().fit(said, labels)
    share = labels[:, 0][said[:, 0] < 0.1].mean()
    assert found["low"][0] == pytest.approx(share, rel=0.4)
    assert np.array(found["high"]) == pytest.approx(1.0, abs=0.021)
    fresh = drawn(truth, 10)
    clipped = apply_steps(said, fit_steps(said, labels, folds(4000)))
    assert mean_log_loss(fresh, clipped) < 0.97 * mean_log_loss(fresh, said)


def test_nothing_is_done_to_noise() -> None:
    rng = np.random.default_rng(11)
    labels = (rng.random((900, 3)) < (0.3, 0.1, 0.02)).astype(np.uint8)
    said = np.tile(labels.mean(axis=0), (900, 1))
    said = to_probabilities(to_logits(said))
    after = apply_steps(said, fit_steps(said, labels, folds(900)))
    assert mean_log_loss(labels, after) == pytest.approx(mean_log_loss(labels, said), abs=0.003)
