"""Whether frames are what they are said to be, over drawn videos of every kind: each frame carries its number.

    python -m benchmarks.corpus --count 240 --seed 0

Clips are drawn over containers, codecs, rates (also variable ones), lengths, sound and rotation; some are cut off,
damaged, joined, or have a header that states too little. Each is decoded under two samplings and checked: every frame
is a true one, at its time within one frame; frames are spread over what is there as the status claims; nothing crashes.
What is there is asked of a plain run of ffmpeg over all frames. Prints a line for each fault and one JSON line of
counts; the exit code tells whether there was a fault.
"""

import argparse
import json
import os
import re
import struct
import subprocess
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurize.decoding.decode import decode
from featurize.decoding.decoded import DecodedClip
from featurize.decoding.ffmpeg import as_file, ffmpeg_binary
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import Status

ROWS, COLUMNS, BLOCK_PX = 4, 5, 16
HEIGHT, WIDTH = ROWS * BLOCK_PX, COLUMNS * BLOCK_PX
NUMBER_BITS, CHECK_BITS = 12, 8
# At this size the picture is shown as it is, without resizing.
SPEC = ViewSpec(canvas=Canvas(px=64))
ENCODERS: dict[str, list[str]] = {
    "h264": ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"],
    "h264 with B-frames": ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-bf", "2"],
    "hevc": ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "12", "-x265-params", "log-level=error"],
    "mpeg2video": ["-c:v", "mpeg2video", "-q:v", "2"],
    "mpeg4": ["-c:v", "mpeg4", "-q:v", "2"],
    "mpeg4 with B-frames": ["-c:v", "mpeg4", "-q:v", "2", "-bf", "2"],
    "msmpeg4v2": ["-c:v", "msmpeg4v2", "-q:v", "2"],
    "msmpeg4v3": ["-c:v", "msmpeg4", "-q:v", "2"],
    "wmv2": ["-c:v", "wmv2", "-q:v", "2"],
    "mjpeg": ["-c:v", "mjpeg", "-q:v", "2"],
    "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"],
    "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"],
    "av1": ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-crf", "20"],
    "ffv1": ["-c:v", "ffv1"],
}
_H264 = ("h264", "h264 with B-frames")
_MPEG4 = ("mpeg4", "mpeg4 with B-frames")
CONTAINERS: dict[str, tuple[str, ...]] = {
    ".mp4": (*_H264, "hevc", *_MPEG4, "mjpeg", "vp9", "av1"),
    ".mov": (*_H264, "hevc", *_MPEG4, "mjpeg"),
    ".avi": ("h264", "mjpeg", *_MPEG4, "msmpeg4v2", "msmpeg4v3", "ffv1"),
    ".asf": ("msmpeg4v3", "wmv2", "h264", "mpeg4"),
    ".wmv": ("wmv2", "msmpeg4v3"),
    ".mkv": (*_H264, "hevc", "mpeg2video", *_MPEG4, "msmpeg4v3", "mjpeg", "vp8", "vp9", "av1", "ffv1"),
    ".mts": (*_H264, "hevc", "mpeg2video"),
    ".m2ts": _H264,
    ".mpg": ("mpeg2video",),
    ".mpeg": ("mpeg2video",),
    ".m4v": (*_H264, "mpeg4"),
    ".3gp": (*_H264, "mpeg4"),
    ".webm": ("vp8", "vp9", "av1"),
    ".h264": _H264,
    ".hevc": ("hevc",),
}
TRANSPORT = (".mts", ".m2ts")
RAW = (".h264", ".hevc")
SOUNDS = {
    ".avi": "pcm_s16le",
    ".asf": "wmav2",
    ".wmv": "wmav2",
    ".webm": "libopus",
    ".mpg": "mp2",
    ".mpeg": "mp2",
    ".mts": "aac",
}
VARIABLE = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".asf", ".mts")
TURNED = (".mp4", ".mov", ".m4v")
STATED = (".avi", ".mkv", ".webm")
MISSTATED = {"understated": 0.25, "overstated": 300.0}
CHANGING = (".avi", ".mkv", ".mov")
FALLING = (".mkv", ".webm")
LATE = (".mp4", ".mov", ".mkv")
JOINABLE = (".mp4", ".asf", ".mts", ".m2ts", ".mpg", ".mpeg", ".mkv", ".avi", *RAW)
# MPEG-2 knows no others.
MPEG2_RATES = (24.0, 25.0, 30.0, 50.0, 60.0)
RATES = (1.0, 2.0, 5.0, 8.0, 10.0, 12.5, 15.0, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0)
# What may be odd about a clip, and how often it is.
FORMS = {
    "whole": "nothing",
    "cut": "its end is missing, from a tenth of it to nine tenths",
    "damaged": "one to five stretches of random bytes",
    "joined": "two files, one behind the other",
    "understated": "its header states a quarter of its length",
    "overstated": "its header states three hundred times its length",
    "changing": "JPEGs of changing subsampling, some of them grey",
    "falling": "from some moment on, its times begin at 0 again",
}
FORM_SHARES = dict(zip(FORMS, (0.43, 0.14, 0.13, 0.07, 0.07, 0.04, 0.07, 0.05), strict=True))
# A cluster of Matroska with its size, perhaps a checksum, and the element that holds its time.
CLUSTER_TIME = re.compile(
    rb"\x1f\x43\xb6\x75(?:[\x80-\xff]|[\x40-\x7f].|[\x20-\x3f]..|\x01.{7})(?:\xbf\x84.{4})?\xe7", re.DOTALL
)
ENCODING_TIMEOUT_S = 120
# What a time may be off beyond one frame: Matroska counts milliseconds, MPEG-PS its own clock.
ROUNDING_S = 0.02
PRIMING_S = 0.1
FALLING_BLUR_FRAMES = 5
# By what share of it a picture may be longer than its header states, without being planned anew.
UNSTATED = 0.05


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a drawn clip is.

    Attributes:
        seed: of all that is drawn for it.
        suffix: its container.
        codec: a row of `ENCODERS`.
        fps: frames a second, of which some are missing where `kept_of` is not 0.
        count: frames, with those that are missing.
        kept_of: 0, or of so many frames about half are kept: the rate varies.
        sound_s: how long its sound lasts; 0 without.
        late_s: how much later than its sound its picture begins.
        turn: quarters of a turn that its container asks for.
        form: one of `FORMS`.
    """

    seed: int
    suffix: str
    codec: str
    fps: float
    count: int
    kept_of: int = 0
    sound_s: float = 0.0
    late_s: float = 0.0
    turn: int = 0
    form: str = "whole"

    @property
    def numbers(self) -> list[int]:
        """The frames that are in the clip, by their numbers; the time of frame n is n / fps."""
        return [number for number in range(self.count) if self.keeps(number)]

    def keeps(self, number: int) -> bool:
        return not self.kept_of or number * 7 % self.kept_of < self.kept_of // 2 + 1


@dataclass
class Outcome:
    """What was found out about a clip.

    Attributes:
        statuses: of its decodes.
        faults: what was not as it is said to be.
        frames: how many were compared with the truth.
        unreadable: whether ffmpeg finds no frame in it at all.
        unnoticed: decodes that show damage which nothing in the file tells of: most codecs have no checksums.
    """

    statuses: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    frames: int = 0
    unreadable: bool = False
    unnoticed: int = 0


def draw(seed: int) -> Drawn:
    rng = np.random.default_rng([seed, 20])
    form = str(rng.choice(list(FORMS), p=list(FORM_SHARES.values())))
    allowed = {
        "joined": JOINABLE,
        "understated": STATED,
        "overstated": STATED,
        "changing": CHANGING,
        "falling": FALLING,
    }
    suffix = str(rng.choice(allowed.get(form, tuple(CONTAINERS))))
    codec = "mjpeg" if form == "changing" else str(rng.choice(CONTAINERS[suffix]))
    fps = float(rng.choice(MPEG2_RATES if codec == "mpeg2video" else RATES))
    longest = 400 if rng.random() < 0.2 else 90
    count = int(rng.integers(20 if form == "joined" else 1, longest))
    whole = form == "whole"
    sound = suffix not in RAW and form not in ("joined", "changing") and rng.random() < 0.4
    sound_s = round(count / fps * float(rng.choice([0.6, 1.0, 1.02, 1.5])), 2) if sound else 0.0
    return Drawn(
        seed=seed,
        suffix=suffix,
        codec=codec,
        fps=fps,
        count=count,
        kept_of=int(rng.choice([5, 11])) if whole and suffix in VARIABLE and rng.random() < 0.3 else 0,
        sound_s=sound_s,
        late_s=float(rng.choice([0.5, 4.0])) if whole and sound and suffix in LATE and rng.random() < 0.8 else 0.0,
        turn=int(rng.integers(1, 4)) if suffix in TURNED and form != "changing" and rng.random() < 0.25 else 0,
        form=form,
    )


def check_of(number: int) -> int:
    """So that pictures without a number, and parts of two, are not taken for one; black is none."""
    return (number * 2654435761 >> 13) % 2**CHECK_BITS ^ 0b10100101


def picture(number: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the number and its check in black and white blocks."""
    word = number << CHECK_BITS | check_of(number)
    bits = np.array([word >> place & 1 for place in range(ROWS * COLUMNS)], np.uint8).reshape(ROWS, COLUMNS)
    return np.repeat((bits * 200 + 28).repeat(BLOCK_PX, 0).repeat(BLOCK_PX, 1)[..., None], 3, axis=2)


