"""Stores of made-up features with a known answer, for training heads in no time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status

DIM = 6


def made_key(backbone: str = "made") -> FeatureKey:
    return FeatureKey(
        backbone=backbone,
        weights_sha256="random",
        taps=(("low", 2), ("high", DIM - 2)),
        input_px=64,
        resize="equal_area",
        preprocessing="none",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 1.0, "max_frames": 180},
    )


def clip_ids(count: int) -> list[str]:
    return [f"site {index % 6}/{index:03d}.mp4" for index in range(count)]


def sites_of(ids: Sequence[str]) -> list[str]:
    return [clip_id.split("/")[0] for clip_id in ids]


def make_store(
    root: Path,
    labels: NDArray[np.uint8],
    backbones: Sequence[str] = ("made",),
    *,
    failed: Sequence[int] = (),
    seed: int = 0,
    boxes: bool = False,
    ids: Sequence[str] | None = None,
    copies: Sequence[int] = (),
) -> FeatureStore:
    """A store in which a clip of class c (one row of `labels` each) shows it in column 2 + c of some of its frames.

    The files of `copies` (places) are equal. With `boxes`, something moves in the middle of each frame. Clips are
    called `ids`, `clip_ids` if None.
    """
    store = FeatureStore.open(root, create=True)
    ids = clip_ids(len(labels)) if ids is None else ids
    prints = ["print of one file" if index in copies else f"print of {clip_id}" for index, clip_id in enumerate(ids)]
    with store.clip_writer() as facts:
        for index, clip_id in enumerate(ids):
            facts.add(clip_facts(clip_id, index, prints[index], failed=index in failed))
    for number, backbone in enumerate(backbones):
        rng = np.random.default_rng([seed, number])
        with store.writer(made_key(backbone)) as writer:
            for index, clip_id in enumerate(ids):
                row = _features(clip_id, labels[index], rng, failed=index in failed, boxes=boxes)
                writer.add(replace(row, fingerprint=prints[index]))
    return store


def _features(
    clip_id: str, shown: NDArray[np.uint8], rng: np.random.Generator, *, failed: bool, boxes: bool
) -> ClipFeatures:
    length = 0 if failed else int(rng.integers(3, 9))
    features = rng.normal(0, 0.3, (length, DIM)).astype(np.float32)
    if length:
        start = int(rng.integers(0, length))
        features[start : start + 3, 2 : 2 + len(shown)] += 3 * shown
    moves = {
        "motion_energy": np.linspace(0.1, 1.0, length, dtype=np.float32),
        "box": np.tile(np.array([0.25, 0.25, 0.75, 0.75], np.float32), (length, 1)),
    }
    return ClipFeatures(
        clip_id=clip_id,
        fingerprint=f"print of {clip_id}",
        status=Status.FAILED if failed else Status.OK,
        reason="made to fail" if failed else "",
        times_s=np.arange(length, dtype=np.float64),
        features=features,
        per_frame=moves if boxes else {},
    )


def clip_facts(clip_id: str, index: int, fingerprint: str, *, failed: bool) -> ClipFacts:
    return ClipFacts(
        clip_id=clip_id,
        path=f"/nowhere/{clip_id}",
        size_bytes=1000 + index,
        mtime_ns=index,
        fingerprint=fingerprint,
        status=Status.FAILED if failed else Status.OK,
        reason="made to fail" if failed else "",
        width=64,
        height=48,
        brightness_mean=0.5,
    )
