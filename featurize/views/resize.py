"""How a frame is brought to the size that a network sees: four rules, of which `equal_area` is the default.

`equal_area` keeps the shape of the picture and gives it about as many pixels as the network's square input has. Animals
stand at the edges of a trap's picture, so nothing is cut off, and a network that ends in global pooling takes any grid.
The sides are multiples of 16 px, so that a store of many cameras still makes few grids; the pair is taken that errs
least in aspect and, with a quarter of the weight, in area. At a nominal 224 px, 4:3 becomes 192 x 256 (exact) and 16:9
becomes 160 x 288 (1.2 % off). Pictures longer than 4:1 are squeezed to 4:1.

The others make the square that networks are trained on: `squash` changes the aspect, `centre_crop` cuts the longer
side's ends off, `letterbox` fits the whole picture in and leaves the rest black.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurize.errors import SettingsError

DEFAULT_RULE = "equal_area"
SQUARE_RULES = ("squash", "centre_crop", "letterbox")
RESIZE_RULES = (DEFAULT_RULE, *SQUARE_RULES)
# Bicubic with antialiasing. A source that is twice, three times ... as large as this many canvases is averaged over so
# many pixels first, which takes half the time.
_REDUCING_GAP = 1.0
_STEP_PX = 16
_AREA_WEIGHT = 0.25
_MAX_ASPECT = 4.0


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """The size that frames are brought to.

    Attributes:
        px: nominal side of the network's input.
        rule: name of the resize rule.
    """

    px: int
    rule: str = DEFAULT_RULE

    def __post_init__(self) -> None:
        if self.rule not in RESIZE_RULES:
            raise SettingsError(f"resize rule {self.rule!r} is unknown, expected one of {', '.join(RESIZE_RULES)}")
        if not _STEP_PX <= self.px <= 2048:
            raise SettingsError(f"input size {self.px} px is outside {_STEP_PX} to 2048")

    @property
    def settings(self) -> str:
        """What decides how pixels are brought to the canvas, but for its size, as it stands in feature keys."""
        return f"{self.rule}, bicubic, reducing gap {_REDUCING_GAP:g}"

    def shape_for(self, width: int, height: int) -> tuple[int, int]:
        """(H, W) in pixels for a picture of `width` x `height`."""
        return _equal_area_shape(self.px, width, height) if self.rule == DEFAULT_RULE else (self.px, self.px)

    def fit(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`frame` (H, W, 3) uint8 as the network will see it, (H', W', 3) uint8."""
        height, width = frame.shape[:2]
        rows, columns = self.shape_for(width, height)
        if (height, width) == (rows, columns):
            return np.array(frame)
        image = Image.fromarray(frame)
        if self.rule == "centre_crop":
            side = min(width, height)
            left, top = (width - side) / 2, (height - side) / 2
            return _resized(image, (columns, rows), (left, top, left + side, top + side))
        if self.rule == "letterbox":
            return _letterboxed(image, self.px)
        return _resized(image, (columns, rows), (0, 0, width, height))


def _resized(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """The part of `image` in `box` (left, top, right, bottom) as (H, W, 3) uint8 of `size` (W, H)."""
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=_REDUCING_GAP))


def _letterboxed(image: Image.Image, px: int) -> NDArray[np.uint8]:
    """The whole of `image` in the middle of a black square of `px`."""
    scale = px / max(image.size)
    columns, rows = (max(1, round(side * scale)) for side in image.size)
    left, top = (px - columns) // 2, (px - rows) // 2
    square = np.zeros((px, px, 3), np.uint8)
    square[top : top + rows, left : left + columns] = _resized(image, (columns, rows), (0, 0, *image.size))
    return square


@functools.lru_cache(maxsize=4096)
def _equal_area_shape(px: int, width: int, height: int) -> tuple[int, int]:
    """The (H, W) on the 16 px grid that is nearest to the picture's aspect and to `px` squared in area."""
    aspect = min(max(width / height, 1 / _MAX_ASPECT), _MAX_ASPECT)
    longest = int(px * math.sqrt(_MAX_ASPECT)) + _STEP_PX
    sides = range(_STEP_PX, longest + 1, _STEP_PX)

    def misfit(side: tuple[int, int]) -> float:
        rows, columns = side
        of_aspect = abs(math.log(columns / rows / aspect))
        return of_aspect + _AREA_WEIGHT * abs(math.log(rows * columns / px**2))

    return min(itertools.product(sides, sides), key=misfit)
