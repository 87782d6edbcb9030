"""The moments of a clip that networks saw: when, what moved, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from store import FeatureReader, FeatureStore

MOST = 64
_WHOLE = 0.99  # of the picture: such a box says that nothing in particular moves
_SAME_S = 0.0005

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One frame that networks saw.

    Attributes:
        time_s: when, from the clip's start.
        energy: how much moves; 0 where that is not known.
        boxes: left, top, right, bottom of what moves, in shares of the picture.
    """

    time_s: float
    energy: float
    boxes: tuple[Box, ...]

    def to_json(self) -> dict[str, Any]:
        """What the page is told of it."""
        return {
            "t": round(self.time_s, 3),
            "energy": round(self.energy, 4),
            "boxes": [[round(edge, 4) for edge in box] for box in self.boxes],
        }


class MomentFinder:
    """Finds the moments of clips in what a store holds of them.

    Args:
        store: the store, as it is now.
    """

    def __init__(self, store: FeatureStore) -> None:
        readers = [store.reader(key) for key in store.keys()]
        self._readers = [(each, {clip_id: row for row, clip_id in enumerate(each.ids)}) for each in readers]

    def find(self, clip_id: str) -> tuple[Moment, ...]:
        """The moments of a clip, in order: at most `MOST`, evenly chosen; none if the store holds no frame of it."""
        seen = [
            (each, rows[clip_id]) for each, rows in self._readers if clip_id in rows and each.lengths[rows[clip_id]]
        ]
        times: list[float] = sorted({round(time_s, 4) for each, row in seen for time_s in each.times(row).tolist()})
        times = [time_s for place, time_s in enumerate(times) if not place or time_s - times[place - 1] > _SAME_S]
        energy, boxes = self._energy(seen), self._boxes(seen)
        return tuple(
            Moment(time_s=time_s, energy=energy.get(round(time_s, 3), 0.0), boxes=boxes.get(round(time_s, 3), ()))
            for time_s in _thinned(times)
        )

    def _energy(self, seen: Sequence[tuple[FeatureReader, int]]) -> dict[float, float]:
        for reader, row in seen:
            strength = reader.per_frame("motion_energy", row)
            if strength is not None:
                moments = np.round(reader.times(row), 3).tolist()
                found: dict[float, float] = {}
                for moment, each in zip(moments, strength.tolist(), strict=True):
                    found[moment] = max(found.get(moment, 0.0), each)
                return found
        return {}

    def _boxes(self, seen: Sequence[tuple[FeatureReader, int]]) -> dict[float, tuple[Box, ...]]:
        for reader, row in seen:
            box = reader.per_frame("box", row)
            if box is None:
                continue
            parts = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) < _WHOLE
            found: dict[float, tuple[Box, ...]] = {}
            for moment, (left, top, right, bottom) in zip(
                np.round(reader.times(row)[parts], 3).tolist(), box[parts].tolist(), strict=True
            ):
                found[moment] = (*found.get(moment, ()), (left, top, right, bottom))
            if found:
                return found
        return {}


def _thinned(times: list[float]) -> list[float]:
    if len(times) <= MOST:
        return times
    return [times[place] for place in np.linspace(0, len(times) - 1, MOST).round().astype(int).tolist()]
