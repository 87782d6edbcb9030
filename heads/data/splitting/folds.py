"""Folds: every clip in one of K parts, sites whole, every species spread as evenly as the sites allow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from heads.data.splitting.stratify import stratified_group_assignment
from heads.errors import FoldError
from store.ids import name_a_few, require_known

_ATTEMPTS = 10  # at assigning folds, of which each starts anew
_MOST_ATTEMPTS = 200  # where units and classes are few, so that one takes no time
_CHEAP = 500_000  # units times classes times attempts
_SHARE_UNTRAINED = 0.05  # of the spread classes: so many may be left without a part in one fold's training


@dataclass(frozen=True, kw_only=True, eq=False)
class Folds:
    """Which fold each clip is scored in.

    Attributes:
        ids: (N) clip ids; empty where the folds were made without ids.
        fold: (N,) int64, 0 to K - 1.
        groups: (N) what must not be split (a site, or a site joined with others that share clips).
        n_folds: K.

    Example:
        >>> sites = ["s1", "s1", "s2", "s2"]
        >>> folds = assign_folds([[1], [0], [1], [0]], sites, n_folds=2, seed=0, ids=["a", "b", "c", "d"])
        >>> bool(folds.of(["a"]) == folds.of(["b"])), bool(folds.of(["a"]) == folds.of(["c"]))
        (True, False)
        >>> folds.group_of(["c"])
        ('s2',)
    """

    ids: tuple[str, ...]
    fold: NDArray[np.int64]
    groups: tuple[str, ...]
    n_folds: int

    def of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The fold of each of `ids`, (len(ids),).

        Raises:
            UnknownClipError: one of `ids` is in no fold.
        """
        if len(ids) and tuple(ids) == self.ids:
            return self.fold.copy()
        require_known(ids, self.ids, "folds", "these clips were not in the labels when the folds were made")
        fold_of = dict(zip(self.ids, self.fold.tolist(), strict=True))
        return np.array([fold_of[clip_id] for clip_id in ids], np.int64)

    def group_of(self, ids: Sequence[str]) -> tuple[str, ...]:
        """The group of each of `ids`.

        Raises:
            UnknownClipError: one of `ids` is in no fold.
        """
        if len(ids) and tuple(ids) == self.ids:
            return self.groups
        require_known(ids, self.ids, "folds", "these clips were not in the labels when the folds were made")
        group_of = dict(zip(self.ids, self.groups, strict=True))
        return tuple(group_of[clip_id] for clip_id in ids)

    def to_frame(self, fingerprints: Sequence[str] | None = None) -> pd.DataFrame:
        """A row a clip: `clip_id`, `fold`, `group`, and `fingerprint` of its file where these are given.

        Raises:
            ValueError: the folds were made without ids.
        """
        if len(self.ids) != len(self.fold):
            raise ValueError("these folds have no clip ids; give `ids` to assign_folds")
        frame = pd.DataFrame({"clip_id": list(self.ids), "fold": self.fold, "group": list(self.groups)})
        if fingerprints is not None:
            frame["fingerprint"] = list(fingerprints)
        return frame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Folds":
        """The folds that `to_frame` gave, whether its cells are numbers or, out of a CSV, text."""
        fold = frame["fold"].to_numpy().astype(np.int64)
        n_folds = int(fold.max(initial=-1)) + 1
        return cls(
            ids=tuple(frame["clip_id"].tolist()), fold=fold, groups=tuple(frame["group"].tolist()), n_folds=n_folds
        )


