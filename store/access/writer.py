"""Writers: rows wait in memory until a part's worth is there, then the part is committed whole."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from store.errors import StoreWriteError
from store.files import remove_abandoned
from store.format.clip_part import encode_clips
from store.format.commit import commit_part
from store.format.feature_part import encode_features
from store.format.part_names import new_part_name
from store.format.precision import to_stored
from store.format.validate import require_valid_facts, require_valid_features
from store.key import FeatureKey
from store.records import ClipFacts, ClipFeatures

MAX_PART_BYTES = 256 * 2**20

Row = TypeVar("Row", bound=ClipFeatures | ClipFacts)


class PartWriter(Generic[Row]):
    """Collects rows and commits them as parts: at a number of rows, after some seconds, at `commit()`, or on leaving.

    Leaving the `with` block by an exception commits the rows that were added before it.
    """

    def __init__(
        self,
        folder: Path,
        prepare: Callable[[Row], Row],
        encode: Callable[[Sequence[Row]], Iterable[memoryview]],
        *,
        clips_per_part: int,
        max_seconds: float,
    ) -> None:
        self._folder = folder
        self._prepare = prepare
        self._encode = encode
        self._clips_per_part = clips_per_part
        self._max_seconds = max_seconds
        self._pending: list[Row] = []
        self._pending_bytes = 0
        self._layout: Any = None
        self._since = 0.0
        remove_abandoned(folder)

    def add(self, row: Row) -> None:
        """Take `row` in; commit if a part's worth is there.

        Raises:
            InvalidRecordError: the row contradicts itself or the key; it was not taken.
            StoreWriteError: the disk refused; the rows stay pending.
        """
        row = self._prepare(row)
        layout = per_frame_layout(row)
        if layout is not None and self._layout not in (None, layout):
            self.commit()
        if not self._pending:
            self._since = time.monotonic()
        self._pending.append(row)
        self._pending_bytes += _size_bytes(row)
        self._layout = layout if layout is not None else self._layout
        if self._is_due():
            self.commit()

    def commit(self) -> None:
        """Write what is pending as one part; nothing is written if nothing is.

        Raises:
            StoreWriteError: the disk refused; the rows stay pending.
        """
        if self._pending:
            commit_part(self._folder / new_part_name(self._folder), self._encode(self._pending))
        self._pending, self._pending_bytes, self._layout = [], 0, None

    def _is_due(self) -> bool:
        return (
            len(self._pending) >= self._clips_per_part
            or self._pending_bytes >= MAX_PART_BYTES
            or time.monotonic() - self._since >= self._max_seconds
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
            return
        try:
            self.commit()
        except StoreWriteError as failure:
            error.add_note(f"the {len(self._pending)} clips that were waiting could not be committed: {failure}")


def feature_writer(
    folder: Path, key: FeatureKey, *, clips_per_part: int, max_seconds: float
) -> PartWriter[ClipFeatures]:
    """A writer of features of `key` into its folder."""

    def prepare(row: ClipFeatures) -> ClipFeatures:
        require_valid_features(key, row)
        return replace(row, features=to_stored(row.features, key.dtype))

    return PartWriter(
        folder,
        prepare,
        lambda rows: encode_features(key, rows),
        clips_per_part=clips_per_part,
        max_seconds=max_seconds,
    )


def facts_writer(folder: Path, *, clips_per_part: int, max_seconds: float) -> PartWriter[ClipFacts]:
    """A writer of clip facts into the clip table's folder."""

    def prepare(row: ClipFacts) -> ClipFacts:
        require_valid_facts(row)
        return row

    return PartWriter(folder, prepare, encode_clips, clips_per_part=clips_per_part, max_seconds=max_seconds)


def per_frame_layout(row: ClipFeatures | ClipFacts) -> Any:
    """Names and shapes of the per-frame extras, which all clips of one part share; None if the row has no frame."""
    if not isinstance(row, ClipFeatures) or len(row.times_s) == 0:
        return None
    return tuple((name, values.shape[1:]) for name, values in row.per_frame.items())


def _size_bytes(row: ClipFeatures | ClipFacts) -> int:
    if not isinstance(row, ClipFeatures):
        return 0
    return row.features.nbytes + sum(map(len, row.pictures))
