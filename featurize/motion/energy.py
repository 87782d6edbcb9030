"""Where something moves in a clip whose camera stands still: the clip itself is the background model.

Grey levels are standardised frame by frame, so that flicker and a drifting exposure cancel; the background is the
median over time, one for frames in colour and one for infrared frames, so that a camera that switches in mid-clip is
not seen as motion. What differs from the background is averaged over cells, and each cell's own noise level is taken
off: swaying leaves, rain and a ticking clock raise the level of their cells and so silence themselves. No network and
no training is involved.
"""

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from featurize.motion.lowres import LowresFrames, median_over_time
from featurize.motion.stabilise import stabilised

CELL_PX = 4
# A cell with more energy than this belongs to something that moves.
MOVING = 0.1
# A cell's noise level: its median deviation plus so many median deviations from that. The floor is the deviation that
# compression alone leaves, in standard deviations of the frame's grey levels.
NOISE_SPREADS = 4.0
NOISE_FLOOR = 0.05
SMOOTHING_CELLS = 0.8
SMOOTHING_S = 0.15
# Added to a frame's spread of grey levels (0 to 255), so that noise in a black frame is not blown up.
LEAST_SPREAD = 4.0
# Gain and offset are fitted to this share of the pixels, those that differ least; the share is estimated on every so
# manieth pixel.
FIT_SHARE = 0.7
FIT_STRIDE = 7
GAIN_RANGE = (0.5, 2.0)
# A background needs so many frames; a switch between colour and infrared takes so long to settle.
FEWEST_FRAMES = 5
MOST_BACKGROUND_FRAMES = 31
SETTLING_S = 0.5
MOST_SWITCHES = 2
# A frame is infrared where the chroma of so large a share of its pixels stays below this share of its mean grey level:
# a logo in colour does not hide it, and a grey animal before the camera does not pass for it.
COLOURLESS_SHARE = 0.9
COLOURLESS = 0.1
# What is there at one moment only is rain or an insect; frames must be this dense for a moment to be that short.
DENSE_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Motion energy over a clip.

    Attributes:
        times_s: (L,) times of the low-resolution frames, seconds.
        cells: (L, h, w) float32: by how much each cell deviates from the background beyond its noise level, in
            standard deviations of the frame's grey levels. Zero where there is no background to compare with.
        difference: (L, h, w) float32: how many times what is usual each cell differs from what the camera's other clips
            show; zero where it does not clearly. No rows where that is not known, or nobody asked.
        detected: (L, K, 5) float32: boxes of animals that a detector found at about that time, the surest first: left,
            top, right, bottom in shares of the frame, and how sure; zeros behind the last. No rows where nobody asked.
    """

    times_s: NDArray[np.float64]
    cells: NDArray[np.float32]
    difference: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    detected: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 5), np.float32))

    @cached_property
    def energy(self) -> NDArray[np.float32]:
        """(L,) mean over the cells of each frame."""
        return self.cells.mean(axis=(1, 2)) if self.cells.size else np.zeros(len(self.cells), np.float32)

    @property
    def share(self) -> float:
        """Share of the frames in which something moves; NaN without frames."""
        return float((self.cells.max(axis=(1, 2)) > MOVING).mean()) if self.cells.size else float("nan")

    @property
    def peak(self) -> float:
        """Energy of the strongest cell; NaN without frames."""
        return float(self.cells.max()) if self.cells.size else float("nan")

    def energy_at(self, times_s: NDArray[np.float64]) -> NDArray[np.float32]:
        """(T,) the energy at each of `times_s`; zero where nothing is known."""
        return self.energy[self.nearest(times_s)] if len(self.cells) else np.zeros(len(times_s), np.float32)

    def nearest(self, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """(T,) the index of the low-resolution frame that is nearest to each of `times_s`."""
        after = np.clip(np.searchsorted(self.times_s, times_s), 1, max(1, len(self.times_s) - 1))
        before = after - 1
        if len(self.times_s) < 2:
            return np.zeros(len(times_s), np.int64)
        closer = np.abs(self.times_s[before] - times_s) <= np.abs(self.times_s[after] - times_s)
        return np.where(closer, before, after).astype(np.int64)


NO_MOTION = Motion(times_s=np.empty(0), cells=np.zeros((0, 0, 0), np.float32))


def find_motion(lowres: LowresFrames, times_s: NDArray[np.float64]) -> Motion:
    """The motion in a low-resolution copy of a clip.

    Args:
        lowres: L frames; L may be 0.
        times_s: (L,) their times in seconds, rising.

    Returns:
        Motion per frame and cell; no motion where there are too few frames to tell.
    """
    if not len(lowres):
        return NO_MOTION
    rows, columns = lowres.grey.shape[1] // CELL_PX, lowres.grey.shape[2] // CELL_PX
    cells = np.zeros((len(lowres), rows, columns), np.float32)
    modes = light_modes(lowres)
    settled = _settled(modes, times_s)
    for mode in (False, True):
        members = np.flatnonzero((modes == mode) & settled)
        if len(members) >= FEWEST_FRAMES and cells.size:
            cells[members] = _beyond_noise(_deviation(_standardised(lowres.grey[members])))
    return Motion(times_s=times_s, cells=smoothed(cells, times_s))


def light_modes(lowres: LowresFrames) -> NDArray[np.bool_]:
    """(L,) whether each frame is infrared; a clip that hovers on the border between the two is all one mode."""
    limit = COLOURLESS * lowres.grey.mean(axis=(1, 2), keepdims=True)
    infrared = np.asarray((lowres.chroma <= limit).mean(axis=(1, 2)) >= COLOURLESS_SHARE)
    return infrared if np.count_nonzero(infrared[1:] != infrared[:-1]) <= MOST_SWITCHES else np.zeros_like(infrared)


def _settled(modes: NDArray[np.bool_], times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(L,) whether a frame stands clear of every switch of the light."""
    switches = times_s[1:][modes[1:] != modes[:-1]]
    return np.asarray(np.all(np.abs(times_s[:, None] - switches[None, :]) > SETTLING_S, axis=1))


