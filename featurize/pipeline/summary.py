"""How far a run has come, and what it came to; summaries of shares add up to that of the whole."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from featurize.pipeline.clips.account import Account
from featurize.pipeline.plan import Plan
from store import Status


@dataclass
class Progress:
    """How far a run has come; it is handed to the callback after every clip.

    Example:
        featurize.extract(plan, store, on_clip=lambda progress: print(progress.clips, progress.failures))

    Attributes:
        clips: clips decoded.
        frames: frames decoded.
        wait_s: seconds in which the networks stood still for want of frames.
        statuses: clips per status.
        failures: (clip id, reason) of each clip that failed.
        seen_whole: clips of which a view that may show less saw nothing but whole frames, by the view's name.
        unreached: (clip id, reason) of each clip that the store knows and that could not be read any more.
        uncompared: clips of which too few others show the same framing for a view that compares them.
        unheard: clips whose picture could be decoded but not their sound, where that was asked for.
        many_tracks: ids of the clips that hold several video tracks, of which one was taken.
        started: `time.monotonic()` when decoding began.
    """

    clips: int = 0
    frames: int = 0
    wait_s: float = 0.0
    statuses: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    failures: list[tuple[str, str]] = field(default_factory=list)
    unreached: list[tuple[str, str]] = field(default_factory=list)
    seen_whole: dict[str, int] = field(default_factory=dict)
    uncompared: int = 0
    unheard: int = 0
    many_tracks: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def count(self, account: Account) -> None:
        """Count a decoded clip."""
        self.clips += 1
        self.frames += account.frames
        self.statuses[account.status] += 1
        for view in account.seen_whole:
            self.seen_whole[view] = self.seen_whole.get(view, 0) + 1
        self.uncompared += account.uncompared
        self.unheard += account.unheard
        if account.many_tracks:
            self.many_tracks.append(account.clip_id)
        if account.status is Status.FAILED:
            self.failures.append((account.clip_id, account.reason))

    def refuse(self, clip_id: str, reason: str) -> None:
        """Count a decoded clip among those that failed."""
        self.failures.append((clip_id, reason))

    @property
    def seconds(self) -> float:
        """Seconds since decoding began."""
        return time.monotonic() - self.started


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run, or a share of one, came to.

    Example:
        summary = featurize.run("clips", "STORE", backbones="efficientnet_lite0")
        for clip_id, reason in summary.failures:
            print(clip_id, reason)

    Attributes:
        clips: how many clips were named.
        skipped: clips that had everything already.
        left: clips that lack something and were left for another time.
        failed_before: clips among the skipped ones that could not be decoded.
        partial_before: clips among the skipped ones that broke part way.
        statuses: the decoded clips per status.
        frames: frames decoded.
        seen_whole: clips of which a view that may show less saw nothing but whole frames, by the view's name.
        uncompared: clips of which too few others show the same framing for a view that compares them.
        unheard: clips whose picture could be decoded but not their sound, where that was asked for.
        seconds: how long it took; of several shares, the longest.
        working_s: seconds that networks were there for work, summed over shares.
        wait_s: seconds of these in which they stood still for want of frames.
        failures: (clip id, reason) of each clip that failed.
        unreached: (clip id, reason) of each clip that the store knows and that could not be read.
        unlisted: (folder, reason) of each folder whose clips, if it has any, could not be found.
        many_tracks: ids of the clips that hold several video tracks, of which one was taken.
        passed_over: how many files beside the clips are none, by suffix.
    """

    clips: int
    skipped: int
    left: int
    failed_before: int
    partial_before: int
    statuses: Mapping[Status, int]
    frames: int
    seen_whole: Mapping[str, int]
    uncompared: int
    unheard: int
    seconds: float
    working_s: float
    wait_s: float
    failures: tuple[tuple[str, str], ...]
    unreached: tuple[tuple[str, str], ...]
    unlisted: tuple[tuple[str, str], ...]
    many_tracks: tuple[str, ...]
    passed_over: Mapping[str, int]

    @classmethod
    def of(cls, plan: Plan, progress: Progress) -> "Summary":
        """What carrying out `plan` came to."""
        seconds = progress.seconds
        return cls(
            clips=plan.clips,
            skipped=plan.skipped,
            left=len(plan.left),
            failed_before=plan.failed_before,
            partial_before=plan.partial_before,
            statuses=dict(progress.statuses),
            frames=progress.frames,
            seen_whole=dict(progress.seen_whole),
            uncompared=progress.uncompared,
            unheard=progress.unheard,
            seconds=seconds,
            working_s=seconds,
            wait_s=progress.wait_s,
            failures=tuple(progress.failures),
            unreached=(*plan.unreached, *progress.unreached),
            unlisted=plan.unlisted,
            many_tracks=tuple(progress.many_tracks),
            passed_over=dict(plan.passed_over),
        )

    @classmethod
    def merged(cls, parts: Sequence["Summary"]) -> "Summary":
        """What the shares `parts` of one plan came to together, at least one; they ran side by side."""
        return cls(
            clips=sum(part.clips for part in parts),
            skipped=sum(part.skipped for part in parts),
            left=sum(part.left for part in parts),
            failed_before=sum(part.failed_before for part in parts),
            partial_before=sum(part.partial_before for part in parts),
            statuses={status: sum(part.statuses[status] for part in parts) for status in Status},
            frames=sum(part.frames for part in parts),
            seen_whole=dict(sum((Counter(part.seen_whole) for part in parts), Counter())),
            uncompared=sum(part.uncompared for part in parts),
            unheard=sum(part.unheard for part in parts),
            seconds=max(part.seconds for part in parts),
            working_s=sum(part.working_s for part in parts),
            wait_s=sum(part.wait_s for part in parts),
            failures=tuple(sorted(chain.from_iterable(part.failures for part in parts))),
            unreached=tuple(sorted(chain.from_iterable(part.unreached for part in parts))),
            unlisted=tuple(sorted(chain.from_iterable(part.unlisted for part in parts))),
            many_tracks=tuple(sorted(chain.from_iterable(part.many_tracks for part in parts))),
            passed_over=dict(sum((Counter(part.passed_over) for part in parts), Counter())),
        )

    @property
    def decoded(self) -> int:
        """Clips that went through decoding, those that failed among them."""
        return sum(self.statuses.values())

    @property
    def done(self) -> int:
        """Clips that gave at least one frame."""
        return self.decoded - self.statuses[Status.FAILED]
