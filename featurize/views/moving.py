"""The view of what moves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurize.motion.boxes import Box
    from featurize.motion.energy import Motion


@dataclass(frozen=True)
class MovingSquares:
    """Squares around what moves, in full resolution; the whole frame where nothing does, or nearly everything."""

    name: str = "motion"
    crops: bool = True
    needs_whole_clip: bool = True
    needs_background: bool = False
    evens_contrast: bool = False
    needs_detector: str = ""

    def settings(self) -> dict[str, Any]:
        """What decides how much moves, and where."""
        from featurize.motion.settings import box_settings, motion_settings

        return {**motion_settings(), **box_settings()}

    def boxes(self, motion: "Motion", index: int, aspect: float) -> "list[Box]":
        """The squares of the frame; the whole frame where the clip has no low-resolution frames to compare."""
        from featurize.motion.boxes import Box, boxes_of

        return boxes_of(motion.cells[index], aspect) if len(motion.cells) else [Box()]
