"""Clips as heads see them, and the orders in which they are gone through."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.data.features.readers import Reader
from heads.data.features.rows import Rows

PREDICT_CLIPS = 64  # at a time, where models are asked
Batch = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipBatches:
    """Clips with everything that the members of a head see of them.

    Attributes:
        reader: where the features are.
        rows: (N,) indices into the reader.
        statistics: (N, D) float32 each, by name.
        metadata: (K, N, M) float32, for each member as its own training clips scale it.
        sees_frames: whether batches hold frames.
        at_once: how many clips models are asked about at a time.
    """

    reader: Reader
    rows: NDArray[np.int64]
    statistics: dict[str, Rows]
    metadata: NDArray[np.float32]
    sees_frames: bool
    at_once: int = PREDICT_CLIPS

    def __len__(self) -> int:
        """N."""
        return len(self.rows)

    def batch(self, places: NDArray[np.int64]) -> Batch:
        """What the members see of the clips at `places`: `features` (B, T, D) as they are stored and `mask` (B, T) if
        frames are seen, each statistic (B, D), and `metadata` (K, B, M) if M > 0.
        """
        batch: Batch = {name: values[places] for name, values in self.statistics.items()}
        if self.sees_frames:
            batch["features"], batch["mask"] = self.reader.batch(self.rows[places])
        if self.metadata.shape[2]:
            batch[METADATA] = self.metadata[:, places]
        return batch


def spread_batches(
    strata: Sequence[NDArray[np.int64]], batch_clips: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Deal clips into batches in random order, so that each batch holds about its share of each stratum.

    With the clips of each fold as a stratum, every member finds about equally many clips to learn from in every batch;
    drawn freely, a batch could leave a member with none.

    Args:
        strata: the clips of each stratum.
        batch_clips: about how many clips a batch holds.
        rng: chooses the order.

    Returns:
        The batches, whose sizes differ by one at most.
    """
    clips = np.concatenate([rng.permutation(stratum) for stratum in strata])
    moments = np.concatenate([(np.arange(len(each)) + rng.random()) / max(len(each), 1) for each in strata])
    order = clips[np.argsort(moments, kind="stable")]
    return np.array_split(order, max(1, round(len(order) / batch_clips)))


def in_turn(count: int, batch_clips: int) -> Iterator[NDArray[np.int64]]:
    """The places 0 to `count` - 1 in order, some at a time."""
    for start in range(0, count, batch_clips):
        yield np.arange(start, min(start + batch_clips, count))


METADATA = "metadata"
