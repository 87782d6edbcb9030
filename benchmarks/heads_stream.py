"""Does training stream? Memory and speed over a store that is read from the disk in every epoch.

    python -m benchmarks.heads_stream [--clips 16000] [--epochs 2] [--folder DIR] [--project 200000]

A made-up store of (45, 3840) float16 clips, 0.35 MB each. The published attention head, which reads every frame in
every epoch, and the default head, which reads them once, train on a quarter of the clips and on all of them, each in a
process of its own. Before every epoch the parts are put out of the page cache, so that the disk has to give them again
as it would have to for a store that is larger than memory. Prints the highest memory that is the process's own
(anonymous) and the highest that is mapped from files, which the system takes back when it needs it; clips a second;
what `heads train --dry-run` forecasts for the clips that there are, and for `--project` of them; and a JSON line.
`growth` is the own memory on all clips over that on a quarter: streaming means about 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.heads import CLASSES, DIM, FOLDS, FRAMES, key
from store import ClipFeatures, FeatureReader, FeatureStore, Status

HEADS = {"published": "third_place", "default": "default"}
_EVERY_S = 0.05


def make_store(root: Path, clips: int) -> None:
    """Clips cut from one long noise, labels beside them."""
    rng = np.random.default_rng(0)
    labels = (rng.random((clips, CLASSES)) < 0.1).astype(np.uint8)
    pool = np.maximum(rng.standard_normal((8 * FRAMES, DIM), dtype=np.float32), 0).astype(np.float16)
    store = FeatureStore.open(root, create=True)
    with store.writer(key()) as writer:
        for place in range(clips):
            start = int(rng.integers(0, 7 * FRAMES))
            features = pool[start : start + FRAMES].copy()
            features[20:25, 40 * np.flatnonzero(labels[place])] += np.float16(3)
            known: dict[str, Any] = {"clip_id": f"{place:06d}.mp4", "fingerprint": f"{place:032x}"}
            times_s = np.arange(FRAMES) / 3
            writer.add(ClipFeatures(**known, status=Status.OK, reason="", times_s=times_s, features=features))
    np.save(root.parent / "labels.npy", labels)


def forget(root: Path) -> None:
    """Put the store's files out of the page cache."""
    for path in [*root.glob("features/*/part-*.h5"), *root.glob("**/*.npy")]:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Watch(threading.Thread):
    """Looks at this process's memory every so often."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.highest = {"RssAnon": 0, "RssFile": 0}

    def run(self) -> None:
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in self.highest:
                    self.highest[name] = max(self.highest[name], int(rest.split()[0]) // 1024)
            time.sleep(_EVERY_S)


def read_bytes() -> int:
    """What this process has had the disk read so far."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["read_bytes"])


def one(root: Path, head: str, clips: int, epochs: int, project: int) -> dict[str, Any]:
    """Train one head in this process."""
    from heads.data.labels import LabelTable
    from heads.data.splitting.folds import Folds
    from heads.data.splitting.splits import NO_CLIPS
    from heads.recipe import Recipe, builtin_recipe, load_recipe
    from heads.trainers.checkpoint import Checkpoint
    from heads.trainers.cross_validation import make_batches
    from heads.trainers.members import plan_members
    from heads.trainers.task import HeadTask
    from heads.trainers.trainer import Trainer
    from heads.workflows.job import TrainingJob
    from heads.workflows.resolve import HeadSpec
    from heads.workflows.training.estimate import estimate_cost

    reader: FeatureReader = FeatureStore.open(root).reader(key())
    ids, values = tuple(reader.ids[:clips]), np.load(root.parent / "labels.npy")[:clips]
    fold: NDArray[np.int64] = np.arange(clips) % FOLDS
    config = load_recipe(builtin_recipe(HEADS[head])).heads[0]
    config = config.model_copy(update={"metadata": (), "pseudo_epochs": 0})
    facts = pd.DataFrame({"width": 1, "height": 1}, index=list(ids))
    watch = Watch()
    watch.start()
    plan = plan_members(config, FOLDS, 0, judged=False)
    forget(root)
    started = time.perf_counter()
    _, examples = make_batches(reader, facts, ids, config, plan, fold)
    trainer = Trainer(
        HeadTask(config=config, plan=plan, examples=examples, targets=values.astype(np.float32), fold=fold),
        Checkpoint(path=None),
    )
    once, seconds, before = time.perf_counter() - started, [], read_bytes()
    steps = trainer.steps()
    for _ in range(epochs):
        forget(root)
        started = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - started)
    found = {
        "once_s": round(once, 1),
        "epoch_s": [round(each, 1) for each in seconds],
        "clips_per_s": round(clips / min(seconds)),
        "disk_gb_an_epoch": round((read_bytes() - before) / epochs / 1e9, 2),
        "own_mb": watch.highest["RssAnon"],
        "mapped_mb": watch.highest["RssFile"],
    }
    forget(root)
    labels = LabelTable(ids=ids, classes=tuple(f"class {number}" for number in range(CLASSES)), values=values)
    folds = Folds(ids=ids, fold=fold, groups=ids, n_folds=FOLDS)
    named = HeadSpec(name=head, keys=(key(),), config=config)
    job = TrainingJob(
        store=FeatureStore.open(root),
        recipe=Recipe(folds=FOLDS),
        heads=[named],
        readers={key().folder: reader},
        facts=facts,
        labels=labels,
        set_aside=pd.DataFrame(),
        folds=folds,
        unlabelled=NO_CLIPS,
        learns_unlabelled=False,
        sites={},
        features=(),
        notes=(),
    )
    for each in (clips, project):
        promised = estimate_cost(job, named, clips=each)
        found[f"forecast_{each}"] = {
            "hours": round(promised.seconds / 3600, 2),
            "epochs": config.epochs,
            "clips_per_s": round(promised.clips_per_s),
            "cache_gb": round(promised.cache_bytes / 1e9, 1),
            "from_disk": promised.from_disk,
        }
        forget(root)
    return found


def measure(folder: Path, clips: int, epochs: int, project: int) -> dict[str, Any]:
    root = folder / "store"
    make_store(root, clips)
    size_gb = sum(path.stat().st_size for path in root.glob("features/*/part-*.h5")) / 1e9
    found: dict[str, Any] = {"benchmark": "heads_stream", "clips": clips, "store_gb": round(size_gb, 1)}
    for head in HEADS:
        for count in (clips // 4, clips):
            words = [sys.executable, "-m", "benchmarks.heads_stream", "--one", head, "--clips", str(count)]
            words += ["--folder", str(folder), "--epochs", str(epochs), "--project", str(project)]
            told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            found[f"{head}_{count}"] = json.loads(told)
            print(f"{head}, {count} clips: {told}", file=sys.stderr)
        found[f"growth_{head}"] = round(found[f"{head}_{clips}"]["own_mb"] / found[f"{head}_{clips // 4}"]["own_mb"], 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--project", type=int, default=200_000, help="clips to forecast for")
    parser.add_argument("--folder", type=Path, help="where to put the store, on the disk to be measured")
    parser.add_argument("--one", choices=HEADS, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        print(json.dumps(one(words.folder / "store", words.one, words.clips, words.epochs, words.project)))
        return
    with tempfile.TemporaryDirectory(dir=words.folder) as folder:
        print(json.dumps(measure(Path(folder), words.clips, words.epochs, words.project)))


if __name__ == "__main__":
    main()
