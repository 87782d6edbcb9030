"""Views of cached features for training: batches of float32 frames and their mask, as tf.data or as a PyDataset.

The store hands out float16 as it is on the disk; TensorFlow casts it, which is several times faster than numpy.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from store import FeatureReader


def feature_dataset(
    reader: FeatureReader,
    indices: NDArray[np.int64],
    *,
    batch_clips: int,
    targets: NDArray[np.float32] | None = None,
    taps: Sequence[str] | None = None,
    pad_to: int | None = None,
    shuffle_seed: int | None = None,
) -> tf.data.Dataset:
    """Clips as a tf.data.Dataset, read ahead of the consumer by two batches.

    Args:
        reader: where the features are.
        indices: (n,) the clips.
        batch_clips: clips in a batch; the last batch may hold fewer.
        targets: (n, ...) what belongs to each of `indices`.
        taps: the taps wanted; None for all.
        pad_to: frames of every batch; None for the longest clip of each.
        shuffle_seed: seed of the order, which is another one each time the dataset is gone through; None for the
            order of `indices`.

    Returns:
        Batches ((features (B, T, D) float32, mask (B, T) bool), targets (B, ...)), without targets if there are none.
    """
    rng = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)

    def batches() -> Iterator[Any]:
        order = _order(len(indices), rng)
        for first in range(0, len(order), batch_clips):
            chosen = order[first : first + batch_clips]
            inputs = reader.batch(indices[chosen], taps, pad_to)
            yield inputs if targets is None else (inputs, targets[chosen])

    width = reader.dim if taps is None else sum(dict(reader.key.taps)[tap] for tap in taps)
    signature: Any = (
        tf.TensorSpec((None, pad_to, width), tf.as_dtype(reader.dtype)),
        tf.TensorSpec((None, pad_to), tf.bool),
    )
    if targets is not None:
        signature = (signature, tf.TensorSpec((None, *targets.shape[1:]), tf.as_dtype(targets.dtype)))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    cast = _cast_inputs if targets is None else lambda inputs, wanted: (_cast_inputs(*inputs), wanted)
    return dataset.map(cast, num_parallel_calls=2).prefetch(2)


class FeatureBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """The same batches by number, for `model.fit`; Keras' workers read ahead. Shuffled anew after each epoch."""

    def __init__(
        self,
        reader: FeatureReader,
        indices: NDArray[np.int64],
        targets: NDArray[np.float32],
        *,
        batch_clips: int,
        pad_to: int | None = None,
        shuffle_seed: int | None = None,
        **workers: Any,
    ) -> None:
        super().__init__(**workers)
        self._reader = reader
        self._indices = indices
        self._targets = targets
        self._batch_clips = batch_clips
        self._pad_to = pad_to
        self._rng = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)
        self._chosen = _order(len(indices), self._rng)

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return -(-len(self._indices) // self._batch_clips)

    def __getitem__(self, batch: int) -> Any:
        """((features (B, T, D) float32, mask (B, T) bool), targets (B, ...)) of one batch."""
        chosen = self._chosen[batch * self._batch_clips : (batch + 1) * self._batch_clips]
        features, mask = self._reader.batch(self._indices[chosen], pad_to=self._pad_to)
        return _cast_inputs(features, mask), self._targets[chosen]

    def on_epoch_end(self) -> None:
        """Choose the next epoch's order."""
        self._chosen = _order(len(self._indices), self._rng)


def _order(count: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
    return np.arange(count) if rng is None else rng.permutation(count)


def _cast_inputs(features: Any, mask: Any) -> tuple[Any, Any]:
    return tf.cast(features, tf.float32), mask
