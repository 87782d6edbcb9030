"""Tables as people save them, CSV or Excel: read strictly, so that an error can name the file and the line.

One rule says what a cell holds, whatever table it stands in: `tidy`, and `is_empty` for what stands for nothing. Only
ids of clips are kept as they stand, since a folder's real name may begin or end with a space: `heads.data.matching`
compares them with the clips that there are.
"""

import bz2
import csv
import gzip
import lzma
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from heads.data.workbooks import Rows, is_workbook, sheet_rows
from heads.errors import LabelError
from store.ids import normalise_clip_id

ID_COLUMNS = ("filename", "filepath", "clip_id")
EMPTY_WORDS = ("nan", "-nan", "na", "n/a", "#n/a", "<na>", "null", "nat")
_OPENERS: Mapping[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_LOOKED_AT = 5  # lines, to see what separates cells
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))  # zero-width marks that web pages and Word leave
_NOT_TEXT = (UnicodeDecodeError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """The cells of a CSV file as text.

    Attributes:
        name: file name, for messages.
        columns: header cells, tidied.
        header: the same as they stand in the file.
        rows: one list of cells a row, as they stand in the file, as many as there are columns.
        lines: line number in the file (the header is 1) on which each row ends.
    """

    name: str
    columns: tuple[str, ...]
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def column(self, name: str) -> list[str]:
        """The cells of one column, as they stand in the file."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def names(self, name: str) -> list[str]:
        """The cells of one column of names, tidied; "" for a cell that is empty or says so, such as NaN."""
        cells = self.column(name)
        tidied = {cell: "" if is_empty(cell) else tidy(cell) for cell in set(cells)}  # names stand in many rows each
        return [tidied[cell] for cell in cells]

    @property
    def id_column(self) -> str:
        """The name of the column that holds clip ids.

        Raises:
            LabelError: there is none.
        """
        found = find_id_column(self.columns)
        if found is None:
            raise LabelError(
                f"{self.name}: there is no column of clips, expected one of {quoted(ID_COLUMNS)}, "
                f"found {quoted(self.columns)}; name the clips' column in the first line (comma separated)"
            )
        return found

    def clip_ids(self) -> list[str]:
        """The clip id of every row, with the white space that stands in the file.

        Raises:
            LabelError: there is no column of clips, or a cell of it is empty.
        """
        column = self.id_column
        cells = self.column(column)
        for line, cell in zip(self.lines, cells, strict=True):
            if not tidy(normalise_clip_id(cell)):
                raise LabelError(f"{self.name}, line {line}: the column '{column}' is empty; name the clip")
        return [normalise_clip_id(cell) for cell in cells]

    def sites(self, ids: Sequence[str]) -> list[str]:
        """The site of every row, whose clips are `ids`, tidied.

        Raises:
            LabelError: a site is empty.
        """
        sites = self.names("site")
        for line, clip_id, site in zip(self.lines, ids, sites, strict=True):
            if not site:
                raise LabelError(f"{self.name}, line {line}, clip '{clip_id}': the site is empty; name it")
        return sites

    def require_single_rows(self, keys: Sequence[tuple[str, ...]]) -> None:
        """Raise LabelError, naming both lines, if two rows have the same key: a clip, or a clip and a label."""
        first_line: dict[tuple[str, ...], int] = {}
        for line, key in zip(self.lines, keys, strict=True):
            if first_line.setdefault(key, line) != line:
                what = " with label ".join(f"'{part}'" for part in key)
                raise LabelError(
                    f"{self.name}, line {line}: clip {what} stands already in line {first_line[key]}; keep one of the "
                    "rows"
                )


def tidy(text: str) -> str:
    """What a person sees in a cell or a header: letters composed, and white space that cannot be told apart made equal.

    White space of any kind (no-break spaces too) counts as one space between words and as nothing at the ends, marks
    without width as nothing; letters are in Unicode NFC. Two spellings that look the same must not make two sites or
    classes.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_UNSEEN)
    return " ".join(text.split())


def is_empty(cell: str) -> bool:
    """Whether a cell holds nothing, or one of the words that programs write for nothing."""
    tidied = tidy(cell)
    return not tidied or tidied.casefold() in EMPTY_WORDS


def find_id_column(columns: Sequence[str]) -> str | None:
    """The column of clips among tidied column names: one of ID_COLUMNS, else one that differs from it in case or in
    what stands between its words; None if there is none.
    """
    for spelling in (str, bare):
        spelt = {spelling(name): name for name in reversed(columns)}
        for name in ID_COLUMNS:
            if spelling(name) in spelt:
                return spelt[spelling(name)]
    return None


def read_table(path: Path) -> TextTable:
    """Read a UTF-8 table, or an Excel workbook, with a header line; blank lines are skipped, a byte order mark ignored.

    Cells are separated by what the header shows: commas, or the semicolons or tabs that spreadsheets write. Columns
    without a name and without a single filled cell, which spreadsheets leave, are passed over.

    Raises:
        LabelError: the file is missing, unreadable, not UTF-8, empty, ragged, or names a column twice.
    """
    try:
        if is_workbook(path):
            return _table([(line, list(cells)) for line, cells in _rows_of_workbook(path)], path.name)
        delimiter = delimiter_of(path)
        with _opened(path) as file:
            return table_of(file, path.name, delimiter)
    except FileNotFoundError as error:
        raise LabelError(f"{path}: there is no such file; name a CSV file that exists") from error
    except UnicodeDecodeError as error:
        raise LabelError(
            f"{path.name}: not a UTF-8 text file ({error.reason}); save it as CSV UTF-8, or as .xlsx"
        ) from error
    except _NOT_TEXT as error:
        raise LabelError(f"{path.name}: cannot be unpacked ({error}); pack it again, or give the CSV file") from error
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror or error}); name a CSV file that can") from error


