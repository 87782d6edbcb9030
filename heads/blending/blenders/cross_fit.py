"""What a blender says of clips that it was not fitted on."""

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import of_clips
from heads.blending.blenders.protocol import Blender, Stack


def cross_fit(
    blender: Blender,
    stack: Stack,
    labels: NDArray[np.uint8],
    fold: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(N, C) probabilities, each fold blended by a fit on the other folds.

    Clips count as (N,) `weights` say; all alike if None. A blender of complexity 0 fits nothing, so it is applied to
    all folds at once.
    """
    if not blender.complexity:
        return blender.predict(stack, blender.fit(stack, labels, fold))
    probabilities = np.full(labels.shape, np.nan)
    for number in np.unique(fold):
        scored = fold == number
        own = None if weights is None else weights[~scored]
        parameters = blender.fit_weighted(of_clips(stack, ~scored), labels[~scored], fold[~scored], own)
        probabilities[scored] = blender.predict(of_clips(stack, scored), parameters)
    return probabilities
