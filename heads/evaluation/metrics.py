"""Scores of out-of-fold predictions: the competition's log loss first, then what ecologists ask for."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds
from heads.errors import PredictionError

EPS = 1e-5
_ECE_BINS = 15

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.float64]


def log_loss_per_class(labels: Labels, probabilities: Probabilities, eps: float = EPS) -> NDArray[np.float64]:
    """The binary log loss of each class.

    Args:
        labels: (N, C) 0 or 1.
        probabilities: (N, C), 0 to 1; clipped to [eps, 1 - eps].
        eps: how sure a prediction may count at most.

    Returns:
        (C,) mean over clips, in nats.
    """
    losses: NDArray[np.float64] = log_losses(labels, probabilities, eps).mean(axis=0)
    return losses


def log_losses(labels: Labels, probabilities: Probabilities, eps: float = EPS) -> NDArray[np.float64]:
    """(N, C) the binary log loss of each class in each clip."""
    losses = np.clip(probabilities, eps, 1 - eps)
    np.subtract(1, losses, out=losses, where=labels != 1)
    np.log(losses, out=losses)
    return np.negative(losses, out=losses)


def mean_log_loss(labels: Labels, probabilities: Probabilities, eps: float = EPS) -> float:
    """The mean over classes of `log_loss_per_class`."""
    return float(log_loss_per_class(labels, probabilities, eps).mean())


def average_precision(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """The average precision of each class, (C,); NaN for a class without a positive clip.

    The same numbers as scikit-learn's `average_precision_score` (equal probabilities fall together), in a tenth of its
    time on large tables.
    """
    scores = np.full(labels.shape[1], np.nan)
    for column in np.flatnonzero(labels.any(axis=0)):
        said, true = probabilities[:, column], labels[:, column]
        counts = said >= said[true == 1].min()  # what is behind every clip that shows the class has no say
        rising, shown = rising_with_labels(said[counts], true[counts])
        falling, true = rising[::-1], shown[::-1]
        last = np.flatnonzero(np.r_[falling[1:] != falling[:-1], True])
        hits = np.cumsum(true, dtype=np.int64)[last]
        scores[column] = np.sum(np.diff(hits, prepend=0) * hits / (last + 1)) / hits[-1]
    return scores


def rising_with_labels(
    probabilities: NDArray[np.float64], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The (N,) probabilities of one class in rising order, and the label, 0 or 1, of each; equal ones by label.

    Faster than `np.argsort`: numbers from 0 to 1 are in the order of their bits, of which the highest two are free, so
    that one can hold the label.
    """
    rising = np.sort((probabilities + 0.0).view(np.uint64) << 1 | (labels == 1))
    return (rising >> 1).view(np.float64), (rising & 1).astype(np.uint8)


def f1_per_class(labels: Labels, probabilities: Probabilities, threshold: float = 0.5) -> NDArray[np.float64]:
    """The F1 score of each class at `threshold`, (C,); NaN for a class without a positive clip."""
    said, true = probabilities >= threshold, labels == 1
    hits = (said & true).sum(axis=0)
    scores = 2 * hits / np.maximum(said.sum(axis=0) + true.sum(axis=0), 1)
    return np.where(true.any(axis=0), scores, np.nan)


def top_shares(labels: Labels, probabilities: Probabilities, *ks: int) -> list[float]:
    """For each of `ks`, the share of labelled clips with a true class among that many most probable ones.

    Of equally probable classes the one that comes first in the table counts as the more probable. NaN if no clip has a
    label.
    """
    rows = labels.any(axis=1)
    if not rows.any():
        return [float("nan")] * len(ks)
    true, said = labels[rows] == 1, probabilities[rows]
    first = np.argmax(np.where(true, said, -1.0), axis=1)[:, None]
    best = np.take_along_axis(said, first, axis=1)
    ahead = ((said > best) | ((said == best) & (np.arange(said.shape[1]) < first))).sum(axis=1)
    return [float((ahead < k).mean()) for k in ks]


