"""Between probabilities and logits, and over models of which some lack a class."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
Scale = Callable[[Numbers], Numbers]

EPS = 1e-6
# Numbers at a time, which the processor's cache holds: large tables go through memory once.
_AT_ONCE = 2**16


def to_logits(probabilities: Numbers) -> NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities clipped to [1e-6, 1 - 1e-6], so that no single model can be infinitely sure."""
    odds: NDArray[np.float64] = np.clip(probabilities, EPS, 1 - EPS, dtype=np.float64)
    for some in _parts(odds):
        some /= 1 - some
        np.log(some, out=some)
    return odds


def to_probabilities(logits: Numbers) -> NDArray[np.float64]:
    """1 / (1 + exp(-logit)), without overflow."""
    odds: NDArray[np.float64] = np.clip(logits, -50.0, 50.0, dtype=np.float64)
    for some in _parts(odds):
        np.negative(some, out=some)
        np.exp(some, out=some)
        some += 1.0
        np.divide(1.0, some, out=some)
    return odds


def _parts(numbers: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array that was just made, some of it at a time, to be changed in place; whole if it does not lie in order."""
    flat = numbers.ravel(order="K")
    if not np.may_share_memory(flat, numbers):
        yield numbers
        return
    for start in range(0, len(flat), _AT_ONCE):
        yield flat[start : start + _AT_ONCE]


def of_clips(stack: Numbers, chosen: NDArray[np.bool_]) -> Numbers:
    """Some clips of (M, N, C), in the same order in memory."""
    by_class = stack.transpose(2, 0, 1)
    if not by_class.flags.c_contiguous:
        return stack[:, chosen]
    found: Numbers = by_class.take(np.flatnonzero(chosen), axis=2).transpose(1, 2, 0)
    return found


def _as_it_is(numbers: Numbers) -> Numbers:
    return numbers


def mean_over_models(stack: Numbers, of: Scale = _as_it_is) -> NDArray[np.float64]:
    """The mean of (M, N, C) over the models that are not NaN, (N, C); NaN where all are.

    `of` is done to one model after the other, so that all of them need not be held twice.
    """
    if not stack.shape[1]:
        return np.empty(stack.shape[1:])
    known = ~np.isnan(stack[:, 0, :])
    count = known.sum(axis=0)
    mean = weighted_sum(stack, known / np.maximum(count, 1), of)
    mean[:, count == 0] = np.nan
    return mean


def weighted_sum(stack: Numbers, weights: NDArray[np.float64], of: Scale = _as_it_is) -> NDArray[np.float64]:
    """`of` (M, N, C) times weights (M, C), summed over models, (N, C); a model that is NaN for a class counts as 0."""
    total = np.zeros_like(stack[0], dtype=np.float64)
    part = np.empty_like(total)
    for own, weight in zip(stack, weights, strict=True):
        np.multiply(of(own), weight, out=part)
        lacking = np.isnan(own[:1]).any(axis=0)
        if lacking.any():
            part[:, lacking] = 0.0
        total += part
    return total


def losses_of_logits(
    logits: Numbers,
    labels: NDArray[np.uint8] | NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The binary log loss of logits, the mean over the first axis (clips, by their weights), without overflow."""
    surprise = np.abs(logits)
    for some in _parts(surprise):
        np.negative(some, out=some)
        np.exp(some, out=some)
        some += 1
        np.log(some, out=some)
    surprise += np.maximum(logits, 0)
    surprise -= logits * labels
    if weights is not None:
        return np.asarray(np.tensordot(weights, surprise, axes=1) / len(surprise))
    losses: NDArray[np.float64] = surprise.mean(axis=0, dtype=np.float64)
    return losses