def assign_folds(
    labels: ArrayLike,
    groups: Sequence[str] | None,
    n_folds: int,
    seed: int,
    *,
    ids: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Folds:
    """Assign clips to folds, multi-label stratified, never splitting a group.

    Every class that stands in at least K groups is in the training part of every fold (and in every fold, if the
    groups allow it), but for a few of many classes where no such folds are found: `balance_table` tells which. The
    same arguments always give the same folds.

    Args:
        labels: (N, C) 0 or 1.
        groups: (N) the group of each clip, or None if each clip stands for itself.
        n_folds: number of folds K, at least 2.
        seed: chooses among equally good folds.
        ids: (N) clip ids, to join the folds with anything else later.
        classes: (C) class names, for messages.

    Raises:
        FoldError: the shapes differ, there are fewer groups than folds, or a class cannot be trained in every fold.
    """
    values = np.asarray(labels, np.int64)
    names = tuple(groups) if groups is not None else tuple(ids) or tuple(str(row) for row in range(len(values)))
    _require_shapes(values, names, n_folds, ids)
    kinds, unit = np.unique(np.array(names, dtype=object), return_inverse=True)
    if len(kinds) == 1:
        raise FoldError(
            f"folds: all clips are of one group ({name_a_few(map(str, kinds))}), so none can be scored by what learned "
            "from others; label clips of more sites, or leave the sites out to deal single clips"
        )
    if len(kinds) < n_folds:
        raise FoldError(
            f"folds: {len(kinds)} groups ({name_a_few(map(str, kinds))}) cannot fill {n_folds} folds without splitting "
            f"one; ask for at most {len(kinds)} folds, or give finer groups"
        )
    counts = np.zeros((len(kinds), 1 + values.shape[1]), np.int64)
    np.add.at(counts, unit, np.column_stack([np.ones(len(values), np.int64), values]))
    fold = _assign_trainable(counts, n_folds, seed, classes)[unit]
    return Folds(ids=tuple(ids), fold=fold, groups=names, n_folds=n_folds)


def keep_folds(before: Folds, labels: ArrayLike, groups: Sequence[str], ids: Sequence[str]) -> Folds:
    """Folds of clips some of which were in folds before: none of those changes sides, and new ones join their group.

    A group that is new goes to the fold that has least of what it shows.

    Args:
        before: the folds as they were.
        labels: (N, C) 0 or 1.
        groups: (N) the group of each clip.
        ids: (N) clip ids; none of them is one of `torn_clips`.
    """
    values = np.column_stack([np.ones(len(ids)), np.asarray(labels, np.float64)])
    old = dict(zip(before.ids, before.fold.tolist(), strict=True))
    of_group = {group: old[clip_id] for clip_id, group in zip(ids, groups, strict=True) if clip_id in old}
    fold = np.array([old.get(clip_id, of_group.get(group, -1)) for clip_id, group in zip(ids, groups, strict=True)])
    filled = np.stack([values[fold == number].sum(axis=0) for number in range(before.n_folds)])
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(fold < 0).tolist():
        rows.setdefault(groups[row], []).append(row)
    for group in sorted(rows, key=lambda each: (-len(rows[each]), each)):
        own = values[rows[group]].sum(axis=0)
        number = int((filled @ (own / values.sum(axis=0).clip(1.0))).argmin())
        fold[rows[group]] = number
        filled[number] += own
    return Folds(ids=tuple(ids), fold=fold.astype(np.int64), groups=tuple(groups), n_folds=before.n_folds)


def torn_clips(before: Folds, groups: Sequence[str], ids: Sequence[str]) -> list[str]:
    """The clips that were in no fold before, and whose group holds clips of several: wherever they went, some model
    would be scored on what it learned from.
    """
    old = dict(zip(before.ids, before.fold.tolist(), strict=True))
    folds_of: dict[str, set[int]] = {}
    for clip_id, group in zip(ids, groups, strict=True):
        if clip_id in old:
            folds_of.setdefault(group, set()).add(old[clip_id])
    return [
        clip_id
        for clip_id, group in zip(ids, groups, strict=True)
        if clip_id not in old and len(folds_of.get(group, ())) > 1
    ]


def balance_table(labels: ArrayLike, folds: Folds, classes: Sequence[str]) -> pd.DataFrame:
    """How evenly the folds came out.

    Args:
        labels: (N, C) 0 or 1, in the order of `folds`.
        folds: the folds.
        classes: (C) class names.

    Returns:
        A row a class, indexed by `classes`: `clips` and `groups` that show it, `fold_0` ... positives in each fold,
        `largest_share` of the positives in one fold (1 / K is even), `rare` (fewer groups than folds, so that some fold
        has no example to score) and `untrained_folds` (folds whose training part has no example).
    """
    values = np.asarray(labels, np.int64)
    per_fold = np.stack([values[folds.fold == fold].sum(axis=0) for fold in range(folds.n_folds)], axis=1)
    _, unit = np.unique(np.array(folds.groups, dtype=object), return_inverse=True)
    shown = np.zeros((unit.max() + 1, values.shape[1]), bool)
    np.logical_or.at(shown, unit, values > 0)
    clips = values.sum(axis=0)
    table = pd.DataFrame({"clips": clips, "groups": shown.sum(axis=0)}, index=pd.Index(classes, name="class"))
    for fold in range(folds.n_folds):
        table[f"fold_{fold}"] = per_fold[:, fold]
    table["largest_share"] = per_fold.max(axis=1) / np.maximum(clips, 1)
    table["rare"] = table["groups"] < folds.n_folds
    table["untrained_folds"] = (per_fold == clips[:, None]).sum(axis=1)
    return table


def _assign_trainable(counts: NDArray[np.int64], n_folds: int, seed: int, classes: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each unit, after as many attempts as it takes to keep every spread class trainable.

    Where none does, a few of many classes may stay in one fold: its model then never sees them, as with classes that
    stand in one unit only.
    """
    holders, total = (counts > 0).sum(axis=0), counts.sum(axis=0)
    best, fewest = np.zeros(len(counts), np.int64), np.arange(counts.shape[1])
    for attempt in range(max(_ATTEMPTS, min(_MOST_ATTEMPTS, _CHEAP // counts.size))):
        fold = stratified_group_assignment(counts, n_folds, seed=seed + attempt * 1_000_003)
        per_fold = np.stack([counts[fold == number].sum(axis=0) for number in range(n_folds)])
        untrained = np.flatnonzero((per_fold == total).any(axis=0) & (holders >= n_folds))
        if len(untrained) == 0:
            return fold
        if len(untrained) < len(fewest):
            best, fewest = fold, untrained
    if len(fewest) <= _SHARE_UNTRAINED * (holders[1:] >= n_folds).sum():
        return best
    named = [classes[column - 1] if classes else f"column {column - 1}" for column in fewest.tolist()]
    raise FoldError(
        f"folds: {n_folds} folds always put every clip of {name_a_few(named)} into one fold, which then could not be "
        f"trained; ask for another number of folds, or give finer groups"
    )


def _require_shapes(values: NDArray[np.int64], groups: Sequence[str], n_folds: int, ids: Sequence[str]) -> None:
    if n_folds < 2:
        raise FoldError(
            f"folds: {n_folds} folds were asked for; at least 2 are needed to score what was not trained on"
        )
    if values.ndim != 2 or len(values) != len(groups) or (ids and len(ids) != len(values)):
        raise FoldError(
            f"folds: labels are {values.shape}, but there are {len(groups)} groups and {len(ids)} ids; "
            f"expected one row, one group and one id a clip"
        )
