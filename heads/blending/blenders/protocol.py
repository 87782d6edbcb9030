"""What every blender is: a rule with parameters that are plain JSON values."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.float64]  # (M, N, C): probability of class c on clip n by model m; NaN if the model lacks the class


class Blender(Protocol):
    """A way to combine the predictions of models.

    Attributes:
        name: what recipes and reports call it.
        complexity: how many kinds of numbers it fits, 0 for none; of two equally good blenders the one with less is
            preferred.
    """

    @property
    def name(self) -> str:
        """What recipes and reports call it."""

    @property
    def complexity(self) -> int:
        """How much it fits; of two equally good blenders the one that fits less is preferred."""

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Find the parameters.

        Args:
            stack: (M, N, C) out-of-fold probabilities; for a blender that takes scores of single frames, behind the
                models' own as many times M again for each statistic over frames.
            labels: (N, C) 0 or 1.
            fold: (N,) fold of each clip, for choices that need a validation of their own.

        Returns:
            The parameters, JSON values.
        """

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """Combine (M, N, C) probabilities into (N, C); a class that every model lacks stays NaN."""
