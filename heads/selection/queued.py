"""A clip in a queue, and what is asked of those who make one."""

from dataclasses import dataclass

RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class QueuedClip:
    """A clip that a person is to look at.

    Attributes:
        clip_id: the clip.
        strategy: what chose it: the strategy that was asked for, or the part of `next` that it comes from.
        reason: why it was chosen, one sentence.
        is_random: whether chance chose it: only of such clips may scores of the whole collection be reported.
        score: how much speaks for it, the more the higher; comparable within one strategy only.
    """

    clip_id: str
    strategy: str
    reason: str
    is_random: bool
    score: float


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        count: how many clips at most.
        seed: of everything that is left to chance, but for the clips that are drawn by chance: these are the first in
            an order of their own, which never changes.
        about: the class or the clip that a strategy needs; "" if it needs none.
    """

    count: int
    seed: int = 0
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A clip that one part of a strategy proposes.

    Attributes:
        row: of the clip in the pool.
        score: how much speaks for it.
        reason: why, one sentence.
    """

    row: int
    score: float
    reason: str
