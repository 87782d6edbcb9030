"""How evenly folds spread species, beside the `iterative-stratification` library, and how long large tables take.

    python -m benchmarks.folds        (needs `pip install iterative-stratification`)

Prints one JSON line. `misfit` is the mean distance of a fold's count of a class from an even share, in clips, over
classes, folds and tables; `ratio` is ours divided by the library's: below 1, ours is better balanced. Both deal single
clips, since the library knows no groups. `grouped_seconds` is the time to deal 200,000 clips of 2,000 sites.
"""

import json
import sys
import time

import numpy as np
from numpy.typing import NDArray

from heads.data.splitting.folds import assign_folds

N_FOLDS = 5
TABLES = [(n_clips, n_classes, seed) for seed in range(5) for n_clips in (300, 1000, 3000) for n_classes in (8, 24)]


def tailed_labels(n_clips: int, n_classes: int, seed: int) -> NDArray[np.int64]:
    """A multi-label table whose class frequencies fall off steeply; every class stands on some clip."""
    rng = np.random.default_rng(seed)
    frequency = np.clip(0.08 * rng.lognormal(0, 1.2, n_classes), 2 / n_clips, 0.6)
    labels = (rng.random((n_clips, n_classes)) < frequency).astype(np.int64)
    return labels[:, labels.any(axis=0)]


def misfit(labels: NDArray[np.int64], fold: NDArray[np.int64]) -> float:
    per_fold = np.stack([labels[fold == number].sum(axis=0) for number in range(N_FOLDS)])
    return float(np.abs(per_fold - labels.sum(axis=0) / N_FOLDS).mean())


def library_folds(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    fold = np.zeros(len(labels), np.int64)
    splitter = MultilabelStratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    for number, (_, scored) in enumerate(splitter.split(labels, labels)):
        fold[scored] = number
    return fold


def grouped_seconds() -> float:
    rng = np.random.default_rng(0)
    site = rng.integers(0, 2000, 200_000)
    mix = rng.gamma(0.3, 1, (2000, 24)) / 0.3
    frequency = np.geomspace(0.3, 1e-4, 24)
    labels = (rng.random((200_000, 24)) < np.minimum(frequency * mix[site], 0.9)).astype(np.int64)
    started = time.perf_counter()
    assign_folds(labels, [f"site {number}" for number in site], N_FOLDS, 0)
    return time.perf_counter() - started


def main() -> int:
    ours, theirs, better_or_equal = [], [], 0
    try:
        for n_clips, n_classes, seed in TABLES:
            labels = tailed_labels(n_clips, n_classes, seed)
            ours.append(misfit(labels, assign_folds(labels, None, N_FOLDS, seed).fold))
            theirs.append(misfit(labels, library_folds(labels, seed)))
            better_or_equal += ours[-1] <= theirs[-1] + 1e-9
    except ImportError:
        print("benchmarks/folds.py: install iterative-stratification to compare with it", file=sys.stderr)
        return 1
    result = {
        "benchmark": "folds",
        "tables": len(TABLES),
        "misfit_ours": round(float(np.mean(ours)), 4),
        "misfit_library": round(float(np.mean(theirs)), 4),
        "ratio": round(float(np.mean(ours) / np.mean(theirs)), 4),
        "tables_better_or_equal": better_or_equal,
        "grouped_seconds": round(grouped_seconds(), 2),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
