"""What differs from a place's own background: the other clips of the same framing say what it may look like.

Each frame is compared with every neighbour's key picture. A place of the picture is explained where some of them show
it alike: leaves that have grown, a branch that fell and shade that comes every noon are in other clips too, an animal
that rests is not. What is left over is divided by what is left over between the neighbours themselves: that is how much
this place usually varies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from featurize.background.key_picture import KeyPicture, scaled
from featurize.motion.energy import CELL_PX, fitted, light_modes
from featurize.motion.lowres import LowresFrames, median_over_time
from featurize.motion.stabilise import STRIDE_PX, shift_between, shifted_back

# Light and shade that change smoothly over more than this are no animal.
DETAIL_PX = 14.0
# A place is explained where so many neighbours show it as it is.
AGREEING = 2
# What is usual: this quantile over the neighbours, each compared with the others. The second number is added to it, in
# spreads of grey levels: what compression alone leaves.
USUAL_QUANTILE = 0.75
LEAST_USUAL = 0.02
SMOOTHING_CELLS = 0.8
# Something differs where it is this many times what is usual, and as far as it is so many times what is usual.
BEGINS = 3.0
REACHES = 2.0
# A look every so many seconds, at the median of what was there within the last number of seconds; of so many frames
# from one look to the next.
LOOK_S = 0.5
FRAMES_A_LOOK = 2
STAYS_S = 1.0
# What differs is weighed by this power: an animal's dark side is as much of it as its bright one.
POWER = 0.7
# Something that moves is shown beside what differs unless more than this share of its box is inside another one.
MOST_INSIDE = 0.5
# A frame is shifted onto the background within so many pixels, if it is not nearer to it as it stands.
LEAST_SHIFT_PX = 0.75
MOST_SHIFT_PX = 16.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Background:
    """What a clip is compared with.

    Attributes:
        own: (h, w) the clip's own key picture, scaled: frames are fitted and shifted to it.
        empty: (h, w) the median of its neighbours' key pictures, fitted and shifted to it, to be looked at.
        samples: (N, h, w) the key pictures of its neighbours, fitted and shifted to it, without smooth light and shade.
        usual: (rows, columns) by how much each cell usually differs.
        infrared: in which light it can be compared.
    """

    own: NDArray[np.float32]
    empty: NDArray[np.float32]
    samples: NDArray[np.float32]
    usual: NDArray[np.float32]
    infrared: bool


def make_background(own: KeyPicture, others: Sequence[tuple[KeyPicture, float, float]]) -> Background:
    """The background of a clip.

    Args:
        own: its key picture.
        others: the key picture of each neighbour, and by how many pixels it is shifted to the right and downwards.
    """
    picture = scaled(own.grey)
    aligned = np.stack([shifted_back(scaled(other.grey), right, down) for other, right, down in others])
    alike = fitted(aligned, picture)
    samples = _details(alike)
    return Background(
        own=picture, empty=median_over_time(alike), samples=samples, usual=_usual(samples), infrared=own.infrared
    )


def find_difference(lowres: LowresFrames, times_s: NDArray[np.float64], background: Background) -> NDArray[np.float32]:
    """(L, rows, columns) how many times what is usual each cell of each frame differs, followed through time.

    Zero where nothing clearly differs, in frames of another light, and everywhere if the picture has another size than
    the background.

    Args:
        lowres: L frames.
        times_s: (L,) their times in seconds, rising.
        background: of the clip.
    """
    if not len(lowres) or lowres.grey.shape[1:] != background.own.shape:
        return np.zeros((len(lowres), *background.usual.shape), np.float32)
    looked_at = thinned(times_s, LOOK_S / FRAMES_A_LOOK)
    frames = _steadied(fitted(scaled(lowres.grey[looked_at]), background.own), background.own)
    comparable = (light_modes(lowres) == background.infrared)[looked_at]
    steps = list(range(0, len(looked_at), FRAMES_A_LOOK))
    apart = np.stack([_apart(frames, times_s[looked_at], comparable, step, background) for step in steps])
    return _followed(apart)[nearest_step(times_s[looked_at][steps], times_s)]


def _apart(
    frames: NDArray[np.float32],
    times_s: NDArray[np.float64],
    comparable: NDArray[np.bool_],
    step: int,
    background: Background,
) -> NDArray[np.float32]:
    """(rows, columns) how many times what is usual each cell differs around frame `step`: what stays for a moment.

    Rain, and insects at the lens, are gone within that moment.
    """
    around = comparable & (np.abs(times_s - times_s[step]) <= STAYS_S / 2 + 1e-6)
    if not comparable[step]:
        return np.zeros_like(background.usual)
    (still,) = _details(median_over_time(frames[around])[None])
    return _unexplained(still, background.samples, AGREEING) / (LEAST_USUAL + background.usual)


def _followed(apart: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, rows, columns) what differs, from where it is clear, over space and time, as far as it reaches."""
    kept = np.zeros_like(apart)
    for order in (range(len(apart)), range(len(apart) - 1, -1, -1)):
        before = np.zeros(apart.shape[1:], bool)
        for index in order:
            _, labels = cv2.connectedComponents((apart[index] >= REACHES).astype(np.uint8), connectivity=8)
            clear = np.unique(labels[(apart[index] >= BEGINS) | before])
            before = np.isin(labels, clear[clear > 0])
            kept[index] = np.where(before, apart[index], kept[index])
    return kept


