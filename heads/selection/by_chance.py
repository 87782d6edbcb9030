"""Clips that chance chooses, in an order that never changes."""

import numpy as np

from heads.selection.pool import Pool
from heads.selection.queued import RANDOM, Pick, QueuedClip, Request

_REASON = "drawn by chance: every clip of the collection is as likely, whatever it shows"


def draw(pool: Pool, count: int) -> list[Pick]:
    """The next clips by chance: of those that nobody has looked at, the smallest permanent random numbers."""
    rows = np.flatnonzero(pool.open)
    rows = rows[np.argsort(pool.order[rows], kind="stable")][: max(count, 0)]
    return [Pick(row=row, score=1.0 - float(pool.order[row]), reason=_REASON) for row in rows.tolist()]


def random_queue(pool: Pool, request: Request) -> list[QueuedClip]:
    """Clips drawn by chance, from which the whole collection may be judged."""
    return [queued_at_random(pool, pick) for pick in draw(pool, request.count)]


def queued_at_random(pool: Pool, pick: Pick) -> QueuedClip:
    """A clip that chance chose, as a queue holds it."""
    return QueuedClip(clip_id=pool.ids[pick.row], strategy=RANDOM, reason=pick.reason, is_random=True, score=pick.score)