def table_of(file: IO[str], name: str, delimiter: str) -> TextTable:
    """The table in an open file of text.

    Args:
        file: opened with `newline=""`.
        name: of the file, for messages.
        delimiter: what separates cells.

    Raises:
        LabelError: it is no CSV, empty, ragged, or names a column twice.
    """
    try:
        found = list(_filled_rows(file, delimiter))
    except csv.Error as error:
        raise LabelError(f"{name}: not a CSV file ({error}); save it as comma-separated CSV UTF-8") from error
    return _table(found, name)


def _table(found: Sequence[tuple[int, list[str]]], name: str) -> TextTable:
    """The table that some numbered rows make, the header first; raises as `table_of` does."""
    if len(found) < 2:
        raise LabelError(
            f"{name}: the table is empty, so that it is not a CSV table of clips; expected a header line and at "
            "least one row"
        )
    lines = [line for line, _ in found[1:]]
    header, *rows = _without_empty_columns([row for _, row in found])
    columns = _checked_header(name, [tidy(cell) for cell in header])
    _require_even_rows(name, columns, rows, lines)
    return TextTable(name=name, columns=columns, header=tuple(header), rows=rows, lines=lines)


def read_header(path: Path) -> tuple[str, ...]:
    """The first line of a table that is not blank, as `TextTable.columns`; empty if the file is no such table."""
    try:
        if is_workbook(path):
            first = list(next((cells for _, cells in _rows_of_workbook(path)), ()))
            return tuple(tidy(cell) for cell in first)
        with _opened(path) as file:
            first = next((row for _, row in _filled_rows(file, delimiter_of(path))), [])
    except (OSError, csv.Error, LabelError, *_NOT_TEXT):
        return ()
    return tuple(tidy(cell) for cell in first)


def _rows_of_workbook(path: Path) -> Rows:
    """The rows of the sheet of clips."""
    return sheet_rows(path, lambda cells: find_id_column([tidy(cell) for cell in cells]) is not None)


def delimiter_of(path: Path) -> str:
    """What separates the cells of the first line that is not blank, outside of quotes: the comma, semicolon or tab that
    leaves a column of clips; of several, or of none, the one that stands as often in the next lines; of several again,
    the first of these, or where none leaves a column of clips the most frequent.

    A file may be compressed, as the ending of its name says.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    with _opened(path, newline=None) as file:
        lines = list(islice((line for line in file if line.strip()), _LOOKED_AT))
    first, *others = ["".join(line.split('"')[::2]) for line in lines] or [""]
    cells_of = (lines or [""])[0].replace('"', "").split

    def fitness(delimiter: str) -> tuple[bool, int, int]:
        count = first.count(delimiter)
        has_clips = count > 0 and find_id_column([tidy(cell) for cell in cells_of(delimiter)]) is not None
        return has_clips, sum(line.count(delimiter) == count for line in others), 0 if has_clips else count

    return max(",;\t", key=fitness)


def _opened(path: Path, newline: str | None = "") -> IO[str]:
    opener: Callable[..., IO[str]] = _OPENERS.get(path.suffix.lower(), open)
    return opener(path, "rt", encoding="utf-8-sig", newline=newline)


def _filled_rows(file: IO[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the number of the line that it ends on."""
    reader = csv.reader(file, strict=True, delimiter=delimiter)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row


def _without_empty_columns(rows: Sequence[list[str]]) -> list[list[str]]:
    """The rows, the header first, without the columns that hold nothing, not even a name.

    Columns at the right may stand in some rows only.
    """
    header = rows[0]
    if all(tidy(cell) for cell in header) and max(map(len, rows)) == len(header):
        return list(rows)
    used = {place for row in rows for place, cell in enumerate(row) if tidy(cell)}
    width = max(used, default=0) + 1
    empty = {place for place in range(min(width, len(header))) if not tidy(header[place]) and place not in used}
    cut = [row[:width] for row in rows]
    if not empty:
        return cut
    return [[cell for place, cell in enumerate(row) if place not in empty] for row in cut]


def _checked_header(name: str, header: Sequence[str]) -> tuple[str, ...]:
    repeated = sorted({column for column in header if column and header.count(column) > 1})
    if repeated:
        raise LabelError(f"{name}: the header names {quoted(repeated)} more than once; give each column its own name")
    if "" in header:
        raise LabelError(f"{name}: column {header.index('') + 1} of the header has no name; name it or remove it")
    return tuple(header)


def _require_even_rows(name: str, header: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise LabelError(
                f"{name}, line {line}: {len(row)} cells, expected {len(header)} as in the header; "
                f"quote cells that hold a comma"
            )


def bare(name: str) -> str:
    """A name without case and without what stands between its words."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def quoted(names: Iterable[str]) -> str:
    """Names in quotation marks, separated by commas."""
    return ", ".join(f"'{name}'" for name in names)
