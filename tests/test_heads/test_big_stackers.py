"""The stackers that need a library of their own: boosters, and the third place's network."""

import json

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from heads.blending.blend import Blend, blend_data
from heads.blending.blenders import boosted, find_blender, network
from heads.blending.blenders.logits import to_logits, to_probabilities
from heads.blending.blenders.order_statistics import order_statistics
from heads.blending.blenders.registry import BLENDERS, blenders_to_try
from heads.data.frame_statistics import FRAME_STATISTICS, to_predictions
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds, assign_folds
from heads.errors import BlendError
from heads.evaluation.leaderboard import prior_predictions
from heads.evaluation.metrics import mean_log_loss
from heads.evaluation.standard_errors import clip_losses, cluster_robust_mean

CLASSES = ("hog", "lion", "pig")
TREES = ("xgboost", "lightgbm")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_BAGS", 2)
    monkeypatch.setattr(network, "_UNITS", 64)


@pytest.fixture(params=[*TREES, pytest.param("network", marks=pytest.mark.slow)])
def method(request: pytest.FixtureRequest) -> str:
    if request.param in TREES:
        pytest.importorskip(request.param)
    return str(request.param)


def table(n_clips: int) -> tuple[LabelTable, Folds]:
    values = (np.random.default_rng(0).random((n_clips, 3)) < (0.4, 0.2, 0.1)).astype(np.uint8)
    ids = tuple(f"c{row:04d}" for row in range(n_clips))
    return LabelTable(ids=ids, classes=CLASSES, values=values), assign_folds(values, None, 3, 0, ids=ids)


def said(model: str, values: NDArray[np.float64], classes: tuple[str, ...] = CLASSES) -> Predictions:
    ids = tuple(f"c{row:04d}" for row in range(len(values)))
    return Predictions(ids=ids, classes=classes, probabilities=values, provenance={"model": model})


def test_statistics_by_hand() -> None:
    stack = np.array([0.1, 0.3, 0.9])[:, None, None]
    mean, low, high, p10, p50, p90, *steps, logit = order_statistics(stack, 0)[0]
    assert (mean, low, high, p50) == pytest.approx((1.3 / 3, 0.1, 0.9, 0.3), abs=1e-6)
    assert (p10, p90) == pytest.approx((0.1 + 0.2 * 0.2, 0.3 + 0.8 * 0.6), abs=1e-6)
    assert steps == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, 0, 1 / 3, 0], abs=1e-6)
    assert logit == pytest.approx(to_logits(stack).mean(), abs=1e-5)


def test_a_perfect_model_beside_a_random_one_is_recognised(method: str) -> None:
    labels, folds = table(400)
    perfect, random = np.where(labels.values == 1, 0.99, 0.01), np.random.default_rng(3).random(labels.values.shape)
    oof = [said("random", random), said("perfect", perfect)]
    blended = blend_data(oof, labels, folds).cross_fit(find_blender(method)).probabilities
    assert mean_log_loss(labels.values, blended) < 0.4 * mean_log_loss(labels.values, (perfect + random) / 2)


def noise(labels: LabelTable, folds: Folds, n_models: int) -> list[Predictions]:
    """Models that know how common each class is, and nothing of any clip."""
    prior, rng = prior_predictions(labels, folds, labels.ids), np.random.default_rng(4)
    shape = prior.probabilities.shape
    noisy = [to_probabilities(to_logits(prior.probabilities) + rng.normal(0, 0.7, shape)) for _ in range(n_models)]
    return [said(f"m{place}", each) for place, each in enumerate(noisy)]


def gain_on_the_prior(labels: LabelTable, folds: Folds, blended: Predictions) -> float:
    """By how many standard errors the blend's log loss is below the prior's."""
    prior = prior_predictions(labels, folds, labels.ids)
    gain = clip_losses(labels.values, prior.probabilities) - clip_losses(labels.values, blended.probabilities)
    gained = cluster_robust_mean(gain, labels.ids)
    return gained.mean / gained.standard_error


