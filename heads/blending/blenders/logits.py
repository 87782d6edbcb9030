"""Between probabilities and logits, and over models of which some lack a class."""

import numpy as np
from numpy.typing import NDArray

_EPS = 1e-6


def to_logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities clipped to [1e-6, 1 - 1e-6], so that no single model can be infinitely sure."""
    odds = np.clip(probabilities, _EPS, 1 - _EPS)
    odds /= 1 - odds
    np.log(odds, out=odds)
    return odds


def to_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-logit)), without overflow."""
    bounded = np.clip(logits, -50.0, 50.0)
    probabilities: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-bounded))
    return probabilities


def mean_over_models(stack: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of (M, N, C) over the models that are not NaN, (N, C); NaN where all are."""
    if not stack.shape[1]:
        return np.empty(stack.shape[1:])
    known = ~np.isnan(stack[:, 0, :])
    count = known.sum(axis=0)
    mean = weighted_sum(stack, known / np.maximum(count, 1))
    mean[:, count == 0] = np.nan
    return mean


def weighted_sum(stack: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of (M, N, C) over models with weights (M, C), (N, C); a model that is NaN for a class counts as 0."""
    total = np.zeros(stack.shape[1:])
    for own, weight in zip(stack, weights, strict=True):
        part = own * weight
        part[:, np.isnan(own[:1]).any(axis=0)] = 0.0
        total += part
    return total


def losses_of_logits(
    logits: NDArray[np.float64] | NDArray[np.float32],
    labels: NDArray[np.uint8] | NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The binary log loss of logits, the mean over the first axis (clips, by their weights), without overflow."""
    surprise = np.abs(logits)
    np.negative(surprise, out=surprise)
    np.exp(surprise, out=surprise)
    surprise += 1
    np.log(surprise, out=surprise)
    surprise += np.maximum(logits, 0)
    surprise -= logits * labels
    if weights is not None:
        return np.asarray(np.tensordot(weights, surprise, axes=1) / len(surprise))
    losses: NDArray[np.float64] = surprise.mean(axis=0, dtype=np.float64)
    return losses
