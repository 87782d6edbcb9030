"""What part of a frame a network sees, and the pictures that come of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurize.errors import SettingsError
from featurize.motion.settings import box_settings, motion_settings
from featurize.views.resize import Canvas

WHOLE = "whole"
MOTION = "motion"
VIEWS = (WHOLE, MOTION)


def view_settings(view: str) -> dict[str, Any]:
    """A view as it stands in a feature key.

    Raises:
        SettingsError: there is no such view.
    """
    if view not in VIEWS:
        raise SettingsError(f"view {view!r} is unknown, expected one of {', '.join(VIEWS)}")
    return {"name": view} if view == WHOLE else {"name": view, **motion_settings(), **box_settings()}


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a network looks at a clip.

    Attributes:
        canvas: the size in which it sees a frame or a part of one.
        view: "whole" frames; or "motion", squares around what moves, the whole frame where nothing does.
    """

    canvas: Canvas
    view: str = WHOLE


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What a network is shown of a clip: R pictures, one a frame, or one a box.

    Attributes:
        groups: pictures of one size each: (places (n,) among the R, pixels (n, H, W, 3) uint8).
        times_s: (R,) time of each picture's frame in seconds; two boxes of a frame share theirs.
        per_frame: further numbers a picture, each (R, ...) float32: `motion_energy` (R,), and for boxes `box` (R, 4),
            left, top, right, bottom in shares of the frame, and `motion_confidence` (R,).
    """

    groups: tuple[tuple[NDArray[np.int64], NDArray[np.uint8]], ...]
    times_s: NDArray[np.float64]
    per_frame: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def in_groups(pixels: Sequence[NDArray[np.uint8]]) -> tuple[tuple[NDArray[np.int64], NDArray[np.uint8]], ...]:
    """Pictures (H, W, 3) of any sizes as the `groups` of `Pictures`."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, picture in enumerate(pixels):
        places.setdefault(picture.shape, []).append(place)
    return tuple((np.array(found), np.stack([pixels[place] for place in found])) for found in places.values())
