"""The charts of a report; each says in its description what it shows."""

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from heads.data.labels import BLANK
from heads.evaluation.blank_removal import removal_curve
from heads.evaluation.metrics import reliability
from heads.report.figures.svg import ACCENT, INK, SECOND, chart_style, inline_svg
from heads.report.run_facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LOST = 20.0  # percent of animal clips
_MOST_POINTS = 400
_MOST_MODELS = 15
_MOST_SPECIES = 30
_ROW_INCHES = 0.27
_WIDTH = 6.4


def fold_chart(facts: RunFacts) -> Markup:
    """A dot for every fold of the best models: how much a score depends on which sites were held out."""
    full = [row for row in facts.rows if row["n_classes"] == len(facts.blend.classes)]
    rows = full[:_MOST_MODELS]
    with chart_style("folds"):
        figure, axes = _plot(_WIDTH, len(rows))
        for place, row in enumerate(rows):
            losses = [loss for loss in facts.scores_of(row)["fold_log_loss"] if loss is not None]
            axes.plot([min(losses), max(losses)], [place, place], color=ACCENT, alpha=0.35, linewidth=1.5)
            axes.scatter(losses, [place] * len(losses), s=22, color=ACCENT, alpha=0.55, linewidths=0)
            axes.scatter([row["mean_log_loss"]], [place], s=60, marker="|", color=INK, linewidths=1.8)
        _name_rows(axes, [row["name"] for row in rows])
        axes.set_xlabel("log loss: one dot a fold, the bar over all clips")
        best, worst = rows[0], rows[-1]
        described = (
            f"Log loss of {len(rows)} models and blends by fold. Lowest: {best['name']}, {best['mean_log_loss']:.4f}. "
            f"Highest: {worst['name']}, {worst['mean_log_loss']:.4f}. The table below has every number."
        )
        return inline_svg(figure, "folds-chart", "Log loss by fold", described)


def species_chart(facts: RunFacts) -> Markup:
    """What each species adds to the mean log loss, beside what it would add if nothing but its share were known."""
    scores, prior = facts.chosen["per_class"], facts.prior["per_class"]
    names = sorted(scores, key=lambda name: -scores[name]["log_loss"])[:_MOST_SPECIES]
    n_classes = len(scores)
    with chart_style("species"):
        figure, axes = _plot(_WIDTH, len(names))
        places = np.arange(len(names))
        axes.barh(places, [scores[name]["log_loss"] / n_classes for name in names], height=0.56, color=ACCENT)
        known = [prior[name]["log_loss"] / n_classes for name in names]
        axes.scatter(known, places, s=70, marker="|", color=SECOND, linewidths=2)
        _name_rows(axes, names)
        axes.set_xlabel("part of the mean log loss: bar, the blend; mark, knowing its share only")
        axes.set_xlim(left=0)
        first = names[0]
        described = (
            f"Part of the mean log loss by species, largest first. {first} makes up {100 * scores[first]['share']:.0f} "
            f"percent of it. The table of species below has every number."
        )
        return inline_svg(figure, "species-chart", "Where the loss comes from", described)


def reliability_chart(facts: RunFacts) -> Markup:
    """What happened where the blend said p."""
    steps = reliability(facts.values, facts.blend.probabilities, n_bins=10)
    predicted = [step["predicted"] for step in steps]
    observed = [step["observed"] for step in steps]
    with chart_style("reliability"):
        figure, axes = _square(4.2)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(predicted, observed, color=ACCENT, linewidth=1.2, alpha=0.5)
        sizes = [14 + 16 * np.log10(max(step["count"], 1)) for step in steps]
        axes.scatter(predicted, observed, s=sizes, color=ACCENT, linewidths=0)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="predicted probability", ylabel="share that was true")
        listed = "; ".join(f"said {said:.2f}, true {true:.2f}" for said, true in zip(predicted, observed, strict=True))
        return inline_svg(
            figure, "reliability-chart", "Reliability of the blend's probabilities", f"All species together: {listed}."
        )


def removal_chart(facts: RunFacts) -> Markup:
    """How many blanks go for how many animals."""
    place = facts.blend.classes.index(BLANK)
    curve = removal_curve(facts.blend.probabilities[:, place], facts.values[:, place] == 1)
    lost, dropped = 100 * curve.animals_lost, 100 * curve.blanks_dropped
    shown = np.searchsorted(lost, _MOST_LOST, side="right")
    thinned = np.unique(np.linspace(0, shown - 1, _MOST_POINTS).astype(int))
    with chart_style("removal"):
        figure, axes = _square(4.2)
        axes.step(lost[thinned], dropped[thinned], where="post", color=ACCENT, linewidth=1.6)
        for row in facts.metrics["blank_removal"]:
            axes.scatter([100 * row["accepted"]], [100 * row["dropped"]], s=30, color=SECOND, linewidths=0, zorder=3)
        axes.set(xlim=(0, _MOST_LOST), ylim=(0, 101), xlabel="clips with an animal lost, %", ylabel="blanks dropped, %")
        said = "; ".join(
            f"{100 * row['dropped']:.0f} percent of blanks for {100 * row['accepted']:.0f} percent of animal clips"
            for row in facts.metrics["blank_removal"]
        )
        return inline_svg(figure, "removal-curve", "Blanks dropped for animals lost", f"{said}.")


def _plot(width: float, n_rows: int) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 0.7 + _ROW_INCHES * max(n_rows, 3)))
    axes = figure.add_subplot()
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _square(side: float) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(side, side))
    return figure, figure.add_subplot()


def _name_rows(axes: "Axes", names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
