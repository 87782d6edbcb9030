"""What metrics.json holds of models and blends, and the leaderboard that it comes to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds

PRIOR = "training prior"
METRICS_VERSION = 4
# Under which name metrics.json holds the scores of each kind of row of the leaderboard.
GROUP_OF = {"head": "heads", "blend": "blends", "choice": "choice", "baseline": "baselines"}


def prior_predictions(labels: LabelTable, folds: Folds, ids: Sequence[str]) -> Predictions:
    """What knowing nothing scores: each class's share of a fold's training part, predicted for the whole fold."""
    values, fold = labels.select(ids).values, folds.of(ids)
    probabilities = np.zeros(values.shape)
    for number in np.unique(fold):
        probabilities[fold == number] = values[fold != number].mean(axis=0)
    return Predictions(
        ids=tuple(ids), classes=labels.classes, probabilities=probabilities, fold=fold, provenance={"model": PRIOR}
    )


def leaderboard(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of `blend_run` out of what it wrote to metrics.json; models that know fewer classes come last."""
    rows = [
        _row(name, kind, scores, chosen=kind == "blend" and name == metrics["chosen"])
        for kind, group in GROUP_OF.items()
        for name, scores in metrics[group].items()
    ]
    return sorted(rows, key=lambda row: (-row["n_classes"], row["mean_log_loss"], row["name"]))


def _row(name: str, kind: str, scores: Mapping[str, Any], *, chosen: bool) -> dict[str, Any]:
    shown = ("mean_log_loss", "map", "macro_f1", "top_1", "top_3", "ece", "fold_spread")
    return {
        "name": name,
        "kind": kind,
        "chosen": chosen,
        "n_classes": len(scores["classes"]),
        **{key: scores[key] for key in shown},
    }
