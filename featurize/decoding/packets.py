"""Videos whose frames all stand by themselves: frames that nobody takes need not be decoded.

Only Motion JPEG is such a video here, and only one in which nothing speaks of damage: a decoder tells of damage in the
frames that it is given, so all of them are given to it where there may be any.
"""

import math
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

from featurize.decoding.ffmpeg import Probe, as_file, error_lines, ffmpeg_command
from featurize.decoding.watchdog import FrameWatch, open_log
from featurize.views.sampling import SamplingPlan

# Those of other containers get their times by being counted, once they are decoded.
_TIMED = ("avi", "mov", "matroska", "asf")
# What is read is read once more for it: that pays where at least so many frames are left out.
_LEAST_DROPPED = 0.3
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_BASELINE, _SCAN = 0xC0, 0xDA
_CODE_ENDS = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# More than a whole block's coefficients one after the other that are all the least that there is: no picture has that.
_ZEROS = bytes(32)
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_TIMES = re.compile(r"\[showinfo @ [^\]]*\] \[info\] n:\s*\d+ size:\s*\d+ pts:(\S+) pt:(\S+) ")
_NEARLY = 1e-6


@dataclass(frozen=True, kw_only=True)
class WholeFrames:
    """A video whose packets are whole pictures in the order of their times, none of which looks damaged.

    Attributes:
        start_s: time of the first one, as the container states it.
        end_s: time of the last one.
    """

    start_s: float
    end_s: float


def find_whole_frames(path: Path, container: Probe, *, timeout_s: float) -> WholeFrames | None:
    """What is known of a video if any of its packets may be left out; None if all of them are to be decoded.

    It is read, and not decoded.
    """
    if container.codec != "mjpeg" or not container.container.startswith(_TIMED):
        return None
    track = container.track
    command = [*ffmpeg_command(), f"-bsf:{track}", "showinfo", "-i", as_file(path), "-map", f"0:{track}"]
    with open_log() as log_file:
        process = subprocess.Popen(
            [*command, "-c", "copy", "-f", "mpjpeg", "pipe:1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
        )
        watch = FrameWatch(process, log_file, timeout_s)
        try:
            assert process.stdout is not None
            with watch, process.stdout as pipe:
                count = _count_sound(pipe, watch)
                failed = count == 0 or process.wait() != 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if failed:
            return None
        log_file.seek(0)
        log = log_file.read().decode("utf-8", "replace")
    times = _TIMES.findall(log)
    if error_lines(log) or len(times) != count or not _all_rise([pts for pts, _ in times]):
        return None
    return WholeFrames(start_s=float(times[0][1]), end_s=float(times[-1][1]))


def _count_sound(pipe: IO[bytes], watch: FrameWatch) -> int:
    """How many pictures there are; 0 if any of them looks damaged, or is in another form than the first."""
    count, form = 0, b""
    for picture in _pictures(pipe):
        watch.frame_came()
        found = form_of_sound(picture)
        if not found or (form and found != form):
            return 0
        count, form = count + 1, found
    return count


def _pictures(pipe: IO[bytes]) -> Iterator[bytes]:
    """The packets of a stream in ffmpeg's format `mpjpeg`, which says how long each is."""
    for line in pipe:
        length = _LENGTH.match(line)
        if length:
            pipe.readline()
            yield pipe.read(int(length[1]))


def form_of_sound(picture: bytes) -> bytes:
    """The size and the sampling that a baseline JPEG states, if it is one from end to end; b"" if it is not.

    Damage writes markers into its code that cannot stand there, or zeros, or takes its end; of a few changed bits it
    may do nothing of the kind.
    """
    place, form = 2, b""
    while picture.startswith(_SOI) and place + 4 <= len(picture) and picture[place] == _EOI[0]:
        marker, size = picture[place + 1], int.from_bytes(picture[place + 2 : place + 4])
        after = place + 2 + size
        if marker == _BASELINE:
            form = picture[place + 4 : after]
        if marker == _SCAN:
            end = _CODE_ENDS.search(picture, after)
            if end is None or end[0] != _EOI or picture[end.end() :].strip(b"\0"):
                return b""
            return b"" if picture.find(_ZEROS, after, end.start()) >= 0 else form
        place = after
    return b""


def _all_rise(stamps: Sequence[str]) -> bool:
    """Whether times in ticks are all there and each is later than the one before."""
    if not all(stamp.lstrip("-").isdecimal() for stamp in stamps):
        return False
    ticks = [int(stamp) for stamp in stamps]
    return all(earlier < later for earlier, later in pairwise(ticks))


def pays_to_drop(plans: Sequence[SamplingPlan], fps: float) -> bool:
    """Whether enough of `fps` frames a second are taken by none of `plans`."""
    rates = sorted(plan.bins_per_s for plan in plans)
    nested = all(math.isclose(rates[-1] % rate % rate, 0, abs_tol=_NEARLY * rate) for rate in rates)
    return (rates[-1] if nested else sum(rates)) < (1 - _LEAST_DROPPED) * fps


def dropping(track: int, plans: Sequence[SamplingPlan]) -> list[str]:
    """The options of ffmpeg, before its input, by which packets that none of `plans` takes are not decoded."""
    bins = [plan.bin_of("(pts*tb)") for plan in plans]
    first = "+".join(f"0*st({place}\\,{each})" for place, each in enumerate(bins))
    taken = "+".join(f"if(gt({each}\\,ld({place}))\\,1+0*st({place}\\,{each})\\,0)" for place, each in enumerate(bins))
    return [f"-bsf:{track}", f"noise=drop='not(if(eq(n\\,0)\\,1+{first}\\,{taken}))'"]
