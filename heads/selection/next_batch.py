"""What to label next: the recipe, of which every part has a share of the batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from heads.selection.batch import Batch, Rules
from heads.selection.by_chance import draw, queued_at_random
from heads.selection.pool import Pool
from heads.selection.queued import Pick, QueuedClip, Request
from heads.selection.teaching import new, rare, suspect, unsure
from heads.selection.typical import typical

RANDOM_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the recipe.

    Attributes:
        name: what the clips it chose are marked with.
        share: of the batch that is not drawn by chance.
        propose: the clips it would take, the best first.
    """

    name: str
    share: float
    propose: Callable[[Pool, int, np.random.Generator], Iterator[Pick]]


START: tuple[Part, ...] = (Part(name="typical", share=1.0, propose=typical),)
LATER = (
    Part(name="suspect", share=0.1, propose=suspect),
    Part(name="rare", share=0.3, propose=rare),
    Part(name="new", share=0.15, propose=new),
    Part(name="unsure", share=0.45, propose=unsure),
)


def next_queue(pool: Pool, request: Request) -> list[QueuedClip]:
    """The batch that teaches the models most, and a tenth drawn by chance, spread evenly over it.

    Clips drawn by chance are subject to no rule; of the rest there is one a burst, at most twice a site's share from
    each site, and at most half that are likely blank.
    """
    by_chance = draw(pool, max(round(RANDOM_SHARE * request.count), 1))
    batch = Batch(pool, request.count)
    for pick in by_chance:
        batch.add(pick.row)
    chosen = compose(pool, batch, START if pool.probabilities is None else LATER, request.seed)
    return _spread([[queued_at_random(pool, pick) for pick in by_chance], *chosen])


def compose(pool: Pool, batch: Batch, parts: Sequence[Part], seed: int) -> list[list[QueuedClip]]:
    """Fill a batch by the parts of a recipe, each up to its share; what one lacks the others give, the last first;
    and where the rules leave too few, they give way, the last first.
    """
    wanted, chosen = batch.room, []
    for part in parts:
        share = round(part.share * wanted)
        chosen.append(_marked(pool, part, batch.take(_proposals(pool, part, share, seed), share)))
    for rules in sorted(Rules, reverse=True):
        for part in reversed(parts):
            if batch.room:
                proposed = _proposals(pool, part, batch.room, seed)
                chosen.append(_marked(pool, part, batch.take(proposed, batch.room, rules)))
    return chosen


def _proposals(pool: Pool, part: Part, count: int, seed: int) -> Iterator[Pick]:
    return part.propose(pool, count, np.random.default_rng([seed, *part.name.encode()]))


def _marked(pool: Pool, part: Part, picks: list[Pick]) -> list[QueuedClip]:
    return [
        QueuedClip(
            clip_id=pool.ids[pick.row], strategy=part.name, reason=pick.reason, is_random=False, score=pick.score
        )
        for pick in picks
    ]


def _spread(parts: Sequence[Sequence[QueuedClip]]) -> list[QueuedClip]:
    """All parts together, each at even distances, so that a batch left half done holds half of each."""
    placed = [((number + 0.5) / len(part), queued) for part in parts for number, queued in enumerate(part)]
    return [queued for _, queued in sorted(placed, key=lambda each: each[0])]
