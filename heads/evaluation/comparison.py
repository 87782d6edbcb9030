"""Two models on the same clips: how much better one is, class by class, and whether that is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.metrics import average_precision
from heads.evaluation.standard_errors import clip_losses, cluster_robust_mean

_LEAST = 0.01  # of the first model's loss: less is no reason to prefer a model, however sure it is
_SURELY = 1.96  # standard errors to either side of a 95 % interval

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two models on one class, or on all together.

    Attributes:
        name: of the class; "" for all.
        clips: labelled clips that show it; of all, the clips.
        first: log loss of the first model.
        second: log loss of the second model.
        low: lower end of the 95 % interval of `second - first`, with groups as the units; NaN for a single group.
        high: upper end of it.
        first_ap: average precision of the first model, of all the mean over classes; NaN without a clip that shows it.
        second_ap: the same of the second model.
    """

    name: str
    clips: int
    first: float
    second: float
    low: float
    high: float
    first_ap: float
    second_ap: float

    @property
    def change(self) -> float:
        """By how much the log loss rose; less is better."""
        return self.second - self.first

    @property
    def verdict(self) -> str:
        """`better` or `worse`, of the second model; `hardly` so below 1 % of the loss; `not sure` within chance."""
        if self.low <= 0 <= self.high or np.isnan(self.low):
            return "not sure"
        size = "" if abs(self.change) >= _LEAST * self.first else "hardly "
        return size + ("better" if self.high < 0 else "worse")


def compare_models(
    labels: Labels, first: Probabilities, second: Probabilities, groups: Sequence[str], classes: Sequence[str]
) -> list[Difference]:
    """All classes together, then each of them.

    Args:
        labels: (N, C) 0 or 1.
        first: (N, C) out-of-fold probabilities of the first model.
        second: (N, C) of the second.
        groups: (N) the group of each clip: its site.
        classes: (C) names.
    """
    precisions = [average_precision(labels, each) for each in (first, second)]
    everyone = list(range(len(classes)))
    columns = [everyone, *([place] for place in everyone)]
    found = []
    for name, column in zip(["", *classes], columns, strict=True):
        one, two = (clip_losses(labels[:, column], each[:, column]) for each in (first, second))
        gain = cluster_robust_mean(two - one, groups)
        of_class = [each[column] for each in precisions]
        known = [each[~np.isnan(each)] for each in of_class]
        found.append(
            Difference(
                name=name,
                clips=len(labels) if not name else int(labels[:, column].sum()),
                first=float(one.mean()),
                second=float(two.mean()),
                low=gain.mean - _SURELY * gain.standard_error,
                high=gain.mean + _SURELY * gain.standard_error,
                first_ap=float(known[0].mean()) if len(known[0]) else float("nan"),
                second_ap=float(known[1].mean()) if len(known[1]) else float("nan"),
            )
        )
    return found
