"""Greedy forward selection with replacement: a weighted mean of logits whose weights are counts of picks.

Source: R. Caruana et al., "Ensemble selection from libraries of models" (ICML 2004).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import mean_over_models, to_probabilities, weighted_sum
from heads.blending.blenders.of_logits import OfLogits
from heads.blending.blenders.protocol import Stack

_ROUNDS = 30
_PATIENCE = 4
_GAIN = 1e-7
_BLOCK = 32768
_FACTORS = 4


class EnsembleSelection(OfLogits):
    """Add, again and again, the model that helps the mean of logits most; keep the best of all rounds.

    With `per_class`, each class picks its own models.
    """

    def __init__(self, *, per_class: bool) -> None:
        self.per_class = per_class
        self.name = "greedy_per_class" if per_class else "greedy"
        self.complexity = 3 if per_class else 2
        if per_class:
            self.about = "the same, with weights of its own for each species"
        else:
            self.about = "weighted mean of the log odds, models picked one by one"

    def fit_logits(
        self, logits: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64], weights: NDArray[np.float64] | None
    ) -> dict[str, Any]:
        """Find the weights: `weights` is (M, C), columns sum to 1 (a class no picked model knows has zeros)."""
        known = ~np.isnan(logits[:, 0, :])
        own = logits.transpose(2, 0, 1).astype(np.float32, order="C", copy=not known.all())
        own[~known.T] = 0.0
        return self._select(own, labels, known)

    def _select(
        self, logits: NDArray[np.float32], labels: NDArray[np.uint8], known: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """The weights, of logits (C, M, N) that are 0 where a model does not know the class."""
        shown = [
            own[:, column == 1].sum(axis=1, dtype=np.float64) for own, column in zip(logits, labels.T, strict=True)
        ]
        right = np.stack(shown, axis=1)
        picks = np.zeros(known.shape, np.int64)
        best_picks, best_loss = picks.copy(), np.full(known.shape[1], np.inf)
        waited = np.zeros(known.shape[1], np.int64)
        while picks.max(initial=0) < _ROUNDS and (waited < _PATIENCE).any():
            going = np.flatnonzero(waited < _PATIENCE)
            losses = _losses_after(logits, picks, known, right, going)
            if self.per_class:
                losses[~known[:, going]] = np.inf
            else:
                losses[:] = losses.mean(axis=1, keepdims=True)
            choice = np.argmin(losses, axis=0)
            picks[choice, going] += 1
            loss = losses[choice, np.arange(len(going))]
            better = loss < best_loss[going] - _GAIN
            best_picks[:, going[better]], best_loss[going[better]] = picks[:, going[better]], loss[better]
            waited[going] = np.where(better, 0, waited[going] + 1)
        used = best_picks * known
        return {"weights": (used / np.maximum(used.sum(axis=0), 1)).tolist()}

    def predict_logits(self, logits: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The weighted mean of logits; the plain one where no picked model knows the class."""
        weights = np.array(parameters["weights"], np.float64)
        weighted = weighted_sum(logits, weights)
        if not weights.any(axis=0).all():
            weighted = np.where(weights.any(axis=0), weighted, mean_over_models(logits))
        return to_probabilities(weighted)

    def model_weights(self, parameters: Mapping[str, Any], models: Sequence[str]) -> dict[str, float]:
        """The share of each model in the picks, mean over classes."""
        return {name: sum(own) / len(own) for name, own in zip(models, parameters["weights"], strict=True)}


def _losses_after(
    logits: NDArray[np.float32],
    picks: NDArray[np.int64],
    known: NDArray[np.bool_],
    right: NDArray[np.float64],
    columns: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The loss of the classes in `columns`, (M, len(columns)), if model m were picked next.

    `logits` are (C, M, N), 0 where a model does not know the class; `right` is each model's logits summed over the
    clips that show the class, (M, C). Clips are taken in blocks, so that what is made of them stays small.
    """
    used = (picks * known)[:, columns]
    weight = used.astype(np.float32)
    share = (1 / np.maximum(used.sum(axis=0) + known[:, columns], 1)).astype(np.float32)
    surprise = np.zeros(used.shape)
    for place, column in enumerate(columns.tolist()):
        for start in range(0, logits.shape[2], _BLOCK):
            block = logits[column, :, start : start + _BLOCK]
            next_logits = (block + weight[:, place] @ block) * share[:, place, None]
            surprise[:, place] += _sum_of_softplus(next_logits)
    together = (used * right[:, columns]).sum(axis=0) + right[:, columns]
    losses: NDArray[np.float64] = (surprise - together * share) / logits.shape[2]
    return losses


def _sum_of_softplus(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The sum over clips of log(1 + exp(logit)), (M,); `logits` (M, N) are overwritten.

    Logits of clipped probabilities, and means of such, are at most 14, so that four factors 1 + exp(logit) can be
    multiplied before a logarithm is taken.
    """
    np.exp(logits, out=logits)
    logits += 1
    whole = logits.shape[1] // _FACTORS * _FACTORS
    products = np.multiply.reduce(logits[:, :whole].reshape(len(logits), _FACTORS, -1), axis=1)
    rest = np.log(logits[:, whole:]).sum(axis=1, dtype=np.float64)
    sums: NDArray[np.float64] = np.log(products).sum(axis=1, dtype=np.float64) + rest
    return sums
