"""Whether `heads attend` looks at the frames where the animal is.

    python -m benchmarks.attend --run RUN --store STORE --truth sites.csv

The truth is a table with `filename` and `on_screen_s`, such as `wolf:6.25-14.25;dog:1.00-3.50`: what is on screen from
when to when. Counted are the run's clips with frames both with and without an animal, each by the model that has not
seen it. For every head that weighs frames: how well the weights tell the frames with an animal from the others, beside
the motion energy that the store holds with the same frames. `auc` is the chance that a frame with an animal weighs more
than one without (0.5 for equal weights), `ap` the average precision (for equal weights the share of frames with an
animal, in the row `equal`), `weight` the weight that lies on frames with an animal, `top` the share of clips whose
heaviest frame shows one. Means over clips. Prints a table and one JSON line.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from heads.errors import UnweighedError
from heads.models.explain.attribution import trained_heads, weigh_frames
from heads.models.trained_head import TrainedHead
from heads.run import RunDirectory
from store import FeatureKey, FeatureStore

COLUMNS = ("auc", "ap", "weight", "top")
Spans = list[tuple[float, float]]


def read_truth(path: Path) -> dict[str, Spans]:
    """When an animal is on screen, in seconds, by clip."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    found = {}
    for clip_id, said in zip(table["filename"], table["on_screen_s"], strict=True):
        ends = [span.split(":")[1].split("-") for span in said.split(";") if span]
        found[clip_id] = [(float(start), float(stop)) for start, stop in ends]
    return found


def on_screen(times_s: NDArray[np.float64], spans: Spans) -> NDArray[np.bool_]:
    """(T,) whether any animal is on screen in each frame."""
    shown = np.zeros(len(times_s), bool)
    for start, stop in spans:
        shown |= (times_s >= start) & (times_s <= stop)
    return shown


def measure(shown: NDArray[np.bool_], weights: NDArray[np.float64]) -> tuple[float, ...]:
    """The figures of one clip, in the order of `COLUMNS`."""
    share = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    heaviest = share == share.max()
    return (
        float(roc_auc_score(shown, share)),
        float(average_precision_score(shown, share)),
        float(share[shown].sum()),
        float(shown[heaviest].mean()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    words = parser.parse_args()
    run, store, truth = RunDirectory(words.run), FeatureStore.open(words.store), read_truth(words.truth)
    rows: dict[str, dict[str, float]] = {}
    for head in trained_heads(run):
        reader = TrainedHead(run, store, head).reader
        source = " and ".join(FeatureKey.from_json(each).source for each in run.read_head(head)["sources"])
        ids = [clip_id for clip_id in run.read_folds().ids if truth.get(clip_id)]
        try:
            found = weigh_frames(run, store, head, ids)
        except UnweighedError:
            continue
        ways: dict[str, list[tuple[float, ...]]] = {}
        for each, row in zip(found, reader.index_of(ids).tolist(), strict=True):
            shown = on_screen(each.times_s, truth[each.clip_id])
            if shown.all() or not shown.any():
                continue
            energy = reader.per_frame("motion_energy", row)
            ways.setdefault(f"{head}, by {each.by}", []).append(measure(shown, each.weights))
            ways.setdefault(f"{source}, equal", []).append(measure(shown, np.ones(len(shown))))
            if energy is not None:
                ways.setdefault(f"{source}, motion energy", []).append(measure(shown, energy.astype(np.float64)))
        for way, clips in ways.items():
            means = np.mean(clips, axis=0).round(3).tolist()
            rows[way] = {"clips": len(clips), **dict(zip(COLUMNS, means, strict=True))}
    print("| | " + " | ".join(("clips", *COLUMNS)) + " |\n" + "|---" * (len(COLUMNS) + 2) + "|")
    for way, figures in rows.items():
        print(f"| {way} | " + " | ".join(f"{value:g}" for value in figures.values()) + " |")
    print(json.dumps({"benchmark": "attend", "heads": rows}))


if __name__ == "__main__":
    main()
