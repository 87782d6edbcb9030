"""Timelapse: the CSV that it exports, and the `.ddb` that it works on."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from heads.data.labels import Labelled
from heads.data.reading.formats.collected import Collected, Reading
from heads.data.tables import bare, is_empty, quoted, read_header, read_table, tidy
from heads.errors import LabelError
from store.ids import normalise_clip_id

_FIXED = frozenset(
    map(bare, ("Id", "File", "RelativePath", "RootFolder", "Folder", "DateTime", "Date", "Time", "UtcOffset"))
) | frozenset(map(bare, ("DeleteFlag", "MarkForDeletion", "ImageQuality")))
_CHOICES = ("FixedChoice", "MultiChoice")
_TEXTS = (*_CHOICES, "Note", "AlphaNumeric", "MultiLine")
_CALLED = ("species", "animal", "taxon", "label", "class", "scientificname", "commonname", "speciesname", "animals")
_SQLITE = b"SQLite format 3\x00"
_NO_WORDS = ("true", "false")


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """What a Timelapse file holds.

    Attributes:
        name: of the file.
        columns: the values of every column.
        places: what messages call each row.
        types: of the columns, where the file tells.
    """

    name: str
    columns: Mapping[str, Sequence[str]]
    places: Sequence[str]
    types: Mapping[str, str]


class TimelapseCsv:
    """A row a file, and columns of its user's own, one or several of which hold the species."""

    about = "a CSV of Timelapse"

    def recognises(self, path: Path) -> bool:
        """Whether it has the columns that every Timelapse table has."""
        return {"File", "RelativePath"} <= set(read_header(path))

    def read(self, path: Path) -> Labelled:
        """Read the one column that can hold species."""
        return self.read_as(path, Reading())

    def read_as(self, path: Path, reading: Reading) -> Labelled:
        """Read the columns that are asked for."""
        return _labelled(self._sheet(path), "Timelapse's CSV", reading)

    def candidates(self, path: Path) -> Mapping[str, Sequence[str]]:
        """The values of every column that may hold labels, each once."""
        return _candidates(self._sheet(path))

    def _sheet(self, path: Path) -> _Sheet:
        table = read_table(path)
        columns = {name: table.column(name) for name in table.columns}
        return _Sheet(name=table.name, columns=columns, places=[f"line {line}" for line in table.lines], types={})


class TimelapseDatabase:
    """The same in SQLite, which knows what kind each column is; it is opened for reading only."""

    about = "a .ddb of Timelapse"

    def recognises(self, path: Path) -> bool:
        """Whether it is an SQLite file with a table of files."""
        try:
            with path.open("rb") as file:
                if file.read(len(_SQLITE)) != _SQLITE:
                    return False
        except OSError:
            return False
        return path.suffix.lower() == ".ddb" or "DataTable" in _tables(path)

    def read(self, path: Path) -> Labelled:
        """Read the one column that can hold species."""
        return self.read_as(path, Reading())

    def read_as(self, path: Path, reading: Reading) -> Labelled:
        """Read the columns that are asked for."""
        return _labelled(self._sheet(path), "Timelapse's database", reading)

    def candidates(self, path: Path) -> Mapping[str, Sequence[str]]:
        """The values of every column that may hold labels, each once."""
        return _candidates(self._sheet(path))

    def _sheet(self, path: Path) -> _Sheet:
        try:
            with closing(_opened(path)) as base:
                said = base.execute("SELECT * FROM DataTable")
                names = [each[0] for each in said.description]
                rows = said.fetchall()
                types = {}
                if "TemplateTable" in _tables(path):
                    types = dict(base.execute("SELECT DataLabel, Type FROM TemplateTable").fetchall())
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise LabelError(f"{path.name}: not a database of Timelapse ({error}); name its .ddb file") from error
        columns = {
            name: ["" if row[place] is None else str(row[place]) for row in rows] for place, name in enumerate(names)
        }
        missing = [name for name in ("File", "RelativePath") if name not in columns]
        if missing:
            raise LabelError(f"{path.name}: its DataTable has no column {quoted(missing)}; name a .ddb of Timelapse")
        places = [f"row {number + 1} of DataTable" for number in range(len(rows))]
        return _Sheet(name=path.name, columns=columns, places=places, types={str(k): str(v) for k, v in types.items()})


def _opened(path: Path) -> sqlite3.Connection:
    """The database, so that nothing is written, not even a file beside it."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


def _tables(path: Path) -> set[str]:
    try:
        with closing(_opened(path)) as base:
            return {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, UnicodeDecodeError):
        return set()


def _candidates(sheet: _Sheet) -> dict[str, list[str]]:
    """The values of columns that hold words: choices and notes, without counts, flags and times."""
    found = {}
    for name, values in sheet.columns.items():
        if bare(name) in _FIXED or (sheet.types and sheet.types.get(name) not in _TEXTS):
            continue
        words = list(dict.fromkeys(word for value in values for word in _words(sheet, name, value)))
        if words and any(_is_word(word) for word in words):
            found[name] = words
    return found


def _is_word(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word.casefold() not in _NO_WORDS
    return False


def _words(sheet: _Sheet, column: str, value: str) -> Iterable[str]:
    if is_empty(value):
        return ()
    if sheet.types.get(column) == "MultiChoice":
        return [tidy(part) for part in value.split(",") if tidy(part)]
    return (tidy(value),)


def _labelled(sheet: _Sheet, about: str, reading: Reading) -> Labelled:
    columns = _chosen(sheet, reading)
    found = Collected(origin=sheet.name, about=f"{about}, column {quoted(columns)}")
    flags = next((sheet.columns[name] for name in sheet.columns if bare(name) == "deleteflag"), None)
    for row, (folder, name) in enumerate(zip(sheet.columns["RelativePath"], sheet.columns["File"], strict=True)):
        if not name.strip():
            raise LabelError(f"{sheet.name}, {sheet.places[row]}: 'File' is empty; name the file")
        if flags is not None and flags[row].strip().casefold() in ("true", "1"):
            found.leave_out("file", "marked to be deleted")
            continue
        clip_id = normalise_clip_id(f"{folder}/{name}" if folder.strip() else name)
        found.seen.setdefault(clip_id)
        for column in columns:
            for word in _words(sheet, column, sheet.columns[column][row]):
                found.add(clip_id, word)
    return found.labelled()


def _chosen(sheet: _Sheet, reading: Reading) -> tuple[str, ...]:
    """The columns that hold labels.

    Raises:
        LabelError: one that is asked for is not there, or it is not to be seen which.
    """
    missing = [name for name in reading.columns if name not in sheet.columns]
    if missing:
        raise LabelError(f"{sheet.name}: there is no column {quoted(missing)}, found {quoted(sheet.columns)}")
    if reading.columns:
        return reading.columns
    candidates = _candidates(sheet)
    named = [name for name in candidates if bare(name).rstrip("0123456789") in _CALLED]
    choices = [name for name in candidates if sheet.types.get(name) in _CHOICES]
    for some in (named, choices, list(candidates)):
        if len(some) == 1:
            return tuple(some)
        if some:
            break
    which = f"{quoted(named or candidates)} may all hold them" if candidates else "no column holds words"
    raise LabelError(
        f"{sheet.name}: it is not to be seen which column holds the species, {which}; draft a mapping with `heads "
        "labels --write-mapping FILE`, keep the rows of the right column, and give it as --mapping FILE"
    )
