"""Boosted trees that are told one class a clip, as the first place of DrivenData's Pri-matrix Factorization told them.

Their probabilities add up to one, so that a clip of two species gets a half of each at best: the boosted trees beside
them, one booster a class, do not have that fault. They are here to be compared with.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import mean_over_models, to_logits, to_probabilities
from heads.blending.blenders.order_statistics import frame_logits, order_statistics, without_frames
from heads.blending.blenders.protocol import FRAMES, FRAMES_TOO, Blender, Stack

# As published, of the booster over all networks; the depth is the library's own.
_ROUNDS = 1600
_RATE = 0.03
_FEWEST_CLIPS = 2
_THREADS = 1  # blenders run beside each other already


class SingleLabel(Blender):
    """XGBoost's `multi:softprob` on the first class of each clip; a class of fewer than two clips keeps the mean."""

    complexity = 8
    cost = "asked"

    def __init__(self, *, takes_frames: bool = False) -> None:
        self.takes_frames = takes_frames
        self.name = "xgboost-single" + (FRAMES if takes_frames else "")
        self.about = "boosted trees that are told one class a clip, of how the models' answers are spread"
        self.about += FRAMES_TOO if takes_frames else ""

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Grow the trees: `columns` are the classes that they tell apart, `booster` is the library's own text."""
        import xgboost

        known = ~np.isnan(self._models(stack)[:, 0, :]).all(axis=0)
        told = known & (labels.sum(axis=0) >= _FEWEST_CLIPS)
        columns = np.flatnonzero(told)
        shown = labels[:, columns].any(axis=1)
        if len(columns) < 2:
            return {"columns": [], "booster": None}
        settings = {
            "objective": "multi:softprob",
            "num_class": len(columns),
            "eta": _RATE,
            "nthread": _THREADS,
            "seed": 0,
        }
        first = labels[shown][:, columns].argmax(axis=1)
        data = xgboost.DMatrix(self._inputs(stack, columns)[shown], label=first)
        booster = xgboost.train(settings, data, _ROUNDS)
        return {"columns": columns.tolist(), "booster": bytes(booster.save_raw("json")).decode()}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The trees' probabilities; the mean of logits for classes that they do not know."""
        said = to_probabilities(mean_over_models(self._models(stack), to_logits))
        columns = np.array(parameters["columns"], np.int64)
        if len(columns) and len(said):
            import xgboost

            loaded = xgboost.Booster(model_file=bytearray(parameters["booster"].encode()))
            said[:, columns] = loaded.predict(xgboost.DMatrix(self._inputs(stack, columns)))
        return said

    def missing(self) -> str:
        """Why it cannot be used here, one sentence; "" if it can."""
        return "" if find_spec("xgboost") else "xgboost is not installed: pip install 'trapline[gbm]'"

    def _models(self, stack: Stack) -> Stack:
        """The models' own probabilities, without what they say of single frames."""
        return without_frames(stack) if self.takes_frames else stack

    def _inputs(self, stack: Stack, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N, K) how the models, or their frames, are spread over each of the classes, side by side."""
        models = self._models(stack)
        parts = [order_statistics(models, column) for column in columns]
        if self.takes_frames:
            parts += [frame_logits(stack[len(models) :], column) for column in columns]
        return np.hstack(parts)
