"""Which frames of a clip spoke most for what a run says of it."""

import threading
from collections.abc import Sequence

import numpy as np

from heads.errors import HeadsError
from heads.run import RunDirectory
from store import FeatureStore
from store.console import native_chatter
from store.errors import TraplineError

_AT_ONCE = 25


class Speaker:
    """Asks the best head of a run that can be asked, in the background for clips that are going to be shown.

    Args:
        run: blended; None before the first run, when there is nothing to ask.
        store: holds the features that its heads read.
    """

    def __init__(self, run: RunDirectory | None, store: FeatureStore) -> None:
        self._run, self._store = run, store
        self._known: dict[str, dict[float, float]] = {}
        self._asking = threading.Lock()
        self._newest = 0

    def prepare(self, clip_ids: Sequence[str]) -> None:
        """Begin to ask about some clips; those that were asked about before and are not done are let go."""
        if self._run is None:
            return
        self._newest += 1
        threading.Thread(target=self._prepare, args=(tuple(clip_ids), self._newest), daemon=True).start()

    def weights(self, clip_id: str, times_s: Sequence[float]) -> list[float]:
        """How much of the answer each moment of a clip makes out, of all moments' 1; none where that is not known."""
        if clip_id not in self._known:
            self._ask([clip_id])
        known = self._known.get(clip_id)
        if not known:
            return []
        heard, weights = np.array([*known]), np.array([*known.values()])
        found = np.zeros(len(times_s))
        nearest = np.abs(heard[:, None] - np.asarray(times_s)[None]).argmin(axis=1)
        np.add.at(found, nearest, weights)
        return [round(each, 4) for each in found.tolist()]

    def _prepare(self, clip_ids: tuple[str, ...], number: int) -> None:
        for start in range(0, len(clip_ids), _AT_ONCE):
            if number != self._newest:
                return
            self._ask(clip_ids[start : start + _AT_ONCE])

    def _ask(self, clip_ids: Sequence[str]) -> None:
        run = self._run
        if run is None:
            return
        with self._asking:
            missing = [clip_id for clip_id in clip_ids if clip_id not in self._known]
            if not missing:
                return
            self._known |= {clip_id: {} for clip_id in missing}
            try:
                self._known |= _weigh(run, self._store, missing)
            except (HeadsError, TraplineError):
                return  # a run without such a head, or of another store: motion says what counts


def _weigh(run: RunDirectory, store: FeatureStore, clip_ids: Sequence[str]) -> dict[str, dict[float, float]]:
    """The weight of each time of some clips; clips without frames are left out."""
    with native_chatter(shown=False):
        from heads.models.explain.attribution import explaining_head, weigh_frames
    from heads.data.features.readers import ids_with_frames
    from heads.models.trained_head import TrainedHead

    head = explaining_head(run)
    reader = TrainedHead(run, store, head).reader
    there = {*reader.ids}
    seen = ids_with_frames(reader, [clip_id for clip_id in clip_ids if clip_id in there])
    found: dict[str, dict[float, float]] = {}
    for each in weigh_frames(run, store, head, seen):
        weights: dict[float, float] = {}
        for time_s, weight in zip(np.round(each.times_s, 3).tolist(), each.weights.tolist(), strict=True):
            weights[time_s] = weights.get(time_s, 0.0) + weight
        found[each.clip_id] = weights
    return found
