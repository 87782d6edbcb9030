"""The table of what clip facts are worth to each head."""

from collections.abc import Sequence
from typing import Any

from heads.report.tables.cells import Row, Table, change, columns, number, text


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
        note="A change that few folds share is chance, or belongs to one site.",
    )
