"""Rows and stores for the tests of the store."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status

MakeFeatures = Callable[..., ClipFeatures]
MakeFacts = Callable[..., ClipFacts]


@pytest.fixture
def key() -> FeatureKey:
    return FeatureKey(
        backbone="tiny",
        weights_sha256="0" * 64,
        taps=(("low", 3), ("high", 5)),
        input_px=32,
        resize="squash",
        preprocessing="unit",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 1.0, "max_frames": 45},
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.open(tmp_path / "store", create=True)


@pytest.fixture
def make_features(key: FeatureKey) -> MakeFeatures:
    """A row whose features follow from its id and content, so that a mix-up shows."""

    def make(clip_id: str, frames: int = 3, content: str = "a", **changes: object) -> ClipFeatures:
        rng = np.random.default_rng(list(f"{clip_id}/{content}".encode("utf-8", "surrogatepass")))
        failed = frames == 0
        row = {
            "clip_id": clip_id,
            "fingerprint": content,
            "status": Status.FAILED if failed else Status.OK,
            "reason": "moov atom not found" if failed else "",
            "times_s": np.arange(frames) / 2,
            "features": rng.standard_normal((frames, key.dim)).astype(np.float16),
        }
        return ClipFeatures(**(row | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_facts() -> MakeFacts:
    def make(clip_id: str, **changes: object) -> ClipFacts:
        row = {
            "clip_id": clip_id,
            "path": f"/videos/{clip_id}",
            "size_bytes": 1234,
            "mtime_ns": 5_000_000_000,
            "fingerprint": "a",
            "status": Status.OK,
            "reason": "",
        }
        return ClipFacts(**(row | changes))  # type: ignore[arg-type]

    return make
