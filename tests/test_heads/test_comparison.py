"""Two runs side by side: by hand, as a command, and as a page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from numpy.typing import NDArray
from training import train_run
from typer.testing import CliRunner

import heads
from heads.cli import app
from heads.errors import RunError
from heads.evaluation.comparison import compare_models
from heads.evaluation.metrics import mean_log_loss
from heads.recipe import HeadConfig, Recipe
from heads.report import compare_runs
from heads.report.comparison import sentences_on
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from heads.workflows.job import run_recipe

MakeRun = Callable[..., RunDirectory]


def test_differences_by_hand() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.uint8)
    first, second = np.full((4, 2), 0.5), np.array([[0.8, 0.5], [0.8, 0.5], [0.2, 0.5], [0.2, 0.5]])
    whole, one, two = compare_models(labels, first, second, ["s", "s", "t", "t"], ["hog", "lion"])
    assert (whole.name, one.name, two.name) == ("", "hog", "lion")
    assert (whole.clips, one.clips, two.clips) == (4, 2, 2)
    assert one.change == pytest.approx(np.log(0.5) - np.log(0.8))
    assert two.change == 0
    assert whole.change == pytest.approx(one.change / 2)
    assert (one.low, one.high) == pytest.approx((one.change, one.change))  # both sites agree to the last digit
    assert (one.verdict, two.verdict) == ("better", "not sure")
    slight = replace(one, second=one.first * 0.995, low=-0.006 * one.first, high=-0.004 * one.first)
    assert (slight.verdict, replace(slight, second=one.first * 0.98).verdict) == ("hardly better", "better")
    assert (one.first_ap, one.second_ap) == pytest.approx((0.5, 1.0))
    assert whole.second_ap == pytest.approx((1.0 + 0.5) / 2)


VALUES = np.eye(3, dtype=np.uint8)[np.random.default_rng(0).integers(0, 3, 90)]
NAMES = ("blank", "hog", "lion")


def write_labels(path: Path, values: NDArray[np.uint8]) -> Path:
    ids = clip_ids(len(values))
    frame = pd.DataFrame(values, columns=list(NAMES))
    frame.insert(0, "filename", ids)
    frame.insert(1, "site", sites_of(ids))
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def runs(tmp_path: Path) -> tuple[RunDirectory, RunDirectory]:
    """A run on labels with mistakes in them, and one like it on the right ones, of another seed."""
    store = make_store(tmp_path / "store", VALUES)
    wrong = VALUES.copy()
    wrong[:12] = np.roll(wrong[:12], 1, axis=1)
    labels = [write_labels(tmp_path / f"{name}.csv", values) for name, values in (("wrong", wrong), ("right", VALUES))]
    recipe = Recipe(folds=3, heads=(HeadConfig(kind="discriminant", metadata=()),))
    made = [RunDirectory(tmp_path / name) for name in ("before", "after")]
    for run, path, seed in zip(made, labels, (0, 1), strict=True):
        train_run(store, path, run, recipe.model_copy(update={"seed": seed}))
        blend_run(run, most_clips_for_trees=0)
    return made[0], made[1]


def test_two_runs_are_scored_by_the_labels_of_the_second(runs: tuple[RunDirectory, RunDirectory]) -> None:
    before, after = runs
    found = compare_runs(before, after)
    whole, *classes = found.differences
    assert [each.name for each in classes] == list(NAMES)
    assert whole.second == pytest.approx(
        after.read_metrics()["blends"][after.read_metrics()["chosen"]]["mean_log_loss"]
    )
    labels = after.read_labels()
    said = before.read_oof("blend").select(labels.ids)
    assert whole.first == pytest.approx(mean_log_loss(labels.values, said.only(NAMES).probabilities))
    assert found.notes[1] == "12 clips have other labels in after; both runs are scored by these."
    assert found.settings == [("seed", "0", "1")]
    for each in found.turned:
        assert each.first[0] != each.second[0]
        assert (each.outcome in ("right now", "right both")) == (each.second[0] in each.labelled.split(", "))
    same = compare_runs(after, after)
    assert (same.turned, same.settings, same.notes[1:]) == ([], [], [])
    assert "the same" in sentences_on(same)[0]


def test_runs_that_share_nothing_are_refused(runs: tuple[RunDirectory, RunDirectory], make_run: MakeRun) -> None:
    with pytest.raises(RunError, match="share no clip, so there is nothing to compare"):
        compare_runs(runs[0], make_run(n_clips=120))


def test_a_comparison_as_a_page_as_json_and_as_a_table(runs: tuple[RunDirectory, RunDirectory], tmp_path: Path) -> None:
    words = ["compare", *(str(run.path) for run in runs)]
    page = tmp_path / "page.html"
    shown = CliRunner().invoke(app, [*words, "--out", str(page)])
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:5]] == ["all", *NAMES]
    assert "12 clips have other labels" in page.read_text(encoding="utf-8")
    facts = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    table = heads.Run(runs[0].path).compare(runs[1].path)
    assert [row["change"] for row in facts["differences"]] == pytest.approx(table["change"].tolist())
    assert table["class"].tolist() == ["", *NAMES]
    wrong = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "gone" / "page.html")])
    assert isinstance(wrong.exception, RunError)


def test_a_run_like_another_has_its_recipe_and_its_labels(
    runs: tuple[RunDirectory, RunDirectory], tmp_path: Path
) -> None:
    before, after = runs
    words = ["train", "--store", str(tmp_path / "store"), "--like", str(after.path)]
    assert CliRunner().invoke(app, [*words, "--run", str(tmp_path / "again")]).exit_code == 0
    again = RunDirectory(tmp_path / "again")
    assert run_recipe(again) == run_recipe(after)
    for name in after.head_names():
        assert again.oof_path(name).read_bytes() == after.oof_path(name).read_bytes()
    other = ["--labels", str(tmp_path / "wrong.csv"), "--seed", "0", "--run", str(tmp_path / "third")]
    assert CliRunner().invoke(app, [*words, *other]).exit_code == 0
    third = RunDirectory(tmp_path / "third")
    assert third.read_labels().values.tolist() == before.read_labels().values.tolist()
    assert run_recipe(third) == run_recipe(before)
    labels = after.read_labels()
    turned = [NAMES[1 - row[:2].index(1)] if 1 in row[:2] else NAMES[0] for row in labels.values.tolist()]
    table = pd.DataFrame({"filename": labels.ids, "correct": turned})[::3]
    table.to_csv(tmp_path / "corrected.csv", index=False)
    own = ["--corrections", str(tmp_path / "corrected.csv"), "--run", str(tmp_path / "fourth")]
    assert CliRunner().invoke(app, [*words, *own]).exit_code == 0
    fourth = RunDirectory(tmp_path / "fourth")
    assert (fourth.read_labels().values != labels.values).any(axis=1).sum() > 10
    assert fourth.read_folds().of(labels.ids).tolist() == after.read_folds().of(labels.ids).tolist()
    nothing = CliRunner().invoke(app, ["train", "--store", str(tmp_path / "store"), "--run", str(tmp_path / "x")])
    assert nothing.exit_code == 2
    assert "--like" in nothing.output
