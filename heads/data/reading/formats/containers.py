"""Files that hold label tables of other programs: folders, archives, JSON, each opened without writing anything."""

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from gzip import BadGzipFile, decompress
from pathlib import Path, PurePosixPath
from typing import Any

from heads.data.tables import TextTable, quoted, table_of
from heads.errors import LabelError

_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, BadGzipFile)
_MOST_BYTES = 4 * 2**30  # of one unpacked table: more is a broken or hostile archive


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Some files in a folder or a zip.

    Attributes:
        path: of the folder or the archive.
        base: the folder in it that the names are relative to, with a slash at the end, or "".
        names: of the files, sorted.
    """

    path: Path
    base: str
    names: tuple[str, ...]

    @property
    def is_zip(self) -> bool:
        """Whether it is an archive."""
        return self.path.is_file()

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path.name or str(self.path)

    def read(self, name: str) -> bytes:
        """The bytes of a file, unpacked if its name ends in `.gz`.

        Raises:
            LabelError: it is not there, leads out of the bundle, or cannot be read.
        """
        content = self.raw(name)
        try:
            return decompress(content) if name.lower().endswith(".gz") else content
        except (OSError, *_BAD_ARCHIVE) as error:
            raise LabelError(f"{self.name}: '{name}' cannot be unpacked ({error}); pack it again") from error

    def raw(self, name: str) -> bytes:
        """The bytes of a file as they lie there.

        Raises:
            LabelError: it is not there, leads out of the bundle, or cannot be read.
        """
        if name not in self.names and not self._has(name):
            raise LabelError(f"{self.name}: there is no file '{name}' in it, only {quoted(self.names[:8])}; add it")
        try:
            if not self.is_zip:
                return (self.path / self.base / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                member = archive.getinfo(self.base + name)
                if member.file_size > _MOST_BYTES:
                    raise LabelError(f"{self.name}: '{name}' would unpack to {member.file_size} bytes; unpack it")
                return archive.read(member)
        except (OSError, *_BAD_ARCHIVE) as error:
            raise LabelError(f"{self.name}: '{name}' cannot be read ({error}); pack or copy it again") from error

    def _has(self, name: str) -> bool:
        """Whether a folder has a file further down."""
        path = PurePosixPath(name)
        return not (self.is_zip or path.is_absolute() or ".." in path.parts) and (self.path / name).is_file()

    def text(self, name: str) -> str:
        """The text of a file in UTF-8.

        Raises:
            LabelError: it cannot be had.
        """
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise LabelError(f"{self.name}: '{name}' is not UTF-8 ({error.reason}); save it as UTF-8") from error

    def table(self, name: str, required: Sequence[str] = ()) -> TextTable:
        """The comma-separated table in a file.

        Raises:
            LabelError: it is no such table, or lacks a required column.
        """
        table = table_of(io.StringIO(self.text(name), newline=""), f"{self.name}/{name}", ",")
        require_columns(table, required)
        return table


def require_columns(table: TextTable, required: Sequence[str]) -> None:
    """Raise LabelError, naming them, if a table lacks some columns."""
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise LabelError(f"{table.name}: there is no column {quoted(missing)}, found {quoted(table.columns)}; add it")


def open_bundle(path: Path, marker: str) -> Bundle | None:
    """The bundle at a folder or a zip that has a file whose name fits `marker`; None if it is none.

    Args:
        path: of a folder, or a zip; the files may stand in one folder inside.
        marker: a pattern of the name, such as "images*.csv".
    """
    try:
        if path.is_dir():
            files = [each.name for each in path.iterdir() if each.is_file()]
            found = any(PurePosixPath(name).match(marker) for name in files)
            return Bundle(path=path, base="", names=tuple(sorted(files))) if found else None
        if not path.is_file() or not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            listed = [each.filename for each in archive.infolist() if not each.is_dir()]
            names = [name for name in listed if not name.startswith("__MACOSX/")]
    except (OSError, *_BAD_ARCHIVE):
        return None
    fits = sorted((name for name in names if PurePosixPath(name).match(marker)), key=lambda name: name.count("/"))
    if not fits:
        return None
    base = fits[0].rpartition("/")[0]
    base = f"{base}/" if base else ""
    inside = (name.removeprefix(base) for name in names if name.startswith(base))
    return Bundle(path=path, base=base, names=tuple(sorted(inside)))


def read_json(path: Path) -> Any:
    """The JSON in a file; None if it is none, or cannot be read."""
    try:
        found = path.stat()
        return _parsed(path, found.st_mtime_ns, found.st_size) if path.is_file() else None
    except OSError:
        return None


@lru_cache(maxsize=1)
def _parsed(path: Path, _changed: int, _size: int) -> Any:
    """Recognising a file and reading it parses it once."""
    try:
        with path.open("rb") as file:
            if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
                return None
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
