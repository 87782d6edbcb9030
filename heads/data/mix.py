"""What each labelled clip stands for, where labels were chosen and are no fair sample of the clips."""

import numpy as np
from numpy.typing import NDArray

_MOST = 4.0  # times that a clip may count more, or less, than its kind's share among the labels makes it


def stands_for(moves: NDArray[np.bool_], everyone: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) how many clips each labelled one stands for, one on average.

    Clips in which something moves, and those in which nothing does, count together as they are shared among all clips:
    who looks for animals labels few still clips, and models would take blanks for rarer than they are.

    Args:
        moves: (N,) whether something moves in each labelled clip.
        everyone: (M,) whether something does in each clip that there is.

    Source: post-stratification, as in D. Holt and T. M. F. Smith, "Post stratification", 1979.
    """
    found = np.ones(len(moves))
    for kind in (True, False):
        own = moves == kind
        if own.any() and (everyone == kind).any():
            found[own] = np.clip((everyone == kind).mean() / own.mean(), 1 / _MOST, _MOST)
    return np.asarray(found / max(found.mean(), 1e-12))
