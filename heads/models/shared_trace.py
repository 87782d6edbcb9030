"""Networks of one shape, traced once for all of them: tracing takes longer than many steps of a small network."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


class SharedTrace:
    """Some networks of equal architecture, whose graph is made once and computed with the weights of each.

    TensorFlow puts the graph's nodes in place of its call, so that a step takes no longer than with a graph for each.

    Args:
        networks: Keras networks or layers, built, whose variables are of the same shapes in the same order.
        training: whether they are called as in training.
    """

    def __init__(self, networks: Sequence[Any], *, training: bool) -> None:
        self._networks = list(networks)
        self._training = training
        self._variables = [list(each.variables) for each in networks]
        self._changed: list[int] = []
        self._call = tf.function(self._compute, autograph=False)

    def __len__(self) -> int:
        """How many networks there are."""
        return len(self._networks)

    def __call__(self, member: int, given: Any) -> Any:
        """What network `member` makes of `given`; what the call changes in its state is changed."""
        if len(self._networks) == 1:
            return self._networks[0](given, training=self._training)
        variables = self._variables[member]
        outputs, changed = self._call([tf.convert_to_tensor(each.value) for each in variables], given)
        for place, value in zip(self._changed, changed, strict=True):
            variables[place].assign(value)
        return outputs

    def _compute(self, values: Sequence[Any], given: Sequence[Any] | Mapping[str, Any]) -> tuple[Any, list[Any]]:
        """The outputs for `values` in place of the first network's variables, and the values that the call changes."""
        own = self._variables[0]
        with keras.StatelessScope(state_mapping=list(zip(own, values, strict=True))) as scope:
            outputs = self._networks[0](given, training=self._training)
        found = [scope.get_current_value(each) for each in own]
        self._changed = [
            place for place, (value, new) in enumerate(zip(values, found, strict=True)) if new is not value
        ]
        return outputs, [found[place] for place in self._changed]
