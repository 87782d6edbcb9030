"""Adam, and plain steps with momentum, in one pass over the weights, for many small networks at once."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7
_MOMENTUM = 0.9
DECAY_EVERY = 8


class FusedAdamW:
    """AdamW whose update is TensorFlow's fused kernel: it reads and writes each weight once, in place.

    Keras' own optimizer computes the same numbers by a dozen operations, each a pass over memory; with tens of
    millions of weights that is most of a step. Weight decay, two passes more, is taken at every eighth step,
    for all eight: of weights that hardly change in so many steps that takes off the same. A training of few steps asks
    for it more often.

    Args:
        variables: the weights, as TensorFlow variables.
        decayed: for each of them, whether weight decay shrinks it.
        weight_decay: what is taken off a step, as a share of the step size.
        decay_every: every how many steps it is taken.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019; constants as in Keras.
    """

    def __init__(
        self,
        variables: Sequence[Any],
        decayed: Sequence[bool],
        weight_decay: float,
        decay_every: int = DECAY_EVERY,
    ) -> None:
        self._variables = list(variables)
        self._decayed = list(decayed)
        self._weight_decay = weight_decay
        self._decay_every = decay_every
        self._first = [tf.Variable(tf.zeros_like(each), trainable=False) for each in variables]
        self._second = [tf.Variable(tf.zeros_like(each), trainable=False) for each in variables]
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def steps(self) -> Any:
        """How many steps there were, as a TensorFlow variable."""
        return self._steps

    @property
    def state(self) -> list[Any]:
        """Everything that the next step depends on, as TensorFlow variables."""
        return [self._steps, *self._first, *self._second]

    def apply(self, gradients: Sequence[Any], rates: Sequence[Any]) -> None:
        """One step; `rates` is the step size for each variable."""
        steps = tf.cast(self._steps.assign_add(1), tf.float32)
        powers = tf.pow(_BETA_1, steps), tf.pow(_BETA_2, steps)
        if self._weight_decay and any(self._decayed):
            tf.cond(self._steps % self._decay_every == 0, lambda: self._decay(rates), lambda: tf.constant(0))
        beta_1, beta_2, epsilon = (tf.constant(each) for each in (_BETA_1, _BETA_2, _EPSILON))
        slots = zip(self._variables, self._first, self._second, gradients, rates, strict=True)
        for variable, first, second, gradient, rate in slots:
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=epsilon,
                grad=gradient,
            )

    def _decay(self, rates: Sequence[Any]) -> Any:
        """Take off what `decay_every` steps take off; gives a number, as a branch of a condition has to."""
        for variable, rate, decayed in zip(self._variables, rates, self._decayed, strict=True):
            if decayed:
                variable.assign(variable * tf.pow(1.0 - rate * self._weight_decay, self._decay_every))
        return tf.constant(0)


class FusedNesterov:
    """Steps down the gradient with Nesterov's momentum, by TensorFlow's fused kernel; the constant as is usual.

    Args:
        variables: the weights, as TensorFlow variables.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = list(variables)
        self._speeds = [tf.Variable(tf.zeros_like(each), trainable=False) for each in variables]

    @property
    def state(self) -> list[Any]:
        """Everything that the next step depends on, as TensorFlow variables."""
        return self._speeds

    def apply(self, gradients: Sequence[Any], rates: Sequence[Any]) -> None:
        """One step; `rates` is the step size for each variable."""
        momentum = tf.constant(_MOMENTUM)
        for variable, speed, gradient, rate in zip(self._variables, self._speeds, gradients, rates, strict=True):
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.handle, accum=speed.handle, lr=rate, grad=gradient, momentum=momentum, use_nesterov=True
            )


class ExponentialMovingAverage:
    """An exponential running average of weights, which predicts better than the last step's weights.

    Early on it forgets faster, so that it does not remember the start.

    Args:
        variables: the weights, as TensorFlow variables.
        kept: how much of the average stays at each step.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, variables: Sequence[Any], kept: float) -> None:
        self._variables = list(variables)
        self._kept = kept
        self._average = [tf.Variable(each, trainable=False) for each in variables] if kept else []
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def state(self) -> list[Any]:
        """Everything that the next step depends on, as TensorFlow variables."""
        return [self._steps, *self._average]

    def start(self) -> None:
        """Begin from the weights as they are."""
        for average, variable in zip(self._average, self._variables if self._kept else (), strict=True):
            average.assign(variable)

    def follow(self) -> None:
        """Take in the weights after a step."""
        if not self._kept:
            return
        steps = tf.cast(self._steps.assign_add(1), tf.float32)
        forgotten = 1.0 - tf.minimum(self._kept, steps / (steps + 9.0))
        for average, variable in zip(self._average, self._variables, strict=True):
            average.assign_sub(forgotten * (average - variable))

    def swap(self) -> None:
        """Exchange the weights and their average; a second call takes that back."""
        for average, variable in zip(self._average, self._variables if self._kept else (), strict=True):
            kept = tf.identity(variable)
            variable.assign(average)
            average.assign(kept)
