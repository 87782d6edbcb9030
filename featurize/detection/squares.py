"""From a detector's boxes to the squares of a frame that are worth a closer look."""

import numpy as np
from numpy.typing import NDArray

from featurize.motion.boxes import MOST_BOXES, MOST_OVERLAP, Box, overlap, square_around


def squares_around(found: NDArray[np.float32], aspect: float) -> list[Box]:
    """The squares of one frame, the surest first; the whole frame where nothing was found.

    Args:
        found: (K, 5) left, top, right, bottom in shares of the frame and how sure, the surest first; zeros for none.
        aspect: width of the frame over its height, in pixels.
    """
    squares: list[Box] = []
    for left, top, right, bottom, confidence in found[found[:, 4] > 0].tolist():
        extent = max((right - left) * aspect, bottom - top)
        square = square_around((left + right) / 2 * aspect, (top + bottom) / 2, extent, aspect)
        if all(overlap(square, other) <= MOST_OVERLAP for other in squares):
            squares.append(
                Box(
                    left=square.left,
                    top=square.top,
                    right=square.right,
                    bottom=square.bottom,
                    energy=confidence,
                    confidence=confidence,
                    around=(left, top, right, bottom),
                )
            )
    return squares[:MOST_BOXES] or [Box()]
