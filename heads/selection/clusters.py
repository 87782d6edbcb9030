"""Clusters of clips that look alike, and distances between clips."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 20
_ROWS_AT_ONCE = 16384
_SAME = 1e-6  # of the longest vector's square: what lies nearer is equal up to rounding

Vectors = NDArray[np.float32]


def cluster(vectors: Vectors, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(N,) the cluster, 0 to k - 1, of each of (N, D) vectors of length 1: spherical k-means from spread starts.

    Source: Dhillon and Modha, "Concept decompositions for large sparse text data using clustering", 2001; starts by
    Arthur and Vassilvitskii, "k-means++", 2007.
    """
    centres = vectors[spread_out(vectors, k, rng, trials=2 + int(math.log(max(k, 1))))]
    nearest = np.full(len(vectors), -1)
    for _ in range(_ROUNDS):
        before, nearest = nearest, _nearest(vectors, centres)
        if np.array_equal(before, nearest):
            break
        centres = _centres(vectors, nearest, centres)
    return nearest


def spread_out(vectors: Vectors, k: int, rng: np.random.Generator, trials: int = 1) -> list[int]:
    """Rows of at most k of (N, D) vectors, each chosen with a chance in proportion to its squared distance from the
    nearest one chosen before it; fewer where all others are equal to one that is chosen.

    Args:
        vectors: of any length.
        k: how many.
        rng: of the chance.
        trials: rows drawn each time, of which the one is kept that leaves the others nearest.

    Source: Arthur and Vassilvitskii, "k-means++", 2007.
    """
    if not len(vectors) or k < 1:
        return []
    squares = np.einsum("nd,nd->n", vectors, vectors).astype(np.float64)
    smallest = _SAME * max(float(squares.max()), 1e-12)
    chosen = [int(rng.integers(len(vectors)))]
    distance = _gaps(vectors, squares, chosen, smallest)[0]
    while len(chosen) < min(k, len(vectors)) and distance.any():
        reached = np.cumsum(distance)
        drawn = np.searchsorted(reached, rng.random(trials) * reached[-1], side="right").clip(max=len(distance) - 1)
        left = np.minimum(distance, _gaps(vectors, squares, drawn.tolist(), smallest))
        best = int(left.sum(axis=1).argmin())
        chosen.append(int(drawn[best]))
        distance = left[best]
    return chosen


def _gaps(vectors: Vectors, squares: NDArray[np.float64], rows: Sequence[int], smallest: float) -> NDArray[np.float64]:
    """(n, N) squared distances of (N, D) vectors from some of them; 0 for what is equal up to rounding."""
    gaps = squares[list(rows)][:, None] + squares - 2.0 * (vectors[list(rows)] @ vectors.T)
    return np.asarray(np.where(gaps < smallest, 0.0, gaps))


def typicality(vectors: Vectors, neighbours: int) -> NDArray[np.float64]:
    """(N,) the mean similarity of each of (N, D) vectors of length 1 to its nearest neighbours among them.

    Source: Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets"
    (arXiv 2202.02794), with similarity in place of inverse distance.
    """
    k = min(neighbours, len(vectors) - 1)
    if k < 1:
        return np.zeros(len(vectors))
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS_AT_ONCE // 16):
        some = slice(start, start + _ROWS_AT_ONCE // 16)
        alike = vectors[some] @ vectors.T
        alike[np.arange(len(alike)), np.arange(start, start + len(alike))] = -np.inf
        found[some] = np.partition(alike, -k, axis=1)[:, -k:].mean(axis=1)
    return found


def distance_to(vectors: Vectors, others: Vectors) -> NDArray[np.float64]:
    """(N,) one minus the similarity of each of (N, D) vectors of length 1 to the nearest of `others`; 1 without any."""
    nearest = np.zeros(len(vectors), np.float32)
    for start in range(0, len(others), 256):
        alike = vectors @ others[start : start + 256].T
        nearest = alike.max(axis=1) if start == 0 else np.maximum(nearest, alike.max(axis=1))
    return 1.0 - nearest.astype(np.float64)


def _nearest(vectors: Vectors, centres: Vectors) -> NDArray[np.int64]:
    chunks = [
        (vectors[start : start + _ROWS_AT_ONCE] @ centres.T).argmax(axis=1)
        for start in range(0, len(vectors), _ROWS_AT_ONCE)
    ]
    return np.concatenate([np.zeros(0, np.int64), *chunks])


def _centres(vectors: Vectors, nearest: NDArray[np.int64], before: Vectors) -> Vectors:
    """(k, D) the directions of the clusters' means; an empty cluster keeps the one it had."""
    centres = before.copy()
    order = np.argsort(nearest, kind="stable")
    present, starts = np.unique(nearest[order], return_index=True)
    sums = np.add.reduceat(vectors[order], starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    centres[present] = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), before[present])
    return centres


def largest_first(cluster_of: NDArray[np.int64], barred: Sequence[int]) -> list[NDArray[np.int64]]:
    """The rows of each cluster, the largest first; clusters of one of the rows `barred` come after all others."""
    numbers, sizes = np.unique(cluster_of, return_counts=True)
    known = set(cluster_of[list(barred)].tolist())
    ranked = sorted(zip(numbers.tolist(), sizes.tolist(), strict=True), key=lambda each: (each[0] in known, -each[1]))
    return [np.flatnonzero(cluster_of == number) for number, _ in ranked]
