"""The queues that the page can show, by name."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from heads.data.decisions import State
from heads.errors import ReviewError
from heads.review.collection import key_of
from heads.review.desk import Desk

Make = Callable[[Desk], list["Queued"]]


@dataclass(frozen=True, kw_only=True)
class Queued:
    """A clip in a queue: why it is there, and whether chance chose it."""

    clip_id: str
    reason: str = ""
    is_random: bool = False
    strategy: str = ""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A way to choose clips: what it is called in the page, and how it is made."""

    title: str
    make: Make


def _open(desk: Desk) -> list[str]:
    """The clips that nobody has said anything of, place by place, each in the order of time."""
    facts = desk.collection.facts
    waiting = [clip_id for clip_id in facts.index if clip_id not in desk.standing]
    times = facts["recorded_at"]
    return sorted(waiting, key=lambda each: (desk.collection.site_of(each), times[each], each))


def _in_order(desk: Desk) -> list[Queued]:
    return [Queued(clip_id=each, reason="the next in order") for each in _open(desk)]


def _by_chance(desk: Desk) -> list[Queued]:
    clips = sorted(_open(desk), key=key_of)
    random.Random(0).shuffle(clips)
    return [Queued(clip_id=each, reason="drawn by chance", is_random=True) for each in clips]


def _decided(desk: Desk) -> list[Queued]:
    return [
        Queued(clip_id=clip_id, reason=f"decided by {each.user}")
        for clip_id, each in reversed([*desk.standing.items()])
        if clip_id in desk.collection.facts.index
    ]


def _unsure(desk: Desk) -> list[Queued]:
    return [
        Queued(clip_id=clip_id, reason=f"{each.user} was {'unsure' if each.state is State.UNSURE else 'passing by'}")
        for clip_id, each in desk.standing.items()
        if each.state in (State.UNSURE, State.SKIPPED) and clip_id in desk.collection.facts.index
    ]


def _conflicts(desk: Desk) -> list[Queued]:
    return [
        Queued(
            clip_id=conflict.clip_id,
            reason="; ".join(
                f"{each.user}: {', '.join(each.after) or ('blank' if each.state is State.LABELLED else each.state)}"
                for each in conflict.decisions
            ),
        )
        for conflict in desk.decisions.conflicts
        if conflict.clip_id in desk.collection.facts.index
    ]


QUEUES: Mapping[str, Queue] = MappingProxyType(
    {
        "order": Queue(title="All clips in order", make=_in_order),
        "random": Queue(title="By chance", make=_by_chance),
        "unsure": Queue(title="Unsure and skipped", make=_unsure),
        "conflicts": Queue(title="People disagree", make=_conflicts),
        "decided": Queue(title="Already decided", make=_decided),
    }
)


def make_queue(desk: Desk, name: str, count: int) -> list[Queued]:
    """The first clips of a queue.

    Raises:
        ReviewError: there is no such queue.
    """
    if name not in QUEUES:
        raise ReviewError(f"there is no queue '{name}', only {', '.join(QUEUES)}")
    return QUEUES[name].make(desk)[:count]
