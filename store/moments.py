"""Mean and spread of every feature column, in one streaming pass."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from store.commit import commit_bytes
from store.digest import settings_digest
from store.errors import StoreRequestError, StoreWriteError

if TYPE_CHECKING:
    from store.reader import FeatureReader

_CHUNK_VALUES = 2**20
_log = logging.getLogger(__name__)


def cached_moments(
    reader: "FeatureReader", indices: NDArray[np.int64], folder: Path
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`stream_moments`, remembered in `folder` for these very contents of these clips under this key.

    The folder is a cache and nothing else: it may be deleted, and a store that cannot be written to does without it.
    """
    rows = sorted((reader.ids[clip], reader.fingerprints[clip], int(reader.lengths[clip])) for clip in indices.tolist())
    path = folder / f"moments-{settings_digest([reader.key.digest, rows])[:32]}.npy"
    if path.exists():
        with path.open("rb") as file:
            mean, std = np.load(file, allow_pickle=False)
        return mean, std
    mean, std = stream_moments(reader, indices)
    content = io.BytesIO()
    np.save(content, np.stack([mean, std]), allow_pickle=False)
    try:
        folder.mkdir(exist_ok=True)
        commit_bytes(path, content.getvalue())
    except (OSError, StoreWriteError) as error:
        _log.info("moments are not remembered: %s", error)
    return mean, std


def stream_moments(
    reader: "FeatureReader", indices: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and (population) standard deviation of each column over all frames of the clips at `indices`.

    Chunks are centred on their own mean and then combined, so that a column that hardly varies about a large mean
    keeps its digits.

    Returns:
        mean, std: (D,) float32 each.

    Raises:
        StoreRequestError: these clips have no frame.
    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """
    count, mean, spread = 0, np.zeros(reader.dim), np.zeros(reader.dim)
    for chunk in _chunks(reader, indices):
        chunk_mean = chunk.mean(axis=0, dtype=np.float64)
        centred = chunk - chunk_mean.astype(np.float32)
        chunk_spread = np.einsum("td,td->d", centred, centred, dtype=np.float32).astype(np.float64)
        shift = chunk_mean - mean
        total = count + len(chunk)
        spread += chunk_spread + shift**2 * (count * len(chunk) / total)
        mean += shift * (len(chunk) / total)
        count = total
    if count == 0:
        raise StoreRequestError(f"features of {reader.key.source}: the clips asked for have no frame; choose others")
    return mean.astype(np.float32), np.sqrt(spread / count).astype(np.float32)


def _chunks(reader: "FeatureReader", indices: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """The frames of the clips, about a million values at a time, as (frames, D) float32."""
    frames_each = max(1, _CHUNK_VALUES // reader.dim)
    order = np.sort(indices)
    groups = np.cumsum(reader.lengths[order]) // frames_each
    for group in np.split(order, np.flatnonzero(np.diff(groups)) + 1):
        features, mask = reader.batch(group)
        if mask.any():
            frames: NDArray[Any] = features[mask]
            yield frames.astype(np.float32)
