"""Clips without labels, and whose training they may have no part in: a model must not even see the sites it is scored
on, labelled or not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.folds import Folds, assign_folds
from heads.joined import Reader
from heads.joining import Looks, join_duplicates
from heads.labels import LabelTable, load_labels, load_sites, sites_from_pattern, sites_where_matched
from heads.recipe import Recipe
from heads.sight import ids_with_frames
from store.ids import name_a_few

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


def labels_and_sites(
    path: Path, known: Iterable[str], *, sites: Path | None, site_pattern: str | None
) -> tuple[LabelTable, dict[str, str]]:
    """The label table with its sites, and the site of each clip, labelled or not, as far as the same source tells.

    Args:
        path: the label table.
        known: ids of all clips, in which `site_pattern` is looked for too.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in a clip id, instead.

    Raises:
        LabelError: a table or the pattern is not what it should be.
        UnknownClipError: a labelled clip has no site.
    """
    labels = load_labels(path)
    if sites is not None:
        site_of = load_sites(sites)
        return labels.with_sites(site_of, sites.name), site_of
    if site_pattern is None:
        return labels, {}
    own = sites_from_pattern(labels.ids, site_pattern)
    return labels.with_sites(own, "--site-pattern"), sites_where_matched(known, site_pattern)


def find_unlabelled(
    labels: LabelTable, readers: Mapping[str, Reader], sites: Mapping[str, str], note: Callable[[str], None]
) -> tuple[str, ...]:
    """The clips that have frames under every key and no row among the labels, sorted.

    Where the labelled clips have sites, a clip whose site is not known is left out, since it may be of any fold's.

    Args:
        labels: the labelled clips.
        readers: of the keys.
        sites: the site of each clip, as far as it is known.
        note: is told what is left out.
    """
    framed = (set(ids_with_frames(reader, reader.ids)) for reader in readers.values())
    found = sorted(set.intersection(*framed) - set(labels.ids))
    if labels.sites is None:
        return tuple(found)
    lost = [clip_id for clip_id in found if clip_id not in sites]
    if lost:
        note(
            f"{len(lost)} of {len(found)} clips without labels are of no known site, such as {name_a_few(lost)}, and "
            "are not learned from; name their sites with --sites or --site-pattern"
        )
    return tuple(clip_id for clip_id in found if clip_id in sites)


def deal_clips(
    labels: LabelTable,
    facts: pd.DataFrame,
    recipe: Recipe,
    ids: Sequence[str] = (),
    sites: Mapping[str, str] | None = None,
) -> tuple[Folds, Unlabelled]:
    """Folds of the labelled clips that keep sites whole, and copies of one clip together, and where that leaves others.

    Args:
        labels: the labelled clips, with their sites if these are known.
        facts: the clip table.
        recipe: the number of folds, and the seed.
        ids: (U) clips without labels.
        sites: the site of each of them, where the labelled clips have sites.
    """
    known = labels.sites or labels.ids
    own = tuple(ids) if labels.sites is None or sites is None else tuple(sites[clip_id] for clip_id in ids)
    everyone = (*labels.ids, *ids)
    fingerprints = facts.loc[list(everyone), "fingerprint"].tolist()
    groups = join_duplicates((*known, *own), fingerprints, Looks.from_clip_table(facts, everyone))
    dealt, others = groups[: len(labels.ids)], groups[len(labels.ids) :]
    folds = assign_folds(labels.values, dealt, recipe.folds, recipe.seed, ids=labels.ids, classes=labels.classes)
    fold_of = dict(zip(dealt, folds.fold.tolist(), strict=True))
    fold = np.array([fold_of.get(group, _NO_FOLD) for group in others], np.int64)
    return folds, Unlabelled(ids=tuple(ids), fold=fold)


def make_folds(labels: LabelTable, facts: pd.DataFrame, recipe: Recipe) -> Folds:
    """`deal_clips` of labelled clips alone."""
    return deal_clips(labels, facts, recipe)[0]
