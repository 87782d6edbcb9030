"""The whole way by its commands: clips, features, heads, blend, report, predictions."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from saved_models import write_hub_model
from typer.testing import CliRunner

import featurize.cli
import heads.cli
import store.cli
from featurize.demo.make import plan_demo
from featurize.demo.scenes import draw_clip, write_video

pytestmark = pytest.mark.slow

RECIPE = """
folds: 3
heads:
  - kind: attention
    dense_units: [16]
    metadata_units: [8]
    epochs: 8
    batch_clips: 16
"""


APPS = {"featurize": featurize.cli.app, "heads": heads.cli.app, "store": store.cli.app}


def command(name: str, *words: object, code: int = 0) -> str:
    """Run one of the commands in this process, expect its exit code, and give what it wrote to stdout."""
    done = CliRunner().invoke(APPS[name], [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == code, done.stderr
    return done.stdout


def program(name: str, *words: object) -> None:
    """Run one of the commands as a process of its own."""
    call = [sys.executable, "-c", f"from {name}.cli import main; main()", *map(str, words)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty drawn clips of the demo with their labels and sites, one of them spoilt."""
    folder = tmp_path_factory.mktemp("whole way")
    planned = plan_demo(60)
    for clip in planned:
        path = folder / "clips" / clip.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, draw_clip(clip.scene, frames=8, width=96, height=72), fps=2)
    (folder / "clips" / planned[4].name).write_bytes(b"")
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("filepath", "label", "site"))
        for clip in planned:
            table.writerows((clip.name, label, clip.scene.site) for label in clip.labels)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def test_from_clips_to_report_and_predictions(folder: Path) -> None:
    store, run, labels = folder / "store", folder / "run", folder / "labels.csv"
    backbones = ["--backbone", "efficientnet_lite0", "--backbone", "efficientnet_lite1"]
    done = json.loads(
        command("featurize", folder / "clips", *backbones, "--store", store, "--fps", 1, "--json", code=3)
    )
    assert (done["done"], done["failed"]) == (59, 1)

    program("heads", "train", "--store", store, "--labels", labels, "--run", run, "--recipe", folder / "recipe.yaml")
    for head in ("attention-efficientnet_lite0", "attention-efficientnet_lite1"):
        table = pd.read_csv(run / "oof" / f"{head}.csv")
        assert list(table.columns) == ["clip_id", "fold", "antelope", "bird", "blank", "pig"]
        assert len(table) == table["clip_id"].nunique() == 59
        assert len(list((run / "heads" / head).glob("fold*.keras"))) == 3

    board = json.loads(command("heads", "blend", "--run", run, "--json"))
    assert {"mean", "mean_of_logits", "attention-efficientnet_lite0"} <= {row["name"] for row in board}
    assert (run / "oof" / "blend.csv").is_file()

    assert command("heads", "report", "--run", run).strip() == str(run / "report.html")
    page = (run / "report.html").read_text()
    assert "the file is empty (0 bytes)" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page

    moved = folder / "elsewhere"
    shutil.copytree(run, moved)
    command("heads", "predict", "--run", moved, "--store", store, "--out", folder / "predictions.csv")
    predicted = pd.read_csv(folder / "predictions.csv")
    assert len(predicted) == 60
    assert predicted["status"].value_counts().to_dict() == {"ok": 59, "failed": 1}
    said = predicted.set_index("clip_id")[["antelope", "bird", "blank", "pig"]]
    blended = pd.read_csv(run / "oof" / "blend.csv").set_index("clip_id")[list(said)]
    np.testing.assert_allclose(said.loc[blended.index], blended, rtol=1e-9)
    prior = json.loads((run / "heads" / "attention-efficientnet_lite0" / "head.json").read_text())["prior"]
    (failed,) = said.drop(blended.index).to_numpy()
    np.testing.assert_allclose(failed, np.mean(prior, axis=0), rtol=1e-6)


@pytest.fixture(scope="module")
def own_models(folder: Path) -> dict[str, list[str]]:
    """What `featurize` is told of a person's own Keras file and SavedModel, by the name of a head on their features."""
    image = keras.Input((64, 64, 3))
    edges = keras.layers.Conv2D(6, 3, strides=4, activation="relu", name="edges")(
        keras.layers.Rescaling(1 / 255)(image)
    )
    keras.Model(image, edges).save(folder / "mine.v2.keras")
    hub = write_hub_model(folder / "tiny")
    return {
        "attention-keras-mine.v2": ["--backbone", f"keras:{folder / 'mine.v2.keras'}", "--taps", "edges"],
        "attention-hub-tiny": ["--backbone", f"hub:{hub}", "--taps", "block1/unit,block2"],
    }


@pytest.mark.parametrize("head", ["attention-keras-mine.v2", "attention-hub-tiny"])
def test_own_models_go_the_whole_way(folder: Path, own_models: dict[str, list[str]], head: str) -> None:
    store, run, table = folder / f"store of {head}", folder / f"run of {head}", folder / f"{head}.csv"
    told = command("featurize", folder / "clips", *own_models[head], "--store", store, "--frames", 4, "--json", code=3)
    assert json.loads(told)["done"] == 59
    recipe = ["--recipe", folder / "recipe.yaml"]
    command("heads", "train", "--store", store, "--labels", folder / "labels.csv", "--run", run, *recipe)
    assert {path.name for path in (run / "heads" / head).glob("fold*")} == {f"fold{fold}.keras" for fold in range(3)}
    board = json.loads(command("heads", "blend", "--run", run, "--json"))
    assert head in {row["name"] for row in board}
    command("heads", "report", "--run", run, "--store", store)
    assert head in (run / "report.html").read_text()
    command("heads", "predict", "--run", run, "--store", store, "--out", table)
    blended = pd.read_csv(run / "oof" / "blend.csv").set_index("clip_id").drop(columns="fold")
    said = pd.read_csv(table).set_index("clip_id").loc[blended.index, list(blended)]
    np.testing.assert_allclose(said, blended, rtol=1e-9)


def test_real_clips_of_every_kind(real_data: Path, tmp_path: Path) -> None:
    """Cameras' own files: every decodable clip is in, every other one is listed, and a second call does nothing."""
    folders = [real_data / name for name in ("chimpandsee_clips", "dd_micro", "zamba_videos", "robustness")]
    words = [*folders, "--backbone", "efficientnet_lite0", "--store", tmp_path, "--frames", "4", "--json"]
    done = json.loads(command("featurize", *words, code=3))
    assert {failure["clip_id"] for failure in done["failures"]} == {
        "empty_0B.mp4",
        "git_lfs_pointer_134B.mp4",
        "header_only_48B.mp4",
        "truncated.jpg",
    }
    assert (done["clips"], done["done"]) == (42, 38)
    again = json.loads(command("featurize", *words))
    assert (again["skipped"], again["done"], again["failed"]) == (42, 0, 0)
