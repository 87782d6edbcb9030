"""How long `heads blend` takes on a large run, and how much memory: every blender, fitted and scored by nested folds.

    python -m benchmarks.blend [clips] [models]        (200,000 clips of 24 classes by 9 models if not given)

Prints one JSON line. The budget is 120 s and 4 GB on 2 cores; `ratio` is the time as a part of that budget.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import assign_folds
from heads.run import RunDirectory
from heads.workflows.blend import blend_run

N_CLASSES = 24
BUDGET_S = 120.0


def make_run(path: Path, n_clips: int, n_models: int) -> RunDirectory:
    rng = np.random.default_rng(0)
    run = RunDirectory(path)
    frequency = np.geomspace(0.5, 1e-4, N_CLASSES)
    values = (rng.random((n_clips, N_CLASSES)) < frequency).astype(np.uint8)
    values[:2] = 1
    ids = tuple(f"site {row % 2000:04d}/{row:06d}.mp4" for row in range(n_clips))
    sites = tuple(clip_id.split("/")[0] for clip_id in ids)
    labels = LabelTable(ids=ids, classes=tuple(f"c{column}" for column in range(N_CLASSES)), values=values, sites=sites)
    folds = assign_folds(values, sites, 5, 0, ids=ids)
    run.write_labels(labels)
    run.write_folds(folds)
    shared = rng.normal(0, 1, values.shape).astype(np.float32)
    for model in range(n_models):
        noise = shared + rng.normal(0, 1, values.shape).astype(np.float32)
        logits = 4.0 * values - 1 + noise + np.log(frequency)
        probabilities = (1 / (1 + np.exp(-logits))).astype(np.float64)
        predictions = Predictions(ids=ids, classes=labels.classes, probabilities=probabilities, fold=folds.fold)
        run.write_oof(f"model-{model}", predictions)
    return run


def main() -> int:
    n_clips, n_models = (int(text) for text in (*sys.argv[1:3], *("200000", "9")[len(sys.argv[1:3]) :]))
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder), n_clips, n_models)
        started, started_cpu = time.perf_counter(), time.process_time()
        rows = blend_run(run)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    result = {
        "benchmark": "blend",
        "clips": n_clips,
        "models": n_models,
        "classes": N_CLASSES,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "ratio": round(seconds / BUDGET_S, 3),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "chosen": next(row["name"] for row in rows if row["chosen"]),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
