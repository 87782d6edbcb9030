"""The layers of heads that learn from pixels."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from heads.models.layers import PACKAGE

_GREY_LEVELS = 256.0


@keras.saving.register_keras_serializable(package=PACKAGE)
class CropClip(keras.layers.Layer):
    """A part of each clip in time and space, as numbers around zero.

    In training it is another part each time, mirrored for every second clip on average, its colours shifted a little;
    otherwise it is the middle. The part in time lies within the frames that are there, as far as they go; where they
    do not, pictures are zeros and the mask says so.

    Call with pixels (B, T, H, W, 3), 0 to 255, and mask (B, T), true for frames, which come first; gives (B, frames,
    px, px, 3), from -0.5 to 0.5, and (B, frames).

    Args:
        frames: of the part, at most T.
        px: its side, at most H and W.
        shift: by how many grey levels red, green and blue are shifted at most, each by itself.
        seed: of what is drawn.
    """

    def __init__(self, frames: int, px: int, shift: float = 0.0, seed: int | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.frames = frames
        self.px = px
        self.shift = shift
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True  # the mask is an input of its own

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        own = {"frames": self.frames, "px": self.px, "shift": self.shift, "seed": self.seed}
        return {**super().get_config(), **own}

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """Masks are given on as an output of their own."""

    def compute_output_shape(self, pixels_shape: tuple[int | None, ...], *_: Any) -> tuple[tuple[int | None, ...], ...]:
        """(B, frames, px, px, 3) and (B, frames)."""
        count = pixels_shape[0]
        return (count, self.frames, self.px, self.px, 3), (count, self.frames)

    def call(self, pixels: Any, mask: Any, training: bool = False) -> Any:
        """Cut out, mirror, shift."""
        _, _, height, width, _ = pixels.shape
        clips = ops.shape(pixels)[0]
        there = ops.sum(ops.cast(mask, "int32"), axis=1)
        spare = ops.stack(
            [
                ops.maximum(there - self.frames, 0),
                ops.full_like(there, height - self.px),
                ops.full_like(there, width - self.px),
            ],
            axis=1,
        )
        start = spare // 2
        if training:
            drawn = keras.random.uniform((clips, 3), seed=self.seed_generator)
            start = ops.cast(ops.floor(drawn * ops.cast(spare + 1, "float32")), "int32")
        when, rows, columns = (
            start[:, axis : axis + 1] + ops.arange(size, dtype="int32")[None]
            for axis, size in enumerate((self.frames, self.px, self.px))
        )
        if training:
            mirrored = keras.random.uniform((clips, 1), seed=self.seed_generator) < 0.5
            columns = ops.where(mirrored, ops.flip(columns, axis=1), columns)
        part = tf.gather(pixels, when, axis=1, batch_dims=1)
        part = tf.gather(part, rows, axis=2, batch_dims=1)
        part = tf.gather(part, columns, axis=3, batch_dims=1)
        if training and self.shift:
            part += keras.random.uniform(
                (clips, 1, 1, 1, 3), -self.shift, self.shift, seed=self.seed_generator, dtype=part.dtype
            )
        kept = tf.gather(mask, when, axis=1, batch_dims=1)
        return blank_out(part / _GREY_LEVELS - 0.5, kept), kept


@keras.saving.register_keras_serializable(package=PACKAGE)
class KeepFrames(keras.layers.Layer):
    """Zeros in place of frames that are not there, so that what is next to them sees a border, as at a clip's ends.

    Call with maps (B, T / n, ...) of n frames each and mask (B, T); gives the maps. One is kept if any of its frames is
    there.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.supports_masking = True

    def compute_output_shape(self, maps_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        """As it was."""
        return maps_shape

    def call(self, maps: Any, mask: Any) -> Any:
        """Blank out."""
        steps = maps.shape[1]
        each = mask.shape[1] // steps
        kept = ops.any(ops.reshape(mask[:, : steps * each], (-1, steps, each)), axis=2)
        return ops.cond(ops.all(kept), lambda: maps, lambda: blank_out(maps, kept))  # mostly there is nothing to do


def blank_out(maps: Any, mask: Any) -> Any:
    """Maps (B, T, H, W, C) with zeros where the mask (B, T) is false."""
    return maps * ops.cast(mask, maps.dtype)[:, :, None, None, None]


@keras.saving.register_keras_serializable(package=PACKAGE)
class EachFrame(keras.layers.Layer):
    """The pictures of clips as pictures of their own: (B * T, H, W, 3) from (B, T, H, W, 3)."""

    def compute_output_shape(self, pixels_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B * T, H, W, 3), of an unknown number."""
        return (None, *pixels_shape[2:])

    def call(self, pixels: Any) -> Any:
        """Lay out."""
        return ops.reshape(pixels, (-1, *pixels.shape[2:]))


@keras.saving.register_keras_serializable(package=PACKAGE)
class OfClips(keras.layers.Layer):
    """What was found in pictures, clip by clip again.

    Call with values (B * T, P) and mask (B, T); gives (B, T, P).
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.supports_masking = True

    def compute_output_shape(self, values_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        """(B, T, P), of unknown numbers."""
        return (None, None, values_shape[-1])

    def call(self, values: Any, mask: Any) -> Any:
        """Lay out."""
        clips, frames = ops.shape(mask)
        return ops.reshape(values, (clips, frames, values.shape[-1]))


@keras.saving.register_keras_serializable(package=PACKAGE)
class MeanOverFrames(keras.layers.Layer):
    """The mean of what is said of the frames of a clip, of those that are there.

    Call with probabilities (B, T, C) and mask (B, T); gives (B, C), zeros for a clip without frames.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.supports_masking = True

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """Nothing is masked in a clip."""

    def compute_output_shape(self, shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        """(B, C)."""
        return (shape[0], shape[-1])

    def call(self, probabilities: Any, mask: Any) -> Any:
        """Average."""
        there = ops.cast(mask, probabilities.dtype)[:, :, None]
        return ops.sum(probabilities * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)
