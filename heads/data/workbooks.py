"""Tables in Excel workbooks, read as the text that a CSV of them would hold."""

import datetime
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from heads.errors import LabelError

_FORMULA = re.compile(rb"<(\w+:)?f[\s>/]")
Rows = tuple[tuple[int, tuple[str, ...]], ...]
"""The rows that hold anything, each with its number in the sheet, which begins with 1."""


def is_workbook(path: Path) -> bool:
    """Whether a file is an Excel workbook (.xlsx, .xlsm), by its content."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def sheet_rows(path: Path, fits: Callable[[Sequence[str]], bool]) -> Rows:
    """The rows of the sheet that is meant: the only one with cells, or the only one whose first row `fits`.

    Hidden sheets do not count. Numbers are written without a needless point, dates as ISO 8601, yes and no as 1 and 0.

    Raises:
        LabelError: the file cannot be read, it is not clear which sheet is meant, or a cell is a formula whose value
            is not in the file.
    """
    stat = path.stat()
    sheets = _sheets(path, stat.st_mtime_ns, stat.st_size)
    filled = {name: rows for name, rows in sheets.items() if rows}
    fitting = [name for name, rows in filled.items() if fits(rows[0][1])] if len(filled) > 1 else list(filled)
    if len(fitting) > 1 or (len(filled) > 1 and not fitting):
        raise LabelError(
            f"{path.name}: {len(filled)} sheets hold tables ({', '.join(filled)}), and it is not clear which is meant; "
            "save the one that counts as a file of its own"
        )
    return filled[fitting[0]] if fitting else ()


@lru_cache(maxsize=4)
def _sheets(path: Path, _mtime_ns: int, _size: int) -> dict[str, Rows]:
    """The rows of each sheet that is shown, by its name."""
    read = {name: _texts(rows) for name, rows in _values(path, computed=True).items()}
    formulas = _values(path, computed=False) if _has_formulas(path) else {}
    for name, rows in read.items():
        held = dict(rows)
        for number, cells in enumerate(formulas.get(name, ()), start=1):
            for place, cell in enumerate(cells):
                if isinstance(cell, str) and cell.startswith("=") and not _text_at(held, number, place):
                    raise LabelError(
                        f"{path.name}, sheet {name}, row {number}: {cell} has no value, since no spreadsheet has "
                        "computed it; open the file in one, save it, and give it again"
                    )
    return read


def _has_formulas(path: Path) -> bool:
    """Whether a sheet may hold formulas, for which alone the workbook, whose cells were read, is read once more."""
    with zipfile.ZipFile(path) as archive:
        sheets = (archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/"))
        return any(_FORMULA.search(sheet) for sheet in sheets)


def _values(path: Path, *, computed: bool) -> dict[str, list[tuple[Any, ...]]]:
    """What stands in the cells of each sheet that is shown: values, or formulas where there are some."""
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of the file that are not cells
            book = openpyxl.load_workbook(path, read_only=True, data_only=computed)
            try:
                shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
                return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in shown}
            finally:
                book.close()
    except Exception as error:  # openpyxl lets through whatever its parsers of XML and zip find wrong
        raise LabelError(f"{path.name}: cannot be read as an Excel workbook ({error}); save it as CSV UTF-8") from error


def _texts(rows: Sequence[tuple[Any, ...]]) -> Rows:
    texts = ((number, tuple(_text(cell) for cell in cells)) for number, cells in enumerate(rows, start=1))
    return tuple((number, cells) for number, cells in texts if any(cell.strip() for cell in cells))


def _text_at(rows: dict[int, tuple[str, ...]], number: int, place: int) -> str:
    cells = rows.get(number, ())
    return cells[place] if place < len(cells) else ""


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime | datetime.time):
        return cell.isoformat(" ") if isinstance(cell, datetime.datetime) else cell.isoformat()
    return str(cell)
