"""ffmpeg as a subprocess: what it prints about a file, and frames out of it.

The binary is the one that imageio-ffmpeg brings. It has no ffprobe, so the facts are read from what ffmpeg prints.
"""

import functools
import math
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from featurize.decoding.pictures.ppm import ppm_frames
from featurize.decoding.tracks import choose_track, packets_read, video_tracks
from featurize.decoding.watchdog import FRAME_LINE, FrameWatch, open_log, run_to_its_end

_PROBE_TIMEOUT_S = 30.0
_SEVERAL = 2
# Frames as PPM, each of them. In ticks of the rate that ffmpeg makes out, two of a varying one would stand at one time.
AS_PPM = ("-fps_mode", "passthrough", "-enc_time_base", "1:1000000", "-f", "image2pipe", "-c:v", "ppm")
_MOST_LOG_BYTES = 8 * 2**20
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_INPUT = re.compile(r"Input #0, ([^ ]+), from ")
_AUDIO = re.compile(r"Stream #0:\d+[^\n]*?: Audio: (?P<rest>[^\n]*)")
_STREAM_START = re.compile(r", start (-?[\d.]+)")
_INPUT_START = re.compile(r"Duration: [^\n]*, start: (-?[\d.]+)")
_FPS = re.compile(r", ([\d.]+)(k?) fps")
_RECORDED = re.compile(r"^\[info\]\s+(?:creation_time|date|DateTimeOriginal)\s*: (\S.*?)\s*$", re.MULTILINE)
# Containers that never were told the time state the start of their epoch.
_UNSET_CLOCK = ("1970-01-01", "1904-01-01")
_PROGRESS_TIME = re.compile(r"time=(\d+):(\d\d):(\d\d(?:\.\d+)?)")
# What it says when it is run only for what it prints about a file.
_ABOUT_THE_COMMAND = "At least one output file must be specified"
_COMPLAINT = re.compile(
    r"^(?:\[[^\]]+ @ [^\]]+\] )*\[(?P<level>error|fatal|panic|warning)\] (?P<what>.*)$", re.MULTILINE
)


@functools.cache
def ffmpeg_binary() -> str:
    """The path of the ffmpeg that decodes."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the container states; NaN, "" or -1 where it states nothing.

    Attributes:
        container: ffmpeg's name of the format.
        track: which of the container's streams the picture is.
        video_tracks: how many video tracks there are to choose from.
        codec: ffmpeg's name of the video codec, "" if there is no picture.
        width: pixels as coded.
        height: pixels as coded.
        pixel_format: ffmpeg's name of how pixels are laid out.
        fps: frames a second.
        duration_s: seconds.
        has_audio: whether there is an audio stream.
        audio_start_s: seconds from the clip's start to that of its sound; 0 where nothing is said.
        recorded_at: recording time, as the container writes it.
        errors: what ffmpeg complained about, each once.
    """

    container: str = ""
    track: int = 0
    video_tracks: int = 0
    codec: str = ""
    width: int = -1
    height: int = -1
    pixel_format: str = ""
    fps: float = float("nan")
    duration_s: float = float("nan")
    has_audio: bool = False
    audio_start_s: float = 0.0
    recorded_at: str = ""
    errors: tuple[str, ...] = ()


@dataclass
class FrameStream:
    """A running decode: iterate for frames, then ask how it ended.

    Attributes:
        return_code: ffmpeg's exit code once the frames are used up.
        timed_out: whether it was killed for giving no frame for too long.
        log: what it printed.
    """

    return_code: int = 0
    timed_out: bool = False
    log: str = field(default="", repr=False)

    def times_s(self, output: str) -> list[float]:
        """The presentation times that the filter `showinfo@output` printed, in order."""
        return [float(time) for time in re.findall(rf"\[showinfo@{output} [^\n]*pts_time:\s*(-?[\d.]+)", self.log)]

    @property
    def filters_built(self) -> int:
        """How often filters were built: more than once where the size or the pixel format of the picture changed."""
        return len(re.findall(r"\[showinfo@low [^\n]*config in ", self.log))

    @property
    def errors(self) -> tuple[str, ...]:
        """What ffmpeg complained about, each once."""
        return error_lines(self.log)


def as_file(path: Path) -> str:
    """`path` as ffmpeg takes it for a file, even where its name begins like `concat:` or `12:`."""
    return f"file:{path}"


def clean_text(text: str) -> str:
    """What a file says of itself in one line: cut off at the first zero character, which only pads."""
    return " ".join(text.partition("\0")[0].split())


def error_lines(log: str) -> tuple[str, ...]:
    """The complaints in a log of ffmpeg's, each once, in order; of its warnings, those of corrupt data only."""
    found = (
        clean_text(match["what"]).rstrip(".")
        for match in _COMPLAINT.finditer(log)
        if _ABOUT_THE_COMMAND not in match["what"]
        and (match["level"] != "warning" or "corrupt" in match["what"].lower())
    )
    return tuple(dict.fromkeys(found))


