"""The layers of heads that learn from sound."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from heads.models.layers import PACKAGE

_KERNEL = 9
POOL = 16
_FAR = 1e6  # what is not there is so far below anything that a maximum is taken of
_MOMENTUM, _EPSILON = 0.9, 1e-3


@keras.saving.register_keras_serializable(package=PACKAGE)
class CropSound(keras.layers.Layer):
    """A part of each clip's sound: in training another one each time, anywhere in the clip; otherwise the middle.

    Call with pieces of sound (B, T, S) of S samples each and mask (B, T), true for pieces that are there, which come
    first; gives the samples (B, pieces * S, 1), zeros behind the end of a clip that has fewer, and (B, pieces * S, 1),
    1 for samples that are there and 0 for others. Of no clip at all it gives one of which nothing is there, since
    convolutions do not take an empty batch: `TakeBack` takes it back.

    Args:
        pieces: of the part.
        seed: of what is drawn.
    """

    def __init__(self, pieces: int, seed: int | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.pieces = pieces
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True  # the mask is an input of its own

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "pieces": self.pieces, "seed": self.seed}

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """Masks are given on as an output of their own."""

    def compute_output_shape(self, sound_shape: tuple[int | None, ...], *_: Any) -> tuple[tuple[int | None, ...], ...]:
        """(B, pieces * S, 1), twice."""
        shape = (sound_shape[0], self.pieces * int(sound_shape[2] or 0), 1)
        return shape, shape

    def call(self, sound: Any, mask: Any, training: bool = False) -> Any:
        """Cut out."""
        there = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
        spare = ops.maximum(there - self.pieces, 0)
        start = spare // 2
        if training:
            drawn = keras.random.uniform((ops.shape(mask)[0], 1), seed=self.seed_generator)
            start = ops.cast(ops.floor(drawn * ops.cast(spare + 1, "float32")), "int32")
        when = start + ops.arange(self.pieces, dtype="int32")[None]
        part = tf.gather(sound, ops.minimum(when, ops.shape(mask)[1] - 1), axis=1, batch_dims=1)
        heard = ops.repeat(ops.cast(when < there, part.dtype), sound.shape[2], axis=1)[:, :, None]
        samples = ops.reshape(part, (-1, self.pieces * sound.shape[2], 1)) * heard
        return _one_at_least(samples), _one_at_least(heard)


@keras.saving.register_keras_serializable(package=PACKAGE)
class NormaliseHeard(keras.layers.Layer):
    """Batch normalisation of what is there, and zeros in place of what is not.

    In training by the moments of a batch, otherwise by their mean over the first steps, which then runs with the later
    ones: recorded sound is so quiet that an average that began at ones would take hundreds of steps to come down.

    Call with maps (B, L, C) and there (B, L, 1), 1 for steps that are there and 0 for others; gives (B, L, C).
    """

    def build(self, maps_shape: tuple[int | None, ...], *_: Any) -> None:
        """Make the weights for C columns."""
        shape = (maps_shape[-1],)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.moving_mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="moving_mean")
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, name="steps")
        self.moving_variance = self.add_weight(shape=shape, initializer="ones", trainable=False, name="moving_variance")

    def compute_output_shape(self, maps_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        """As it was."""
        return maps_shape

    def call(self, maps: Any, there: Any, training: bool = False) -> Any:
        """Normalise."""
        mean, variance = self.moving_mean.value, self.moving_variance.value
        if training:
            count = ops.maximum(ops.sum(there), 1.0)
            mean = ops.einsum("blc,bl->c", maps, there[:, :, 0]) / count
            squares = ops.einsum("blc,bl->c", ops.square(maps), there[:, :, 0]) / count
            variance = ops.maximum(squares - ops.square(mean), 0.0)
            kept = ops.minimum(self.steps.value / (self.steps.value + 1.0), _MOMENTUM)
            self.steps.assign_add(1.0)
            for average, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(average.value * kept + found * (1.0 - kept))
        scale = self.gamma * ops.rsqrt(variance + _EPSILON)
        return (maps * scale + (self.beta - mean * scale)) * there


@keras.saving.register_keras_serializable(package=PACKAGE)
class SoundBlock(keras.layers.Layer):
    """Convolutions over 9 steps, each with ReLU and batch normalisation behind it, and a maximum over 16 steps.

    What is not there counts in no moment and in no maximum, and what is next to it sees a border, as at a clip's ends.

    Call with maps (B, L, C), zeros where nothing is there, and there (B, L, 1), 1 for steps that are and 0 for others;
    gives (B, L / 16, filters), zeros likewise, and (B, L / 16, 1), 1 for steps of which a part is there.

    Args:
        filters: of each convolution.
        convolutions: how many.
        whole: whether clips end where one of the 16 steps begins, so that all of them are there or none is.
    """

    def __init__(self, filters: int, convolutions: int, whole: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.filters = filters
        self.convolutions = convolutions
        self.whole = whole
        self.convolve = [
            layers.Conv1D(filters, _KERNEL, padding="same", activation="relu", name=f"convolve{number}")
            for number in range(convolutions)
        ]
        self.normalise = [NormaliseHeard(name=f"normalise{number}") for number in range(convolutions)]
        self.pool = layers.MaxPooling1D(POOL, name="pool")

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        own = {"filters": self.filters, "convolutions": self.convolutions, "whole": self.whole}
        return {**super().get_config(), **own}

    def compute_output_shape(self, maps_shape: tuple[int | None, ...], *_: Any) -> tuple[tuple[int | None, ...], ...]:
        """(B, L / 16, filters) and (B, L / 16, 1)."""
        clips, steps = maps_shape[0], int(maps_shape[1] or 0) // POOL
        return (clips, steps, self.filters), (clips, steps, 1)

    def build(self, maps_shape: tuple[int | None, ...], *_: Any) -> None:
        """Make the weights for C columns."""
        own = (*maps_shape[:-1], self.filters)
        for number, (convolve, normalise) in enumerate(zip(self.convolve, self.normalise, strict=True)):
            convolve.build(own if number else maps_shape)
            normalise.build(own)

    def call(self, maps: Any, there: Any, training: bool = False) -> Any:
        """Convolve, normalise, pool."""
        for convolve, normalise in zip(self.convolve, self.normalise, strict=True):
            maps = normalise(convolve(maps), there, training=training)
        left = self.pool(there)
        if self.whole:
            return self.pool(maps), left
        return self.pool(maps + (there - 1.0) * _FAR) * left, left


@keras.saving.register_keras_serializable(package=PACKAGE)
class TakeBack(keras.layers.Layer):
    """What was found in clips that are there.

    Call with values (B or 1, P) and mask (B, T); gives (B, P).
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.supports_masking = True

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """Nothing is masked in what was found."""

    def compute_output_shape(self, values_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        """(B, P)."""
        return values_shape

    def call(self, values: Any, mask: Any) -> Any:
        """Take back."""
        return values[: ops.shape(mask)[0]]


def _one_at_least(values: Any) -> Any:
    """(B, ...), or (1, ...) zeros if B is 0."""
    lacking = tf.maximum(1 - tf.shape(values)[0], 0)
    return tf.pad(values, [[0, lacking], [0, 0], [0, 0]])
