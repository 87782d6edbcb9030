"""The view of what a detector of animals finds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurize.motion.boxes import Box
    from featurize.motion.energy import Motion


@dataclass(frozen=True)
class DetectorSquares:
    """Squares around the animals that a detector finds and that do not belong to the place; else the whole frame.

    Attributes:
        weights_sha256: digest of the detector's weights, as it stands in feature keys.
    """

    name: str = "detector"
    crops: bool = True
    needs_whole_clip: bool = True
    needs_background: bool = True
    evens_contrast: bool = False
    needs_detector: str = "megadetector_lite"
    weights_sha256: str = "31f8690fc62f9d0756f1e8c09b0b02e5ade106173ed0a30743d47c004f88f4e0"
    input_px: int = 640

    def settings(self) -> dict[str, Any]:
        """What decides what the detector sees, what of its boxes is believed, and what is cut out around them."""
        from featurize.background.settings import background_settings, difference_settings
        from featurize.detection.settings import detection_settings
        from featurize.motion.settings import box_settings, motion_settings

        return {
            "detector": self.needs_detector,
            "detector.weights_sha256": self.weights_sha256,
            "detector.input_px": self.input_px,
            "detector.resize": "upper left of a black square, bicubic",
            **detection_settings(),
            **motion_settings(),
            **box_settings(),
            **background_settings(),
            **difference_settings(),
        }

    def boxes(self, motion: "Motion", index: int, aspect: float) -> "list[Box]":
        """The squares of the frame; the whole frame where the detector found nothing, or was not asked."""
        from featurize.detection.squares import squares_around
        from featurize.motion.boxes import Box

        return squares_around(motion.detected[index], aspect) if len(motion.detected) else [Box()]
