"""What a person can do with the answers for each species: take them, check them, or label more clips first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from heads.data.coarser import Coarser
from heads.data.labels import BLANK
from heads.evaluation.blank_removal import fewest_animals

# The 95 % interval of a share of 0.9 among so many clips is 13 points to either side: fewer say hardly anything.
FEWEST_CLIPS = 20
SLACK = 0.05  # what a precision may fall below the one that was aimed at, where the threshold was not set
_LEAST_PRECISION = 0.75  # that the interval must lie above
_LEAST_RECALL = 0.5
_ACCEPTED_LOSS = 0.01  # of the animal clips, where a clip is surely blank
_MOST_LOST = 0.02  # of them, where the threshold was not set


class Use(StrEnum):
    """What the answers for a species are good for."""

    ALONE = "usable alone"
    CHECKED = "needs checking"
    TOO_FEW = "too few clips"


class Say(StrEnum):
    """What to do with an answer.

    SURE: take it. CHECK: look at the clip. CANNOT_SAY: the run knows too little to say anything.
    """

    SURE = "sure"
    CHECK = "check"
    CANNOT_SAY = "cannot say"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the answers for one species are good for, and what follows.

    Attributes:
        name: the species.
        use: what they are good for.
        clips: labelled clips that show it.
        sites: sites that have it; None where sites are not known.
        threshold: from which probability on to take a clip (alone) or to look at it (checked); None without one.
        right: share of the clips from there on that show it, where the threshold was not set; 0 to 1.
        found: share of its clips that stand there, where the threshold was not set; 0 to 1.
        to_look_at: how many of the labelled clips stand there, about; None where nothing does.
        more_clips: so many more labelled clips are the least before its scores say anything.
        more_sites: so many more sites with it are.
    """

    name: str
    use: Use
    clips: int
    sites: int | None
    threshold: float | None = None
    right: float | None = None
    found: float | None = None
    to_look_at: int | None = None
    more_clips: int = 0
    more_sites: int = 0


def species_verdict(
    name: str, clips: int, sites: int | None, n_folds: int, thresholds: Iterable[Mapping[str, Any]]
) -> Verdict:
    """The verdict on one species.

    Too few: fewer than `FEWEST_CLIPS` clips, or fewer sites than folds, so that some fold cannot score it. Usable
    alone: at the threshold for the precision nearest to 0.9, what was reached where the threshold had not been set is
    at most 5 points lower, its interval lies above 0.75, and half of the clips are found. Else to be checked, by the
    threshold for the recall nearest to 0.9.

    Args:
        name: of the species.
        clips: labelled clips that show it.
        sites: sites that have it, None where sites are not known.
        n_folds: of the run.
        thresholds: of the species, as metrics.json holds them.
    """
    more_clips, more_sites = max(FEWEST_CLIPS - clips, 0), max(n_folds - sites, 0) if sites is not None else 0
    if more_clips or more_sites:
        return Verdict(
            name=name, use=Use.TOO_FEW, clips=clips, sites=sites, more_clips=more_clips, more_sites=more_sites
        )
    rows = list(thresholds)
    sure, checked = (_nearest(rows, aim) for aim in ("precision", "recall"))
    use, row = (Use.ALONE, sure) if sure is not None and _is_reliable(sure) else (Use.CHECKED, checked)
    if row is None:
        return Verdict(name=name, use=use, clips=clips, sites=sites)
    right, found = row["honest_precision"], row["honest_recall"]
    return Verdict(
        name=name,
        use=use,
        clips=clips,
        sites=sites,
        threshold=row["threshold"],
        right=right,
        found=found,
        to_look_at=round(found * clips / right) if right and found is not None else None,
    )


def species_verdicts(metrics: Mapping[str, Any], balance: pd.DataFrame, n_folds: int, *, sites: bool) -> list[Verdict]:
    """The verdict on each species: those to be used alone first, then those to be checked, of most clips first.

    Args:
        metrics: of a blended run, as metrics.json holds them.
        balance: how the run's folds spread the classes, as `heads.data.splitting.folds.balance_table` gives it.
        n_folds: of the run.
        sites: whether the groups of the folds are sites.
    """
    scores = metrics["blends"][metrics["chosen"]]["per_class"]
    groups = balance["groups"].to_dict()
    found = [
        species_verdict(
            name,
            int(scores[name]["support"]),
            int(groups[name]) if sites else None,
            n_folds,
            metrics["thresholds"][name],
        )
        for name in scores
        if name != BLANK
    ]
    order = list(Use)
    return sorted(found, key=lambda each: (order.index(each.use), -each.clips))


