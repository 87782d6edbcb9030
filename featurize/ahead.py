"""Decoding ahead of the networks, in threads that each wait for an ffmpeg process."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from featurize.decode import decode
from featurize.frames import Frames
from featurize.plan import Task, fingerprint_or_blank
from featurize.sampling import Sampling
from featurize.sound import Sound, decode_sound
from store import Status

_CLIPS_AHEAD_PER_WORKER = 2


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded clip.

    Attributes:
        task: the clip, and what is wanted of it.
        fingerprint: of its content.
        frames: its pictures.
        sound: its sound, if any source wants it and the picture could be decoded.
    """

    task: Task
    fingerprint: str
    frames: Frames
    sound: Sound | None


def decode_ahead(tasks: Sequence[Task], sampling: Sampling, workers: int) -> Iterator[Decoded]:
    """Decode `tasks` in threads and yield them in order, holding only a few decoded clips at a time."""
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        window: deque[Future[Decoded]] = deque()
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


def _decode_task(task: Task, sampling: Sampling) -> Decoded:
    looks = list(dict.fromkeys(source.look for source in task.sources if source.backbone.kind != "sound"))
    fingerprint = fingerprint_or_blank(task.clip)
    frames = decode(task.clip.path, sampling, looks)
    listens = any(source.backbone.kind == "sound" for source in task.sources)
    return Decoded(task=task, fingerprint=fingerprint, frames=frames, sound=_hear(task, frames) if listens else None)


def _hear(task: Task, frames: Frames) -> Sound | None:
    """The sound of a clip whose picture could be decoded."""
    if frames.status is Status.FAILED:
        return None
    return decode_sound(task.clip.path, frames.times_s, frames.source)
