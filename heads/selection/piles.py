"""Clips of one kind, to go through in one go: likely blanks, one class, look-alikes, labels that models disbelieve."""

from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray

from heads.data.labels import BLANK
from heads.errors import SelectionError
from heads.selection.neighbours import nearest
from heads.selection.pool import LIKELY_BLANK, Pool
from heads.selection.queued import Pick, QueuedClip, Request
from heads.selection.teaching import suspect

_STEPS = 10  # of a class's range of confidence


def suspects_queue(pool: Pool, request: Request) -> list[QueuedClip]:
    """Labelled clips whose label the models do not believe, the least credible first.

    Raises:
        SelectionError: there is no run whose models could be asked.
    """
    _require_probabilities(pool, "suspects")
    picks = list(suspect(pool, request.count, np.random.default_rng(request.seed)))
    return _queued(pool, "suspects", picks[: request.count])


def blanks_queue(pool: Pool, request: Request) -> list[QueuedClip]:
    """Likely blanks, site by site, the site with most of them first; within a site by time, else the likeliest first.

    Before there are models a clip in which nothing moves is taken for one.
    """
    rows = np.flatnonzero(_unchecked(pool) & pool.likely_blank)
    said = None if pool.probabilities is None or BLANK not in pool.classes else pool.probabilities[:, _blank(pool)]
    of_site: dict[str, list[int]] = {}
    for row in rows.tolist():
        of_site.setdefault(pool.sites[row], []).append(row)
    picks = []
    for site, own in sorted(of_site.items(), key=lambda each: (-len(each[1]), each[0])):
        for row in sorted(own, key=lambda row: _within_site(pool, row, said)):
            picks.append(
                Pick(
                    row=row,
                    score=LIKELY_BLANK if said is None else float(said[row]),
                    reason=f"{_why_blank(said, row)}, one of {_such_clips(len(own))}{f' of {site}' if site else ''}",
                )
            )
    return _queued(pool, "blanks", picks[: request.count])


def class_queue(pool: Pool, request: Request) -> list[QueuedClip]:
    """Clips over the whole range of confidence in one class: of each tenth of the range as many, drawn by chance.

    The most confident tenth comes first, then one of each tenth in turn.

    Raises:
        SelectionError: there is no run, or it does not know the class.
    """
    probabilities = _require_probabilities(pool, "class")
    if request.about not in pool.classes:
        raise SelectionError(f"there is no class '{request.about}'; there are {', '.join(pool.classes)}")
    said = probabilities[:, pool.classes.index(request.about)]
    rng = np.random.default_rng(request.seed)
    rows = rng.permutation(np.flatnonzero(_unchecked(pool)))
    step = np.minimum((said[rows] * _STEPS).astype(np.int64), _STEPS - 1)
    of_step = [rows[step == number].tolist() for number in reversed(range(_STEPS))]
    sizes = {number: len(own) for number, own in zip(reversed(range(_STEPS)), of_step, strict=True)}
    in_turn = [row for row in chain.from_iterable(zip_longest(*of_step)) if row is not None][: request.count]
    picks = []
    for row in in_turn:
        number = min(int(said[row] * _STEPS), _STEPS - 1)
        picks.append(
            Pick(
                row=row,
                score=float(said[row]),
                reason=f"one of {_such_clips(sizes[number])} to which the models give {request.about} between "
                f"{number / _STEPS:.1f} and {(number + 1) / _STEPS:.1f}",
            )
        )
    return _queued(pool, "class", picks)


def neighbours_queue(pool: Pool, request: Request) -> list[QueuedClip]:
    """The clips that look most like one, the most alike first.

    Raises:
        SelectionError: there is no such clip.
    """
    [asked] = pool.rows_of([request.about]).tolist()
    picks = [
        Pick(
            row=each.row,
            score=each.similarity,
            reason=f"looks like {request.about}: alike by {each.similarity:.2f} of 1",
        )
        for each in nearest(pool.embedding, [asked], request.count, _unchecked(pool))
    ]
    return _queued(pool, "neighbours", picks)


def _unchecked(pool: Pool) -> NDArray[np.bool_]:
    """(N,) the clips without a label that nobody has looked at; where all have one, those whose label nobody has."""
    return pool.open if pool.open.any() else ~pool.reviewed


def _within_site(pool: Pool, row: int, said: NDArray[np.float64] | None) -> tuple[bool, float, float, str]:
    time = np.datetime64("NaT") if pool.times is None else pool.times[row]
    known = not np.isnat(time)
    seconds = float(time.astype("datetime64[s]").astype(np.int64)) if known else 0.0
    return not known, seconds, 0.0 if said is None else -float(said[row]), pool.ids[row]


def _why_blank(said: NDArray[np.float64] | None, row: int) -> str:
    return "nothing moves" if said is None else f"likely blank (probability {said[row]:.2f})"


def _such_clips(count: int) -> str:
    return "1 such clip" if count == 1 else f"{count:,} such clips"


def _blank(pool: Pool) -> int:
    return pool.classes.index(BLANK)


def _require_probabilities(pool: Pool, strategy: str) -> NDArray[np.float64]:
    if pool.probabilities is None:
        raise SelectionError(f"strategy '{strategy}' asks models, and there is no run; give --run, or take 'next'")
    return pool.probabilities


def _queued(pool: Pool, strategy: str, picks: Sequence[Pick]) -> list[QueuedClip]:
    return [
        QueuedClip(clip_id=pool.ids[each.row], strategy=strategy, reason=each.reason, is_random=False, score=each.score)
        for each in picks
    ]
