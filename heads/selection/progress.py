"""How far labelling has come: what is still found, what is still to be expected, and whether models get better."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.data.decisions import Decision, Decisions, State, label_row
from heads.data.labels import BLANK
from heads.evaluation.standard_errors import clip_losses
from heads.selection.doubt import weeks
from heads.selection.pool import Pool
from heads.selection.queued import QueuedClip

LAST = 100
_STEP = 20  # clips drawn by chance for each point of the learning curve
_SURE = 1.96


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the learning curve.

    Attributes:
        labelled: clips that had a label by then.
        clips: clips drawn by chance that it is the mean of.
        log_loss: of what the models had said before each got its label, mean over classes.
        right: the share of them of which the most probable class was right.
    """

    labelled: int
    clips: int
    log_loss: float
    right: float


@dataclass(frozen=True, kw_only=True)
class Richness:
    """How many species there are, by those that were found once or twice.

    Attributes:
        found: species that were found.
        estimate: how many there are at least, as far as can be told.
        low: of the 95 % interval.
        high: of the 95 % interval.
        units: sites, or weeks at sites, or clips, that were looked into.
    """

    found: int
    estimate: float
    low: float
    high: float
    units: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What can be said of labelling so far.

    Attributes:
        labelled: clips that have a label.
        reviewed: clips that a person said something of.
        last: how many of the latest decisions `found_lately` is of.
        found_lately: of each class, how many clips the latest decisions found.
        curve: the learning curve, of clips that chance chose; empty before any of them was seen with an answer.
        species: how many species were known after each decision.
        richness: how many there may be; None before anything was found.
    """

    labelled: int
    reviewed: int
    last: int
    found_lately: Mapping[str, int]
    curve: tuple[Point, ...]
    species: tuple[int, ...]
    richness: Richness | None


def progress(pool: Pool, decisions: Decisions) -> Progress:
    """How far labelling has come, by a pool and the decisions on its clips."""
    ordered = [each for each in decisions.standing.values() if each.state is State.LABELLED]
    shown = np.array([label_row(each, pool.classes) for each in ordered], np.uint8).reshape(-1, len(pool.classes))
    animals = [column for column, name in enumerate(pool.classes) if name != BLANK]
    lately = shown[-LAST:].sum(axis=0)
    return Progress(
        labelled=int(pool.labelled.sum()),
        reviewed=int(pool.reviewed.sum()),
        last=min(LAST, len(ordered)),
        found_lately={name: int(count) for name, count in zip(pool.classes, lately.tolist(), strict=True)},
        curve=learning_curve(ordered, pool.classes),
        species=tuple((np.cumsum(shown[:, animals], axis=0) > 0).sum(axis=1).tolist()),
        richness=richness(pool),
    )


def expected(pool: Pool, queue: Sequence[QueuedClip]) -> dict[str, float]:
    """How many clips of each class a queue is expected to find; empty before the first run."""
    if pool.probabilities is None:
        return {}
    rows = pool.rows_of([each.clip_id for each in queue])
    return dict(zip(pool.classes, pool.probabilities[rows].sum(axis=0).tolist(), strict=True))


def learning_curve(ordered: Sequence[Decision], classes: Sequence[str]) -> tuple[Point, ...]:
    """How good answers were that models gave before they knew the label, of clips that chance chose.

    Nothing is scored twice, and nothing that was chosen for being hard.

    Args:
        ordered: decisions that label clips, oldest first.
        classes: (C) that are scored, where the answer had them.
    """
    scored = [(place, each) for place, each in enumerate(ordered, start=1) if each.why.is_random and each.seen]
    points = []
    for start in range(0, len(scored), _STEP):
        some = scored[start : start + _STEP]
        found = [_score(each, classes) for _, each in some]
        points.append(
            Point(
                labelled=some[-1][0],
                clips=len(some),
                log_loss=float(np.mean([loss for loss, _ in found])),
                right=float(np.mean([right for _, right in found])),
            )
        )
    return tuple(points)


def richness(pool: Pool) -> Richness | None:
    """The species of the labelled clips and, by Chao's estimator, how many more there may be; None without any.

    Units are weeks at sites where times are known, else sites, else clips.
    """
    rows = np.flatnonzero(pool.labelled)
    animals = [column for column, name in enumerate(pool.classes) if name != BLANK]
    if not len(rows) or not pool.labels[rows][:, animals].any():
        return None
    site = [pool.sites[row] or pool.ids[row] for row in rows.tolist()]
    _, place = np.unique(np.array(site, dtype=object).astype(str), return_inverse=True)
    week = weeks(pool.times, len(pool))[rows]
    _, unit = np.unique(np.stack([place, week]), axis=1, return_inverse=True)
    unit = unit.reshape(-1)
    seen = np.zeros((int(unit.max()) + 1, len(animals)), bool)
    np.logical_or.at(seen, unit, pool.labels[rows][:, animals] == 1)
    return chao2(seen)


def chao2(seen: NDArray[np.bool_]) -> Richness:
    """How many species there are at least, by how many were found in one unit and in two.

    Args:
        seen: (M, S) whether each unit has each species.

    Source: A. Chao, "Estimating the population size for capture-recapture data with unequal catchability", Biometrics
    43, 1987: the estimator with its bias-corrected form where no species is in two units, and its interval.
    """
    units, of_species = len(seen), seen.sum(axis=0)
    found, once, twice = int((of_species > 0).sum()), int((of_species == 1).sum()), int((of_species == 2).sum())
    share = (units - 1) / units
    if twice:
        ratio = once / twice
        more = share * once**2 / (2 * twice)
        variance = twice * (share * ratio**2 / 2 + share**2 * ratio**3 + share**2 * ratio**4 / 4)
    else:
        more = share * once * (once - 1) / 2
        estimate = found + more
        variance = (
            share * once * (once - 1) / 2
            + share**2 * once * (2 * once - 1) ** 2 / 4
            - share**2 * once**4 / (4 * max(estimate, 1e-12))
        )
    if more <= 0 or variance <= 0:
        return Richness(
            found=found, estimate=float(found + more), low=float(found), high=float(found + more), units=units
        )
    spread = math.exp(_SURE * math.sqrt(math.log(1 + variance / more**2)))
    return Richness(
        found=found,
        estimate=found + more,
        low=found + more / spread,
        high=found + more * spread,
        units=units,
    )


def _score(decision: Decision, classes: Sequence[str]) -> tuple[float, bool]:
    """The mean log loss of what was said of a clip before its label, and whether its most probable class is right."""
    said = decision.seen or {}
    names = [name for name in classes if name in said]
    if not names:
        return float("nan"), False
    shown = label_row(decision, names)
    probabilities = np.array([[said[name] for name in names]])
    loss = float(clip_losses(shown[None], probabilities)[0])
    return loss, bool(shown[int(probabilities[0].argmax())])
