"""Networks that share a trace keep their weights and their states apart."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from heads.models.layers import Dropout
from heads.models.shared_trace import SharedTrace


class Counted(layers.Layer):
    """Gives what it is given, and counts how often Python comes by."""

    calls = 0

    def call(self, values: Any) -> Any:
        Counted.calls += 1
        return values


def network(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    given = keras.Input((3,))
    x = Dropout(0.5, name="dropout")(layers.Dense(8, activation="relu")(given))
    return keras.Model(given, layers.Dense(2)(layers.BatchNormalization(momentum=0.5)(Counted()(x))))


@pytest.mark.parametrize("training", [True, False])
def test_each_network_says_and_remembers_what_it_does_alone(training: bool) -> None:
    shared, alone = ([network(seed) for seed in (1, 2, 3)] for _ in range(2))
    trace = SharedTrace(shared, training=training)
    assert len(trace) == 3
    together = tf.function(lambda given: [trace(member, given) for member in range(3)], autograph=False)
    Counted.calls = 0
    rng = np.random.default_rng(0)
    for _ in range(3):
        batch = rng.normal(size=(5, 3)).astype(np.float32)
        found = together(batch)
        assert Counted.calls == 1
        expected = [each(batch, training=training).numpy() for each in alone]
        Counted.calls = 1
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert np.abs(np.diff(found, axis=0)).max() > 0.01
    for one, other in zip(shared, alone, strict=True):
        for variable, wanted in zip(one.variables, other.variables, strict=True):
            np.testing.assert_allclose(variable, wanted, rtol=1e-5, atol=1e-6)


def test_gradients_reach_each_network_s_own_weights() -> None:
    shared, alone = ([network(seed) for seed in (1, 2)] for _ in range(2))
    trace = SharedTrace(shared, training=True)
    batch = tf.constant(np.random.default_rng(0).normal(size=(5, 3)), tf.float32)
    weights = [each.value for one in shared for each in one.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        total = tf.add_n([tf.reduce_sum(trace(member, batch) ** 2) for member in range(2)])
    found = tape.gradient(total, weights)
    own = [each.value for one in alone for each in one.trainable_variables]
    with tf.GradientTape() as tape:
        total = tf.add_n([tf.reduce_sum(one(batch, training=True) ** 2) for one in alone])
    for given, wanted in zip(found, tape.gradient(total, own), strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5)
