"""How good the heads are, on a store and labels of one's own.

    python -m benchmarks.heads_quality --store STORE --labels labels.csv --sites sites.csv [--seeds 3] [--recipe FILE]

Folds keep sites whole. For each source, and for the mean of the logits of each view's sources: the mean per-class log
loss of (i) logistic regression (standardised, C = 0.001) on the last tap's mean over time, (ii) the same on the last
tap's maximum minus median, (iii) the attention head of the third place, (iv) the default head, or those of `--recipe`.
A seed deals other folds and starts other weights; figures are mean ± standard deviation over seeds. Prints a table and
one JSON line, in which `ratios` are (iv) over (ii), blended, for each view.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from heads.fit import train_heads
from heads.folds import Folds
from heads.labels import LabelTable, load_labels
from heads.metrics import mean_log_loss
from heads.named import resolve_heads
from heads.recipe import HeadConfig, Recipe, builtin_recipe, load_recipe
from heads.remembered import clip_statistics
from heads.seeds import mean_of_logits
from heads.train import make_folds
from store import FeatureReader, FeatureStore

Found = NDArray[np.float64]
LOGISTIC_DEVIATION, DEFAULT = "(ii) logistic, max - median", "(iv) default"
LOGISTIC = {"(i) logistic, mean": "mean", LOGISTIC_DEVIATION: "deviation"}


def logistic(reader: FeatureReader, labels: LabelTable, folds: Folds, statistic: str) -> Found:
    """Out-of-fold probabilities (N, C) from the last tap; a class without examples to learn from gets its share."""
    tap = reader.key.tap_columns[-1]
    seen = clip_statistics(reader, reader.index_of(labels.ids), (statistic,))[statistic][:, tap.start : tap.stop]
    found, fold = np.zeros(labels.values.shape), folds.of(labels.ids)
    for number in range(folds.n_folds):
        learned, scored = fold != number, fold == number
        # Turned into the span of what is learned from: the same fit, since its penalty knows no direction, but sooner.
        turned = make_pipeline(StandardScaler(), PCA(svd_solver="full")).fit(seen[learned]).transform(seen)
        for column, values in enumerate(labels.values[learned].T):
            if values.min() == values.max():
                found[scored, column] = values.mean()
                continue
            model = LogisticRegression(C=0.001, max_iter=1000)
            found[scored, column] = model.fit(turned[learned], values).predict_proba(turned[scored])[:, 1]
    return found


def prior(labels: LabelTable, folds: Folds) -> Found:
    fold = folds.of(labels.ids)
    return np.stack([labels.values[fold != number].mean(axis=0) for number in range(folds.n_folds)])[fold]


def one_seed(
    readers: dict[str, FeatureReader],
    facts: pd.DataFrame,
    labels: LabelTable,
    heads: dict[str, dict[str, HeadConfig]],
    ways: list[str],
    seed: int,
) -> dict[str, dict[str, float]]:
    """The log loss of each way under each source, and of each view's sources blended."""
    folds = make_folds(labels, facts, Recipe(seed=seed))
    views = {source: f"{reader.key.view['name']}, blended" for source, reader in readers.items()}
    losses = {"training prior": dict.fromkeys(views.values(), mean_log_loss(labels.values, prior(labels, folds)))}
    for way in ways:
        found = {}
        for source, reader in readers.items():
            started = time.perf_counter()
            if way in LOGISTIC:
                found[source] = logistic(reader, labels, folds, LOGISTIC[way])
            else:
                trained = train_heads(reader, facts, labels, folds, heads[way][source], name=way, seed=seed)
                found[source] = trained.predictions.probabilities
            print(f"seed {seed} {way} {source}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
        for view in dict.fromkeys(views.values()):
            found[view] = mean_of_logits(np.stack([found[source] for source in readers if views[source] == view]))
        losses[way] = {name: mean_log_loss(labels.values, each) for name, each in found.items()}
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--sites", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--without", nargs="*", default=[], help="ways to leave out, such as iii")
    words = parser.parse_args()
    store = FeatureStore.open(words.store)
    labels, facts = load_labels(words.labels, sites=words.sites), store.clips()
    published = next(each for each in load_recipe(builtin_recipe("third_place")).heads if each.kind == "attention")
    readers = {key.source: store.reader(key) for key in store.keys()}
    resolved = resolve_heads(load_recipe(words.recipe), store, labels.classes).heads
    heads = {
        "(iii) third place": dict.fromkeys(readers, published),
        DEFAULT: {head.keys[0].source: head.config for head in resolved},
    }
    ways = [way for way in (*LOGISTIC, *heads) if way.split(")")[0].strip("(") not in words.without]
    runs = [one_seed(readers, facts, labels, heads, ways, seed) for seed in range(words.seeds)]
    mean = {way: {s: float(np.mean([run[way][s] for run in runs])) for s in runs[0][way]} for way in runs[0]}
    spread = {way: {s: float(np.std([run[way][s] for run in runs])) for s in runs[0][way]} for way in runs[0]}
    columns = list(mean[ways[0]])
    print("| | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for way, each in mean.items():
        cells = [f"{each[s]:.4f} ± {spread[way][s]:.4f}" if s in each else "" for s in columns]
        print(f"| {way} | " + " | ".join(cells) + " |")
    result = {"benchmark": "heads_quality", "mean": mean, "spread": spread}
    if {LOGISTIC_DEVIATION, DEFAULT} <= set(mean):
        ours, theirs = mean[DEFAULT], mean[LOGISTIC_DEVIATION]
        result["ratios"] = {name: round(ours[name] / theirs[name], 3) for name in ours if name not in readers}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
