"""From decoded frames to the pictures that networks are shown, without holding more frames than must wait."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurize.motion.boxes import Box, boxes_of
from featurize.motion.energy import Motion
from featurize.motion.keyframes import choose_by_motion
from featurize.views.spool import FrameSpool
from featurize.views.view import MOTION, WHOLE, Look, Pictures, in_groups


class PictureMaker:
    """Takes the frames of one clip as they are decoded, and makes each look's pictures of them.

    Whole frames are resized at once. Full-resolution frames wait only where motion, which is known when the clip has
    been seen to its end, decides which of them are taken or what part of them is seen.
    """

    def __init__(self, looks: Sequence[Look], keep: int | None) -> None:
        """Make pictures for `looks`; of more frames than `keep`, those that motion favours (None: all)."""
        self._looks = looks
        self._keep = keep
        self._fitted: dict[Look, list[NDArray[np.uint8]]] = {look: [] for look in looks if look.view == WHOLE}
        self._spool = FrameSpool() if keep is not None or any(look.view == MOTION for look in looks) else None

    def take(self, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, (H, W, 3)."""
        if self._spool is not None:
            self._spool.append(frame)
        if self._keep is None:
            self._fit(frame)

    def finish(self, times_s: NDArray[np.float64], motion: Motion) -> tuple[NDArray[np.int64], dict[Look, Pictures]]:
        """The places of the frames that are taken, and the pictures of each look.

        Args:
            times_s: (T,) the times of the frames.
            motion: of the clip.
        """
        nearest = motion.nearest(times_s)
        energy = motion.energy_at(times_s)
        taken = np.arange(len(times_s))
        if self._keep is not None and self._spool is not None:
            taken = choose_by_motion(energy, self._keep)
            for place in taken:
                self._fit(self._spool[int(place)])
        pictures = {
            look: Pictures(
                groups=in_groups(fitted[: len(taken)]),
                times_s=times_s[taken],
                per_frame={"motion_energy": energy[taken]},
            )
            for look, fitted in self._fitted.items()
        }
        return taken, pictures | self._closer(times_s, taken, motion, nearest)

    def close(self) -> None:
        """Let go of the frames that waited."""
        if self._spool is not None:
            self._spool.close()

    def _fit(self, frame: NDArray[np.uint8]) -> None:
        for look, fitted in self._fitted.items():
            fitted.append(look.canvas.fit(frame))

    def _closer(
        self, times_s: NDArray[np.float64], taken: NDArray[np.int64], motion: Motion, nearest: NDArray[np.int64]
    ) -> dict[Look, Pictures]:
        """The pictures of the looks that see squares around what moves."""
        looks = [look for look in self._looks if look.view == MOTION]
        if not looks or self._spool is None:
            return {}
        fitted: dict[Look, list[NDArray[np.uint8]]] = {look: [] for look in looks}
        boxes: list[Box] = []
        times: list[float] = []
        for place in taken:
            frame = self._spool[int(place)]
            found = boxes_at(motion, int(nearest[place]), frame.shape[1] / frame.shape[0])
            boxes += found
            times += [float(times_s[place])] * len(found)
            for look in looks:
                fitted[look] += [look.canvas.fit(_cut(frame, box)) for box in found]
        per_frame = {
            "motion_energy": np.array([box.energy for box in boxes], np.float32),
            "motion_confidence": np.array([box.confidence for box in boxes], np.float32),
            "box": np.array([(box.left, box.top, box.right, box.bottom) for box in boxes], np.float32).reshape(-1, 4),
        }
        return {
            look: Pictures(groups=in_groups(pixels), times_s=np.array(times), per_frame=per_frame)
            for look, pixels in fitted.items()
        }


def boxes_at(motion: Motion, index: int, aspect: float) -> list[Box]:
    """The boxes of the low-resolution frame `index`; the whole frame where the clip has no such frame."""
    return boxes_of(motion.cells[index], aspect) if len(motion.cells) else [Box()]


def _cut(frame: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    left, top, right, bottom = box.pixels(frame.shape[1], frame.shape[0])
    return np.ascontiguousarray(frame[top:bottom, left:right])
