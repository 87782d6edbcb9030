import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import heads.run
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds
from heads.errors import PredictionError, RunError, TrainError
from heads.recipe import HeadConfig, Recipe, load_recipe
from heads.run import RunDirectory, can_name_file
from heads.workflows.training.compare_metadata import OTHER_METADATA
from heads.workflows.training.compare_splits import RANDOM_SPLIT
from store.files import temporary_name, write_json


def labels() -> LabelTable:
    values = np.array([[1, 0], [0, 0]], np.uint8)
    return LabelTable(ids=("a b.mp4", "c,d.mp4"), classes=("hog", "lion"), values=values, sites=("s1", "s2"))


def oof(fold: list[int] | None) -> Predictions:
    return Predictions(
        ids=("a b.mp4", "c,d.mp4"),
        classes=("hog", "lion"),
        probabilities=np.array([[0.1, 1 / 3], [0.7, 2e-17]]),
        fold=None if fold is None else np.array(fold),
    )


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.write_config({"seed": 0, "heads": [{"name": "größe"}]})
    run.write_labels(labels())
    run.write_folds(Folds(ids=labels().ids, fold=np.array([1, 0]), groups=("s1", "007"), n_folds=2))
    run.write_oof("attention-lite0", oof([1, 0]))
    run.write_head("attention-lite0", {"seconds": 1.5})
    run.write_clips(pd.DataFrame([{"clip_id": "x", "source": "lite0", "status": "failed", "reason": 'no, "really"'}]))
    run.write_blended(oof([1, 0]), {"method": "mean"}, {"chosen": "mean"})
    run.write_report("<p>ü</p>")
    assert run.read_config() == {"seed": 0, "heads": [{"name": "größe"}], "version": 1}
    read = run.read_labels()
    assert (read.ids, read.classes, read.sites) == (labels().ids, labels().classes, labels().sites)
    assert np.array_equal(read.values, labels().values)
    folds = run.read_folds()
    assert (folds.ids, folds.fold.tolist(), folds.groups, folds.n_folds) == (labels().ids, [1, 0], ("s1", "007"), 2)
    assert run.head_names() == ("attention-lite0",)
    [read_oof] = run.read_all_oof()
    assert read_oof.model == "attention-lite0"
    assert np.array_equal(read_oof.probabilities, oof([1, 0]).probabilities)
    assert run.read_head("attention-lite0") == {"seconds": 1.5}
    assert run.read_clips().loc[0, "reason"] == 'no, "really"'
    assert run.read_metrics()["chosen"] == "mean"
    assert run.read_blend() == {"method": "mean"}
    assert run.report_path.read_text(encoding="utf-8") == "<p>ü</p>"


def test_a_recipe_in_a_run_loads_back_equal(tmp_path: Path) -> None:
    recipe = Recipe(seed=7, heads=(HeadConfig(sources=("naïve",), dense_units=(3,), learning_rate=1e-4),))
    run = RunDirectory(tmp_path / "run")
    run.write_config(recipe.model_dump(mode="json"))
    assert load_recipe(run.config_path) == recipe


