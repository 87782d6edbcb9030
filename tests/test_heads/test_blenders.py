"""The blenders that fit something, and the choice among them."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.blending.blend import blend_data
from heads.blending.blenders import find_blender, logistic
from heads.blending.blenders.calibrated import cool, fit_temperature
from heads.blending.blenders.cross_fit import cross_fit, cross_fit_each
from heads.blending.blenders.greedy import EnsembleSelection
from heads.blending.blenders.logistic import fit_departures
from heads.blending.blenders.logits import losses_of_logits, to_logits, to_probabilities
from heads.blending.blenders.newton import newton
from heads.blending.blenders.protocol import Blender, Stack
from heads.blending.blenders.registry import BLENDERS
from heads.blending.selection import (
    AUTO,
    blend_losses,
    choose_blend,
    compare_blends,
    predict_leave_fold_out,
    refine_leave_fold_out,
    select_leave_fold_out,
)
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds, assign_folds
from heads.errors import BlendError
from heads.evaluation.leaderboard import prior_predictions
from heads.evaluation.metrics import log_loss_per_class, mean_log_loss
from heads.evaluation.standard_errors import clip_losses, cluster_robust_mean

# Those that look around clips want to be told what is there: tests/test_heads/test_nearby.py.
FAST = {blender.name: blender for blender in BLENDERS if blender.cost == "fast" and not blender.windows}
METHODS = [*FAST, "mean+calibrated", "greedy+calibrated"]
FITTED = [name for name, blender in FAST.items() if blender.complexity > 0]
CLASSES = ("hog", "lion", "pig")
NOISES = (("good", 0.5), ("fair", 0.8), ("poor", 1.5))


def labels_of(n_clips: int, seed: int = 0) -> NDArray[np.uint8]:
    return (np.random.default_rng(seed).random((n_clips, 3)) < (0.4, 0.2, 0.05)).astype(np.uint8)


def seen_through_noise(labels: NDArray[np.uint8], noise: float, seed: int) -> NDArray[np.float64]:
    """Calibrated probabilities of the labels given one noisy look at each."""
    look = labels + np.random.default_rng(seed).normal(0, noise, labels.shape)
    prior = labels.mean(axis=0)
    return to_probabilities((look - 0.5) / noise**2 + np.log(prior / (1 - prior)))


def folds_for(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    return assign_folds(labels, None, 4, 0).fold


def table(labels: NDArray[np.uint8]) -> tuple[LabelTable, Folds]:
    ids = tuple(f"c{row:04d}" for row in range(len(labels)))
    return LabelTable(ids=ids, classes=CLASSES, values=labels), assign_folds(labels, None, 4, 0, ids=ids)


def as_predictions(model: str, values: NDArray[np.float64]) -> Predictions:
    ids = tuple(f"c{row:04d}" for row in range(len(values)))
    return Predictions(ids=ids, classes=CLASSES, probabilities=values, provenance={"model": model})


def test_losses_of_logits_are_log_losses() -> None:
    labels = labels_of(50)
    probabilities = np.random.default_rng(1).uniform(0.01, 0.99, labels.shape)
    assert losses_of_logits(to_logits(probabilities), labels) == pytest.approx(
        log_loss_per_class(labels, probabilities)
    )
    assert losses_of_logits(np.array([[1e4], [-1e4]]), np.array([[0], [1]], np.uint8)) == pytest.approx([1e4])


def test_greedy_weights_by_hand() -> None:
    """Two models that err on different clips and one that is useless: one pick each of the first two, then stop."""
    labels = np.array([[1], [1], [0], [0]], np.uint8)
    logits = np.array([[3.0, 0.2, -3.0, 0.0], [0.0, 3.0, 0.2, -3.0], [-4.0, -4.0, 4.0, 4.0]])[:, :, None]
    fitted = find_blender("greedy").fit(to_probabilities(logits), labels, np.zeros(4, np.int64))
    by_pick = [losses_of_logits(logit, labels)[0] for logit in logits]
    assert np.argmin(by_pick) == 0
    weights = np.array(fitted["weights"])[:, 0]
    assert weights[2] == 0
    assert weights.sum() == pytest.approx(1)
    blended = losses_of_logits(np.einsum("m,mn->n", weights, logits[:, :, 0])[:, None], labels)[0]
    even = losses_of_logits(logits[:2].mean(axis=0), labels)[0]
    assert blended <= even + 1e-6 < min(by_pick)


def test_greedy_steps_by_hand() -> None:
    """With one clip and one class, each pick can be followed: 2 alone is best, then 2 and 0.5 stay below it."""
    labels, logits = np.array([[1]], np.uint8), np.array([[[0.5]], [[2.0]]])
    fitted = find_blender("greedy").fit(to_probabilities(logits), labels, np.zeros(1, np.int64))
    assert fitted["weights"] == [[0.0], [1.0]]


def test_per_class_weights_follow_each_class() -> None:
    labels = labels_of(400)
    good, bad = seen_through_noise(labels, 0.5, 1), seen_through_noise(labels, 3.0, 2)
    first, second = good.copy(), bad.copy()
    first[:, 1], second[:, 1] = bad[:, 1], good[:, 1]
    weights = np.array(
        find_blender("greedy_per_class").fit(np.stack([first, second]), labels, folds_for(labels))["weights"]
    )
    assert weights[0, 0] > 0.7
    assert weights[1, 1] > 0.7


@pytest.mark.parametrize("method", FITTED)
def test_a_perfect_model_beside_a_random_one_is_recognised(method: str) -> None:
    labels = labels_of(400)
    perfect = np.where(labels == 1, 0.999, 0.001)
    random = np.random.default_rng(3).random(labels.shape)
    fitted, folds = table(labels)
    oof = [as_predictions("random", random), as_predictions("perfect", perfect)]
    blended = blend_data(oof, fitted, folds).cross_fit(find_blender(method)).probabilities
    assert mean_log_loss(labels, blended) < 0.1 * mean_log_loss(labels, (perfect + random) / 2)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_learnt_from_noise(method: str) -> None:
    """Models that know nothing: the honest score of no blender may beat the prior's by more than chance."""
    labels = labels_of(600)
    rng = np.random.default_rng(4)
    fitted, folds = table(labels)
    prior = prior_predictions(fitted, folds, fitted.ids)
    oof = []
    for model in range(6):
        noise = to_probabilities(to_logits(prior.probabilities) + rng.normal(0, 0.7, labels.shape))
        oof.append(as_predictions(f"m{model}", noise))
    blended = blend_data(oof, fitted, folds).cross_fit(find_blender(method))
    gain = clip_losses(labels, prior.probabilities) - clip_losses(labels, blended.probabilities)
    gained = cluster_robust_mean(gain, fitted.ids)
    assert gained.mean < 2 * gained.standard_error


