"""Batches of cached features for Keras, streamed from the store."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store import FeatureReader


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Clips to train on or to predict, with everything that a head sees of them.

    Attributes:
        reader: where the features are.
        rows: (N,) indices into the reader.
        metadata: (N, M) float32.
        targets: (N, C) float32, or None where they are not known.
        pooled: (N, D) float32 a statistic of each clip, for heads that see it in place of the frames; else None.
    """

    reader: FeatureReader
    rows: NDArray[np.int64]
    metadata: NDArray[np.float32]
    targets: NDArray[np.float32] | None = None
    pooled: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.rows)

    @property
    def known_targets(self) -> NDArray[np.float32]:
        """The targets, where they must be known."""
        if self.targets is None:
            raise ValueError("these examples have no targets")
        return self.targets

    def take(self, places: NDArray[np.int64]) -> "Examples":
        """The examples at `places`, in that order."""
        targets = None if self.targets is None else self.targets[places]
        pooled = None if self.pooled is None else self.pooled[places]
        return replace(self, rows=self.rows[places], metadata=self.metadata[places], targets=targets, pooled=pooled)


def batch_dataset(examples: Examples, batch_clips: int, *, shuffle_seed: int | None = None) -> Any:
    """The examples as a tf.data.Dataset of (inputs, targets), or of inputs alone where targets are unknown.

    Args:
        examples: what to feed.
        batch_clips: clips in a batch; the last one of a pass is smaller.
        shuffle_seed: start of the random orders, another one for each pass; None keeps the order.

    Returns:
        Batches of a dict `features` (B, T, D) float32 and `mask` (B, T) bool, where T is the batch's longest clip, or
        `pooled` (B, D) float32 instead; and `metadata` (B, M) if M > 0.
    """
    import tensorflow as tf

    generator = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)
    inputs = {
        "features": tf.TensorSpec((None, None, examples.reader.dim), tf.as_dtype(examples.reader.dtype)),
        "mask": tf.TensorSpec((None, None), tf.bool),
    }
    if examples.pooled is not None:
        inputs = {"pooled": tf.TensorSpec((None, examples.reader.dim), tf.float32)}
    if examples.metadata.shape[1]:
        inputs["metadata"] = tf.TensorSpec((None, examples.metadata.shape[1]), tf.float32)
    signature: Any = inputs
    if examples.targets is not None:
        signature = (inputs, tf.TensorSpec((None, examples.targets.shape[1]), tf.float32))

    def batches() -> Iterator[Any]:
        order = np.arange(len(examples)) if generator is None else generator.permutation(len(examples))
        for start in range(0, len(order), batch_clips):
            yield _batch(examples.take(order[start : start + batch_clips]))

    def cast(batch: Any, *targets: Any) -> Any:
        widened = {name: tf.cast(x, tf.float32) if name == "features" else x for name, x in batch.items()}
        return (widened, *targets) if targets else widened

    return tf.data.Dataset.from_generator(batches, output_signature=signature).map(cast).prefetch(2)


def _batch(examples: Examples) -> Any:
    """One batch as Keras wants it."""
    inputs: dict[str, NDArray[Any]]
    if examples.pooled is not None:
        inputs = {"pooled": examples.pooled}
    else:
        features, mask = examples.reader.batch(examples.rows)
        inputs = {"features": features, "mask": mask}
    if examples.metadata.shape[1]:
        inputs["metadata"] = examples.metadata
    return inputs if examples.targets is None else (inputs, examples.targets)
