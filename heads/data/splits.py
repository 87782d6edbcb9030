"""Clips without labels, and whose training they may have no part in: a model must not even see the sites it is scored
on, labelled or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.duplicates import ImageSummary, merge_duplicate_groups
from heads.data.folds import Folds, assign_folds
from heads.data.labels import LabelTable

_NO_FOLD = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Unlabelled:
    """Clips without labels to learn from.

    Attributes:
        ids: (U) clip ids.
        fold: (U,) int64, the fold that holds other clips of the same site, or a copy of the clip; -1 if none does.
    """

    ids: tuple[str, ...]
    fold: NDArray[np.int64]


NO_CLIPS = Unlabelled(ids=(), fold=np.empty(0, np.int64))


def deal_clips(
    labels: LabelTable,
    facts: pd.DataFrame,
    n_folds: int,
    seed: int,
    ids: Sequence[str] = (),
    sites: Mapping[str, str] | None = None,
) -> tuple[Folds, Unlabelled]:
    """Folds of the labelled clips that keep sites whole, and copies of one clip together, and where that leaves others.

    Args:
        labels: the labelled clips, with their sites if these are known.
        facts: the clip table.
        n_folds: number of folds.
        seed: chooses among equally good folds.
        ids: (U) clips without labels.
        sites: the site of each of them, where the labelled clips have sites.
    """
    known = labels.sites or labels.ids
    own = tuple(ids) if labels.sites is None or sites is None else tuple(sites[clip_id] for clip_id in ids)
    everyone = (*labels.ids, *ids)
    fingerprints = facts.loc[list(everyone), "fingerprint"].tolist()
    groups = merge_duplicate_groups((*known, *own), fingerprints, ImageSummary.from_clip_table(facts, everyone))
    dealt, others = groups[: len(labels.ids)], groups[len(labels.ids) :]
    folds = assign_folds(labels.values, dealt, n_folds, seed, ids=labels.ids, classes=labels.classes)
    fold_of = dict(zip(dealt, folds.fold.tolist(), strict=True))
    fold = np.array([fold_of.get(group, _NO_FOLD) for group in others], np.int64)
    return folds, Unlabelled(ids=tuple(ids), fold=fold)
