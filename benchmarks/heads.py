"""Training heads: all folds at once, beside the way of the third place of the Pri-matrix Factorization.

    python -m benchmarks.heads [--clips 3000] [--epochs 20] [--timed 2] [--folder DIR]

A made-up store of (45, 3840) float16 clips with 24 classes in 5 folds. The ways train in turns, an epoch each:
(a) five plain Keras models one after another, float32 batches put together in Python from one .npy a clip, with the
published attention head; (b) ours with the published head of equal size; (c) ours with the default head, one seed.

`a_over_b` and `a_over_c` are ratios of wall time over `--epochs` epochs (the published recipe has 15 + 5), with
everything that is done once (statistics, moments, tracing). (c) goes through all of them. (a) and (b) go through
`--timed` of them, and the others are taken to last as long as the mean of those after the first, which is an epoch like
any other but for tracing. `*_later` are ratios of an epoch after the first.

Prints a table of where the time of a step of (b) and (c) goes, with what the machine could do at best, and one JSON
line. In it, `batched_over_separate` is the time of the first dense layers of all members as one batched product with a
member axis, over that of a product a member, which is what is done.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops
from numpy.typing import NDArray

from benchmarks.head_steps import batched_over_separate, machine_limits, step_table
from heads.recipe import HeadConfig, builtin_recipe, load_recipe
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.cross_validation import make_batches
from heads.trainers.members import plan_members
from heads.trainers.task import HeadTask
from heads.trainers.trainer import Trainer
from store import ClipFeatures, FeatureKey, FeatureReader, FeatureStore, Status

FRAMES, DIM, CLASSES, FOLDS, BATCH = 45, 3840, 24, 5, 64


def key() -> FeatureKey:
    return FeatureKey(
        backbone="benchmark",
        weights_sha256="random-0",
        taps=(("low", 1792), ("high", 2048)),
        input_px=404,
        resize="none",
        preprocessing="none",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 3.0, "max_frames": FRAMES},
    )


def make_clips(folder: Path, clips: int) -> tuple[FeatureReader, NDArray[np.float32]]:
    """A store and one .npy a clip with the same features, and labels that show in them."""
    rng = np.random.default_rng(0)
    labels = (rng.random((clips, CLASSES)) < 0.1).astype(np.float32)
    pool = np.maximum(rng.standard_normal((4 * FRAMES, DIM), dtype=np.float32), 0).astype(np.float16)
    (folder / "npy").mkdir()
    store = FeatureStore.open(folder / "store", create=True)
    with store.writer(key()) as writer:
        for place in range(clips):
            start = int(rng.integers(0, 3 * FRAMES))
            features = pool[start : start + FRAMES].copy()
            features[20:25, 40 * np.flatnonzero(labels[place])] += np.float16(3)
            np.save(folder / "npy" / f"{place:06d}.npy", features)
            writer.add(
                ClipFeatures(
                    clip_id=f"{place:06d}.mp4",
                    fingerprint=f"{place:032x}",
                    status=Status.OK,
                    reason="",
                    times_s=np.arange(FRAMES) / 3,
                    features=features,
                )
            )
    return store.reader(key()), labels


class PublishedAttention(keras.layers.Layer):
    """As published: one vector scores each frame, a bias for each time step, tanh, softmax over time."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.query = self.add_weight(shape=(shape[-1],), name="query")
        self.bias = self.add_weight(shape=(shape[1],), initializer="zeros", name="bias")

    def call(self, features: Any) -> Any:
        weights = ops.softmax(ops.tanh(ops.matmul(features, self.query) + self.bias), axis=1)
        return ops.einsum("bt,btd->bd", weights, features)


