"""The tables that a report begins with: what the answers for each species are good for, by day and at night."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.labels import BLANK
from heads.evaluation.standard_errors import clip_losses
from heads.evaluation.verdicts import FEWEST_CLIPS, Use, Verdict
from heads.report.run_facts import RunFacts
from heads.report.tables.cells import Row, Table, Tone, between, columns, number, percent, text
from store.ids import counted

_TONES: dict[Use, Tone] = {Use.ALONE: "good", Use.CHECKED: "", Use.TOO_FEW: "quiet"}
_INFRARED = 0.5  # of a clip's frames without colour
_ROWS_AT_A_GLANCE = 12

Flags = NDArray[np.bool_]


def verdict_table(facts: RunFacts, found: list[Verdict]) -> Table | None:
    """A line a species: what its answers are good for, and what to do; None without species."""
    if not found:
        return None
    rows = tuple(
        Row(
            cells=(
                text(each.name),
                text(each.use.value, tone=_TONES[each.use]),
                text(_advice(each, len(facts.blend.ids))),
                number(each.threshold, 3),
                percent(each.right),
                percent(each.found),
                number(each.clips),
                number(each.sites),
            )
        )
        for each in found
    )
    table = Table(
        key="verdicts",
        stacks=True,
        caption="What the answers are good for, species by species",
        columns=columns(
            ("Species", "", "text"),
            ("Verdict", _rule(facts), "text"),
            ("What to do", "", "text"),
            ("From", "Probability from which on to take a clip, or to look at it", "number"),
            ("Right", "Share of the clips from there on that show it, with the threshold set on other folds", "number"),
            ("Found", "Share of its clips that stand there, with the threshold set on other folds", "number"),
            ("Clips", "Labelled clips that show it", "number"),
            ("Sites", "Sites that have it", "number"),
        ),
        rows=rows,
        filter_label="Filter species" if len(rows) > _ROWS_AT_A_GLANCE else "",
        note="Shares are of clips like the labelled ones: where a species is rarer, fewer of its finds are right.",
    )
    return table if facts.has_sites else table.without("Sites")


def coarser_table(facts: RunFacts) -> Table | None:
    """What can be said by genus and family where no species is sure; None if their names were not told."""
    found = facts.metrics.get("rollup")
    if not found:
        return None
    rows = [
        Row(
            cells=(
                text(f"{row['name']} ({row['rank']})"),
                text(", ".join(row["classes"])),
                text("usable" if row["usable"] else "not sure enough"),
                number(row["clips"]),
                number(row["named"] if row["usable"] else 0),
                number(row["threshold"], 3),
                percent(row["honest_precision"]),
                between(row["precision_interval"]),
            )
        )
        for row in found
    ]
    return Table(
        key="coarser",
        stacks=True,
        caption="Genus and family, where no species is sure",
        columns=columns(
            ("Taxon", "", "text"),
            ("Classes", "That belong to it", "text"),
            ("Verdict", f"Usable if it keeps a precision of {found[0]['wanted']:.0%} where that was not set", "text"),
            ("Clips", "That show it, of those of which no species is sure", "number"),
            ("Named", "Of these clips that are called so", "number"),
            ("From", "Summed probability of its classes from which on a clip is called so", "number"),
            ("Right", "Share of clips called so that show it, where the threshold was set on other folds", "number"),
            ("95 % interval", f"Of the precision, from resampling {facts.units}", "text"),
        ),
        rows=tuple(rows),
    )


def light_table(facts: RunFacts, clips: pd.DataFrame | None) -> Table | None:
    """How the blend does by day and in infrared; None without clip facts, or where all clips are of one kind.

    Args:
        facts: of the run.
        clips: the store's clip table.
    """
    if clips is None:
        return None
    shares = clips["infrared_share"].reindex(list(facts.blend.ids)).to_numpy(np.float64)
    kinds: dict[str, Flags] = {"day": shares < _INFRARED, "infrared": shares >= _INFRARED}
    if not all(kind.any() for kind in kinds.values()):
        return None
    losses = clip_losses(facts.values, facts.blend.probabilities)
    top = facts.blend.probabilities.argmax(axis=1)
    right: Flags = np.asarray(facts.values[np.arange(len(losses)), top] == 1)
    labelled: Flags = np.asarray(facts.values.any(axis=1))
    blank: Flags | None = None
    if BLANK in facts.blend.classes:
        blank = np.asarray(facts.values[:, facts.blend.classes.index(BLANK)] == 1)
    rows = tuple(
        Row(
            cells=(
                text(name),
                number(int(kind.sum())),
                percent(None if blank is None else float(blank[kind].mean())),
                number(float(losses[kind].mean()), 4),
                percent(float(right[kind & labelled].mean()) if (kind & labelled).any() else None, 1),
                percent(_right_animals(right, kind, labelled, blank), 1),
            )
        )
        for name, kind in kinds.items()
    )
    return Table(
        key="light",
        caption="Day and infrared",
        columns=columns(
            ("Light", "Infrared: at least half of a clip's frames have no colour", "text"),
            ("Clips", "", "number"),
            ("Blank", "Share of them that is labelled blank", "number"),
            ("Log loss", "Mean over these clips and all species", "number"),
            ("Top 1", "Share of labelled clips whose most probable class is right", "number"),
            ("Top 1, animals", "The same for clips that are not blank", "number"),
        ),
        rows=rows,
    )


def _right_animals(right: Flags, kind: Flags, labelled: Flags, blank: Flags | None) -> float | None:
    animals = kind & labelled if blank is None else kind & labelled & ~blank
    return float(right[animals].mean()) if animals.any() else None


def _advice(each: Verdict, n_clips: int) -> str:
    if each.use is Use.TOO_FEW:
        needed = [counted(each.more_clips, "more clip")] if each.more_clips else []
        needed += [f"clips from {counted(each.more_sites, 'more site')}"] if each.more_sites else []
        return f"Label {' and '.join(needed)} at least, before its scores say anything."
    if each.threshold is None or each.found is None or each.to_look_at is None:
        return "No threshold helps: look at every clip."
    if each.use is Use.ALONE:
        return "Take what stands from there on unseen."
    hits = round(each.found * each.clips)
    return f"Look at {each.to_look_at} of {n_clips:,} clips to find {hits} of the {each.clips} that show it."


def _rule(facts: RunFacts) -> str:
    fewer = ", or at fewer sites than there are folds" if facts.has_sites else ""
    return (
        "Usable alone: at the threshold for a precision of 90 %, the answers were at least 85 % right where the "
        "threshold had not been set, with an interval above 75 %, and half of the clips were found. Too few clips: "
        f"fewer than {FEWEST_CLIPS}{fewer}. Needs checking: the rest, by the "
        "threshold that finds 90 %"
    )
