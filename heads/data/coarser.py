"""Taxa of higher ranks, and the classes that belong to them."""

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RANKS = ("genus", "family", "order")  # the finest first


@dataclass(frozen=True, kw_only=True)
class Coarser:
    """Classes that are one taxon of a higher rank.

    Attributes:
        rank: of RANKS.
        name: of the taxon.
        classes: those that belong to it, two at least.
        threshold: from which summed probability on the taxon is there.
    """

    rank: str
    name: str
    classes: tuple[str, ...]
    threshold: float = 1.0

    @property
    def label(self) -> str:
        """What it is called among classes."""
        return f"{self.name} ({self.rank})"

    def summed(self, probabilities: NDArray[np.float64], classes: Sequence[str]) -> NDArray[np.float64]:
        """(N,) how probable it is that a clip shows any of its classes, at most: their sum, up to 1.

        Args:
            probabilities: (N, C).
            classes: (C) what the columns are.
        """
        total = self._total([probabilities[:, classes.index(name)] for name in self.classes])
        return np.asarray(np.minimum(total, 1.0))

    def probability(self, probability: Mapping[str, float]) -> float:
        """The sum of a clip's probabilities of its classes, up to 1."""
        return float(min(self._total([probability[name] for name in self.classes]), 1.0))

    def is_there(self, probability: Mapping[str, float]) -> bool:
        """Whether a clip's probabilities of its classes say so."""
        return self.probability(probability) >= self.threshold

    @staticmethod
    def _total(parts: Sequence[Any]) -> Any:
        """The sum, always in the same order: a threshold is one of the sums that it is compared with."""
        return functools.reduce(operator.add, parts)


def coarser_taxa(higher: Mapping[str, Mapping[str, str]]) -> list[Coarser]:
    """The taxa of a higher rank that have several classes, the finest first.

    One that has no other classes than a finer one says nothing more, and is left out.

    Args:
        higher: the name of the taxon of each rank that each class belongs to, as far as known.
    """
    found: dict[tuple[str, ...], Coarser] = {}
    for rank in RANKS:
        members: dict[str, list[str]] = {}
        for name, ranks in higher.items():
            if rank in ranks:
                members.setdefault(ranks[rank], []).append(name)
        for taxon, classes in members.items():
            if len(classes) > 1:
                found.setdefault(tuple(sorted(classes)), Coarser(rank=rank, name=taxon, classes=tuple(classes)))
    return list(found.values())
