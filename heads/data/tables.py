"""CSV tables as people save them: read strictly, so that an error can name the file and the line."""

import bz2
import csv
import gzip
import lzma
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from heads.errors import LabelError
from store.ids import normalise_clip_id

ID_COLUMNS = ("filename", "filepath", "clip_id")
_COMPRESSED: Mapping[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """The cells of a CSV file as text.

    Attributes:
        name: file name, for messages.
        columns: header cells, stripped, their letters composed.
        header: the same as they stand in the file.
        rows: one list of stripped cells a row, as many as there are columns.
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
        """The cells of one column of names, their letters composed."""
        return [composed(cell) for cell in self.column(name)]

    @property
    def id_column(self) -> str:
        """The name of the column that holds clip ids.

        Raises:
            LabelError: there is none.
        """
        for name in ID_COLUMNS:
            if name in self.columns:
                return name
        raise LabelError(
            f"{self.name}: there is no column of clips, expected one of {quoted(ID_COLUMNS)}, "
            f"found {quoted(self.columns)}; name the clips' column in the first line (comma separated)"
        )

    def clip_ids(self) -> list[str]:
        """The clip id of every row, normalised.

        Raises:
            LabelError: there is no column of clips, or a cell of it is empty.
        """
        ids = [normalise_clip_id(cell) for cell in self.column(self.id_column)]
        for line, clip_id in zip(self.lines, ids, strict=True):
            if not clip_id:
                raise LabelError(f"{self.name}, line {line}: the column '{self.id_column}' is empty; name the clip")
        return ids

    def sites(self, ids: Sequence[str]) -> list[str]:
        """The site of every row, whose clips are `ids`, in composed letters.

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


def composed(name: str) -> str:
    """`name` in Unicode NFC: two spellings of one letter, which look the same, must not make two sites or classes."""
    return unicodedata.normalize("NFC", name)


def read_table(path: Path) -> TextTable:
    """Read a UTF-8 table with a header line; blank lines are skipped, a byte order mark is ignored.

    Cells are separated by what the header shows: commas, or the semicolons or tabs that spreadsheets write. Columns
    without a name and without a single filled cell, which spreadsheets leave at the right, are passed over.

    Raises:
        LabelError: the file is missing, unreadable, not UTF-8, empty, ragged, or names a column twice.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True, delimiter=delimiter_of(path))
            for row in reader:
                if any(cell.strip() for cell in row):
                    rows.append([cell.strip() for cell in row])
                    lines.append(reader.line_num)
    except FileNotFoundError as error:
        raise LabelError(f"{path}: there is no such file; name a CSV file that exists") from error
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); name a CSV file that can") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path.name}: not a UTF-8 text file ({error.reason}); save it as CSV UTF-8") from error
    except csv.Error as error:
        raise LabelError(f"{path.name}: not a CSV file ({error}); save it as comma-separated CSV UTF-8") from error
    if len(rows) < 2:
        raise LabelError(f"{path.name}: the table is empty, expected a header line and at least one row")
    rows = _without_empty_ends(rows)
    columns = _checked_header(path.name, [composed(cell) for cell in rows[0]])
    _require_even_rows(path.name, columns, rows[1:], lines[1:])
    return TextTable(name=path.name, columns=columns, header=tuple(rows[0]), rows=rows[1:], lines=lines[1:])


def read_header(path: Path) -> tuple[str, ...]:
    """The first line of a table that is not blank, as `TextTable.columns`; empty if the file is no such table."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next(
                (
                    row
                    for row in csv.reader(file, strict=True, delimiter=delimiter_of(path))
                    if any(cell.strip() for cell in row)
                ),
                [],
            )
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()
    return tuple(composed(cell.strip()) for cell in first)


def delimiter_of(path: Path) -> str:
    """What separates the cells of the first line that is not blank, outside of quotes: a comma, unless semicolons or
    tabs stand there more often.

    A file may be compressed, as the ending of its name says.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    opened: Callable[..., IO[str]] = _COMPRESSED.get(path.suffix.lower(), open)
    with opened(path, "rt", encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip()), "")
    outside = "".join(first.split('"')[::2])
    return max(",;\t", key=outside.count)


def _without_empty_ends(rows: Sequence[list[str]]) -> list[list[str]]:
    """The rows without the columns at the right that hold nothing, not even a name."""
    width = max((place + 1 for row in rows for place, cell in enumerate(row) if cell), default=0)
    return [row[: max(width, 1)] if not any(row[width:]) else row for row in rows]


def _checked_header(name: str, header: Sequence[str]) -> tuple[str, ...]:
    repeated = sorted({column for column in header if header.count(column) > 1})
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


def quoted(names: Iterable[str]) -> str:
    """Names in quotation marks, separated by commas."""
    return ", ".join(f"'{name}'" for name in names)
