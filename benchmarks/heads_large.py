"""Do the defaults, chosen on a few hundred clips, hold on a large table? 20,000 made-up clips with a known answer.

    python -m benchmarks.heads_large [--clips 20000] [--folder DIR]

Each clip of 12 frames shows, in three of them, signals whose sizes decide the classes: the odds of a class depend on
two signals and on their product, so that something is left to gain over a linear model. The best loss that any model
can reach is therefore known: that of the very probabilities that the labels were drawn from. Sites have backgrounds of
their own. Prints the mean log loss of the training prior, logistic regression on maximum minus median, the attention
head of the third place, the default head and the known best, and a JSON line in which `gained` is the share of the way
from the prior to the best.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from heads.data.features.statistics_cache import cached_statistics
from heads.data.labels import LabelTable
from heads.data.splitting.folds import assign_folds
from heads.evaluation.metrics import mean_log_loss
from heads.recipe import builtin_recipe, load_recipe
from heads.trainers.cross_validation import cross_validate_head
from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status

DIM, FRAMES, SIGNALS, CLASSES, SITES = 256, 12, 16, 12, 100
Table = NDArray[np.float64]


def key() -> FeatureKey:
    return FeatureKey(
        backbone="made",
        weights_sha256="random-0",
        taps=(("low", 64), ("high", DIM - 64)),
        input_px=224,
        resize="none",
        preprocessing="none",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 1.0, "max_frames": FRAMES},
    )


def draw(clips: int, rng: np.random.Generator) -> tuple[Table, Table]:
    """The size of each signal (N, S) in each clip, and the probability (N, C) of each class."""
    signals = rng.exponential(1.0, (clips, SIGNALS)) * (rng.random((clips, SIGNALS)) < 0.3)
    first, second = rng.permutation(SIGNALS)[:CLASSES], rng.permutation(SIGNALS)[:CLASSES]
    one, other = signals[:, first], signals[:, second]
    logits = -4.0 + 2.0 * one + 0.5 * other + 1.5 * one * other
    return signals, 1 / (1 + np.exp(-np.clip(logits, -8, 8)))


def make_store(root: Path, signals: Table, rng: np.random.Generator) -> FeatureStore:
    store = FeatureStore.open(root, create=True)
    patterns = np.maximum(rng.normal(size=(SIGNALS, DIM)), 0)
    backgrounds = rng.exponential(1.0, (SITES, DIM))
    with store.writer(key()) as writer, store.clip_writer() as facts:
        for place, sizes in enumerate(signals):
            frames = backgrounds[place % SITES] + rng.normal(0, 0.1, (FRAMES, DIM))
            frames[rng.permutation(FRAMES)[:3]] += sizes @ patterns
            known = {"clip_id": f"{place:06d}", "fingerprint": str(place), "status": Status.OK, "reason": ""}
            facts.add(ClipFacts(**known, path="", size_bytes=1, mtime_ns=0, width=1, height=1))
            features = np.maximum(frames, 0).astype(np.float16)
            writer.add(ClipFeatures(**known, times_s=np.arange(float(FRAMES)), features=features))
    return store


def measure(root: Path, clips: int, recipes: list[str]) -> dict[str, object]:
    rng = np.random.default_rng(0)
    signals, chances = draw(clips, rng)
    values = (rng.random(chances.shape) < chances).astype(np.uint8)
    store = make_store(root, signals, rng)
    ids = tuple(f"{place:06d}" for place in range(clips))
    labels = LabelTable(ids=ids, classes=tuple(f"class {number}" for number in range(CLASSES)), values=values)
    folds = assign_folds(values, [f"site {place % SITES}" for place in range(clips)], 5, 0, ids=ids)
    reader, fold = store.reader(key()), folds.fold
    losses, seconds = {"best": mean_log_loss(values, chances)}, {}
    prior = np.stack([values[fold != number].mean(axis=0) for number in range(5)])[fold]
    losses["prior"] = mean_log_loss(values, prior)
    seen = cached_statistics(reader, reader.index_of(ids), ("deviation",))["deviation"][:]
    linear = np.zeros(values.shape)
    for number in range(5):
        for column in range(CLASSES):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))
            model.fit(seen[fold != number], values[fold != number, column])
            linear[fold == number, column] = model.predict_proba(seen[fold == number])[:, 1]
    losses["logistic"] = mean_log_loss(values, linear)
    for name in recipes:
        config = load_recipe(builtin_recipe(name)).heads[0].model_copy(update={"metadata": ()})
        started = time.perf_counter()
        trained = cross_validate_head(reader, store.clips(), labels, folds, config, name=name)
        seconds[name] = round(time.perf_counter() - started, 1)
        losses[name] = mean_log_loss(values, trained.predictions.probabilities)
    span = losses["prior"] - losses["best"]
    gained = {name: round((losses["prior"] - loss) / span, 3) for name, loss in losses.items()}
    rounded = {name: round(loss, 4) for name, loss in losses.items()}
    return {"benchmark": "heads_large", "clips": clips, "log_loss": rounded, "gained": gained, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where to put the store")
    parser.add_argument("--recipes", nargs="+", default=["third_place", "default"], help="first head of each")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.folder) as folder:
        print(json.dumps(measure(Path(folder) / "store", words.clips, words.recipes)))


if __name__ == "__main__":
    main()
