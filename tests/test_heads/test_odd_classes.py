"""Classes that are called like columns of our own tables, or in letters that charts cannot draw, all the way."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from typer.testing import CliRunner

from heads.cli import app
from heads.data.labels import LabelTable
from heads.run import RunDirectory

ODD = (
    "site",
    "label",
    "group",
    "class",
    "class:site",
    "name",
    "index",
    "model",
    "loss",
    "kind",
    "clips",
    "Unnamed: 0",
    "0",
    "_hidden",
    "🦌",
    "山猫",
    "$x_1$ & <b>",
    'a "quoted", name',
    "{{ braces }}",
)
RECIPE = """
folds: 2
heads: [{kind: discriminant, name: d}, {kind: deviation, name: f, queries: 1, epochs: 2, dense_units: [8]}]
"""


def heads(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_classes_of_any_name_go_the_whole_way(tmp_path: Path) -> None:
    ids = clip_ids(72)
    shown = (np.random.default_rng(0).random((72, 4)) < 0.4).astype(np.uint8)
    store = make_store(tmp_path / "store", shown)
    rows = [
        (ids[row], name, site)
        for row, site in enumerate(sites_of(ids))
        for column, name in enumerate(ODD)
        if shown[row, column % 4]
    ]
    pd.DataFrame(rows, columns=["filepath", "label", "site"]).to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    run = RunDirectory(tmp_path / "run")
    words = ("--store", store.root, "--run", run.path)
    heads("train", *words, "--labels", tmp_path / "labels.csv", "--recipe", tmp_path / "recipe.yaml")
    leaderboard = heads("blend", "--run", run.path)
    heads("report", *words[2:], *words[:2])
    heads("predict", *words, "--out", tmp_path / "out.csv")
    heads("attend", *words, "--clip", ids[0])
    assert "mean" in leaderboard
    labels = run.read_labels()
    assert sorted(labels.classes) == sorted(ODD)
    known = dict(zip(labels.ids, labels.sites or (), strict=True))
    assert [known[clip_id] for clip_id in labels.ids] == sites_of(labels.ids)
    for column, name in enumerate(ODD):
        assert (
            labels.only([name]).values[:, 0].tolist()
            == shown[[ids.index(each) for each in labels.ids], column % 4].tolist()
        )
    for model in (*run.head_names(), "blend"):
        assert sorted(run.read_oof(model).classes) == sorted(ODD)
    answers = pd.read_csv(tmp_path / "out.csv")
    assert set(ODD) < set(answers.columns)
    assert sorted(answers["clip_id"]) == sorted(ids)
    page = run.report_path.read_text(encoding="utf-8")
    assert "🦌" in page
    assert "&amp; &lt;b&gt;" in page
    assert "& <b>" not in page


def test_marks_of_columns_are_taken_off_as_often_as_they_were_put_on() -> None:
    classes = ("site", "class:site", "class:class:filename", "class:hog", "filename")
    labels = LabelTable(ids=("a", "b"), classes=classes, values=np.eye(2, 5, dtype=np.uint8), sites=("s", "t"))
    assert list(labels.to_frame())[:3] == ["filename", "site", "class:site"]
    again = LabelTable.from_frame(labels.to_frame())
    assert (again.ids, again.classes, again.sites) == (labels.ids, classes, labels.sites)
    assert np.array_equal(again.values, labels.values)


@pytest.mark.parametrize("name", ["filename", "filepath", "clip_id", "fold", "status", "origin"])
def test_names_that_answers_use_are_refused_when_labels_are_read(tmp_path: Path, name: str) -> None:
    store = make_store(tmp_path / "store", np.eye(12, 2, dtype=np.uint8))
    rows = [f"{clip_id},{name if row % 2 else 'hog'}" for row, clip_id in enumerate(clip_ids(12))]
    (tmp_path / "labels.csv").write_text("\n".join(["filename,label", *rows]) + "\n")
    words = ["train", "--store", store.root, "--labels", tmp_path / "labels.csv", "--run", tmp_path / "run"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 1
    assert (
        str(done.exception) == f"labels.csv: a class cannot be called '{name}', predictions use that column; rename it"
    )
