"""The unit of work: a list of clips through some backbones into a store.

A plain function without global state: one process runs it over a folder, many may run it over shares of the list, on
one machine or on several, into the same store.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

from featurize.backbones.runner import DeviceName, Runner, RuntimeName
from featurize.decoding.ffmpeg import Probe
from featurize.motion.image_facts import ImageFacts
from featurize.pipeline.backgrounds import NO_BACKGROUNDS, learn_backgrounds
from featurize.pipeline.discover import Clip
from featurize.pipeline.lanes import lane_for
from featurize.pipeline.networks import batch_frames_of, detector_of, runner_of
from featurize.pipeline.plan import UNREACHED, Plan, Task
from featurize.pipeline.prefetch import DecodedTask, decode_ahead
from featurize.pipeline.relink import renew
from featurize.pipeline.source import FeatureSource
from featurize.pipeline.summary import Progress, Summary
from featurize.views.registry import find_view
from store import ClipFacts, FeatureStore, Status
from store.ids import writable

_CLIP_FACTS = frozenset(field.name for field in fields(ClipFacts))


def extract(
    plan: Plan,
    store: FeatureStore,
    *,
    runtime: RuntimeName = "auto",
    device: DeviceName = "auto",
    workers: int | None = None,
    clips_per_part: int = 256,
    on_clip: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Carry out `plan`: decode each clip once, run every source that it lacks, and commit parts as they fill.

    If a view compares clips with each other, what each clip that was named is seen against is found out first, unless
    the store has it. If a view asks a detector, frames are shown to it as they are decoded. Decoding runs ahead of the
    networks in `workers` threads, each with an ffmpeg process of its own. Stopping the process at any instant loses at
    most the clips of uncommitted parts; running again does those.

    Example:
        plan = featurize.plan("clips", store, backbones="efficientnet_lite0", fps=3)
        summary = featurize.extract(plan.share(0, 8), store, on_clip=lambda progress: print(progress.clips))

    Args:
        plan: from `make_plan`.
        store: where features and clip facts go.
        runtime: what runs the networks.
        device: where; `auto` is a GPU that TensorFlow sees, or the CPU.
        workers: decoding threads; as many as there are processors if None.
        clips_per_part: clips after which a part is committed, if a minute has not passed before.
        on_clip: called after every clip.

    Returns:
        Counts per status, and the clips that failed with their reasons.
    """
    renew(plan.touched, store)
    runners = _runners(_sources(plan.tasks), runtime, device)
    threads = workers or os.cpu_count() or 1
    progress = Progress()
    compares = any(find_view(source.view).needs_background for source in runners)
    backgrounds = learn_backgrounds(plan.named, store, workers=threads) if compares else NO_BACKGROUNDS
    detect = detector_of((source.view for source in runners), runtime)
    with ExitStack() as stack:
        # The last to enter is the first to commit: facts go before features, and a clip without facts is done again.
        writers = {
            source: stack.enter_context(store.writer(plan.keys[source], clips_per_part=clips_per_part))
            for source in runners
        }
        facts = stack.enter_context(store.clip_writer(clips_per_part=clips_per_part))
        lanes = {
            source: lane_for(
                source, run, writers[source], progress.refuse, batch_frames=batch_frames_of(source, runtime, device)
            )
            for source, run in runners.items()
        }
        decoding = decode_ahead(plan.tasks, plan.sampling, threads, backgrounds, detect)
        for decoded in _timed(decoding, progress):
            if decoded.task.known and not decoded.fingerprint:
                progress.unreached.append((decoded.task.clip.clip_id, UNREACHED))
                continue
            facts.add(_facts_row(decoded))
            for source in decoded.task.sources:
                lanes[source].push(decoded)
            _count(decoded, progress)
            on_clip(progress)
        for lane in lanes.values():
            lane.finish()
    return Summary.of(plan, progress)


def _runners(sources: Sequence[FeatureSource], runtime: RuntimeName, device: DeviceName) -> dict[FeatureSource, Runner]:
    """What runs each source: views of one network at one size share it."""
    made: dict[tuple[Any, ...], Runner] = {}
    runners = {}
    for source in sources:
        network = (source.backbone, source.weights, source.canvas.px, source.precision, source.quantised)
        if network not in made:
            made[network] = runner_of(source, runtime, device)
        runners[source] = made[network]
    return runners


def _sources(tasks: Sequence[Task]) -> list[FeatureSource]:
    """The sources that any task wants, each once, in order of appearance."""
    return list(dict.fromkeys(source for task in tasks for source in task.sources))


def _timed(decoding: Iterator[DecodedTask], progress: Progress) -> Iterator[DecodedTask]:
    """Pass decoded clips on, adding up the time that was spent waiting for them."""
    while True:
        asked = time.monotonic()
        decoded = next(decoding, None)
        progress.wait_s += time.monotonic() - asked
        if decoded is None:
            return
        yield decoded


def _count(decoded: DecodedTask, progress: Progress) -> None:
    clip = decoded.clip
    progress.clips += 1
    progress.frames += len(clip.times_s)
    progress.statuses[clip.status] += 1
    for view in {spec.view for spec, crops in clip.crops.items() if crops.found_no_crop}:
        progress.seen_whole[view] = progress.seen_whole.get(view, 0) + 1
    progress.uncompared += decoded.uncompared
    progress.unheard += decoded.sound is not None and not len(decoded.sound.frames)
    if clip.container.video_tracks > 1:
        progress.many_tracks.append(decoded.task.clip.clip_id)
    if clip.status is Status.FAILED:
        progress.failures.append((decoded.task.clip.clip_id, clip.reason))


def _facts_row(decoded: DecodedTask) -> ClipFacts:
    """The clip's row in the clip table; a clip that merely is short for this sampling is a sound clip."""
    clip, found = decoded.task.clip, decoded.clip
    sound = found.status is Status.SHORT
    return ClipFacts(
        clip_id=clip.clip_id,
        path=writable(str(clip.path.absolute())),
        size_bytes=clip.size_bytes,
        mtime_ns=clip.mtime_ns,
        fingerprint=decoded.fingerprint,
        status=Status.OK if sound else found.status,
        reason="" if sound else found.reason,
        bit_rate=_bit_rate(clip, found.container.duration_s),
        **_facts_among(found.container),
        **_facts_among(found.image_facts),
    )


def _facts_among(found: Probe | ImageFacts) -> dict[str, Any]:
    """The fields of `found` that are facts about a clip, by the names that they have in both."""
    return {field.name: getattr(found, field.name) for field in fields(found) if field.name in _CLIP_FACTS}


def _bit_rate(clip: Clip, duration_s: float) -> float:
    """Bits per second of the whole file; NaN where the duration is unknown."""
    return clip.size_bytes * 8 / duration_s if duration_s > 0 else float("nan")
