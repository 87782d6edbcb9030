"""Stores of drawn pictures with a known answer, for heads that learn from pixels."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from made_store import clip_facts, clip_ids
from numpy.typing import NDArray

from store import ClipFeatures, FeatureKey, FeatureStore, Status

HEIGHT, WIDTH = 48, 64


def pictured_key() -> FeatureKey:
    return FeatureKey(
        backbone="frames",
        weights_sha256="rules-1",
        taps=(("mean_colour", 3),),
        input_px=64,
        resize="equal_area",
        preprocessing="jpeg-q90",
        view={"name": "whole"},
        sampling={"mode": "frames", "frames": 8},
    )


def add_pictures(
    store: FeatureStore, labels: NDArray[np.uint8], frames: Sequence[int], *, ids: Sequence[str] | None = None
) -> FeatureStore:
    """Clips in which what the second column of `labels` (N, 2) says is there walks through the grey as a bright square.

    Each has as many of `frames` as is its turn; one of 0 frames failed.
    """
    names = clip_ids(len(labels)) if ids is None else ids
    with store.writer(pictured_key()) as writer, store.clip_writer() as facts:
        for index, clip_id in enumerate(names):
            count = frames[index % len(frames)]
            drawn = draw_clip(index, count, there=bool(labels[index, 1]))
            status, reason = (Status.OK, "") if count else (Status.FAILED, "made to fail")
            facts.add(clip_facts(clip_id, index, f"print of {clip_id}", failed=not count))
            writer.add(
                ClipFeatures(
                    clip_id=clip_id,
                    fingerprint=f"print of {clip_id}",
                    status=status,
                    reason=reason,
                    times_s=np.arange(count, dtype=np.float64),
                    features=(drawn.mean(axis=(1, 2)) / 255).astype(np.float32),
                    per_frame={"motion_energy": np.linspace(0, 1, count, dtype=np.float32)} if count else {},
                    pictures=[encode(frame) for frame in drawn],
                )
            )
    return store


def make_pictured_store(root: Path, labels: NDArray[np.uint8], frames: Sequence[int] = (8,)) -> FeatureStore:
    """A store of nothing but pictures; see `add_pictures`."""
    return add_pictures(FeatureStore.open(root, create=True), labels, frames)


def draw_clip(seed: int, count: int, *, there: bool) -> NDArray[np.uint8]:
    """(T, H, W, 3) grey with noise, and a bright square of 16 px that steps 4 px a frame if it is there."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(100 + rng.integers(-20, 20), 6, (count, HEIGHT, WIDTH, 3))
    top, left = rng.integers(0, HEIGHT - 16), rng.integers(0, 16)
    for number in range(count if there else 0):
        frames[number, top : top + 16, left + 4 * number : left + 4 * number + 16] = 235
    return np.clip(frames, 0, 255).astype(np.uint8)


def encode(frame: NDArray[np.uint8]) -> bytes:
    """A frame in red, green and blue as a JPEG file."""
    return bytes(cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
