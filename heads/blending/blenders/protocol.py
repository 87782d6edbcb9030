"""What every blender is: a rule with parameters that are plain JSON values, and what it tells of itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heads.data.nearby import Window

# (M, N, C): probability of class c on clip n by model m, or its logit; NaN if the model lacks the class.
Stack = NDArray[np.floating[Any]]
FRAMES = "+frames"  # ends the name of a blender that also takes scores of single frames
FRAMES_TOO = ", and of their scores of single frames"  # ends what it says about itself
Cost = Literal["fast", "small tables", "asked"]


class Blender(ABC):
    """A way to combine the predictions of models.

    Attributes:
        name: what the command line, blend.json and reports call it.
        about: what it does, in a few words for the report.
        complexity: how many kinds of numbers it fits, 0 for none; of two equally good blenders the one with less is
            preferred.
        cost: when it is tried: always (`fast`), unless there are very many clips (`small tables`), or only if somebody
            asks for it by name (`asked`).
        takes_frames: whether its stack holds statistics over single frames behind the models' own probabilities.
        windows: what around a clip it takes: its stack holds, behind the models' own probabilities, for each window
            what they say on average of the clips in it.
        is_calibrated: whether it calibrates what it predicts, so that no calibration needs to follow it.
        needs_keras: whether it imports Keras to be fitted.
    """

    name: str
    about: str
    complexity: int
    cost: Cost = "fast"
    takes_frames: bool = False
    windows: Sequence[Window] = ()
    is_calibrated: bool = False
    needs_keras: bool = False

    @abstractmethod
    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Find the parameters.

        Args:
            stack: (M, N, C) out-of-fold probabilities; where `takes_frames`, behind the models' own as many times M
                again for each statistic over frames.
            labels: (N, C) 0 or 1.
            fold: (N,) fold of each clip, for choices that need a validation of their own.

        Returns:
            The parameters, JSON values.
        """

    def fit_weighted(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """Find the parameters, where clips count as (N,) `weights` say, one on average; those that calibrate do so.

        Other blenders take all clips alike.
        """
        return self.fit(stack, labels, fold)

    def fit_without_each_fold(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]
    ) -> dict[int, dict[str, Any]] | None:
        """For each fold what `fit` finds without its clips, where that is less work all at once; else None."""
        return None

    @abstractmethod
    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """Combine (M, N, C) probabilities into (N, C); a class that every model lacks stays NaN."""

    def on_logits(self) -> "Blender | None":
        """The same for stacks of logits, as `to_logits` gives them, instead of probabilities; None without one.

        Logits of many clips cost as much as a fit: whoever fits several blenders takes them once.
        """
        return None

    def looks_around(self, parameters: Mapping[str, Any]) -> bool:
        """Whether what is in its windows has a say under these parameters."""
        return bool(self.windows)

    def missing(self) -> str:
        """Why it cannot be used here, one sentence; "" if it can."""
        return ""

    def model_weights(self, parameters: Mapping[str, Any], models: Sequence[str]) -> dict[str, float] | None:
        """The weight of each of `models`, mean over classes; None if it does not weigh models one by one."""
        return None
