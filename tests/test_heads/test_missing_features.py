"""Where a store lacks what a run reads, the command that makes it is told, and works as it is told."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from indexed_clips import write_indexed_clip
from made_store import made_key
from typer.testing import CliRunner

import featurize.cli
import heads.cli
from featurize.demo.make import plan_demo
from featurize.demo.scenes import draw_clip, write_video
from heads.errors import PredictError
from heads.models.trained_head import require_features
from heads.recipe import HeadConfig
from heads.run import RunDirectory
from store import FeatureKey, FeatureStore
from store.format.classifier_file import IMAGENET_ANIMALS, Classifier

SETTINGS = [
    ["--fps", "2", "--max-frames", "7"],
    ["--frames", "3", "--choose", "motion", "--view", "motion", "--resize", "letterbox", "--input-px", "96"],
]


def featurized(*words: object) -> None:
    done = CliRunner().invoke(featurize.cli.app, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def called(*words: object) -> str:
    done = CliRunner().invoke(heads.cli.app, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
def test_the_command_that_is_told_makes_what_is_missing(tmp_path: Path) -> None:
    clips, store, run = tmp_path / "my clips", tmp_path / "store", tmp_path / "run"
    planned = [clip for clip in plan_demo(240) if clip.name.endswith(".mp4")][::8][:24]
    names = [clip.name for clip in planned]
    for clip in planned:
        (clips / clip.name).parent.mkdir(parents=True, exist_ok=True)
        write_video(clips / clip.name, draw_clip(clip.scene, frames=8, width=96, height=72), fps=4)
    for words in SETTINGS:
        featurized(clips, "--backbone", "phash", "--store", store, *words)
    pd.DataFrame({"filename": names, "hog": [index % 2 for index in range(len(names))]}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    (tmp_path / "recipe.yaml").write_text("folds: 3\nheads: [{kind: discriminant}]\n")
    words = ["train", "--store", store, "--labels", tmp_path / "labels.csv", "--run", run]
    called(*words, "--recipe", tmp_path / "recipe.yaml", "--site-pattern", "^([^/]+)/")
    called("blend", "--run", run, "--method", "mean")

    new, other = tmp_path / "new clips", tmp_path / "other store"
    write_indexed_clip(new / "in here" / "a.mp4", 8, fps=4)
    featurized(new, "--backbone", "phash", "--store", other, "--frames", "2")
    wanted = ["predict", "--run", run, "--store", other, "--out", tmp_path / "new.csv"]
    with pytest.raises(PredictError, match=r"are not there \(2 kinds in all\); make them, .*, by: feat") as caught:
        called(*wanted)
    program, *words = shlex.split(str(caught.value).split(", by: ")[1])
    assert program == "featurize"
    assert words[0] == str(new)
    packed = tmp_path / "model.trapline"
    called("pack", run, packed)
    with pytest.raises(PredictError, match=re.escape(f"--for {packed}")):
        called("predict", "--run", packed, "--store", other, "--out", tmp_path / "new.csv")
    featurized(*words)
    called(*wanted)
    assert pd.read_csv(tmp_path / "new.csv")["clip_id"].tolist() == ["in here/a.mp4"]

    more = tmp_path / "more"
    write_indexed_clip(more / "b.mp4", 12, fps=4)
    featurized(more, "--backbone", "phash", "--store", other, *SETTINGS[0])
    done = CliRunner().invoke(heads.cli.app, [*map(str, wanted)])
    assert done.exit_code == 0, done.output
    assert "1 clip of the store without all of the features that the run reads got no answer, such as 'b.mp4'" in (
        done.stderr
    )
    program, *words = shlex.split(done.stderr.split(" by: ")[1])
    assert words[:2] == [str(more), str(new)]
    featurized(*words)
    called(*wanted)
    assert set(pd.read_csv(tmp_path / "new.csv")["clip_id"]) == {"in here/a.mp4", "b.mp4"}


def test_features_that_are_kept_in_another_number_format_are_told_from_those_that_are_not_there(
    tmp_path: Path,
) -> None:
    key = FeatureKey(
        backbone="made",
        weights_sha256="0" * 64,
        taps=(("all", 4),),
        input_px=32,
        resize="squash",
        preprocessing="unit",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 1.0, "max_frames": 45},
    )
    store = FeatureStore.open(tmp_path / "store", create=True)
    with store.writer(replace(key, dtype="int8")):
        pass
    head = SimpleNamespace(name="deviation-made", keys=(key,))
    with pytest.raises(PredictError, match=r"learned from float16 features .* as int8 .* by which it was not scored"):
        require_features([head], store, RunDirectory(tmp_path / "run"))  # type: ignore[list-item]


def test_where_a_head_asks_what_the_network_takes_clips_for_the_command_that_keeps_it_is_told(tmp_path: Path) -> None:
    key = made_key()
    store = FeatureStore.open(tmp_path / "store", create=True)
    with store.writer(key), store.clip_writer():
        pass
    head = SimpleNamespace(name="deviation-made", keys=(key,), config=HeadConfig(named=True))
    with pytest.raises(PredictError, match=rf"{key.folder}: it is not kept .* again: featurize CLIPS .*--for "):
        require_features([head], store, RunDirectory(tmp_path / "run"))  # type: ignore[list-item]
    zeros = np.zeros(key.taps[-1][1], np.float32)
    classifier = Classifier(classes=IMAGENET_ANIMALS, tap=key.taps[-1][0], kernel=zeros[:, None], bias=zeros[:1])
    store.add_classifier(key, classifier)
    require_features([head], store, RunDirectory(tmp_path / "run"))  # type: ignore[list-item]