def test_nothing_is_learnt_from_noise(method: str) -> None:
    labels, folds = table(500)
    blended = blend_data(noise(labels, folds, 4), labels, folds).cross_fit(find_blender(method))
    assert gain_on_the_prior(labels, folds, blended) < 2


def test_nothing_is_learnt_from_frames_that_are_noise(method: str) -> None:
    """The more a stacker sees, the more it could make of noise; fitted to the clips that it is scored on, it does."""
    labels, folds = table(500)
    oof, rng = noise(labels, folds, 3), np.random.default_rng(7)
    frames = {
        each.model: to_predictions(
            each.model, labels.ids, CLASSES, rng.uniform(0, 0.4, (len(FRAME_STATISTICS), 500, 3)).astype(np.float32)
        )
        for each in oof
    }
    data, stacker = blend_data(oof, labels, folds, frames), find_blender(f"{method}+frames")
    assert gain_on_the_prior(labels, folds, data.cross_fit(stacker)) < 2
    if method in TREES:
        fitted_to_all = data.fit(stacker).apply([*oof, *(each for own in frames.values() for each in own)])
        assert gain_on_the_prior(labels, folds, fitted_to_all) > 5


def test_a_stacker_survives_json_and_knows_a_narrow_model(method: str) -> None:
    labels, folds = table(200)
    rng = np.random.default_rng(5)
    oof = [said("full", rng.random((200, 3))), said("narrow", rng.random((200, 1)), ("lion",))]
    blend = blend_data(oof, labels, folds).fit(find_blender(method))
    again = Blend.from_json(json.loads(json.dumps(blend.to_json(), allow_nan=False)))
    there = again.apply(oof).probabilities
    assert np.isfinite(there).all()
    assert np.array_equal(there, blend.apply(oof).probabilities)


@pytest.mark.slow
def test_what_the_network_keeps_is_what_keras_computes() -> None:
    rng = np.random.default_rng(6)
    model = network._build(4, 3)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.1, 1, each.shape) for each in layer.get_weights()])
    inputs = rng.normal(0, 1, (5, 4)).astype(np.float32) / 100
    ours = to_probabilities(network._forward(inputs, network._folded(model)).astype(np.float64))
    assert ours == pytest.approx(model.predict_on_batch(inputs), rel=1e-4)


@pytest.mark.slow
def test_the_network_is_the_same_whatever_else_draws_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its epochs somebody else stirs the generators that all share, as another network in a thread would."""
    monkeypatch.setattr(network, "_EPOCHS", 3)
    labels, folds = table(60)
    stack = np.random.default_rng(7).random((2, 60, 3))
    forward = network._forward

    def stirred(inputs: NDArray[np.float32], layers: network.Layers) -> NDArray[np.float32]:
        keras.utils.set_random_seed(len(drawn))
        drawn.append(np.random.random())
        return forward(inputs, layers)

    drawn: list[float] = []
    alone = find_blender("network").fit(stack, labels.values, folds.fold)
    monkeypatch.setattr(network, "_forward", stirred)
    assert find_blender("network").fit(stack, labels.values, folds.fold) == alone
    assert drawn


def test_what_is_left_out_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosted, "find_spec", lambda name: None)
    tried, notes = blenders_to_try(100)
    assert set(tried) == {blender.name for blender in BLENDERS if blender.cost == "fast" and not blender.windows}
    assert notes[0] == "not tried: xgboost (xgboost is not installed: pip install 'trapline[gbm]')"
    assert notes[2] == "not tried: network, xgboost-single (minutes each; --also NAME tries one)"
    with pytest.raises(BlendError, match="blender 'lightgbm': lightgbm is not installed"):
        blenders_to_try(100, ["lightgbm"])
    monkeypatch.setattr(boosted, "find_spec", lambda name: name)
    assert {"xgboost", "lightgbm"} <= set(blenders_to_try(100)[0])
    tried, notes = blenders_to_try(5000, ["xgboost"], most_clips_for_trees=1000)
    assert "xgboost" in tried
    assert "(slow on more than 1,000 clips; --also NAME tries it)" in notes[0]
