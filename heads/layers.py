"""The layers that pool frames into a clip. All of them ignore padding and do not care how many frames there are."""

from typing import Any

import keras
from keras import ops

_PACKAGE = "trapline"
# Far below any real value, yet finite: the maximum over no frame at all stays a number.
_LOWEST = -1e30
# The likeliest frame of a clip weighs one before weights are scaled, so that only a clip without frames has less.
_SMALLEST_SUM = 0.5
_LEAST_SPREAD = 1e-3
_MOST_SPREADS = 8.0


@keras.saving.register_keras_serializable(package=_PACKAGE)
class AttentionPooling(keras.layers.Layer):
    """A weighted mean over frames, with weights from a learned score of each frame.

    One learned vector scores every frame; a softmax over the valid frames turns scores into weights. Unlike the
    published form there is no bias per time step, so that any number of frames will do and their order does not
    matter, and no tanh, so that the attention can be as peaked as it needs to be.

    Call with `features` (B, T, D) and `mask` bool (B, T), which is True for valid frames; gives (B, D). A clip without
    any valid frame gives zeros.

    Source: third place of DrivenData's Pri-matrix Factorization (attention weighted average).
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.supports_masking = True  # the mask is an input of its own; one that Keras attached is of no interest

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """Nothing is masked in a pooled clip."""

    def build(self, features_shape: tuple[int | None, ...], mask_shape: tuple[int | None, ...] | None = None) -> None:
        """Make the scoring vector for D features."""
        self.query = self.add_weight(
            shape=(features_shape[-1],), initializer=keras.initializers.RandomNormal(stddev=0.01), name="query"
        )

    def weights_of(self, features: Any, mask: Any) -> Any:
        """The weight of each frame, (B, T): zero for padding, one in sum over a clip's valid frames."""
        scores = ops.where(mask, ops.matmul(features, self.query), _LOWEST)
        odds = ops.where(mask, ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)), 0.0)
        return odds / ops.maximum(ops.sum(odds, axis=-1, keepdims=True), _SMALLEST_SUM)

    def call(self, features: Any, mask: Any) -> Any:
        """Pool (B, T, D) to (B, D)."""
        return ops.einsum("bt,btd->bd", self.weights_of(features, mask), features)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class MaxMinusMin(keras.layers.Layer):
    """How much each feature changes over a clip: its maximum minus its minimum over the valid frames.

    Call with `features` (B, T, D) and `mask` bool (B, T); gives (B, D). A clip without any valid frame gives zeros.

    Source: third place of DrivenData's Pri-matrix Factorization; it tells clips in which something moves from blanks.
    """

    def call(self, features: Any, mask: Any) -> Any:
        """Pool (B, T, D) to (B, D)."""
        valid = ops.expand_dims(mask, -1)
        largest = ops.max(ops.where(valid, features, _LOWEST), axis=1)
        smallest = ops.min(ops.where(valid, features, -_LOWEST), axis=1)
        return ops.where(ops.any(valid, axis=1), largest - smallest, 0.0)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Standardise(keras.layers.Layer):
    """Zero mean and unit spread per column, by moments that are set from the training clips before training starts.

    Values further than 8 spreads from the mean are drawn in to that, so that one odd clip cannot rule a batch.

    Call with (B, D); gives (B, D).
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make room for the moments of D columns: no change until they are set."""
        self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="mean")
        self.spread = self.add_weight(shape=(shape[-1],), initializer="ones", trainable=False, name="spread")

    def set_moments(self, values: Any) -> None:
        """Take the moments of `values` (N, D)."""
        self.mean.assign(values.mean(axis=0))
        self.spread.assign(values.std(axis=0) + _LEAST_SPREAD)

    def call(self, values: Any) -> Any:
        """Standardise (B, D)."""
        return ops.clip((values - self.mean) / self.spread, -_MOST_SPREADS, _MOST_SPREADS)
