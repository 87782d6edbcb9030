"""The members of a head, folds times seeds, and what each may see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.recipe import HeadConfig

_FEWEST_FOLDS_TO_JUDGE = 3
_SEED_STEP = 1000


@dataclass(frozen=True, kw_only=True)
class FoldMember:
    """One network of a head.

    Attributes:
        fold: the fold that it never sees, and predicts.
        seed: of its weights and dropout.
        inner: a further fold that it does not learn from, so that it can judge what is good for `fold`'s members
            without looking at `fold`; None for those that predict.
    """

    fold: int
    seed: int
    inner: int | None = None

    @property
    def unseen(self) -> tuple[int, ...]:
        """The folds that it does not learn from."""
        return (self.fold,) if self.inner is None else (self.fold, self.inner)

    def learns_from(self, fold: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether it learns from each clip."""
        return ~np.isin(fold, self.unseen)


def most_learned(fold: NDArray[np.int64]) -> int:
    """How many clips those members learn from that learn from most."""
    return len(fold) - int(np.unique(fold, return_counts=True)[1].min(initial=len(fold)))


def plan_members(config: HeadConfig, n_folds: int, seed: int, *, judged: bool) -> list[FoldMember]:
    """The members that predict, fold by fold, then those that judge pseudo-labels if there are any to judge."""
    members = [
        FoldMember(fold=fold, seed=seed + fold + _SEED_STEP * number)
        for fold in range(n_folds)
        for number in range(config.seeds)
    ]
    if judged and n_folds >= _FEWEST_FOLDS_TO_JUDGE:
        members += [FoldMember(fold=fold, seed=seed + fold, inner=(fold + 1) % n_folds) for fold in range(n_folds)]
    return members