def _is_reliable(row: Mapping[str, Any]) -> bool:
    """Whether a threshold for a precision keeps it where it was not set, and finds half of the clips."""
    right, found, interval = row["honest_precision"], row["honest_recall"], row["precision_interval"]
    if right is None or found is None or interval is None:
        return False
    return bool(right >= row["wanted"] - SLACK and interval[0] >= _LEAST_PRECISION and found >= _LEAST_RECALL)


def _nearest(rows: Iterable[Mapping[str, Any]], aim: str, wanted: float = 0.9) -> Mapping[str, Any] | None:
    """The row for a share of `aim` nearest to the one that is wanted; None if no threshold reaches that."""
    fits = [row for row in rows if row["aim"] == aim]
    nearest = min(fits, key=lambda row: abs(row["wanted"] - wanted), default=None)
    return None if nearest is None or nearest["threshold"] is None else nearest


def say_of_clips(
    probabilities: Iterable[Sequence[float]],
    classes: Sequence[str],
    metrics: Mapping[str, Any],
    balance: pd.DataFrame,
    n_folds: int,
    *,
    sites: bool,
    coarser: Sequence[Coarser] = (),
) -> list[list[tuple[str, Say]]]:
    """What each clip is said to show, as `what_to_say` has it.

    Args:
        probabilities: (N, C) of the clips.
        classes: (C) of the columns.
        metrics: of the blended run, as metrics.json holds them.
        balance: how the run's folds spread the classes.
        n_folds: of the run.
        sites: whether the groups of the folds are sites.
        coarser: taxa of higher ranks, the finest first.
    """
    verdicts = {each.name: each for each in species_verdicts(metrics, balance, n_folds, sites=sites)}
    blank_from = blank_threshold(metrics)
    return [what_to_say(dict(zip(classes, row, strict=True)), verdicts, blank_from, coarser) for row in probabilities]


def what_to_say(
    probability: Mapping[str, float],
    verdicts: Mapping[str, Verdict],
    blank_from: float | None,
    coarser: Sequence[Coarser] = (),
) -> list[tuple[str, Say]]:
    """What a clip is said to show: the species that are sure, or else that it is blank, or else the finest taxon of a
    higher rank that is sure, or else the most probable class with what to do about it.

    Args:
        probability: of each class.
        verdicts: on each species.
        blank_from: from which probability on a clip is surely blank; None if that is not known.
        coarser: taxa of higher ranks, the finest first.
    """
    sure = [
        (name, Say.SURE)
        for name, each in verdicts.items()
        if each.use is Use.ALONE and each.threshold is not None and probability[name] >= each.threshold
    ]
    if sure:
        return sorted(sure, key=lambda each: -probability[each[0]])
    if blank_from is not None and probability[BLANK] >= blank_from:
        return [(BLANK, Say.SURE)]
    for taxon in coarser:
        if taxon.is_there(probability):
            return [(taxon.label, Say.SURE)]
    top = max(probability, key=lambda name: probability[name])
    verdict = verdicts.get(top)
    if verdict is None or verdict.use is Use.ALONE:
        return [(top, Say.CHECK)]
    enough = verdict.use is Use.CHECKED and verdict.threshold is not None and probability[top] >= verdict.threshold
    return [(top, Say.CHECK if enough else Say.CANNOT_SAY)]


def blank_threshold(metrics: Mapping[str, Any]) -> float | None:
    """From which probability on a clip is surely blank; None if the run cannot tell.

    It is the threshold at which one animal clip in a hundred is lost. The run cannot tell where it knows fewer than a
    hundred, so that the threshold is just the one that loses none of these few, nor where more than two in a hundred
    are lost in folds for which it was not set.
    """
    rows = metrics["blank_removal"]
    if not rows:
        return None
    scores = metrics["blends"][metrics["chosen"]]
    animals = scores["n_clips"] - scores["per_class"][BLANK]["support"]
    fits = [
        row["threshold"]
        for row in rows
        if row["accepted"] <= _ACCEPTED_LOSS
        and animals >= fewest_animals(row["accepted"])
        and row["honest_lost"] <= _MOST_LOST
    ]
    return float(fits[0]) if fits else None
