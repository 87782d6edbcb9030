"""Answers for somebody who will not read probabilities: what is said to be on each clip, and whether to believe it."""

from collections.abc import Mapping

import pandas as pd

from heads.evaluation.rollup import usable_taxa
from heads.evaluation.verdicts import Say, say_of_clips
from heads.run import RunDirectory
from heads.workflows.answers.predict import NewPredictions
from store import Status

COLUMNS = ("clip", "site", "time", "species", "probability", "verdict", "origin")


def findings(
    run: RunDirectory, new: NewPredictions, sites: Mapping[str, str], times: Mapping[str, str]
) -> pd.DataFrame:
    """A row for each clip and species that is said to be there, with the columns `COLUMNS`, all text.

    A species is sure from the threshold on at which the run's report calls it usable alone, blank from the one on that
    drops one animal clip in a hundred. Where neither is sure, a genus or family may be, if `heads blend` was given
    their names. Where nothing is sure, the most probable class is to be checked, unless it is a species of too few
    clips, or stands below the threshold that finds nine clips in ten of it. A clip that could not be decoded has no
    species, and nothing can be said of it.

    Args:
        run: blended.
        new: what it says of clips.
        sites: the site of each clip, as far as known.
        times: when each clip was recorded, as far as known.

    Where events are known, a column `event` follows the time.

    Raises:
        RunError: the run is not blended.
    """
    rows, coarser = [], usable_taxa(run.read_metrics().get("rollup") or ())
    events = new.event or [""] * len(new.origin)
    answers = zip(
        new.predictions.ids, new.origin, new.predictions.probabilities.tolist(), said(run, new), events, strict=True
    )
    for clip_id, origin, probabilities, found, event in answers:
        probability = dict(zip(new.predictions.classes, probabilities, strict=True))
        probability |= {taxon.label: taxon.probability(probability) for taxon in coarser}
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
    found = say_of_clips(
        new.predictions.probabilities.tolist(),
        new.predictions.classes,
        metrics,
        run.read_balance(),
        folds.n_folds,
        sites=labels.sites is not None,
        coarser=usable_taxa(metrics.get("rollup") or ()),
    )
    nothing = [("", Say.CANNOT_SAY)]
    return [nothing if status is Status.FAILED else each for status, each in zip(new.status, found, strict=True)]
