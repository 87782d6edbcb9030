"""Compacting: small parts are merged and rows that no longer count are dropped, while others read and write."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from store.access.index import FAILED_CODE
from store.access.rows import part_and_row, valid_rows
from store.access.writer import MAX_PART_BYTES, per_frame_layout
from store.errors import StoreError, StoreReadError, StoreWriteError
from store.featurestore import CLIPS_PER_PART, FeatureStore
from store.format.clip_part import clip_row, encode_clips
from store.format.commit import commit_part
from store.format.feature_part import encode_features
from store.format.part_names import merged_part_name
from store.key import FeatureKey
from store.maintenance.verify import require_sealed, size_bytes
from store.portable import sync_folder, unless_in_use
from store.records import ClipFacts, ClipFeatures

Row = TypeVar("Row", bound=ClipFeatures | ClipFacts)


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """What compacting did to one folder.

    Attributes:
        parts_before: number of parts that were there.
        parts_after: number of parts that are there now.
        rows_dropped: rows that no longer counted.
    """

    parts_before: int
    parts_after: int
    rows_dropped: int


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part as compacting sees it: rows it has, rows of it that count."""

    path: Path
    rows: int
    counting: list[int]

    @property
    def has_superseded(self) -> bool:
        """Whether it has rows that do not count."""
        return len(self.counting) < self.rows


def compact_features(store: FeatureStore, key: FeatureKey, clips_per_part: int = CLIPS_PER_PART) -> Compaction:
    """Merge the small parts of `key`.

    A merged part is named so that it sorts directly behind the newest part that went into it: rows that others commit
    meanwhile stay newer. The parts that went in are removed once the merged one is on the disk; whatever happens in
    between leaves rows twice, which does no harm.

    Raises:
        CorruptPartError: a part that would be merged is damaged; nothing of it was merged.
        StoreWriteError: the disk refused; the store holds what it held.
    """
    reader = store.reader(key)
    index = reader.index
    parts = _parts(
        [part.path for part in index.parts],
        [len(part.clip_ids) for part in index.parts],
        index.part_of.tolist(),
    )
    return _compact(parts, reader.row, lambda rows: encode_features(key, rows), clips_per_part)


def compact_clips(store: FeatureStore, clips_per_part: int = CLIPS_PER_PART) -> Compaction:
    """Merge the small parts of the clip table, as `compact_features` does; parts with foreign columns are left alone.

    Raises:
        CorruptPartError: a part that would be merged is damaged.
        StoreWriteError: the disk refused.
    """
    loaded = store.clip_parts()
    facts = [(part.columns["clip_id"], part.columns["fingerprint"], part.columns["status"]) for part in loaded]
    rows_of = [len(ids) for ids, _, _ in facts]
    part_of, row_of = (each.tolist() for each in part_and_row(valid_rows(facts, FAILED_CODE)[1], rows_of))
    parts = _parts([part.path for part in loaded], rows_of, part_of)
    own = [part for part, clip_part in zip(parts, loaded, strict=True) if not clip_part.foreign]
    return _compact(own, lambda clip: clip_row(loaded[part_of[clip]], row_of[clip]), encode_clips, clips_per_part)


def _parts(paths: Sequence[Path], rows: Sequence[int], part_of: Sequence[int]) -> list[_Part]:
    counting: list[list[int]] = [[] for _ in paths]
    for clip, part in enumerate(part_of):
        counting[part].append(clip)
    return [
        _Part(path=path, rows=count, counting=clips) for path, count, clips in zip(paths, rows, counting, strict=True)
    ]


def _compact(
    parts: Sequence[_Part],
    row: Callable[[int], Row],
    encode: Callable[[Sequence[Row]], Iterable[memoryview]],
    clips_per_part: int,
) -> Compaction:
    made = gone = 0
    groups = [group for group in _groups(parts, clips_per_part) if len(group) > 1 or group[0].has_superseded]
    for group in groups:
        made += _merge(group, row, encode)
        gone += len(group)
    dropped = sum(part.rows - len(part.counting) for group in groups for part in group)
    return Compaction(parts_before=len(parts), parts_after=len(parts) - gone + made, rows_dropped=dropped)


def _groups(parts: Sequence[_Part], clips_per_part: int) -> Iterator[list[_Part]]:
    """The parts that are worth merging, oldest first, in groups of about `clips_per_part` rows that count."""
    group: list[_Part] = []
    for part in parts:
        if part.has_superseded or len(part.counting) * 2 < clips_per_part:
            group.append(part)
            clips, size = sum(len(each.counting) for each in group), sum(size_bytes(each.path) for each in group)
            if clips >= clips_per_part or size >= MAX_PART_BYTES:
                yield group
                group = []
    if group:
        yield group


def _merge(
    group: Sequence[_Part], row: Callable[[int], Row], encode: Callable[[Sequence[Row]], Iterable[memoryview]]
) -> int:
    """Write the rows of `group` that count as new parts, then remove the parts of `group`: how many were made."""
    folder = group[0].path.parent
    try:
        for part in group:
            require_sealed(part.path)
        batches = _alike([row(clip) for part in group for clip in part.counting])
        for batch in batches:
            commit_part(folder / merged_part_name(group[-1].path.name), encode(batch))
        for part in group:
            with unless_in_use():  # both say the same, and the next compaction removes it
                part.path.unlink(missing_ok=True)
        sync_folder(folder)
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise StoreReadError(f"{folder}: another process is merging these parts; run it again later") from error
    except OSError as error:
        raise StoreWriteError(f"{folder}: merged parts could not be removed ({error}); restore access") from error
    return len(batches)


def _alike(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows, grouped so that all of a group have the same per-frame extras and dtype; sorted by clip id.

    Rows without frames go with any. One float32 clip must not make float32 of all that it is merged with.
    """
    groups: dict[Any, list[Row]] = {}
    without_frames: list[Row] = []
    for row in rows:
        layout = per_frame_layout(row)
        if isinstance(row, ClipFacts) or layout is None:
            without_frames.append(row)
        else:
            groups.setdefault((layout, row.features.dtype), []).append(row)
    if without_frames:
        groups.setdefault(next(iter(groups), None), []).extend(without_frames)
    return [sorted(group, key=lambda row: row.clip_id) for group in groups.values()]