def _standardised(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(L, H, W) grey levels with mean 0 and spread 1 in every frame."""
    mean = grey.mean(axis=(1, 2), keepdims=True)
    return np.asarray((grey - mean) / (grey.std(axis=(1, 2), keepdims=True) + LEAST_SPREAD))


def _deviation(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(L, h, w) mean absolute difference from the background in each cell, the camera's shaking undone."""
    grey = stabilised(grey, _background(grey))
    grey = fitted(grey, _background(grey))
    difference = np.abs(grey - _background(grey))
    count, rows, columns = len(grey), grey.shape[1] // CELL_PX, grey.shape[2] // CELL_PX
    tiles = difference[:, : rows * CELL_PX, : columns * CELL_PX].reshape(count, rows, CELL_PX, columns, CELL_PX)
    return np.asarray(tiles.mean(axis=(2, 4)))


def fitted(grey: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
    """`grey` with the gain and offset that fit each frame to the background where the two are most alike.

    An animal changes the mean and the spread of its frame, and so the standardised level of everything else; a line
    through the pixels that it does not cover puts that right.
    """
    frames, still = grey.reshape(len(grey), -1), background.ravel()
    apart = np.abs(frames - still)
    sample = np.sort(apart[:, ::FIT_STRIDE], axis=1)
    limit = sample[:, int(FIT_SHARE * sample.shape[1])]
    weight = (apart <= limit[:, None]).astype(np.float32)
    count = weight.sum(axis=1)
    mean_frame, mean_still = (weight * frames).sum(axis=1) / count, weight @ still / count
    away = weight * (still - mean_still[:, None])
    gain = (away * (frames - mean_frame[:, None])).sum(axis=1) / np.maximum((away * away).sum(axis=1), 1e-6)
    gain = np.clip(gain, *GAIN_RANGE)
    return np.asarray((frames - mean_frame[:, None]) / gain[:, None] + mean_still[:, None]).reshape(grey.shape)


def _background(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) the median over time, of evenly spread frames where there are many."""
    step = max(1.0, len(grey) / MOST_BACKGROUND_FRAMES)
    spread = np.arange(0, len(grey), step).astype(int)
    return median_over_time(grey[spread[spread < len(grey)]])  # rounding can lay one more step, onto the end


def _beyond_noise(deviation: NDArray[np.float32]) -> NDArray[np.float32]:
    """(L, h, w) what exceeds each cell's own noise level."""
    usual = median_over_time(deviation)
    spread = median_over_time(np.abs(deviation - usual))
    return np.asarray(np.maximum(deviation - (usual + NOISE_SPREADS * spread + NOISE_FLOOR), 0))


def _without_flashes(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of each frame with its two neighbours."""
    before, after = cells[np.r_[0, : len(cells) - 1]], cells[np.r_[1 : len(cells), -1]]
    return np.asarray(np.maximum(np.minimum(before, cells), np.minimum(np.maximum(before, cells), after)))


def smoothed(cells: NDArray[np.float32], times_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """`cells` smoothed over space and over time; frames are about evenly spaced."""
    if len(cells) < 2 or not cells.any():
        return cells
    gap_s = float(np.median(np.diff(times_s)))
    spread = SMOOTHING_S / gap_s if gap_s > 0 else 0.0
    if 0 < gap_s <= DENSE_S and len(cells) >= 3:
        cells = _without_flashes(cells)
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), SMOOTHING_CELLS) for frame in cells])
    if spread < 0.3:
        return smooth
    flat = smooth.reshape(len(cells), -1)
    blurred = cv2.GaussianBlur(flat, (1, 0), sigmaX=1, sigmaY=spread, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32).reshape(cells.shape)
