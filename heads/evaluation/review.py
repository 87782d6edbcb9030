"""Which clips deserve a look: those the blend gets wrong, cannot decide, or whose label it does not believe."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.metrics import EPS, log_losses

SUSPICIOUS_NATS = 3.0  # a label twenty times less credible than those of its kind

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A clip whose label is probably wrong.

    Attributes:
        clip: row of the clip.
        labelled: the class whose label is the least credible one of the clip; None where none is labelled.
        usual: what clips labelled so usually get for it, the median; None like `labelled`.
        instead: the most probable class that the clip is not labelled with.
        excess: how much less credible the label is than those of its kind, in nats.
    """

    clip: int
    labelled: int | None
    usual: float | None
    instead: int | None
    excess: float


def loss_per_clip(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """(N,) the log loss of each clip, summed over classes, of (N, C) probabilities: high where the blend was sure and
    wrong.
    """
    summed: NDArray[np.float64] = log_losses(labels, probabilities).sum(axis=1)
    return summed


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


def suspect_labels(labels: Labels, probabilities: Probabilities, known: NDArray[np.bool_]) -> list[Suspect]:
    """The clips whose labels are probably wrong, the least credible first.

    A label is suspect if its loss exceeds what labels of its class usually cost by `SUSPICIOUS_NATS`: a rare class that
    always gets little is no mistake, and one that the models know well and deny here is.

    Args:
        labels: (N, C) 0 or 1.
        probabilities: (N, C) out of fold; a model that had seen the labels would believe them.
        known: (N, C) whether the models that were asked about the clip ever saw the class. A clip that is labelled with
            one that they did not see is left out: they could not but deny it.
    """
    shown, losses = labels == 1, log_losses(labels, probabilities)
    usual = np.zeros(labels.shape[1])
    for column in np.flatnonzero((shown & known).any(axis=0)):
        usual[column] = np.median(losses[shown[:, column] & known[:, column], column])
    excess = losses - np.where(shown, usual, 0.0)
    together = np.where((shown & ~known).any(axis=1), -np.inf, excess.sum(axis=1))
    found = np.flatnonzero(together >= SUSPICIOUS_NATS)
    suspects = []
    for clip in found[np.argsort(-together[found], kind="stable")].tolist():
        own, others = np.flatnonzero(shown[clip]), np.flatnonzero(~shown[clip])
        worst = int(own[excess[clip, own].argmax()]) if len(own) else None
        suspects.append(
            Suspect(
                clip=clip,
                labelled=worst,
                usual=None if worst is None else float(np.exp(-usual[worst])),
                instead=int(others[probabilities[clip, others].argmax()]) if len(others) else None,
                excess=float(together[clip]),
            )
        )
    return suspects


def classes_known(labels: Labels, fold: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N, C) whether any clip of the other folds shows the class: whether those who score a clip could learn it."""
    known = np.zeros(labels.shape, bool)
    for number in np.unique(fold):
        known[fold == number] = labels[fold != number].any(axis=0)
    return known


def _entropy(probabilities: Probabilities) -> NDArray[np.float64]:
    sure = np.clip(probabilities, EPS, 1 - EPS)
    nats: NDArray[np.float64] = -sure * np.log(sure) - (1 - sure) * np.log1p(-sure)
    return nats
