"""The queues that the page can show, by name, and how far labelling has come."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from heads.data.decisions import State
from heads.data.labels import LabelTable
from heads.errors import ReviewError
from heads.report.tables.collection import collection_sentences
from heads.review.desk import Desk
from heads.run import RunDirectory
from heads.selection.neighbours import nearest
from heads.selection.pool import Pool
from heads.selection.progress import expected, progress
from heads.selection.queue import STRATEGIES
from heads.selection.queue import make_queue as choose
from heads.selection.queued import QueuedClip
from heads.selection.sample import collection_score
from heads.workflows.pool import read_pool
from store.console import native_chatter

if TYPE_CHECKING:
    from heads.report import Turned

ALIKE = 24
TURNED = "turned"
_LIKELY_ALIKE = 0.6

# What queues are called in the page; of those that need a run, there are none before the first.
_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "next": "What teaches most",
        "doubt": "Doubt by site and week",
        "suspects": "Labels in doubt",
        "blanks": "Likely blanks by site",
        "class": "One class, sure to unsure",
        "random": "By chance",
    }
)
_NEED_RUN = ("doubt", "suspects", "blanks", "class")


def _in_order(desk: Desk) -> list[QueuedClip]:
    """The clips that nobody has said anything of, place by place, each in the order of time."""
    facts = desk.collection.facts
    times = facts["recorded_at"].to_dict()
    waiting = [clip_id for clip_id in facts.index if clip_id not in desk.standing]
    waiting.sort(key=lambda each: (desk.collection.site_of(each), times[each], each))
    return [_queued(each, "order", "the next in order") for each in waiting]


def _decided(desk: Desk) -> list[QueuedClip]:
    standing = [*desk.standing.items()]
    return [_queued(clip_id, "decided", f"decided by {each.user}") for clip_id, each in reversed(standing)]


def _unsure(desk: Desk) -> list[QueuedClip]:
    said = {State.UNSURE: "was unsure", State.SKIPPED: "passed by"}
    return [
        _queued(clip_id, "unsure", f"{each.user} {said[each.state]}")
        for clip_id, each in desk.standing.items()
        if each.state in said
    ]


def _conflicts(desk: Desk) -> list[QueuedClip]:
    return [
        _queued(
            conflict.clip_id,
            "conflicts",
            "; ".join(
                f"{each.user}: {', '.join(each.after) or ('blank' if each.state is State.LABELLED else each.state)}"
                for each in conflict.decisions
            ),
        )
        for conflict in desk.decisions.conflicts
    ]


def _turn(turned: "Turned") -> str:
    (was, before), (now, after) = turned.first, turned.second
    return f"was {was} ({before:.2f}), is {now} ({after:.2f}): {turned.outcome}"


def _queued(clip_id: str, strategy: str, reason: str) -> QueuedClip:
    return QueuedClip(clip_id=clip_id, strategy=strategy, reason=reason, is_random=False, score=0.0)


@dataclass(frozen=True, kw_only=True)
class OwnQueue:
    """A queue of what was decided or not, which needs no features: what it is called, and how it is made."""

    title: str
    make: Callable[[Desk], list[QueuedClip]]


_OWN: Mapping[str, OwnQueue] = MappingProxyType(
    {
        "order": OwnQueue(title="All clips in order", make=_in_order),
        "unsure": OwnQueue(title="Unsure and skipped", make=_unsure),
        "conflicts": OwnQueue(title="People disagree", make=_conflicts),
        "decided": OwnQueue(title="Already decided", make=_decided),
    }
)


class Queues:
    """Makes queues of a collection as it stands when they are asked for.

    Args:
        desk: clips and decisions.
        run: whose models are asked; None before the first.
        labels: a table of labels that stands in place of the run's; None if there is none.
        turned: clips whose most probable class is another one than before the run.
    """

    def __init__(
        self, desk: Desk, run: RunDirectory | None, labels: LabelTable | None, turned: "Sequence[Turned]" = ()
    ) -> None:
        self._desk, self._run, self._labels, self._turned = desk, run, labels, turned
        self._lock = threading.Lock()

    def names(self) -> list[dict[str, str]]:
        """What there is: `name`, `title`, and what has to be named (`about`)."""
        chosen = [name for name in _TITLES if self._run is not None or name not in _NEED_RUN]
        given = [{"name": name, "title": _TITLES[name], "about": STRATEGIES[name].about} for name in chosen]
        turned = [{"name": TURNED, "title": "Answers that changed", "about": ""}] if self._turned else []
        return [*turned, *given, *({"name": name, "title": each.title, "about": ""} for name, each in _OWN.items())]

    def make(self, name: str, count: int, about: str = "") -> list[QueuedClip]:
        """The first clips of a queue.

        Raises:
            ReviewError: there is no such queue.
            SelectionError: what it needs is not there.
        """
        known = self._desk.collection.facts.index
        if name == TURNED:
            return [_queued(each.clip_id, TURNED, _turn(each)) for each in self._turned if each.clip_id in known][
                :count
            ]
        if name in _OWN:
            return [each for each in _OWN[name].make(self._desk) if each.clip_id in known][:count]
        if name not in _TITLES:
            raise ReviewError(f"there is no queue '{name}', only {', '.join((*_TITLES, *_OWN))}")
        return choose(self.pool(), strategy=name, count=count, about=about)

    def alike(self, clip_id: str) -> list[tuple[QueuedClip, bool]]:
        """The clips that look most like one, each with whether it is likely to show the same."""
        pool = self.pool()
        return [
            (
                _queued(pool.ids[each.row], "alike", f"looks like {clip_id}: alike by {each.similarity:.2f} of 1"),
                each.similarity >= _LIKELY_ALIKE,
            )
            for each in nearest(pool.embedding, pool.rows_of([clip_id]).tolist(), ALIKE)
        ]

    def progress(self, queued: Sequence[str]) -> dict[str, Any]:
        """How far labelling has come, and what is to be expected of the clips that are queued."""
        pool = self.pool()
        there = {*pool.ids}
        waiting = [_queued(each, "", "") for each in queued if each in there]
        whole = collection_score(pool)
        return {
            **asdict(progress(pool, self._desk.decisions)),
            "expected": expected(pool, waiting),
            "whole": [] if whole is None else collection_sentences(whole),
        }

    def pool(self) -> Pool:
        """What is known of the clips, as of now; what takes time about it is kept in the store's cache."""
        with self._lock:
            if self._run is not None:
                with native_chatter(shown=False):
                    import heads.models.trained_head  # noqa: F401  models may have to be asked, and TensorFlow talks
            return read_pool(
                self._desk.collection.store,
                run=self._run,
                decisions=self._desk.decisions,
                labels=self._labels,
                sites=self._desk.collection.sites,
                timing=self._desk.collection.timing,
            )
