"""The view of whole frames."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurize.motion.boxes import Box
    from featurize.motion.energy import Motion


@dataclass(frozen=True)
class WholeFrames:
    """Frames as they are."""

    name: str = "whole"
    crops: bool = False
    needs_whole_clip: bool = False
    needs_background: bool = False
    evens_contrast: bool = False
    needs_detector: str = ""

    def settings(self) -> dict[str, Any]:
        """Nothing can be set."""
        return {}

    def boxes(self, motion: "Motion", index: int, aspect: float) -> "list[Box]":
        """The frame, with the motion energy of all of it."""
        from featurize.motion.boxes import Box

        return [Box(energy=float(motion.energy[index]) if len(motion.cells) else 0.0)]
