"""Pooling ignores padding and the order of frames, and its gradient is the numeric one."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from heads.models.layers import AttentionPooling, Competing, Dropout, Standardise, TapDropout, attend_together
from heads.models.networks import NAMED, HeadShape, build_head
from heads.models.seed_average import average_models, mean_of_logits
from heads.models.trusted import require_plain_model
from heads.recipe import HeadConfig

RNG = np.random.default_rng(0)
SMALL: dict[str, Any] = {"dense_units": (8,), "metadata_units": (4,)}
KINDS = {
    "attention": HeadConfig(**SMALL),
    "recurrent": HeadConfig(**SMALL, kind="recurrent", recurrent_units=3),
    "queries": HeadConfig(**SMALL, kind="deviation", statistics=("deviation",), queries=2),
    "statistics": HeadConfig(
        **SMALL, kind="deviation", statistics=("deviation", "direction"), queries=0, competing=True
    ),
    "named": HeadConfig(**SMALL, kind="deviation", statistics=("deviation",), queries=0, competing=True, named=True),
}


def clips(lengths: list[int], dim: int, padding: float, pad_to: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(1)
    features = np.full((len(lengths), pad_to, dim), padding, np.float32)
    for row, length in zip(features, lengths, strict=True):
        row[:length] = rng.normal(size=(length, dim))
    return features, np.arange(pad_to) < np.array(lengths)[:, None]


def pooling(dim: int, queries: int = 2) -> AttentionPooling:
    layer = AttentionPooling(queries)
    layer(*clips([1], dim, 0, 1))
    layer.query.assign(RNG.normal(size=(dim, queries)))
    layer.log_temperature.assign(RNG.normal(size=queries))
    layer.set_moments(RNG.normal(size=dim), np.exp(RNG.normal(size=dim)))
    return layer


def test_padding_and_its_content_do_not_matter() -> None:
    layer = pooling(5)
    plain = layer(*clips([3, 1, 6], 5, 0.0, 6))
    padded = layer(*clips([3, 1, 6], 5, 1e9, 11))
    np.testing.assert_allclose(padded, plain, rtol=1e-5, atol=1e-6)


def test_the_order_of_frames_does_not_matter() -> None:
    layer = pooling(5)
    features, mask = clips([6, 6], 5, 0.0, 6)
    np.testing.assert_allclose(layer(features[:, ::-1], mask), layer(features, mask), rtol=1e-4, atol=1e-5)


def test_a_clip_without_frames_gives_zeros() -> None:
    features, mask = clips([0, 2], 3, 7.0, 4)
    pooled = keras.ops.convert_to_numpy(pooling(3)(features, mask))
    np.testing.assert_array_equal(pooled[0], 0)
    assert np.all(np.isfinite(pooled))


def test_attention_is_the_softmax_weighted_mean_by_hand() -> None:
    layer = AttentionPooling()
    features = np.array([[[0.0, 1.0], [np.log(3), 5.0], [9.0, 9.0]]], np.float32)
    mask = np.array([[True, True, False]])
    layer(features, mask)
    layer.query.assign([[2.0], [0.0]])
    layer.log_temperature.assign([np.log(2.0)])
    np.testing.assert_allclose(layer.weights_of(features, mask), [[[0.25, 0.75, 0.0]]], rtol=1e-5)
    np.testing.assert_allclose(layer(features, mask), [[0.75 * np.log(3), 4.0]], rtol=1e-5)


def test_standardising_the_query_is_standardising_the_frames() -> None:
    layer = pooling(4)
    features, mask = clips([5, 3], 4, 0.0, 5)
    mean, spread = (keras.ops.convert_to_numpy(each) for each in (layer.mean, layer.spread))
    plain = AttentionPooling(2)
    standardised = (features - mean) / spread
    plain(standardised, mask)
    plain.query.assign(layer.query)
    plain.log_temperature.assign(layer.log_temperature)
    np.testing.assert_allclose(layer(features, mask), plain(standardised, mask), rtol=1e-4, atol=1e-5)
    background = RNG.normal(size=(2, 4)).astype(np.float32)
    from_it = (features - background[:, None]) / spread
    np.testing.assert_allclose(layer(features, mask, background), plain(from_it, mask), rtol=1e-4, atol=1e-5)


def test_layers_that_attend_together_attend_as_alone() -> None:
    layers = [pooling(4, queries) for queries in (1, 3)]
    features, mask = clips([5, 3, 0], 4, 0.0, 5)
    together = attend_together(layers, features, mask)
    for layer, means in zip(layers, together, strict=True):
        np.testing.assert_allclose(layer.finish(means, mask), layer(features, mask), rtol=1e-5, atol=1e-6)


def test_attention_can_be_as_peaked_as_it_needs_to_be() -> None:
    layer = AttentionPooling()
    frames, mask = np.array([[[1.0], [0.0], [0.0]]], np.float32), np.ones((1, 3), bool)
    layer(frames, mask)
    layer.query.assign([[50.0]])
    assert float(keras.ops.convert_to_numpy(layer.weights_of(frames, mask))[0, 0, 0]) > 0.999


def test_the_gradient_of_attention_is_the_numeric_one() -> None:
    """In double precision, so that the numeric one is good to six digits; with padding and a clip without frames."""
    dim, queries = 4, 2
    layer = AttentionPooling(queries, dtype="float64")
    rng = np.random.default_rng(2)
    features, mask = rng.normal(size=(3, 5, dim)), np.arange(5) < np.array([5, 3, 0])[:, None]
    background, target = rng.normal(size=(3, dim)), rng.normal(size=(3, queries * dim))
    layer(features, mask, background)
    layer.set_moments(rng.normal(size=dim), np.exp(rng.normal(size=dim)))
    start = [features, background, rng.normal(size=(dim, queries)), rng.normal(size=queries)]

    def loss(values: list[Any]) -> tf.Tensor:
        layer.query.assign(values[2])
        layer.log_temperature.assign(values[3])
        return tf.reduce_sum(layer(values[0], mask, values[1]) * target)

    inputs = [tf.Variable(each) for each in start[:2]]
    with tf.GradientTape() as tape:
        value = loss([*inputs, *start[2:]])
    exact = tape.gradient(value, [*inputs, layer.query.value, layer.log_temperature.value])
    step = 1e-5
    for which, gradient in enumerate(exact):
        numeric = np.zeros(start[which].shape)
        for place in np.ndindex(numeric.shape):
            sides = []
            for sign in (1, -1):
                moved = [each.copy() for each in start]
                moved[which][place] += sign * step
                sides.append(float(loss(moved)))
            numeric[place] = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(gradient.numpy(), numeric, rtol=1e-6, atol=1e-8)
        assert np.abs(numeric).max() > 0.1


def inputs_of(config: HeadConfig, padding: float, pad_to: int, n_metadata: int = 2) -> dict[str, Any]:
    features, mask = clips([3, 1, 6], 5, padding, pad_to)
    rng = np.random.default_rng(5)
    inputs: dict[str, Any] = {name: rng.normal(size=(3, 5)).astype(np.float32) for name in config.inputs}
    if config.sees_frames:
        inputs |= {"features": features, "mask": mask}
    if n_metadata:
        inputs["metadata"] = rng.normal(size=(3, n_metadata)).astype(np.float32)
    return inputs


@pytest.mark.parametrize("kind", ["attention", "recurrent", "queries"])
def test_a_head_does_not_see_padding(kind: str) -> None:
    keras.utils.set_random_seed(0)
    model = build_head(KINDS[kind], HeadShape(dim=5, n_metadata=2, n_classes=3)).model
    plain, padded = (model(inputs_of(KINDS[kind], *each)) for each in ((0.0, 6), (1e6, 9)))
    np.testing.assert_allclose(padded, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["attention", "queries"])
def test_a_head_does_not_see_the_order_of_frames_and_a_recurrent_one_does(kind: str) -> None:
    for each, same in ((kind, True), ("recurrent", False)):
        keras.utils.set_random_seed(0)
        model = build_head(KINDS[each], HeadShape(dim=5, n_metadata=2, n_classes=3)).model
        inputs = inputs_of(KINDS[each], 0.0, 6)
        turned = {**inputs, "features": inputs["features"].copy()}
        turned["features"][2] = turned["features"][2, ::-1]
        difference = np.abs(keras.ops.convert_to_numpy(model(inputs) - model(turned)))[2].max()
        assert (difference < 1e-5) == same


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("n_metadata", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_head_survives_saving_and_is_accepted_from_elsewhere(
    tmp_path: Path, kind: str, n_metadata: int, seeds: int
) -> None:
    config = KINDS[kind]
    shape = HeadShape(dim=5, n_metadata=n_metadata, n_classes=3, n_animals=5)
    heads = [build_head(config, shape, f"member{number}") for number in range(seeds)]
    for number, head in enumerate(heads if config.named else ()):
        head.tail.get_layer(NAMED).set_evidence(np.eye(5, 3), np.zeros(3), 1.0 + number)
    members = [head.model for head in heads]
    model = average_models(members)
    inputs = inputs_of(config, 0.0, 6, n_metadata)
    expected = mean_of_logits(np.stack([keras.ops.convert_to_numpy(member(inputs)) for member in members]))
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "head.keras")
    require_plain_model((tmp_path / "head.keras").read_bytes(), "head.keras")
    again = keras.saving.load_model(tmp_path / "head.keras", compile=False)
    np.testing.assert_array_equal(again(inputs), model(inputs))
    assert again.output_shape == (None, 3)


@pytest.mark.parametrize(("rate", "shape"), [(0.8, (400, 251)), (0.5, (9, 7, 1001)), (0.003, (1000, 101))])
def test_values_are_dropped_in_training_alone_each_for_itself_and_the_mean_stays(
    rate: float, shape: tuple[int, ...]
) -> None:
    layer, same = Dropout(rate, seed=3), Dropout(rate, seed=3)
    values = np.ones(shape, np.float32)
    np.testing.assert_array_equal(layer(values), values)
    step = tf.function(lambda given: layer(given, training=True), input_signature=[tf.TensorSpec([None] * len(shape))])
    first, then = (step(values).numpy() for _ in range(2))
    kept = round(256 * (1 - rate)) / 256
    assert np.unique(first).tolist() == pytest.approx([0, 1 / kept])
    for drawn in (first, then):
        assert (drawn > 0).mean() == pytest.approx(kept, abs=4 * (kept * (1 - kept) / values.size) ** 0.5)
        for axis in range(len(shape)):  # neither whole rows nor columns, nor every nth value, fare alike
            share = (drawn > 0).mean(axis=tuple(other for other in range(len(shape)) if other != axis))
            assert share.std() == pytest.approx((kept * (1 - kept) * shape[axis] / values.size) ** 0.5, rel=0.5)
    both = ((first > 0) & (then > 0)).mean()
    assert both == pytest.approx(kept**2, abs=5 * (kept**2 * (1 - kept**2) / values.size) ** 0.5)
    np.testing.assert_array_equal(same(values, training=True), first)


def test_a_rate_that_256ths_cannot_tell_is_what_it_says() -> None:
    drawn = keras.ops.convert_to_numpy(Dropout(0.001, seed=1)(np.ones((1000, 300), np.float32), training=True))
    assert (drawn == 0).mean() == pytest.approx(0.001, rel=0.3)
    np.testing.assert_array_equal(Dropout(0.0)(drawn, training=True), drawn)


def test_whole_taps_are_dropped_from_all_statistics_and_only_in_training() -> None:
    layer = TapDropout((2, 3), 0.4, seed=1)
    values = np.ones((500, 10), np.float32)
    np.testing.assert_array_equal(layer(values, training=False), values)
    dropped = keras.ops.convert_to_numpy(layer(values, training=True)).reshape(500, 2, 5)
    np.testing.assert_array_equal(dropped[:, 0], dropped[:, 1])
    taps = dropped[:, 0, [0, 2]]
    np.testing.assert_array_equal(dropped[:, 0], taps[:, [0, 0, 1, 1, 1]])
    assert sorted(set(taps.ravel().tolist())) == pytest.approx([0, 1 / 0.6])
    assert (taps == 0).mean(axis=0) == pytest.approx(0.4, abs=0.1)
    assert (taps[:, 0] != taps[:, 1]).any()


def test_standardising_uses_the_moments_that_were_set_and_bounds_the_rest() -> None:
    layer = Standardise()
    values = np.array([[0.0, 1.0], [2.0, 5.0]], np.float32)
    np.testing.assert_array_equal(layer(values), values)
    layer.set_moments(values.mean(axis=0), values.std(axis=0))
    np.testing.assert_allclose(layer(np.array([[1.0, 5.0], [1e6, -1e6]], np.float32)), [[0, 1], [8, -8]], atol=2e-3)


def test_a_head_that_starts_at_the_prior_gives_it_before_it_has_learned() -> None:
    config = HeadConfig(kind="deviation", statistics=("change",), queries=0, dense_units=(4,), start_at_prior=True)
    head = build_head(config, HeadShape(dim=5, n_metadata=0, n_classes=2))
    head.tail.get_layer("output").bias.assign(np.log([0.25 / 0.75, 0.1 / 0.9]))
    given = head.model({"change": RNG.normal(size=(3, 5)).astype(np.float32)})
    np.testing.assert_allclose(given, [[0.25, 0.1]] * 3, rtol=1e-5)


def test_classes_that_compete_are_a_softmax_with_nothing_in_it_or_each_on_its_own() -> None:
    layer = Competing()
    scores = RNG.normal(size=(4, 3)).astype(np.float32)
    odds = np.exp(scores)
    np.testing.assert_allclose(layer(scores), odds / (1 + odds.sum(axis=1, keepdims=True)), rtol=1e-4)
    layer.strength.assign([0.0, 0.0, 0.0])
    np.testing.assert_allclose(layer(scores), odds / (1 + odds), rtol=1e-4)


def test_a_single_class_competes_with_nothing_only() -> None:
    np.testing.assert_allclose(Competing()(np.array([[0.3]], np.float32)), [[1 / (1 + np.exp(-0.3))]], rtol=1e-5)
