"""A run that commit 76884e6 made, and what it answered: every later version must give the same answers of it.

All but the blending goes through the commands, as users' runs do. `tests/data/make_run_v1.py` tells what is in the
archive.
"""

import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import heads.layers  # noqa: F401  what loading a model by Keras alone needs, and no more
from heads.cli import app
from heads.data.history import Epoch
from heads.run import RunDirectory
from heads.workflows.blend import blend_run

HEADS = (
    "animals-made+motion",
    "attention-made",
    "both",
    "guesses-made",
    "lean-made",
    "lean-made+motion",
    "looks-made",
    "recurrent-made",
)
CLASSES = ("blank", "deer", "wild boar")
# Processors add floating-point numbers up in different orders.
CLOSE = {"rtol": 1e-5, "atol": 1e-7}


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """The archive, unpacked."""
    with tarfile.open(Path(__file__).parents[1] / "data" / "run_v1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "run_v1"


def call(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def predict(frozen: Path, *further: str) -> pd.DataFrame:
    out = frozen / "said.csv"
    given = {"run": frozen / "run", "store": frozen / "store", "add": frozen / "more" / "outside.csv", "out": out}
    call("predict", *(word for name, value in given.items() for word in (f"--{name}", value)), *further)
    return pd.read_csv(out, keep_default_na=False).set_index("clip_id")


def new_clips(frozen: Path) -> list[str]:
    """The clips of the store that the run did not learn from in any way."""
    labelled, unlabelled = (pd.read_csv(frozen / "run" / name) for name in ("labels.csv", "unlabelled.csv"))
    everyone = pd.read_csv(frozen / "answers" / "predictions.csv")["clip_id"]
    given = pd.read_csv(frozen / "labels.csv")["filename"]  # one of them could not be decoded
    return sorted(set(everyone) - set(labelled["filename"]) - set(unlabelled["clip_id"]) - set(given))


def assert_same_answers(found: pd.DataFrame, expected: pd.DataFrame, clips: list[str]) -> None:
    assert found.loc[clips, "status"].tolist() == expected.loc[clips, "status"].tolist()
    columns = list(CLASSES)
    np.testing.assert_allclose(found.loc[clips, columns], expected.loc[clips, columns], **CLOSE)


def test_new_clips_are_predicted_and_explained_as_ever(frozen: Path) -> None:
    expected = pd.read_csv(frozen / "answers" / "predictions.csv", keep_default_na=False).set_index("clip_id")
    found, clips = predict(frozen, "--explain"), new_clips(frozen)
    assert len(clips) == 12
    assert sorted(found.index) == sorted(expected.index)
    assert expected.loc[clips, "status"].value_counts().to_dict() == {"ok": 10, "partial": 1, "failed": 1}
    assert_same_answers(found, expected, clips)
    for clip_id in clips:
        said, before = found.loc[clip_id], expected.loc[clip_id]
        assert said["top_frames_s"] == before["top_frames_s"]
        weights = [[float(each) for each in row["top_frames_weight"].split()] for row in (said, before)]
        assert weights[0] == pytest.approx(weights[1], abs=0.0011)


@pytest.mark.parametrize(
    "method",
    [
        "mean",
        "mean_of_logits",
        "mean_of_logits+calibrated",
        "best_single",
        "greedy",
        "greedy_per_class",
        "logistic",
        pytest.param("xgboost", marks=pytest.mark.slow),
        pytest.param("xgboost+frames+calibrated", marks=pytest.mark.slow),
        pytest.param("lightgbm+calibrated", marks=pytest.mark.slow),
        pytest.param("lightgbm+frames", marks=pytest.mark.slow),
    ],
)
def test_every_method_s_blend_json_is_applied_as_ever(frozen: Path, method: str) -> None:
    for library in ("xgboost", "lightgbm"):
        if method.startswith(library):
            pytest.importorskip(library)
    shutil.copy(frozen / "blends" / f"{method}.json", frozen / "run" / "blend.json")
    expected = pd.read_csv(frozen / "blends" / f"{method}.csv").set_index("clip_id")
    assert_same_answers(predict(frozen), expected, new_clips(frozen))


def test_frames_are_weighed_as_ever(frozen: Path) -> None:
    expected = json.loads((frozen / "answers" / "attend.json").read_text())
    assert {each["head"] for each in expected} == set(HEADS)
    asked = dict.fromkeys(each["clip_id"] for each in expected)
    run, store = frozen / "run", frozen / "store"
    found = [
        each
        for clip_id in asked
        for each in json.loads(call("attend", "--run", run, "--store", store, "--clip", clip_id, "--json"))
    ]
    for said, before in zip(found, expected, strict=True):
        for name in ("head", "clip_id", "folds", "by", "times_s"):
            assert said[name] == before[name]
        np.testing.assert_allclose(said["weights"], before["weights"], rtol=1e-5, atol=1e-6)
        assert (said["per_query"] is None) == (before["by"] == "contribution")
        if before["per_query"] is not None:
            np.testing.assert_allclose(said["per_query"], before["per_query"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("blended", ["run", "auto"])
def test_the_report_still_names_and_scores_every_model(frozen: Path, blended: str) -> None:
    if blended != "run":
        shutil.copytree(frozen / blended, frozen / "run", dirs_exist_ok=True)
    call("report", "--run", frozen / "run")
    page = unescape((frozen / "run" / "report.html").read_text(encoding="utf-8"))
    metrics = json.loads((frozen / "run" / "metrics.json").read_text())
    assert set(metrics["heads"]) == {*HEADS, "outside"}
    for group in ("heads", "blends", "baselines", "choice"):
        for name, scores in metrics[group].items():
            assert name in page
            assert f"{scores['mean_log_loss']:.4f}" in page, name
    for table in ("splits", "metadata"):
        for row in json.loads((frozen / "run" / f"{table}.json").read_text())["heads"]:
            numbers = [value for value in row.values() if isinstance(value, float)]
            assert [number for number in numbers if f"{abs(number):.4f}" not in page] == [], row["head"]


def test_the_same_command_keeps_every_head_of_it(frozen: Path) -> None:
    before = dict(contents(frozen / "run"))
    given = {"store": "store", "labels": "labels.csv", "run": "run", "recipe": "recipe.yaml", "sites": "sites.csv"}
    words = [word for name, file in given.items() for word in (f"--{name}", frozen / file)]
    # Not --compare-splits: the random split of this version learned from a clip that the run itself did not learn from.
    flags = ["--unlabelled", "--frame-scores", "--compare-metadata"]
    told = json.loads(call("train", *words, *flags, "--json"))
    assert sorted(each["name"] for each in told) == sorted(HEADS)
    assert [each["name"] for each in told if not each["resumed"]] == []
    after = dict(contents(frozen / "run"))
    assert set(after) >= set(before)
    parts = ("heads", "frames", "oof", "random_split", "other_metadata")
    kept = [name for name in before if name.split("/")[0] in parts and Path(name).name != "config.yaml"]
    assert len(kept) > 100
    assert [name for name in kept if after[name] != before[name]] == []


def test_what_is_read_from_the_run_is_written_again_to_the_byte(frozen: Path, tmp_path: Path) -> None:
    run, again = RunDirectory(frozen / "run"), RunDirectory(tmp_path / "again")
    again.write_labels(run.read_labels())
    again.write_folds(run.read_folds())
    sites, folds = run.read_unlabelled_sites(), run.read_unlabelled_folds()
    again.write_unlabelled(list(folds), np.array(list(folds.values())), sites)
    again.write_clips(run.read_clips())
    for name in (*HEADS, "outside", "blend"):
        again.write_oof(name, run.read_oof(name))
    for name in filter(run.has_frames, HEADS):
        again.write_frames(name, run.read_frames(name))
    for name in HEADS:
        lines = run.epochs_path(name).read_text(encoding="utf-8").splitlines()
        again.write_epochs(name, [epoch_of(json.loads(line)) for line in lines])
        again.write_head(name, run.read_head(name))
    before, after = dict(contents(run.path)), dict(contents(again.path))
    assert len(after) > 20
    assert [name for name in after if after[name] != before[name]] == []


def epoch_of(line: dict[str, Any]) -> Epoch:
    kept = {name: tuple(value) if isinstance(value, list) else value for name, value in line.items() if name != "head"}
    return Epoch(**kept)


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    return ((path.relative_to(folder).as_posix(), path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def test_blending_it_again_chooses_and_scores_as_ever(frozen: Path) -> None:
    blend_run(RunDirectory(frozen / "run"), most_clips_for_trees=0)
    found, expected = (json.loads((frozen / each / "metrics.json").read_text()) for each in ("run", "auto"))
    assert found["chosen"] == expected["chosen"] == "mean_of_logits+calibrated"
    for group in ("heads", "blends", "baselines", "choice"):
        for name, scores in expected[group].items():
            for score in ("mean_log_loss", "map", "macro_f1", "top_1", "ece", "fold_log_loss"):
                assert found[group][name][score] == pytest.approx(scores[score], rel=1e-6), (name, score)
    oof = [pd.read_csv(frozen / each / "oof" / "blend.csv").set_index("clip_id") for each in ("run", "auto")]
    np.testing.assert_allclose(oof[0].loc[oof[1].index, list(oof[1])], oof[1], rtol=1e-6)


def test_models_are_made_of_layers_that_are_still_registered_under_their_names(frozen: Path) -> None:
    """The archive has all layers of Trapline's own, and Keras finds each by the name that it was saved under."""
    found = set()
    for path in sorted((frozen / "run" / "heads").glob("*/fold0.keras")):
        with zipfile.ZipFile(path) as parts:
            found |= set(registered_names(json.loads(parts.read("config.json"))))
        assert keras.saving.load_model(path, compile=False).output_shape[0] is None
    names = ("AttentionPooling", "Competing", "MeanOfLogits", "Standardise", "TapDropout", "TurnRound")
    assert {name for name in found if name.startswith("trapline>")} == {f"trapline>{name}" for name in names}
    assert {name for name in keras.saving.get_custom_objects() if name.startswith("trapline>")} >= found - {None}


def registered_names(config: Any) -> Iterator[str | None]:
    """The registered names of all layers in a model's configuration."""
    if isinstance(config, dict):
        if str(config.get("registered_name") or "").startswith("trapline>"):
            yield config["registered_name"]
        for value in config.values():
            yield from registered_names(value)
    elif isinstance(config, list):
        for value in config:
            yield from registered_names(value)
