"""How sure a difference between two models is, when clips of one site are no independent witnesses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.evaluation.metrics import log_losses


@dataclass(frozen=True, kw_only=True)
class MeanWithError:
    """The mean of something over clips, and its standard error with sites as the units."""

    mean: float
    standard_error: float


def clip_losses(labels: NDArray[np.uint8], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log loss of each clip, (N,), the mean over classes; their mean is the mean log loss."""
    losses: NDArray[np.float64] = log_losses(labels, probabilities).mean(axis=1)
    return losses


def group_numbers(groups: ArrayLike) -> NDArray[np.int64]:
    """(N,) a number for each of (N) groups, which are names or numbers already: of many names that takes its time."""
    given = groups if isinstance(groups, np.ndarray) else np.array(groups, dtype=object)
    return np.asarray(np.unique(given, return_inverse=True)[1], np.int64)


def cluster_robust_mean(values: NDArray[np.float64], groups: ArrayLike) -> MeanWithError:
    """The mean of (N,) `values` and its cluster-robust standard error.

    Deviations are summed within each group before they are squared, and the sum is scaled by G / (G - 1) for G groups;
    the error is NaN for a single group.

    Source: the sandwich estimator for a mean, as in K.-Y. Liang and S. Zeger (Biometrika, 1986).
    """
    unit = group_numbers(groups)
    mean = float(values.mean())
    sums = np.bincount(unit, weights=values - mean)
    if len(sums) < 2:
        return MeanWithError(mean=mean, standard_error=float("nan"))
    variance = float((sums**2).sum()) * len(sums) / (len(sums) - 1) / len(values) ** 2
    return MeanWithError(mean=mean, standard_error=float(np.sqrt(variance)))
