"""`auto`: which blend to keep, by nested score, and what choosing one costs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.blending.blenders import known_blender
from heads.data.predictions import Predictions
from heads.evaluation.standard_errors import clip_losses, cluster_robust_mean, group_numbers

AUTO = "auto"
FEW_CLIPS = 200


def blend_losses(
    blends: Mapping[str, Predictions], labels: NDArray[np.uint8], weights: NDArray[np.float64] | None = None
) -> dict[str, NDArray[np.float64]]:
    """The log loss (N,) of each clip under each of some blends, all of the same clips and classes in the same order.

    Args:
        blends: nested predictions of each blender.
        labels: (N, C) 0 or 1, in that order.
        weights: (N,) how many clips each stands for, one on average; one each if None.
    """
    count = 1.0 if weights is None else weights
    return {name: count * clip_losses(labels, each.probabilities) for name, each in blends.items()}


def compare_blends(losses: Mapping[str, NDArray[np.float64]], groups: ArrayLike) -> list[dict[str, Any]]:
    """How far each blend is behind the best one.

    Args:
        losses: (N,) of each blend, as `blend_losses` gives them.
        groups: (N) the group of each clip.

    Returns:
        A dict a blend, simplest first: `name`, `mean_log_loss`, `behind` (its loss minus the best one's),
        `standard_error` of that difference (0 for the best one; None if there is a single group) and `as_good`
        (behind by no more than one standard error).
    """
    best = min(losses, key=lambda name: float(losses[name].mean()))
    unit = group_numbers(groups)
    rows = []
    for name in sorted(losses, key=lambda name: (known_blender(name).complexity, float(losses[name].mean()))):
        behind = cluster_robust_mean(losses[name] - losses[best], unit)
        known = bool(np.isfinite(behind.standard_error))
        rows.append(
            {
                "name": name,
                "mean_log_loss": float(losses[name].mean()),
                "behind": behind.mean,
                "standard_error": behind.standard_error if known else None,
                "as_good": bool(behind.mean <= (behind.standard_error if known else 0.0)),
            }
        )
    return rows


def choose_blend(comparison: Sequence[Mapping[str, Any]], n_clips: int) -> str:
    """The blend of the lowest nested log loss; of a few clips, the simplest of those that are as good.

    With more clips that preference scores worse: over few sites a standard error is wide, and a single model simple.

    Args:
        comparison: as `compare_blends` gives it.
        n_clips: how many clips there are in all, those of a fold that is left out among them.
    """
    if n_clips < FEW_CLIPS:
        return str(next(row["name"] for row in comparison if row["as_good"]))
    return str(min(comparison, key=lambda row: float(row["mean_log_loss"]))["name"])


def select_leave_fold_out(
    losses: Mapping[str, NDArray[np.float64]], groups: ArrayLike, fold: NDArray[np.int64]
) -> dict[int, str]:
    """For each fold, the blend that would be chosen if its clips were not known.

    The lowest of many nested scores flatters a little, since chance has a part in which one is lowest. What a fold
    scores under the blend that the others chose does not, but for what its labels lent to the fits for the others.

    Args:
        losses: (N,) of each blend.
        groups: (N) the group of each clip.
        fold: (N,) the fold of each clip.
    """
    unit, found = group_numbers(groups), {}
    for number in np.unique(fold).tolist():
        known = fold != number
        rows = compare_blends({name: each[known] for name, each in losses.items()}, unit[known])
        found[number] = choose_blend(rows, len(fold))
    return found


def refine_leave_fold_out(
    choices: Mapping[int, tuple[str, ...]], losses: Mapping[str, NDArray[np.float64]], fold: NDArray[np.int64]
) -> dict[int, str]:
    """For each fold, the one of its `choices` whose loss is lower on the other folds."""
    return {
        number: min(names, key=lambda name: float(losses[name][fold != number].mean()))
        for number, names in choices.items()
    }


def predict_leave_fold_out(
    of_fold: Mapping[int, str], blends: Mapping[str, Predictions], fold: NDArray[np.int64]
) -> Predictions:
    """Nested predictions of each fold by its own of `blends`: what choosing a blend scores."""
    first = next(iter(blends.values()))
    probabilities = first.probabilities.copy()
    for number, name in of_fold.items():
        probabilities[fold == number] = blends[name].probabilities[fold == number]
    return replace(first, probabilities=probabilities, provenance={"model": AUTO})