def probe(path: Path, *, count_packets: bool = False, timeout_s: float = _PROBE_TIMEOUT_S) -> Probe:
    """What ffmpeg prints about `path`.

    Args:
        path: a video file.
        count_packets: read the whole file, without decoding it, for the duration of a container that states none. It
            is read in any case where there are several video tracks, for the number of their frames.
        timeout_s: seconds until ffmpeg is killed.
    """
    command = [*ffmpeg_command(), "-i", as_file(path)]
    done = run_to_its_end(command, timeout_s=timeout_s)
    if done is None:
        return Probe(errors=(f"ffmpeg did not answer in {timeout_s:g} s",))
    log = done.stderr.decode("utf-8", "replace")
    tracks = video_tracks(log)
    if not count_packets and len(tracks) < _SEVERAL:
        return parse_probe(log)
    maps = [word for track in tracks for word in ("-map", f"0:{track.index}")]
    counting = [*command, *maps, "-c", "copy", "-f", "null", "-loglevel", "level+verbose", "-"]
    counted = run_to_its_end(counting, timeout_s=timeout_s)
    count = counted.stderr.decode("utf-8", "replace") if counted else ""
    found = parse_probe(log, packets_read(count))
    return replace(found, duration_s=_last_time(count)) if math.isnan(found.duration_s) else found


def parse_probe(log: str, packets: Mapping[int, int] = MappingProxyType({})) -> Probe:
    """The facts in what ffmpeg printed about its input; it is separate so that it can be tested on text.

    Args:
        log: what it printed.
        packets: how many packets each video track has, where that was counted.
    """
    container = _INPUT.search(log)
    tracks = video_tracks(log)
    video = choose_track(tracks, packets)
    fps = _FPS.search(video.rest) if video else None
    recorded = _RECORDED.search(log)
    recorded_at = clean_text(recorded[1]) if recorded else ""
    return Probe(
        container=container[1].rstrip(",") if container else "",
        track=video.index if video else 0,
        video_tracks=len(tracks),
        codec=video.codec if video else "",
        width=video.width if video else -1,
        height=video.height if video else -1,
        pixel_format=video.pixel_format if video else "",
        fps=float(fps[1]) * (1000 if fps[2] else 1) if fps else float("nan"),
        duration_s=_last_time(log),
        has_audio=_AUDIO.search(log) is not None,
        audio_start_s=_audio_start_s(log),
        recorded_at="" if recorded_at.startswith(_UNSET_CLOCK) else recorded_at,
        errors=error_lines(log),
    )


def _audio_start_s(log: str) -> float:
    """When the first sound begins; the times of frames are counted from the start of the whole input, as this is."""
    audio, whole = _AUDIO.search(log), _INPUT_START.search(log)
    stated = _STREAM_START.search(audio["rest"]) if audio else None
    return float(stated[1]) - (float(whole[1]) if whole else 0.0) if stated else 0.0


def _last_time(log: str) -> float:
    """The duration that the header states, else the time of the last packet that was counted, else NaN."""
    found = _DURATION.search(log) or ([None, *_PROGRESS_TIME.finditer(log)][-1])
    if found is None:
        return float("nan")
    seconds = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
    return seconds if seconds > 0 else float("nan")


def ffmpeg_command() -> list[str]:
    """How every command of ffmpeg begins: one thread, since clips are decoded side by side."""
    quiet = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"]
    return [ffmpeg_binary(), *quiet, "-filter_complex_threads", "1", "-threads", "1"]


def stream_frames(arguments: Sequence[str], stream: FrameStream, *, timeout_s: float) -> Iterator[NDArray[np.uint8]]:
    """Run ffmpeg so that it writes PPM pictures to its standard output, and yield them as they come.

    Args:
        arguments: everything after the global options; the output must be `*AS_PPM, "pipe:1"`.
        stream: filled in with how it ended.
        timeout_s: seconds without a new frame after which ffmpeg is killed.

    Yields:
        (H, W, 3) uint8 pictures; a picture that was cut off is not among them.
    """
    with open_log() as log_file:
        process = subprocess.Popen(
            [*ffmpeg_command(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log_file
        )
        watch = FrameWatch(process, log_file, timeout_s)
        try:
            if process.stdout is not None:
                with watch, process.stdout as pipe:
                    for frame in ppm_frames(pipe):
                        watch.frame_came()
                        yield frame
                    stream.return_code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            stream.timed_out = watch.timed_out
            stream.log = _read_log(log_file)


def _read_log(file: IO[bytes]) -> str:
    """What ffmpeg printed: every line that tells of a frame, and no more of its complaints than memory should hold."""
    file.seek(0)
    kept, complaints = [], 0
    for line in file:
        tells_of_frame = FRAME_LINE in line
        if tells_of_frame or complaints < _MOST_LOG_BYTES:
            kept.append(line)
            complaints += 0 if tells_of_frame else len(line)
    return b"".join(kept).decode("utf-8", "replace")
