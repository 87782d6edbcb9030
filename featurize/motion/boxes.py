"""From motion to boxes: the squares of a frame that are worth a closer look."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from featurize.motion.energy import MOVING

# What moves is made of cells above this share of the frame's strongest one.
SHARE_OF_PEAK = 0.4
# A second box is given only to what has this share of the first one's energy, and stands apart from it.
SHARE_OF_FIRST = 0.25
MOST_OVERLAP = 0.2
MOST_BOXES = 2
# The box's side: the longer side of what moves with a margin, at least this share of the frame's shorter side.
MARGIN = 1.2
# Smoothing widens what moves by about so much.
SMEAR_CELLS = 0.5
LEAST_SIDE = 0.2
# Where more than this share of the cells moves, the background is not to be trusted: the whole frame is seen.
TOO_MUCH = 0.5
# Burnt-in text stands in a strip of this share of the height along the upper and lower edge: what moves wholly inside
# is a clock, not an animal.
CAPTION = 0.09
# (left, top, right, bottom) of a frame as a whole.
WHOLE_FRAME = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Box:
    """Part of a frame, in shares of its width and height.

    Attributes:
        left: 0 to 1.
        top: 0 to 1.
        right: 0 to 1.
        bottom: 0 to 1.
        energy: mean motion energy of the frame's cells that comes from inside the box.
        confidence: share of the frame's motion energy that is inside, 0 to 1; 0 where nothing moves. Of a detector's
            box, how sure it is.
        around: (left, top, right, bottom) of what a detector found, which the box is laid around; zeros without one.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    energy: float = 0.0
    confidence: float = 0.0
    around: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def covers_frame(self) -> bool:
        """Whether it is the whole frame."""
        return (self.left, self.top, self.right, self.bottom) == WHOLE_FRAME

    @property
    def is_found(self) -> bool:
        """Whether it is laid around what a detector found."""
        return any(self.around)

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels of a picture of `width` x `height`, at least one pixel each way."""
        left, top = int(self.left * width), int(self.top * height)
        right, bottom = round(self.right * width), round(self.bottom * height)
        return left, top, max(right, left + 1), max(bottom, top + 1)


def boxes_of(cells: NDArray[np.float32], aspect: float) -> list[Box]:
    """The boxes of one frame, strongest first; the whole frame where nothing moves or nearly everything does.

    Args:
        cells: (h, w) motion energy.
        aspect: width of the frame over its height, in pixels.
    """
    peak = float(cells.max(initial=0))
    if peak < MOVING:
        return [Box()]
    moving = (cells >= max(MOVING, SHARE_OF_PEAK * peak)).astype(np.uint8)
    if (cells >= MOVING).mean() > TOO_MUCH:
        return [Box(energy=float(cells.mean()))]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
    strengths = np.bincount(labels.ravel(), cells.ravel()).astype(np.float64)
    found: list[Box] = []
    least = 0.0
    for label in _strongest_first(strengths):
        left, top, width, height = stats[label][: cv2.CC_STAT_HEIGHT + 1].tolist()
        if strengths[label] < least or _is_caption(top, height, cells.shape[0]):
            continue
        box = _square(left, top, width, height, cells, aspect)
        if all(overlap(box, other) <= MOST_OVERLAP for other in found):
            found.append(box)
            least = max(least, SHARE_OF_FIRST * strengths[label])
    return found[:MOST_BOXES] or [Box()]


def _strongest_first(strengths: NDArray[np.float64]) -> list[int]:
    """The labels of the components, the strongest first; label 0 is what does not move."""
    return [1 + int(place) for place in np.argsort(-strengths[1:], kind="stable")]


def _is_caption(top: int, height: int, rows: int) -> bool:
    strip = max(2, round(CAPTION * rows))
    return top + height <= strip or top >= rows - strip


def _square(left: int, top: int, width: int, height: int, cells: NDArray[np.float32], aspect: float) -> Box:
    """A square in pixels around [left, left + width) x [top, top + height) of the cells, kept inside the frame."""
    rows, columns = cells.shape
    # Measured in heights of the frame: x runs to `aspect`, y to 1.
    middle_x, middle_y = (left + width / 2) / columns * aspect, (top + height / 2) / rows
    extent = max((width - SMEAR_CELLS) / columns * aspect, (height - SMEAR_CELLS) / rows)
    box = square_around(middle_x, middle_y, extent, aspect)
    a, b, c, d = box.pixels(columns, rows)
    inside, total = float(cells[b:d, a:c].sum()), float(cells.sum())
    return replace(box, energy=inside / cells.size, confidence=min(1.0, inside / total))


def square_around(middle_x: float, middle_y: float, extent: float, aspect: float) -> Box:
    """A square in pixels with a margin around something, kept inside the frame.

    Args:
        middle_x: of it, in heights of the frame, 0 to `aspect`.
        middle_y: of it, 0 to 1.
        extent: its longer side, in heights of the frame.
        aspect: width of the frame over its height, in pixels.
    """
    side = max(MARGIN * extent, LEAST_SIDE * min(1.0, aspect))
    wide, high = min(side, aspect), min(side, 1.0)
    x = min(max(middle_x - wide / 2, 0.0), aspect - wide)
    y = min(max(middle_y - high / 2, 0.0), 1.0 - high)
    return Box(left=x / aspect, top=y, right=min(1.0, (x + wide) / aspect), bottom=min(1.0, y + high))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)