def thinned(times_s: NDArray[np.float64], gap_s: float) -> NDArray[np.int64]:
    """The places of frames that are at least about `gap_s` apart, the first among them."""
    bins = np.floor((times_s - times_s[0]) / gap_s + 1e-3)
    return np.unique(bins, return_index=True)[1]


def nearest_step(steps_s: NDArray[np.float64], times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """(L,) the place of the step that is nearest to each of `times_s`."""
    middles = (steps_s[1:] + steps_s[:-1]) / 2
    return np.searchsorted(middles, times_s)


def _details(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (N, h, w) without light and shade that change smoothly."""
    height, width = pictures.shape[1:]
    small = (max(1, width // CELL_PX), max(1, height // CELL_PX))
    sharp = np.empty_like(pictures)
    for picture, detail in zip(pictures, sharp, strict=True):
        coarse = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        smooth = cv2.GaussianBlur(coarse, (0, 0), DETAIL_PX / CELL_PX)
        np.subtract(picture, cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), out=detail)
    return sharp


def _usual(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, columns) what is left over in the neighbours, each explained by the others."""
    left = [_unexplained(sample, np.delete(samples, place, axis=0), AGREEING) for place, sample in enumerate(samples)]
    return np.asarray(np.quantile(np.stack(left), USUAL_QUANTILE, axis=0), np.float32)


def _unexplained(frame: NDArray[np.float32], samples: NDArray[np.float32], agreeing: int) -> NDArray[np.float32]:
    """(rows, columns) by how much a frame differs from the `agreeing` samples that are most like it in each cell."""
    height, width = frame.shape
    rows, columns = height // CELL_PX, width // CELL_PX
    tops, sides = rows * CELL_PX, columns * CELL_PX
    apart = np.abs(samples[:, :tops, :sides] - frame[:tops, :sides])
    cells = np.stack([cv2.resize(each, (columns, rows), interpolation=cv2.INTER_AREA) for each in apart])
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), SMOOTHING_CELLS) for each in cells])
    return np.asarray(np.partition(smooth, agreeing - 1, axis=0)[agreeing - 1])


def _steadied(frames: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames (L, h, w), each shifted onto the picture `own` where that brings it nearer."""
    steady = frames.copy()
    for index, frame in enumerate(frames):
        right, down = shift_between(own, frame)
        if LEAST_SHIFT_PX <= max(abs(right), abs(down)) <= MOST_SHIFT_PX:
            moved = shifted_back(frame, right, down)
            if _distance(moved, own) < _distance(frame, own):
                steady[index] = moved
    return steady


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The median difference of two pictures, on a grid of their pixels."""
    return float(np.median(np.abs(one[::STRIDE_PX, ::STRIDE_PX] - other[::STRIDE_PX, ::STRIDE_PX])))
