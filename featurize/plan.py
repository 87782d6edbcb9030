"""What a run of featurize has to do: which clips lack which features, and what that is going to cost."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import pandas as pd

from featurize.discover import Clip, is_image
from featurize.ffmpeg import Probe, probe
from featurize.sampling import Sampling
from featurize.source import FeatureSource
from store import FeatureStore, Status
from store.digest import file_fingerprint
from store.key import FeatureKey

UNREACHED = "cannot be reached now; what the store holds of it is kept"
_PROBED_CLIPS = 16
_BYTES_PER_VALUE = 2

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
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

    Attributes:
        tasks: clips that lack something, in order of their ids.
        clips: how many clips were named.
        keys: the feature key of each source.
        skipped: clips that have everything already.
        failed_before: clips among these that could not be decoded.
        partial_before: clips among these that broke part way.
        left: clips that lack something and are left for another time.
        unreached: (clip id, reason) of each clip that the store knows and that cannot be read now.
        unlisted: (folder, reason) of each folder whose clips, if it has any, could not be found.
    """

    tasks: tuple[Task, ...]
    clips: int
    keys: Mapping[FeatureSource, FeatureKey]
    skipped: int = 0
    failed_before: int = 0
    partial_before: int = 0
    left: int = 0
    unreached: tuple[tuple[str, str], ...] = ()
    unlisted: tuple[tuple[str, str], ...] = ()

    def limited(self, limit: int | None) -> "Plan":
        """The same plan with at most `limit` clips to do; the others are left."""
        if limit is None or limit >= len(self.tasks):
            return self
        return replace(self, tasks=self.tasks[:limit], left=len(self.tasks) - limit)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a plan is going to need, from the durations of a few clips.

    Attributes:
        frames: frames to decode, about.
        disk_bytes: bytes that the store will grow by, about.
        probed: clips whose duration was looked at.
    """

    frames: int
    disk_bytes: int
    probed: int


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
    keys = {source: source.key(sampling) for source in sources}
    if store is None:
        tasks = tuple(Task(clip=clip, sources=tuple(sources)) for clip in clips)
        return Plan(tasks=tasks, clips=len(clips), keys=keys)
    table = store.clips()
    known = set(table.index[table["fingerprint"] != ""])
    fingerprints = _known_fingerprints(clips, table)
    unreached = [clip_id for clip_id, fingerprint in fingerprints.items() if not fingerprint and clip_id in known]
    for clip_id in unreached:
        del fingerprints[clip_id]
    lacking: dict[str, list[FeatureSource]] = {}
    for source, key in keys.items():
        for clip_id in store.missing(key, fingerprints, retry_failed=retry_failed):
            lacking.setdefault(clip_id, []).append(source)
    tasks = tuple(
        Task(clip=clip, sources=tuple(lacking[clip.clip_id]), known=clip.clip_id in known)
        for clip in clips
        if clip.clip_id in lacking
    )
    done = table["status"].reindex(list(fingerprints.keys() - lacking.keys()))
    return Plan(
        tasks=tasks,
        clips=len(clips),
        keys=keys,
        skipped=len(fingerprints) - len(tasks),
        failed_before=int((done == Status.FAILED).sum()),
        partial_before=int((done == Status.PARTIAL).sum()),
        unreached=tuple((clip_id, UNREACHED) for clip_id in unreached),
    )


def _known_fingerprints(clips: Sequence[Clip], table: pd.DataFrame) -> dict[str, str]:
    """The content fingerprint of every clip; one that no row can have for a clip that the store never saw."""
    seen = table[["size_bytes", "mtime_ns", "fingerprint"]].to_dict("index")
    fingerprints: dict[str, str] = {}
    touched = []
    for clip in clips:
        row = seen.get(clip.clip_id)
        if row is None:
            fingerprints[clip.clip_id] = "never seen"
        elif row["fingerprint"] and (row["size_bytes"], row["mtime_ns"]) == (clip.size_bytes, clip.mtime_ns):
            fingerprints[clip.clip_id] = str(row["fingerprint"])
        else:
            touched.append(clip)
    with ThreadPoolExecutor() as pool:
        for clip, fingerprint in zip(touched, pool.map(fingerprint_or_blank, touched), strict=True):
            fingerprints[clip.clip_id] = fingerprint
    return fingerprints


def fingerprint_or_blank(clip: Clip) -> str:
    """The content fingerprint of a clip, "" where it cannot be read (decoding will say why)."""
    try:
        return file_fingerprint(clip.path)
    except OSError:
        return ""


def forecast(plan: Plan, sampling: Sampling) -> Forecast:
    """What `plan` is going to need, extrapolated from a few clips spread over it."""
    videos = [task.clip for task in plan.tasks if not is_image(task.clip.path)]
    probed = list(spread(videos, _PROBED_CLIPS))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = list(pool.map(lambda clip: probe(clip.path), probed))
    counts = [_frames_of(facts, sampling) for facts in found if facts.duration_s > 0]
    per_video = sum(counts) / len(counts) if counts else 0.0
    images = len(plan.tasks) - len(videos)
    frames = round(per_video * len(videos)) + images
    per_clip = frames / len(plan.tasks) if plan.tasks else 0.0
    columns = sum(source.backbone.dim for task in plan.tasks for source in task.sources)
    return Forecast(frames=frames, disk_bytes=round(per_clip * columns * _BYTES_PER_VALUE), probed=len(probed))


def _frames_of(facts: Probe, sampling: Sampling) -> int:
    """The frames that a clip is going to give: what is asked for, or all that it holds."""
    asked = sampling.plan(facts.duration_s, facts.fps).expected
    return min(asked, round(facts.duration_s * facts.fps)) if facts.fps > 0 else asked


def spread(items: Sequence[Item], count: int) -> Iterator[Item]:
    """At most `count` of `items`, evenly spread."""
    step = max(1, len(items) / count)
    yield from (items[int(index * step)] for index in range(min(count, len(items))))
