"""Another blender that is fitted once to any set of whole folds of one table.

Whoever calibrates a blend, and scores that, asks for the blend of all folds but two, of all but one, and of all of
them, again and again: of five folds 36 fits are asked for, 16 of which differ.
"""

from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.of_logits import Wrapped
from heads.blending.blenders.protocol import Blender, Stack

Fits = dict[tuple[str, bool, tuple[int, ...]], Future[dict[str, Any]]]


class Remembered(Wrapped):
    """`blender`, with its fits kept in `fits`, which belong to one table whose folds are given whole."""

    def __init__(self, blender: Blender, fits: Fits) -> None:
        super().__init__(blender)
        self._fits = fits

    def fit_weighted(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """The parameters, where clips count as (N,) `weights` say."""
        key = self.name, weights is not None, tuple(np.unique(fold).tolist())
        own: Future[dict[str, Any]] = Future()
        kept = self._fits.setdefault(key, own)
        if kept is own:  # another thread that asks for it waits
            try:
                own.set_result(self.blender.fit_weighted(stack, labels, fold, weights))
            except BaseException as error:
                own.set_exception(error)
                raise
        return kept.result()
