"""Where a store lacks what a run reads, the command that makes it is told, and works as it is told."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from indexed_clips import write_indexed_clip
from typer.testing import CliRunner

import featurize.cli
import heads.cli
from featurize.demo.make import plan_demo
from featurize.demo.scenes import draw_clip, write_video
from heads.errors import PredictError

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
