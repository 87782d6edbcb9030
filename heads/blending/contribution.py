"""What each model adds to the others, and how alike their errors are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.blending.blenders.logits import to_logits, to_probabilities
from heads.evaluation.standard_errors import clip_losses, cluster_robust_mean, group_numbers

_SURE = 1.96  # standard errors either side, for 95 %


def ablate_models(
    stack: NDArray[np.float64],
    models: Sequence[str],
    labels: NDArray[np.uint8],
    groups: ArrayLike,
    logits: NDArray[np.floating[Any]] | None = None,
) -> list[dict[str, Any]]:
    """How much the mean of logits loses when a model is left out of it; nothing is fitted, so nothing can leak.

    Args:
        stack: (M, N, C) out-of-fold probabilities of models that know every class; M is at least 2.
        models: (M) their names.
        labels: (N, C) 0 or 1.
        groups: (N) the group of each clip.
        logits: those of `stack`, if somebody has them already.

    Returns:
        A dict a model: `name`, `adds` (mean log loss without it minus with it: positive if it helps), `low` and `high`
        (95 % interval with groups as the units; None if there is a single group).
    """
    logits = to_logits(stack) if logits is None else logits
    total = logits.sum(axis=0, dtype=np.float64)
    with_all = clip_losses(labels, to_probabilities(total / len(stack)))
    unit, rows = group_numbers(groups), []
    for name, own in zip(models, logits, strict=True):
        without = clip_losses(labels, to_probabilities((total - own) / (len(stack) - 1)))
        adds = cluster_robust_mean(without - with_all, unit)
        margin = _SURE * adds.standard_error
        known = bool(np.isfinite(margin))
        rows.append(
            {
                "name": name,
                "adds": adds.mean,
                "low": adds.mean - margin if known else None,
                "high": adds.mean + margin if known else None,
            }
        )
    return rows


def error_correlation(stack: NDArray[np.float64], labels: NDArray[np.uint8]) -> list[list[float]]:
    """The correlation of the models' errors (probability minus label) over clips and classes.

    Args:
        stack: (M, N, C) out-of-fold probabilities of models that know every class.
        labels: (N, C) 0 or 1.

    Returns:
        (M, M), 1 on the diagonal; models that err in the same places have little to give each other.
    """
    mean = stack.mean(axis=(1, 2)) - labels.mean()
    together = np.zeros((len(stack), len(stack)))
    for column, true in enumerate(labels.T):  # a class at a time, so that no second stack must be held
        errors = stack[:, :, column] - true - mean[:, None]
        together += errors @ errors.T
    size = np.sqrt(np.diag(together))
    size[size == 0] = 1.0
    correlation = together / np.outer(size, size)
    np.fill_diagonal(correlation, 1.0)
    listed: list[list[float]] = correlation.round(6).tolist()
    return listed
