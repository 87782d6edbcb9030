"""The view of what differs from the camera's own background, and of what moves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurize.motion.boxes import Box
    from featurize.motion.energy import Motion


@dataclass(frozen=True)
class AnimalSquares:
    """Squares around what the camera's other clips do not show, at rest or not, and around what moves elsewhere.

    Where too few clips show the same framing it sees what the view of what moves sees.
    """

    name: str = "animal"
    crops: bool = True
    needs_whole_clip: bool = True
    needs_background: bool = True
    evens_contrast: bool = True
    needs_detector: str = ""

    def settings(self) -> dict[str, Any]:
        """What decides what a clip is seen against, what differs from it, how much moves, and where."""
        from featurize.background.settings import background_settings, difference_settings
        from featurize.motion.settings import box_settings, motion_settings

        return {**motion_settings(), **box_settings(), **background_settings(), **difference_settings()}

    def boxes(self, motion: "Motion", index: int, aspect: float) -> "list[Box]":
        """The squares of the frame; the whole frame where nothing differs or moves, or nearly everything does."""
        from featurize.background.boxes import boxes_apart
        from featurize.motion.boxes import Box, boxes_of

        if len(motion.difference):
            return boxes_apart(motion.difference[index], motion.cells[index], aspect)
        return boxes_of(motion.cells[index], aspect) if len(motion.cells) else [Box()]
