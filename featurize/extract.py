"""The unit of work: a list of clips through some backbones into a store.

A plain function without global state: one process runs it over a folder, many may run it over shares of the list, on
one machine or on several, into the same store.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from featurize.batching import FrameBatcher
from featurize.decode import Frames, decode
from featurize.discover import Clip
from featurize.plan import Plan, Task, fingerprint_or_blank
from featurize.runtime import Runner, RuntimeName
from featurize.sampling import Sampling
from featurize.source import FeatureSource
from store import ClipFacts, ClipFeatures, FeatureStore, Status
from store.writer import PartWriter

_CLIPS_AHEAD_PER_WORKER = 2


@dataclass
class Progress:
    """How far a run has come; it is handed to the reporter after every clip.

    Attributes:
        clips: clips decoded.
        frames: frames decoded.
        wait_s: seconds in which the networks stood still for want of frames.
        statuses: clips per status.
        failures: (clip id, reason) of each clip that failed.
        started: `time.monotonic()` when decoding began.
    """

    clips: int = 0
    frames: int = 0
    wait_s: float = 0.0
    statuses: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    failures: list[tuple[str, str]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since decoding began."""
        return time.monotonic() - self.started


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    task: Task
    fingerprint: str
    frames: Frames


def extract(
    plan: Plan,
    sampling: Sampling,
    store: FeatureStore,
    *,
    runtime: RuntimeName = "auto",
    workers: int | None = None,
    clips_per_part: int = 256,
    report: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Carry out `plan`: decode each clip once, run every source that it lacks, and commit parts as they fill.

    Decoding runs ahead of the networks in `workers` threads, each with an ffmpeg process of its own. Stopping the
    process at any instant loses at most the clips of uncommitted parts; running again does those.

    Args:
        plan: from `make_plan`.
        sampling: which frames; the one the plan was made for.
        store: where features and clip facts go.
        runtime: what runs the networks.
        workers: decoding threads; as many as there are processors if None.
        clips_per_part: clips after which a part is committed, if a minute has not passed before.
        report: called after every clip.

    Returns:
        The final progress: counts per status, and the clips that failed with their reasons.
    """
    runners = {source: _runner(source, runtime) for source in _sources(plan.tasks)}
    progress = Progress()
    with ExitStack() as stack:
        # The last to enter is the first to commit: facts go before features, and a clip without facts is done again.
        writers = {
            source: stack.enter_context(store.writer(plan.keys[source], clips_per_part=clips_per_part))
            for source in runners
        }
        facts = stack.enter_context(store.clip_writer(clips_per_part=clips_per_part))
        lines = {
            source: _Line(source, FrameBatcher(run, source.backbone.dim), writers[source])
            for source, run in runners.items()
        }
        decoding = _decode_ahead(plan.tasks, sampling, workers or os.cpu_count() or 1)
        for decoded in _timed(decoding, progress):
            facts.add(_facts_row(decoded))
            for source in decoded.task.sources:
                lines[source].take(decoded)
            _count(decoded, progress)
            report(progress)
        for line in lines.values():
            line.finish()
    return progress


def _runner(source: FeatureSource, runtime: RuntimeName) -> Runner:
    """The network of a source, ready to run. TensorFlow is imported only here: having nothing to do is quick."""
    from featurize.compile import choose_runtime, make_runner
    from featurize.extractor import build_extractor

    return make_runner(build_extractor(source.backbone, source.weights), choose_runtime(runtime))


def _sources(tasks: Sequence[Task]) -> list[FeatureSource]:
    """The sources that any task wants, each once, in order of appearance."""
    return list(dict.fromkeys(source for task in tasks for source in task.sources))


@dataclass(frozen=True)
class _Line:
    """The way of one source's frames: through its network, into its part."""

    source: FeatureSource
    batcher: FrameBatcher[_Decoded]
    writer: PartWriter[ClipFeatures]

    def take(self, decoded: _Decoded) -> None:
        if decoded.frames.status is Status.FAILED:
            self.writer.add(_features_row(decoded, np.empty((0, self.source.backbone.dim), np.float32)))
            return
        for finished, features in self.batcher.add(decoded, decoded.frames.pixels[self.source.canvas]):
            self.writer.add(_features_row(finished, features))

    def finish(self) -> None:
        for finished, features in self.batcher.flush():
            self.writer.add(_features_row(finished, features))


def _decode_ahead(tasks: Sequence[Task], sampling: Sampling, workers: int) -> Iterator[_Decoded]:
    """Decode `tasks` in threads and yield them in order, holding only a few decoded clips at a time."""
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        window: deque[Future[_Decoded]] = deque()
        try:
            for task in tasks:
                window.append(pool.submit(_decode_task, task, sampling))
                if len(window) > workers * _CLIPS_AHEAD_PER_WORKER:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()


def _decode_task(task: Task, sampling: Sampling) -> _Decoded:
    canvases = list(dict.fromkeys(source.canvas for source in task.sources))
    fingerprint = fingerprint_or_blank(task.clip)
    return _Decoded(task=task, fingerprint=fingerprint, frames=decode(task.clip.path, sampling, canvases))


def _timed(decoding: Iterator[_Decoded], progress: Progress) -> Iterator[_Decoded]:
    """Pass decoded clips on, adding up the time that was spent waiting for them."""
    while True:
        asked = time.monotonic()
        decoded = next(decoding, None)
        progress.wait_s += time.monotonic() - asked
        if decoded is None:
            return
        yield decoded


def _count(decoded: _Decoded, progress: Progress) -> None:
    frames = decoded.frames
    progress.clips += 1
    progress.frames += len(frames.times_s)
    progress.statuses[frames.status] += 1
    if frames.status is Status.FAILED:
        progress.failures.append((decoded.task.clip.clip_id, frames.reason))


def _features_row(decoded: _Decoded, features: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> ClipFeatures:
    frames = decoded.frames
    return ClipFeatures(
        clip_id=decoded.task.clip.clip_id,
        fingerprint=decoded.fingerprint,
        status=frames.status,
        reason=frames.reason,
        times_s=frames.times_s,
        features=features,
    )


def _facts_row(decoded: _Decoded) -> ClipFacts:
    """The clip's row in the clip table; a clip that merely is short for this sampling is a sound clip."""
    clip, frames = decoded.task.clip, decoded.frames
    source, picture = frames.source, frames.picture
    sound = frames.status is Status.SHORT
    return ClipFacts(
        clip_id=clip.clip_id,
        path=str(clip.path.absolute()),
        size_bytes=clip.size_bytes,
        mtime_ns=clip.mtime_ns,
        fingerprint=decoded.fingerprint,
        status=Status.OK if sound else frames.status,
        reason="" if sound else frames.reason,
        bit_rate=_bit_rate(clip, source.duration_s),
        **{name: getattr(source, name) for name in _CONTAINER_FACTS},
        **vars(picture),
    )


_CONTAINER_FACTS: Mapping[str, None] = dict.fromkeys(
    ("container", "codec", "duration_s", "fps", "width", "height", "has_audio", "recorded_at")
)


def _bit_rate(clip: Clip, duration_s: float) -> float:
    """Bits per second of the whole file; NaN where the duration is unknown."""
    return clip.size_bytes * 8 / duration_s if duration_s > 0 else float("nan")
