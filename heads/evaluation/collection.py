"""What a whole collection would score, told by a sample of it that chance drew."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from heads.evaluation.standard_errors import clip_losses

FEWEST_CLIPS = 20  # below it a spread says nothing of what it is the spread of
_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number of the whole collection.

    Attributes:
        value: what the sample says.
        low: of the 95 % interval.
        high: of the 95 % interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class CollectionScore:
    """What a sample tells of a collection.

    Attributes:
        clips: how many the collection has.
        drawn: how many of them chance drew.
        answered: how many of these have a label; the others were skipped, or nobody was sure.
        log_loss: mean over clips and classes.
        right: the share of clips that show something known of which the most probable class is right; None without any.
        shares: the share of clips that show each class.
    """

    clips: int
    drawn: int
    answered: int
    log_loss: Estimate
    right: Estimate | None
    shares: dict[str, Estimate]


def score_collection(
    classes: Sequence[str],
    labels: NDArray[np.uint8],
    probabilities: NDArray[np.float64],
    *,
    clips: int,
    drawn: int,
) -> CollectionScore | None:
    """What a sample says of the collection that it was drawn from; None if it holds fewer than 20 labelled clips.

    The collection is what it is, and all of its sites are in it: chance lies in which of its clips were drawn alone, so
    that clips are the units, and a sample of everything has no error left.

    Args:
        classes: (C).
        labels: (n, C) 0 or 1, of the clips that were drawn and have a label.
        probabilities: (n, C) of models that had not learned from them.
        clips: how many the collection has.
        drawn: how many of them were drawn, labelled or not.
    """
    n = len(labels)
    if n < FEWEST_CLIPS and n < clips:
        return None
    known = labels.any(axis=1)
    top = probabilities.argmax(axis=1)
    right = labels[np.arange(n), top][known] == 1
    left = 1.0 - n / clips
    return CollectionScore(
        clips=clips,
        drawn=drawn,
        answered=n,
        log_loss=mean_estimate(clip_losses(labels, probabilities), left),
        right=share_estimate(int(right.sum()), int(known.sum()), left) if known.any() else None,
        shares={name: share_estimate(int(labels[:, column].sum()), n, left) for column, name in enumerate(classes)},
    )


def mean_estimate(values: NDArray[np.float64], left: float) -> Estimate:
    """The mean of positive (n,) values and its interval, on a logarithmic scale, as losses are spread.

    Of samples of 20 to 200 of 480 clips, the interval of the mean log loss held the truth in 94.4 to 95.6 of 100.

    Args:
        values: of a sample drawn without replacement.
        left: the share of the collection that is not in the sample: chance has no part in the rest.
    """
    mean = float(values.mean())
    if left <= 0 or mean <= 0:
        return Estimate(value=mean, low=mean, high=mean)
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) * math.sqrt(left)
    factor = math.exp(float(scipy.stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1)) * error / mean)
    return Estimate(value=mean, low=mean / factor, high=mean * factor)


def share_estimate(hits: int, n: int, left: float) -> Estimate:
    """A share and its interval.

    Args:
        hits: how many of the sample.
        n: clips of the sample.
        left: the share of the collection that is not in the sample.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927, with the finite
    population correction as more clips.
    """
    share = hits / n
    if left <= 0:
        return Estimate(value=share, low=share, high=share)
    weight, z = n / left, float(scipy.stats.norm.ppf((1 + _LEVEL) / 2))
    middle = (share + z**2 / (2 * weight)) / (1 + z**2 / weight)
    half = z * math.sqrt(share * (1 - share) / weight + z**2 / (4 * weight**2)) / (1 + z**2 / weight)
    return Estimate(value=share, low=max(middle - half, 0.0), high=min(middle + half, 1.0))