def test_fitting_to_the_scored_clips_would_show_on_noise() -> None:
    """The counterpart of the test above: without nesting, the stacker does beat the prior on pure noise."""
    labels = labels_of(60)
    noise = to_probabilities(np.random.default_rng(5).normal(-1.4, 1, (25, *labels.shape)))
    stacker = find_blender("logistic")
    fold = np.zeros(len(labels), np.int64)
    fold[::2] = 1
    seen = {"departures": fit_departures(to_logits(noise), labels, 1.0).tolist()}
    prior = np.broadcast_to(labels.mean(axis=0), labels.shape)
    assert mean_log_loss(labels, stacker.predict(noise, seen)) < 0.8 * mean_log_loss(labels, prior)
    assert stacker.fit(noise, labels, fold)["strength"] in (None, 100.0, 1000.0)


def test_logistic_stacking_recovers_what_made_the_labels() -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 2, (2, 20_000, 1))
    truth = to_probabilities(1.5 * logits[0] - 0.5 * logits[1] - 1.0)
    labels = (rng.random(truth.shape) < truth).astype(np.uint8)
    fitted = find_blender("logistic").fit(to_probabilities(logits), labels, rng.integers(0, 4, len(labels)))
    offset, first, second = np.array(fitted["departures"])[0]
    assert (offset, first + 0.5, second + 0.5) == pytest.approx((-1.0, 1.5, -0.5), abs=0.08)


