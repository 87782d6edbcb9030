"""Clips without labels, and whose training they may have no part in: a model must not even see the sites it is scored
on, labelled or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.labels import LabelTable
from heads.data.splitting.duplicates import ImageSummary, copies_across, join_groups, surplus_copies
from heads.data.splitting.folds import Folds, assign_folds, keep_folds
from heads.errors import FoldError
from store.ids import counted, name_a_few

_NO_FOLD = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Unlabelled:
    """Clips without labels to learn from.

    Attributes:
        ids: (U) clip ids.
        fold: (U,) int64, the fold that holds other clips of the same site, or a copy of the clip; -1 if none does.
        said: (K, U, C) what the members of each fold are told that the clips show, NaN where they are told nothing;
            None where each member goes by its own guesses.
        classes: (C) of `said`.
        source: what tells `said` from what others would say.
    """

    ids: tuple[str, ...]
    fold: NDArray[np.int64]
    said: NDArray[np.float32] | None = None
    classes: tuple[str, ...] = ()
    source: str = ""


NO_CLIPS = Unlabelled(ids=(), fold=np.empty(0, np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Copies:
    """Clips that are copies of each other and stand at several sites.

    Attributes:
        ids: (N) clips, the labelled ones first.
        groups: (N) the site of each; where sites are not known its event, or else its own id.
        rows: the sets of copies, each the rows of its clips.
        have_sites: whether sites are known.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    have_sites: bool

    @property
    def joined(self) -> tuple[str, ...]:
        """(N) the groups once those that hold copies of one clip are one."""
        return join_groups(self.groups, self.rows)

    def said(self) -> str:
        """What joins what: the largest set of copies by name, and how many groups come of it."""
        before, after = len(set(self.groups)), _groups(len(set(self.joined)))
        largest = max(self.rows, key=len)
        others = f", and there are {len(self.rows) - 1} more sets of copies" if len(self.rows) > 1 else ""
        what = "sites" if self.have_sites else "clips"
        return (
            f"copies of clips join {before} {what} into {after}: {name_a_few(self.ids[row] for row in largest)} "
            f"are one clip{others}"
        )

    def surplus(self) -> dict[str, str]:
        """The clips to leave out so that no site shares a clip with another, each with the copy that stays."""
        going = surplus_copies(self.groups, self.rows)
        return {self.ids[row]: self.ids[kept] for row, kept in going.items()}


def _groups(count: int) -> str:
    return "one group" if count == 1 else f"{count} groups"


def find_copies(
    labels: LabelTable,
    facts: pd.DataFrame,
    ids: Sequence[str] = (),
    sites: Mapping[str, str] | None = None,
    events: Mapping[str, str] | None = None,
) -> Copies:
    """The copies among labelled clips and others; the arguments are those of `assign_clip_folds`."""
    known = labels.sites or _units(labels.ids, events)
    own = _units(ids, events) if labels.sites is None or sites is None else tuple(sites[clip_id] for clip_id in ids)
    everyone, groups = (*labels.ids, *ids), (*known, *own)
    fingerprints = facts.loc[list(everyone), "fingerprint"].tolist()
    rows = copies_across(groups, fingerprints, ImageSummary.from_clip_table(facts, everyone))
    return Copies(ids=everyone, groups=groups, rows=rows, have_sites=labels.sites is not None)


