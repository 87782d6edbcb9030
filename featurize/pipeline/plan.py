"""What a run of featurize has to do: which clips lack which features."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurize.errors import SettingsError
from featurize.pipeline.discover import Clip
from featurize.pipeline.source import FeatureSource
from featurize.remote.transfer import UnreachableError
from featurize.views.registry import find_view
from featurize.views.sampling import Sampling
from store import FeatureStore, Status
from store.digest import file_fingerprint
from store.key import FeatureKey

UNREACHED = "cannot be reached now; what the store holds of it is kept"


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class Task:
    """A clip and the sources whose features it lacks.

    Attributes:
        clip: the clip.
        sources: what is wanted of it.
        known: whether the store knows the content of a clip of this id, which a clip that cannot be read must not hide.
    """

    clip: Clip
    sources: tuple[FeatureSource, ...]
    known: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done, and what is there already.

    Example:
        plan = featurize.plan("clips", "STORE", backbones="efficientnet_lite0", fps=3)
        print(len(plan.tasks), "of", plan.clips, "clips to do")
        first = plan.share(0, 8)  # an eighth of it, for one of eight machines

    Attributes:
        tasks: clips that lack something, in order of their ids.
        sources: what was asked for of every clip.
        sampling: which frames are taken of each clip.
        done: how decoding went of each clip that has everything already, by clip id.
        left: ids of clips that lack something and are left for another time.
        touched: clips whose size or time is not the one in the clip table although their content is.
        replaced: clips whose content is not what the store knows under their ids.
        unreached: (clip id, reason) of each clip that the store knows and that cannot be read now.
        unlisted: (folder, reason) of each folder whose clips, if it has any, could not be found.
        passed_over: how many files beside the clips are none, by suffix.
        named: all clips that were named, done or not; of a share too, since a clip is seen against the others.
        deployments: by the id of a clip the deployment it is of, where that was said, and all it is seen against.
    """

    tasks: tuple[Task, ...]
    sources: tuple[FeatureSource, ...]
    sampling: Sampling
    done: Mapping[str, Status] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    touched: tuple[Clip, ...] = ()
    replaced: tuple[Clip, ...] = ()
    unreached: tuple[tuple[str, str], ...] = ()
    unlisted: tuple[tuple[str, str], ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    named: tuple[Clip, ...] = ()
    deployments: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> dict[FeatureSource, FeatureKey]:
        """The feature key of each source: made from the sampling, so that neither can be another one's."""
        return {source: source.key(self.sampling) for source in self.sources}

    @property
    def lacking(self) -> list[FeatureSource]:
        """The sources that any clip lacks, each once, in order of appearance."""
        return list(dict.fromkeys(source for task in self.tasks for source in task.sources))

    @property
    def compares(self) -> bool:
        """Whether a clip lacks what a view gives that compares clips with each other."""
        return any(find_view(source.view).needs_background for source in self.lacking)

    @property
    def clips(self) -> int:
        """How many clips were named."""
        return len(self.tasks) + len(self.done) + len(self.left) + len(self.unreached)

    @property
    def skipped(self) -> int:
        """How many clips have everything already."""
        return len(self.done)

    @property
    def failed_before(self) -> int:
        """How many of the skipped clips could not be decoded."""
        return sum(status is Status.FAILED for status in self.done.values())

    @property
    def partial_before(self) -> int:
        """How many of the skipped clips broke part way."""
        return sum(status is Status.PARTIAL for status in self.done.values())

    def limited(self, limit: int | None) -> "Plan":
        """The same plan with at most `limit` clips to do; the others are left."""
        if limit is None or limit >= len(self.tasks):
            return self
        beyond = tuple(task.clip.clip_id for task in self.tasks[limit:])
        return replace(self, tasks=self.tasks[:limit], left=(*self.left, *beyond))

    def share(self, index: int, count: int) -> "Plan":
        """The part of the plan that belongs to the `index`th of `count` machines, which need not speak to each other.

        A clip's share follows from its id alone, not from its place among the tasks: machines that look at the store at
        different times see different tasks missing, and yet none does another's clip, and none leaves one out; new
        clips change nothing about the share of the others.

        Raises:
            SettingsError: there is no such share.
        """
        if not 0 <= index < count:
            raise SettingsError(f"share {index} of {count} does not exist, expected 0 to {count - 1}")

        def belongs(name: str) -> bool:
            return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % count == index

        return replace(
            self,
            tasks=tuple(task for task in self.tasks if belongs(task.clip.clip_id)),
            done={clip_id: status for clip_id, status in self.done.items() if belongs(clip_id)},
            left=tuple(clip_id for clip_id in self.left if belongs(clip_id)),
            touched=tuple(clip for clip in self.touched if belongs(clip.clip_id)),
            unreached=tuple(row for row in self.unreached if belongs(row[0])),
            unlisted=tuple(row for row in self.unlisted if belongs(row[0])),
            passed_over={suffix: files for suffix, files in self.passed_over.items() if belongs(suffix)},
        )


def make_plan(
    clips: Sequence[Clip],
    sources: Sequence[FeatureSource],
    sampling: Sampling,
    store: FeatureStore | None,
    *,
    retry_failed: bool = False,
) -> Plan:
    """Which of `clips` lack which of `sources` in `store` (None: a store that is yet to be made).

    A clip whose size and time are the ones in the clip table is taken to be unchanged; one that differs is read and
    compared by content. One that the store knows and that cannot be read (a drive is gone, a link leads nowhere) is
    left alone: a row that says so would hide what the store holds of it.
    """
    wanted = tuple(dict.fromkeys(sources))
    if store is None:
        tasks = tuple(Task(clip=clip, sources=wanted) for clip in clips)
        return Plan(tasks=tasks, sources=wanted, sampling=sampling, named=tuple(clips))
    table = store.clips()
    rows = table.index.get_indexer(pd.Index([clip.clip_id for clip in clips], dtype=table.index.dtype))
    stored = _with_none(table["fingerprint"].to_numpy(object), "")[rows]
    known = {clip.clip_id for clip, fingerprint in zip(clips, stored, strict=True) if fingerprint}
    fingerprints, touched = _known_fingerprints(clips, table, rows, stored)
    unreached = [clip_id for clip_id, fingerprint in fingerprints.items() if not fingerprint and clip_id in known]
    for clip_id in unreached:
        del fingerprints[clip_id]
    before = zip(clips, stored, strict=True)
    replaced = [clip for clip, content in before if content and fingerprints.get(clip.clip_id, content) != content]
    lacking: dict[str, list[FeatureSource]] = {}
    for source in wanted:
        for clip_id in store.missing(source.key(sampling), fingerprints, retry_failed=retry_failed):
            lacking.setdefault(clip_id, []).append(source)
    tasks = tuple(
        Task(clip=clip, sources=tuple(lacking[clip.clip_id]), known=clip.clip_id in known)
        for clip in clips
        if clip.clip_id in lacking
    )
    statuses = {status.value: status for status in Status}
    found = zip(clips, _with_none(table["status"].to_numpy(object), "")[rows], strict=True)
    done = {
        clip.clip_id: statuses[status]
        for clip, status in found
        if clip.clip_id in fingerprints and clip.clip_id not in lacking
    }
    return Plan(
        tasks=tasks,
        sources=wanted,
        sampling=sampling,
        done=done,
        touched=tuple(clip for clip in touched if clip.clip_id not in lacking),
        replaced=tuple(replaced),
        unreached=tuple((clip_id, UNREACHED) for clip_id in unreached),
        named=tuple(clips),
    )


def _known_fingerprints(
    clips: Sequence[Clip], table: pd.DataFrame, rows: NDArray[np.intp], stored: NDArray[np.object_]
) -> tuple[dict[str, str], list[Clip]]:
    """The content fingerprint of every clip, and the clips that were merely touched.

    A clip that the store never saw has a fingerprint that no row can have.

    Args:
        clips: the clips (N).
        table: the clip table.
        rows: (N,) the row of each clip in it, -1 for none.
        stored: (N,) the fingerprint there, "" for none.
    """
    sizes, mtimes = (_with_none(table[name].to_numpy(), -1)[rows].tolist() for name in ("size_bytes", "mtime_ns"))
    fingerprints: dict[str, str] = {}
    changed: dict[str, Clip] = {}
    for clip, row, fingerprint, size, mtime in zip(clips, rows.tolist(), stored, sizes, mtimes, strict=True):
        if row < 0 or (clip.remote is not None and not fingerprint):  # what could not be fetched may be now
            fingerprints[clip.clip_id] = "never seen"
        elif fingerprint and (size, mtime) == (clip.size_bytes, clip.mtime_ns):
            fingerprints[clip.clip_id] = fingerprint
        else:
            changed[clip.clip_id] = clip
    with ThreadPoolExecutor() as pool:
        fingerprints |= zip(changed, pool.map(fingerprint_or_blank, changed.values()), strict=True)
    before = zip(clips, stored, strict=True)
    same = [clip for clip, content in before if clip.clip_id in changed and fingerprints[clip.clip_id] == content != ""]
    return fingerprints, same


def _with_none(values: NDArray[Any], none: Any) -> NDArray[Any]:
    """A column of the clip table, and behind it, where -1 leads to, what is true of a clip that has no row."""
    return np.append(values, np.array([none], values.dtype))


def fingerprint_or_blank(clip: Clip) -> str:
    """The content fingerprint of a clip, "" where it cannot be read (decoding will say why)."""
    try:
        return file_fingerprint(clip.path) if clip.remote is None else clip.remote.fingerprint()
    except (OSError, UnreachableError):
        return ""