def reliability(labels: Labels, probabilities: Probabilities, n_bins: int = _ECE_BINS) -> list[dict[str, float]]:
    """What happened where the model said p, over all classes together, in equal steps of p.

    Returns:
        A dict for each step that holds a prediction: `count`, `predicted` (mean probability), `observed` (share true).
    """
    order: Literal["C", "F"] = "F" if probabilities.flags.f_contiguous else "C"  # as it lies in memory
    said, true = probabilities.ravel(order), labels.ravel(order)
    step = np.minimum((said * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(step, minlength=n_bins)
    predicted = np.bincount(step, weights=said, minlength=n_bins)
    observed = np.bincount(step[true == 1], minlength=n_bins)
    return [
        {"count": int(count[b]), "predicted": predicted[b] / count[b], "observed": observed[b] / count[b]}
        for b in np.flatnonzero(count)
    ]


def expected_calibration_error(labels: Labels, probabilities: Probabilities, n_bins: int = _ECE_BINS) -> float:
    """The mean distance between predicted and observed share over the steps of `reliability`, weighted by count."""
    steps = reliability(labels, probabilities, n_bins)
    total = sum(step["count"] for step in steps)
    return float(sum(step["count"] * abs(step["predicted"] - step["observed"]) for step in steps) / total)


def evaluate(labels: LabelTable, predictions: Predictions, folds: Folds) -> dict[str, Any]:
    """Every score of one model's out-of-fold predictions, as JSON values (None where a score does not exist).

    The predictions decide which clips are scored; classes the model does not know are left out, and `classes` says
    which were in. Classes without a positive clip are left out of `map` and `macro_f1` (`classes_without_positives`).

    Raises:
        UnknownClipError: a predicted clip has no label or no fold.
        PredictionError: a predicted class is not among the labels'.
    """
    values = matching_values(labels, predictions)
    probabilities = predictions.probabilities
    fold = folds.of(predictions.ids)
    losses = log_losses(values, probabilities)
    fold_losses = [
        float(losses[fold == number].mean(axis=0).mean()) if (fold == number).any() else None
        for number in range(folds.n_folds)
    ]
    loss_of_class = losses.mean(axis=0)
    del losses
    scores = _per_class(values, probabilities, predictions.classes, loss_of_class)
    top_1, top_3 = top_shares(values, probabilities, 1, 3)
    aps = [row["ap"] for row in scores.values() if row["ap"] is not None]
    f1s = [row["f1"] for row in scores.values() if row["f1"] is not None]
    return {
        "n_clips": len(predictions.ids),
        "classes": list(predictions.classes),
        "classes_without_positives": [name for name, row in scores.items() if row["support"] == 0],
        "mean_log_loss": float(loss_of_class.mean()),
        "map": float(np.mean(aps)) if aps else None,
        "macro_f1": float(np.mean(f1s)) if f1s else None,
        "top_1": _number(top_1),
        "top_3": _number(top_3),
        "ece": expected_calibration_error(values, probabilities),
        "fold_log_loss": fold_losses,
        "fold_spread": _spread([loss for loss in fold_losses if loss is not None]),
        "per_class": scores,
    }


def matching_values(labels: LabelTable, predictions: Predictions) -> Labels:
    """The labels of the predicted clips and classes, (N, C) uint8, in the order of `predictions`.

    Raises:
        UnknownClipError: a predicted clip has no label.
        PredictionError: a predicted class is not among the labels'.
    """
    unknown = [name for name in predictions.classes if name not in labels.classes]
    if unknown:
        raise PredictionError(
            f"{predictions.where}: class '{unknown[0]}' is not in {labels.origin}; rename or drop the column"
        )
    columns = [labels.classes.index(name) for name in predictions.classes]
    return labels.select(predictions.ids).values[:, columns]


def _per_class(
    values: Labels, probabilities: Probabilities, classes: Sequence[str], losses: NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    precisions = average_precision(values, probabilities)
    f1s = f1_per_class(values, probabilities)
    total = float(losses.sum())
    return {
        name: {
            "support": int(values[:, column].sum()),
            "log_loss": float(losses[column]),
            "share": float(losses[column]) / total if total else 0.0,
            "ap": _number(precisions[column]),
            "f1": _number(f1s[column]),
        }
        for column, name in enumerate(classes)
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _spread(losses: Sequence[float]) -> float | None:
    return float(np.std(losses, ddof=1)) if len(losses) > 1 else None
