"""The queues of clips that a person can be shown, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from heads.errors import SelectionError
from heads.selection.by_chance import random_queue
from heads.selection.doubt import doubt_queue
from heads.selection.next_batch import next_queue
from heads.selection.piles import blanks_queue, class_queue, neighbours_queue, suspects_queue
from heads.selection.pool import Pool
from heads.selection.queued import QueuedClip, Request


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A way to choose clips.

    Attributes:
        summary: what it chooses, in a few words.
        make: makes the queue.
        about: what has to be named: "class", "clip", or "" for nothing.
    """

    summary: str
    make: Callable[[Pool, Request], list[QueuedClip]]
    about: str = ""


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "next": Strategy(summary="what teaches the models most, a tenth of it by chance", make=next_queue),
        "doubt": Strategy(summary="what removes most doubt about species by site and week", make=doubt_queue),
        "suspects": Strategy(summary="labels that the models do not believe", make=suspects_queue),
        "blanks": Strategy(summary="likely blanks, site by site", make=blanks_queue),
        "class": Strategy(summary="one class over its whole range of confidence", make=class_queue, about="class"),
        "neighbours": Strategy(summary="clips that look like one", make=neighbours_queue, about="clip"),
        "random": Strategy(summary="by chance, to judge the whole collection by", make=random_queue),
    }
)


def make_queue(pool: Pool, *, strategy: str, count: int, seed: int = 0, about: str = "") -> list[QueuedClip]:
    """At most `count` clips for a person to look at, the most useful first.

    Args:
        pool: the clips, and what is known of them.
        strategy: one of `STRATEGIES`.
        count: how many at most; fewer where there are no more.
        seed: the same queue for the same seed and pool.
        about: the class or clip that the strategy needs.

    Raises:
        SelectionError: there is no such strategy, what it needs is not given, or the pool lacks what it reads.
    """
    found = STRATEGIES.get(strategy)
    if found is None:
        raise SelectionError(f"there is no strategy '{strategy}'; there are {', '.join(STRATEGIES)}")
    if count < 1:
        raise SelectionError(f"a queue of {count} clips was asked for; expected 1 or more")
    if found.about and not about:
        raise SelectionError(f"strategy '{strategy}' needs a {found.about}; name it with --{found.about}")
    return found.make(pool, Request(count=count, seed=seed, about=about))
