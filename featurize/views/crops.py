"""From decoded frames to the crops that networks are shown, without holding more frames than must wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from featurize.motion.boxes import WHOLE_FRAME, Box
from featurize.motion.energy import NO_MOTION, Motion
from featurize.motion.keyframes import choose_by_motion
from featurize.views.contrast import even_out
from featurize.views.registry import DEFAULT_VIEW, find_view
from featurize.views.resize import Canvas
from featurize.views.spool import FrameSpool
from featurize.views.view import View


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """What a network is shown of a clip, and in what size.

    Attributes:
        canvas: the size in which it sees a frame or a part of one.
        view: name of the view, which says what part that is.
        contrast: whether parts, but not whole frames, are brought nearer to a usual contrast.
    """

    canvas: Canvas
    view: str = DEFAULT_VIEW
    contrast: bool = False


@dataclass(frozen=True, kw_only=True)
class Crops:
    """What a network is shown of a clip: R crops, one a frame or one a box.

    Attributes:
        by_size: crops of one size each: (places (n,) among the R, pixels (n, H, W, 3) uint8).
        times_s: (R,) time of each crop's frame in seconds; two boxes of a frame share theirs.
        per_frame: further numbers a crop, each (R, ...) float32: `motion_energy` (R,), and of views that may show less
            than the frame `box` (R, 4), left, top, right, bottom in shares of the frame, and `motion_confidence` (R,);
            of views that ask a detector `detector_box` (R, 4), what it found inside, and `detector_confidence` (R,).
    """

    by_size: tuple[tuple[NDArray[np.int64], NDArray[np.uint8]], ...]
    times_s: NDArray[np.float64]
    per_frame: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def found_no_crop(self) -> bool:
        """Whether a view that may show less than the frame shows nothing but whole frames."""
        boxes = self.per_frame.get("box")
        return boxes is not None and len(boxes) > 0 and bool((boxes == WHOLE_FRAME).all())


class CropMaker:
    """Takes the frames of one clip as they are decoded, and makes the crops of each spec of them.

    Frames are cropped at once where they can be. Full-resolution frames wait only where motion, which is known when the
    clip has been decoded to its end, decides which of them are taken or what part of them is seen.
    """

    def __init__(self, specs: Sequence[ViewSpec], keep: int | None) -> None:
        """Make crops for `specs`; of more frames than `keep`, those that motion favours (None: all)."""
        views = {spec: find_view(spec.view) for spec in specs}
        self._now = {spec: view for spec, view in views.items() if keep is None and not view.needs_whole_clip}
        self._later = {spec: view for spec, view in views.items() if spec not in self._now}
        self._keep = keep
        self._crops: dict[ViewSpec, list[list[NDArray[np.uint8]]]] = {spec: [] for spec in specs}
        self._aspects: list[float] = []
        self._spool = FrameSpool() if self._later else None

    def push(self, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, (H, W, 3)."""
        aspect = frame.shape[1] / frame.shape[0]
        self._aspects.append(aspect)
        for spec, view in self._now.items():
            self._crop(frame, spec, view.boxes(NO_MOTION, 0, aspect))
        if self._spool is not None:
            self._spool.append(frame)

    def frame(self, place: int) -> NDArray[np.uint8]:
        """The frame (H, W, 3) at `place` of those that came, where a view waits for the clip's end."""
        if self._spool is None:
            raise IndexError(place)
        return self._spool[place]

    def finish(self, times_s: NDArray[np.float64], motion: Motion) -> tuple[NDArray[np.int64], dict[ViewSpec, Crops]]:
        """The places of the frames that are taken, and the crops of each spec.

        Args:
            times_s: (T,) the times of the frames.
            motion: of the clip.
        """
        taken = np.arange(len(times_s))
        if self._keep is not None:
            taken = choose_by_motion(motion.energy_at(times_s), self._keep)
        nearest = motion.nearest(times_s)
        views = self._now | self._later
        boxes = {
            view.name: [view.boxes(motion, int(nearest[place]), self._aspects[place]) for place in taken]
            for view in views.values()
        }
        if self._spool is not None:
            for row, place in enumerate(taken):
                frame = self._spool[int(place)]
                for spec, view in self._later.items():
                    self._crop(frame, spec, boxes[view.name][row])
        return taken, {
            spec: _crops_of(view, self._crops[spec][: len(taken)], boxes[view.name], times_s[taken])
            for spec, view in views.items()
        }

    def close(self) -> None:
        """Let go of the frames that waited."""
        if self._spool is not None:
            self._spool.close()

    def _crop(self, frame: NDArray[np.uint8], spec: ViewSpec, boxes: Sequence[Box]) -> None:
        self._crops[spec].append([_seen(frame, box, spec) for box in boxes])


def _crops_of(
    view: View, crops: Sequence[list[NDArray[np.uint8]]], boxes: Sequence[list[Box]], times_s: NDArray[np.float64]
) -> Crops:
    """The crops of frames at `times_s`, with their numbers."""
    every = list(chain.from_iterable(boxes))
    per_frame = {"motion_energy": np.array([box.energy for box in every], np.float32)}
    if view.crops:
        corners = [(box.left, box.top, box.right, box.bottom) for box in every]
        per_frame["motion_confidence"] = np.array([box.confidence for box in every], np.float32)
        per_frame["box"] = np.array(corners, np.float32).reshape(-1, 4)
    if view.needs_detector:
        per_frame["detector_box"] = np.array([box.around for box in every], np.float32).reshape(-1, 4)
        per_frame["detector_confidence"] = np.array([box.confidence for box in every], np.float32)
    return Crops(
        by_size=group_by_size(list(chain.from_iterable(crops))),
        times_s=np.repeat(times_s, [len(found) for found in boxes]),
        per_frame=per_frame,
    )


def group_by_size(pixels: Sequence[NDArray[np.uint8]]) -> tuple[tuple[NDArray[np.int64], NDArray[np.uint8]], ...]:
    """Crops (H, W, 3) of any sizes as the `by_size` of `Crops`."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, crop in enumerate(pixels):
        places.setdefault(crop.shape, []).append(place)
    return tuple((np.array(found), np.stack([pixels[place] for place in found])) for found in places.values())


def _seen(frame: NDArray[np.uint8], box: Box, spec: ViewSpec) -> NDArray[np.uint8]:
    """What a network is shown of the part of `frame` (H, W, 3) in `box`."""
    crop = spec.canvas.fit(_cut(frame, box))
    return even_out(crop) if spec.contrast and not box.covers_frame else crop


def _cut(frame: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    left, top, right, bottom = box.pixels(frame.shape[1], frame.shape[0])
    return np.ascontiguousarray(frame[top:bottom, left:right])