def test_a_start_on_few_clips_ends_where_a_start_from_nothing_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(16)
    logits = rng.normal(-2, 2, (3, 5000, 2))
    logits[2, :, 1] = np.nan
    labels = (rng.random((5000, 2)) < to_probabilities(logits[0] - 0.3 * logits[1] + 0.5)).astype(np.uint8)
    labels[:, 1] *= np.arange(5000) % 100 == 7  # none of the clips that the start is fitted to shows it
    cold = fit_departures(logits, labels, 1.0)
    monkeypatch.setattr(logistic, "_CLIPS_TO_START", 250)
    assert fit_departures(logits, labels, 1.0) == pytest.approx(cold, abs=1e-4)
    assert fit_departures(logits, labels, 1.0, np.full((2, 4), 30.0)) == pytest.approx(cold, abs=1e-4)
    assert np.abs(cold[0]).min() > 0.1
    assert cold[1, 3] == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_fitted_side_by_side_end_where_each_ends_alone(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((400, 7)) < np.geomspace(0.5, 0.02, 7)).astype(np.uint8)
    logits = 3.0 * labels - 2 + rng.normal(0, 2, (4, *labels.shape))
    logits[1, :, :2], logits[:, :, 5] = np.nan, np.nan
    weights = rng.random(400) * 2 if weighted else None
    monkeypatch.setattr(logistic, "AT_ONCE", 3 * 5 * 400)  # three classes at a time
    together = fit_departures(logits, labels, 3.0, weights=weights)
    for column in range(7):
        known = ~np.isnan(logits[:, 0, column])
        own = logits[known][:, :, column]
        inputs = np.concatenate([np.ones((1, 400)), own])[None]
        base = own.mean(axis=0)[None] if known.any() else np.zeros((1, 400))
        alone = newton(inputs, base, labels[None, :, column], 3.0, weights=weights)[0]
        np.testing.assert_allclose(together[column, np.r_[True, known]], alone, atol=1e-6)
        assert not together[column, 1:][~known].any()


def test_the_best_model_without_each_fold_is_the_one_that_the_other_folds_pick() -> None:
    labels = labels_of(300)
    fold = folds_for(labels)
    stack = np.stack([seen_through_noise(labels, 1.0, seed) for seed in range(4)])
    for model in range(3):  # each fails at one fold, so that without that fold it is the best
        stack[model, fold == model] = 1 - stack[model, fold == model]
    stack[3] = 0.5
    stack[3, :, 0] = np.nan  # that model lacks a class, and is not to be picked
    best = find_blender("best_single")
    found = best.fit_without_each_fold(stack, labels, fold)
    assert found is not None
    for number in range(3):
        left = fold != number
        assert found[number] == best.fit(stack[:, left], labels[left], fold[left]) == {"model": number}


class Slow(Blender):
    """Counts how often it is fitted."""

    name, about, complexity = "slow", "", 1

    def __init__(self) -> None:
        self.fits = 0

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        self.fits += 1
        time.sleep(0.05)
        return {}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        return np.zeros(stack.shape[1:])


class Failing(Slow):
    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        raise BlendError("it has failed")


def test_where_a_blender_fails_the_others_are_not_waited_for() -> None:
    labels, slow = labels_of(200), Slow()
    blenders = [Failing(), *[slow] * 20]
    with pytest.raises(BlendError, match="it has failed"), ThreadPoolExecutor(1) as threads:
        cross_fit_each(blenders, np.full((2, *labels.shape), 0.5), labels, np.arange(200) % 5, run=threads.map)
    assert slow.fits < 10


def test_a_model_that_tells_nothing_has_no_temperature() -> None:
    assert fit_temperature(np.full((50, 3), 0.5), labels_of(50)[:, :3]) == 1.0


def test_a_blender_that_fits_nothing_needs_no_folds() -> None:
    labels = labels_of(50)
    stack, fold = np.random.default_rng(17).random((3, *labels.shape)), folds_for(labels)
    for blender in FAST.values():
        crossed = cross_fit(blender, stack, labels, fold)
        scored = fold == fold[0]
        parameters = blender.fit(stack[:, ~scored], labels[~scored], fold[~scored])
        assert crossed[scored] == pytest.approx(blender.predict(stack[:, scored], parameters), abs=1e-12)


def test_best_single_ignores_models_that_know_less() -> None:
    labels = labels_of(100)
    good, narrow = seen_through_noise(labels, 1.0, 7), np.where(labels == 1, 0.99, 0.01)
    narrow[:, 1:] = np.nan
    assert find_blender("best_single").fit(np.stack([narrow, good]), labels, folds_for(labels)) == {"model": 1}


