"""Where to begin: clips that are typical of many others, from all kinds of clips that there are.

As long as little is labelled, what a model is unsure of says little, and typical clips teach most.
"""

from collections.abc import Iterator

import numpy as np

from heads.selection.clusters import cluster, largest_first, typicality
from heads.selection.pool import Pool
from heads.selection.queued import Pick

_NEIGHBOURS = 20
_MOST_CLUSTERS = 500  # beside those that are asked for: more would hold a few clips each, and take long to find
_STILL_SHARE = 0.1  # of the clips in which nothing moves: an animal at rest is there too


def typical(pool: Pool, count: int, rng: np.random.Generator) -> Iterator[Pick]:
    """The most typical clip of each of about `count` clusters that no labelled clip is in, the largest first.

    Clusters that are left over, and further clips of them, follow, so that a quota finds enough.

    Source: Hacohen, Dekel and Weinshall (arXiv 2202.02794).
    """
    rows = _asked_about(pool, rng)
    settled = np.flatnonzero(~pool.open[rows])
    k = min(max(count, min(count + len(settled), _MOST_CLUSTERS)), len(rows))
    members = largest_first(cluster(pool.embedding[rows], k, rng), settled.tolist())
    ranked: list[list[tuple[int, float, int]]] = []
    for each in members:
        alike = typicality(pool.embedding[rows[each]], _NEIGHBOURS)
        order = np.argsort(-alike, kind="stable").tolist()
        ranked.append([(int(rows[each[place]]), float(alike[place]), len(each)) for place in order])
    is_open = pool.open
    for turn in range(max((len(clips) for clips in ranked), default=0)):
        for row, score, size in (clips[turn] for clips in ranked if turn < len(clips)):
            if is_open[row]:
                yield Pick(row=row, score=score, reason=_reason(size))


def _asked_about(pool: Pool, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The clips in which something moves, those that are settled, and some of the still ones."""
    kept = pool.moves | ~pool.open
    still = np.flatnonzero(~kept)
    if kept.any():
        still = rng.permutation(still)[: round(_STILL_SHARE * len(still))]
    return np.sort(np.concatenate([np.flatnonzero(kept), still]))


def _reason(size: int) -> str:
    if size == 1:
        return "looks like no other clip, and nothing like it is labelled"
    return f"typical of {size:,} clips that look alike, of which none is labelled"