def given_folds(labels: LabelTable, parts: Mapping[str, str], facts: pd.DataFrame) -> tuple[Folds, tuple[str, ...]]:
    """Folds that are the parts of somebody's own split, and what speaks against believing their scores.

    Args:
        labels: the labelled clips.
        parts: the part that each clip is in.
        facts: the clip table.

    Raises:
        FoldError: there are no two parts, or a clip is in none.
    """
    without = [clip_id for clip_id in labels.ids if clip_id not in parts]
    names = sorted({parts[clip_id] for clip_id in labels.ids if clip_id in parts})
    if not parts or len(names) < 2:
        raise FoldError(
            f"--split given: {labels.origin} has no column 'split' with two parts such as train and val; leave the "
            "option out to deal folds by site"
        )
    if without:
        raise FoldError(
            f"--split given: {len(without)} labelled clips are in no part, such as {name_a_few(without)}; fill in the "
            "column 'split'"
        )
    own = tuple(parts[clip_id] for clip_id in labels.ids)
    fold = np.array([names.index(part) for part in own], np.int64)
    said = [f"folds are the parts of the column 'split': {name_a_few(names)}; each is scored by models of the others"]
    sides: dict[str, set[str]] = {}
    for site, part in zip(labels.sites or (), own, strict=False):
        sides.setdefault(site, set()).add(part)
    split = sorted(site for site, found in sides.items() if len(found) > 1)
    if split:
        several = counted(len(split), "site", "are")
        said.append(f"{several} in several parts, such as {name_a_few(split)}, so that scores flatter")
    marks = facts.loc[list(labels.ids), "fingerprint"].tolist()
    copies = copies_across(own, marks, ImageSummary.from_clip_table(facts, labels.ids))
    if copies:
        shown = name_a_few(labels.ids[row] for row in copies[0])
        said.append(
            f"{counted(len(copies), 'clip', 'have')} copies in several parts, such as {shown}, so that scores flatter"
        )
    return Folds(ids=labels.ids, fold=fold, groups=labels.sites or labels.ids, n_folds=len(names)), tuple(said)


def _units(ids: Sequence[str], events: Mapping[str, str] | None) -> tuple[str, ...]:
    """What must stay together where sites are not known: the event of each clip, or the clip itself."""
    return tuple((events or {}).get(clip_id, clip_id) for clip_id in ids)


def assign_clip_folds(
    labels: LabelTable,
    facts: pd.DataFrame,
    n_folds: int,
    seed: int,
    ids: Sequence[str] = (),
    sites: Mapping[str, str] | None = None,
    copies: Copies | None = None,
    events: Mapping[str, str] | None = None,
    before: Folds | None = None,
) -> tuple[Folds, Unlabelled]:
    """Folds of the labelled clips that keep sites whole, and copies of one clip together, and where that leaves others.

    Args:
        labels: the labelled clips, with their sites if these are known.
        facts: the clip table.
        n_folds: number of folds.
        seed: chooses among equally good folds.
        ids: (U) clips without labels.
        sites: the site of each of them, where the labelled clips have sites.
        copies: what `find_copies` finds of the same, if it has been asked.
        events: the event of each clip that is in one: where sites are not known, folds keep these whole.
        before: folds that some of the clips were in before, and stay in.

    Raises:
        FoldError: there are fewer groups than folds, or a class cannot be trained in every fold.
    """
    copies = find_copies(labels, facts, ids, sites, events) if copies is None else copies
    groups = copies.joined
    dealt, others = groups[: len(labels.ids)], groups[len(labels.ids) :]
    if before is not None:
        folds = keep_folds(before, labels.values, dealt, labels.ids)
    elif len(set(dealt)) < min(n_folds, len(set(labels.sites or labels.ids))):
        remedy = "leave them out with --leave-out-copies, which keeps them at one site" if copies.have_sites else ""
        raise FoldError(
            f"folds: {copies.said()}; {_groups(len(set(dealt)))} of labelled clips cannot fill {n_folds} folds: "
            f"{remedy or 'label clips that are not copies of others'}"
        )
    else:
        folds = assign_folds(labels.values, dealt, n_folds, seed, ids=labels.ids, classes=labels.classes)
    fold_of = dict(zip(dealt, folds.fold.tolist(), strict=True))
    fold = np.array([fold_of.get(group, _NO_FOLD) for group in others], np.int64)
    return folds, Unlabelled(ids=tuple(ids), fold=fold)
