"""How good models get by so many labels, chosen in different ways: a simulation on labels that are known.

    python -m benchmarks.active_learning --store STORE --labels labels.csv --sites sites.csv [--seeds 5] [--ways ...]

Sites are dealt into five folds, anew for each seed; the clips of four are the pool that labels are asked for in, 50 at
a time, those of the fifth are scored. A model is a discriminant on the mean weighted by motion of each network's last
tap, in 256 directions, calibrated across sites, and the mean of the logits of all networks. Every clip is scored once a
seed. Figures: mean log loss over classes; recall, the share of clips of a class of which it is the most probable
animal, of the five rarest classes and of the rarest; mean average precision; how many clips of the five rarest classes
were labelled. Calibration takes all labels alike (`none`), as still and moving clips are shared among all clips
(`kind`), or those alone that chance chose (`chance`). Prints a table and one JSON line.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

from heads.data.features.readers import columns_of_last_taps
from heads.data.features.statistics_cache import cached_statistics
from heads.data.labels import BLANK
from heads.data.mix import stands_for
from heads.data.reading.sites import labels_and_sites
from heads.evaluation.metrics import average_precision, mean_log_loss
from heads.models.kinds.discriminant import fit_discriminant, sums_of
from heads.models.kinds.discriminant_calibration import default_calibration, fit_calibration
from heads.selection.embedding import choose_key, embed
from heads.selection.pool import Pool
from heads.selection.queue import make_queue
from heads.workflows.resolve import choose_keys
from store import FeatureStore

BUDGETS, BATCH, FOLDS, INNER_FOLDS, DIRECTIONS, RAREST = (50, 100, 200), 50, 5, 4, 256, 5
SHRINKAGE = 0.5
Found = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection:
    """All clips: what networks see of them, and the truth."""

    pool: Pool
    seen: Sequence[NDArray[np.float32]]
    labels: NDArray[np.uint8]


def read_collection(store: FeatureStore, labels_path: Path, sites: Path, view: str) -> Collection:
    clips = store.clips()
    labels = labels_and_sites(labels_path, clips.index, sites=sites, site_pattern=None).labels
    keys = [key for key in choose_keys(store, ()) if key.view["name"] == view]
    seen = []
    for key in keys:
        reader = store.reader(key)
        values = cached_statistics(reader, reader.index_of(labels.ids), ["event"])["event"]
        seen.append(directions(values[:][:, columns_of_last_taps(reader)]))
    embedding = embed(store.reader(choose_key(store)), labels.known_sites)
    place = {clip_id: row for row, clip_id in enumerate(embedding.ids)}
    rows = np.array([place[clip_id] for clip_id in labels.ids])
    pool = replace(
        Pool.of(labels.ids, classes=labels.classes, sites=labels.sites),
        embedding=np.asarray(embedding.vectors)[rows],
        moves=clips.loc[list(labels.ids), "motion_share"].to_numpy() > 0,
    )
    return Collection(pool=pool, seen=seen, labels=labels.values)


def directions(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The roots of values in the directions in which all clips differ most, mixed so that all columns are alike."""
    roots = np.sign(values) * np.sqrt(np.abs(values))
    apart = (roots - roots.mean(axis=0)) / np.maximum(roots.std(axis=0), 1e-3)
    _, _, turn = np.linalg.svd(apart, full_matrices=False)
    kept = turn[:DIRECTIONS]
    mixed, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(kept), len(kept))))
    return np.asarray(apart @ kept.T @ mixed, np.float32)


def answers(
    collection: Collection, rows: NDArray[np.int64], weights: Found | None, rng: np.random.Generator
) -> list[Found]:
    """What models of each network say of all clips (N, C), after learning from the labels of some."""
    targets = collection.labels[rows].astype(np.float32)
    sites = np.array(collection.pool.sites)[rows]
    names = rng.permutation(np.unique(sites))
    fold = np.argmax(sites[:, None] == names, axis=1) % min(INNER_FOLDS, len(names))
    found = []
    for seen in collection.seen:
        values = seen[rows]
        whole = fit_discriminant(sums_of(values, targets), SHRINKAGE)
        scores, known = np.zeros(targets.shape), np.zeros(targets.shape, bool)
        for number in np.unique(fold).tolist():
            own = fold == number
            if own.all():
                continue
            inner = fit_discriminant(sums_of(values[~own], targets[~own]), SHRINKAGE)
            scores[own], known[own] = inner.scores(values[own]), inner.known
        calibration = (
            fit_calibration(scores, known, targets, weights)
            if len(np.unique(fold)) > 1
            else default_calibration(whole.scores(values), targets)
        )
        moved = whole.scores(seen) * calibration.inverse_temperature + calibration.bias_of(whole.known)
        found.append(compete(moved, calibration.strength))
    return found


def compete(moved: Found, strength: float) -> Found:
    top = np.maximum(moved.max(axis=1, keepdims=True), 0.0)
    odds, nothing = np.exp(moved - top), np.exp(-top)
    others = np.maximum(odds.sum(axis=1, keepdims=True) - odds + nothing, 1e-100)
    return 1.0 / (1.0 + np.exp(-np.clip(moved - strength * (np.log(others) + top), -30, 30)))


def blend(members: Sequence[Found]) -> Found:
    sure = [np.clip(each, 1e-6, 1 - 1e-6) for each in members]
    return np.asarray(1 / (1 + np.exp(-np.mean([np.log(each / (1 - each)) for each in sure], axis=0))))


Choose = Callable[[Pool, int], list[str]]


def by_strategy(name: str) -> Choose:
    return lambda pool, seed: [each.clip_id for each in make_queue(pool, strategy=name, count=BATCH, seed=seed)]


