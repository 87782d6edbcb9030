"""The doubt that is left about which species was at which site in which week, and which clips remove most of it.

A record is a species at a site in a week (at a site, where times are not known). It holds if any clip of it shows the
species, so that of clips that probably do not, the chances of none are multiplied. Its doubt is the variance of what is
true, P (1 - P): 0 once it is settled, a quarter where nothing is known. A look at a clip removes of it what the clip's
own answer explains, which is Q^2 p / (1 - p), where Q is the chance that no clip shows the species and p that this one
does: nothing where others settle it, most where this clip decides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.data.labels import BLANK
from heads.errors import SelectionError
from heads.selection.pool import Pool
from heads.selection.queued import Pick, QueuedClip, Request

TOLERANCE = 0.05  # of a species' records
LEAST_TOLERANCE = 0.25  # of a record: what nothing is known of
FEWEST_LABELLED = 20  # before which no probability is to be believed that far
_LEAST_GAIN = 0.002
_SURE = 1e-6
_MOST_REVIEWS = 1000


@dataclass(frozen=True, kw_only=True)
class SpeciesDoubt:
    """What is in doubt about the records of one species.

    Attributes:
        name: the species.
        records: how many records there are, as far as can be said.
        doubt: the sum of what is in doubt about each.
        tolerance: up to which doubt the records may be called settled.
        reviews: so many clips bring it below that, by expectation, where this species alone counts; None where no
            number of clips does.
    """

    name: str
    records: float
    doubt: float
    tolerance: float
    reviews: int | None

    @property
    def is_settled(self) -> bool:
        """Whether what is left in doubt may be left."""
        return self.doubt <= self.tolerance


def doubt_queue(pool: Pool, request: Request) -> list[QueuedClip]:
    """The clips that remove most doubt, each after those before it; fewer than asked for where little is left.

    Raises:
        SelectionError: there is no run.
    """
    history = _History(pool)
    unsettled = [not each.is_settled for each in species_doubt(pool)]
    if pool.labelled.sum() < FEWEST_LABELLED:
        unsettled = [True] * len(unsettled)
    picks = history.greedy(np.array(unsettled, bool), request.count)
    return [
        QueuedClip(clip_id=pool.ids[each.row], strategy="doubt", reason=each.reason, is_random=False, score=each.score)
        for each in picks
    ]


def species_doubt(pool: Pool) -> list[SpeciesDoubt]:
    """What is in doubt about each species, in the order of classes; blank is none.

    Raises:
        SelectionError: there is no run.
    """
    history = _History(pool)
    found = []
    for number, name in enumerate(history.names):
        records, doubt = history.records()[number], history.doubt()[number]
        tolerance = max(TOLERANCE * records, LEAST_TOLERANCE)
        found.append(
            SpeciesDoubt(
                name=name,
                records=float(records),
                doubt=float(doubt),
                tolerance=float(tolerance),
                reviews=history.reviews_until(number, tolerance),
            )
        )
    return found


def weeks(times: NDArray[np.datetime64] | None, n: int) -> NDArray[np.int64]:
    """(N,) the week of each clip, counted from a Monday; -1 where its time is not known."""
    if times is None:
        return np.full(n, -1, np.int64)
    days = times.astype("datetime64[D]").astype(np.int64)
    return np.where(np.isnat(times), -1, (days + 3) // 7)  # day 0 was a Thursday


class _History:
    """The records of a pool: what is likely, and what a look at a clip would tell.

    A burst counts as its clip that most probably shows the species, since its clips are no independent witnesses.
    """

    def __init__(self, pool: Pool) -> None:
        if pool.probabilities is None:
            raise SelectionError("strategy 'doubt' asks models, and there is no run; give --run, or take 'next'")
        self.pool = pool
        self.columns = [column for column, name in enumerate(pool.classes) if name != BLANK]
        self.names = [pool.classes[column] for column in self.columns]
        said = np.clip(pool.probabilities[:, self.columns], _SURE, 1 - _SURE)
        self.said = np.where(pool.labelled[:, None], pool.labels[:, self.columns].astype(np.float64), said)
        self.week = weeks(pool.times, len(pool))
        _, site = np.unique(np.array(pool.sites, dtype=object).astype(str), return_inverse=True)
        _, self.cell = np.unique(np.stack([site, self.week]), axis=1, return_inverse=True)
        self.cell = self.cell.reshape(-1)
        _, self.event = np.unique(np.stack([self.cell, pool.bursts]), axis=1, return_inverse=True)
        self.event = self.event.reshape(-1)
        self.none = self._chance_of_none()

    def records(self) -> NDArray[np.float64]:
        """(S,) how many records of each species there are, by expectation."""
        return np.asarray((1.0 - self.none).sum(axis=0))

    def doubt(self) -> NDArray[np.float64]:
        """(S,) the doubt about all records of each species."""
        return np.asarray((self.none * (1.0 - self.none)).sum(axis=0))

    def greedy(self, species: NDArray[np.bool_], count: int) -> list[Pick]:
        """At most `count` open clips that remove most doubt about some species (S,), each after those before it.

        What a look will show is not known when the next clip is chosen, so that doubt is removed by expectation.
        """
        rows = np.flatnonzero(self.pool.open)
        odds = self.said[rows] / (1.0 - np.clip(self.said[rows], 0.0, 1 - _SURE)) * species
        weight = self.none**2
        gains = np.einsum("ns,ns->n", odds, weight[self.cell[rows]])
        of_cell = _places(self.cell[rows])
        of_event = _places(self.event[rows])
        picks: list[Pick] = []
        while len(picks) < min(count, len(rows)):
            place = int(gains.argmax())
            if not gains[place] > _LEAST_GAIN:
                break
            row = int(rows[place])
            of_species = odds[place] * weight[self.cell[row]]
            picks.append(Pick(row=row, score=float(gains[place]), reason=self._reason(row, of_species)))
            weight[self.cell[row]] *= np.where(species, 1.0 / (1.0 - np.clip(self.said[row], 0, 1 - _SURE)), 1.0)
            same = of_cell[int(self.cell[row])]
            gains[same] = np.where(np.isneginf(gains[same]), -np.inf, odds[same] @ weight[self.cell[row]])
            gains[of_event[int(self.event[row])]] = -np.inf
        return picks

    def reviews_until(self, number: int, tolerance: float) -> int | None:
        """How many clips bring the doubt about one species below a tolerance, by expectation; None if none do."""
        left = float(self.doubt()[number])
        if left <= tolerance:
            return 0
        species = np.zeros(len(self.names), bool)
        species[number] = True
        for done, pick in enumerate(self.greedy(species, _MOST_REVIEWS), start=1):
            left -= pick.score
            if left <= tolerance:
                return done
        return None

    def _chance_of_none(self) -> NDArray[np.float64]:
        """(cells, S) the chance that no clip of a cell shows a species."""
        events = int(self.event.max(initial=-1)) + 1
        likely = np.zeros((events, len(self.columns)))
        np.maximum.at(likely, self.event, self.said)
        cell_of = np.zeros(events, np.int64)
        cell_of[self.event] = self.cell
        logs = np.zeros((int(self.cell.max(initial=-1)) + 1, len(self.columns)))
        with np.errstate(divide="ignore"):
            np.add.at(logs, cell_of, np.log1p(-likely))
        return np.exp(logs)

    def _reason(self, row: int, gains: NDArray[np.float64]) -> str:
        best = int(gains.argmax())
        site = self.pool.sites[row]
        when = f" in the week of {_monday(int(self.week[row]))}" if self.week[row] >= 0 else ""
        likely = 1.0 - float(self.none[self.cell[row], best])
        others = int((gains > max(_LEAST_GAIN, 0.1 * gains[best])).sum()) - 1
        also = "" if others < 1 else f", and of {others} more species" if others > 1 else ", and of one more species"
        where = f" at {site}" if site else ""
        return f"decides whether {self.names[best]} was{where or ' there'}{when} (likely by {likely:.2f} so far){also}"


def _places(numbers: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Where each number stands."""
    if not len(numbers):
        return {}
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    return dict(zip(present.tolist(), np.split(order, starts[1:]), strict=True))


def _monday(week: int) -> str:
    return str(np.datetime64(week * 7 - 3, "D"))