def test_clustered_mean_by_hand() -> None:
    # deviations from the mean 2 are -1, -1, +2; group sums -2 and +2; (4 + 4) * 2 / 1 / 9
    spread = cluster_robust_mean(np.array([1.0, 1.0, 4.0]), ["a", "a", "b"])
    assert spread.mean == 2.0
    assert spread.standard_error == pytest.approx(np.sqrt(16 / 9))
    alone = cluster_robust_mean(np.array([1.0, 2.0, 3.0, 4.0]), ["a", "b", "c", "d"])
    assert alone.standard_error == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)
    assert np.isnan(cluster_robust_mean(np.array([1.0, 2.0]), ["a", "a"]).standard_error)


def test_the_lowest_loss_is_chosen_and_of_few_clips_the_simplest_that_is_as_good() -> None:
    labels = labels_of(300)
    rng = np.random.default_rng(13)
    base = seen_through_noise(labels, 0.8, 9)
    almost = to_probabilities(to_logits(base) + rng.normal(0, 0.05, base.shape))
    groups = [f"s{row % 30}" for row in range(300)]
    blends = {"mean": as_predictions("mean", almost), "logistic": as_predictions("logistic", base)}
    rows = compare_blends(blend_losses(blends, labels), groups)
    assert [(row["name"], row["as_good"]) for row in rows] == [("mean", True), ("logistic", True)]
    assert [choose_blend(rows, clips) for clips in (199, 300)] == ["mean", "logistic"]
    same = {name: as_predictions(name, base) for name in ("logistic", "mean")}
    assert choose_blend(compare_blends(blend_losses(same, labels), groups), 300) == "mean"
    worse = {**blends, "mean": as_predictions("mean", 0.5 * base + 0.25)}
    rows = compare_blends(blend_losses(worse, labels), groups)
    assert choose_blend(rows, 199) == choose_blend(rows, 300) == "logistic"
    assert rows[0]["behind"] == pytest.approx(mean_log_loss(labels, 0.5 * base + 0.25) - mean_log_loss(labels, base))
    assert rows[1]["behind"] == rows[1]["standard_error"] == 0.0


def test_with_a_single_group_the_best_is_chosen() -> None:
    labels = labels_of(50)
    blends = {
        "mean": as_predictions("mean", np.full(labels.shape, 0.3)),
        "greedy": as_predictions("greedy", seen_through_noise(labels, 0.5, 1)),
    }
    rows = compare_blends(blend_losses(blends, labels), ["one"] * 50)
    assert rows[0]["standard_error"] is None
    assert choose_blend(rows, 50) == "greedy"


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_mis_scaled_logits_is_recovered(temperature: float) -> None:
    rng = np.random.default_rng(10)
    truth = to_probabilities(rng.normal(-1, 1.5, (20_000, 3)))
    labels = (rng.random(truth.shape) < truth).astype(np.uint8)
    said = to_probabilities(to_logits(truth) * temperature)
    assert fit_temperature(said, labels) == pytest.approx(temperature, rel=0.05)
    assert cool(said, temperature) == pytest.approx(truth, abs=0.01)


def test_a_temperature_is_never_negative() -> None:
    labels = labels_of(500)
    assert fit_temperature(np.where(labels == 1, 0.1, 0.9), labels) == 1.0


def test_a_few_clips_that_are_told_apart_do_not_make_all_others_sure() -> None:
    labels = np.eye(2, dtype=np.uint8)[np.arange(58) % 2]
    assert fit_temperature(np.where(labels == 1, 0.55, 0.45), labels) == 0.05


def test_calibration_mends_a_blend_that_is_too_sure_and_one_biased_class() -> None:
    labels = labels_of(3000)
    fitted, folds = table(labels)
    right = [seen_through_noise(labels, 1.0, seed) for seed in (11, 12)]
    skewed = [to_probabilities(3 * to_logits(each) + np.array([0, 2.0, 0])) for each in right]
    oof = [as_predictions(f"m{place}", each) for place, each in enumerate(skewed)]
    plain, mended = (
        mean_log_loss(labels, blend_data(oof, fitted, folds).cross_fit(find_blender(name)).probabilities)
        for name in ("mean_of_logits", "mean_of_logits+calibrated")
    )
    honest = mean_log_loss(labels, to_probabilities(np.mean([to_logits(each) for each in right], axis=0)))
    assert mended < 0.85 * plain
    assert mended < honest + 0.005


def test_a_class_with_two_positives_is_left_where_the_temperature_put_it() -> None:
    labels = labels_of(800)
    labels[:, 2] = 0
    labels[[3, 400], 2] = 1
    said = seen_through_noise(labels, 1.0, 13)
    found = find_blender("mean+calibrated").fit(said[None], labels, folds_for(labels))
    assert np.abs(np.array(found["platt"]["departures"])[2]).max() < 0.5


