"""The store beside plain ways of keeping the same features: reading, writing, memory. Many clips: `benchmarks.scale`.

    python benchmarks/store.py speed --folder DIR     1500 clips of (45, 3840), shuffled batches of 64, warm cache
    python benchmarks/store.py memory --folder DIR    RSS over a shuffled epoch of a 10 GB store, TensorFlow loaded

Each prints one JSON line. Ratios are ours over theirs, in speed: above 1 is faster than the other.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

# Run as a script, this file would be found instead of the package of the same name.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

from store import ClipFeatures, FeatureKey, FeatureStore, Status  # noqa: E402

FRAMES, DIM, CLIPS, BATCH, ROUNDS = 45, 3840, 1500, 64, 5
Read = Callable[[NDArray[np.int64]], NDArray[np.float16]]


def key_of(dim: int) -> FeatureKey:
    return FeatureKey(
        backbone="benchmark",
        weights_sha256="random-0",
        taps=(("low", dim // 2), ("high", dim - dim // 2)),
        input_px=404,
        resize="none",
        preprocessing="none",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 3.0, "max_frames": FRAMES},
    )


def rounded(dim: int) -> FeatureKey:
    """The same features in a byte each."""
    return replace(key_of(dim), dtype="int8")


def row(place: int, features: NDArray[np.float16]) -> ClipFeatures:
    return ClipFeatures(
        clip_id=f"site{place % 97:02d}/clip{place:06d}.mp4",
        fingerprint=f"{place:032x}",
        status=Status.OK,
        reason="",
        times_s=np.arange(len(features)) / 3,
        features=features,
    )


def clips(count: int, frames: int, dim: int) -> Iterator[NDArray[np.float16]]:
    """Features like those of a ReLU network: half of them zero."""
    rng = np.random.default_rng(0)
    pool = np.maximum(rng.standard_normal((4 * frames, dim), dtype=np.float32), 0).astype(np.float16)
    for place in range(count):
        start = place % (3 * frames)
        features = pool[start : start + frames].copy()
        features[0, 0] = np.float16(place % 2048)
        yield features


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def write_store(
    folder: Path, rows: list[NDArray[np.float16]], key: Callable[[int], FeatureKey] = key_of
) -> FeatureStore:
    store = FeatureStore.open(folder, create=True)
    with store.writer(key(rows[0].shape[1])) as writer:
        for place, features in enumerate(rows):
            writer.add(row(place, features))
    return store


def write_raw(folder: Path, rows: list[NDArray[np.float16]]) -> None:
    """The same bytes in files of as many clips, each flushed to the disk."""
    folder.mkdir()
    for first in range(0, len(rows), 256):
        block = np.concatenate(rows[first : first + 256])
        with (folder / f"{first}.bin").open("wb") as file:
            block.tofile(file)
            file.flush()
            os.fsync(file.fileno())


def memmap_read(folder: Path) -> Read:
    maps = [
        np.memmap(folder / f"{first}.bin", dtype=np.float16, mode="r").reshape(-1, FRAMES, DIM)
        for first in range(0, CLIPS, 256)
    ]

    def read(indices: NDArray[np.int64]) -> NDArray[np.float16]:
        batch = np.empty((len(indices), FRAMES, DIM), np.float16)
        for out, place in zip(batch, indices.tolist(), strict=True):
            out[:] = maps[place // 256][place % 256]
        return batch

    return read


def npy_read(folder: Path, rows: list[NDArray[np.float16]]) -> Read:
    folder.mkdir()
    for place, features in enumerate(rows):
        np.save(folder / f"{place}.npy", features)
    return lambda indices: np.stack([np.load(folder / f"{place}.npy") for place in indices.tolist()])


def blosc_read(path: Path, rows: list[NDArray[np.float16]]) -> Read:
    import hdf5plugin

    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "features",
            (len(rows), FRAMES, DIM),
            np.float16,
            chunks=(1, FRAMES, DIM),
            **hdf5plugin.Blosc2(cname="zstd", clevel=3),
        )
        for place, features in enumerate(rows):
            dataset[place] = features
    dataset = h5py.File(path, "r")["features"]
    return lambda indices: np.stack([dataset[place] for place in indices.tolist()])


def epoch(read: Read, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(CLIPS)
    start = time.perf_counter()
    for first in range(0, CLIPS, BATCH):
        read(order[first : first + BATCH])
    return time.perf_counter() - start


def write_rounds(folder: Path, rows: list[NDArray[np.float16]]) -> dict[str, float]:
    """Best seconds of each way of writing. The first turn alternates: memory that was just given back is faster."""
    ways: dict[str, Callable[[Path, list[NDArray[np.float16]]], object]] = {"store": write_store, "raw": write_raw}
    best = dict.fromkeys(ways, float("inf"))
    for round_ in range(2 * ROUNDS):
        for name in sorted(ways, reverse=bool(round_ % 2)):
            shutil.rmtree(folder / name, ignore_errors=True)
            best[name] = min(best[name], timed(partial(ways[name], folder / name, rows)))
    return best


def speed(folder: Path) -> dict[str, float]:
    rows = list(clips(CLIPS, FRAMES, DIM))
    gigabytes = CLIPS * FRAMES * DIM * 2 / 1e9
    writes = write_rounds(folder, rows)
    store, small = FeatureStore.open(folder / "store"), write_store(folder / "small", rows, rounded)
    reader, of_bytes = store.reader(key_of(DIM)), small.reader(rounded(DIM))
    reads: dict[str, Read] = {
        "ours": lambda indices: reader.batch(indices)[0],
        "ours_int8": lambda indices: of_bytes.batch(indices)[0],
        "memmap": memmap_read(folder / "raw"),
        "npy": npy_read(folder / "npy", rows),
        "h5py_blosc2": blosc_read(folder / "blosc2.h5", rows),
    }
    # In turns, and the best round of each counts, so that what else the machine does matters least; the first round
    # warms the cache.
    rounds = [{name: epoch(read, seed) for name, read in reads.items()} for seed in range(ROUNDS + 1)][1:]
    best = {name: min(each[name] for each in rounds) for name in reads}
    return {
        "read_over_memmap": best["memmap"] / best["ours"],
        "read_over_npy": best["npy"] / best["ours"],
        "read_over_h5py_blosc2": best["h5py_blosc2"] / best["ours"],
        "read_int8_over_float16": best["ours"] / best["ours_int8"],
        "bytes_int8_over_float16": small.info(rounded(DIM)).bytes / store.info(key_of(DIM)).bytes,
        "write_over_tofile": writes["raw"] / writes["store"],
        **{f"read_gb_per_s_{name}": gigabytes / each for name, each in best.items()},
        "write_gb_per_s": gigabytes / writes["store"],
    }


def memory(folder: Path) -> dict[str, float]:
    count = int(10e9 / (FRAMES * DIM * 2))
    store = FeatureStore.open(folder / "large", create=True)
    with store.writer(key_of(DIM)) as writer:
        for place, features in enumerate(clips(count, FRAMES, DIM)):
            writer.add(row(place, features))
    import tensorflow as tf

    tf.constant(0) + 1
    before = resident_gb()
    reader = store.reader(key_of(DIM))
    order = np.random.default_rng(0).permutation(len(reader))
    most = before
    for first in range(0, len(order), BATCH):
        reader.batch(order[first : first + BATCH])
        most = max(most, resident_gb())
    return {
        "store_gb": store.info(key_of(DIM)).bytes / 1e9,
        "rss_before_gb": before,
        "rss_most_above_gb": most - before,
        "rss_peak_whole_process_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def resident_gb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory"], nargs="?", default="speed")
    parser.add_argument("--folder", type=Path, help="where to put the files, on the disk to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = {"speed": speed, "memory": memory}[arguments.what](Path(folder))
    print(
        json.dumps({"benchmark": f"store {arguments.what}"} | {name: round(each, 3) for name, each in figures.items()})
    )


if __name__ == "__main__":
    main()
