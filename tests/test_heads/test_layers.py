"""Pooling ignores padding and the order of frames, and its gradient is the numeric one."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from heads.layers import AttentionPooling, MaxMinusMin, Standardise
from heads.model import build_head
from heads.recipe import HeadConfig

RNG = np.random.default_rng(0)
CONFIG = HeadConfig(dense_units=(8,), metadata_units=(4,))


def clips(lengths: list[int], dim: int, padding: float, pad_to: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(1)
    features = np.full((len(lengths), pad_to, dim), padding, np.float32)
    for row, length in zip(features, lengths, strict=True):
        row[:length] = rng.normal(size=(length, dim))
    return features, np.arange(pad_to) < np.array(lengths)[:, None]


def pooling(kind: str, dim: int) -> keras.layers.Layer:
    layer = AttentionPooling() if kind == "attention" else MaxMinusMin()
    features, mask = clips([1], dim, 0, 1)
    layer(features, mask)
    if kind == "attention":
        layer.query.assign(RNG.normal(size=dim))
    return layer


@pytest.mark.parametrize("kind", ["attention", "change"])
def test_padding_and_its_content_do_not_matter(kind: str) -> None:
    layer = pooling(kind, 5)
    plain = layer(*clips([3, 1, 6], 5, 0.0, 6))
    padded = layer(*clips([3, 1, 6], 5, 1e9, 11))
    np.testing.assert_allclose(padded, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["attention", "change"])
def test_the_order_of_frames_does_not_matter(kind: str) -> None:
    layer = pooling(kind, 5)
    features, mask = clips([6, 6], 5, 0.0, 6)
    np.testing.assert_allclose(layer(features[:, ::-1], mask), layer(features, mask), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["attention", "change"])
def test_a_clip_without_frames_gives_zeros(kind: str) -> None:
    features, mask = clips([0, 2], 3, 7.0, 4)
    pooled = keras.ops.convert_to_numpy(pooling(kind, 3)(features, mask))
    np.testing.assert_array_equal(pooled[0], 0)
    assert np.all(np.isfinite(pooled))


def test_attention_is_the_softmax_weighted_mean_by_hand() -> None:
    layer = pooling("attention", 2)
    layer.query.assign([1.0, 0.0])
    features = np.array([[[0.0, 1.0], [np.log(3), 5.0], [9.0, 9.0]]], np.float32)
    mask = np.array([[True, True, False]])
    np.testing.assert_allclose(layer.weights_of(features, mask), [[0.25, 0.75, 0.0]], rtol=1e-5)
    np.testing.assert_allclose(layer(features, mask), [[0.75 * np.log(3), 4.0]], rtol=1e-5)


def test_attention_can_be_as_peaked_as_it_needs_to_be() -> None:
    layer = pooling("attention", 1)
    layer.query.assign([50.0])
    weights = layer.weights_of(np.array([[[1.0], [0.0], [0.0]]], np.float32), np.ones((1, 3), bool))
    assert float(keras.ops.convert_to_numpy(weights)[0, 0]) > 0.999


def test_change_is_maximum_minus_minimum_by_hand() -> None:
    features = np.array([[[1.0, -2.0], [4.0, 3.0], [100.0, -100.0]]], np.float32)
    np.testing.assert_allclose(MaxMinusMin()(features, np.array([[True, True, False]])), [[3.0, 5.0]])


def test_the_gradient_of_attention_is_the_numeric_one() -> None:
    layer = pooling("attention", 4)
    features, mask = clips([5, 3], 4, 0.0, 5)
    target = RNG.normal(size=(2, 4)).astype(np.float32)

    def loss(values: NDArray[np.float32]) -> tf.Tensor:
        return tf.reduce_sum(layer(values, mask) * target)

    variable = tf.Variable(features)
    with tf.GradientTape() as tape:
        value = loss(variable)
    exact = tape.gradient(value, [variable, layer.query.value])
    step = 1e-2
    for place in [(0, 0, 1), (0, 4, 3), (1, 2, 0), (1, 4, 2)]:
        up, down = features.copy(), features.copy()
        up[place] += step
        down[place] -= step
        assert float((loss(up) - loss(down)) / (2 * step)) == pytest.approx(float(exact[0][place]), abs=2e-3)
    kept = keras.ops.convert_to_numpy(layer.query)
    for place in range(4):
        sides = []
        for sign in (1, -1):
            layer.query.assign(kept + sign * step * np.eye(4)[place])
            sides.append(float(loss(features)))
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(float(exact[1][place]), abs=2e-3)


def test_a_head_sees_neither_padding_nor_order_in_training_and_prediction() -> None:
    keras.utils.set_random_seed(0)
    model = build_head(CONFIG, dim=5, n_metadata=2, n_classes=3)
    metadata = RNG.normal(size=(3, 2)).astype(np.float32)
    for training in (False, True):
        outcomes = []
        for padding, pad_to in ((0.0, 6), (1e6, 9)):
            keras.utils.set_random_seed(1)
            fresh = keras.models.clone_model(model)
            fresh.set_weights(model.get_weights())
            features, mask = clips([3, 1, 6], 5, padding, pad_to)
            inputs = {"features": features, "mask": mask, "metadata": metadata}
            fresh(inputs, training=training)
            outcomes.append(keras.ops.convert_to_numpy(fresh(inputs, training=False)))
        np.testing.assert_allclose(outcomes[1], outcomes[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_metadata", [0, 2])
def test_a_head_survives_saving(tmp_path: Path, n_metadata: int) -> None:
    model = build_head(CONFIG, dim=5, n_metadata=n_metadata, n_classes=3)
    features, mask = clips([3, 6], 5, 0.0, 6)
    inputs = {"features": features, "mask": mask}
    if n_metadata:
        inputs["metadata"] = np.ones((2, n_metadata), np.float32)
    model.save(tmp_path / "head.keras")
    again = keras.saving.load_model(tmp_path / "head.keras", compile=False)
    np.testing.assert_array_equal(again(inputs), model(inputs))
    assert again.output_shape == (None, 3)


def test_standardising_uses_the_moments_that_were_set_and_bounds_the_rest(tmp_path: Path) -> None:
    layer = Standardise()
    values = np.array([[0.0, 1.0], [2.0, 5.0]], np.float32)
    np.testing.assert_array_equal(layer(values), values)
    layer.set_moments(values)
    np.testing.assert_allclose(layer(np.array([[1.0, 5.0], [1e6, -1e6]], np.float32)), [[0, 1], [8, -8]], atol=2e-3)


def test_a_head_that_starts_at_the_prior_gives_it_before_it_has_learned() -> None:
    config = HeadConfig(kind="deviation", dense_units=(4,), start_at_prior=True)
    model = build_head(config, dim=5, n_metadata=0, n_classes=2)
    model.get_layer("probabilities").bias.assign(np.log([0.25 / 0.75, 0.1 / 0.9]))
    given = model({"pooled": RNG.normal(size=(3, 5)).astype(np.float32)})
    np.testing.assert_allclose(given, [[0.25, 0.1]] * 3, rtol=1e-5)
