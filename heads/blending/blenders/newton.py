"""Penalised logistic regression by Newton's method, of several classes side by side."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import Numbers

AT_ONCE = 2**18  # numbers of inputs that are in work at a time: the processor's cache holds them
_STEPS = 40
_SMALLEST_STEP = 1e-5  # of the way that a step would go
_SMALL_GAIN = 1e-12  # nats a clip
_FAST = 0.01  # of the gain of the step before: as long as the next one is less, the curvature will do
_MOST = 500.0  # exp of it is still a number


def newton(
    inputs: Numbers,
    base: NDArray[np.float64],
    labels: NDArray[np.uint8],
    strength: float,
    start: NDArray[np.float64] | None = None,
    *,
    offset: bool = False,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Minimise, for each class, the summed log loss of base + d @ inputs, plus strength / 2 * |d| squared.

    Args:
        inputs: (C, K, N); quickest if the clips lie together in memory.
        base: (C, N) logits to depart from.
        labels: (C, N) 0 or 1.
        strength: of the penalty.
        start: (C, K) where to begin; at 0 if None.
        offset: whether a further input, 1 for every clip, comes before the K: `start` is (C, 1 + K) then.
        weights: (N,) how often each clip counts; once each if None.

    Returns:
        (C, K) d, or (C, 1 + K).
    """
    signs, width = np.ascontiguousarray(1.0 - 2.0 * labels), int(offset) + inputs.shape[1]
    fitted = np.zeros((len(inputs), width)) if start is None else np.array(start, np.float64)
    loss, gradient, spread = _gradient(inputs, base, signs, fitted, strength, weights)
    curvature = _curvature(inputs, spread, width, strength)
    done, is_new, before = np.zeros(len(fitted), bool), True, np.full(len(fitted), np.inf)
    for _ in range(_STEPS):
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        gain = (gradient * step).sum(axis=1)
        near = ~done & (gain < _SMALL_GAIN * base.shape[1])
        fitted[near] -= step[near]
        done |= near
        if done.all():
            break
        if not is_new and (gain > _FAST * before)[~done].any():
            curvature, is_new = _curvature(inputs, spread, width, strength), True
            continue
        before = gain
        size = np.where(done, 0.0, 1.0)[:, None]
        while True:
            after, gradient, spread = _gradient(inputs, base, signs, fitted - size * step, strength, weights)
            worse = ~done & ~(after < loss)
            if not (worse & (size[:, 0] > _SMALLEST_STEP)).any():
                break
            size[worse] /= 2
        size[worse] = 0.0
        done |= worse
        fitted, loss, is_new = fitted - size * step, after, False
    return fitted


def _gradient(
    inputs: Numbers,
    base: NDArray[np.float64],
    signs: NDArray[np.float64],
    fitted: NDArray[np.float64],
    strength: float,
    weights: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(C,) the penalised loss at `fitted`, (C, K) its derivative, and (C, N) the second one of each clip's loss by its
    logit; `signs` are (C, N), -1 where a clip shows the class and 1 where it does not.
    """
    loss, gradient, spread = strength / 2 * (fitted**2).sum(axis=1), strength * fitted, np.empty_like(signs)
    for some, own in _blocks(inputs, fitted.shape[1]):
        sign = signs[:, some]
        wrong = (fitted[:, None] @ own)[:, 0]
        wrong += base[:, some]
        wrong *= sign
        np.exp(np.minimum(wrong, _MOST, out=wrong), out=wrong)
        right = 1.0 / (1.0 + wrong)  # the probability of what is true
        wrong *= right
        surprise, residual = -np.log(right), wrong * sign
        right *= wrong
        if weights is not None:
            for each in (surprise, residual, right):
                each *= weights[some]
        spread[:, some] = right
        loss += surprise.sum(axis=1)
        gradient += (own @ residual[:, :, None])[:, :, 0]
    return loss, gradient, spread


def _curvature(inputs: Numbers, spread: NDArray[np.float64], width: int, strength: float) -> NDArray[np.float64]:
    """(C, K, K) the second derivatives of the penalised loss."""
    curvature = np.tile(strength * np.eye(width), (len(inputs), 1, 1))
    for some, own in _blocks(inputs, width):
        curvature += (own * spread[:, None, some]) @ own.transpose(0, 2, 1)
    return curvature


def _blocks(inputs: Numbers, width: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Some clips at a time, with the input that is 1 if there is one among `width`: (C, width, n), to be read only."""
    classes, given, clips = inputs.shape
    block = max(1, AT_ONCE // max(1, classes * width))
    space = np.ones((classes, width, min(block, clips)))
    for first in range(0, clips, block):
        some = slice(first, first + block)
        own = space[:, :, : min(block, clips - first)]
        own[:, width - given :] = inputs[:, :, some]
        yield some, own
