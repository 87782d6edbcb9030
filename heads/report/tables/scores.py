"""The tables of scores: the leaderboard, the species, the folds."""

from typing import Any

from heads.report.run_facts import RunFacts
from heads.report.tables.cells import Column, Mark, Row, Table, between, change, columns, longest, number, percent, text

_FIRST_SEEN = "precision 90 %"
_KINDS = {"head": "model", "blend": "blend", "choice": "choice", "baseline": "baseline"}


def leaderboard_table(facts: RunFacts) -> Table:
    """Every model, every blend and the baseline, best first."""
    seconds = {name: head.get("seconds") for name, head in facts.heads.items()}
    full = [row for row in facts.rows if row["n_classes"] == len(facts.blend.classes)]
    worst = longest([row["mean_log_loss"] for row in full])
    return Table(
        key="leaderboard",
        caption="All models and blends, scored on clips they were not fitted on",
        columns=columns(
            ("Name", "A trained model, or a way to combine them", "text"),
            (
                "Kind",
                "Model, blend, the baseline of predicting each species' share, or the choice itself: each fold by the "
                "blend that would be chosen without it",
                "text",
            ),
            ("Log loss", "Mean over species of the binary log loss; lower is better", "number"),
            ("Fold spread", "Standard deviation of the log loss over folds", "number"),
            ("mAP", "Mean average precision over species; higher is better", "number"),
            ("Macro F1", "Mean over species of F1 at a threshold of 0.5", "number"),
            ("Top 1", "Share of labelled clips whose most probable species is right", "number"),
            ("Top 3", "Share of labelled clips with a right species among the three most probable", "number"),
            ("ECE", "Expected calibration error: mean gap between probability and what happened", "number"),
            ("Training (s)", "Seconds it took to train all folds", "number"),
        ),
        rows=tuple(_leaderboard_row(facts, row, worst, seconds.get(row["name"])) for row in facts.rows),
        filter_label="Filter models",
    )


def _leaderboard_row(facts: RunFacts, row: dict[str, Any], worst: float, seconds: float | None) -> Row:
    n_classes = len(facts.blend.classes)
    is_full = row["n_classes"] == n_classes
    name = row["name"] if is_full else f"{row['name']} ({row['n_classes']} of {n_classes} classes)"
    return Row(
        cells=(
            text(f"{name} · chosen" if row["chosen"] else name),
            text(_KINDS[row["kind"]], tone="quiet"),
            number(row["mean_log_loss"], 4, bar=row["mean_log_loss"] / worst if is_full else None),
            number(row["fold_spread"], 4),
            number(row["map"], 3),
            number(row["macro_f1"], 3),
            percent(row["top_1"], 1),
            percent(row["top_3"], 1),
            number(row["ece"], 4),
            number(seconds, 0),
        ),
        mark=_mark(row),
    )


def species_table(facts: RunFacts) -> Table:
    """Every species: how much of it there is, how well the blend and the best single model do on it."""
    scores = facts.chosen["per_class"]
    widest = longest([scores[name]["share"] for name in scores])
    table = Table(
        key="species",
        caption=f"Species under the chosen blend ({facts.metrics['chosen']})",
        columns=columns(
            ("Species", "", "text"),
            ("Clips", "Labelled clips that show it", "number"),
            ("Sites", "Sites (groups) that have it", "number"),
            ("Share of loss", "Its part of the mean log loss: where there is most to gain", "number"),
            ("Log loss", "Binary log loss of the blend", "number"),
            ("Best single", "Log loss of the model that is best for this species", "number"),
            ("Blend − single", "Negative: the blend is better than the best single model", "number"),
            ("AP", "Average precision of the blend; 1 ranks every clip with it first", "number"),
            ("F1", "At a threshold of 0.5", "number"),
            ("Baseline", "Log loss of predicting its share", "number"),
            ("Best single model", "The model that is best for this species", "text"),
        ),
        rows=tuple(_species_row(facts, name, scores[name], widest) for name in scores),
        filter_label="Filter species",
    )
    return table if facts.has_sites else table.without("Sites")


def _species_row(facts: RunFacts, name: str, scores: dict[str, Any], widest: float) -> Row:
    heads = facts.metrics["heads"]
    singles = {head: heads[head]["per_class"][name]["log_loss"] for head in heads if name in heads[head]["per_class"]}
    groups = facts.balance["groups"].to_dict()[name]
    best = min(singles, key=lambda head: singles[head])
    return Row(
        cells=(
            text(name),
            number(scores["support"]),
            number(groups if facts.has_sites else None),
            percent(scores["share"], 1, bar=scores["share"] / widest),
            number(scores["log_loss"], 4),
            number(singles[best], 4),
            change(scores["log_loss"] - singles[best]),
            number(scores["ap"], 3),
            number(scores["f1"], 2),
            number(facts.prior["per_class"][name]["log_loss"], 4),
            text(best, tone="quiet"),
        )
    )


def thresholds_table(facts: RunFacts) -> Table:
    """From which probability on a find can be trusted, and from which on few are missed."""
    found = [(name, row) for name, rows in facts.metrics["thresholds"].items() for row in rows]
    rows = [
        Row(
            cells=(
                text(name),
                text(f"{row['aim']} {100 * row['wanted']:.3g} %"),
                number(row["threshold"], 3),
                percent(row["precision"]),
                between(row["precision_interval"]),
                percent(row["recall"]),
                between(row["recall_interval"]),
                percent(row["honest_precision"]),
                percent(row["honest_recall"]),
            )
        )
        for name, row in found
    ]
    wanted = [row.cells[1].text for row in rows]
    return Table(
        key="thresholds",
        caption="Thresholds by species",
        columns=columns(
            ("Species", "", "text"),
            ("Wanted", "The threshold is the one that keeps this and gives most of the other", "text"),
            ("Threshold", "Probability from which on a clip counts as a find; a dash if none is enough", "number"),
            ("Precision", "Share of finds that show the species", "number"),
            ("95 % interval", f"From resampling {facts.units}", "text"),
            ("Recall", "Share of the clips with the species that are found", "number"),
            ("95 % interval", f"From resampling {facts.units}", "text"),
            ("Real precision", "With each fold's threshold set on other folds", "number"),
            ("Real recall", "With each fold's threshold set on other folds", "number"),
        ),
        rows=tuple(rows),
        filter_label="Filter thresholds",
        choice=1,
        chosen=next((each for each in wanted if each == _FIRST_SEEN), wanted[0] if wanted else ""),
        note="Where there are few finds, all right or all wrong, the interval is narrower than it should be.",
    )


def fold_scores_table(facts: RunFacts) -> Table:
    """The log loss of every model in every fold."""
    rows = []
    for row in facts.rows:
        losses = facts.scores_of(row)["fold_log_loss"]
        cells = (text(row["name"]), number(row["mean_log_loss"], 4), *(number(loss, 4) for loss in losses))
        rows.append(Row(cells=cells, mark=_mark(row)))
    folds = tuple(Column(label=f"Fold {fold}") for fold in range(facts.folds.n_folds))
    return Table(
        key="fold-scores",
        caption="Log loss by fold",
        columns=(*columns(("Name", "", "text"), ("All", "Over all clips", "number")), *folds),
        rows=tuple(rows),
    )


def _mark(row: dict[str, Any]) -> Mark:
    if row["chosen"]:
        return "chosen"
    return "baseline" if row["kind"] == "baseline" else ""
