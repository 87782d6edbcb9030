"""Sources side by side: the same clips, the same frames, one head."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import DIM, clip_ids, made_key, make_store

from heads.blend import Blend
from heads.joined import JoinedReader, JoinError
from heads.leaderboard import blend_run
from heads.predict import predict_run
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.train import train_run
from store import FeatureStore

RECIPE = Recipe(
    folds=2,
    heads=(
        HeadConfig(kind="deviation", statistics=("deviation",), queries=0, dense_units=(), metadata=(), epochs=2),
        HeadConfig(name="concat", joined=True, metadata=(), dense_units=(4,), epochs=2),
        HeadConfig(name="concat-blank", joined=True, metadata=(), dense_units=(4,), epochs=2, classes=("blank",)),
    ),
)


def made(root: Path) -> FeatureStore:
    """Two sources with the same frames: `other` holds those of `made`, doubled."""
    labels = np.stack([np.arange(60) % 2, 1 - np.arange(60) % 2], axis=1).astype(np.uint8)
    store = make_store(root, labels)
    reader = store.reader(made_key())
    with store.writer(made_key("other")) as writer:
        for row in range(len(reader)):
            whole = reader.row(row)
            writer.add(type(whole)(**{**vars(whole), "features": whole.features * 2}))
    return store


def test_columns_stand_side_by_side(tmp_path: Path) -> None:
    store = made(tmp_path)
    one, other = store.reader(made_key()), store.reader(made_key("other"))
    joined = JoinedReader([one, other])
    assert joined.dim == 2 * DIM
    rows = joined.index_of(clip_ids(60)[10:14])
    features, mask = joined.batch(rows)
    alone, same = one.batch(one.index_of(clip_ids(60)[10:14]))
    np.testing.assert_array_equal(features, np.concatenate([alone, alone * 2], axis=2))
    np.testing.assert_array_equal(mask, same)
    assert joined.digest not in (one.digest, other.digest)


def test_other_frames_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((40, 2), np.uint8), ("made", "other"))
    readers = [store.reader(made_key()), store.reader(made_key("other"))]
    with pytest.raises(JoinError, match=r"made and other cannot be joined: \d+ clips have not as many frames"):
        JoinedReader(readers)


@pytest.mark.slow
def test_joined_heads_train_blend_and_predict(tmp_path: Path) -> None:
    store, run = made(tmp_path / "store"), RunDirectory(tmp_path / "run")
    table = pd.DataFrame({"filename": clip_ids(60), "blank": np.arange(60) % 2, "deer": 1 - np.arange(60) % 2})
    table.to_csv(tmp_path / "labels.csv", index=False)
    done = train_run(store, tmp_path / "labels.csv", run, RECIPE)
    assert [head.name for head in done] == ["deviation-made", "deviation-other", "concat", "concat-blank"]
    assert run.read_oof("concat-blank").classes == ("blank",)
    assert len(run.read_head("concat")["sources"]) == 2
    blend_run(run, "mean")
    assert "concat-blank" in Blend.from_json(run.read_blend()).models
    assert predict_run(run, store).predictions.probabilities.shape == (60, 2)
