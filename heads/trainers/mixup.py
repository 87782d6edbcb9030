"""Mixing pairs of clips, so that what lies between two clips is given what lies between their labels."""

from typing import Any

import tensorflow as tf


class Mixup:
    """Mixes each clip of a member's batch with another one, drawn anew at each step.

    Mixes what has been pooled over the frames: statistics, attention's means and metadata. The clip itself always
    keeps the greater part.

    Args:
        alpha: of the Beta distribution of the parts; small values mix little.
        seeds: (K,) of the members.

    Source: Zhang et al., "mixup: beyond empirical risk minimization", 2018; Verma et al., "Manifold mixup", 2019.
    """

    def __init__(self, alpha: float, seeds: list[int]) -> None:
        self._alpha = alpha
        self._seeds = seeds

    def draw(self, member: int, step: Any, clips: Any) -> tuple[Any, Any]:
        """The part (B, 1) that each clip keeps, and the place (B,) of the clip that it is mixed with.

        Args:
            member: which one.
            step: number of the step; the same step of the same member always draws the same.
            clips: B.
        """
        seed = tf.stack([self._seeds[member], tf.cast(step, tf.int32)])
        first, second, order = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
        one = tf.random.stateless_gamma([clips], first, self._alpha)
        other = tf.random.stateless_gamma([clips], second, self._alpha)
        part = tf.maximum(one, other) / tf.maximum(one + other, 1e-30)
        return part[:, None], tf.random.experimental.stateless_shuffle(tf.range(clips), order)


def mix(values: Any, part: Any, other: Any) -> Any:
    """Values (B, ...) of which each keeps its part (B, 1) and takes the rest from the clip at place `other` (B,)."""
    return part * values + (1.0 - part) * tf.gather(values, other)
