from pathlib import Path

import numpy as np
from made_store import clip_ids, made_key, make_store

from heads.pooling import max_minus_median


def test_each_clip_is_pooled_over_its_own_frames(tmp_path: Path) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8), failed=(3,)).reader(made_key())
    rows = np.random.default_rng(0).permutation(len(reader.ids))
    pooled = max_minus_median(reader, rows)
    assert pooled.dtype == np.float32
    for place, row in enumerate(rows):
        features, mask = reader.batch([row])
        frames = features[0, mask[0]].astype(np.float64)
        expected = frames.max(0) - np.median(frames, 0) if len(frames) else np.zeros(reader.dim)
        np.testing.assert_allclose(pooled[place], expected, atol=1e-5)
    assert not pooled[list(rows).index(reader.index_of([clip_ids(150)[3]])[0])].any()


def test_one_frame_stands_out_from_nothing(tmp_path: Path) -> None:
    reader = make_store(tmp_path, np.ones((40, 2), np.uint8)).reader(made_key())
    features, _ = reader.batch([0])
    assert features.shape[1] > 1
    assert max_minus_median(reader, np.array([0])).max() > 0
