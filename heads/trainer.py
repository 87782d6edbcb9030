"""A training loop that is compiled once for a head and then run for each of its folds."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from heads.feed import Examples, batch_dataset
from heads.model import OUTPUT, STANDARDISE, build_head
from heads.recipe import HeadConfig

_PREDICT_CLIPS = 64
_SMALLEST_SHARE = 1e-3


class HeadTrainer:
    """One network, its optimizer and their compiled steps; every fold starts them afresh.

    Building and tracing take longer than training on a small table, so folds share them: `restart` puts the state of
    a newly built network into the one that is compiled.
    """

    def __init__(self, config: HeadConfig, dim: int, n_metadata: int, n_classes: int) -> None:
        self._config = config
        self._build: Callable[[], keras.Model] = lambda: build_head(config, dim, n_metadata, n_classes)
        self.model = self._build()
        self._optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        self._optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self._optimizer.build(self.model.trainable_variables)
        self._loss = keras.losses.BinaryCrossentropy()
        self._step: Callable[[Any, Any], Any] | None = None
        self._predictor: Predictor | None = None

    def restart(self, seed: int) -> None:
        """Forget everything that was learned; the same seed gives the same weights, dropout and step size again."""
        keras.utils.set_random_seed(seed)
        for variable, fresh in zip(self.model.variables, self._build().variables, strict=True):
            variable.assign(fresh)
        for variable in self._optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        self._optimizer.learning_rate = self._config.learning_rate

    def train(self, examples: Examples, seed: int, report: Callable[[int, float], None]) -> list[float]:
        """Train on `examples` for the recipe's epochs and return the mean loss of each.

        Args:
            examples: the training clips, with targets.
            seed: of the clips' order.
            report: called with the number of the epoch (from 1) and its loss.
        """
        if self._config.start_at_prior:
            share = examples.known_targets.mean(axis=0).clip(_SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
            self.model.get_layer(OUTPUT).bias.assign(np.log(share / (1 - share)))
        if examples.pooled is not None:
            self.model.get_layer(STANDARDISE).set_moments(examples.pooled)
        batches = batch_dataset(examples, self._config.batch_clips, shuffle_seed=seed)
        if self._step is None:
            self._step = tf.function(self._train_batch, input_signature=batches.element_spec)
        losses: list[float] = []
        for epoch in range(self._config.epochs):
            sums = np.zeros(2)
            for inputs, targets in batches:
                clips = int(targets.shape[0])
                sums += (float(self._step(inputs, targets)) * clips, clips)
            losses.append(float(sums[0] / sums[1]))
            self._follow(losses)
            report(epoch + 1, losses[-1])
        return losses

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        """The probabilities (N, C) of `examples`; their targets are not looked at."""
        if self._predictor is None:
            self._predictor = Predictor(self.model)
        return self._predictor(examples)

    def snapshot(self) -> keras.Model:
        """A network of its own with what was learned so far."""
        copy = self._build()
        copy.set_weights(self.model.get_weights())
        return copy

    def _train_batch(self, inputs: Any, targets: Any) -> Any:
        """One step down the gradient; gives the batch's mean loss."""
        with tf.GradientTape() as tape:
            loss = self._loss(targets, self.model(inputs, training=True))
        variables = self.model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _follow(self, losses: list[float]) -> None:
        """Shorten the step: along a cosine, or when the training loss has not fallen for some epochs.

        The scored fold's loss is not looked at: it would choose the model that it then scores.
        """
        config = self._config
        if config.schedule == "cosine":
            done = len(losses) / config.epochs
            self._optimizer.learning_rate = config.learning_rate * (1 + math.cos(math.pi * done)) / 2
            return
        best = int(np.argmin(losses))
        flat = len(losses) - 1 - best
        if flat and flat % config.plateau_epochs == 0:
            rate = float(self._optimizer.learning_rate) * config.plateau_factor
            self._optimizer.learning_rate = max(rate, config.least_learning_rate)


class Predictor:
    """A network that predicts examples, compiled once; it follows when the network's weights change."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._predict: Callable[[Any], Any] | None = None

    def __call__(self, examples: Examples) -> NDArray[np.float64]:
        """The probabilities (N, C) of `examples`; their targets are not looked at."""
        batches = batch_dataset(replace(examples, targets=None), _PREDICT_CLIPS)
        if self._predict is None:
            self._predict = tf.function(
                lambda inputs: self._model(inputs, training=False), input_signature=[batches.element_spec]
            )
        parts = [self._predict(inputs).numpy() for inputs in batches]
        return np.concatenate([np.zeros((0, self._model.output_shape[-1])), *parts]).astype(np.float64)
