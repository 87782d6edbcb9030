"""A part of clip facts: one column a field, so that fields can be added without touching what is stored."""

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.errors import CorruptPartError
from store.format.columns import STATUSES, read_column, read_text, status_column, text_column
from store.format.hdf5_image import build_image
from store.format.open_part import open_part
from store.key import FORMAT_VERSION
from store.records import ClipFacts, Status

KIND = "trapline clips"
_NUMBERS: dict[type, str] = {int: "<i8", float: "<f8", bool: "?"}


@dataclass(frozen=True, kw_only=True)
class ClipPart:
    """The rows of one part of the clip table.

    Attributes:
        path: the file.
        columns: by field of ClipFacts, N values each: lists of str, or arrays of int64, float64, bool, or uint8 for
            the codes of `columns.STATUS_CODES`.
        foreign: whether the file holds columns that this version does not know.
    """

    path: Path
    columns: dict[str, Any]
    foreign: bool


def encode_clips(rows: Sequence[ClipFacts]) -> Iterator[memoryview]:
    """The HDF5 bytes of a part of `rows`."""
    attributes = {
        "format": KIND,
        "format_version": FORMAT_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    columns = {field.name: _encode(field, [getattr(row, field.name) for row in rows]) for field in fields(ClipFacts)}
    head, tail = build_image(attributes=attributes, columns=columns)
    yield memoryview(head)
    yield memoryview(tail)


def load_clip_part(path: Path) -> ClipPart:
    """Read the part at `path`; a column it lacks becomes the field's default, one that is not a field is ignored.

    Raises:
        CorruptPartError: it is damaged.
        FileNotFoundError: it is gone.
    """
    with open_part(path, KIND) as file:
        count = file["clip_id"].shape[0]
        columns = {field.name: _decode(field, file, count) for field in fields(ClipFacts)}
        for name, column in columns.items():
            if len(column) != count:
                raise CorruptPartError(f"its column {name} has {len(column)} rows, expected {count}")
        if int(columns["status"].max(initial=0)) >= len(STATUSES):
            raise CorruptPartError("it has an unknown status code")
        return ClipPart(path=path, columns=columns, foreign=not set(file) <= set(columns))


def load_clip_ids(path: Path) -> list[str]:
    """The clip ids of the part at `path`, and nothing else of it.

    Raises:
        CorruptPartError: it is damaged.
        FileNotFoundError: it is gone.
    """
    with open_part(path, KIND) as file:
        return read_text(file, "clip_id")


def clip_row(part: ClipPart, row: int) -> ClipFacts:
    """One row of `part` as it would be written again."""
    values = {name: column[row] for name, column in part.columns.items()}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    return ClipFacts(**(plain | {"status": STATUSES[plain["status"]]}))


def _encode(field: Field[Any], values: list[Any]) -> NDArray[Any]:
    if field.type is str:
        return text_column(values)
    if field.type is Status:
        return status_column(values)
    return np.array(values, dtype=_NUMBERS[_plain(field)])


def _decode(field: Field[Any], file: h5py.File, count: int) -> Any:
    if field.name not in file:
        if field.default is MISSING:
            raise CorruptPartError(f"it has no column {field.name}")
        return [field.default] * count if field.type is str else np.full(count, field.default, _NUMBERS[_plain(field)])
    return read_text(file, field.name) if field.type is str else read_column(file, field.name)


def _plain(field: Field[Any]) -> type:
    if not isinstance(field.type, type):
        raise TypeError(f"ClipFacts.{field.name} is annotated with {field.type!r}, expected a plain type")
    return field.type
