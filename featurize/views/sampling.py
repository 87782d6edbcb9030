"""Which frames of a clip are taken.

Time is cut into equal bins and the first frame of each bin is taken, so that no frame is ever taken twice: a clip that
holds fewer frames than there are bins gives what it has.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurize.errors import SettingsError
from featurize.motion.keyframes import ENERGY_POWER, QUIET_SHARE
from featurize.motion.settings import motion_settings

# Container times are rounded to a tick; a frame that stands this close before a bin's start belongs to the bin.
_BIN_TOLERANCE = 1e-3
# The times that ffmpeg prints are rounded by less than this share of a bin.
_PRINTED_BINS = 0.05
# Frames are chosen by motion among so many a second, and so many in all.
CANDIDATES_PER_S = 4.0
MOST_CANDIDATES = 240
USUAL_FPS = 3.0
MAX_FRAMES = 180


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Frames at `fps` a second, at most `max_frames` of them; or `frames` a clip, evenly spaced or chosen by motion.

    With `fps`, a clip too long for `max_frames` is sampled more thinly over its whole length, never cut.

    Example:
        featurize.Sampling(fps=3)
        featurize.Sampling(frames=16, choose="motion")

    Attributes:
        fps: frames a second, or None.
        frames: frames a clip, or None. Exactly one of the two is given.
        max_frames: most frames of one clip under `fps`.
        choose: "even", or "motion": which ones make up `frames`.
    """

    fps: float | None = None
    frames: int | None = None
    max_frames: int = MAX_FRAMES
    choose: Literal["even", "motion"] = "even"

    def __post_init__(self) -> None:
        if (self.fps is None) == (self.frames is None):
            raise SettingsError("sampling: give either frames a second (--fps) or frames a clip (--frames), not both")
        if self.by_motion and self.frames is None:
            raise SettingsError("sampling: --choose motion needs the number of frames a clip (--frames)")
        for name, value, low, high in (
            ("--fps", self.fps, 0.01, 120),
            ("--frames", self.frames, 1, 4096),
            ("--max-frames", self.max_frames, 1, 4096),
        ):
            if value is not None and not low <= value <= high:
                raise SettingsError(f"sampling: {name} is {value:g}, expected {low:g} to {high:g}")

    def to_json(self) -> dict[str, Any]:
        """The settings as they stand in a feature key."""
        if self.by_motion:
            return {
                "mode": "motion",
                "frames": self.frames,
                "candidates_per_s": CANDIDATES_PER_S,
                "candidates": MOST_CANDIDATES,
                "quiet_share": QUIET_SHARE,
                "energy_power": ENERGY_POWER,
                **motion_settings(),
            }
        if self.frames is not None:
            return {"mode": "frames", "frames": self.frames}
        return {"mode": "fps", "fps": self.fps, "max_frames": self.max_frames}

    @property
    def by_motion(self) -> bool:
        """Whether motion decides which frames are taken."""
        return self.choose == "motion"

    @property
    def needs_duration(self) -> bool:
        """Whether the bins cannot be laid without knowing how long the clip is."""
        return self.frames is not None

    def plan(self, duration_s: float, source_fps: float) -> "SamplingPlan":
        """The bins for a clip.

        Args:
            duration_s: length of the clip in seconds; NaN where it is unknown.
            source_fps: frames a second of the clip; NaN where it is unknown.
        """
        known = math.isfinite(duration_s) and duration_s > 0
        if self.frames is not None:
            if not known:
                raise SettingsError("sampling: frames evenly spaced need the clip's duration, which is unknown")
            bins = max(self.frames, self._candidates(duration_s)) if self.by_motion else self.frames
            return SamplingPlan(bins_per_s=bins / duration_s, expected=self.frames, limit=bins)
        asked = float(self.fps or 0)
        if not known:
            return SamplingPlan(bins_per_s=asked, expected=0, limit=self.max_frames)
        rate = min(asked, self.max_frames / duration_s)
        gap_s = 1 / source_fps if math.isfinite(source_fps) and source_fps > 0 else 1 / rate
        last_frame_s = max(0.0, duration_s - gap_s)
        expected = math.floor(last_frame_s * rate + _BIN_TOLERANCE) + 1
        return SamplingPlan(bins_per_s=rate, expected=min(expected, self.max_frames), limit=self.max_frames)

    @staticmethod
    def _candidates(duration_s: float) -> int:
        return min(MOST_CANDIDATES, math.ceil(duration_s * CANDIDATES_PER_S))


# Of new stores, where nobody says anything else: as good as three a second for a fifth of the work (docs/scores.md).
USUAL = Sampling(frames=8, choose="motion")


def sampling_options(said: Mapping[str, Any]) -> str:
    """The options of the command that ask for a sampling, given as it stands in a feature key."""
    if said["mode"] != "fps":
        return f"--frames {said['frames']}{' --choose motion' if said['mode'] == 'motion' else ''}"
    limit = "" if said["max_frames"] == MAX_FRAMES else f" --max-frames {said['max_frames']}"
    return f"--fps {said['fps']:g}{limit}"


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
    """The bins of one clip.

    Attributes:
        bins_per_s: bins a second.
        expected: frames that were asked for; 0 where the clip's length is unknown.
        limit: most frames to decode; more than `expected` where some are chosen among them.
        start_s: when the first bin begins.
    """

    bins_per_s: float
    expected: int
    limit: int
    start_s: float = 0.0

    def bins_until(self, last_frame_s: float) -> int:
        """How many bins begin until the clip's last frame."""
        return math.floor((last_frame_s - self.start_s) * self.bins_per_s + _BIN_TOLERANCE) + 1

    def count_within(self, times_s: NDArray[np.float64]) -> int:
        """How many of `times_s`, each of which is in a bin of its own, are in the bins that were asked for."""
        if not self.expected:
            return len(times_s)
        end_s = self.start_s + (self.expected - _PRINTED_BINS) / self.bins_per_s
        return int(np.count_nonzero(times_s < end_s))

    @property
    def select_filter(self) -> str:
        """The `select` filter of ffmpeg that passes the first frame of each bin."""
        now, before = self.bin_of("t"), self.bin_of("prev_selected_t")
        return f"select='isnan(prev_selected_t)+gt({now}\\,{before})'"

    def bin_of(self, time: str) -> str:
        """The expression of ffmpeg for the number of the bin in which a time in seconds lies, itself an expression."""
        start = f"-{self.start_s!r}" if self.start_s else ""
        return f"floor(({time}{start})*{float(self.bins_per_s)!r}+{_BIN_TOLERANCE})"
