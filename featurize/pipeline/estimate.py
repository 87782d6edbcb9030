"""What a plan is going to cost, from a few of its clips."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from featurize.decoding.audio import WAVEFORM_HZ
from featurize.decoding.ffmpeg import Probe, probe
from featurize.decoding.formats import is_image
from featurize.pipeline.discover import Clip
from featurize.pipeline.plan import Plan
from featurize.pipeline.source import FeatureSource
from featurize.remote.transfer import UnreachableError
from featurize.views.sampling import Sampling
from store.key import ROUNDED

_PROBED_CLIPS = 16
_PROBED_REMOTE = 3  # which are fetched for it
_BYTES_PER_VALUE = 2
_BYTES_PER_PIXEL = 0.25  # of a picture that is kept, more or less

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """What a plan is going to need, from the durations of a few clips.

    Attributes:
        frames: frames to decode, about.
        disk_bytes: bytes that the store will grow by, about.
        probed: clips whose duration was looked at.
    """

    frames: int
    disk_bytes: int
    probed: int


def estimate_cost(plan: Plan) -> CostEstimate:
    """What `plan` is going to need, extrapolated from a few clips spread over it.

    Example:
        plan = featurize.plan("clips", "STORE", backbones="efficientnet_lite0", fps=3)
        print(featurize.estimate_cost(plan).disk_bytes / 1e9, "GB")
    """
    videos = [task.clip for task in plan.tasks if not is_image(task.clip.path)]
    here, elsewhere = ([clip for clip in videos if (clip.remote is None) is is_here] for is_here in (True, False))
    probed = [*spread(here, _PROBED_CLIPS), *spread(elsewhere, _PROBED_REMOTE)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = list(pool.map(_probe, probed))
    counts = [_frames_of(facts, plan.sampling) for facts in found if facts.duration_s > 0]
    per_video = sum(counts) / len(counts) if counts else 0.0
    images = len(plan.tasks) - len(videos)
    frames = round(per_video * len(videos)) + images
    per_clip = frames / len(plan.tasks) if plan.tasks else 0.0
    frame_bytes = sum(_bytes_per_frame(source) for task in plan.tasks for source in task.sources)
    lengths = [facts.duration_s if facts.has_audio else 0.0 for facts in found if facts.duration_s > 0]
    heard = sum(source.backbone.kind == "waveform" for task in plan.tasks for source in task.sources)
    sound_bytes = heard * WAVEFORM_HZ * _BYTES_PER_VALUE * (sum(lengths) / len(lengths) if lengths else 0.0)
    return CostEstimate(frames=frames, disk_bytes=round(per_clip * frame_bytes + sound_bytes), probed=len(probed))


def _probe(clip: Clip) -> Probe:
    try:
        with clip.on_disk(tries=1) as path:
            return probe(path)
    except UnreachableError:
        return Probe()


def _bytes_per_frame(source: FeatureSource) -> float:
    if source.backbone.kind == "waveform":
        return 0.0  # what it takes does not depend on frames
    pictures = source.canvas.px**2 * _BYTES_PER_PIXEL if source.backbone.kind == "pictures" else 0.0
    value = 1 if source.stored == ROUNDED else _BYTES_PER_VALUE
    return source.backbone.dim * value + pictures


def _frames_of(facts: Probe, sampling: Sampling) -> int:
    """The frames that a clip is going to give: what is asked for, or all that it holds."""
    asked = sampling.plan(facts.duration_s, facts.fps).expected
    return min(asked, round(facts.duration_s * facts.fps)) if facts.fps > 0 else asked


def spread(items: Sequence[Item], count: int) -> Iterator[Item]:
    """At most `count` of `items`, evenly spread."""
    step = max(1, len(items) / count)
    yield from (items[int(index * step)] for index in range(min(count, len(items))))
