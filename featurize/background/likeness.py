"""Whether two key pictures show the same framing of the same place, and how far one is shifted against the other.

Neither light nor an animal decides: pictures are compared by their local contrast, block by block, and the block in the
middle of the ranking speaks for the pair, so that less than half of them can be covered or changed.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from featurize.background.key_picture import KeyPicture, scaled
from featurize.motion.stabilise import shift_between, shifted_back

# Two pictures are of one framing if the correlation of the middle block is above this, after the shift is undone.
ALIKE = 0.35
# Shifts beyond this, in pixels of the key picture, are another framing.
MOST_SHIFT_PX = 16.0
# Local contrast: what stands out from its surroundings of the first width, over the usual contrast within the second.
DETAIL_PX = 4.0
CONTRAST_PX = 8.0
LEAST_CONTRAST = 0.03
MOST_CONTRAST = 2.5
# Blocks of about so many pixels, and a border that is left out.
BLOCK_PX = 15
BORDER_PX = 6
# A sketch, for a first look, has one number for so many pixels each way.
SKETCH_PX = 4
SKETCH_SMOOTHING_PX = 1.5
# Sketches are whole numbers of about this length: products of two are exact, whatever the order of summing up.
SKETCH_LENGTH = 1000.0


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How alike two pictures are.

    Attributes:
        value: correlation of the middle block, -1 to 1.
        right: by how many pixels the other picture is shifted to the right.
        down: by how many pixels it is shifted downwards.
    """

    value: float
    right: float
    down: float


def texture(picture: KeyPicture) -> NDArray[np.float32]:
    """(h, w) local contrast of a picture: the same by lamp light and in mist."""
    grey = scaled(picture.grey)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), DETAIL_PX)
    usual = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), CONTRAST_PX))
    return np.asarray(np.clip(detail / (usual + LEAST_CONTRAST), -MOST_CONTRAST, MOST_CONTRAST), np.float32)


def sketch(textured: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S,) a small copy of a texture, of one length, for a first look: the product of two says how they correlate."""
    height, width = textured.shape
    size = (max(1, width // SKETCH_PX), max(1, height // SKETCH_PX))
    smooth = cv2.GaussianBlur(textured, (0, 0), SKETCH_SMOOTHING_PX)
    small = np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_AREA)).ravel()
    small = small - small.mean()
    return np.asarray(np.rint(small * (SKETCH_LENGTH / max(float(np.linalg.norm(small)), 1e-6))), np.float32)


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> Likeness:
    """How alike two textures (h, w) of one size are, once the shift of the other is undone."""
    right, down = shift_between(one, other)
    if max(abs(right), abs(down)) > MOST_SHIFT_PX:
        right = down = 0.0
    value = float(np.median(_block_correlations(one, shifted_back(other, right, down))))
    return Likeness(value=value, right=right, down=down)


def _block_correlations(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B,) the correlation of each block of two pictures."""
    left, right = _blocks(one), _blocks(other)
    spread = np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1) + 1e-6)
    return np.asarray((left * right).sum(axis=1) / spread)


def _blocks(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, n) the pixels of each block, with mean 0; the border and what is left over are no part of any."""
    height, width = picture.shape
    rows, columns = max(1, (height - 2 * BORDER_PX) // BLOCK_PX), max(1, (width - 2 * BORDER_PX) // BLOCK_PX)
    top, left = (height - rows * BLOCK_PX) // 2, (width - columns * BLOCK_PX) // 2
    inner = picture[max(top, 0) : top + rows * BLOCK_PX, max(left, 0) : left + columns * BLOCK_PX]
    high, wide = inner.shape[0] // rows, inner.shape[1] // columns
    tiles = inner[: rows * high, : columns * wide].reshape(rows, high, columns, wide).transpose(0, 2, 1, 3)
    flat = tiles.reshape(rows * columns, high * wide)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True))
