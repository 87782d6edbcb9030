from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heads.data.predictions import Predictions
from heads.data.splitting.folds import balance_table
from heads.evaluation import verdicts
from heads.evaluation.verdicts import Use, species_verdicts
from heads.run import RunDirectory
from heads.workflows.answers.findings import COLUMNS, findings
from heads.workflows.answers.output import write_table
from heads.workflows.answers.predict import NewPredictions, Origin
from store import Status

MakeRun = Callable[..., RunDirectory]


def answers(run: RunDirectory, rows: list[dict[str, float]], status: list[Status] | None = None) -> NewPredictions:
    classes = run.read_oof("blend").classes
    said = np.array([[row.get(name, 0.0) for name in classes] for row in rows])
    ids = tuple(f"new {number}.mp4" for number in range(len(rows)))
    return NewPredictions(
        predictions=Predictions(ids=ids, classes=classes, probabilities=said),
        status=tuple(status or [Status.OK] * len(rows)),
        origin=(Origin.NEW,) * len(rows),
    )


def test_each_clip_says_what_is_there_and_whether_to_believe_it(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    labels, folds = run.read_labels(), run.read_folds()
    balance = balance_table(labels.values, folds, labels.classes)
    found = {each.name: each for each in species_verdicts(run.read_metrics(), balance, 5, sites=True)}
    sure, other = "duiker", "human"
    limits = {sure: 0.6, other: 0.2}
    kinds = {sure: Use.ALONE, other: Use.CHECKED, "rodent": Use.TOO_FEW}
    set_to = [replace(found[name], use=use, threshold=limits.get(name)) for name, use in kinds.items()]
    monkeypatch.setattr(verdicts, "species_verdicts", lambda *_args, **_named: set_to)
    blank = run.read_metrics()["blank_removal"][0]["threshold"]
    rows = [
        {sure: 0.61, other: 0.9},
        {sure: 0.59, other: 0.1},
        {other: 0.21},
        {other: 0.19},
        {"rodent": 0.99},
        {"blank": blank, sure: 0.1},
        {"blank": 0.6 * blank, other: 0.1},
        {"blank": blank, sure: 0.7},
        {other: 0.9},
    ]
    status = [Status.OK] * 8 + [Status.FAILED]
    table = findings(run, answers(run, rows, status), {"new 0.mp4": "s"}, {"new 1.mp4": "2026-05-01T10:00:00"})
    assert tuple(table.columns) == COLUMNS
    assert table[["species", "probability", "verdict"]].to_numpy().tolist() == [
        [sure, "0.61", "sure"],
        [sure, "0.59", "check"],
        [other, "0.21", "check"],
        [other, "0.19", "cannot say"],
        ["rodent", "0.99", "cannot say"],
        ["blank", f"{blank:.2f}", "sure"],
        ["blank", f"{0.6 * blank:.2f}", "check"],
        [sure, "0.70", "sure"],
        ["", "", "cannot say"],
    ]
    assert table["site"].tolist() == ["s"] + [""] * 8
    assert table["time"].tolist()[:2] == ["", "2026-05-01T10:00:00"]


def test_two_species_that_are_sure_have_a_row_each(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    labels = run.read_labels()
    balance = balance_table(labels.values, run.read_folds(), labels.classes)
    found = species_verdicts(run.read_metrics(), balance, 5, sites=True)
    monkeypatch.setattr(
        verdicts,
        "species_verdicts",
        lambda *_args, **_named: [replace(each, use=Use.ALONE, threshold=0.5) for each in found],
    )
    table = findings(run, answers(run, [{"duiker": 0.6, "hog": 0.8, "human": 0.4}]), {}, {})
    assert table[["clip", "species"]].to_numpy().tolist() == [["new 0.mp4", "hog"], ["new 0.mp4", "duiker"]]


def test_the_table_opens_in_a_spreadsheet_with_its_letters(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    write_table(path, pd.DataFrame({"species": ["größe"]}))
    assert path.read_bytes().startswith(b"\xef\xbb\xbfspecies")
    write_table(tmp_path / "f.parquet", pd.DataFrame({"species": ["größe"]}))
    assert pd.read_parquet(tmp_path / "f.parquet")["species"].tolist() == ["größe"]
