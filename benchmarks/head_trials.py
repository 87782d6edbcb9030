"""What single settings are worth to the default heads, on a store and labels of one's own.

    python -m benchmarks.head_trials --store STORE --labels labels.csv --sites sites.csv [--seeds 3] [--trials NAME ...]

Each trial changes one thing in the default recipe's trained heads. Those of all sources of the store train on folds
that keep sites whole; a seed deals other folds and starts other weights, the same for every trial. The log loss of each
head, of the mean of the logits of each view's heads where there are several, and of all heads' together; mean and
standard deviation over seeds, and the difference from the default, seed by seed. Prints a table and one JSON line.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.labels import LabelTable
from heads.data.reading.sites import labels_and_sites
from heads.data.splitting.folds import Folds
from heads.data.splitting.splits import assign_clip_folds
from heads.evaluation.metrics import mean_log_loss
from heads.models.seed_average import mean_of_logits
from heads.recipe import DEFAULT_METADATA, load_recipe
from heads.trainers.cross_validation import cross_validate_head
from heads.workflows.resolve import HeadSpec, resolve_heads
from store import FeatureReader, FeatureStore

DEFAULT = "default"
TRIALS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "mixup 0.2": {"mixup": 0.2},
    "mixup 1.0": {"mixup": 1.0},
    "tap dropout 0.2": {"tap_dropout": 0.2},
    "balanced sampling 0.5": {"class_balance": 0.5},
    "balanced sampling 1.0": {"class_balance": 1.0},
    "loss weights 0.5": {"class_balance": 0.5, "balance_by": "loss"},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "width 128": {"dense_units": (128,)},
    "width 512": {"dense_units": (512,)},
    "four seeds averaged": {"seeds": 4},
    "running average 0.95": {"averaging": 0.95},
    "metadata": {"metadata": DEFAULT_METADATA},
    "one query": {"queries": 1},
    "dropout 0.7": {"dropout": 0.7},
    "40 epochs": {"epochs": 40},
}
Losses = dict[str, float]


def one_seed(
    heads: list[HeadSpec],
    readers: dict[str, FeatureReader],
    facts: pd.DataFrame,
    labels: LabelTable,
    folds: Folds,
    settings: dict[str, Any],
    seed: int,
) -> Losses:
    """The losses of one trial under one seed."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for head in heads:
        (key,) = head.keys
        config = head.config.model_copy(update=settings)
        trained = cross_validate_head(head.reader(readers), facts, labels, folds, config, name=head.name, seed=seed)
        found.setdefault(str(key.view["name"]), {})[head.name] = trained.predictions.probabilities
    losses = {}
    for view, own in found.items():
        losses |= {name: mean_log_loss(labels.values, each) for name, each in own.items()}
        if len(own) > 1:
            losses[f"{view}, blended"] = mean_log_loss(labels.values, mean_of_logits(np.stack(list(own.values()))))
    everything = [each for own in found.values() for each in own.values()]
    losses["all blended"] = mean_log_loss(labels.values, mean_of_logits(np.stack(everything)))
    return losses


def table(results: dict[str, list[Losses]]) -> str:
    """Mean, spread and, behind the default's, the difference from it by seed with its own spread."""
    columns = list(next(iter(results.values()))[0])
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, runs in results.items():
        cells = []
        for column in columns:
            values = np.array([run[column] for run in runs])
            cell = f"{values.mean():.4f} ± {values.std():.4f}"
            if name != DEFAULT and DEFAULT in results:
                change = values - np.array([run[column] for run in results[DEFAULT]])
                cell += f" ({change.mean():+.4f} ± {change.std():.4f})"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--sites", type=Path)
    parser.add_argument("--recipe", type=Path, help="the built-in default if not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", nargs="*", choices=TRIALS, help="all if not given; the default always")
    parser.add_argument("--without", nargs="*", default=[], help="backbones to leave out")
    words = parser.parse_args()
    store, recipe = FeatureStore.open(words.store), load_recipe(words.recipe)
    facts = store.clips()
    labels = labels_and_sites(words.labels, facts.index, sites=words.sites, site_pattern=None).labels
    heads = [
        head
        for head in resolve_heads(recipe, store, labels.classes).heads
        if head.keys[0].backbone not in words.without and head.config.takes_epochs
    ]
    readers = {key.folder: store.reader(key) for head in heads for key in head.keys}
    chosen = list(dict.fromkeys([DEFAULT, *(words.trials if words.trials is not None else TRIALS)]))
    results: dict[str, list[Losses]] = {}
    for name in chosen:
        for seed in range(words.seeds):
            started, folds = time.perf_counter(), assign_clip_folds(labels, facts, recipe.folds, seed)[0]
            found = one_seed(heads, readers, facts, labels, folds, TRIALS[name], seed)
            results.setdefault(name, []).append(found)
            rounded = {each: round(loss, 4) for each, loss in found.items()}
            print(f"{name}, seed {seed}: {rounded}, {time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(table(results))
    print(json.dumps({"benchmark": "head_trials", "heads": [head.name for head in heads], "losses": results}))


if __name__ == "__main__":
    main()