def published_model() -> keras.Model:
    frames = keras.Input((FRAMES, DIM))
    change = ops.max(frames, axis=1) - ops.min(frames, axis=1)
    x = layers.Concatenate()([PublishedAttention()(layers.BatchNormalization()(frames)), change])
    x = layers.Dropout(0.25)(layers.BatchNormalization()(x))
    for number in range(2):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(1024)(x)))
        x = layers.Dropout(0.25)(x) if number == 0 else x
    model = keras.Model(frames, layers.Dense(CLASSES, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    return model


class NpyBatches(keras.utils.PyDataset):
    """Float32 batches put together from one file a clip."""

    def __init__(self, folder: Path, clips: NDArray[np.int64], labels: NDArray[np.float32]) -> None:
        super().__init__()
        self._folder, self._labels = folder, labels
        self._order = np.random.default_rng(0).permutation(clips)

    def __len__(self) -> int:
        return -(-len(self._order) // BATCH)

    def __getitem__(self, batch: int) -> Any:
        chosen = self._order[batch * BATCH : (batch + 1) * BATCH]
        frames = [np.load(self._folder / f"{clip:06d}.npy") for clip in chosen]
        return np.stack(frames).astype(np.float32), self._labels[chosen]


def third_place_way(folder: Path, labels: NDArray[np.float32], fold: NDArray[np.int64]) -> Callable[[], object]:
    models = [published_model() for _ in range(FOLDS)]

    def epoch() -> None:
        for number, model in enumerate(models):
            model.fit(NpyBatches(folder, np.flatnonzero(fold != number), labels), verbose=0)

    return epoch


def our_way(
    config: HeadConfig, reader: FeatureReader, labels: NDArray[np.float32], fold: NDArray[np.int64]
) -> tuple[Trainer, Iterator[object]]:
    plan = plan_members(config, FOLDS, 0, judged=False)
    facts = pd.DataFrame({"width": 1, "height": 1}, index=list(reader.ids))
    _, examples = make_batches(reader, facts, tuple(reader.ids), config, plan, fold)
    trainer = Trainer(
        HeadTask(config=config, plan=plan, examples=examples, targets=labels, fold=fold), Checkpoint(path=None)
    )
    return trainer, trainer.steps()


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(folder: Path, clips: int, epochs: int, timed_epochs: int) -> dict[str, Any]:
    reader, labels = make_clips(folder, clips)
    fold = np.arange(clips) % FOLDS
    without_facts = {"metadata": (), "epochs": epochs, "pseudo_epochs": 0}
    published = next(each for each in load_recipe(builtin_recipe("third_place")).heads if each.kind == "attention")
    default = load_recipe(builtin_recipe("default")).heads[0]
    configs = {
        "b": published.model_copy(update=without_facts),
        "c": default.model_copy(update={**without_facts, "seeds": 1}),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("a", "b", "c")}
    ways: dict[str, Callable[[], object]] = {}
    started = time.perf_counter()
    ways["a"] = third_place_way(folder / "npy", labels, fold)
    once = {"a": time.perf_counter() - started}
    courses = {}
    for name, config in configs.items():
        started = time.perf_counter()
        courses[name], steps = our_way(config, reader, labels, fold)
        once[name] = time.perf_counter() - started
        ways[name] = lambda steps=steps: next(steps)
    for number in range(epochs):
        for name, way in ways.items():
            if number < timed_epochs or name == "c":
                seconds[name].append(timed(way))
                print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr)
    later = {name: float(np.mean(each[1:] or each)) for name, each in seconds.items()}
    totals = {name: once[name] + sum(each) + (epochs - len(each)) * later[name] for name, each in seconds.items()}
    limits = machine_limits()
    for name, trainer in courses.items():
        print(step_table(f"({name}) {configs[name].kind}", trainer, limits))
    return {
        "benchmark": "heads",
        "clips": clips,
        "epochs": epochs,
        "timed_epochs": {name: len(each) for name, each in seconds.items()},
        "a_over_b": round(totals["a"] / totals["b"], 2),
        "a_over_c": round(totals["a"] / totals["c"], 2),
        "a_over_b_later": round(later["a"] / later["b"], 2),
        "a_over_c_later": round(later["a"] / later["c"], 2),
        "total_s": {name: round(each, 1) for name, each in totals.items()},
        "once_s": {name: round(each, 1) for name, each in once.items()},
        "epoch_s": {name: [round(one, 1) for one in each] for name, each in seconds.items()},
        "batched_over_separate": {
            name: round(
                batched_over_separate(FOLDS, configs[name].batch_clips, 2 * DIM, configs[name].dense_units[0]), 2
            )
            for name in courses
        },
        **{name: round(each, 1) for name, each in limits.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--timed", type=int, default=2, help="epochs of (a) and (b) that are timed")
    parser.add_argument("--folder", type=Path, help="where to put the files, on the disk to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(json.dumps(measure(Path(folder), arguments.clips, arguments.epochs, arguments.timed)))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main()
