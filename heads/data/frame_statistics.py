"""Statistics of a head's scores of single frames over each clip: further inputs for stackers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from heads.data.predictions import Predictions
from heads.errors import PredictionError

EDGES = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95])  # of the histogram's steps of probability
ORDER = ("mean", "median", "min", "max", "p10", "p90")
FRAME_STATISTICS = (*ORDER, *(f"step{number}" for number in range(len(EDGES) + 1)))


def layer_name(model: str, statistic: str) -> str:
    """What the table of one statistic of `FRAME_STATISTICS` over a model's frames is called."""
    return f"{model}@{statistic}"


def spread_over_frames(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The statistics of `FRAME_STATISTICS` over the frames of a clip, (S, ...), from (T, ...), T at least 1.

    A step is the share of the frames whose probability is above one edge and not above the next.

    Source: first place of DrivenData's Pri-matrix Factorization (second level).
    """
    p10, median, p90 = np.percentile(probabilities, (10, 50, 90), axis=0)
    lowest, highest = probabilities.min(axis=0), probabilities.max(axis=0)
    steps = shares_of_steps(probabilities)
    return np.stack([probabilities.mean(axis=0), median, lowest, highest, p10, p90, *steps]).astype(np.float32)


def shares_of_steps(probabilities: NDArray[Any]) -> list[NDArray[np.float64]]:
    """A histogram along the first axis: the share of the values in each step between the `EDGES`."""
    steps = np.searchsorted(EDGES, probabilities)
    return [(steps == step).mean(axis=0) for step in range(len(EDGES) + 1)]


def to_predictions(
    model: str,
    ids: Sequence[str],
    classes: Sequence[str],
    spread: NDArray[np.float32],
    fold: NDArray[np.int64] | None = None,
) -> list[Predictions]:
    """Statistics (S, N, C) as predictions, one table for each of `FRAME_STATISTICS`."""
    return [
        Predictions(
            ids=tuple(ids),
            classes=tuple(classes),
            probabilities=np.clip(values, 0.0, 1.0),
            fold=fold,
            provenance={"model": layer_name(model, statistic)},
        )
        for statistic, values in zip(FRAME_STATISTICS, spread, strict=True)
    ]


def for_one_frame(predictions: Predictions) -> list[Predictions]:
    """The tables for clips without frames: each counts as a clip of one frame, scored as the clip is."""
    spread = spread_over_frames(predictions.probabilities.astype(np.float32)[None])
    return to_predictions(predictions.model, predictions.ids, predictions.classes, spread, predictions.fold)


def write(path: Path, layers: Sequence[Predictions]) -> None:
    """Write what `to_predictions` made, of out-of-fold predictions, as one compressed .npz file."""
    first = layers[0]
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            ids=np.array(first.ids),
            classes=np.array(first.classes),
            fold=np.asarray(first.fold),
            spread=np.stack([each.probabilities for each in layers]).astype(np.float32),
        )


def read(path: Path, model: str) -> list[Predictions]:
    """Read what `write` wrote.

    Raises:
        PredictionError: the file is something else, or holds other statistics.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            ids, classes, fold, spread = (held[name] for name in ("ids", "classes", "fold", "spread"))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise PredictionError(
            f"{path}: not a table of frame scores ({error}); delete it and run `heads train --frame-scores` again"
        ) from error
    if len(spread) != len(FRAME_STATISTICS):
        raise PredictionError(
            f"{path}: {len(spread)} statistics of frame scores, expected {len(FRAME_STATISTICS)}: another version made "
            "it; delete it and run `heads train --frame-scores` again"
        )
    return to_predictions(model, ids.tolist(), classes.tolist(), spread, fold)
