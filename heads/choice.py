"""`auto`: which blend to keep, by nested score, with a preference for the simpler of two that are hardly apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blenders import find_blender
from heads.predictions import Predictions
from heads.uncertainty import clip_losses, clustered_mean

AUTO = "auto"


def compare_blends(
    blends: Mapping[str, Predictions], labels: NDArray[np.uint8], groups: Sequence[str]
) -> list[dict[str, Any]]:
    """How far each blend is behind the best one.

    Args:
        blends: nested predictions of each blender, all of the same clips and classes in the same order.
        labels: (N, C) 0 or 1, in that order.
        groups: (N) the group of each clip.

    Returns:
        A dict a blend, simplest first: `name`, `mean_log_loss`, `behind` (its loss minus the best one's),
        `standard_error` of that difference (0 for the best one; None if there is a single group) and `as_good`
        (behind by no more than one standard error).
    """
    losses = {name: clip_losses(labels, each.probabilities) for name, each in blends.items()}
    best = min(losses, key=lambda name: float(losses[name].mean()))
    rows = []
    for name in sorted(losses, key=lambda name: (find_blender(name).complexity, float(losses[name].mean()))):
        behind = clustered_mean(losses[name] - losses[best], groups)
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


def choose_blend(comparison: Sequence[Mapping[str, Any]]) -> str:
    """The first, so the simplest, of the blends that are as good as the best one."""
    return str(next(row["name"] for row in comparison if row["as_good"]))
