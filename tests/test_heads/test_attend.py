"""The frames that show the animal weigh most, by learned attention and by what they added to the answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, make_store, sites_of
from training import train_run
from typer.testing import CliRunner

from heads.cli import app
from heads.errors import AttendError, UnweighedError
from heads.models.explain.attribution import explaining_head, weigh_frames
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from store import FeatureStore
from store.errors import UnknownClipError

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "dense_units": (8,),
    "metadata": (),
    "batch_clips": 16,
    "learning_rate": 0.02,
    "dropout": 0.0,
    "epochs": 30,
}
RECIPE = Recipe(
    folds=3,
    heads=(
        HeadConfig(**SMALL, seeds=2, statistics=()),
        HeadConfig(**SMALL, kind="deviation", statistics=("deviation",), queries=0),
        HeadConfig(
            **SMALL, name="default", kind="deviation", statistics=("deviation", "direction", "event"), queries=0
        ),
        HeadConfig(**SMALL, name="means", kind="deviation", statistics=("event",), queries=0, seeds=2),
        HeadConfig(**SMALL, name="still", kind="deviation", statistics=("background", "spread"), queries=0),
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attend")
    deer = np.random.default_rng(3).integers(0, 2, 90).astype(np.uint8)
    labels = np.stack([1 - deer, deer], axis=1)
    store = make_store(folder / "store", labels, failed=(4,))
    table = pd.DataFrame({"filename": clip_ids(90), "blank": labels[:, 0], "deer": labels[:, 1]})
    table.insert(1, "site", sites_of(clip_ids(90)))
    table.iloc[:80].to_csv(folder / "labels.csv", index=False)
    train_run(store, folder / "labels.csv", RunDirectory(folder / "run"), RECIPE)
    return folder


@pytest.mark.parametrize(
    ("head", "by"),
    [
        ("attention-made", "attention"),
        ("deviation-made", "contribution"),
        ("default-made", "contribution"),
        ("means-made", "contribution"),
    ],
)
def test_frames_that_show_something_weigh_most(folder: Path, head: str, by: str) -> None:
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    reader, folds = store.reader(made_key()), run.read_folds()
    shown_weight, shown_share = [], []
    chosen = clip_ids(90)[::5]
    for clip_id, found in zip(chosen, weigh_frames(run, store, head, chosen), strict=True):
        features, _ = reader.batch(reader.index_of([clip_id]))
        shown = features[0, :, 2:4].max(axis=1) > 1.5
        assert (found.clip_id, found.by) == (clip_id, by)
        assert found.weights.shape == found.times_s.shape == shown.shape
        assert found.weights.sum() == pytest.approx(1)
        assert found.folds == (tuple(folds.of([clip_id])) if clip_id in folds.ids else (0, 1, 2))
        if by == "attention":
            assert found.per_query is not None
            assert len(found.per_query) == 2 * len(found.folds)
            np.testing.assert_allclose(found.per_query.sum(axis=1), 1, rtol=1e-5)
        shown_weight.append(found.weights[shown].sum())
        shown_share.append(shown.mean())
    assert np.mean(shown_weight) > np.mean(shown_share) + 0.1


def test_the_command_prints_times_and_weights(folder: Path) -> None:
    words = ["attend", "--run", folder / "run", "--store", folder / "store", "--clip", clip_ids(90)[2]]
    said = CliRunner().invoke(app, [str(word) for word in words])
    assert said.exit_code == 0, said.output
    assert "attention-made, by attention, models of folds" in said.stdout
    assert "default-made, by contribution, models of folds" in said.stdout
    assert "still-made" not in said.stdout
    assert "head still-made sees background, spread over time" in said.stderr
    plain = CliRunner().invoke(app, [*map(str, words), "--head", "deviation-made", "--json"])
    (each,) = json.loads(plain.stdout)
    assert each["head"] == "deviation-made"
    assert len(each["times_s"]) == len(each["weights"])


def test_what_cannot_be_weighed_is_said(folder: Path) -> None:
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    with pytest.raises(UnknownClipError, match="nowhere"):
        weigh_frames(run, store, "default-made", ["nowhere.mp4"])
    with pytest.raises(AttendError, match="has no frames under head default-made: made to fail"):
        weigh_frames(run, store, "default-made", [clip_ids(90)[2], clip_ids(90)[4]])
    with pytest.raises(UnweighedError, match="has no weights per frame"):
        weigh_frames(run, store, "still-made", [clip_ids(90)[2]])


def test_a_head_that_weighs_nothing_asks_for_no_features(folder: Path, tmp_path: Path) -> None:
    empty = FeatureStore.open(tmp_path / "store", create=True)
    with pytest.raises(UnweighedError, match="has no weights per frame"):
        weigh_frames(RunDirectory(folder / "run"), empty, "still-made", [clip_ids(90)[2]])


def test_clips_weighed_together_weigh_what_they_do_alone(folder: Path) -> None:
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    chosen = [clip_ids(90)[place] for place in (88, 0, 7, 85)]
    for head in ("attention-made", "default-made"):
        for clip_id, each in zip(chosen, weigh_frames(run, store, head, chosen), strict=True):
            (alone,) = weigh_frames(run, store, head, [clip_id])
            assert each.clip_id == clip_id
            assert each.folds == alone.folds
            np.testing.assert_allclose(each.weights, alone.weights, rtol=1e-4, atol=1e-6)


def test_predictions_can_name_the_frames_they_came_from(folder: Path) -> None:
    run, store = RunDirectory(folder / "run"), FeatureStore.open(folder / "store")
    blend_run(run, "mean", most_clips_for_trees=0)
    options = {"--run": run.path, "--store": store.root, "--out": folder / "new.csv"}
    words = [str(word) for option in options.items() for word in option]
    done = CliRunner().invoke(app, ["predict", *words, "--explain"], catch_exceptions=False)
    assert done.exit_code == 0
    table = pd.read_csv(folder / "new.csv", dtype=str, keep_default_na=False).set_index("clip_id")
    assert table["top_frames_s"][clip_ids(90)[4]] == ""
    best = explaining_head(run)
    losses = {name: run.read_metrics()["heads"][name]["mean_log_loss"] for name in run.head_names()}
    assert best == min(set(losses) - {"still-made"}, key=lambda name: losses[name])
    for clip_id in (clip_ids(90)[7], clip_ids(90)[88]):
        (found,) = weigh_frames(run, store, best, [clip_id])
        order = np.argsort(-found.weights, kind="stable")[:3]
        assert table["top_frames_s"][clip_id] == " ".join(f"{moment:.2f}" for moment in found.times_s[order])
        assert table["top_frames_weight"][clip_id] == " ".join(f"{weight:.3f}" for weight in found.weights[order])
    template = folder / "template.csv"
    template.write_text(f"filename,deer\n{clip_ids(90)[7]},0\n")
    refused = CliRunner().invoke(app, ["predict", *words, "--explain", "--template", str(template)])
    assert "--explain adds columns" in str(refused.exception)
