"""The clips of a collection that chance drew, and what they say of all of it."""

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.collection import CollectionScore, score_collection
from heads.selection.pool import Pool


def drawn_by_chance(pool: Pool) -> NDArray[np.int64]:
    """The rows of a random sample of all clips: what stands before the first open one in the order of chance.

    Clips that were labelled for another reason belong to it where they stand there. That is fair because chance alone
    says how far the order was followed: without a single clip that was asked for by chance it is not, so that there is
    no sample, unless everything is settled.

    Source: J. B. S. Haldane, "On a method of estimating frequencies", 1945: what is drawn until a fixed number of a
    kind has been found is a fair sample but for the last.
    """
    order = np.argsort(pool.order, kind="stable")
    still_open = np.flatnonzero(pool.open[order])
    before = order if not len(still_open) else order[: still_open[0]]
    if len(still_open) and not pool.drawn[before].any():
        return before[:0]
    return before


def collection_score(pool: Pool) -> CollectionScore | None:
    """What the whole collection would score, by the clips that chance drew; None before there are enough of them.

    Answers must be out of fold, or of models that had not learned from a clip, as a pool's are.
    """
    if pool.probabilities is None:
        return None
    rows = drawn_by_chance(pool)
    answered = rows[pool.labelled[rows]]
    return score_collection(
        pool.classes,
        pool.labels[answered],
        pool.probabilities[answered],
        clips=len(pool),
        drawn=len(rows),
    )
