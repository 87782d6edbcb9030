"""Coarser names: where no species is sure, its genus or family may be."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.data.coarser import Coarser
from heads.evaluation.thresholds import Threshold, group_draws, species_thresholds
from heads.evaluation.verdicts import SLACK

PRECISION = 0.9
_WIDEST = 0.15  # how far below the precision that was aimed at its 95 % interval may reach


def rollup_thresholds(
    taxa: Sequence[Coarser],
    classes: Sequence[str],
    probabilities: NDArray[np.float64],
    values: NDArray[np.uint8],
    fold: NDArray[np.int64],
    group: NDArray[np.int64],
    precision: float,
) -> list[dict[str, Any]]:
    """For each taxon the threshold that reaches a precision on clips of which no species is sure.

    Args:
        taxa: of higher ranks.
        classes: (C) of the columns.
        probabilities: (N, C) out of fold, of the clips of which nothing finer can be said.
        values: (N, C) what they show.
        fold: (N,) the fold of each.
        group: (N,) the number of each clip's group.
        precision: that is wanted, 0 to 1.

    Returns:
        A dict a taxon, as metrics.json has it: `rank`, `name`, `classes`, `clips` (of these that show it), `named`
        (that reach the threshold), `usable` (whether the threshold keeps what it promises where it was not set), and
        the fields of a threshold.
    """
    if not len(probabilities):
        return []
    draws = group_draws(int(group.max()) + 1)
    rows = []
    for taxon in taxa:
        columns = [classes.index(name) for name in taxon.classes]
        shown, summed = np.asarray(values[:, columns].any(axis=1)), taxon.summed(probabilities, classes)
        (found,) = species_thresholds(summed, shown, fold, group, [("precision", precision)], draws)
        named = 0 if found.threshold is None else int((summed >= found.threshold).sum())
        counts = {"clips": int(shown.sum()), "named": named, "usable": _keeps_its_promise(found)}
        rows.append({"rank": taxon.rank, "name": taxon.name, "classes": list(taxon.classes), **counts, **asdict(found)})
    return rows


def _keeps_its_promise(found: Threshold) -> bool:
    """Whether a threshold keeps a precision where it was not set; how many clips it finds does not matter, since each
    that is named is better than none.
    """
    right, interval = found.honest_precision, found.precision_interval
    if right is None or interval is None:
        return False
    return right >= found.wanted - SLACK and interval[0] >= found.wanted - _WIDEST


def usable_taxa(rows: Sequence[Mapping[str, Any]]) -> list[Coarser]:
    """The taxa whose thresholds can be used, out of the rows of `rollup_thresholds`, the finest first."""
    return [
        Coarser(rank=row["rank"], name=row["name"], classes=tuple(row["classes"]), threshold=float(row["threshold"]))
        for row in rows
        if row["usable"]
    ]
