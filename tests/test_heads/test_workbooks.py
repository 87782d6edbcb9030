"""Tables in Excel workbooks say what the same tables in CSV say."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from heads.data.reading.label_formats import about_format, load_labels
from heads.data.reading.sites import load_sites
from heads.data.tables import read_header, read_table
from heads.errors import LabelError, PredictionError
from heads.workflows.answers.output import write_table

LONG: Sequence[Sequence[Any]] = [["filepath", "label"], ["a/1.mp4", "hog"], [None, None], ["a/2.mp4", "blank"]]


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]], hidden: Sequence[str] = ()) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        sheet.sheet_state = "hidden" if name in hidden else "visible"
    book.save(path)
    return path


def test_labels_and_sites_are_read_from_the_sheet_of_clips(tmp_path: Path) -> None:
    notes = [["what people wrote"], ["nothing"]]
    path = workbook(tmp_path / "labels.xlsx", {"notes": notes, "labels": LONG})
    table = load_labels(path)
    assert dict(zip(table.ids, table.values.tolist(), strict=True)) == {"a/1.mp4": [0, 1], "a/2.mp4": [1, 0]}
    assert table.classes == ("blank", "hog")
    assert "label" in about_format(path)
    assert read_table(path).lines == [2, 4]  # as Excel numbers them
    sites = workbook(tmp_path / "sites.xlsx", {"1": [["filename", "site"], ["a/1.mp4", 7], ["a/2.mp4", 8.0]]})
    assert load_sites(sites) == {"a/1.mp4": "7", "a/2.mp4": "8"}


def test_cells_are_what_a_csv_would_hold(tmp_path: Path) -> None:
    when = datetime.datetime(2024, 5, 1, 6, 30)
    rows = [
        ["filename", "hog", "seen", "at", "share"],
        ["1.mp4", 1, True, when, 0.5],
        ["2.mp4", 0.0, False, None, 1e-3],
    ]
    table = read_table(workbook(tmp_path / "t.xlsm", {"Sheet1": rows, "Sheet2": []}))
    assert [list(row) for row in table.rows] == [
        ["1.mp4", "1", "1", "2024-05-01 06:30:00", "0.5"],
        ["2.mp4", "0", "0", "", "0.001"],
    ]


def test_which_sheet_is_meant_is_never_guessed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "two.xlsx", {"spring": LONG, "summer": LONG})
    with pytest.raises(LabelError, match=r"two.xlsx: 2 sheets hold tables \(spring, summer\), and it is not clear"):
        load_labels(path)
    assert read_header(path) == ()
    assert len(load_labels(workbook(tmp_path / "one.xlsx", {"spring": LONG, "old": LONG}, hidden=["old"])).ids) == 2


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    rows = [["filename", "hog"], ["1.mp4", "=1+1"]]
    with pytest.raises(LabelError, match=r"f.xlsx, sheet s, row 2: =1\+1 has no value"):
        load_labels(workbook(tmp_path / "f.xlsx", {"s": rows}))
    path = workbook(tmp_path / "cut.xlsx", {"s": LONG})
    content = path.read_bytes()
    at = content.index(b"xl/worksheets/sheet1.xml") + 60
    path.write_bytes(content[:at] + bytes(40) + content[at + 40 :])
    with pytest.raises(LabelError, match=r"cut.xlsx: cannot be read as an Excel workbook \(.*\); save it as CSV UTF-8"):
        load_labels(path)
    with pytest.raises(LabelError, match="the table is empty"):
        load_labels(workbook(tmp_path / "e.xlsx", {"s": []}))


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    table = pd.DataFrame({"clip_id": ["=1+1.mp4", "ï/2.mp4"], "hog": [0.25, float("nan")], "event": [3, 4]})
    path = tmp_path / "answers.xlsx"
    write_table(path, table)
    sheet = openpyxl.load_workbook(path).worksheets[0]
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [
        ["clip_id", "hog", "event"],
        ["=1+1.mp4", 0.25, 3],
        ["ï/2.mp4", None, 4],
    ]
    assert sheet["A2"].data_type == "s"
    with pytest.raises(PredictionError, match="a character that Excel cannot hold"):
        write_table(path, pd.DataFrame({"clip_id": ["a\x01.mp4"]}))
    assert openpyxl.load_workbook(path).worksheets[0]["A3"].value == "ï/2.mp4"  # it stays as it was
