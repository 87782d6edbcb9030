"""What a view is: which part of a frame is shown to a network."""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from featurize.motion.boxes import Box
    from featurize.motion.energy import Motion


class View(Protocol):
    """Says which parts of each frame are shown.

    Importing a view's module must be cheap, since `featurize --help` lists the views: what they import of motion
    (numpy, OpenCV) they import when they are asked.
    """

    @property
    def name(self) -> str:
        """What it is called on the command line and in feature keys."""
        ...

    @property
    def crops(self) -> bool:
        """Whether it may show less than the frame: then each crop's box and confidence are stored beside it."""
        ...

    @property
    def needs_whole_clip(self) -> bool:
        """Whether frames must wait until motion is known, which it is when the clip has been decoded to its end.

        If not, frames are cropped as they come, by the boxes that `boxes` gives for a clip without motion.
        """
        ...

    @property
    def needs_background(self) -> bool:
        """Whether it compares a clip with the camera's other clips.

        If so, what each clip of the command is seen against is found out before the first of them is decoded, and
        stands in `Motion.difference`, where enough other clips show the same framing.
        """
        ...

    @property
    def evens_contrast(self) -> bool:
        """Whether networks see its squares, other than the whole frame, in a more usual contrast.

        Features of the view are made without where keys ask for that: those of before it could be had.
        """
        ...

    @property
    def needs_detector(self) -> str:
        """The detector that is asked about a clip's frames, "" for none; what it found stands in `Motion.detected`."""
        ...

    def settings(self) -> dict[str, Any]:
        """Every number that decides what is shown, as it stands in feature keys; the names are there for ever."""
        ...

    def boxes(self, motion: "Motion", index: int, aspect: float) -> "list[Box]":
        """What is shown of one frame, at least one box.

        Args:
            motion: of the clip.
            index: of the low-resolution frame of `motion` that is nearest in time; `motion` may have none.
            aspect: width of the frame over its height, in pixels.
        """
        ...
