"""Linear discriminants: a score for each class, along which what varies within classes is evened out.

The columns are roots of statistics. Clips of a class are taken to be spread around its mean alike in all classes; the
covariance within classes, of which a few hundred clips say little, is drawn towards that of independent columns. A
score then is linear, and found by solving one system of equations: no epochs, no seeds. With few clips of each class
that is hard to beat, and it errs elsewhere than a trained head.

Everything that fitting needs to know of clips is a few sums, so that one pass over all clips does for all folds.

Source: Fisher, "The use of multiple measurements in taxonomic problems", 1936; Friedman, "Regularized discriminant
analysis", 1989.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_LEAST_SPREAD = 1e-3
# Of a column within classes, where its whole variance is 1: a clip of each class, or equal ones, leave none.
_LEAST_LEVEL = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """What a discriminant is fitted to, of some clips.

    A clip is shared among its classes in equal parts, so that a clip that shows two speaks half for each.

    Attributes:
        count: N, how many clips.
        values: (D,) sum of their values.
        squares: (D, D) sum of their values' outer products.
        shown: (C,) how many show each class.
        shown_values: (C, D) sum of these clips' values.
        shares: (C,) sum of their shares in each class.
        share_values: (C, D) sum of values times shares.
        share_squares: (C, C) sum of the shares' outer products.
    """

    count: float
    values: Matrix
    squares: Matrix
    shown: Matrix
    shown_values: Matrix
    shares: Matrix
    share_values: Matrix
    share_squares: Matrix


def sums_of(values: NDArray[np.float32], targets: NDArray[np.float32]) -> Sums:
    """The sums of clips with values (N, D) and classes (N, C), 0 or 1."""
    wide, shown = values.astype(np.float64), targets.astype(np.float64)
    shares = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1.0)
    return Sums(
        count=float(len(wide)),
        values=wide.sum(axis=0),
        squares=wide.T @ wide,
        shown=shown.sum(axis=0),
        shown_values=shown.T @ wide,
        shares=shares.sum(axis=0),
        share_values=shares.T @ wide,
        share_squares=shares.T @ shares,
    )


def add_sums(parts: Iterable[Sums]) -> Sums:
    """The sums of all clips of some parts, at least one, together; no more than one part is held at a time."""
    return reduce(
        lambda one, other: Sums(**{name: each + getattr(other, name) for name, each in vars(one).items()}), parts
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Discriminant:
    """Scores of classes as a linear function of values.

    Attributes:
        mean: (D,) that the values are centred by.
        spread: (D,) that they are divided by then.
        weights: (D, C) of the standardised values.
        bias: (C,).
        known: (C,) bool, whether any clip showed the class; the score of one that is not known is always 0.
    """

    mean: Matrix
    spread: Matrix
    weights: Matrix
    bias: Matrix
    known: NDArray[np.bool_]

    def scores(self, values: NDArray[np.float32]) -> Matrix:
        """The scores (N, C) of clips with values (N, D)."""
        return np.asarray((values - self.mean) / self.spread @ self.weights + self.bias)


def fit_discriminant(sums: Sums, shrinkage: float) -> Discriminant:
    """The discriminant of the clips that `sums` tells of.

    A class's score is the logarithm of its density at a clip, without what is the same for all classes and without the
    share of the class among clips.

    Args:
        sums: of the clips to learn from.
        shrinkage: how far the covariance is drawn towards a multiple of the unit matrix, more than 0, at most 1.
    """
    mean = sums.values / sums.count
    variance = np.diag(sums.squares) / sums.count - mean**2
    spread = np.sqrt(np.maximum(variance, _LEAST_SPREAD**2))
    known = sums.shown > 0
    of_class = sums.shown_values / np.maximum(sums.shown, 1.0)[:, None]
    centres = np.where(known[:, None], (of_class - mean) / spread, 0.0)
    shared = (sums.share_values - sums.shares[:, None] * mean) / spread
    # In place where it can be: a joined source may have thousands of columns.
    within = sums.squares - sums.count * np.outer(mean, mean)
    within /= spread[:, None]
    within /= spread
    of_classes = centres.T @ (shared - sums.share_squares @ centres / 2)
    within -= of_classes
    within -= of_classes.T
    within /= sums.count
    level = max(float(np.trace(within)) / len(mean), _LEAST_LEVEL)
    within *= 1.0 - shrinkage
    within[np.diag_indices_from(within)] += shrinkage * level
    weights = scipy.linalg.solve(within, centres.T, assume_a="pos", overwrite_a=True)
    return Discriminant(
        mean=mean, spread=spread, weights=weights, bias=-0.5 * np.sum(centres.T * weights, axis=0), known=known
    )