def by_margin(pool: Pool, seed: int) -> list[str]:
    """The clips nearest to a threshold, without any rule; by chance before there is a model."""
    if pool.probabilities is None:
        return by_strategy("random")(pool, seed)
    rows = np.flatnonzero(pool.open)
    margins = np.abs(pool.probabilities[rows] - 0.5).min(axis=1)
    return [pool.ids[row] for row in rows[np.argsort(margins, kind="stable")[:BATCH]].tolist()]


WAYS: dict[str, Choose] = {"random": by_strategy("random"), "margin": by_margin, "recipe": by_strategy("next")}


def one_way(collection: Collection, choose: Choose, asked: NDArray[np.int64], seed: int, weigh: str) -> dict[int, Any]:
    """The answers for all clips, and which were labelled, at each budget."""
    pool, rng = collection.pool, np.random.default_rng(seed)
    ids = [f"{seed} {clip_id}" for clip_id in pool.ids]  # another seed, another order of chance
    own = replace(
        pool,
        ids=tuple(ids[row] for row in asked),
        sites=tuple(pool.sites[row] for row in asked),
        embedding=pool.embedding[asked],
        moves=pool.moves[asked],
        copies=np.arange(len(asked)),
        labels=np.zeros((len(asked), len(pool.classes)), np.uint8),
        labelled=np.zeros(len(asked), bool),
        reviewed=np.zeros(len(asked), bool),
        drawn=np.zeros(len(asked), bool),
    )
    found = {}
    while (done := int(own.labelled.sum())) < max(BUDGETS):
        chosen = own.rows_of(choose(own, seed * 1000 + done))
        labelled = own.labelled.copy()
        labelled[chosen] = True
        labels = np.where(labelled[:, None], collection.labels[asked], 0).astype(np.uint8)
        rows = asked[labelled]
        members = answers(collection, rows, WEIGHTS[weigh](own, labelled), rng)
        together = blend(members)
        own = replace(
            own,
            labels=labels,
            labelled=labelled,
            reviewed=labelled,
            probabilities=together[asked],
        )
        if int(labelled.sum()) in BUDGETS:
            found[int(labelled.sum())] = (together, rows)
    return found


def no_weights(pool: Pool, labelled: NDArray[np.bool_]) -> Found | None:
    return None


def by_kind(pool: Pool, labelled: NDArray[np.bool_]) -> Found:
    """Clips in which something moves, and others, count as they are shared among all clips."""
    return stands_for(pool.moves[labelled], pool.moves)


def by_chance_alone(pool: Pool, labelled: NDArray[np.bool_]) -> Found:
    """Only clips that chance drew count; the others by a thousandth, so that something is there for each class."""
    still_open = pool.order[~labelled]
    return np.where(pool.order[labelled] < still_open.min(initial=np.inf), 1.0, 1e-3)


WEIGHTS: dict[str, Callable[[Pool, NDArray[np.bool_]], Found | None]] = {
    "none": no_weights,
    "kind": by_kind,
    "chance": by_chance_alone,
}


def scores(collection: Collection, together: Found, labelled: Sequence[int]) -> dict[str, float]:
    labels, classes = collection.labels, collection.pool.classes
    animals = [column for column, name in enumerate(classes) if name != BLANK]
    top = np.array(animals)[together[:, animals].argmax(axis=1)]
    recall = {column: float((top == column)[labels[:, column] == 1].mean()) for column in animals}
    rarest = sorted(animals, key=lambda column: int(labels[:, column].sum()))[:RAREST]
    return {
        "log_loss": mean_log_loss(labels, together),
        "rare_recall": float(np.mean([recall[column] for column in rarest])),
        "rarest_recall": recall[rarest[0]],
        "map": float(np.nanmean(average_precision(labels, together))),
        "rare_labelled": float(labels[list(labelled)][:, rarest].sum() / FOLDS),
    }


def one_seed(collection: Collection, choose: Choose, seed: int, weigh: str) -> dict[int, dict[str, float]]:
    sites = np.array(collection.pool.sites)
    names = np.random.default_rng(seed).permutation(np.unique(sites))
    fold = np.argmax(sites[:, None] == names, axis=1) % FOLDS
    together = {budget: np.empty(collection.labels.shape) for budget in BUDGETS}
    labelled: dict[int, list[int]] = {budget: [] for budget in BUDGETS}
    for number in range(FOLDS):
        for budget, (said, rows) in one_way(
            collection, choose, np.flatnonzero(fold != number), seed * FOLDS + number, weigh
        ).items():
            together[budget][fold == number] = said[fold == number]
            labelled[budget] += rows.tolist()
    return {budget: scores(collection, together[budget], labelled[budget]) for budget in BUDGETS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--view", default="motion")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--weigh", nargs="*", default=list(WEIGHTS))
    given = parser.parse_args()
    collection = read_collection(FeatureStore.open(given.store), given.labels, given.sites, given.view)
    results: dict[str, Any] = {}
    for way in given.ways:
        for weigh in given.weigh:
            started = time.monotonic()
            runs = [one_seed(collection, WAYS[way], seed, weigh) for seed in range(given.seeds)]
            results[f"{way}/{weigh}"] = runs
            for budget in BUDGETS:
                means = {name: np.array([run[budget][name] for run in runs]) for name in runs[0][budget]}
                line = "  ".join(
                    f"{name} {each.mean():.4f} ± {each.std(ddof=1) if len(each) > 1 else 0:.4f}"
                    for name, each in means.items()
                )
                print(f"{way:>16}/{weigh:<8} {budget:>4}  {line}", file=sys.stderr)
            print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
