"""Rare classes shown more often, or counted more: how much each clip then counts, and what that does to the priors."""

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float32]
# How often a class must have at least so many clips.
_ACCEPTED = {1000: 0.69, 100: 0.2, 10: 0.1, 1: 0.01}


def sample_weights(targets: Table, strength: float) -> NDArray[np.float64]:
    """(N,) how much each clip counts so that rare classes count more, one on average.

    A clip counts by its rarest class: one over the class's share, to the power of `strength`. At 1 all classes count
    about equally, at 0 all clips do. A clip without any class counts like the class of all such clips.

    Args:
        targets: (N, C) 0 or 1.
        strength: 0 to 1.
    """
    shown = np.column_stack([targets, targets.max(axis=1, initial=0) == 0])
    share = shown.mean(axis=0).clip(1 / max(len(targets), 1))
    found = (shown * share**-strength).max(axis=1)
    return np.asarray(found / found.mean())


def clip_weights(targets: Table, strength: float, by: str) -> NDArray[np.float64]:
    """(N,) how much each clip counts, or how often it is drawn, one on average, as a recipe's `class_balance` says.

    Args:
        targets: (N, C) 0 or 1.
        strength: `class_balance`.
        by: `balance_by`.
    """
    if by == "classes":
        return 1.0 - strength + strength * drawn_by_class(targets)
    return sample_weights(targets, strength)


def drawn_by_class(targets: Table) -> NDArray[np.float64]:
    """(N,) how often each clip is drawn, one on average, where a class is drawn first and then one of its clips.

    Every class is as likely, but is accepted only if it has as many clips as a threshold, which is drawn too: so a
    class of few clips, of which each would come again and again, is seldom taken. Clips without any class are one.

    Args:
        targets: (N, C) 0 or 1.

    Source: first place of DrivenData's Pri-matrix Factorization (single_frame_cnn.py).
    """
    shown = np.column_stack([targets, targets.max(axis=1, initial=0) == 0]).astype(np.float64)
    counts = shown.sum(axis=0)
    accepted = sum(chance * (counts >= clips) for clips, chance in _ACCEPTED.items())
    weights = shown @ (accepted / np.maximum(counts, 1.0))
    return np.asarray(weights / weights.mean())


def exclusiveness(targets: Table) -> float:
    """How far classes keep each other out of a clip: 1 if no clip has two, 0 if as many do as would by chance, or more.

    Args:
        targets: (N, C) 0 or 1.
    """
    shown, share = targets.sum(axis=1), targets.mean(axis=0)
    pairs = float((shown * (shown - 1)).mean())
    by_chance = float(share.sum() ** 2 - (share**2).sum())
    return float(np.clip(1 - pairs / by_chance, 0, 1)) if by_chance > 0 else 1.0


def initial_competition(targets: Table) -> float:
    """How strongly classes should compete at the start of training, 0 to 1: fully from half of full exclusiveness on.

    On clips that show two classes now and then, less than full competition was worse (docs/experiments.md).
    """
    return min(1.0, 2.0 * exclusiveness(targets))


def weighted_share(targets: Table, weights: NDArray[np.float64] | None = None) -> tuple[NDArray[np.float64], float]:
    """The share (C,) of each class among clips that count as `weights` say, and that of clips without any class."""
    given = np.ones(len(targets)) if weights is None else weights
    given = given / given.sum()
    return given @ targets, float(given @ (targets.max(axis=1) == 0))
