"""Whether learning from unlabelled clips was worth it, decided fold by fold without looking at the scored fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.metrics import mean_log_loss
from heads.trainers.members import FoldMember


@dataclass(frozen=True, kw_only=True)
class PseudoLabelDecision:
    """What the judge of a fold found on clips that it did not learn from, and that are not of that fold.

    Attributes:
        fold: the fold that it speaks for.
        inner: the fold whose clips it judged by.
        before: mean log loss before unlabelled clips were learned from; None where the head sees no clip of `inner`.
        after: mean log loss after; None where `before` is None.
        kept: whether the fold's members keep what they learned: `after` is less than `before`.
    """

    fold: int
    inner: int
    before: float | None
    after: float | None
    kept: bool


def decide(
    plan: Sequence[FoldMember],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    targets: NDArray[np.float32],
    fold: NDArray[np.int64],
) -> dict[int, PseudoLabelDecision]:
    """The judgement of each fold that has a judge.

    Args:
        plan: the members.
        before: (K, N, C) probabilities; a judge's are those of its inner fold, NaN elsewhere.
        after: (K, N, C) probabilities after unlabelled clips were learned from, with the same gaps.
        targets: (N, C) 0 or 1.
        fold: (N,) folds.
    """
    judgements = {}
    for place, member in enumerate(plan):
        if member.inner is None:
            continue
        inner = fold == member.inner
        if not inner.any():
            judgements[member.fold] = PseudoLabelDecision(
                fold=member.fold, inner=member.inner, before=None, after=None, kept=False
            )
            continue
        values = targets[inner].astype(np.uint8)
        first, then = (mean_log_loss(values, each[place, inner].astype(np.float64)) for each in (before, after))
        judgements[member.fold] = PseudoLabelDecision(
            fold=member.fold, inner=member.inner, before=first, after=then, kept=then < first
        )
    return judgements
