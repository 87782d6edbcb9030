"""Greedy forward selection with replacement: a weighted mean of logits whose weights are counts of picks.

Source: R. Caruana et al., "Ensemble selection from libraries of models" (ICML 2004).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blenders.logits import losses_of_logits, mean_over_models, to_logits, to_probabilities
from heads.blenders.protocol import Stack

_ROUNDS = 30
_PATIENCE = 4
_GAIN = 1e-7
_BLOCK = 2048


class Greedy:
    """Add, again and again, the model that helps the mean of logits most; keep the best of all rounds.

    With `per_class`, each class picks its own models.
    """

    def __init__(self, *, per_class: bool) -> None:
        self.per_class = per_class
        self.name = "greedy_per_class" if per_class else "greedy"
        self.complexity = 3 if per_class else 2

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Find the weights: `weights` is (M, C), columns sum to 1 (a class no picked model knows has zeros)."""
        logits = to_logits(stack).astype(np.float32)
        known = ~np.isnan(logits[:, 0, :])
        logits[np.isnan(logits)] = 0
        picks = np.zeros(known.shape, np.int64)
        best_picks, best_loss = picks.copy(), np.full(known.shape[1], np.inf)
        waited = np.zeros(known.shape[1], np.int64)
        while picks.max(initial=0) < _ROUNDS and (waited < _PATIENCE).any():
            going = np.flatnonzero(waited < _PATIENCE)
            losses = _losses_after(logits, picks, known, labels, going)
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

    def combine(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The weighted mean of logits; the plain one where no picked model knows the class."""
        weights = np.array(parameters["weights"], np.float64)
        logits = to_logits(stack)
        weighted = np.einsum("mc,mnc->nc", weights, np.nan_to_num(logits), optimize=True)
        return to_probabilities(np.where(weights.any(axis=0), weighted, mean_over_models(logits)))


def _losses_after(
    logits: NDArray[np.float32],
    picks: NDArray[np.int64],
    known: NDArray[np.bool_],
    labels: NDArray[np.uint8],
    columns: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The loss of the classes in `columns`, (M, len(columns)), if model m were picked next.

    Clips are taken in blocks that fit the processor's cache.
    """
    used = (picks * known)[:, columns]
    losses = np.zeros(used.shape)
    weight = used.astype(np.float32)
    share = (1 / np.maximum(used.sum(axis=0) + known[:, columns], 1)).astype(np.float32)
    for start in range(0, len(labels), _BLOCK):
        block, true = logits[:, start : start + _BLOCK, columns], labels[start : start + _BLOCK, columns]
        total = np.zeros(true.shape, np.float32)
        for picked in np.flatnonzero(used.any(axis=1)):
            total += block[picked] * weight[picked]
        for model, own in enumerate(block):
            losses[model] += losses_of_logits((total + own) * share[model], true) * len(true)
    return losses / len(labels)
