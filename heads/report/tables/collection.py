"""What clips that chance drew say of the whole collection: sentences, and the share of clips that show each class."""

from heads.evaluation.collection import CollectionScore, Estimate
from heads.report.tables.cells import Row, Table, between, columns, number, percent, text


def collection_sentences(score: CollectionScore) -> list[str]:
    """What is said of the whole collection, for report, page and command line alike."""
    if score.answered == score.clips:
        right = (
            "" if score.right is None else f", and the most probable class is right on {100 * score.right.value:.0f} %"
        )
        return [f"All {score.clips:,} clips have a label; their mean log loss is {score.log_loss.value:.4f}{right}."]
    told = [
        f"Chance drew {score.drawn:,} of {score.clips:,} clips"
        + ("." if score.answered == score.drawn else f", of which {score.answered:,} have a label."),
        f"On the whole collection the mean log loss is {score.log_loss.value:.4f} "
        f"({score.log_loss.low:.4f} to {score.log_loss.high:.4f})"
        + ("." if score.right is None else f", and the most probable class is right on {_percent(score.right)}."),
    ]
    if score.answered < score.drawn:
        told.append("What was skipped or unsure is not in it: if such clips are the hard ones, the truth is worse.")
    return told


def collection_table(score: CollectionScore | None) -> Table | None:
    """A line a class: the share of all clips that show it, as far as a sample can tell; None without one."""
    if score is None:
        return None
    rows = tuple(
        Row(
            cells=(
                text(name),
                percent(share.value, 1),
                between((share.low, share.high)),
                number(share.value * score.clips),
            )
        )
        for name, share in sorted(score.shares.items(), key=lambda each: -each[1].value)
    )
    return Table(
        key="collection",
        caption="How many clips of the whole collection show each class",
        columns=columns(
            ("Class", "", "text"),
            ("Share", "Of the clips that chance drew and that have a label", "number"),
            (
                "95 % interval",
                "Of the share in the whole collection; it narrows to nothing as all clips are drawn",
                "text",
            ),
            ("Clips", "That share of the whole collection", "number"),
        ),
        rows=rows,
    )


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.0f} % of clips ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
