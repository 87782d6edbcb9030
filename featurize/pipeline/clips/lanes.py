"""The way of one source's pictures or sounds: through its network, into its part."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.builders.pictures import encode_picture
from featurize.backbones.runner import DeviceName, Runner, RuntimeName
from featurize.pipeline.clips.prefetch import DecodedTask
from featurize.pipeline.networks import batch_frames_of, runner_of
from featurize.pipeline.source import FeatureSource
from featurize.runtime.batching import FrameBatcher
from featurize.views.crops import Crops
from store import ClipFeatures, Status


@dataclass(frozen=True)
class FrameLane:
    """Crops go in batches that cross clips."""

    source: FeatureSource
    batcher: FrameBatcher[tuple["_Clip", NDArray[np.int64]]]
    add: Callable[[ClipFeatures], None]

    def push(self, decoded: DecodedTask) -> None:
        """Take in a clip."""
        if decoded.clip.status is Status.FAILED:
            nothing = np.empty((0, self.source.backbone.dim), np.float32)
            self.add(_features_row(decoded, nothing, Crops(by_size=(), times_s=np.empty(0))))
            return
        crops = decoded.clip.crops[self.source.view_spec]
        clip = _Clip(decoded, crops, np.empty((len(crops.times_s), self.source.backbone.dim), np.float32))
        for places, pixels in crops.by_size:
            self._put_back(self.batcher.add((clip, places), pixels))

    def finish(self) -> None:
        """Finish the clips that wait for a full batch."""
        self._put_back(self.batcher.flush())

    def _put_back(self, finished: Iterable[tuple[tuple["_Clip", NDArray[np.int64]], NDArray[np.float32]]]) -> None:
        """Sort features into their clips, and write the clips that are complete."""
        for (clip, places), features in finished:
            clip.features[places] = features
            clip.missing -= len(places)
            if clip.missing == 0:
                self.add(_features_row(clip.decoded, clip.features, clip.crops))


@dataclass(eq=False)
class _Clip:
    """A clip on its way through a network: its pictures may come back in groups."""

    decoded: DecodedTask
    crops: Crops
    features: NDArray[np.float32]
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.features)


@dataclass(frozen=True)
class SoundLane:
    """Sound goes clip by clip, since its rules take no time to speak of."""

    source: FeatureSource
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    add: Callable[[ClipFeatures], None]

    def push(self, decoded: DecodedTask) -> None:
        """Take in a clip."""
        nothing = Crops(by_size=(), times_s=decoded.clip.times_s)
        row = _features_row(decoded, np.empty((0, self.source.backbone.dim), np.float32), nothing)
        sound = decoded.sound
        if sound is not None and not len(sound.frames):
            row = replace(row, status=Status.FAILED, reason=sound.reason, times_s=np.empty(0))
        elif sound is not None:
            row = replace(row, features=self.run(sound.windows), times_s=row.times_s[sound.frames])
            if sound.reason:
                row = replace(row, status=Status.PARTIAL, reason=sound.reason)
        self.add(row)

    def finish(self) -> None:
        """Nothing is waiting."""


@dataclass(frozen=True)
class WaveformLane:
    """The sound itself goes clip by clip, and has times of its own."""

    source: FeatureSource
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    add: Callable[[ClipFeatures], None]

    def push(self, decoded: DecodedTask) -> None:
        """Take in a clip."""
        nothing = Crops(by_size=(), times_s=np.empty(0))
        row = _features_row(decoded, np.empty((0, self.source.backbone.dim), np.float32), nothing)
        waveform = decoded.waveform
        if waveform is not None and not len(waveform.pieces):
            row = replace(row, status=Status.FAILED, reason=waveform.reason)
        elif waveform is not None:
            row = replace(row, features=self.run(waveform.pieces), times_s=waveform.times_s)
        self.add(row)

    def finish(self) -> None:
        """Nothing is waiting."""


@dataclass(frozen=True)
class PictureLane:
    """Pictures go clip by clip, and are kept themselves beside what the rules say of them."""

    source: FeatureSource
    run: Runner
    add: Callable[[ClipFeatures], None]

    def push(self, decoded: DecodedTask) -> None:
        """Take in a clip."""
        crops = Crops(by_size=(), times_s=np.empty(0))
        if decoded.clip.status is not Status.FAILED:
            crops = decoded.clip.crops[self.source.view_spec]
        features = np.empty((len(crops.times_s), self.source.backbone.dim), np.float32)
        pictures = [b""] * len(features)
        for places, pixels in crops.by_size:
            features[places] = self.run(pixels)
            for place, frame in zip(places.tolist(), pixels, strict=True):
                pictures[place] = encode_picture(frame)
        self.add(replace(_features_row(decoded, features, crops), pictures=pictures))

    def finish(self) -> None:
        """Nothing is waiting."""


Lane = FrameLane | SoundLane | WaveformLane | PictureLane


def open_lanes(
    sources: Sequence[FeatureSource],
    runtime: RuntimeName,
    device: DeviceName,
    add: Callable[[FeatureSource, ClipFeatures], None],
) -> dict[FeatureSource, Lane]:
    """A lane for each source, with its network or rule ready to run; views of one network at one size share it.

    Args:
        sources: each once.
        runtime: what runs the networks.
        device: where.
        add: called with each clip's features of a source, at the latest when its lane is `finish`ed.
    """
    runners = _runners(sources, runtime, device)
    return {
        source: _lane(source, run, partial(add, source), batch_frames_of(source, runtime, device))
        for source, run in runners.items()
    }


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


def _lane(source: FeatureSource, run: Runner, add: Callable[[ClipFeatures], None], batch_frames: int) -> Lane:
    if source.backbone.kind == "sound":
        return SoundLane(source, run, add)
    if source.backbone.kind == "waveform":
        return WaveformLane(source, run, add)
    if source.backbone.kind == "pictures":
        return PictureLane(source, run, add)
    return FrameLane(source, FrameBatcher(run, source.backbone.dim, batch_frames), add)


def _features_row(decoded: DecodedTask, features: NDArray[np.float32], crops: Crops) -> ClipFeatures:
    clip = decoded.clip
    return ClipFeatures(
        clip_id=decoded.task.clip.clip_id,
        fingerprint=decoded.fingerprint,
        status=clip.status,
        reason=clip.reason,
        times_s=crops.times_s,
        features=features,
        per_frame=crops.per_frame,
    )
