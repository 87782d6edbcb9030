"""When frames are shown, where a container's times or its length cannot be taken at their word.

A camera whose clock was reset, or recordings that were joined, give times that fall back; a header may state a fraction
of what was written behind it. Times are laid end to end here, and a length is measured by decoding.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurize.decoding.ffmpeg import AS_PPM, FrameStream, Probe, as_file, stream_frames
from featurize.motion.image_facts import LOW_FPS
from featurize.views.sampling import SamplingPlan

# Decoders give frames a little out of order where data is damaged; a clock that was set back falls by more than this.
_LEAST_FALL_S = 0.25
_LEAST_FALL_FRAMES = 4
_USUAL_FPS = 10.0
# A time so far from the one before, next to how far apart times are otherwise, is a hole and no picture.
_HOLE_GAPS = 10
_LEAST_HOLE_S = 2.0
_FEWEST_FOR_GAP = 3
_LOOKS_PER_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long a picture was seen to be.

    Attributes:
        start_s: when it begins.
        seconds: from its first frame to the end of its last; NaN if there is none.
    """

    start_s: float
    seconds: float


def unbroken_filter(fps: float) -> str:
    """The filter of ffmpeg that lays times which fall back behind those before; it changes no other time.

    Args:
        fps: frames a second that the container states; NaN where it states none.
    """
    gap_s = 1 / fps if fps > 0 else 1 / _USUAL_FPS
    fall_s = max(_LEAST_FALL_S, _LEAST_FALL_FRAMES * gap_s)
    fell = f"if(gt(PREV_INPTS-PTS\\,{fall_s!r}/TB)\\,PREV_INPTS-PTS+floor({gap_s!r}/TB)\\,0)"
    return f"setpts='0*st(0\\,ld(0)+{fell})+PTS+ld(0)'"


def length_of(times_s: NDArray[np.float64], fps: float) -> Length:
    """The length of a picture of which frames were seen at `times_s`, in any order, among them the first and last."""
    if not len(times_s):
        return Length(start_s=0.0, seconds=float("nan"))
    gap_s = 1 / fps if fps > 0 else 1 / LOW_FPS
    return Length(start_s=float(times_s.min()), seconds=float(np.ptp(times_s)) + gap_s)


def filled_s(times_s: NDArray[np.float64]) -> float:
    """How many seconds between the first and the last of `times_s` hold frames: holes are left out."""
    gaps = np.diff(np.unique(times_s))
    if not len(gaps):
        return 0.0
    return float(gaps[gaps <= max(_LEAST_HOLE_S, _HOLE_GAPS * float(np.median(gaps)))].sum())


def measure_length(path: Path, container: Probe, *, timeout_s: float) -> Length:
    """How long the picture of the video at `path` is, by decoding all of it."""
    looks = SamplingPlan(bins_per_s=_LOOKS_PER_S, expected=0, limit=0)
    tiny = "scale=w=16:h=16:flags=neighbor,format=rgb24,showinfo@low=checksum=0[low]"
    graph = f"[0:{container.track}]{unbroken_filter(container.fps)},{looks.select_filter},{tiny}"
    arguments = [
        "-reinit_filter",
        "0",
        "-i",
        as_file(path),
        "-filter_complex",
        graph,
        "-map",
        "[low]",
        *AS_PPM,
        "pipe:1",
    ]
    stream = FrameStream()
    for _ in stream_frames(arguments, stream, timeout_s=timeout_s):
        pass
    times_s = np.array(stream.times_s("low"))
    if len(times_s) < _FEWEST_FOR_GAP:
        return length_of(times_s, container.fps)
    # Where no container states a rate, what ffmpeg prints for one is a guess.
    return length_of(times_s, 1 / float(np.median(np.diff(times_s))))


def is_known(duration_s: float) -> bool:
    """Whether a duration is one, and not NaN for unknown."""
    return math.isfinite(duration_s) and duration_s > 0
