"""What speaks for classes by their names: numpy and the layer agree, it is weighed rightly, and nobody looks ahead."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from made_store import DIM, clip_ids, made_key, make_store, sites_of
from numpy.typing import NDArray
from taught_store import teach

from heads.data.features.animals import ANIMALS_INPUT
from heads.data.features.batches import ClipBatches
from heads.data.labels import LabelTable
from heads.data.splitting.folds import Folds
from heads.evaluation.metrics import mean_log_loss
from heads.models.kinds import discriminant_calibration
from heads.models.kinds.discriminant_calibration import fit_calibration
from heads.models.layers import LEAST_CHANCE, Named, let_compete
from heads.models.networks import NAMED, HeadShape, build_head
from heads.recipe import HeadConfig
from heads.trainers import named
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head
from heads.trainers.members import plan_members
from heads.trainers.named import Evidence, NamedEvidence
from heads.trainers.task import HeadTask

CONFIG = HeadConfig(kind="discriminant", statistics=("deviation",), named=True)
MEANT = ((0,), (1, 2), (), (4,))
N_ANIMALS = 6


def evidence_of(
    animals: NDArray[np.floating],
    targets: NDArray[np.floating],
    meant: Sequence[tuple[int, ...]] = MEANT,
    weights: NDArray[np.float64] | None = None,
) -> NamedEvidence:
    fold = np.arange(len(targets)) % 3
    examples = ClipBatches(
        reader=None,  # type: ignore[arg-type]  # whose frames nobody reads
        rows=np.arange(len(animals)),
        statistics={ANIMALS_INPUT: animals.astype(np.float32)},
        metadata=np.zeros((3, len(animals), 0), np.float32),
        sees_frames=False,
    )
    return NamedEvidence(
        HeadTask(
            config=CONFIG,
            plan=plan_members(CONFIG, 3, 0, judged=False),
            examples=examples,
            targets=targets.astype(np.float32),
            fold=fold,
            weights=weights,
            meant=meant,
        )
    )


def drawn(n_clips: int, slope: float, spread: float = 1.5) -> tuple[NDArray, NDArray]:
    """The animals (N, 6) of clips, and their classes (N, 4), whose log odds rise by `slope` with what these say."""
    rng = np.random.default_rng(0)
    animals = rng.normal(-4, spread, (n_clips, N_ANIMALS)).clip(max=-1.5)
    meaning = np.zeros((N_ANIMALS, len(MEANT)))
    for column, numbers in enumerate(MEANT):
        meaning[list(numbers), column] = 1
    found = np.log(np.exp(animals) @ meaning + LEAST_CHANCE)
    logits = slope * (found - found.mean(axis=0)) + np.array([-1.0, -2.0, 0.0, -0.5])
    return animals, (rng.random(logits.shape) < scipy.special.expit(logits)).astype(np.float32)


def everything(animals: NDArray) -> NDArray[np.bool_]:
    return np.ones(len(animals), bool)


def told(evidence: Evidence, animals: NDArray) -> NDArray[np.float32]:
    """What a layer says of clips that evidence was given to."""
    layer = Named(evidence.meaning.shape[1])
    layer.build((None, animals.shape[1]))
    evidence.give(layer)
    return np.asarray(keras.ops.convert_to_numpy(layer(animals.astype(np.float32))))


def test_it_is_the_distance_from_what_is_usual_by_hand() -> None:
    """A class of two animals has the sum of their chances; no chance is taken for nothing."""
    chances = np.array([[0.5, 0.1, 0.2, 0.1, 0.0, 0.1], [0.1, 0.0, 0.4, 0.2, 0.2, 0.1], [0.2, 0.3, 0.3, 0, 0.1, 0.1]])
    with np.errstate(divide="ignore"):
        animals = np.log(chances).clip(-200)
    seen = np.array([True, True, False])
    found = evidence_of(animals, np.eye(4)[:3]).learn(seen)
    of_classes = np.log(np.stack([chances[:, 0], chances[:, 1] + chances[:, 2], chances[:, 4]], axis=1) + LEAST_CHANCE)
    np.testing.assert_allclose(found.usual[[0, 1, 3]], of_classes[:2].mean(axis=0), rtol=1e-6)
    expected = found.slope * (of_classes - of_classes[:2].mean(axis=0))
    assert found.slope > 0
    np.testing.assert_allclose(found.values[:, [0, 1, 3]], expected, rtol=1e-5)
    np.testing.assert_array_equal(found.values[:, 2], 0.0)


def test_the_layer_gives_what_was_learned_with() -> None:
    animals, targets = drawn(500, 1.0)
    found = evidence_of(animals, targets).learn(everything(animals))
    given = told(found, animals)
    np.testing.assert_allclose(given, found.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(given[:, 2], 0.0)
    assert (np.abs(given[:, [0, 1, 3]]).max(axis=0) > 1).all()


def test_more_clips_than_are_summed_at_once_are_in_their_places() -> None:
    animals, targets = drawn(2500, 1.0)
    found = evidence_of(animals, targets).learn(everything(animals))
    assert found.values.shape == targets.shape
    np.testing.assert_allclose(found.values, told(found, animals), rtol=1e-4, atol=1e-5)


def test_a_layer_that_was_told_nothing_says_nothing_and_learns_nothing() -> None:
    layer = Named(4)
    animals, _ = drawn(20, 1.0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(animals)), np.zeros((20, 4)))
    assert layer.trainable_weights == []
    assert len(layer.weights) == 3


@pytest.mark.parametrize("slope", [0.3, 0.7, 1.5, 2.5])
def test_the_slope_is_that_of_the_odds(slope: float) -> None:
    animals, targets = drawn(6000, slope)
    found = evidence_of(animals, targets).learn(everything(animals))
    assert found.slope == pytest.approx(slope, rel=0.08)


def test_many_clips_tell_that_it_says_nothing_and_few_do_not() -> None:
    animals, targets = drawn(6000, 1.0, spread=0.3)
    targets = targets[np.random.default_rng(1).permutation(len(targets))]
    many = evidence_of(animals, targets).learn(everything(animals)).slope
    few = [
        evidence_of(animals[start : start + 6], targets[start : start + 6]).learn(np.ones(6, bool)).slope
        for start in range(0, 60, 6)
    ]
    assert many < 0.15
    assert np.abs(np.array(few) - 1).max() < 0.35


def test_what_speaks_against_the_names_is_not_turned_round() -> None:
    animals, targets = drawn(3000, -1.0)
    found = evidence_of(animals, targets).learn(everything(animals))
    assert found.slope == 0.0
    np.testing.assert_array_equal(found.values, 0.0)


def test_classes_that_mean_no_animal_do_not_tell_the_slope() -> None:
    animals, targets = drawn(800, 1.2)
    other = targets.copy()
    other[:, 2] = 1 - other[:, 2]
    seen = everything(animals)
    one, two = (evidence_of(animals, each).learn(seen).slope for each in (targets, other))
    assert one == two


def test_a_class_that_nobody_showed_is_only_rare() -> None:
    animals, targets = drawn(800, 1.0)
    targets[:, 0] = 0
    found = evidence_of(animals, targets).learn(everything(animals))
    assert np.isfinite(found.values).all()
    assert 0.5 < found.slope < 1.5


def test_clips_that_a_member_does_not_see_change_nothing_of_what_it_makes_of_others() -> None:
    """Neither their labels nor what the network takes them for."""
    animals, targets = drawn(900, 1.0)
    seen = np.arange(900) % 3 != 1
    other_targets, other_animals = targets.copy(), animals.copy()
    other_targets[~seen] = 1 - other_targets[~seen]
    other_animals[~seen] = -3.0
    one = evidence_of(animals, targets).learn(seen)
    for two in (evidence_of(animals, other_targets).learn(seen), evidence_of(other_animals, targets).learn(seen)):
        assert two.slope == one.slope
        np.testing.assert_array_equal(two.usual, one.usual)
        np.testing.assert_array_equal(two.values[seen], one.values[seen])
    all_of_them = evidence_of(animals, other_targets).learn(everything(animals))
    assert abs(all_of_them.slope - one.slope) > 0.1


def test_clips_that_stand_for_more_count_for_more() -> None:
    """Half of the clips are called by their names, the other half by any."""
    animals, targets = drawn(3000, 1.0)
    right = np.arange(3000) < 1500
    targets[~right] = targets[~right][np.random.default_rng(2).permutation(1500)]
    seen = everything(animals)

    def slope(weights: NDArray[np.float64] | None) -> float:
        return evidence_of(animals, targets, weights=weights).learn(seen).slope

    alike = slope(None)
    assert slope(np.ones(3000)) == alike
    assert slope(np.full(3000, 7.0)) == pytest.approx(alike, rel=1e-4)
    assert slope(np.where(right, 50.0, 1.0)) == pytest.approx(1.0, abs=0.15)
    assert slope(np.where(right, 1.0, 50.0)) < 0.25 < alike < 0.75


@pytest.mark.parametrize("competing", [False, True])
def test_a_head_adds_it_to_its_logits_and_does_so_when_it_is_loaded(tmp_path: Path, competing: bool) -> None:
    config = HeadConfig(
        kind="deviation", statistics=("deviation",), queries=0, metadata=(), named=True, competing=competing
    )
    head = build_head(config, HeadShape(dim=DIM, n_metadata=0, n_classes=4, n_animals=N_ANIMALS))
    animals, targets = drawn(50, 1.0)
    inputs = {"deviation": np.random.default_rng(0).normal(size=(50, DIM)), ANIMALS_INPUT: animals}
    before = keras.ops.convert_to_numpy(head.model(inputs))
    found = evidence_of(animals, targets).learn(everything(animals))
    found.give(head.tail.get_layer(NAMED))
    after = keras.ops.convert_to_numpy(head.model(inputs))
    if not competing:
        np.testing.assert_allclose(scipy.special.logit(after), scipy.special.logit(before) + found.values, atol=1e-3)
    assert np.abs(after - before).max() > 0.1
    head.model.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras", compile=False)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(inputs)), after)


def test_a_calibration_takes_what_speaks_beside_the_scores_for_given() -> None:
    """As the head does that it is for: it is added after the scores are scaled, before classes compete."""
    rng = np.random.default_rng(5)
    scores, beside = rng.normal(size=(6000, 3)) * 20, rng.normal(size=(6000, 3)) * 3
    bias, strength = np.array([-1.0, 0.5, -2.0]), np.full(3, 0.6, np.float32)
    logits = (scores * 0.1 + bias + beside).astype(np.float32)
    truth = keras.ops.convert_to_numpy(let_compete(logits, strength))
    targets = (rng.random(truth.shape) < truth).astype(np.float32)
    known = np.ones(truth.shape, bool)
    found = fit_calibration(scores, known, targets, beside=beside)
    assert found.inverse_temperature == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(found.bias, bias, atol=0.25)
    assert found.strength == pytest.approx(0.6, abs=0.15)
    assert found.belief == pytest.approx(1.0, abs=0.15)
    assert found.loss < fit_calibration(scores, known, targets).loss - 0.1
    alike = fit_calibration(scores, known, targets, beside=np.zeros(truth.shape))
    assert alike.loss == fit_calibration(scores, known, targets).loss


def test_what_scores_say_already_is_believed_no_second_time() -> None:
    rng = np.random.default_rng(6)
    beside = rng.normal(size=(6000, 3)) * 2
    truth = scipy.special.expit(beside - 1)
    targets, known = (rng.random(truth.shape) < truth).astype(np.float32), np.ones(truth.shape, bool)
    scores = beside * 10 + rng.normal(size=truth.shape) * 0.1
    found = fit_calibration(scores, known, targets, beside=beside)
    weight = found.inverse_temperature * 10 + found.belief
    assert weight == pytest.approx(1.0, rel=0.15)


def test_the_gradient_of_calibration_is_that_of_its_loss_beside_what_speaks_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    scores, beside = rng.normal(size=(60, 3)) * 9, rng.normal(size=(60, 3)) * 3
    targets, known = (rng.random((60, 3)) < 0.3).astype(np.float32), np.ones((60, 3), bool)
    known[:10, 1] = False
    seen: dict[str, Any] = {}
    minimise = scipy.optimize.minimize

    def keep(objective: Any, start: Any, **settings: Any) -> Any:
        seen["objective"], seen["start"] = objective, start
        return minimise(objective, start, **settings)

    monkeypatch.setattr(discriminant_calibration.scipy.optimize, "minimize", keep)
    fit_calibration(scores, known, targets, beside=beside)
    point = seen["start"] + rng.normal(size=seen["start"].shape) * 0.2
    wrong = scipy.optimize.check_grad(lambda x: seen["objective"](x)[0], lambda x: seen["objective"](x)[1], point)
    assert wrong < 1e-6


def test_the_gradient_of_the_slope_is_that_of_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    minimise = scipy.optimize.minimize

    def keep(objective: Any, start: Any, **settings: Any) -> Any:
        seen["objective"] = objective
        return minimise(objective, start, **settings)

    monkeypatch.setattr(named.scipy.optimize, "minimize", keep)
    animals, targets = drawn(60, 1.0)
    evidence_of(animals, targets, weights=np.linspace(0.5, 3, 60)).learn(everything(animals))
    for point in ([0.4, 0.0], [1.7, -0.6]):
        wrong = scipy.optimize.check_grad(
            lambda x: seen["objective"](x)[0], lambda x: seen["objective"](x)[1], np.array(point)
        )
        assert wrong < 1e-4


COUNT = 90


def cross_validated(root: Path, learned: NDArray[np.uint8], config: HeadConfig, n_folds: int = 3) -> CrossValidatedHead:
    """Of clips that show a leopard or a lion, or neither; `learned` is said of them."""
    store = teach(make_store(root, shown()), {0: "leopard", 1: "lion"})
    ids = tuple(clip_ids(COUNT))
    folds = Folds(ids=ids, fold=np.arange(COUNT) % 6 % n_folds, groups=tuple(sites_of(ids)), n_folds=n_folds)
    labels = LabelTable(ids=ids, classes=("leopard", "lion", "blank"), values=learned)
    return cross_validate_head(store.reader(made_key()), store.clips(), labels, folds, config, name="made")


def shown() -> NDArray[np.uint8]:
    return np.eye(3, dtype=np.uint8)[np.random.default_rng(0).integers(0, 3, COUNT)]


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        HeadConfig(
            kind="deviation",
            statistics=("deviation",),
            queries=0,
            dense_units=(8,),
            metadata=(),
            batch_clips=16,
            epochs=3,
            named=True,
            competing=True,
            start_at_prior=True,
        ),
    ],
    ids=["discriminant", "deviation"],
)
def test_labels_of_the_scored_fold_decide_nothing_about_its_scores(tmp_path: Path, config: HeadConfig) -> None:
    held_out = np.arange(COUNT) % 6 % 3 == 1
    other = shown()
    other[held_out] = other[held_out][:, [1, 2, 0]]
    one, two = (cross_validated(tmp_path / name, labels, config) for name, labels in (("one", shown()), ("two", other)))
    first, second = one.predictions.probabilities, two.predictions.probabilities
    np.testing.assert_array_equal(first[held_out], second[held_out])
    assert not np.allclose(first[~held_out], second[~held_out])
    layers = [each.folds[1].model.get_layer("tail").get_layer(NAMED) for each in (one, two)]
    for a, b in zip(*(layer.get_weights() for layer in layers), strict=True):
        np.testing.assert_array_equal(a, b)
    meaning, usual, slope = layers[0].get_weights()
    assert (meaning.sum(axis=0).tolist(), meaning[288, 0], meaning[291, 1]) == ([1, 1, 0], 1, 1)
    assert slope > 0.3
    assert (usual[:2] < 0).all()


def test_two_folds_leave_nothing_to_calibrate_on_but_the_names_still_speak(tmp_path: Path) -> None:
    labels = shown()
    found, without = (
        cross_validated(tmp_path / str(asked), labels, config, n_folds=2).predictions.probabilities
        for asked, config in ((True, CONFIG), (False, CONFIG.model_copy(update={"named": False})))
    )
    assert mean_log_loss(labels, found) < mean_log_loss(labels, without)
