"""Stratified assignment of units (clips, or sites that must stay whole) to folds, over many classes at once.

A unit is a vector of counts: how many clips it has, then how many of each class. The cost of an assignment is, over
folds and columns, the squared deviation of the fold's count from an even share, divided by its mean under a random
assignment (so that a species with ten clips weighs as much as one with ten thousand, and one that comes in herds as
much as one that comes alone), plus a penalty for every class that a fold lacks. Units with equal counts are
interchangeable, so whole rounds of them are spread evenly at once; what remains is assigned greedily, heaviest first,
and then improved by moves and swaps until none helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_ABSENT_PRICE = 10.0  # a class that could stand in every fold but is missing from one
_FORBIDDEN = 1e6  # an empty fold, or one that holds every example of a class, so that its training part has none
_MAX_VISITS = 60_000
_PARTNERS = 192
_GAIN = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class _Price:
    """The cost of one fold as a function of its column counts."""

    even_share: NDArray[np.float64]
    weight: NDArray[np.float64]
    total: NDArray[np.float64]
    absent: NDArray[np.float64]
    untrainable: NDArray[np.float64]

    def of(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The cost of folds with `counts` (..., columns)."""
        uneven = ((counts - self.even_share) ** 2 * self.weight).sum(axis=-1)
        absent = (counts == 0) @ self.absent
        untrainable = (counts == self.total) @ self.untrainable
        cost: NDArray[np.float64] = uneven + absent + untrainable
        return cost


@dataclass(kw_only=True, eq=False)
class _Assignment:
    """Units and their folds; `fold` is -1 for a unit that has none yet."""

    units: NDArray[np.float64]
    fold: NDArray[np.int64]
    counts: NDArray[np.float64]
    price: _Price
    rng: np.random.Generator
    cost: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.cost = self.price.of(self.counts)

    def put(self, unit: int, fold: int) -> None:
        """Move `unit` to `fold` from wherever it is."""
        before = self.fold[unit]
        if before >= 0:
            self.counts[before] -= self.units[unit]
            self.cost[before] = self.price.of(self.counts[before])
        self.counts[fold] += self.units[unit]
        self.cost[fold] = self.price.of(self.counts[fold])
        self.fold[unit] = fold

    def assign(self, units: Sequence[int]) -> None:
        """Assign each of `units`, in turn, to the fold where it raises the cost least."""
        for unit in units:
            rise = self.price.of(self.counts + self.units[unit]) - self.cost
            self.put(unit, int(np.argmin(rise)))

    def improve(self, units: NDArray[np.int64]) -> None:
        """Move and swap `units` while that lowers the cost, within a fixed number of trials."""
        visits = 0
        improved = True
        while improved and visits < _MAX_VISITS:
            improved = False
            for unit in self.rng.permutation(units)[: _MAX_VISITS - visits]:
                improved |= self._move(int(unit)) or self._swap(int(unit), units)
            visits += len(units)

    def _move(self, unit: int) -> bool:
        home = self.fold[unit]
        relief = self.price.of(self.counts[home] - self.units[unit]) - self.cost[home]
        change = self.price.of(self.counts + self.units[unit]) - self.cost + relief
        change[home] = 0.0
        best = int(np.argmin(change))
        if change[best] > -_GAIN:
            return False
        self.put(unit, best)
        return True

    def _swap(self, unit: int, units: NDArray[np.int64]) -> bool:
        home = self.fold[unit]
        partners = units if len(units) <= _PARTNERS else self.rng.choice(units, _PARTNERS, replace=False)
        partners = partners[self.fold[partners] != home]
        if len(partners) == 0:
            return False
        gained = self.units[partners] - self.units[unit]
        there = self.fold[partners]
        change = self.price.of(self.counts[home] + gained) - self.cost[home]
        change += self.price.of(self.counts[there] - gained) - self.cost[there]
        best = int(np.argmin(change))
        if change[best] > -_GAIN:
            return False
        partner = int(partners[best])
        self.put(partner, int(home))
        self.put(unit, int(there[best]))
        return True


def stratified_group_assignment(counts: NDArray[np.int64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Assign units to folds.

    Args:
        counts: (U, 1 + C) clips and positives of each class in each unit; U is at least `n_folds`.
        n_folds: number of folds K, at least 2.
        seed: chooses among equally good assignments.

    Returns:
        (U,) the fold of each unit, 0 to K - 1.
    """
    rng = np.random.default_rng(seed)
    fold, loose = _assign_rounds(counts, n_folds, rng)
    units = counts.astype(np.float64)
    fold_counts = np.zeros((n_folds, counts.shape[1]))
    np.add.at(fold_counts, fold[fold >= 0], units[fold >= 0])
    price = _price(counts, n_folds)
    assignment = _Assignment(units=units, fold=fold, counts=fold_counts, price=price, rng=rng)
    weight = (units[loose] * np.sqrt(price.weight)).sum(axis=1)
    assignment.assign([int(unit) for unit in loose[np.argsort(-weight, kind="stable")]])
    assignment.improve(loose)
    return fold


def _price(counts: NDArray[np.int64], n_folds: int) -> _Price:
    total = counts.sum(axis=0).astype(np.float64)
    holders = (counts > 0).sum(axis=0)
    absent = np.where(holders >= n_folds, _ABSENT_PRICE, 0.0)
    absent[0] = _FORBIDDEN
    return _Price(
        even_share=total / n_folds,
        weight=1.0 / np.maximum((counts.astype(np.float64) ** 2).sum(axis=0), 1.0),
        total=total,
        absent=absent,
        untrainable=np.where(holders >= 2, _FORBIDDEN, 0.0),
    )


def _assign_rounds(
    counts: NDArray[np.int64], n_folds: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spread all full rounds of K equal units; return the folds, -1 where there is none yet, and the units left."""
    _, kind = np.unique(counts, axis=0, return_inverse=True)
    shuffled = rng.permutation(len(counts))
    order = shuffled[np.argsort(kind.ravel()[shuffled], kind="stable")]
    kinds = kind.ravel()[order]
    starts = np.flatnonzero(np.r_[True, kinds[1:] != kinds[:-1]])
    sizes = np.diff(np.r_[starts, len(kinds)])
    place = np.arange(len(kinds)) - np.repeat(starts, sizes)
    in_round = place < np.repeat(sizes - sizes % n_folds, sizes)
    fold = np.full(len(counts), -1, np.int64)
    fold[order[in_round]] = place[in_round] % n_folds
    return fold, order[~in_round]
