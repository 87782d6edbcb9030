"""What is taken for what: for clips that show one species, the species that the blend found most probable."""

from dataclasses import replace

import numpy as np

from heads.report.run_facts import RunFacts
from heads.report.tables.cells import Cell, Column, Row, Table, number, text

_MOST = 12


def confusion_table(facts: RunFacts) -> Table | None:
    """Rows are labelled, columns predicted, in percent of a row; None if no clip shows exactly one species.

    Only the commonest classes have a row and column; everything else is under "other".
    """
    alone = facts.values.sum(axis=1) == 1
    if not alone.any():
        return None
    classes = facts.blend.classes
    true = facts.values[alone].argmax(axis=1)
    said = facts.blend.probabilities[alone].argmax(axis=1)
    support = np.bincount(true, minlength=len(classes))
    shown = [int(column) for column in np.argsort(-support, kind="stable")[:_MOST] if support[column]]
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (true, said), 1)
    rows = []
    for column in shown:
        shares = counts[column] / support[column]
        others = 1.0 - shares[shown].sum()
        cells = [_share(float(share)) for share in (*shares[shown], others)]
        rows.append(Row(cells=(text(classes[column]), number(int(support[column])), *cells)))
    return Table(
        key="confusion",
        caption="Labelled and predicted, % of the labelled",
        columns=(
            Column(label="Labelled", kind="text"),
            Column(label="Clips", hint="With this label only"),
            *(Column(label=classes[column]) for column in shown),
            Column(label="other", hint="Another class was most probable"),
        ),
        rows=tuple(rows),
        note="Clips with exactly one label, and the class to which the blend gave the highest probability.",
    )


def _share(share: float) -> Cell:
    shown = max(share, 0.0)
    return replace(number(100 * shown, 0), shade=shown)
