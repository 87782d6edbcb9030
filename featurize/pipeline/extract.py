"""The unit of work: a list of clips through some backbones into a store.

A plain function without global state: one process runs it over a folder, many may run it over shares of the list, on
one machine or on several, into the same store.
"""

import os
import time
from collections.abc import Callable, Iterator

from featurize.backbones.runner import DeviceName, RuntimeName
from featurize.pipeline.clips.account import account_of
from featurize.pipeline.clips.intake import Intake
from featurize.pipeline.clips.lanes import open_lanes
from featurize.pipeline.clips.prefetch import DecodedTask, decode_ahead
from featurize.pipeline.networks import detector_of
from featurize.pipeline.places.backgrounds import NO_BACKGROUNDS, learn_backgrounds
from featurize.pipeline.plan import Plan
from featurize.pipeline.relink import renew
from featurize.pipeline.summary import Progress, Summary
from store import FeatureStore


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
    sources = plan.lacking
    threads = workers or os.cpu_count() or 1
    progress = Progress()
    intake = Intake(plan, sources, store, progress, clips_per_part=clips_per_part)
    lanes = open_lanes(sources, runtime, device, intake.add)
    backgrounds = NO_BACKGROUNDS
    if plan.compares:
        backgrounds = learn_backgrounds(plan.named, store, workers=threads, deployments=plan.deployments)
    detect = detector_of((source.view for source in sources), runtime)
    with intake:
        decoding = decode_ahead(plan.tasks, plan.sampling, threads, backgrounds, detect)
        for decoded in _timed(decoding, progress):
            if intake.tell(account_of(decoded)):
                for source in decoded.task.sources:
                    lanes[source].push(decoded)
                on_clip(progress)
        for lane in lanes.values():
            lane.finish()
    return Summary.of(plan, progress)


def _timed(decoding: Iterator[DecodedTask], progress: Progress) -> Iterator[DecodedTask]:
    """Pass decoded clips on, adding up the time that was spent waiting for them."""
    while True:
        asked = time.monotonic()
        decoded = next(decoding, None)
        progress.wait_s += time.monotonic() - asked
        if decoded is None:
            return
        yield decoded
