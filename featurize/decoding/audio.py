"""The sound of a clip: decoded by ffmpeg, cut into a window around each sampled frame, or into pieces that follow each
other.

A clip without sound has no windows but a reason. A frame that stands where the sound has not begun or has ended already
has no window either: silence is never made up.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurize.decoding.ffmpeg import Probe, as_file, clean_text, ffmpeg_binary
from featurize.decoding.watchdog import run_to_its_end

RATE_HZ = 16_000
WINDOW_S = 1.0
WAVEFORM_HZ = 22_050
PIECE = 4_096  # samples; 80 pieces are the 327,680 that the second place of Pri-matrix Factorization listened to
_TIMEOUT_S = 60.0
# The first picture and the first sound seldom stand at the very same tick.
_SAME_TIME_S = 0.1
_WINDOW = int(RATE_HZ * WINDOW_S)


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What a clip sounds like around its frames.

    Attributes:
        windows: (S, 16000) float32 mono at 16 kHz, -1 to 1, a second around each of S frames.
        frames: (S,) which of the clip's frames they belong to.
        reason: why S is 0 or less than there are frames; "" if it is not.
    """

    windows: NDArray[np.float32]
    frames: NDArray[np.int64]
    reason: str


def decode_sound(path: Path, times_s: NDArray[np.float64], source: Probe) -> Sound:
    """The sound around the frames of a clip.

    Args:
        path: the clip.
        times_s: (T,) when its frames were shown.
        source: what the container says.
    """
    samples, problem = _samples(path, source, RATE_HZ)
    return no_sound(problem) if problem else cut_windows(samples, times_s, source.audio_start_s)


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """The whole sound of a clip.

    Attributes:
        pieces: (P, 4096) float32 mono at 22,050 Hz, -1 to 1, one piece after the other without a gap.
        times_s: (P,) when each begins.
        reason: why P is 0; "" if it is not.
    """

    pieces: NDArray[np.float32]
    times_s: NDArray[np.float64]
    reason: str


def decode_waveform(path: Path, source: Probe) -> Waveform:
    """The whole sound of a clip, but for what is left behind the last whole piece: less than a fifth of a second.

    Args:
        path: the clip.
        source: what the container says.
    """
    samples, problem = _samples(path, source, WAVEFORM_HZ)
    if problem:
        return no_waveform(problem)
    count = len(samples) // PIECE
    pieces = samples[: count * PIECE].reshape(count, PIECE)
    if not count:
        length_s = len(samples) / WAVEFORM_HZ
        return no_waveform(f"the sound is {length_s:.2f} s long, expected at least {PIECE / WAVEFORM_HZ:.2f} s")
    if not np.isfinite(pieces).all():
        return no_waveform("the sound holds numbers that are not finite")
    times_s = source.audio_start_s + np.arange(count, dtype=np.float64) * (PIECE / WAVEFORM_HZ)
    return Waveform(pieces=pieces, times_s=np.asarray(times_s, np.float64), reason="")


def no_waveform(reason: str) -> Waveform:
    """A clip without sound, for `reason`."""
    return Waveform(pieces=np.empty((0, PIECE), np.float32), times_s=np.empty(0), reason=reason)


def _samples(path: Path, source: Probe, rate_hz: int) -> tuple[NDArray[np.float32], str]:
    """The sound of a clip, mono, (n,) samples; and why there are none, "" if there are some."""
    nothing = np.empty(0, np.float32)
    if not source.has_audio:
        return nothing, "the clip has no sound"
    arguments = ["-map", "0:a:0", "-vn", "-ac", "1", "-ar", str(rate_hz), "-f", "f32le", "pipe:1"]
    command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-threads", "1", "-i", as_file(path), *arguments]
    done = run_to_its_end(command, timeout_s=_TIMEOUT_S)
    if done is None:
        return nothing, f"the sound was not decoded in {_TIMEOUT_S:g} s"
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 4 * 4], np.float32)
    if not len(samples):
        why = done.stderr.decode(errors="replace").strip().splitlines()
        return nothing, f"the sound cannot be decoded: {clean_text(why[0])}" if why else "the sound track is empty"
    return samples, ""


def cut_windows(samples: NDArray[np.float32], times_s: NDArray[np.float64], start_s: float = 0.0) -> Sound:
    """A second of `samples` around each time, moved inwards at the sound's ends; nothing outside of them.

    Args:
        samples: (n,) the sound.
        times_s: (T,) the times of the frames.
        start_s: when the sound begins.
    """
    length_s = len(samples) / RATE_HZ
    after_s = times_s - start_s
    frames = np.flatnonzero((after_s > -_SAME_TIME_S) & (after_s < length_s))
    if len(samples) < _WINDOW or not len(frames):
        return no_sound(f"the sound is {length_s:.2f} s long, expected at least {WINDOW_S:g} s while frames are shown")
    starts = np.clip((after_s[frames] * RATE_HZ).astype(np.int64) - _WINDOW // 2, 0, len(samples) - _WINDOW)
    windows = np.stack([samples[start : start + _WINDOW] for start in starts])
    return Sound(windows=windows, frames=frames, reason=_why_fewer(frames, times_s, start_s, length_s))


def _why_fewer(frames: NDArray[np.int64], times_s: NDArray[np.float64], start_s: float, length_s: float) -> str:
    """Why not all frames have sound; "" if they have."""
    if len(frames) == len(times_s):
        return ""
    begins = f"begins after {start_s:.1f} s" if frames[0] > 0 else ""
    ends = f"ends after {start_s + length_s:.1f} s" if frames[-1] < len(times_s) - 1 else ""
    when = " and ".join(filter(None, (begins, ends)))
    return f"the sound {when}: {len(frames)} of {len(times_s)} frames have it"


def no_sound(reason: str) -> Sound:
    """A clip without windows, for `reason`."""
    return Sound(windows=np.empty((0, _WINDOW), np.float32), frames=np.empty(0, np.int64), reason=reason)
