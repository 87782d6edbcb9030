"""A kind of head is a file and a row: the one of docs/extending.md goes the whole way."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import page_examples
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from numpy.typing import NDArray
from training import train_run
from typer.testing import CliRunner

from heads.cli import app
from heads.errors import UnweighedError
from heads.models.explain.attribution import explaining_head, weigh_frames
from heads.models.explain.scoring import heads_to_score, score_frames
from heads.recipe import HeadConfig, Recipe, load_recipe
from heads.recipe.kinds import HEAD_KINDS
from heads.run import RunDirectory
from heads.workflows.answers.predict import predict_run
from heads.workflows.blend import blend_run
from store import FeatureStore
from store.errors import ConfigError

_N_CLIPS, _LABELLED = 90, 80


@pytest.fixture(scope="module", autouse=True)
def kind() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        page_examples.install("A kind of head", patch)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, labels of most of its clips, and a run of two heads of the kind that is blended."""
    folder = tmp_path_factory.mktemp("kinds")
    store = make_store(folder / "store", shown(), failed=(4,))
    table = pd.DataFrame({"filename": clip_ids(_N_CLIPS), "site": sites_of(clip_ids(_N_CLIPS))})
    table[["blank", "deer"]] = shown()
    table.iloc[:_LABELLED].to_csv(folder / "labels.csv", index=False)
    text = "kind: frame_mean, epochs: 20, learning_rate: 0.02, batch_clips: 16"
    (folder / "recipe.yaml").write_text(f"folds: 3\nheads: [{{{text}}}, {{{text}, name: pair, seeds: 2}}]\n")
    run = RunDirectory(folder / "run")
    train_run(store, folder / "labels.csv", run, load_recipe(folder / "recipe.yaml"))
    score_frames(run, store, heads_to_score(run))
    blend_run(run)
    return folder


def shown() -> NDArray[np.uint8]:
    deer = np.random.default_rng(3).integers(0, 2, _N_CLIPS).astype(np.uint8)
    return np.stack([1 - deer, deer], axis=1)


def test_it_learns_and_is_blended(folder: Path) -> None:
    metrics = RunDirectory(folder / "run").read_metrics()
    prior = metrics["baselines"]["training prior"]["mean_log_loss"]
    for name in ("frame_mean-made", "pair-made"):
        assert metrics["heads"][name]["mean_log_loss"] < 0.5 * prior
    assert metrics["blends"][metrics["chosen"]]["mean_log_loss"] < 0.5 * prior


def test_saved_models_predict_clips_that_nobody_labelled(folder: Path) -> None:
    new = clip_ids(_N_CLIPS)[_LABELLED:]
    said = predict_run(RunDirectory(folder / "run"), FeatureStore.open(folder / "store"), new).predictions
    deer = said.probabilities[:, said.classes.index("deer")]
    assert ((deer > 0.5) == (shown()[_LABELLED:, 1] == 1)).mean() >= 0.9


def test_padding_and_clips_without_frames_add_nothing() -> None:
    frames = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    mask = np.array([[True, True, False, False, False], [False] * 5])
    layer = import_module("heads.models.frame_mean").FrameMean()
    pooled = np.array(layer([frames, mask]))
    np.testing.assert_allclose(pooled[0], frames[0, :2].mean(axis=0), rtol=1e-5)
    assert (pooled[1] == 0).all()


def test_it_says_in_one_sentence_that_it_weighs_no_frames(folder: Path) -> None:
    words = ["--run", str(folder / "run"), "--store", str(folder / "store"), "--clip", clip_ids(1)[0]]
    done = CliRunner().invoke(app, ["attend", *words], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f"head {name} pools frames as kind frame_mean does, without weighing them, so it has no weights per frame; "
        "name another head"
        for name in ("frame_mean-made", "pair-made")
    ]
    run, store = RunDirectory(folder / "run"), FeatureStore.open(folder / "store")
    with pytest.raises(UnweighedError, match="without weighing them"):
        weigh_frames(run, store, "pair-made", clip_ids(1))
    with pytest.raises(UnweighedError, match="leave --explain out"):
        explaining_head(run)


def test_what_metadata_is_worth_is_not_asked_of_a_kind_that_takes_none(folder: Path, tmp_path: Path) -> None:
    options = {"store": folder / "store", "labels": folder / "labels.csv", "recipe": folder / "recipe.yaml"}
    words = [word for name, path in (options | {"run": tmp_path / "run"}).items() for word in (f"--{name}", str(path))]
    done = CliRunner().invoke(app, ["train", *words, "--compare-metadata", "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["train", *words, "--compare-metadata"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "metadata.json").read_text()) == {"heads": []}


def test_an_unknown_kind_gets_one_sentence_with_those_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("heads: [{kind: frame_maen}]\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: heads.0.kind: ")
    known = "attention, recurrent, deviation, discriminant, conv3d, lrcn, finetuned, gru, conv1d, frame_mean"
    assert f"there is no such kind of head; choose one of {known}, received 'frame_maen'" in str(caught.value)


def test_settings_that_the_row_does_not_name_are_refused(tmp_path: Path) -> None:
    config = HeadConfig(kind="frame_mean")
    assert (config.statistics, config.metadata, config.dense_units) == ((), (), (32,))
    assert HeadConfig(kind="frame_mean", statistics=(), dense_units=(8,)).dense_units == (8,)
    assert HeadConfig(**config.model_dump()) == config
    for setting, value in {"mixup": 0.2, "statistics": ("change",), "metadata": ("fps",), "schedule": "cosine"}.items():
        with pytest.raises(ValueError, match=f"{setting}: a head of kind frame_mean has no use for it; leave it out"):
            HeadConfig(kind="frame_mean", **{setting: value})
    path = tmp_path / "recipe.yaml"
    path.write_text("heads: [{kind: frame_mean, queries: 4}]\n")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: heads\.0: .*queries: a head of kind frame_mean has no use"):
        load_recipe(path)
    assert Recipe(heads=(config,)).heads[0].traits is HEAD_KINDS["frame_mean"]
