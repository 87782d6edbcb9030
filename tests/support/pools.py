"""Pools of clips with a planted structure."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.selection.pool import Pool

CLASSES = ("blank", "hog", "lion")


def heaps(sizes: list[int], spread: float = 0.05, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of length 1 around an axis each, and the heap of each."""
    rng = np.random.default_rng(seed)
    heap = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(len(sizes))[heap] + spread * rng.normal(size=(len(heap), len(sizes)))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), heap


def pool_of(vectors: NDArray[np.float32], **known: Any) -> Pool:
    """A pool of clips called by their rows, of which `known` is known."""
    ids = [f"{row:04}.mp4" for row in range(len(vectors))]
    return replace(Pool.of(ids, classes=CLASSES), embedding=vectors, **known)


def pool_saying(said: list[list[float]], **known: Any) -> Pool:
    """A pool of clips of which models say something."""
    found = np.array(said, np.float64)
    return pool_of(np.eye(len(found), dtype=np.float32), probabilities=found, **known)
