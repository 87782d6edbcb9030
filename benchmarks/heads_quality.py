"""How good the heads are, on a store and labels of one's own.

    python -m benchmarks.heads_quality --store STORE --labels labels.csv --sites sites.csv [--seeds 3] [--recipe FILE]

Folds keep sites whole. For each source, for the mean of the logits of each view's sources, and for that of all sources:
the mean per-class log loss and the mean average precision of (i) logistic regression (standardised, C = 0.001) on the
last tap's mean over time, (ii) the same on the last tap's maximum minus median, (iii) the attention head of the third
place, (iv) the head of the default recipe, or of `--recipe`, on that source, (v) its second head where it has one, and
the mean of the logits of both. A seed deals other folds and starts other weights; figures are mean ± standard deviation
over seeds. Prints two tables and one JSON line, in which `ratios` is (iv) over (ii), blended.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from heads.data.features.statistics_cache import cached_statistics
from heads.data.labels import LabelTable
from heads.data.reading.sites import labels_and_sites
from heads.data.splitting.folds import Folds
from heads.data.splitting.splits import assign_clip_folds
from heads.evaluation.metrics import average_precision, mean_log_loss
from heads.models.seed_average import mean_of_logits
from heads.recipe import HeadConfig, Recipe, builtin_recipe, load_recipe
from heads.trainers.cross_validation import cross_validate_head
from heads.workflows.resolve import resolve_heads
from store import FeatureReader, FeatureStore

Found = NDArray[np.float64]
Score = dict[str, float]
LOGISTIC_DEVIATION, DEFAULT = "(ii) logistic, max - median", "(iv) default"
SECOND, TOGETHER, PRIOR = "(v) default, second head", "(iv) and (v)", "training prior"
LOGISTIC = {"(i) logistic, mean": "mean", LOGISTIC_DEVIATION: "deviation"}


def logistic(reader: FeatureReader, labels: LabelTable, folds: Folds, statistic: str) -> Found:
    """Out-of-fold probabilities (N, C) from the last tap; a class without examples to learn from gets its share."""
    tap = reader.key.tap_columns[-1]
    seen = cached_statistics(reader, reader.index_of(labels.ids), (statistic,))[statistic][:][:, tap.start : tap.stop]
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
) -> dict[str, dict[str, Score]]:
    """The scores of each way under each source, and of sources blended."""
    folds = assign_clip_folds(labels, facts, Recipe().folds, seed)[0]
    views = {source: str(reader.key.view["name"]) for source, reader in readers.items()}
    found: dict[str, dict[str, Found]] = {}
    for way in ways:
        found[way] = {}
        for source, reader in readers.items():
            started = time.perf_counter()
            if way in LOGISTIC:
                found[way][source] = logistic(reader, labels, folds, LOGISTIC[way])
            elif source in heads[way]:
                trained = cross_validate_head(reader, facts, labels, folds, heads[way][source], name=way, seed=seed)
                found[way][source] = trained.predictions.probabilities
            else:
                continue
            print(f"seed {seed} {way} {source}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    own = [found[way] for way in ways if way in (DEFAULT, SECOND)]
    found[TOGETHER] = {source: blended(each[source] for each in own if source in each) for source in readers if own}
    scores = {PRIOR: {"all blended": score(labels, prior(labels, folds))}}
    for way, each in found.items():
        blends = {
            f"{view}, blended": [each[source] for source in each if views[source] == view]
            for view in dict.fromkeys(views.values())
        }
        blends["all blended"] = [*each.values()] if way != TOGETHER else [one for some in own for one in some.values()]
        each |= {name: blended(several) for name, several in blends.items() if several}
        scores[way] = {name: score(labels, probabilities) for name, probabilities in each.items()}
    return scores


def blended(several: Iterable[Found]) -> Found:
    return mean_of_logits(np.stack(list(several)))


def score(labels: LabelTable, probabilities: Found) -> Score:
    return {
        "log loss": mean_log_loss(labels.values, probabilities),
        "mAP": float(np.nanmean(average_precision(labels.values, probabilities))),
    }


def table(runs: list[dict[str, dict[str, Score]]], what: str) -> str:
    columns = list(dict.fromkeys(name for run in runs for each in run.values() for name in each))
    lines = [f"| {what} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for way in runs[0]:
        cells = []
        for name in columns:
            values = [run[way][name][what] for run in runs if name in run[way]]
            cells.append(f"{np.mean(values):.4f} ± {np.std(values):.4f}" if values else "")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
    facts = store.clips()
    labels = labels_and_sites(words.labels, facts.index, sites=words.sites, site_pattern=None).labels
    published = next(each for each in load_recipe(builtin_recipe("third_place")).heads if each.kind == "attention")
    readers = {key.source: store.reader(key) for key in store.keys()}
    heads: dict[str, dict[str, HeadConfig]] = {"(iii) third place": dict.fromkeys(readers, published)}
    for head in resolve_heads(load_recipe(words.recipe), store, labels.classes).heads:
        if len(head.keys) == 1:
            source = head.keys[0].source
            way = DEFAULT if source not in heads.setdefault(DEFAULT, {}) else SECOND
            heads.setdefault(way, {}).setdefault(source, head.config)
    ways = [way for way in (*LOGISTIC, *heads) if way.split(")")[0].strip("(") not in words.without]
    runs = [one_seed(readers, facts, labels, heads, ways, seed) for seed in range(words.seeds)]
    print(table(runs, "log loss"))
    print(table(runs, "mAP"))
    result: dict[str, Any] = {"benchmark": "heads_quality", "runs": runs}
    if {LOGISTIC_DEVIATION, DEFAULT} <= set(runs[0]):
        result["ratios"] = {
            name: round(
                float(
                    np.mean(
                        [run[DEFAULT][name]["log loss"] / run[LOGISTIC_DEVIATION][name]["log loss"] for run in runs]
                    )
                ),
                3,
            )
            for name in runs[0][DEFAULT]
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
