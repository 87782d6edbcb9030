"""What a stacker of trees sees of a class: how the models' probabilities of it are spread."""

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import mean_over_models, to_logits
from heads.blending.blenders.protocol import Stack
from heads.data.frame_statistics import FRAME_STATISTICS, shares_of_steps

_PERCENTILES = (10, 50, 90)


def without_frames(stack: Stack) -> Stack:
    """The models' own probabilities, of a stack that holds statistics over frames behind them."""
    return stack[: len(stack) // (1 + len(FRAME_STATISTICS))]


def frame_logits(frames: Stack, column: int) -> NDArray[np.float32]:
    """What models say of the frames of a clip, of one class: (N, K) logits of the K tables that are there.

    Args:
        frames: (L, N, C) statistics over frames, NaN where a model has none.
        column: the class.
    """
    known = ~np.isnan(frames[:, 0, column])
    return to_logits(frames[known, :, column]).T.astype(np.float32)


def order_statistics(stack: Stack, column: int) -> NDArray[np.float32]:
    """Statistics over models of their probabilities of one class, and the mean logits of all classes.

    Args:
        stack: (M, N, C) probabilities, NaN where a model lacks a class.
        column: the class.

    Returns:
        (N, 6 + B + C) float32: mean, minimum, maximum, 10th, 50th and 90th percentile, the share of models in each of B
        steps of probability, and the mean logit of each class, which says what else is on the clip.

    Source: first place of DrivenData's Pri-matrix Factorization (second level).
    """
    known = stack[~np.isnan(stack[:, 0, column]), :, column]
    parts = [
        *(known.mean(axis=0), known.min(axis=0), known.max(axis=0)),
        *np.percentile(known, _PERCENTILES, axis=0),
        *shares_of_steps(known),
        *mean_over_models(stack, to_logits).T,
    ]
    return np.stack(parts, axis=1).astype(np.float32)
