"""From what differs and what moves to boxes: the squares of a frame that are worth a closer look."""

import numpy as np
from numpy.typing import NDArray

from featurize.background.difference import MOST_INSIDE, POWER, REACHES
from featurize.motion.boxes import MOST_BOXES, Box, boxes_of
from featurize.motion.energy import MOVING


def boxes_apart(difference: NDArray[np.float32], moving: NDArray[np.float32], aspect: float) -> list[Box]:
    """The boxes of one frame: around what differs, then around what moves elsewhere; else the whole frame.

    Args:
        difference: (h, w) how many times what is usual each cell differs.
        moving: (h, w) motion energy.
        aspect: width of the frame over its height, in pixels.
    """
    found = boxes_of(MOVING * (difference / np.float32(REACHES)) ** np.float32(POWER), aspect)
    if found[0].covers_frame:
        return boxes_of(moving, aspect) if found[0].energy == 0 else found
    others = [box for box in boxes_of(moving, aspect) if not box.covers_frame]
    found += [box for box in others if all(_share_inside(box, other) <= MOST_INSIDE for other in found)]
    return found[:MOST_BOXES]


def _share_inside(box: Box, other: Box) -> float:
    """The share of `box` that is inside `other`."""
    width = min(box.right, other.right) - max(box.left, other.left)
    height = min(box.bottom, other.bottom) - max(box.top, other.top)
    area = (box.right - box.left) * (box.bottom - box.top)
    return max(0.0, width) * max(0.0, height) / area