def test_missing_pieces_name_the_command(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(RunError, match="there is no such run; make it with `heads train"):
        run.read_labels()
    run.path.mkdir()
    with pytest.raises(RunError, match=r"there is no folds.csv yet; run `heads train --run .* first"):
        run.read_folds()
    with pytest.raises(RunError, match=r"there is no metrics.json yet; run `heads blend --run"):
        run.read_metrics()
    with pytest.raises(RunError, match=r"there is no oof/blend.csv yet; run `heads blend"):
        run.read_oof("blend")
    with pytest.raises(RunError, match="no head is trained here"):
        run.read_all_oof()
    assert run.read_clips().empty
    (run.path / "clips").mkdir()  # as in a store
    for read in (run.read_metrics, run.read_all_oof):
        with pytest.raises(RunError, match="is no run, expected its config"):
            read()
    with pytest.raises(RunError, match="there is no such run"):
        RunDirectory(tmp_path / "nowhere").read_all_oof()


def test_broken_pieces_are_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.metrics_path.write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        run.read_metrics()
    run.folds_path.write_text("clip_id,fold\na,0\n")
    with pytest.raises(RunError, match="no column 'group'"):
        run.read_folds()
    run.write_oof("m", oof(None))
    with pytest.raises(PredictionError, match="not out-of-fold"):
        run.read_oof("m")


def test_what_the_dead_left_in_a_run_goes_and_nothing_else_does(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    parts = [run.report_path, run.model_path("a", 0), run.oof_path("a"), run.frames_path("a"), run.added_path("b")]
    parts += [RunDirectory(run.path / other).model_path("a", 0) for other in (RANDOM_SPLIT, OTHER_METADATA)]
    own = temporary_name().rsplit("-", 2)[0]
    left, kept = [], []
    for path in parts:
        path.parent.mkdir(parents=True, exist_ok=True)
        left.append(path.with_name(f"{own}-{2**22 + 1}-{'0' * 16}{path.suffix}"))
        kept += [path, path.with_name(temporary_name(path.suffix)), path.with_name(f".tmp-elsewhere-1-{'0' * 16}")]
    (run.path / "clips").mkdir()
    kept.append(run.path / "clips" / left[0].name)  # not the run's own
    for path in (*left, *kept):
        path.write_text("half")
    assert sorted(run.remove_leftovers()) == sorted(left)
    assert {path for path in run.path.rglob("*") if path.is_file()} == set(kept)
    assert RunDirectory(tmp_path / "none").remove_leftovers() == []


def test_a_run_is_trained_by_one_at_a_time(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    where = re.escape(socket.gethostname())
    who = rf"is being trained already \(since [-\d]+ [:\d]+ by process {os.getpid()} on {where}\)"
    with run.in_training():
        with pytest.raises(TrainError, match=who), RunDirectory(tmp_path / "run").in_training():
            pass
        with RunDirectory(tmp_path / "other").in_training():
            pass
        with pytest.raises(RunError, match="no head is trained here"):
            run.read_all_oof()
    with run.in_training(), pytest.raises(TrainError), run.in_training():
        pass


@pytest.mark.slow
def test_a_training_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    program = (
        "import sys, time; from pathlib import Path; from heads.run import RunDirectory\n"
        "with RunDirectory(Path(sys.argv[1])).in_training(): print('trains', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(run.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "trains\n"
        with pytest.raises(TrainError, match=f"by process {other.pid} on"), run.in_training():
            pass
        other.kill()
    with run.in_training():
        pass


def test_where_files_cannot_be_locked_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, *, wait: bool) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    run = RunDirectory(tmp_path / "run")
    monkeypatch.setattr(heads.run, "lock_file", refuse)
    with run.in_training(), run.in_training():
        pass
    (tmp_path / "no folder").touch()
    with RunDirectory(tmp_path / "no folder").in_training():
        pass


def test_folds_without_ids_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip ids"):
        RunDirectory(tmp_path).write_folds(Folds(ids=(), fold=np.array([0, 1]), groups=("a", "b"), n_folds=2))


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a\\b", ".hidden", "a:b"])
def test_names_cannot_lead_out_of_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot name a head"):
        RunDirectory(tmp_path).oof_path(name)


def test_a_run_of_a_later_version_is_not_guessed_at(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_config({"version": 2, "recipe": {}})
    with pytest.raises(
        RunError, match=r"config.yaml: made by a later version of Trapline \(format 2, expected at most 1"
    ):
        run.read_config()


@pytest.mark.parametrize("lost", ["blend.json", "oof/blend.csv", "metrics.json"])
def test_what_is_left_of_two_blends_is_not_mixed(tmp_path: Path, lost: str) -> None:
    """One of the three files is of the blend before: blending was killed between them."""
    run = RunDirectory(tmp_path / "run")
    for method, shift in (("mean", 0.0), ("greedy", 0.1)):
        before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
        given = oof([1, 0])
        moved = Predictions(
            ids=given.ids, classes=given.classes, probabilities=given.probabilities / (1 + shift), fold=given.fold
        )
        run.write_blended(moved, {"method": method}, {"chosen": method})
        assert run.read_blend() == {"method": method}
        assert run.read_metrics()["chosen"] == method
    (run.path / lost).write_bytes(before[run.path / lost])
    for reader in (run.read_blend, run.read_metrics):
        with pytest.raises(RunError, match=r"`heads blend` was stopped .*; run `heads blend --run .*` again"):
            reader()


def test_a_blend_of_before_the_digests_is_read_as_it_is(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_json(run.blend_path, {"method": "mean"})
    write_json(run.metrics_path, {"chosen": "mean"})
    assert run.read_metrics() == {"chosen": "mean"}
    assert run.read_blend() == {"method": "mean"}


@pytest.mark.parametrize("name", ["con", "AUX.v2", "lpt1", "ends.", "ends ", "a:b", "", ".hidden"])
def test_no_file_is_called_what_some_system_refuses(name: str) -> None:
    assert not can_name_file(name)


@pytest.mark.parametrize("name", ["console", "auxiliary", "com", "deviation-a+motion", "größe"])
def test_what_every_system_takes_can_name_a_file(name: str) -> None:
    assert can_name_file(name)
