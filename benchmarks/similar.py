"""How long a search for similar clips takes, and how much memory, on drawn features.

    python -m benchmarks.similar [--clips 200000] [--columns 1280] [--command]

Draws the deepest layer's statistics of so many clips of 200 sites, makes the short vectors of them once, and searches
them, each in a process of its own: seconds and peak memory of making them; median and longest of 20 searches for one
clip, and of a search for eight at once; what memory a searching process has beyond what it had before it opened the
vectors; the same search over the statistics themselves, as a ratio. With `--command`, a store of so many clips of one
frame is drawn too, and `heads similar` is run on it twice, as a whole. Prints one JSON line.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SITES, SEARCHES, TOGETHER, FOUND, CHUNK, WIDTH = 200, 20, 8, 20, 4096, 64


def draw(path: Path, clips: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(40, columns)).astype(np.float32)
    places = rng.normal(size=(SITES, columns)).astype(np.float32)
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(clips, columns))
    for start in range(0, clips, CHUNK):
        n = min(CHUNK, clips - start)
        site = (np.arange(start, start + n)) % SITES
        own = rng.gamma(0.3, size=(n, 40)).astype(np.float32) @ turn
        written[start : start + n] = own + places[site] + rng.normal(0, 0.3, (n, columns)).astype(np.float32)
    written.flush()


def peak_mb() -> float:
    """The most this program has held, without what the one that started it had."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def held_mb() -> float:
    """What the process holds now, pages of mapped files among it."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def make(folder: Path) -> dict[str, Any]:
    from heads.selection.embedding import whiten

    values = np.load(folder / "values.npy", mmap_mode="r")
    started, before = time.monotonic(), peak_mb()
    sites = [f"site {row % SITES}" for row in range(len(values))]
    vectors = whiten(values, np.ones(values.shape[1], bool), np.ones(len(values), bool), sites)
    np.save(folder / "vectors.npy", vectors)
    return {"make_s": time.monotonic() - started, "make_peak_mb": peak_mb(), "before_mb": before}


def search(folder: Path, name: str) -> dict[str, Any]:
    from heads.selection.neighbours import nearest

    before = held_mb()
    started = time.monotonic()
    vectors = np.load(folder / name, mmap_mode="r")
    rows = np.random.default_rng(1).integers(len(vectors), size=SEARCHES + TOGETHER).tolist()
    nearest(vectors, rows[:1], FOUND)
    first = time.monotonic() - started
    took = []
    for row in rows[:SEARCHES]:
        started = time.monotonic()
        nearest(vectors, [row], FOUND)
        took.append(time.monotonic() - started)
    started = time.monotonic()
    nearest(vectors, rows[SEARCHES:], FOUND)
    return {
        "first_s": first,
        "median_s": float(np.median(took)),
        "longest_s": max(took),
        "eight_s": time.monotonic() - started,
        "memory_mb": held_mb() - before,
        "process_mb": peak_mb(),
    }


def draw_store(folder: Path, clips: int) -> None:
    from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status

    key = FeatureKey(
        backbone="drawn",
        weights_sha256="random",
        taps=(("head", WIDTH),),
        input_px=64,
        resize="equal_area",
        preprocessing="none",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 1.0},
    )
    store, rng = FeatureStore.open(folder / "store", create=True), np.random.default_rng(0)
    with store.clip_writer(clips_per_part=8192) as facts, store.writer(key, clips_per_part=8192) as writer:
        for number in range(clips):
            clip_id = f"site {number % SITES:03d}/{number:06d}.mp4"
            facts.add(
                ClipFacts(
                    clip_id=clip_id,
                    path=clip_id,
                    size_bytes=1,
                    mtime_ns=0,
                    fingerprint=clip_id,
                    status=Status.OK,
                    reason="",
                )
            )
            writer.add(
                ClipFeatures(
                    clip_id=clip_id,
                    fingerprint=clip_id,
                    status=Status.OK,
                    reason="",
                    times_s=np.zeros(1),
                    features=rng.normal(size=(1, WIDTH)).astype(np.float32),
                )
            )


def command(folder: Path) -> dict[str, Any]:
    words = [
        "similar",
        "site 001/000001.mp4",
        "--store",
        str(folder / "store"),
        "--site-pattern",
        "^(site ...)/",
        "--json",
    ]
    found = {}
    for name in ("command_first", "command_again"):
        started = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", f"from heads.cli import main; import sys; sys.argv[1:] = {words!r}; main()"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found[f"{name}_s"] = time.monotonic() - started
    return found


def apart(folder: Path, what: str, *names: str) -> dict[str, Any]:
    """One part of the benchmark in a process of its own."""
    call = f"similar.{what}(Path({str(folder)!r}), *{names!r})"
    code = f"import json; from pathlib import Path; from benchmarks import similar; print(json.dumps({call}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=1280)
    parser.add_argument("--command", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "values.npy", given.clips, given.columns)
        found: dict[str, Any] = {"clips": given.clips, "columns": given.columns, **apart(folder, "make")}
        found["search"] = apart(folder, "search", "vectors.npy")
        found["whole"] = apart(folder, "search", "values.npy")
        found["ratio"] = found["whole"]["median_s"] / found["search"]["median_s"]
        if given.command:
            (folder / "values.npy").unlink()
            draw_store(folder, given.clips)
            found |= command(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