def test_with_one_fold_at_hand_nothing_is_calibrated() -> None:
    labels = labels_of(60)
    said = seen_through_noise(labels, 1.0, 14)[None]
    calibrated = find_blender("mean+calibrated")
    found = calibrated.fit(said, labels, np.zeros(60, np.int64))
    assert calibrated.predict(said, found) == pytest.approx(said[0], abs=1e-5)


def test_a_fold_has_no_say_in_the_blend_that_it_is_scored_by() -> None:
    labels, fold = labels_of(80), np.repeat(np.arange(4), 20)
    good, bad = (np.where(labels == 1, p, 1 - p) for p in (0.8, 0.6))
    lucky = bad.copy()
    lucky[fold == 2] = np.where(labels == 1, 0.9999, 0.0001)[fold == 2]
    blends = {"mean": as_predictions("mean", good), "greedy": as_predictions("greedy", lucky)}
    groups = [f"site {number % 20}" for number in range(80)]
    assert mean_log_loss(labels, lucky) > mean_log_loss(labels, good)
    of_fold = select_leave_fold_out(blend_losses(blends, labels), groups, fold)
    assert of_fold == dict.fromkeys(range(4), "mean")
    found = predict_leave_fold_out(of_fold | {1: "greedy"}, blends, fold)
    assert found.model == AUTO
    np.testing.assert_array_equal(found.probabilities, np.where((fold == 1)[:, None], lucky, good))
    only_there = {"mean": as_predictions("mean", bad), "greedy": as_predictions("greedy", lucky)}
    assert select_leave_fold_out(blend_losses(only_there, labels), groups, fold) == {
        0: "greedy",
        1: "greedy",
        2: "mean",
        3: "greedy",
    }
    asked = dict.fromkeys(range(4), ("mean", "greedy"))
    assert refine_leave_fold_out(asked, blend_losses(only_there, labels), fold)[2] == "mean"


def test_the_best_of_many_guesses_flatters_and_the_choice_does_not() -> None:
    labels, fold, rng = labels_of(200), np.arange(200) % 4, np.random.default_rng(5)
    guesses = {name: as_predictions(name, rng.uniform(0.05, 0.95, labels.shape)) for name in METHODS}
    losses = [mean_log_loss(labels, each.probabilities) for each in guesses.values()]
    of_fold = select_leave_fold_out(blend_losses(guesses, labels), np.arange(200), fold)
    blind = mean_log_loss(labels, predict_leave_fold_out(of_fold, guesses, fold).probabilities)
    assert min(losses) < np.mean(losses) - 0.02 < blind


@pytest.mark.parametrize("method", METHODS)
def test_what_is_fitted_to_logits_once_says_what_is_fitted_to_probabilities(method: str) -> None:
    truth = labels_of(400)
    labels, folds = table(truth)
    oof = [as_predictions(name, seen_through_noise(truth, noise, seed)) for seed, (name, noise) in enumerate(NOISES)]
    data, blender = blend_data(oof, labels, folds), find_blender(method)
    alone = cross_fit(blender, np.stack([each.probabilities for each in oof]), truth, data.fold)
    np.testing.assert_allclose(data.cross_fit(blender).probabilities, alone, rtol=1e-6, atol=1e-9)


def test_a_blend_is_fitted_once_to_any_folds_however_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = labels_of(400)
    labels, folds = table(truth)
    oof = [as_predictions(name, seen_through_noise(truth, noise, seed)) for seed, (name, noise) in enumerate(NOISES)]
    data, asked = blend_data(oof, labels, folds), []
    plain = EnsembleSelection.fit_logits

    def counted(self: EnsembleSelection, logits: Stack, labels: Any, fold: Any, weights: Any) -> dict[str, Any]:
        asked.append(tuple(np.unique(fold)))
        return plain(self, logits, labels, fold, weights)

    monkeypatch.setattr(EnsembleSelection, "fit_logits", counted)
    data.cross_fit(find_blender("greedy"))
    data.cross_fit(find_blender("greedy+calibrated"))
    data.fit(find_blender("greedy+calibrated"))
    assert len(asked) == len(set(asked)) == 1 + 4 + 6  # all folds, all but one, all but two
