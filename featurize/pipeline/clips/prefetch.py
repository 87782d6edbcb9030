"""Decoding ahead of the networks, in threads that each wait for an ffmpeg process."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from featurize.background.difference import Background
from featurize.decoding.audio import Sound, Waveform, decode_sound, decode_waveform, no_sound, no_waveform
from featurize.decoding.decode import decode
from featurize.decoding.decoded import DecodedClip, no_frames
from featurize.decoding.ffmpeg import Probe
from featurize.detection.over_time import Detect
from featurize.errors import FeaturizeError
from featurize.pipeline.clips.faults import unforeseen
from featurize.pipeline.clips.fetching import fetch_ahead
from featurize.pipeline.discover import Clip
from featurize.pipeline.places.backgrounds import NO_BACKGROUNDS, Backgrounds
from featurize.pipeline.plan import Task
from featurize.remote.transfer import UnreachableError
from featurize.views.crops import ViewSpec
from featurize.views.registry import find_view
from featurize.views.sampling import Sampling
from store import Status
from store.digest import file_fingerprint

CLIPS_AHEAD = 2  # decoded and not yet seen by networks, for each thread that decodes


@dataclass(frozen=True, kw_only=True)
class DecodedTask:
    """A clip that was decoded for a task.

    Attributes:
        task: the clip, and what is wanted of it.
        fingerprint: of its content.
        clip: what decoding gave of its picture.
        uncompared: whether a view asked for what it is seen against, and there was nothing.
        sound: its sound around frames, if any source wants it and the picture could be decoded.
        waveform: all of its sound, likewise.
    """

    task: Task
    fingerprint: str
    clip: DecodedClip
    uncompared: bool
    sound: Sound | None
    waveform: Waveform | None = None


def decode_ahead(
    tasks: Sequence[Task],
    sampling: Sampling,
    workers: int,
    backgrounds: Backgrounds = NO_BACKGROUNDS,
    detect: Detect | None = None,
) -> Iterator[DecodedTask]:
    """Decode `tasks` in threads and yield them in order, holding only a few decoded clips at a time.

    Args:
        tasks: clips, and what is wanted of them.
        sampling: which frames.
        workers: threads.
        backgrounds: what clips are seen against by views that ask for it.
        detect: the detector that views ask, if any does.
    """
    clips = [task.clip for task in tasks]
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool, fetch_ahead(clips, workers) as on_disk:
        window: deque[Future[DecodedTask]] = deque()
        try:
            for task, held in zip(tasks, on_disk, strict=True):
                window.append(pool.submit(decode_task, task, sampling, backgrounds, detect, held))
                if len(window) > workers * CLIPS_AHEAD:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()


def decode_or_fail(
    path: Path,
    clip_id: str,
    sampling: Sampling,
    specs: Sequence[ViewSpec],
    find_background: Callable[[], Background | None] = lambda: None,
    detect: Detect | None = None,
) -> DecodedClip:
    """What `decode` gives; a clip over which it breaks for a reason that nobody foresaw is FAILED with that reason.

    The traceback goes to the log.

    Raises:
        FeaturizeError: the settings or the machine are at fault, not the clip.
    """
    try:
        return decode(path, sampling, specs, find_background(), detect=detect)
    except FeaturizeError:
        raise
    except Exception as error:  # noqa: BLE001  recorded as the reason of this clip
        return no_frames(unforeseen(error, clip_id), Probe())


def decode_clip(
    clip: Clip,
    held: AbstractContextManager[Path],
    sampling: Sampling,
    specs: Sequence[ViewSpec],
    find_background: Callable[[], Background | None] = lambda: None,
    detect: Detect | None = None,
) -> DecodedClip:
    """What `decode_or_fail` gives of a clip that lies at `held`; one that cannot be fetched is FAILED."""
    try:
        with held as path:
            return decode_or_fail(path, clip.clip_id, sampling, specs, find_background, detect)
    except UnreachableError as error:
        return _unreachable(error)


def _unreachable(error: UnreachableError) -> DecodedClip:
    return no_frames(f"the file cannot be fetched: {error}", Probe())


def decode_task(
    task: Task,
    sampling: Sampling,
    backgrounds: Backgrounds,
    detect: Detect | None,
    held: AbstractContextManager[Path] | None = None,
) -> DecodedTask:
    """Decode one clip for what is wanted of it; the arguments are those of `decode_ahead`, and where the clip lies."""
    try:
        with held or task.clip.on_disk() as path:
            return _decode_at(path, task, sampling, backgrounds, detect)
    except UnreachableError as error:
        return DecodedTask(task=task, fingerprint="", clip=_unreachable(error), uncompared=False, sound=None)


def _decode_at(
    path: Path, task: Task, sampling: Sampling, backgrounds: Backgrounds, detect: Detect | None
) -> DecodedTask:
    specs = list(dict.fromkeys(source.view_spec for source in task.sources if not source.backbone.hears))
    fingerprint = _fingerprint_at(path)
    compares = any(find_view(spec.view).needs_background for spec in specs)
    asks = any(find_view(spec.view).needs_detector for spec in specs)

    def find_background() -> Background | None:
        return backgrounds.of(fingerprint) if compares else None

    decoded = decode_or_fail(path, task.clip.clip_id, sampling, specs, find_background, detect if asks else None)
    kinds = {source.backbone.kind for source in task.sources if decoded.status is not Status.FAILED}
    return DecodedTask(
        task=task,
        fingerprint=fingerprint,
        clip=decoded,
        uncompared=compares and decoded.status is not Status.FAILED and not len(decoded.motion.difference),
        sound=_hear(path, task.clip.clip_id, decoded) if "sound" in kinds else None,
        waveform=_hear_all(path, task.clip.clip_id, decoded) if "waveform" in kinds else None,
    )


def _fingerprint_at(path: Path) -> str:
    try:
        return file_fingerprint(path)
    except OSError:
        return ""


def _hear(path: Path, clip_id: str, decoded: DecodedClip) -> Sound:
    """The sound around the frames of a clip whose picture could be decoded."""
    try:
        return decode_sound(path, decoded.times_s, decoded.container)
    except Exception as error:  # noqa: BLE001  recorded as the reason of this clip
        return no_sound(unforeseen(error, clip_id))


def _hear_all(path: Path, clip_id: str, decoded: DecodedClip) -> Waveform:
    """All the sound of a clip whose picture could be decoded."""
    try:
        return decode_waveform(path, decoded.container)
    except Exception as error:  # noqa: BLE001  recorded as the reason of this clip
        return no_waveform(unforeseen(error, clip_id))
