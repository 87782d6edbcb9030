"""Answers for somebody who will not read probabilities: what is said to be on each clip, and whether to believe it."""

from collections.abc import Mapping
from enum import StrEnum

import pandas as pd

from heads.data.labels import BLANK
from heads.evaluation.verdicts import Use, Verdict, species_verdicts
from heads.run import RunDirectory
from heads.workflows.predict import NewPredictions
from store import Status

COLUMNS = ("clip", "site", "time", "species", "probability", "verdict", "origin")
_ACCEPTED_LOSS = 0.01  # of the animal clips, where a clip is surely blank


class Say(StrEnum):
    """What to do with an answer.

    SURE: take it. CHECK: look at the clip. CANNOT_SAY: the run knows too little to say anything.
    """

    SURE = "sure"
    CHECK = "check"
    CANNOT_SAY = "cannot say"


def findings(
    run: RunDirectory, new: NewPredictions, sites: Mapping[str, str], times: Mapping[str, str]
) -> pd.DataFrame:
    """A row for each clip and species that is said to be there, with the columns `COLUMNS`, all text.

    A species is sure from the threshold on at which the run's report calls it usable alone, blank from the one on that
    drops one animal clip in a hundred. Where nothing is sure, the most probable class is to be checked, unless it is a
    species of too few clips, or stands below the threshold that finds nine clips in ten of it. A clip that could not be
    decoded has no species, and nothing can be said of it.

    Args:
        run: blended.
        new: what it says of clips.
        sites: the site of each clip, as far as known.
        times: when each clip was recorded, as far as known.

    Where events are known, a column `event` follows the time.

    Raises:
        RunError: the run is not blended.
    """
    rows = []
    events = new.event or [""] * len(new.origin)
    answers = zip(
        new.predictions.ids, new.origin, new.predictions.probabilities.tolist(), said(run, new), events, strict=True
    )
    for clip_id, origin, probabilities, found, event in answers:
        probability = dict(zip(new.predictions.classes, probabilities, strict=True))
        for species, say in found:
            shown = f"{probability[species]:.2f}" if species else ""
            where = (clip_id, sites.get(clip_id, ""), times.get(clip_id, ""), event)
            rows.append((*where, species, shown, say.value, origin.value))
    table = pd.DataFrame(rows, columns=[*COLUMNS[:3], "event", *COLUMNS[3:]])
    return table if new.event else table[list(COLUMNS)]


def said(run: RunDirectory, new: NewPredictions) -> list[list[tuple[str, Say]]]:
    """What each clip is said to show, as `findings` has it; a class of "" where there is nothing to name.

    Raises:
        RunError: the run is not blended.
    """
    metrics, labels, folds = run.read_metrics(), run.read_labels(), run.read_folds()
    known = species_verdicts(metrics, run.read_balance(), folds.n_folds, sites=labels.sites is not None)
    verdicts, blank_from = {each.name: each for each in known}, _blank_threshold(metrics)
    return [
        [("", Say.CANNOT_SAY)]
        if status is Status.FAILED
        else _said(dict(zip(new.predictions.classes, probabilities, strict=True)), verdicts, blank_from)
        for status, probabilities in zip(new.status, new.predictions.probabilities.tolist(), strict=True)
    ]


def _said(
    probability: Mapping[str, float], verdicts: Mapping[str, Verdict], blank_from: float | None
) -> list[tuple[str, Say]]:
    """The species that are sure, or else blank, or else the most probable class with what to do about it."""
    sure = [
        (name, Say.SURE)
        for name, each in verdicts.items()
        if each.use is Use.ALONE and each.threshold is not None and probability[name] >= each.threshold
    ]
    if sure:
        return sorted(sure, key=lambda each: -probability[each[0]])
    if blank_from is not None and probability[BLANK] >= blank_from:
        return [(BLANK, Say.SURE)]
    top = max(probability, key=lambda name: probability[name])
    verdict = verdicts.get(top)
    if verdict is None or verdict.use is Use.ALONE:
        return [(top, Say.CHECK)]
    enough = verdict.use is Use.CHECKED and verdict.threshold is not None and probability[top] >= verdict.threshold
    return [(top, Say.CHECK if enough else Say.CANNOT_SAY)]


def _blank_threshold(metrics: Mapping[str, object]) -> float | None:
    rows = metrics["blank_removal"]
    if not isinstance(rows, list):
        return None
    fits = [row["threshold"] for row in rows if row["accepted"] <= _ACCEPTED_LOSS and row["threshold"] is not None]
    return float(fits[0]) if fits else None
