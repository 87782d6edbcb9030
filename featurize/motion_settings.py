"""Everything that decides where motion is seen, as it stands in feature keys."""

from types import ModuleType
from typing import Any

from featurize import boxes, motion, steady
from featurize.facts import LOW_FPS, LOW_WIDTH_PX, MOST_LOW_FRAMES


def motion_settings() -> dict[str, Any]:
    """What decides how much moves in a frame."""
    low = {"low_px": LOW_WIDTH_PX, "low_fps": LOW_FPS, "low_frames": MOST_LOW_FRAMES}
    return low | _constants(motion) | _constants(steady)


def box_settings() -> dict[str, Any]:
    """What decides, on top of that, which part of a frame is seen."""
    return _constants(boxes)


def _constants(module: ModuleType) -> dict[str, Any]:
    """The numbers that stand at the head of `module`, single ones and rows of them, under names of their own."""
    return {
        f"{module.__name__.rpartition('.')[2]}.{name.strip('_').lower()}": list(value)
        if isinstance(value, tuple)
        else value
        for name, value in sorted(vars(module).items())
        if name.isupper() and isinstance(value, int | float | tuple)
    }
