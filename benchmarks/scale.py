"""How time and memory grow with the clips of a store: 10,000, 100,000 and a million of them.

    python -m benchmarks.scale stores [--folder DIR] [--clips 10000 100000 1000000]
    python -m benchmarks.scale train [--folder DIR] [--clips 200000] [--networks efficientnet_lite0 ...]
    python -m benchmarks.scale answers [--folder DIR] [--clips 200000]

`stores` draws stores of image hashes (268 columns, up to eight frames a clip, one clip in a hundred short, partial or
failed; 4.3 GB for a million), written by the store's own writer in two halves, and files beside them, empty ones, a
hundredth of which the store does not know. Then, each in a process of its own: both halves are merged by hard links,
the store is opened for reading, described, listed, a fifth of it read in shuffled batches, a featurize of all files is
planned, every byte verified, and parts merged to four times their size. `train` draws the features
of a default featurize (eight frames, views whole and motion) of some networks, with patterns of twelve classes in them,
and trains the default recipe on them, a network at a time, so that the disk need not hold all of them at once.
`answers` blends what nine drawn models say of 24 classes, and writes the report of that run.

Prints a line a step: seconds by the clock and of processor time, and the highest memory of the process; then a JSON
line. `growth` is how many times longer a step takes, in processor time, with so many times more clips; 1 is linear.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.blend import make_run
from featurize.backbones.resolve import resolve_backbones
from featurize.backbones.weights import choose_weights
from featurize.pipeline.source import make_source
from featurize.views.sampling import Sampling
from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status

FRAMES, FOLDERS, NEW_SHARE, CLASSES, SITES = 8, 1000, 100, 12, 2000
RULE = "phash"
MTIME_NS = 1_700_000_000_000_000_000
STATUSES = {97: Status.SHORT, 98: Status.PARTIAL, 99: Status.FAILED}
HERE = (sys.executable, "-m", "benchmarks.scale")
Figures = dict[str, Any]


def key_of(backbone: str, view: str = "whole") -> FeatureKey:
    """The key that `featurize` gives these features by default."""
    row = resolve_backbones([backbone], None, input_px=None, offline=True, preprocessing=None)[0]
    weights = choose_weights([row], [], offline=True)[backbone]
    return make_source(row, weights, view).key(Sampling(frames=FRAMES, choose="motion"))


def clip_name(place: int) -> str:
    return f"site {place % FOLDERS:04d}/clip {place:07d}.mp4"


def known_of(place: int) -> dict[str, Any]:
    """Name, content and status of a clip; in every tenth hundred, three are not ok."""
    status = STATUSES.get(place % 100, Status.OK) if place // 100 % 3 == 0 else Status.OK
    reason = "" if status is Status.OK else "moov atom not found: the file is cut off before its index"
    return {"clip_id": clip_name(place), "fingerprint": f"{place:032x}", "status": status, "reason": reason}


def write_half(root: Path, places: range) -> None:
    """A store of some clips, features and facts, by the writers that `featurize` uses."""
    key = key_of(RULE)
    pool = np.random.default_rng(0).random((64 * FRAMES, key.dim), np.float32).astype(np.float16)
    store = FeatureStore.open(root, create=True)
    with store.writer(key) as writer, store.clip_writer() as facts:
        for place in places:
            known = known_of(place)
            frames = {Status.OK: FRAMES, Status.FAILED: 0}.get(known["status"], FRAMES // 2)
            start = place % 63 * FRAMES
            times_s, per_frame = np.arange(frames) / 3, {"motion_energy": np.ones(frames, np.float32)}
            features = pool[start : start + frames]
            writer.add(ClipFeatures(**known, times_s=times_s, features=features, per_frame=per_frame))
            facts.add(
                ClipFacts(
                    **known,
                    path=f"/media/card/{known['clip_id']}",
                    size_bytes=0,
                    mtime_ns=MTIME_NS,
                    container="mov,mp4,m4a,3gp,3g2,mj2",
                    codec="h264",
                    duration_s=15.0,
                    fps=30.0,
                    width=1280,
                    height=720,
                    image_hash=f"{place:016x}",
                )
            )


def make_files(folder: Path, clips: int) -> None:
    """Empty files under the clips' names, and a hundredth more that no store knows."""
    for number in range(FOLDERS):
        (folder / clip_name(number)).parent.mkdir(parents=True)
    for place in range(clips + clips // (NEW_SHARE - 1)):
        path = folder / clip_name(place)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, ns=(MTIME_NS, MTIME_NS))


