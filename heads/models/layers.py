"""The layers that pool frames into a clip. All of them ignore padding and do not care how many frames there are."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

PACKAGE = "trapline"
# Far below any real score, yet finite: a clip without any frame keeps a number.
_LOWEST = -1e30
# The likeliest frame of a clip weighs one before weights are scaled, so that only a clip without frames has less.
_SMALLEST_SUM = 0.5
_LEAST_SPREAD = 1e-3
_MOST_SPREADS = 8.0
LEAST_CHANCE = 1e-7
_ROOT_FLOOR = 0.01
_BYTES = 256


@keras.saving.register_keras_serializable(package=PACKAGE)
class AttentionPooling(keras.layers.Layer):
    """Weighted means over frames, one for each of Q learned queries, of features that were standardised.

    Each query scores every frame of a clip, divided by a temperature that is learned; a softmax over the valid frames
    turns scores into weights. Unlike the published form there is no bias per time step, so that any number of frames
    will do and their order does not matter, and no tanh, so that attention can be as peaked as it needs to be.

    Features are standardised by moments that are set before training, not by those of each batch. That is a linear
    change, so it is made to the queries and to the means instead of to every frame: a frame is read, never written.

    Call with `features` (B, T, D), `mask` bool (B, T), True for valid frames, and, to pool what deviates from a
    clip's own background instead of from the mean of all clips, `background` (B, D); gives (B, Q * D). A clip without
    any valid frame gives zeros.

    Args:
        queries: Q.

    Source: third place of DrivenData's Pri-matrix Factorization (attention weighted average).
    """

    def __init__(self, queries: int = 1, **settings: Any) -> None:
        super().__init__(**settings)
        self.queries = queries
        self.supports_masking = True  # the mask is an input of its own; one that Keras attached is of no interest

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "queries": self.queries}

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """Nothing is masked in a pooled clip."""

    def compute_output_shape(self, features_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, int]:
        """(B, Q * D)."""
        return (features_shape[0], self.queries * int(features_shape[-1] or 0))

    def build(self, features_shape: tuple[int | None, ...], *_: Any) -> None:
        """Make the queries for D features, and room for moments: no change until they are set."""
        dim = features_shape[-1]
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.query = self.add_weight(shape=(dim, self.queries), initializer=small, name="query")
        self.log_temperature = self.add_weight(shape=(self.queries,), initializer="zeros", name="log_temperature")
        self.mean = self.add_weight(shape=(dim,), initializer="zeros", trainable=False, name="mean")
        self.spread = self.add_weight(shape=(dim,), initializer="ones", trainable=False, name="spread")

    def set_moments(self, mean: Any, spread: Any) -> None:
        """Take the moments (D,) of the frames, or of their deviations from the background."""
        self.mean.assign(mean)
        self.spread.assign(ops.maximum(spread, _LEAST_SPREAD))

    def scale_queries(self) -> Any:
        """The queries as raw features see them, (D, Q); a shift of all scores of a clip changes no weight."""
        return self.query * ops.exp(-self.log_temperature) / self.spread[:, None]

    def weights_of(self, features: Any, mask: Any) -> Any:
        """The weight of each frame, (B, Q, T): zero for padding, one in sum over a clip's valid frames."""
        return _softmax(_score(features, self.scale_queries()), mask)

    def finish(self, means: Any, mask: Any, background: Any = None) -> Any:
        """Standardise weighted means (B, Q, D) of raw features, to (B, Q * D)."""
        centre = self.mean if background is None else background[:, None, :]
        pooled = ops.where(ops.any(mask, axis=1)[:, None, None], (means - centre) / self.spread, 0.0)
        return ops.reshape(pooled, (-1, self.queries * pooled.shape[-1]))

    def call(self, features: Any, mask: Any, background: Any = None) -> Any:
        """Pool (B, T, D) to (B, Q * D)."""
        return self.finish(ops.matmul(self.weights_of(features, mask), features), mask, background)


def attend_together(layers: Sequence[AttentionPooling], features: Any, mask: Any) -> list[Any]:
    """The weighted means (B, Q, D) of each of some layers, which read the frames once between them.

    Args:
        layers: of any number of queries; each still has to `finish` its means.
        features: (B, T, D).
        mask: (B, T).
    """
    queries = ops.concatenate([layer.scale_queries() for layer in layers], axis=1)
    means = ops.matmul(_softmax(_score(features, queries), mask), features)
    stops = [sum(layer.queries for layer in layers[: place + 1]) for place in range(len(layers))]
    return [means[:, stop - layer.queries : stop] for layer, stop in zip(layers, stops, strict=True)]


def _score(features: Any, queries: Any) -> Any:
    """(B, Q, T) from (B, T, D) and (D, Q), as one product."""
    shape = ops.shape(features)
    flat = ops.matmul(ops.reshape(features, (-1, features.shape[-1])), queries)
    return ops.transpose(ops.reshape(flat, (shape[0], shape[1], queries.shape[-1])), (0, 2, 1))


