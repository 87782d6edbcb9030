"""Clip facts as numbers for a head. What is fitted here has seen the training clips of one fold and nothing else."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from store.config import StrictModel

# Heavy-tailed facts are compared by their logarithm.
_LOGARITHMIC = frozenset({"size_bytes", "bit_rate", "duration_s", "motion_mean"})
# What a camera writes depends first of all on its frame size, so these are standardised within it.
_WITHIN_FRAME_SIZE = frozenset({"size_bytes", "bit_rate"})
_FRAME_SIZE = "frame_size"
_ANY_SIZE = "any"
_FEWEST_CLIPS_OF_A_SIZE = 8
# A fixed number of columns, so that the network of every fold has the same shape whatever sizes its clips have.
_FRAME_SIZE_COLUMNS = 8
_LEAST_SPREAD = 1e-6
_MOST_SPREADS = 5.0


class Standardiser(StrictModel):
    """Mean and spread of one fact, per frame size where that matters.

    Attributes:
        means: mean per group; the group "any" always stands there.
        spreads: standard deviation per group; the group "any" always stands there.
    """

    means: dict[str, float]
    spreads: dict[str, float]


class MetadataTransform(StrictModel):
    """Turns rows of the clip table into a matrix of numbers around zero.

    The most frequent frame sizes of the training clips get a column each; every other fact gets a column with its
    standardised value and one that says whether it is missing (its value is then zero, the training mean).

    Attributes:
        facts: the facts, in column order.
        frame_sizes: the frame sizes that have a column, "" for a column that is not used.
        standardisers: per numeric fact.
    """

    facts: tuple[str, ...]
    frame_sizes: tuple[str, ...] = ()
    standardisers: dict[str, Standardiser] = Field(default_factory=dict)

    @classmethod
    def fit(cls, facts: Sequence[str], table: pd.DataFrame) -> Self:
        """Learn frame sizes, means and spreads from `table`, rows of the clip table."""
        sizes = _sizes(table)
        counts = sizes.value_counts().head(_FRAME_SIZE_COLUMNS)
        frequent = tuple(sorted(str(size) for size, count in counts.items() if count >= _FEWEST_CLIPS_OF_A_SIZE))
        columns = (*frequent, *[""] * (_FRAME_SIZE_COLUMNS - len(frequent)))
        standardisers = {fact: _fit_fact(fact, table, sizes, frequent) for fact in facts if fact != _FRAME_SIZE}
        return cls(facts=tuple(facts), frame_sizes=columns if _FRAME_SIZE in facts else (), standardisers=standardisers)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each column."""
        columns = [f"{_FRAME_SIZE}={size}" for size in self.frame_sizes]
        for fact in self.standardisers:
            columns += [fact, f"{fact} missing"]
        return tuple(columns)

    def apply(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """The matrix (N, M) of the rows of `table`."""
        sizes = _sizes(table)
        columns = [(sizes == size).to_numpy(np.float32) for size in self.frame_sizes]
        for fact, standardiser in self.standardisers.items():
            values = _values(fact, table)
            means = sizes.map(lambda size, fit=standardiser: fit.means.get(size, fit.means[_ANY_SIZE]))
            spreads = sizes.map(lambda size, fit=standardiser: fit.spreads.get(size, fit.spreads[_ANY_SIZE]))
            scaled = (values - means.to_numpy(np.float64)) / spreads.to_numpy(np.float64)
            columns.append(np.nan_to_num(scaled.clip(-_MOST_SPREADS, _MOST_SPREADS)).astype(np.float32))
            columns.append(np.isnan(values).astype(np.float32))
        return np.stack(columns, axis=1) if columns else np.zeros((len(table), 0), np.float32)


def _sizes(table: pd.DataFrame) -> "pd.Series[str]":
    """The frame size of each row, as text."""
    return table["width"].astype(str) + "x" + table["height"].astype(str)


def _values(fact: str, table: pd.DataFrame) -> NDArray[np.float64]:
    """A fact of each row, NaN where it is missing, logarithmic where it is heavy-tailed."""
    values = table[fact].to_numpy(np.float64, copy=True)
    if fact in _LOGARITHMIC:
        values[values <= 0] = np.nan
        values = np.log(values)
    return values


def _fit_fact(fact: str, table: pd.DataFrame, sizes: Any, frequent: Sequence[str]) -> Standardiser:
    """Mean and spread of a fact over all rows, and within each frequent frame size where that matters."""
    values = _values(fact, table)
    groups = {_ANY_SIZE: np.ones(len(values), bool)}
    if fact in _WITHIN_FRAME_SIZE:
        groups |= {size: (sizes == size).to_numpy() for size in frequent}
    means, spreads = {}, {}
    for name, rows in groups.items():
        known = values[rows & ~np.isnan(values)]
        means[name] = float(known.mean()) if len(known) else 0.0
        spreads[name] = max(float(known.std()), _LEAST_SPREAD) if len(known) > 1 else 1.0
    return Standardiser(means=means, spreads=spreads)
