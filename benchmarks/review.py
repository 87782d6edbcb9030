"""Retraining after a hundred decisions: how long it takes.

    python -m benchmarks.review [--clips 1000] [--networks 3] [--views whole] [--frames 8] [--folder DIR]

A made-up store of (8, 1752) float16 frames a clip, as many as `featurize` takes by itself, 10 classes at 20 sites. A
run of the default recipe is trained on all clips but a tenth, blended, and trained again with the rest decided: `heads
train` and `heads blend`, then `heads retrain`, each a whole command with everything: importing, training, blending,
comparing. Then as the page does it, from the button to the end, where the dialog had been open for a while.

Prints one JSON line: seconds, and seconds of all processors together, of both ways. Times of one call are to be
compared with each other only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heads.data.decisions import Decision, DecisionLog, State, default_log, read_decisions
from heads.review.retraining import Retraining
from heads.workflows.training.retrain import Order
from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status

LOW, HIGH, CLASSES, SITES = 472, 1280, 10, 20
READ_S = 10.0  # that somebody looks at the dialog before pressing its button


def key(network: int, view: str, frames: int) -> FeatureKey:
    return FeatureKey(
        backbone=f"made{network}",
        weights_sha256=f"random-{network}",
        taps=(("low", LOW), ("high", HIGH)),
        input_px=224,
        resize="none",
        preprocessing="none",
        view={"name": view},
        sampling={"mode": "fps", "fps": 3.0, "max_frames": frames},
    )


def ids_and_sites(clips: int) -> tuple[list[str], list[str]]:
    sites = [f"site {number % SITES:02d}" for number in range(clips)]
    return [f"{site}/{number:06d}.mp4" for number, site in enumerate(sites)], sites


def make_store(folder: Path, clips: int, networks: int, views: list[str], frames: int) -> pd.DataFrame:
    """A store in which classes show faintly in the last columns of some frames of their clips, and its label table."""
    rng = np.random.default_rng(0)
    shown = (rng.random((clips, CLASSES)) < 0.08).astype(np.uint8)
    ids, sites = ids_and_sites(clips)
    store = FeatureStore.open(folder, create=True)
    with store.clip_writer() as facts:
        for number, clip_id in enumerate(ids):
            facts.add(
                ClipFacts(
                    clip_id=clip_id,
                    path=f"/nowhere/{clip_id}",
                    size_bytes=number,
                    mtime_ns=0,
                    fingerprint=f"{number:032x}",
                    status=Status.OK,
                    reason="",
                )
            )
    shows = max(2, frames // 4)
    directions = rng.standard_normal((CLASSES, HIGH)).astype(np.float32)
    for network in range(networks):
        for view in views:
            with store.writer(key(network, view, frames)) as writer:
                for number, clip_id in enumerate(ids):
                    features = rng.standard_normal((frames, LOW + HIGH), dtype=np.float32)
                    start = int(rng.integers(0, frames - shows))
                    features[start : start + shows, LOW:] += 0.25 * shown[number] @ directions
                    energy = np.full(frames, 0.1, np.float32)
                    energy[start : start + shows] = 1.0
                    writer.add(
                        ClipFeatures(
                            clip_id=clip_id,
                            fingerprint=f"{number:032x}",
                            status=Status.OK,
                            reason="",
                            times_s=np.arange(frames) / 3,
                            features=features.astype(np.float16),
                            per_frame={"motion_energy": energy},
                        )
                    )
    table = pd.DataFrame(shown, columns=[f"class {number}" for number in range(CLASSES)])
    table.insert(0, "blank", 1 - shown.max(axis=1))
    table.insert(0, "site", sites)
    table.insert(0, "filename", ids)
    return table


def heads(*words: str) -> tuple[float, float, Any]:
    """Seconds, seconds of processors and output of a command."""
    began, used = time.monotonic(), os.times()
    done = subprocess.run(
        [sys.executable, "-c", "from heads.cli import main; main()", *words], capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    after = os.times()
    cpu_s = after.children_user + after.children_system - used.children_user - used.children_system
    return time.monotonic() - began, cpu_s, json.loads(done.stdout)


def page(order: Order) -> float:
    """Seconds from the button until the new run is there, after the dialog was open for `READ_S`."""
    training = Retraining(lambda _: None)
    training.prepare()
    time.sleep(READ_S)
    began = time.monotonic()
    training.start(order)
    while (state := training.state())["state"] == "running":
        time.sleep(0.05)
    if state["state"] != "done":
        raise SystemExit(state["text"])
    return time.monotonic() - began


def measure(folder: Path, clips: int, networks: int, views: list[str], frames: int) -> dict[str, Any]:
    table = make_store(folder / "store", clips, networks, views, frames)
    later = table.sample(frac=0.1, random_state=0).index
    table.drop(index=later).to_csv(folder / "labels.csv", index=False)
    table[["filename", "site"]].to_csv(folder / "sites.csv", index=False)
    store, run = ("--store", str(folder / "store")), ("--run", str(folder / "run"))
    train_s, train_cpu_s, _ = heads("train", *store, *run, "--labels", str(folder / "labels.csv"), "--json")
    blend_s, blend_cpu_s, _ = heads("blend", *run, "--json")
    names = [str(name) for name in table.columns if str(name).startswith("class")]
    rest = table.loc[later]
    log = [
        Decision(clip_id=clip_id, state=State.LABELLED, after=tuple(np.array(names)[row == 1].tolist()))
        for clip_id, row in zip(rest["filename"].tolist(), rest[names].to_numpy(), strict=True)
    ]
    DecisionLog(default_log(folder / "store")).append(log)
    again_s, again_cpu_s, told = heads("retrain", *store, *run, "--sites", str(folder / "sites.csv"), "--json")
    places = dict(zip(table["filename"], table["site"], strict=True))
    roots = {"store": folder / "store", "before": folder / "run", "after": folder / "page"}
    page_s = page(Order(**roots, decisions=read_decisions(default_log(folder / "store")), sites=places))
    return {
        "clips": clips,
        "networks": networks,
        "views": views,
        "frames": frames,
        "heads": len(told["heads"]),
        "train_and_blend_s": round(train_s + blend_s, 1),
        "train_and_blend_cpu_s": round(train_cpu_s + blend_cpu_s, 1),
        "retrain_s": round(again_s, 1),
        "retrain_cpu_s": round(again_cpu_s, 1),
        "page_s": round(page_s, 1),
        "time_ratio": round(again_s / (train_s + blend_s), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--views", nargs="+", default=["whole"])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print(json.dumps(measure(Path(folder), asked.clips, asked.networks, asked.views, asked.frames)))


if __name__ == "__main__":
    main()