def open_store(root: Path) -> None:
    print(len(FeatureStore.open(root).reader(key_of(RULE))))


def read_fold(root: Path) -> None:
    reader = FeatureStore.open(root).reader(key_of(RULE))
    chosen = np.random.default_rng(0).permutation(len(reader))[: len(reader) // 5]
    for start in range(0, len(chosen), 64):
        reader.batch(chosen[start : start + 64])


def plan(root: Path) -> None:
    import featurize

    found = featurize.plan(root.parent / "clips", root, backbones=RULE)
    if not found.skipped > 98 * len(found.tasks) > 0:
        raise SystemExit(f"{len(found.tasks)} clips to do, {found.skipped} done: not what was to be measured")


ALONE: dict[str, Callable[[Path], None]] = {"open": open_store, "fold": read_fold, "plan": plan}


def measured(words: Sequence[str]) -> Figures:
    """Run a command in a process of its own: seconds, processor seconds, and its highest memory in MB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*words], stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(words)}: {said.read().decode()}")
    return {
        "wall_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


def command(name: str) -> str:
    """The program of that name beside this Python."""
    return str(Path(sys.executable).with_name(name))


def told(name: str, clips: int, figures: Figures) -> Figures:
    print(f"{clips:>9,} {name:<12} {json.dumps(figures)}", file=sys.stderr, flush=True)
    return figures


def measure_store(folder: Path, clips: int) -> dict[str, Figures]:
    root = folder / "store"
    steps: dict[str, Sequence[str]] = {
        "write": (*HERE, "half", "--folder", str(folder / "a"), "--clips", "0", str(clips // 2)),
        "write again": (*HERE, "half", "--folder", str(folder / "b"), "--clips", str(clips // 2), str(clips)),
        "merge": (command("store"), "merge", str(folder / "a"), str(folder / "b"), "--into", str(root)),
        "open": (*HERE, "open", "--folder", str(root)),
        "info": (command("store"), "info", "--store", str(root)),
        "ls": (command("store"), "ls", "--store", str(root), RULE),
        "fold": (*HERE, "fold", "--folder", str(root)),
        "plan": (*HERE, "plan", "--folder", str(root)),
        "verify": (command("store"), "verify", "--store", str(root)),
        "compact": (command("store"), "compact", "--store", str(root), "--clips-per-part", "1024"),
    }
    make_files(folder / "clips", clips)
    return {name: told(name, clips, measured(words)) for name, words in steps.items()}


def growth(found: dict[int, dict[str, Figures]]) -> dict[str, list[float]]:
    """By step, how much longer a clip takes in each size than in the one before."""
    sizes = sorted(found)
    return {
        step: [
            round(found[more][step]["cpu_s"] / found[few][step]["cpu_s"] * few / more, 2)
            for few, more in pairwise(sizes)
        ]
        for step in found[sizes[0]]
    }


def stores(place: Path | None, sizes: Sequence[int]) -> dict[str, Any]:
    found = {}
    for clips in sizes:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            found[clips] = measure_store(Path(folder), clips)
    return {"benchmark": "scale stores", "steps": found, "growth": growth(found)}


def write_network(root: Path, backbone: str, clips: int) -> None:
    """Features of a network under both views, with signs of what a clip shows in some of its frames."""
    rng, store = np.random.default_rng(0), FeatureStore.open(root, create=True)
    shows = shown(clips)
    for view in ("whole", "motion"):
        key = key_of(backbone, view)
        pool = np.maximum(rng.standard_normal((64 * FRAMES, key.dim), np.float32), 0).astype(np.float16)
        signs = (2 * rng.random((CLASSES, key.dim)) * (rng.random((CLASSES, key.dim)) < 0.05)).astype(np.float16)
        signs = np.stack([signs[row].sum(axis=0, dtype=np.float16) for row in np.eye(CLASSES, dtype=bool)])
        known_mixes: dict[bytes, Any] = {}
        with store.writer(key) as writer:
            for place in range(clips):
                known = known_of(place)
                count = {Status.OK: FRAMES, Status.FAILED: 0}.get(known["status"], FRAMES // 2)
                start = int(rng.integers(0, 63 * FRAMES))
                features = pool[start : start + count].copy()
                row = shows[place]
                mix = known_mixes.setdefault(row.tobytes(), signs[row].sum(axis=0, dtype=np.float16))
                features[1:4] += mix
                energy = np.where(np.arange(count) % FRAMES < 4, 1, 0.1).astype(np.float32)
                per_frame = {"motion_energy": energy}
                if view == "motion":
                    per_frame |= {"motion_confidence": energy, "box": np.tile(np.float32([0, 0, 1, 1]), (count, 1))}
                times_s = np.arange(count) / 3
                writer.add(ClipFeatures(**known, times_s=times_s, features=features, per_frame=per_frame))
    with store.clip_writer() as facts:
        for place in range(clips):
            facts.add(
                ClipFacts(
                    **known_of(place),
                    path=f"/media/card/{clip_name(place)}",
                    size_bytes=10**6 + place,
                    mtime_ns=MTIME_NS,
                    width=1280,
                    height=720,
                    duration_s=15.0,
                    image_hash=f"{place:016x}",
                )
            )


def shown(clips: int) -> Any:
    """(N, C) bool: what each clip shows, mostly nothing or one class; frequent classes and rare ones."""
    return np.random.default_rng(1).random((clips, CLASSES)) < np.geomspace(0.3, 0.002, CLASSES)


def write_labels(path: Path, clips: int) -> None:
    shows = shown(clips).astype(int)
    names = [f"class {number:02d}" for number in range(CLASSES)]
    with path.open("w") as file:
        file.write(",".join(["filename", *names]) + "\n")
        for place in range(clips):
            file.write(",".join([clip_name(place), *map(str, shows[place].tolist())]) + "\n")


def train(place: Path | None, clips: int, networks: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for network in networks:
        with tempfile.TemporaryDirectory(dir=place) as name:
            folder = Path(name)
            write_labels(folder / "labels.csv", clips)
            words = [*HERE, "network", "--folder", str(folder / "store"), "--clips", str(clips)]
            told(f"{network} drawn", clips, measured([*words, "--networks", network]))
            words = [
                command("heads"),
                "train",
                "--store",
                str(folder / "store"),
                "--labels",
                str(folder / "labels.csv"),
            ]
            words += ["--run", str(folder / "run"), "--site-pattern", "^(site [0-9]+)/"]
            found[network] = told(network, clips, measured(words))
            heads = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("run/heads/*/head.json")}
            found[network]["heads_s"] = {name: head["seconds"] for name, head in heads.items()}
            print(found[network]["heads_s"], file=sys.stderr, flush=True)
    return {"benchmark": "scale train", "clips": clips, "networks": found}


def answers(place: Path | None, clips: int) -> dict[str, Any]:
    """Blend what nine drawn models say of 24 classes, and write the report of it."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        run = make_run(Path(name) / "run", clips, 9)
        figures = {
            what: told(what, clips, measured([command("heads"), what, "--run", str(run.path)]))
            for what in ("blend", "report")
        }
        figures["report"]["page_mb"] = round(run.report_path.stat().st_size / 1e6, 2)
    return {"benchmark": "scale answers", "clips": clips, "steps": figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stores", "train", "answers", "half", "network", *ALONE])
    parser.add_argument("--clips", type=int, nargs="+")
    parser.add_argument("--networks", nargs="+", default=[f"efficientnet_lite{number}" for number in range(3)])
    parser.add_argument("--folder", type=Path, help="where to put the files, on the disk to be measured")
    words = parser.parse_args()
    if words.what == "stores":
        print(json.dumps(stores(words.folder, words.clips or [10_000, 100_000, 1_000_000])))
    elif words.what == "train":
        print(json.dumps(train(words.folder, (words.clips or [200_000])[0], words.networks)))
    elif words.what == "answers":
        print(json.dumps(answers(words.folder, (words.clips or [200_000])[0])))
    elif words.what == "half":
        write_half(words.folder, range(*words.clips))
    elif words.what == "network":
        write_network(words.folder, words.networks[0], words.clips[0])
    else:
        ALONE[words.what](words.folder)


if __name__ == "__main__":
    main()
