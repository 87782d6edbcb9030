"""Gathers the frames of many clips into full batches of one picture size, and hands out finished clips."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.runner import BATCH_FRAMES, Runner

Token = TypeVar("Token")

# A picture size that turns up rarely must not hold its clips back for hours: after this many other clips its batch is
# filled up with blank frames, whose features are thrown away.
_MOST_CLIPS_BEHIND = 64


@dataclass(eq=False)
class _Job(Generic[Token]):
    """A clip on its way: its frames, and the features that have come back so far."""

    token: Token
    frames: NDArray[np.uint8]
    features: NDArray[np.float32]
    born: int
    taken: int = 0


class FrameBatcher(Generic[Token]):
    """Runs a network over the frames of clips, in batches that cross clip boundaries.

    Every batch has the same size, so that a frame's features do not depend on what stands beside it.
    """

    def __init__(self, run: Runner, dim: int, batch_frames: int = BATCH_FRAMES) -> None:
        self._run = run
        self._dim = dim
        self._batch_frames = batch_frames
        self._waiting: dict[tuple[int, ...], deque[_Job[Token]]] = {}
        self._clips = 0

    def add(self, token: Token, frames: NDArray[np.uint8]) -> Iterator[tuple[Token, NDArray[np.float32]]]:
        """Take in a clip, and yield the clips that are finished by it.

        Args:
            token: what names the clip when it comes out again.
            frames: (T, H, W, 3) uint8, T at least 1.

        Yields:
            (token, features (T, D) float32) of finished clips.
        """
        self._clips += 1
        features = np.empty((len(frames), self._dim), np.float32)
        jobs = self._waiting.setdefault(frames.shape[1:], deque())
        jobs.append(_Job(token=token, frames=frames, features=features, born=self._clips))
        while sum(len(job.frames) - job.taken for job in jobs) >= self._batch_frames:
            yield from self._run_batch(jobs)
        for late in self._waiting.values():
            if late and self._clips - late[0].born > _MOST_CLIPS_BEHIND:
                yield from self._run_batch(late)

    def flush(self) -> Iterator[tuple[Token, NDArray[np.float32]]]:
        """Finish everything that is waiting, and yield it."""
        for jobs in self._waiting.values():
            while jobs:
                yield from self._run_batch(jobs)

    def _run_batch(self, jobs: deque[_Job[Token]]) -> Iterator[tuple[Token, NDArray[np.float32]]]:
        """Run one batch from the front of `jobs`, and yield the clips that it completes."""
        batch = np.zeros((self._batch_frames, *jobs[0].frames.shape[1:]), np.uint8)
        places: list[tuple[_Job[Token], int, int]] = []
        filled = 0
        for job in jobs:
            count = min(len(job.frames) - job.taken, self._batch_frames - filled)
            batch[filled : filled + count] = job.frames[job.taken : job.taken + count]
            places.append((job, filled, count))
            filled += count
            if filled == self._batch_frames:
                break
        features = self._run(batch)
        for job, start, count in places:
            job.features[job.taken : job.taken + count] = features[start : start + count]
            job.taken += count
        while jobs and jobs[0].taken == len(jobs[0].frames):
            done = jobs.popleft()
            yield done.token, done.features
