"""Which of many frames are kept when a clip may give only a few: those that carry the event, and some that do not."""

import numpy as np
from numpy.typing import NDArray

# Share of the frames that show the scene without the event, for contrast.
QUIET_SHARE = 0.25
# A frame in which much moves counts by the root of its energy: not only the one moment when the animal is nearest.
ENERGY_POWER = 0.5


def choose_by_motion(energy: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The places of `count` frames, rising: most where the motion energy is, a quarter where it is lowest.

    The frames of the event are taken at equal steps of the root of the energy summed up over time, so that they are
    spread over the event and denser where it is strong. Without motion the frames are evenly spaced.

    Args:
        energy: (T,) at least 0.
        count: frames wanted; all T where there are no more.
    """
    frames = len(energy)
    if frames <= count:
        return np.arange(frames)
    if not energy.any():
        return _evenly(np.arange(frames), count)
    active = np.flatnonzero(energy)
    eventful = min(len(active), count - min(int(count * QUIET_SHARE), frames - len(active)))
    taken = _by_share(energy.astype(np.float64) ** ENERGY_POWER, eventful)
    rest = np.setdiff1d(np.arange(frames), taken)
    quietest = rest[np.argsort(energy[rest], kind="stable")][: max(count - eventful, len(rest) // 2)]
    return np.sort(np.concatenate([taken, _evenly(np.sort(quietest), count - eventful)]))


def _evenly(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.asarray(places[(np.arange(count) * len(places) / max(count, 1)).astype(int)])


def _by_share(weight: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """`count` different frames with a weight above 0, at equal steps of the summed weight as nearly as can be."""
    free = weight.copy()
    total = np.cumsum(free)
    taken: list[int] = []
    for step in (np.arange(count) + 0.5) / count * total[-1]:
        wanted = int(np.searchsorted(total, step))
        candidates = np.flatnonzero(free)
        nearest = int(candidates[np.argmin(np.abs(candidates - wanted))])
        taken.append(nearest)
        free[nearest] = 0
    return np.array(taken, np.int64)
