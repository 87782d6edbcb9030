"""One frame and a detector: the square that its network sees, and the boxes that its numbers mean.

Source of the decoding: Ge et al., YOLOX, arXiv:2107.08430.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Boxes below this confidence are not kept.
LEAST_CONFIDENCE = 0.1
# Of boxes that overlap by more than this (intersection over union), the surest is kept.
MOST_SHARED = 0.45
# What a network says of each place: x, y, width, height, whether there is something, and of which class.
NUMBERS = 6
_MOST_EXPONENT = 20.0


def letterboxed(frame: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """A frame (H, W, 3) in its shape at the upper left of a square (S, S, 3), the rest of which is black."""
    wide, high = picture_in_square(frame.shape[1], frame.shape[0], side_px)
    square = np.zeros((side_px, side_px, 3), np.uint8)
    square[:high, :wide] = np.asarray(Image.fromarray(frame).resize((wide, high), Image.Resampling.BICUBIC))
    return square


def picture_in_square(width: int, height: int, side_px: int) -> tuple[int, int]:
    """(W, H) of a picture of `width` x `height` that just fits into a square."""
    longer = max(width, height)
    return max(1, round(width * side_px / longer)), max(1, round(height * side_px / longer))


def boxes_in(
    raw: NDArray[np.float32], strides: Sequence[int], side_px: int, width: int, height: int
) -> NDArray[np.float32]:
    """(N, 5) what was found in a picture, the surest first: left, top, right, bottom in shares of it, and how sure.

    Args:
        raw: (P * 6,) what the network says of the places of its maps.
        strides: pixels from place to place in each map, in order.
        side_px: side of the square that it saw.
        width: of the picture that was brought into the square.
        height: of it.
    """
    corners, confidence = decoded(raw.reshape(-1, NUMBERS), strides, side_px)
    likely = np.flatnonzero(confidence >= LEAST_CONFIDENCE)
    order = likely[np.argsort(-confidence[likely], kind="stable")]
    kept = order[_apart(corners[order])]
    wide, high = picture_in_square(width, height, side_px)
    shares = np.clip(corners[kept] / np.array([wide, high, wide, high], np.float32), 0, 1)
    found = np.column_stack([shares, confidence[kept]]).astype(np.float32)
    inside = (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])
    return np.asarray(found[inside])


def decoded(
    raw: NDArray[np.float32], strides: Sequence[int], side_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each of P places the box (P, 4), left, top, right and bottom in pixels, and the confidence (P,), 0 to 1."""
    places = [_places(stride, side_px // stride) for stride in strides]
    corner, stride = np.concatenate([at for at, _ in places]), np.concatenate([step for _, step in places])
    middle = (raw[:, :2] + corner) * stride
    size = np.exp(np.minimum(raw[:, 2:4], _MOST_EXPONENT)) * stride
    confidence = _sigmoid(raw[:, 4]) * _sigmoid(raw[:, 5])
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
    return boxes.astype(np.float32), confidence.astype(np.float32)


def overlaps(one: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) intersection over union of a box (4,) with each of others (N, 4)."""
    size = np.maximum(np.minimum(one[2:4], others[:, 2:4]) - np.maximum(one[:2], others[:, :2]), 0)
    shared = size[:, 0] * size[:, 1]
    return np.asarray(shared / np.maximum(_areas(one[None]) + _areas(others) - shared, 1e-12))


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _apart(corners: NDArray[np.float32]) -> list[int]:
    """The places of boxes (N, 4) that overlap with none before them that is kept."""
    kept: list[int] = []
    left = np.ones(len(corners), bool)
    for place in range(len(corners)):
        if left[place]:
            kept.append(place)
            left &= overlaps(corners[place], corners) <= MOST_SHARED
    return kept


def _places(stride: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of each place of a map, and its stride."""
    rows, columns = np.mgrid[:count, :count].astype(np.float32)
    return np.stack([columns.ravel(), rows.ravel()], axis=1), np.full((count * count, 1), stride, np.float32)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))
