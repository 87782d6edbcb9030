"""Which clips deserve a look: those the blend gets wrong, cannot decide, or whose label it does not believe."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_EPS = 1e-5

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A label that is probably wrong.

    Attributes:
        clip: row of the clip.
        column: the class.
        labelled: what the label says.
        probability: out-of-fold probability that the class is there.
    """

    clip: int
    column: int
    labelled: bool
    probability: float


def loss_per_clip(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """(N,) the log loss of each clip, summed over classes, of (N, C) probabilities: high where the blend was sure and
    wrong.
    """
    sure = np.clip(probabilities, _EPS, 1 - _EPS)
    losses: NDArray[np.float64] = -np.log(np.where(labels == 1, sure, 1 - sure)).sum(axis=1)
    return losses


def entropy(probabilities: Probabilities) -> NDArray[np.float64]:
    """(N,) the entropy in nats of (N, C) probabilities, summed over classes."""
    summed: NDArray[np.float64] = _entropy(probabilities).sum(axis=1)
    return summed


def jensen_shannon(models: Sequence[Probabilities]) -> NDArray[np.float64]:
    """(N,) how far models contradict each other: entropy of their mean minus mean of their entropies, in nats, summed
    over classes. It is 0 where all say the same, however unsure they are.

    Args:
        models: (M) arrays (N, C) of probabilities of the same clips and classes.

    Source: the Jensen-Shannon divergence of the models' answers, as query by committee uses it.
    """
    mean = np.zeros_like(models[0])
    own = np.zeros(len(mean))
    for probabilities in models:
        mean += probabilities / len(models)
        own += _entropy(probabilities).sum(axis=1) / len(models)
    apart: NDArray[np.float64] = np.maximum(_entropy(mean).sum(axis=1) - own, 0.0)
    return apart


def suspect_labels(labels: Labels, probabilities: Probabilities) -> list[Suspect]:
    """The labels that are probably wrong, the least credible first, by confident learning class by class.

    A label is suspect if the model contradicts it with more confidence than it has on average in clips labelled so.

    Args:
        labels: (N, C) 0 or 1.
        probabilities: (N, C) out of fold; a model that had seen the labels would believe them.

    Source: C. Northcutt et al., "Confident learning" (JAIR 2021), as the library cleanlab does it.
    """
    from cleanlab.filter import find_label_issues

    found: list[Suspect] = []
    for column in range(labels.shape[1]):
        given, said = labels[:, column].astype(int), probabilities[:, column]
        if given.min() == given.max():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a class is rare is said elsewhere
            clips = find_label_issues(
                given,
                np.column_stack([1 - said, said]),
                return_indices_ranked_by="self_confidence",
                filter_by="confident_learning",
                n_jobs=1,
            )
        found += [
            Suspect(clip=int(clip), column=column, labelled=bool(given[clip]), probability=float(said[clip]))
            for clip in clips
        ]
    return sorted(found, key=lambda each: each.probability if each.labelled else 1 - each.probability)


def _entropy(probabilities: Probabilities) -> NDArray[np.float64]:
    sure = np.clip(probabilities, _EPS, 1 - _EPS)
    nats: NDArray[np.float64] = -sure * np.log(sure) - (1 - sure) * np.log1p(-sure)
    return nats
