"""Sources side by side: the same clips, the same frames, one head."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import DIM, clip_ids, made_key, make_store, sites_of
from pictured_store import add_pictures, make_pictured_store, pictured_key
from training import train_run

from heads.blending.blend import Blend
from heads.data.features.readers import ConcatenatedReader
from heads.errors import JoinError, RecipeError
from heads.recipe import HeadConfig, Recipe, builtin_recipe, load_recipe
from heads.run import RunDirectory
from heads.selection.embedding import choose_key
from heads.workflows.answers.predict import predict_run
from heads.workflows.blend import blend_run
from heads.workflows.resolve import resolve_heads
from store import FeatureStore
from store.errors import StoreNotFoundError, UnknownClipError

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
            writer.add(replace(whole, features=whole.features * 2))
    return store


def add_motion_views(store: FeatureStore) -> None:
    """Every second frame of a clip, so fewer than in whole frames."""
    for backbone in ("made", "other"):
        reader = store.reader(made_key(backbone))
        with store.writer(replace(made_key(backbone), view={"name": "motion"})) as writer:
            for row in range(len(reader)):
                whole = reader.row(row)
                fewer = {"features": whole.features[::2], "times_s": whole.times_s[::2]}
                writer.add(replace(whole, **fewer))


def write_labels(path: Path) -> Path:
    ids = clip_ids(60)
    table = {"filename": ids, "site": sites_of(ids), "blank": np.arange(60) % 2, "deer": 1 - np.arange(60) % 2}
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def test_columns_stand_side_by_side(tmp_path: Path) -> None:
    store = made(tmp_path)
    one, other = store.reader(made_key()), store.reader(made_key("other"))
    joined = ConcatenatedReader([one, other])
    assert joined.dim == 2 * DIM
    rows = joined.index_of(clip_ids(60)[10:14])
    features, mask = joined.batch(rows)
    alone, same = one.batch(one.index_of(clip_ids(60)[10:14]))
    np.testing.assert_array_equal(features, np.concatenate([alone, alone * 2], axis=2))
    np.testing.assert_array_equal(mask, same)
    assert joined.digest not in (one.digest, other.digest)
    with pytest.raises(UnknownClipError, match=r"features of made and other: 1 clip id is unknown: 'none.mp4'"):
        joined.index_of(["none.mp4", *clip_ids(2)])


def test_other_frames_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((40, 2), np.uint8), ("made", "other"))
    readers = [store.reader(made_key()), store.reader(made_key("other"))]
    with pytest.raises(JoinError, match=r"made and other cannot be joined: \d+ clips have not as many frames"):
        ConcatenatedReader(readers)


def test_a_head_whose_sources_cannot_be_joined_is_left_out_and_the_reason_given(tmp_path: Path) -> None:
    store, run, notes = made(tmp_path / "store"), RunDirectory(tmp_path / "run"), list[str]()
    add_motion_views(store)
    recipe = RECIPE.model_copy(update={"heads": RECIPE.heads[:2]})
    done = train_run(store, write_labels(tmp_path / "labels.csv"), run, recipe, note=notes.append)
    assert len(done) == 4
    assert "concat" not in run.head_names()
    (said,) = [note for note in notes if "concat" in note]
    assert said.startswith("head concat is left out: made and made+motion cannot be joined: 60 clips have not as many")
    assert "of one view only (`view: motion` or `view: whole` in the recipe)" in said


@pytest.mark.slow
def test_the_published_recipe_trains_on_two_views(tmp_path: Path) -> None:
    store, run, notes = made(tmp_path / "store"), RunDirectory(tmp_path / "run"), list[str]()
    add_motion_views(store)
    labels, published = write_labels(tmp_path / "labels.csv"), load_recipe(builtin_recipe("third_place"))
    resolved = resolve_heads(published, store, ("blank", "deer"))
    each = {f"{kind}-{key.source}" for kind in ("attention", "recurrent") for key in store.keys()}
    assert {head.name for head in resolved.heads} == each | {"concat", "concat-blank"}
    assert not [note for note in resolved.notes if "left out" in note]
    small = {"epochs": 1, "dense_units": (4,), "metadata_units": (4,)}
    joined = tuple(head.model_copy(update=small) for head in published.heads if head.joined)
    train_run(store, labels, run, published.model_copy(update={"heads": joined}), note=notes.append)
    assert run.head_names() == ("concat", "concat-blank")
    assert [key["view"]["name"] for key in run.read_head("concat")["sources"]] == ["whole", "whole"]
    assert not [note for note in notes if "left out" in note]


@pytest.mark.slow
def test_recipes_leave_pictures_out_unless_they_name_them(tmp_path: Path) -> None:
    store = made(tmp_path / "store")
    shown = np.tile(np.array([[1, 0], [0, 1]], np.uint8), (20, 1))
    before = [head.name for head in resolve_heads(load_recipe(None), store).heads]
    add_pictures(store, shown, (2,))
    assert {key.source for key in store.keys()} >= {"frames"}
    assert [head.name for head in resolve_heads(load_recipe(None), store).heads] == before
    assert not choose_key(store).holds_pictures
    with store.writer(replace(pictured_key(), input_px=128)):
        pass  # of two sizes, either of which may be meant
    assert [head.name for head in resolve_heads(load_recipe(None), store).heads] == before
    with pytest.raises(StoreNotFoundError, match="'frames' may mean"):
        resolve_heads(Recipe(heads=(HeadConfig(kind="conv3d"),)), store)
    alone = make_pictured_store(tmp_path / "alone", shown, (2,))
    with pytest.raises(RecipeError, match=r"no head of the recipe fits what the store holds \(frames\)"):
        resolve_heads(load_recipe(None), alone)
    named = Recipe(heads=(HeadConfig(kind="discriminant", sources=("frames",)),))
    assert [head.name for head in resolve_heads(named, alone).heads] == ["discriminant-frames"]


def test_joined_heads_train_blend_and_predict(tmp_path: Path) -> None:
    store, run = made(tmp_path / "store"), RunDirectory(tmp_path / "run")
    table = pd.DataFrame({"filename": clip_ids(60), "blank": np.arange(60) % 2, "deer": 1 - np.arange(60) % 2})
    table.to_csv(tmp_path / "labels.csv", index=False)
    done = train_run(store, tmp_path / "labels.csv", run, RECIPE)
    assert [head.name for head in done] == ["deviation-made", "deviation-other", "concat", "concat-blank"]
    assert run.read_oof("concat-blank").classes == ("blank",)
    assert len(run.read_head("concat")["sources"]) == 2
    blend_run(run, "mean", most_clips_for_trees=0)
    assert "concat-blank" in Blend.from_json(run.read_blend()).models
    assert predict_run(run, store).predictions.probabilities.shape == (60, 2)
