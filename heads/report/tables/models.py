"""The tables that compare models: which blend is chosen, what models and clip facts add, what is dropped as blank."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from heads.blending.blenders import known_blender
from heads.blending.selection import FEW_CLIPS
from heads.data.labels import BLANK
from heads.report.run_facts import RunFacts
from heads.report.summary import too_few_animals
from heads.report.tables.cells import Cell, Column, Row, Table, change, columns, number, percent, text

_MOST_ANIMALS = 4


def comparison_table(facts: RunFacts) -> Table:
    """The blends, simplest first, and how far each is behind the best."""
    chosen = facts.metrics["chosen"]
    rows = [
        Row(
            cells=(
                text(f"{row['name']} · chosen" if row["name"] == chosen else row["name"]),
                number(row["mean_log_loss"], 4),
                number(row["behind"], 5),
                number(row["standard_error"], 5),
                text("equal" if row["as_good"] else "behind", tone="" if row["as_good"] else "quiet"),
                text(known_blender(row["name"]).about, tone="quiet"),
            ),
            mark="chosen" if row["name"] == chosen else "",
        )
        for row in facts.metrics["comparison"]
    ]
    return Table(
        key="comparison",
        caption="Ways to blend, simplest first",
        columns=columns(
            ("Blend", "", "text"),
            ("Log loss", "Each fold blended by a fit on the other folds", "number"),
            ("Behind best", "Its loss minus the lowest", "number"),
            ("Standard error", f"Of that difference, with {facts.units} as the units", "number"),
            ("Verdict", "Equal to the best: behind it by no more than one standard error", "text"),
            ("What it does", "", "text"),
        ),
        rows=tuple(rows),
        note=f"Unless told otherwise, the one of the lowest log loss is chosen; of fewer than {FEW_CLIPS} clips, "
        "the simplest that is equal to it.",
    )


def contribution_tables(facts: RunFacts) -> list[Table]:
    """What each model adds and how their errors correlate; empty if fewer than two models know every class."""
    found = facts.metrics["contributions"]
    return [] if found is None else [_left_out_table(facts, found), _correlation_table(found)]


def _left_out_table(facts: RunFacts, found: dict[str, Any]) -> Table:
    weights, greedy = facts.fitted.model_weights() or {}, found["greedy_weights"]
    heads = facts.metrics["heads"]
    rows = [
        Row(
            cells=(
                text(row["name"]),
                number(heads[row["name"]]["mean_log_loss"], 4),
                number(row["adds"], 5),
                number(row["low"], 5),
                number(row["high"], 5),
                number(greedy[row["name"]], 2),
                number(weights.get(row["name"]), 2),
            )
        )
        for row in sorted(found["left_out"], key=lambda row: -row["adds"])
    ]
    return Table(
        key="left-out",
        caption="Loss if a model is left out",
        columns=columns(
            ("Model", "", "text"),
            ("Alone", "Its own mean log loss", "number"),
            ("Adds", "Mean log loss of the mean of logits without it, minus with it", "number"),
            ("From", f"Lower end of the 95 % interval, with {facts.units} as the units", "number"),
            ("To", "Upper end of the 95 % interval", "number"),
            ("Greedy weight", "Share of the picks where models are picked one by one for the lowest loss", "number"),
            ("Weight", "In the chosen blend, mean over species, where it has weights", "number"),
        ),
        rows=tuple(rows),
    )


def _correlation_table(found: dict[str, Any]) -> Table:
    models, matrix = found["models"], found["error_correlation"]
    lowest = min(min(row) for row in matrix)
    rows = [
        Row(cells=(text(f"{place} {name}"), *(_shaded(value, lowest) for value in row)))
        for place, (name, row) in enumerate(zip(models, matrix, strict=True), start=1)
    ]
    return Table(
        key="correlation",
        caption="Correlation of errors",
        columns=(
            Column(label="Model", kind="text"),
            *(Column(label=str(place), hint=name) for place, name in enumerate(models, start=1)),
        ),
        rows=tuple(rows),
        note="Errors are probability minus label, over all clips and species; the stronger the colour, the more alike. "
        "Columns are numbered like the rows.",
    )


def _shaded(value: float, lowest: float) -> Cell:
    return replace(number(value, 2), shade=(value - lowest) / ((1 - lowest) or 1.0))


def removal_table(facts: RunFacts) -> Table | None:
    """What dropping blanks costs; None if there is nothing to drop."""
    removals = facts.metrics["blank_removal"]
    if removals is None:
        return None
    rows = [
        Row(
            cells=(
                text(f"{100 * row['accepted']:.0f} %"),
                number(row["threshold"], 3),
                percent(row["dropped"], 1),
                text(f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %", tone="quiet"),
                percent(row["honest_lost"], 1),
                percent(row["honest_dropped"], 1),
            )
        )
        for row in removals
    ]
    return Table(
        key="removal",
        caption="Blanks dropped for animals lost",
        columns=columns(
            ("Animals lost at most", "Share of clips with an animal", "text"),
            ("Threshold", "Drop clips whose probability of blank is at least this", "number"),
            ("Blanks dropped", "Share of blank clips", "number"),
            ("95 % interval", f"From resampling {facts.units}", "text"),
            ("Animals really lost", "With the threshold set on other folds", "number"),
            ("Blanks really dropped", "With the threshold set on other folds", "number"),
        ),
        rows=tuple(rows),
        note=too_few_animals(facts.animals, [row["accepted"] for row in removals]),
    )


def metadata_table(worth: Sequence[dict[str, Any]]) -> Table | None:
    """The heads' scores with and without metadata, as `heads train --compare-metadata` found them; None if it was not
    asked for.
    """
    if not worth:
        return None
    rows = [
        Row(
            cells=(
                text(row["head"]),
                number(row["with"], 4),
                number(row["without"], 4),
                change(row["with"] - row["without"]),
                text(f"{row['folds_better']} of {row['folds']}"),
                text("yes" if row["uses"] else "no", tone="quiet"),
            )
        )
        for row in worth
    ]
    return Table(
        key="metadata-worth",
        caption="Metadata: with and without",
        columns=columns(
            ("Model", "", "text"),
            ("With", "Log loss with clip facts (frame size, file size, light, motion) beside the features", "number"),
            ("Without", "Log loss by the features alone", "number"),
            ("Change", "What metadata adds to the log loss; less is better", "number"),
            ("Folds better", "In how many folds the loss is less with metadata", "text"),
            ("In the run", "Whether the run's own head, which is blended, has metadata", "text"),
        ),
        rows=tuple(rows),
        note="A change that few folds share is chance.",
    )


def named_table(facts: RunFacts) -> Table | None:
    """For which classes it speaks what networks themselves take clips for; None where no head asks that."""
    asking = {name: head["named"] for name, head in facts.heads.items() if head.get("named")}
    if not asking:
        return None
    means = {name: animals for each in asking.values() for name, animals in each["animals"].items()}
    slopes = [slope for each in asking.values() for slope in each["slopes"]]
    rows = [
        Row(cells=(text(name), text(_some(means.get(name, [])), tone="" if name in means else "quiet")))
        for name in facts.blend.classes
        if name != BLANK
    ]
    return Table(
        key="named",
        caption="What networks themselves call animals",
        columns=columns(
            ("Class", "", "text"),
            ("Spoken for by", "Animals that the networks were taught by name, before they saw any clip", "text"),
        ),
        rows=tuple(rows),
        note=f"How far that is believed, the labelled clips that a model learns from tell: here {min(slopes):.2f} to "
        f"{max(slopes):.2f}, where 0 is not at all and 1 as the network says.",
    )


def _some(animals: Sequence[str]) -> str:
    if not animals:
        return "none that is known"
    more = len(animals) - _MOST_ANIMALS
    return ", ".join(animals[:_MOST_ANIMALS]) + (f" and {more} more" if more > 0 else "")
