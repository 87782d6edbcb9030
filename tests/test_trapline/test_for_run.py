"""New clips for an old run: what it reads is made of them, whatever that was."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from indexed_clips import write_indexed_clip
from typer.testing import CliRunner

import featurize.cli
import heads.cli
from featurize.errors import SettingsError, SourceError, WeightsError
from featurize.pipeline.for_run import keys_of_run
from heads.errors import RunError
from store import FeatureStore

RECIPE = "folds: 2\nheads: [{kind: discriminant, metadata: []}]\n"


def call(app: object, *words: object) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])  # type: ignore[arg-type]
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, a store under settings that nobody would guess, and a run on it."""
    folder = tmp_path_factory.mktemp("trained")
    for number in range(16):
        write_indexed_clip(folder / "clips" / f"{number:02d}.mp4", 4 + number, fps=2)
    settings = ("--frames", 3, "--input-px", 128, "--resize", "letterbox")
    store = folder / "store"
    call(featurize.cli.app, folder / "clips", "--store", store, "--backbone", "phash", *settings)
    names = [f"{number:02d}.mp4" for number in range(12)]
    table = pd.DataFrame({"filename": names, "site": [f"s{n % 4}" for n in range(12)], "label": ["hog", "blank"] * 6})
    table.to_csv(folder / "labels.csv", index=False)
    (folder / "recipe.yaml").write_text(RECIPE)
    words = ("--labels", folder / "labels.csv", "--recipe", folder / "recipe.yaml", "--run", folder / "run")
    call(heads.cli.app, "train", "--store", store, *words)
    call(heads.cli.app, "blend", "--run", folder / "run")
    return folder


def test_new_clips_take_two_commands(trained: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_indexed_clip(tmp_path / "new" / f"new {number}.mp4", 30 + number, fps=2)
    run, store = trained / "run", tmp_path / "store"
    call(featurize.cli.app, tmp_path / "new", "--for", run, "--store", store)
    assert FeatureStore.open(store).keys() == FeatureStore.open(trained / "store").keys() == keys_of_run(run)
    call(heads.cli.app, "predict", "--run", run, "--store", store, "--out", tmp_path / "p.csv")
    answers = pd.read_csv(tmp_path / "p.csv")
    assert answers["clip_id"].tolist() == [f"new {number}.mp4" for number in range(3)]
    assert set(answers["origin"]) == {"new"}
    assert "nothing to do: 3 of 3" in call(featurize.cli.app, tmp_path / "new", "--for", run, "--store", store)


def test_answers_for_new_clips_alone(trained: Path, tmp_path: Path) -> None:
    words = ("predict", "--run", trained / "run", "--store", trained / "store", "--only-new", "--out")
    call(heads.cli.app, *words, tmp_path / "p.csv")
    assert pd.read_csv(tmp_path / "p.csv")["clip_id"].tolist() == [f"{number:02d}.mp4" for number in range(12, 16)]


def test_sizes_and_frames_are_the_run_s(trained: Path, tmp_path: Path) -> None:
    words = [str(trained / "clips"), "--for", str(trained / "run"), "--store", str(tmp_path / "s"), "--fps", "3"]
    done = CliRunner().invoke(featurize.cli.app, words)
    assert done.exit_code == 2
    assert "leave --fps" in done.output


def rewritten(trained: Path, into: Path, **changed: object) -> Path:
    """The run's folder with another key in its head."""
    (head,) = (trained / "run" / "heads").glob("*/head.json")
    facts = json.loads(head.read_text())
    facts["sources"] = [{**spec, **changed} for spec in facts["sources"]]
    (into / "heads" / "some").mkdir(parents=True)
    (into / "heads" / "some" / "head.json").write_text(json.dumps(facts))
    return into


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"weights_sha256": "0" * 64}, WeightsError, "made with weights 000000000000…, those here are"),
        ({"sampling": {"mode": "fps", "fps": 3.0, "max_frames": 10, "new": 1}}, SettingsError, "by another version"),
        ({"preprocessing": "of tomorrow"}, SettingsError, r"does not have \(preprocessing=of tomorrow; here"),
        ({"backbone": "keras:mine"}, SettingsError, "a network of your own: name its file too"),
        ({"taps": "none"}, SourceError, "cannot be read as a run"),
    ],
)
def test_what_cannot_be_made_here_is_said(
    trained: Path, tmp_path: Path, changed: dict[str, object], error: type[Exception], said: str
) -> None:
    run = rewritten(trained, tmp_path / "run", **changed)
    with pytest.raises(error, match=said):
        call(featurize.cli.app, trained / "clips", "--for", run, "--store", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_run_whose_training_was_stopped_is_not_said_to_be_of_no_features(trained: Path, tmp_path: Path) -> None:
    run, store = tmp_path / "run", trained / "store"
    run.mkdir()
    for name in ("config.yaml", "labels.csv", "folds.csv"):
        shutil.copyfile(trained / "run" / name, run / name)
    with pytest.raises(SourceError, match=r"training has not finished a head here.* let `heads train --run .* come to"):
        keys_of_run(run)
    (run / "heads" / "discriminant-phash").mkdir(parents=True)
    with pytest.raises(SourceError, match="training has not finished a head here"):
        keys_of_run(run)
    for more in ((), ("--explain",)):
        with pytest.raises(RunError, match=r"no head is trained here; run `heads train --run .*` first"):
            call(heads.cli.app, "predict", "--run", run, "--store", store, "--out", tmp_path / "p.csv", *more)
    (run / "added" / "theirs").mkdir(parents=True)
    with pytest.raises(SourceError, match="no head of this run was trained on features"):
        keys_of_run(run)
    shutil.rmtree(run / "heads")
    with pytest.raises(SourceError, match="no head of this run was trained on features"):
        keys_of_run(run)


def test_a_folder_that_is_no_run_is_said(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no run here"):
        call(featurize.cli.app, trained / "clips", "--for", tmp_path, "--store", tmp_path / "store")
