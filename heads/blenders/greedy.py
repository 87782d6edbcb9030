"""Greedy forward selection with replacement: a weighted mean of logits whose weights are counts of picks.

Source: R. Caruana et al., "Ensemble selection from libraries of models" (ICML 2004).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blenders.logits import mean_over_models, to_logits, to_probabilities
from heads.blenders.protocol import Stack

_ROUNDS = 30
_PATIENCE = 4
_GAIN = 1e-7
_BLOCK = 2048
_FACTORS = 16


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
        right = np.stack([(own * labels).sum(axis=0, dtype=np.float64) for own in logits])
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
    right: NDArray[np.float64],
    columns: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The loss of the classes in `columns`, (M, len(columns)), if model m were picked next.

    `right` is each model's logits summed over the clips that show the class, (M, C). Clips are taken in blocks that fit
    the processor's cache.
    """
    used = (picks * known)[:, columns]
    weight = used.astype(np.float32)
    share = (1 / np.maximum(used.sum(axis=0) + known[:, columns], 1)).astype(np.float32)
    surprise = np.zeros(used.shape)
    for start in range(0, logits.shape[1], _BLOCK):
        block = logits[:, start : start + _BLOCK]
        block = block if len(columns) == block.shape[2] else block[:, :, columns]
        total = np.zeros(block.shape[1:], np.float32)
        for picked in np.flatnonzero(used.any(axis=1)):
            total += block[picked] * weight[picked]
        for model, own in enumerate(block):
            surprise[model] += _sum_of_softplus((total + own) * share[model])
    together = (used * right[:, columns]).sum(axis=0) + right[:, columns]
    losses: NDArray[np.float64] = (surprise - together * share) / logits.shape[1]
    return losses


def _sum_of_softplus(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The sum over clips of log(1 + exp(logit)), (C,); `logits` (N, C) are overwritten.

    log(1 + exp(x)) is max(x, 0) + log(1 + exp(-|x|)); the latter's factors lie between 1 and 2, so that 16 of them are
    multiplied before a logarithm is taken.
    """
    positive = np.maximum(logits, 0).sum(axis=0, dtype=np.float64)
    np.abs(logits, out=logits)
    np.negative(logits, out=logits)
    np.exp(logits, out=logits)
    logits += 1
    whole = len(logits) // _FACTORS * _FACTORS
    products = np.multiply.reduce(logits[:whole].reshape(_FACTORS, -1, logits.shape[1]), axis=0)
    rest = np.log(logits[whole:]).sum(axis=0, dtype=np.float64)
    sums: NDArray[np.float64] = positive + np.log(products).sum(axis=0, dtype=np.float64) + rest
    return sums