def number_in(frame: NDArray[np.uint8]) -> int | None:
    """The number that a frame (H, W, 3) carries; None if it carries none that can be trusted."""
    if frame.shape != (HEIGHT, WIDTH, 3):
        return None
    blocks = frame.astype(float).mean(axis=2).reshape(ROWS, BLOCK_PX, COLUMNS, BLOCK_PX)
    inner = blocks[:, 4:-4, :, 4:-4]
    levels = inner.mean(axis=(1, 3)).ravel()
    if (np.abs(levels - 128) < 40).any() or inner.std(axis=(1, 3)).max() > 40:
        return None
    word = sum(int(level > 128) << place for place, level in enumerate(levels))
    number = word >> CHECK_BITS
    return number if check_of(number) == word % 2**CHECK_BITS else None


def make(drawn: Drawn, folder: Path) -> Path:
    """The drawn clip, in a file of its own."""
    path = folder / f"{drawn.seed:05d}{drawn.suffix}"
    rng = np.random.default_rng([drawn.seed, 21])
    if drawn.form == "joined":
        half = drawn.count // 2
        parts = [folder / f"{drawn.seed:05d}-{part}{drawn.suffix}" for part in range(2)]
        for part, numbers in zip(parts, (range(half), range(half, drawn.count)), strict=True):
            encode(drawn, part, list(numbers))
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path
    encode(drawn, path, list(range(drawn.count)))
    content = bytearray(path.read_bytes())
    if drawn.form == "cut":
        del content[int(len(content) * rng.uniform(0.1, 0.98)) :]
    if drawn.form == "damaged":
        for place in rng.integers(0, len(content), int(rng.integers(1, 6))):
            length = int(rng.integers(1, max(2, len(content) // 40)))
            content[place : place + length] = rng.bytes(len(content[place : place + length]))
    if drawn.form in MISSTATED:
        _misstate(content, drawn, MISSTATED[drawn.form])
    if drawn.form == "falling":
        _begin_again(content, float(rng.uniform(0.3, 0.9)))
    path.write_bytes(content)
    return path


def let_fall(content: bytearray, falls_from: Callable[[int], int]) -> None:
    """Take off the time of each cluster of a Matroska file what `falls_from` makes of it, in milliseconds."""
    for match in CLUSTER_TIME.finditer(bytes(content)):
        start = match.end() + 1
        stop = start + (content[match.end()] & 0x7F)
        time_ms = int.from_bytes(content[start:stop], "big")
        content[start:stop] = (time_ms - falls_from(time_ms)).to_bytes(stop - start, "big")


def _begin_again(content: bytearray, share: float) -> None:
    """The clusters of a Matroska file after some share of them begin at 0 again."""
    clusters = list(CLUSTER_TIME.finditer(bytes(content)))
    place = max(1, int(len(clusters) * share))
    if place < len(clusters):
        start = clusters[place].end() + 1
        first_ms = int.from_bytes(content[start : start + (content[start - 1] & 0x7F)], "big")
        let_fall(content, lambda time_ms: first_ms if time_ms >= first_ms else 0)


def _misstate(content: bytearray, drawn: Drawn, share: float) -> None:
    """The header states `share` of the length."""
    if drawn.suffix == ".avi":
        stated = struct.pack("<I", max(1, int(drawn.count * share)))
        for marker, behind in ((b"avih", 24), (b"strh", 40)):
            place = content.index(marker) + behind
            content[place : place + 4] = stated
        return
    place = content.find(b"\x44\x89\x88")
    if place >= 0:
        content[place + 3 : place + 11] = struct.pack(">d", drawn.count / drawn.fps * share * 1000)


def encode(drawn: Drawn, path: Path, numbers: Sequence[int]) -> None:
    """Write the frames of `numbers`, of which some are dropped where the rate varies, by ffmpeg."""
    if drawn.form == "changing":
        words = ["-y", "-f", "mjpeg", "-r", str(drawn.fps), "-i", "pipe:0", "-c", "copy", as_file(path)]
        _run(words, b"".join(_jpegs(drawn, numbers)))
        return
    words = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    frames = [np.rot90(picture(number), drawn.turn) for number in numbers]
    height, width = frames[0].shape[:2]
    words += ["-s", f"{width}x{height}", "-r", str(drawn.fps), "-i", "pipe:0"]
    sound = ["-f", "lavfi", "-t", str(drawn.sound_s), "-i", "sine"] if drawn.sound_s else []
    coded = ["-c:a", SOUNDS.get(drawn.suffix, "aac")] if drawn.sound_s else []
    words += [] if drawn.late_s else [*sound, *coded]
    if drawn.kept_of:
        kept = f"select='lt(mod(n*7\\,{drawn.kept_of})\\,{drawn.kept_of // 2 + 1})'"
        words += ["-vf", kept, "-fps_mode", "passthrough"]
    gop = int(np.random.default_rng([drawn.seed, 22]).integers(1, 31))
    form = [] if drawn.codec == "mjpeg" else ["-g", str(gop)]
    form += ["-cluster_time_limit", "700"] if drawn.form == "falling" else []
    words += [*ENCODERS[drawn.codec], *form, "-pix_fmt", "yuvj420p" if drawn.codec == "mjpeg" else "yuv420p"]
    _run(["-y", *words, *(["-strict", "-2"] if drawn.suffix == ".3gp" else []), as_file(path)], _bytes_of(frames))
    if drawn.turn or drawn.late_s:
        plain = path.with_name(f"plain-{path.name}")
        path.rename(plain)
        turned = ["-display_rotation", str(-90 * drawn.turn)] if drawn.turn else []
        late = ["-itsoffset", str(drawn.late_s), "-i", as_file(plain), *sound, *coded] if drawn.late_s else []
        _run([*turned, *(late or ["-i", as_file(plain), "-c:a", "copy"]), "-c:v", "copy", as_file(path)], b"")


def _jpegs(drawn: Drawn, numbers: Sequence[int]) -> Iterator[bytes]:
    """The frames as JPEG files, of which every few have another pixel format."""
    rng = np.random.default_rng([drawn.seed, 24])
    every, modes = int(rng.integers(1, 30)), rng.permutation(["4:2:0", "4:2:2", "4:4:4", "grey"])
    for number in numbers:
        mode = str(modes[number // every % len(modes)])
        image, buffer = Image.fromarray(picture(number)), BytesIO()
        if mode == "grey":
            image.convert("L").save(buffer, "JPEG", quality=95)
        else:
            image.save(buffer, "JPEG", quality=95, subsampling=mode)
        yield buffer.getvalue()


def _bytes_of(frames: Sequence[NDArray[np.uint8]]) -> bytes:
    return b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames)


def _run(words: Sequence[str], content: bytes) -> None:
    command = [ffmpeg_binary(), "-hide_banner", "-loglevel", "error", *words]
    done = subprocess.run(command, input=content, capture_output=True, check=False, timeout=ENCODING_TIMEOUT_S)
    if done.returncode:
        raise OSError(f"{words[-1]}: ffmpeg could not write it: {done.stderr.decode(errors='replace').strip()}")


def readable_numbers(path: Path) -> list[int]:
    """The numbers that a plain run of ffmpeg over all frames gives, in its order; frames without one are left out."""
    words = ["-i", as_file(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-vf", f"scale={WIDTH}:{HEIGHT}"]
    command = [ffmpeg_binary(), "-loglevel", "quiet", "-nostdin", *words, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=ENCODING_TIMEOUT_S)
    whole = len(done.stdout) // (HEIGHT * WIDTH * 3) * HEIGHT * WIDTH * 3
    frames = np.frombuffer(done.stdout[:whole], np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    return [number for frame in frames if (number := number_in(frame)) is not None]


def samplings(drawn: Drawn) -> list[Sampling]:
    rng = np.random.default_rng([drawn.seed, 23])
    fps = float(rng.choice([0.5, 1.0, 3.0, 7.0, 30.0]))
    spread = Sampling(frames=int(rng.integers(1, 25)), choose="motion" if rng.random() < 0.2 else "even")
    return [spread, Sampling(fps=fps, max_frames=int(rng.choice([4, 20, 180])))]


def frames_in_order(clip: DecodedClip) -> list[NDArray[np.uint8]]:
    """The sampled frames as they are."""
    if not clip.crops:
        return []
    crops = clip.crops[SPEC]
    ordered: dict[int, NDArray[np.uint8]] = {}
    for places, pixels in crops.by_size:
        ordered.update(zip(map(int, places), pixels, strict=True))
    return [ordered[place] for place in sorted(ordered)]


def faults_of(drawn: Drawn, clip: DecodedClip, sampling: Sampling, there: Sequence[int]) -> Iterator[str]:
    """What is not as it is said to be; `there` are the numbers of the frames that can be read at all."""
    numbers = [number_in(frame) for frame in frames_in_order(clip)]
    if len(numbers) != len(clip.times_s):
        yield f"{len(numbers)} frames, {len(clip.times_s)} times"
        return
    if clip.status is Status.FAILED:
        if there:
            yield f"FAILED, and {len(there)} frames can be read: {clip.reason}"
        return
    if clip.status is Status.PARTIAL:
        # Where transport streams were joined, their packets' counters jump, which is what damage looks like.
        if drawn.form not in ("cut", "damaged") and (drawn.form, drawn.suffix in TRANSPORT) != ("joined", True):
            yield f"PARTIAL: {clip.reason}"
        return
    untrue = list(_untrue(drawn, numbers, clip, min(there, default=0)))
    yield from untrue
    if there and not untrue and not sampling.by_motion:
        yield from _uncovered(drawn, [number for number in numbers if number is not None], clip, sampling, there)


def _untrue(drawn: Drawn, numbers: Sequence[int | None], clip: DecodedClip, first: int) -> Iterator[str]:
    """Frames that are none, that come twice, or that are shown at another time."""
    if None in numbers:
        yield f"{numbers.count(None)} of {len(numbers)} frames show no number"
        return
    known = [number for number in numbers if number is not None]
    if sorted(set(known)) != known:
        yield f"frames come twice or in disorder: {known}"
        return
    times_s = np.array(known) / drawn.fps + drawn.late_s
    # A clip's time begins with what can be read of it, or with its sound, which coders begin a moment before.
    primed_s = min(max(0.0, clip.times_s[0] - times_s[0]), PRIMING_S) if drawn.sound_s and known else 0.0
    off_s = np.min([np.abs(clip.times_s + shift - times_s) for shift in (0.0, first / drawn.fps, -primed_s)], axis=0)
    if len(off_s) and off_s.max() > 1 / drawn.fps + ROUNDING_S + _blur_s(drawn):
        yield f"a frame stands {off_s.max():.3f} s off ({drawn.fps:g} a second): {known} at {clip.times_s.tolist()}"


def _blur_s(drawn: Drawn) -> float:
    """Times that fall among frames which are coded out of order leave it open when these were shown."""
    return FALLING_BLUR_FRAMES / drawn.fps if drawn.form == "falling" else 0.0


def _uncovered(
    drawn: Drawn, numbers: Sequence[int], clip: DecodedClip, sampling: Sampling, there: Sequence[int]
) -> Iterator[str]:
    """Stretches without a frame that the status does not tell of, and a status that tells of some where there are none.

    Between two frames lies less than a bin and the gap between two of the source's frames.
    """
    gaps = np.diff(np.unique([*there, max(there) + 1]), prepend=min(there)) / drawn.fps
    length_s = float(gaps.sum())
    stated_s = max(length_s, drawn.late_s + drawn.sound_s)
    rate = (sampling.frames or 0) / stated_s or min(sampling.fps or 0.0, sampling.max_frames / length_s)
    # A length that no header states is seen to an eighth of a second.
    most_s = (1 + UNSTATED) / rate + float(gaps.max()) + 2 * ROUNDING_S + 0.125 + _blur_s(drawn)
    begins_s = (numbers[0] - min(there)) / drawn.fps if numbers else length_s
    ends_s = (max(there) + 1 - max(numbers, default=0)) / drawn.fps - UNSTATED * length_s
    apart_s = max(begins_s, ends_s, *(np.diff(numbers) / drawn.fps))
    is_all = clip.status is Status.OK or "the picture lasts" in clip.reason or "joined behind" in clip.reason
    if is_all and apart_s > most_s:
        where = f"{apart_s:.2f} s without a frame, at most {most_s:.2f} s expected"
        yield f"{clip.status.name} ({clip.reason}), but {where}: {list(numbers)} of {min(there)} to {max(there)}"
    is_plain = drawn.form == "whole" and not drawn.kept_of and drawn.late_s + drawn.sound_s <= drawn.count / drawn.fps
    if clip.status is Status.SHORT and is_plain and rate < drawn.fps * 0.9:
        yield f"SHORT: {clip.reason}; {list(numbers)} of {min(there)} to {max(there)}"


def examine(drawn: Drawn, folder: Path) -> Outcome:
    """Make the clip, decode it and check what comes."""
    outcome = Outcome()
    path = make(drawn, folder)
    there = readable_numbers(path)
    outcome.unreadable = not there
    if drawn.form == "whole" and there and there != drawn.numbers:
        outcome.faults.append(f"the corpus: {len(there)} of {len(drawn.numbers)} frames can be read")
    for sampling in samplings(drawn):
        try:
            clip = decode(path, sampling, [SPEC])
        except Exception:  # noqa: BLE001  recorded as a fault of this clip
            outcome.faults.append(f"{sampling.to_json()}: {traceback.format_exc(limit=-3)}")
            continue
        outcome.statuses.append(clip.status.name)
        outcome.frames += len(clip.times_s)
        faults = [f"{_words(sampling)}: {fault}" for fault in faults_of(drawn, clip, sampling, there)]
        # Frames without a container that end in the midst of one are damaged, and no index tells where they should.
        hurt = drawn.form == "damaged" or (drawn.form == "cut" and drawn.suffix in RAW)
        if hurt and clip.status in (Status.OK, Status.SHORT):
            outcome.unnoticed += bool(faults)
        else:
            outcome.faults += faults
    for made in folder.glob(f"*{drawn.seed:05d}*"):
        made.unlink()
    return outcome


def _words(sampling: Sampling) -> str:
    if sampling.frames:
        return f"--frames {sampling.frames}" + (" --choose motion" if sampling.by_motion else "")
    return f"--fps {sampling.fps:g} --max-frames {sampling.max_frames}"


def examine_all(
    seeds: Sequence[int], workers: int, on_outcome: Callable[[Drawn, Outcome], None]
) -> list[tuple[Drawn, Outcome]]:
    """Every clip of `seeds`, in that order."""
    every = [draw(seed) for seed in seeds]
    with tempfile.TemporaryDirectory(prefix="corpus-") as name, ThreadPoolExecutor(workers) as pool:
        outcomes = []
        for drawn, outcome in zip(every, pool.map(lambda each: examine(each, Path(name)), every), strict=True):
            on_outcome(drawn, outcome)
            outcomes.append((drawn, outcome))
    return outcomes


def counts(examined: Sequence[tuple[Drawn, Outcome]]) -> dict[str, Any]:
    def tally(values: Iterator[Any]) -> dict[str, int]:
        return dict(sorted(Counter(map(str, values)).items()))

    return {
        "clips": len(examined),
        "faulty_clips": sum(bool(outcome.faults) for _, outcome in examined),
        "unreadable_clips": sum(outcome.unreadable for _, outcome in examined),
        "decodes_with_unnoticed_damage": sum(outcome.unnoticed for _, outcome in examined),
        "decodes_of_damaged_clips": sum(
            len(outcome.statuses) for drawn, outcome in examined if drawn.form == "damaged"
        ),
        "frames": sum(outcome.frames for _, outcome in examined),
        "statuses": tally(status for _, outcome in examined for status in outcome.statuses),
        "containers": tally(drawn.suffix for drawn, _ in examined),
        "codecs": tally(drawn.codec for drawn, _ in examined),
        "rates": tally(drawn.fps for drawn, _ in examined),
        "forms": tally(drawn.form for drawn, _ in examined),
        "longer_than_a_minute": sum(drawn.count / drawn.fps > 60 for drawn, _ in examined),
        "begins_late": sum(drawn.late_s > 0 for drawn, _ in examined),
        "with_sound": sum(drawn.sound_s > 0 for drawn, _ in examined),
        "turned": sum(drawn.turn > 0 for drawn, _ in examined),
        "variable_rate": sum(drawn.kept_of > 0 for drawn, _ in examined),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0, help="of the first clip; the others follow")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="make the clip of --seed in this folder, and no more")
    words = parser.parse_args()
    if words.keep:
        print(make(draw(words.seed), words.keep))
        return 0

    def tell(drawn: Drawn, outcome: Outcome) -> None:
        for fault in outcome.faults:
            print(f"{json.dumps(asdict(drawn))}: {fault}", flush=True)

    examined = examine_all(range(words.seed, words.seed + words.count), words.workers, tell)
    print(json.dumps({"benchmark": "corpus", **counts(examined)}))
    return int(any(outcome.faults for _, outcome in examined))


if __name__ == "__main__":
    raise SystemExit(main())
