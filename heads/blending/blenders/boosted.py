"""Gradient-boosted trees on the spread of the models' answers, which start from the mean of logits.

With `takes_frames` they also see how each model's answers are spread over the frames of a clip.

The extra `gbm` installs the libraries. Their settings are fixed, and cautious: few clips show a rare species.
"""

from abc import abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import mean_over_models, to_logits, to_probabilities
from heads.blending.blenders.order_statistics import frame_logits, order_statistics, without_frames
from heads.blending.blenders.protocol import FRAMES, FRAMES_TOO, Blender, Stack

_ROUNDS = 60
_RATE = 0.05
_FEWEST_POSITIVES = 5
_THREADS = 1  # blenders run beside each other already


class Boosted(Blender):
    """A booster for each class that at least 5 clips show; other classes keep the mean of logits.

    Attributes:
        library: the module that grows the trees.
        title: what the library calls itself.
    """

    library: str
    title: str
    cost = "small tables"

    def __init__(self, *, takes_frames: bool = False) -> None:
        self.takes_frames = takes_frames
        self.name = self.library + (FRAMES if takes_frames else "")
        self.about = f"boosted trees ({self.title}) of how the models' answers are spread"
        self.about += FRAMES_TOO if takes_frames else ""
        self.complexity = 7 if takes_frames else 6

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Grow the trees: `boosters` holds for each class the library's own text, or None."""
        base = mean_over_models(to_logits(self._models(stack)))
        enough = np.minimum(labels.sum(axis=0), (1 - labels).sum(axis=0)) >= _FEWEST_POSITIVES
        enough &= ~np.isnan(base).any(axis=0)  # of a class that no model knows there is nothing to move
        return {
            "boosters": [
                self._grow(self._inputs(stack, column), labels[:, column].copy(), base[:, column].copy())
                if grows
                else None
                for column, grows in enumerate(enough)
            ]
        }

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The mean of logits, moved by the trees."""
        logits = mean_over_models(to_logits(self._models(stack)))
        for column, booster in enumerate(parameters["boosters"]):
            if booster is not None and len(logits):
                logits[:, column] += self._moves(booster, self._inputs(stack, column))
        return to_probabilities(logits)

    def missing(self) -> str:
        """Why it cannot be used here, one sentence; "" if it can."""
        return "" if find_spec(self.library) else f"{self.library} is not installed: pip install 'trapline[gbm]'"

    def _models(self, stack: Stack) -> Stack:
        """The models' own probabilities, without what they say of single frames."""
        return without_frames(stack) if self.takes_frames else stack

    def _inputs(self, stack: Stack, column: int) -> NDArray[np.float32]:
        models = self._models(stack)
        spread = order_statistics(models, column)
        return np.hstack([spread, frame_logits(stack[len(models) :], column)]) if self.takes_frames else spread

    @abstractmethod
    def _grow(self, inputs: NDArray[np.float32], labels: NDArray[np.uint8], base: NDArray[np.float64]) -> str:
        """Trees that move the logits `base` of a class towards its labels, as the library's own text."""

    @abstractmethod
    def _moves(self, booster: str, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """By how much the trees move each clip's logit."""


class XGBoost(Boosted):
    """By XGBoost."""

    library, title = "xgboost", "XGBoost"

    def _grow(self, inputs: NDArray[np.float32], labels: NDArray[np.uint8], base: NDArray[np.float64]) -> str:
        import xgboost

        settings = {
            "objective": "binary:logistic",
            "max_depth": 3,
            "eta": _RATE,
            "lambda": 5.0,
            "min_child_weight": 1.0,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "base_score": 0.5,
            "nthread": _THREADS,
            "seed": 0,
        }
        data = xgboost.DMatrix(inputs, label=labels, base_margin=base)
        return bytes(xgboost.train(settings, data, _ROUNDS).save_raw("json")).decode()

    def _moves(self, booster: str, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        import xgboost

        loaded = xgboost.Booster(model_file=bytearray(booster.encode()))
        data = xgboost.DMatrix(inputs, base_margin=np.zeros(len(inputs)))
        return np.asarray(loaded.predict(data, output_margin=True), np.float64)


class LightGBM(Boosted):
    """By LightGBM."""

    library, title = "lightgbm", "LightGBM"

    def _grow(self, inputs: NDArray[np.float32], labels: NDArray[np.uint8], base: NDArray[np.float64]) -> str:
        import lightgbm

        settings = {
            "objective": "binary",
            "num_leaves": 7,
            "learning_rate": _RATE,
            "lambda_l2": 5.0,
            "min_data_in_leaf": 10,
            "min_sum_hessian_in_leaf": 1.0,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "feature_fraction": 0.8,
            "boost_from_average": False,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": _THREADS,
            "seed": 0,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(inputs, label=labels, init_score=base)
        return str(lightgbm.train(settings, data, _ROUNDS).model_to_string())

    def _moves(self, booster: str, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        import lightgbm

        return np.asarray(lightgbm.Booster(model_str=booster).predict(inputs, raw_score=True), np.float64)
