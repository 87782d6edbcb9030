"""What a step teaches the members of a head, and how each finds clips of its own in every step."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# What a batch asks of the members: places of clips, weights (K, B) that are zero for clips that a member must not see,
# and targets (K, B, C).
Lesson = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]

_FEWEST = 2


def fill_up(lessons: Sequence[Lesson]) -> Sequence[Lesson]:
    """The lessons of an epoch, with two clips at least in each for every member that has as many: some come again.

    Where one site holds nearly all clips, the member that does not see it has fewer clips than there are lessons; but
    batch normalisation finds no moments in no clip, and none worth having in one.
    """
    if all((np.count_nonzero(weights, axis=1) >= _FEWEST).all() for _, weights, _ in lessons):
        return lessons
    places, weights, targets = zip(*lessons, strict=True)
    everything = (np.concatenate(places), np.concatenate(weights, axis=1), np.concatenate(targets, axis=1))
    return [_filled(lesson, everything, turn) for turn, lesson in enumerate(lessons)]


def _filled(lesson: Lesson, everything: Lesson, turn: int) -> Lesson:
    """A lesson and, behind it, clips out of all lessons for members that lack some; others in each turn."""
    places, weights, targets = everything
    chosen: list[int] = []
    members: list[int] = []
    for member, found in enumerate(np.count_nonzero(lesson[1], axis=1).tolist()):
        own = np.flatnonzero((weights[member] > 0) & ~np.isin(places, lesson[0])).tolist()
        count = min(max(_FEWEST - found, 0), len(own))
        chosen += [own[(turn * count + step) % len(own)] for step in range(count)]
        members += [member] * count
    seen = np.zeros((len(weights), len(chosen)), np.float32)
    seen[members, np.arange(len(chosen))] = weights[members, chosen]
    return (
        np.concatenate([lesson[0], places[chosen]]),
        np.concatenate([lesson[1], seen], axis=1),
        np.concatenate([lesson[2], targets[:, chosen]], axis=1),
    )
