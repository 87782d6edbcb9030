"""Which other clips show the same framing: nothing is asked about folders, names or clocks.

A clip's neighbours depend on the pictures that are there and on nothing else, whatever their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from featurize.background.key_picture import KeyPicture
from featurize.background.likeness import ALIKE, Likeness, likeness, sketch, texture

# So many pictures are looked at closely, those whose sketches are most alike: of the same time of year, the same light.
CANDIDATES = 32
# A background is made of at most, and at least, so many other clips.
MOST_NEIGHBOURS = 16
FEWEST_NEIGHBOURS = 4
_SKETCHES_AT_ONCE = 512
_TEXTURES_KEPT = 1024


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Another clip of the same framing.

    Attributes:
        index: its place among the pictures.
        right: by how many pixels its picture is shifted to the right.
        down: by how many pixels it is shifted downwards.
    """

    index: int
    right: float
    down: float


def find_neighbours(
    pictures: Sequence[KeyPicture], wanted: Sequence[int], deployments: Sequence[str] | None = None
) -> list[tuple[Neighbour, ...]]:
    """The clips of the same framing, the most alike first, for each of `wanted`; none where there are too few.

    Args:
        pictures: key pictures of different clips, in an order that does not matter but for ties.
        wanted: places of those for which neighbours are sought.
        deployments: what each of the pictures was said to be of, "" where nobody said; one of which it was said has
            neighbours of the same deployment only, and one of which it was not said has any.
    """
    of = [""] * len(pictures) if deployments is None else deployments
    kinds = [(picture.grey.shape, picture.infrared) for picture in pictures]
    members: dict[tuple[tuple[tuple[int, ...], bool], str], list[int]] = {}
    for place, kind in enumerate(kinds):
        for deployment in dict.fromkeys(("", of[place])):
            members.setdefault((kind, deployment), []).append(place)
    textures = lru_cache(maxsize=_TEXTURES_KEPT)(lambda place: texture(pictures[place]))
    found: dict[int, tuple[Neighbour, ...]] = {}
    for (kind, deployment), places in members.items():
        asked = sorted(place for place in set(wanted) if (kinds[place], of[place]) == (kind, deployment))
        if not asked:
            continue
        sketches = np.stack([sketch(textures(place)) for place in places])
        rows = {place: row for row, place in enumerate(places)}
        for start in range(0, len(asked), _SKETCHES_AT_ONCE):
            batch = asked[start : start + _SKETCHES_AT_ONCE]
            alike = sketches[[rows[place] for place in batch]] @ sketches.T
            for place, row in zip(batch, alike, strict=True):
                row[rows[place]] = -np.inf
                closest = [places[other] for other in _largest(row, min(CANDIDATES, len(places) - 1))]
                found[place] = _same_framing([(other, likeness(textures(place), textures(other))) for other in closest])
    return [found[place] for place in wanted]


def _largest(values: NDArray[np.float32], count: int) -> list[int]:
    """The places of the `count` largest values, falling."""
    return [int(place) for place in np.argsort(-values, kind="stable")[:count]]


def _same_framing(closest: Sequence[tuple[int, Likeness]]) -> tuple[Neighbour, ...]:
    """Those of `closest` that show the same framing; none if they are too few to tell what is usual."""
    same = [
        Neighbour(index=place, right=alike.right, down=alike.down) for place, alike in closest if alike.value > ALIKE
    ]
    return tuple(same[:MOST_NEIGHBOURS]) if len(same) >= FEWEST_NEIGHBOURS else ()