def _softmax(scores: Any, mask: Any) -> Any:
    """Weights (B, Q, T) over the valid frames."""
    valid = mask[:, None, :]
    scores = ops.where(valid, scores, _LOWEST)
    odds = ops.where(valid, ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)), 0.0)
    return odds / ops.maximum(ops.sum(odds, axis=-1, keepdims=True), _SMALLEST_SUM)


def signed_root(values: Any) -> Any:
    """The root of the absolute value, with the sign; straight near zero, so that it has a gradient there.

    Pooled features are mostly small, now and then large: their roots are spread more evenly.

    Source: Perronnin, Sánchez and Mensink, "Improving the Fisher kernel for large-scale image classification", 2010.
    """
    return ops.sign(values) * (ops.sqrt(ops.abs(values) + _ROOT_FLOOR**2) - _ROOT_FLOOR)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Standardise(keras.layers.Layer):
    """Zero mean and unit spread per column, by moments that are set from the training clips before training starts.

    Values further than `most` spreads from the mean are drawn in to that, so that one odd clip cannot rule a batch.

    Call with (..., D); gives the same shape.

    Args:
        most: how many spreads.
        root: whether it is the roots of the values (see `signed_root`) that are standardised.
    """

    def __init__(self, most: float = _MOST_SPREADS, root: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.most = most
        self.root = root
        self.supports_masking = True

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "most": self.most, "root": self.root}

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make room for the moments of D columns: no change until they are set."""
        self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="mean")
        self.spread = self.add_weight(shape=(shape[-1],), initializer="ones", trainable=False, name="spread")

    def set_moments(self, mean: Any, spread: Any) -> None:
        """Take the moments (D,)."""
        self.mean.assign(mean)
        self.spread.assign(ops.maximum(spread, _LEAST_SPREAD))

    def usual(self) -> Any:
        """The values (D,) that come out as zeros."""
        if not self.root:
            return self.mean
        return ops.sign(self.mean) * (ops.square(ops.abs(self.mean) + _ROOT_FLOOR) - _ROOT_FLOOR**2)

    def call(self, values: Any) -> Any:
        """Standardise (..., D)."""
        values = signed_root(values) if self.root else values
        return ops.clip((values - self.mean) / self.spread, -self.most, self.most)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Dropout(keras.layers.Dropout):
    """Dropout that spends one random byte on a value, where Keras spends 32 bits and more than twice the time.

    The share that is kept is a whole number of 256ths, the nearest to what is asked for; a share of which none or all
    of the 256 would be kept is left to Keras. What is kept is scaled up by just that share, so that the mean stays.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop values of any shape."""
        kept = round(_BYTES * (1 - self.rate))
        if not training or not 0 < kept < _BYTES:
            return super().call(inputs, training=training)
        import tensorflow as tf  # only training draws, so that a saved head needs nothing but Keras

        shape = ops.shape(inputs)
        size = tf.reduce_prod(shape)
        words = tf.random.stateless_uniform(
            [(size + 3) // 4], self.seed_generator.next(), minval=None, maxval=None, dtype=tf.uint32
        )
        drawn = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], shape)
        return tf.where(drawn < kept, inputs * (_BYTES / kept), 0.0)


@keras.saving.register_keras_serializable(package=PACKAGE)
class TapDropout(keras.layers.Layer):
    """Drops whole taps of some clips in training, so that no head leans on a single depth of a network.

    Call with (B, n * D), n statistics beside each other, each of which has all taps; a tap is dropped from all of them.

    Args:
        widths: columns of each tap, in sum D.
        rate: share dropped; what is left is scaled up.
        seed: of what is dropped.
    """

    def __init__(self, widths: Sequence[int], rate: float, seed: int | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.widths = tuple(widths)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "widths": self.widths, "rate": self.rate, "seed": self.seed}

    def call(self, values: Any, training: bool = False) -> Any:
        """Drop taps (B, n * D)."""
        if not training:
            return values
        drawn = keras.random.uniform((ops.shape(values)[0], len(self.widths)), seed=self.seed_generator)
        kept = ops.cast(drawn >= self.rate, values.dtype) / (1 - self.rate)
        tap_of_column = [tap for tap, width in enumerate(self.widths) for _ in range(width)]
        statistics = values.shape[-1] // len(tap_of_column)
        return values * ops.take(kept, tap_of_column * statistics, axis=1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class TurnRound(keras.layers.Layer):
    """The frames (B, T, ...) of clips in the opposite order, padding first."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.supports_masking = True

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """Masks are turned round as inputs of their own."""

    def call(self, frames: Any) -> Any:
        """Turn round."""
        return ops.flip(frames, axis=1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class TimeWindow(keras.layers.Layer):
    """A part of each clip in time: in training another one each time, anywhere within the clip; otherwise all of it.

    Call with mask (B, T), true for frames, which come first; gives (B, T), true for those frames, one after the other,
    that are seen.

    Args:
        share: of a clip's frames that are seen, more than 0; one of them at least.
        seed: of what is drawn.
    """

    def __init__(self, share: float, seed: int | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.share = share
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "share": self.share, "seed": self.seed}

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, T)."""
        return shape

    def call(self, frames: Any, training: bool = False) -> Any:
        """Draw where the part of the `frames` that are there (B, T) begins."""
        if not training:
            return frames
        there = ops.sum(ops.cast(frames, "int32"), axis=1, keepdims=True)
        seen = ops.maximum(ops.cast(ops.round(ops.cast(there, "float32") * self.share), "int32"), 1)
        drawn = keras.random.uniform((ops.shape(frames)[0], 1), seed=self.seed_generator)
        start = ops.cast(ops.floor(drawn * ops.cast(ops.maximum(there - seen, 0) + 1, "float32")), "int32")
        place = ops.arange(ops.shape(frames)[1], dtype="int32")[None]
        return ops.logical_and(frames, ops.logical_and(place >= start, place < start + seen))


@keras.saving.register_keras_serializable(package=PACKAGE)
class Named(keras.layers.Layer):
    """What a backbone itself takes a clip for, as evidence for the classes whose names it knows.

    A class's evidence is the logarithm of the summed probabilities of the animals that it means, beside its usual
    value, times a slope that is the same for all classes. It is set before training, and not learned with the rest: few
    clips of a rare class say nothing of it, and all clips together say it well. A class that means no animal gets 0.

    Call with the logarithms of probabilities (B, K); gives (B, C).

    Args:
        n_classes: C.
    """

    def __init__(self, n_classes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.n_classes = n_classes

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "n_classes": self.n_classes}

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make room for what the classes mean: no evidence until it is set."""
        made = {"initializer": "zeros", "trainable": False}
        self.meaning = self.add_weight(shape=(shape[-1], self.n_classes), name="meaning", **made)
        self.usual = self.add_weight(shape=(self.n_classes,), name="usual", **made)
        self.slope = self.add_weight(shape=(), name="slope", **made)

    def set_evidence(self, meaning: Any, usual: Any, slope: float) -> None:
        """Take which animals each class means (K, C), 0 or 1, its usual value (C,) and the slope."""
        self.meaning.assign(meaning)
        self.usual.assign(usual)
        self.slope.assign(slope)

    def call(self, animals: Any) -> Any:
        """Weigh the evidence."""
        known = ops.any(self.meaning > 0, axis=0)
        found = ops.log(ops.matmul(ops.exp(animals), self.meaning) + LEAST_CHANCE)
        return ops.where(known, self.slope * (found - self.usual), 0.0)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Competing(keras.layers.Layer):
    """Probabilities of classes that compete: most clips show one thing, or nothing.

    The logit of a class is its own score minus, times a strength that is learned for each class, the logarithm of the
    summed exponentials of the other scores and of a zero that stands for nothing. With strength 1 that is a softmax,
    with 0 each class is on its own. Rare classes gain most: what speaks for another class speaks against them.

    Call with scores (B, C); gives probabilities (B, C).
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the strengths for C classes."""
        self.strength = self.add_weight(shape=(shape[-1],), initializer="ones", name="strength")

    def set_strength(self, strength: float) -> None:
        """Start every class from `strength`, as labels that may or may not go together suggest; it is learned then."""
        self.strength.assign(ops.full_like(self.strength, strength))

    def call(self, scores: Any) -> Any:
        """Let the classes compete."""
        return let_compete(scores, self.strength)


def let_compete(scores: Any, strength: Any) -> Any:
    """What `Competing` makes of scores (B, C) by strengths (C,)."""
    n_classes = scores.shape[-1]
    others = ops.where(ops.eye(n_classes, dtype="bool"), _LOWEST, scores[:, None, :])
    nothing = ops.zeros_like(others[:, :, :1])
    against = ops.logsumexp(ops.concatenate([others, nothing], axis=-1), axis=-1)
    return ops.sigmoid(scores - strength * against)


@keras.saving.register_keras_serializable(package=PACKAGE)
class MeanOfLogits(keras.layers.Layer):
    """The probability whose logit is the mean of the members' logits.

    Call with a list of probabilities (B, C); gives (B, C).
    """

    def call(self, probabilities: Any) -> Any:
        """Average."""
        kept = ops.clip(ops.stack(probabilities), LEAST_CHANCE, 1 - LEAST_CHANCE)
        return ops.sigmoid(ops.mean(ops.log(kept) - ops.log1p(-kept), axis=0))
