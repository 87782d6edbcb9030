"""What models say of the clips before and behind a clip, beside what they say of the clip itself.

For each class, logit = (1 + d) * stacked + offset + sum over windows of (b_w + d_w) * (theirs - own): `stacked` is the
logistic stacking of the models, `own` the mean of their logits of the clip, and `theirs` that of its neighbours in the
window; a window without neighbours adds nothing. The b_w are fitted to all classes together; what a class departs from
them, its offset and its d are shrunk. The strength of the penalty is chosen by cross-validation over the folds at hand,
and not to look around is among the candidates.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logistic import LogisticStacking
from heads.blending.blenders.logits import losses_of_logits, mean_over_models, to_logits, to_probabilities
from heads.blending.blenders.newton import newton
from heads.blending.blenders.protocol import Blender, Stack
from heads.data.nearby import WINDOWS, WINDOWS_APART, Window

_STRENGTHS = (3.0, 30.0, 300.0)
_MOST_CLIPS = 20_000


class Neighbours(Blender):
    """Penalised logistic regression on what the clips around say differently, on top of logistic stacking.

    Args:
        windows: what around a clip counts.
        name: of the blender.
        about: what it does.
    """

    complexity = 5
    is_calibrated = True

    def __init__(self, windows: Sequence[Window], name: str, about: str) -> None:
        self.windows = tuple(windows)
        self.name = name
        self.about = about
        self._stacking = LogisticStacking()

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Stack the models, then look around; `departures` is (C, 2 + W), `strength` None if that tells nothing."""
        return self.fit_weighted(stack, labels, fold, None)

    def fit_weighted(
        self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """The same, where clips count as (N,) `weights` say."""
        stacking = self._stacking.fit_weighted(self._models(stack), labels, fold, weights)
        some = slice(None, None, max(1, -(-len(labels) // _MOST_CLIPS)))
        base, apart = self._inputs(stack[:, some], stacking)
        fewer = None if weights is None else weights[some]
        strength = _choose_strength(base, apart, labels[some], fold[some], fewer)
        departures = _fit(base, apart, labels[some], strength, fewer)
        return {"stacking": stacking, "strength": strength, "departures": departures.tolist()}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The stacked models, moved by what is around."""
        base, apart = self._inputs(stack, parameters["stacking"])
        return to_probabilities(_moved(base, apart, np.array(parameters["departures"], np.float64)))

    def looks_around(self, parameters: Mapping[str, Any]) -> bool:
        """Not where nothing around told anything when it was fitted."""
        return parameters["strength"] is not None

    def _models(self, stack: Stack) -> Stack:
        """The models' own probabilities, without what is said around."""
        return stack[: len(stack) - len(self.windows)]

    def _inputs(self, stack: Stack, stacking: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, C) the logits of the stacked models, and (W, N, C) by how much those around differ; 0 without any."""
        models = self._models(stack)
        apart = to_logits(stack[len(models) :]) - mean_over_models(models, to_logits)
        return to_logits(self._stacking.predict(models, stacking)), np.where(np.isnan(apart), 0.0, apart)


WITH_NEIGHBOURS = Neighbours(
    WINDOWS, "neighbours", "logistic regression that also takes the log odds of the clips around, at the same place"
)
WITH_NEIGHBOURS_APART = Neighbours(
    WINDOWS_APART, "neighbours-apart", "the same without clips of the same minute, which show the same moment"
)


def _choose_strength(
    base: NDArray[np.float64],
    apart: NDArray[np.float64],
    labels: NDArray[np.uint8],
    fold: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
) -> float | None:
    """The strength with the lowest cross-validated loss; None not to look around."""
    folds = np.unique(fold)
    if len(folds) < 2 or not apart.any():
        return None
    losses: dict[float | None, float] = {}
    for strength in (None, *_STRENGTHS):
        losses[strength] = 0.0
        for number in folds:
            scored = fold == number
            learned, asked = (None if weights is None else weights[rows] for rows in (~scored, scored))
            departures = _fit(base[~scored], apart[:, ~scored], labels[~scored], strength, learned)
            logits = _moved(base[scored], apart[:, scored], departures)
            losses[strength] += float(np.nansum(losses_of_logits(logits, labels[scored], asked)) * scored.sum())
    return min(losses, key=lambda strength: losses[strength])


def _fit(
    base: NDArray[np.float64],
    apart: NDArray[np.float64],
    labels: NDArray[np.uint8],
    strength: float | None,
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """(C, 2 + W) offset, departure of the slope, and how far each class follows what is said in each window."""
    windows, clips, classes = apart.shape
    departures = np.zeros((classes, 2 + windows))
    if strength is None or not clips:
        return departures
    known = np.flatnonzero(~np.isnan(base).any(axis=0))
    counts = None if weights is None else np.repeat(weights, len(known))
    own, around, truth = base[:, known], apart[:, :, known], labels[:, known]
    (shared,) = newton(
        around.reshape(1, windows, -1), own.reshape(1, -1), truth.reshape(1, -1), strength, weights=counts
    )
    start = own + np.einsum("w,wnc->nc", shared, around)
    inputs = np.concatenate([own[None], around]).transpose(2, 0, 1)
    departures[known] = newton(inputs, start.T, truth.T, strength, offset=True, weights=weights)
    departures[known, 2:] += shared
    return departures


def _moved(
    base: NDArray[np.float64], apart: NDArray[np.float64], departures: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, C) logits."""
    moved = base * (1.0 + departures[:, 1]) + departures[:, 0]
    return np.asarray(moved + np.einsum("cw,wnc->nc", departures[:, 2:], apart))
