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
        every_class = np.arange(known.shape[1])
        best_picks, best_loss, waited = picks.copy(), np.full(len(every_class), np.inf), 0
        while waited < _PATIENCE and picks.max(initial=0) < _ROUNDS:
            losses = _losses_after(logits, picks * known, known, labels)
            if not self.per_class:
                losses[:] = losses.mean(axis=1, keepdims=True)
            choice = np.argmin(np.where(known, losses, np.inf) if self.per_class else losses, axis=0)
            picks[choice, every_class] += 1
            loss = losses[choice, every_class]
            better = loss < best_loss - _GAIN
            best_picks[:, better], best_loss[better] = picks[:, better], loss[better]
            waited = 0 if better.any() else waited + 1
        used = best_picks * known
        return {"weights": (used / np.maximum(used.sum(axis=0), 1)).tolist()}

    def combine(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The weighted mean of logits; the plain one where no picked model knows the class."""
        weights = np.array(parameters["weights"], np.float64)
        logits = to_logits(stack)
        weighted = np.einsum("mc,mnc->nc", weights, np.nan_to_num(logits), optimize=True)
        return to_probabilities(np.where(weights.any(axis=0), weighted, mean_over_models(logits)))


def _losses_after(
    logits: NDArray[np.float32], picks: NDArray[np.int64], known: NDArray[np.bool_], labels: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The loss of each class, (M, C), if model m were picked next; clips are taken in blocks that fit the cache."""
    losses = np.zeros(known.shape)
    share = (1 / np.maximum(picks.sum(axis=0) + known, 1)).astype(np.float32)
    for start in range(0, len(labels), _BLOCK):
        block = slice(start, start + _BLOCK)
        total = np.zeros(labels[block].shape, np.float32)
        for own, count in zip(logits[:, block], picks.astype(np.float32), strict=True):
            if count.any():
                total += own * count
        for model, own in enumerate(logits[:, block]):
            losses[model] += losses_of_logits((total + own) * share[model], labels[block]) * len(total)
    return losses / len(labels)
