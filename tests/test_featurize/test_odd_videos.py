"""Videos whose picture changes its form on the way, or whose container says less than there is."""

import struct
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from indexed_clips import index_of, indexed_frames, write_indexed_clip
from PIL import Image

from benchmarks import corpus
from featurize.decoding.decode import decode
from featurize.decoding.decoded import DecodedClip
from featurize.decoding.ffmpeg import Probe, error_lines, ffmpeg_binary
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import Status

SPEC = ViewSpec(canvas=Canvas(px=64))
SPREAD = Sampling(frames=5)
THIN = Sampling(fps=10, max_frames=5)


def indices(clip: DecodedClip) -> list[int]:
    ((_, pixels),) = clip.crops[SPEC].by_size
    return [index_of(frame) for frame in pixels]


def write_jpegs(path: Path, jpegs: list[bytes], fps: int = 10) -> Path:
    """A video of JPEG files, none of which is touched."""
    command = [ffmpeg_binary(), "-v", "error", "-f", "mjpeg", "-r", str(fps), "-i", "-", "-c", "copy", str(path)]
    subprocess.run(command, input=b"".join(jpegs), check=True)
    return path


def jpeg(index: int, *, mode: str = "RGB", size: tuple[int, int] = (64, 48), subsampling: str = "4:2:0") -> bytes:
    (*_, frame) = indexed_frames(index + 1)
    buffer = BytesIO()
    settings: dict[str, Any] = {"subsampling": subsampling} if mode == "RGB" else {}
    Image.fromarray(frame).convert(mode).resize(size).save(buffer, "JPEG", quality=95, **settings)
    return buffer.getvalue()


FORMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "subsampling at every frame": lambda index: {"subsampling": ("4:2:0", "4:2:2")[index % 2]},
    "subsampling now and then": lambda index: {"subsampling": ("4:2:0", "4:2:2", "4:4:4")[index // 7 % 3]},
    "day to night": lambda index: {"mode": "RGB" if index < 25 else "L"},
    "night to day": lambda index: {"mode": "L" if index < 3 else "RGB"},
    "size": lambda index: {"size": (64, 48) if index < 30 else (128, 96)},
    "size and shape, often": lambda index: {"size": ((128, 96), (64, 64))[index // 3 % 2]},
}


@pytest.mark.parametrize(
    ("what", "suffix"), [*((what, ".avi") for what in FORMS), ("day to night", ".mkv"), ("day to night", ".mov")]
)
def test_a_picture_that_changes_its_form_is_seen_to_its_end(tmp_path: Path, what: str, suffix: str) -> None:
    path = write_jpegs(tmp_path / f"a{suffix}", [jpeg(index, **FORMS[what](index)) for index in range(50)])
    for sampling in (SPREAD, THIN):
        clip = decode(path, sampling, [SPEC])
        assert (clip.status, clip.reason) == (Status.OK, "")
        assert indices(clip) == [0, 10, 20, 30, 40]
        np.testing.assert_allclose(clip.times_s, [0, 1, 2, 3, 4], atol=0.01)
    dense = decode(path, Sampling(fps=5), [SPEC])
    assert (dense.status, indices(dense)) == (Status.OK, list(range(0, 50, 2)))
    assert len(dense.motion.times_s) == 40, "eight a second for what is said of light and motion"


def test_colour_survives_a_night_before_it(tmp_path: Path) -> None:
    red = BytesIO()
    Image.fromarray(np.full((48, 64, 3), (200, 40, 40), np.uint8)).save(red, "JPEG", quality=95)
    path = write_jpegs(tmp_path / "a.avi", [jpeg(9, mode="L")] * 10 + [red.getvalue()] * 30)
    clip = decode(path, Sampling(frames=4), [SPEC])
    ((_, pixels),) = clip.crops[SPEC].by_size
    np.testing.assert_allclose(pixels[1:].mean(axis=(0, 1, 2)), [200, 40, 40], atol=3)
    assert clip.image_facts.infrared_share == pytest.approx(0.25, abs=0.05)


def understated(path: Path, *fields: tuple[bytes, int, bytes]) -> Path:
    """`path` with numbers in its header overwritten: (marker, bytes behind its start, new value)."""
    content = bytearray(path.read_bytes())
    for marker, behind, value in fields:
        place = content.index(marker) + behind
        content[place : place + len(value)] = value
    path.write_bytes(content)
    return path


def avi_of_few_frames(folder: Path) -> Path:
    path = write_indexed_clip(folder / "a.avi", 50, fps=10, arguments=["-q:v", "1"])
    return understated(path, (b"avih", 24, struct.pack("<I", 12)), (b"strh", 40, struct.pack("<I", 12)))


def matroska_of_a_second(folder: Path) -> Path:
    path = write_indexed_clip(folder / "a.mkv", 50, fps=10)
    return understated(path, (b"\x44\x89\x88", 3, struct.pack(">d", 1000.0)))


def mp4_of_a_second(folder: Path) -> Path:
    path = write_indexed_clip(folder / "a.mp4", 50, fps=10)
    media = struct.pack(">I", 10240)
    second = struct.pack(">I", 1000)
    return understated(path, (b"mvhd", 20, second), (b"tkhd", 24, second), (b"mdhd", 20, media))


def asf_of_a_second(folder: Path) -> Path:
    path = write_indexed_clip(folder / "a.asf", 50, fps=10, arguments=["-q:v", "1"])
    properties = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
    preroll_ms = struct.unpack("<Q", path.read_bytes()[path.read_bytes().index(properties) + 80 :][:8])[0]
    return understated(path, (properties, 64, struct.pack("<Q", (1000 + preroll_ms) * 10_000)))


@pytest.mark.parametrize("write", [avi_of_few_frames, matroska_of_a_second, mp4_of_a_second, asf_of_a_second])
def test_a_header_that_states_less_than_there_is_hides_nothing(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    for sampling in (SPREAD, THIN):
        clip = decode(path, sampling, [SPEC])
        assert clip.container.duration_s < 2.5, "the facts say what the container says"
        assert (clip.status, clip.reason) == (Status.OK, "")
        np.testing.assert_allclose(indices(clip), [0, 10, 20, 30, 40], atol=1)
    chosen = decode(path, Sampling(frames=20, choose="motion"), [SPEC])
    assert (len(chosen.times_s), chosen.times_s.max() > 4.7) == (20, True)


def avi_of_many_frames(folder: Path) -> Path:
    path = write_indexed_clip(folder / "a.avi", 50, fps=10, arguments=["-q:v", "1"])
    return understated(path, (b"avih", 24, struct.pack("<I", 90_000)), (b"strh", 40, struct.pack("<I", 90_000)))


def matroska_of_hours(folder: Path) -> Path:
    path = write_indexed_clip(folder / "a.mkv", 50, fps=10)
    return understated(path, (b"\x44\x89\x88", 3, struct.pack(">d", 9_000_000.0)))


@pytest.mark.parametrize("write", [avi_of_many_frames, matroska_of_hours])
def test_a_header_that_states_hours_does_not_thin_seconds_out(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    assert indices(decode(path, SPREAD, [SPEC])) == [0, 10, 20, 30, 40]
    thin = decode(path, THIN, [SPEC])
    assert (thin.status, indices(thin)) == (Status.SHORT, [0, 10, 20, 30, 40])
    assert thin.reason.startswith("the picture lasts 5.0 s of the "), thin.container.duration_s
    assert thin.container.duration_s > 4000
    assert len(thin.motion.times_s) == 40


def test_a_long_clip_behind_a_short_header_is_seen_to_its_end(tmp_path: Path) -> None:
    """100 s of picture behind a header of one second: more than is looked at before the length is measured."""
    path = write_jpegs(tmp_path / "a.avi", [jpeg(index // 4) for index in range(200)], fps=2)
    understated(path, (b"avih", 24, struct.pack("<I", 2)), (b"strh", 40, struct.pack("<I", 2)))
    for sampling in (SPREAD, THIN):
        clip = decode(path, sampling, [SPEC])
        assert (clip.status, indices(clip)) == (Status.OK, [0, 10, 20, 30, 40])
    dense = decode(path, Sampling(fps=8, max_frames=400), [SPEC])
    assert indices(dense) == [index // 4 for index in range(200)]


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        (".mts", ["-c:v", "mpeg2video", "-q:v", "1"]),
        (".mpg", ["-c:v", "mpeg2video", "-q:v", "1"]),
        (".mkv", ["-crf", "1"]),
        (".webm", []),
        (".avi", ["-q:v", "1"]),
    ],
)
def test_of_joined_recordings_each_is_seen(tmp_path: Path, suffix: str, words: list[str]) -> None:
    """Two recordings of two seconds, of which the second begins at 0 again."""
    part = write_indexed_clip(tmp_path / f"part{suffix}", 50, fps=25, arguments=words)
    path = tmp_path / f"joined{suffix}"
    path.write_bytes(part.read_bytes() * 2)
    for sampling in (SPREAD, Sampling(fps=20, max_frames=5)):
        clip = decode(path, sampling, [SPEC])
        np.testing.assert_allclose(clip.times_s, [0, 0.8, 1.6, 2.4, 3.2], atol=0.05)
        np.testing.assert_allclose(indices(clip), [0, 20, 40, 10, 30], atol=1)


@pytest.mark.parametrize(
    ("suffix", "parts", "said"),
    [
        (".mp4", 2, "another recording is joined behind what was seen, and cannot be read; split the file"),
        (".mov", 3, "2 other recordings are joined behind what was seen, and cannot be read; split the file"),
        (".asf", 2, "another recording is joined behind what was seen, and cannot be read; split the file"),
        (".mkv", 4, "2 other recordings are joined behind what was seen, and cannot be read; split the file"),
        (".mkv", 2, ""),
        (".mp4", 1, ""),
        (".asf", 1, ""),
    ],
)
def test_joined_recordings_that_are_not_read_are_told_of(tmp_path: Path, suffix: str, parts: int, said: str) -> None:
    part = write_indexed_clip(tmp_path / f"part{suffix}", 20, fps=10)
    path = tmp_path / f"joined{suffix}"
    path.write_bytes(part.read_bytes() * parts)
    clip = decode(path, Sampling(frames=4), [SPEC])
    assert (clip.status, clip.reason) == (Status.SHORT if said else Status.OK, said)
    assert len(indices(clip)) == 4


def write_fallen(path: Path, fall_ms: Callable[[int], int]) -> Path:
    """50 frames in 5 s of Matroska, `fall_ms` taken off the time of each cluster (of about a second)."""
    write_indexed_clip(path, 50, fps=10, arguments=["-g", "10", "-cluster_time_limit", "900"])
    content = bytearray(path.read_bytes())
    corpus.let_fall(content, fall_ms)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "fall_ms",
    [
        lambda time_ms: 3000 if time_ms >= 3000 else 0,
        lambda time_ms: 1000 if time_ms >= 1500 else 0,
        lambda time_ms: time_ms,
    ],
    ids=["far, once", "a little, once", "to 0, every second"],
)
def test_times_that_fall_back_hide_nothing(tmp_path: Path, fall_ms: Callable[[int], int]) -> None:
    path = write_fallen(tmp_path / "a.mkv", fall_ms)
    for sampling in (SPREAD, THIN):
        clip = decode(path, sampling, [SPEC])
        assert (clip.status, clip.reason) == (Status.OK, "")
        np.testing.assert_allclose(indices(clip), [0, 10, 20, 30, 40], atol=1)
        np.testing.assert_allclose(clip.times_s, [0, 1, 2, 3, 4], atol=0.11)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mjpeg"])
def test_frames_without_a_container_are_counted_by_decoding(tmp_path: Path, codec: str) -> None:
    form = {"libx264": "h264", "libx265": "hevc", "mjpeg": "mjpeg"}[codec]
    words = ["-c:v", codec, "-q:v", "1", "-f", form]
    path = write_indexed_clip(tmp_path / f"a.{form}", 50, fps=25, arguments=words)
    for sampling in (SPREAD, Sampling(frames=5, choose="motion")):
        clip = decode(path, sampling, [SPEC])
        assert (clip.status, clip.reason) == (Status.OK, "")
        assert clip.container.duration_s == pytest.approx(2, abs=0.05)
        if sampling is SPREAD:
            np.testing.assert_allclose(indices(clip), [0, 10, 20, 30, 40], atol=1)


def test_a_rate_that_varies_is_no_damage(tmp_path: Path) -> None:
    """ffmpeg makes out one frame a second where some are half a second apart."""
    drawn = corpus.Drawn(seed=1, suffix=".mkv", codec="h264", fps=2, count=25, kept_of=11)
    clip = decode(corpus.make(drawn, tmp_path), Sampling(fps=0.5), [corpus.SPEC])
    assert (clip.status, clip.reason) == (Status.OK, "")
    shown = [corpus.number_in(frame) for frame in corpus.frames_in_order(clip)]
    assert shown == [min(set(range(first, first + 4)) & set(drawn.numbers)) for first in range(0, 25, 4)]


def test_a_few_frames_without_a_container_are_spread_too(tmp_path: Path) -> None:
    for fps in (5, 25):
        drawn = corpus.Drawn(seed=1, suffix=".h264", codec="h264", fps=fps, count=4)
        clip = decode(corpus.make(drawn, tmp_path), Sampling(frames=2), [corpus.SPEC])
        assert [corpus.number_in(frame) for frame in corpus.frames_in_order(clip)] == [0, 2]
        assert (clip.status, clip.container.duration_s) == (Status.OK, pytest.approx(4 / fps, abs=0.02))
    drawn = corpus.Drawn(seed=1, suffix=".hevc", codec="hevc", fps=60, count=19)
    dense = decode(corpus.make(drawn, tmp_path), Sampling(frames=15), [corpus.SPEC])
    assert (dense.status, len(dense.times_s)) == (Status.OK, 15)


def test_a_last_frame_that_is_made_up_in_part_is_told_of(tmp_path: Path) -> None:
    """Frames without a container end where the file ends; the decoder completes the last one from the one before."""
    drawn = corpus.Drawn(seed=1, suffix=".h264", codec="h264", fps=5, count=8)
    content = corpus.make(drawn, tmp_path).read_bytes()
    path = tmp_path / "a.h264"
    partial = 0
    for share in np.linspace(0.3, 0.98, 15):
        path.write_bytes(content[: int(len(content) * share)])
        clip = decode(path, Sampling(fps=5), [corpus.SPEC])
        partial += clip.status is Status.PARTIAL
        if clip.status is not Status.PARTIAL:
            shown = [corpus.number_in(frame) for frame in corpus.frames_in_order(clip)]
            assert shown == list(range(len(shown))), share
    assert partial >= 5


def test_complaints_are_read_whoever_makes_them() -> None:
    log = "[vist#0:0/h264 @ 0x5] [dec:h264 @ 0x6] [warning] corrupt decoded frame\n[error] first\n[a @ 0x1] [error] b\n"
    assert error_lines(log + "[a @ 0x1] [info] [error] is a word\n") == ("corrupt decoded frame", "first", "b")


def test_what_has_neither_length_nor_frames_still_fails_with_its_reason(tmp_path: Path) -> None:
    words = ["-c:v", "libx264", "-f", "h264"]
    path = write_indexed_clip(tmp_path / "a.h264", 5, fps=25, arguments=words)
    path.write_bytes(path.read_bytes()[:700])
    clip = decode(path, SPREAD, [SPEC])
    assert clip.status is Status.FAILED
    assert clip.reason


MOVING_PICTURES: dict[str, dict[str, Any]] = {
    "a.gif": {},
    "a.png": {},
    "a.webp": {"lossless": True},
    "a.jpg": {"format": "GIF"},
}


def write_moving_picture(path: Path, **settings: Any) -> Path:
    """Twenty frames, the last ten of which are shown for three times as long."""
    first, *rest = (Image.fromarray(frame) for frame in indexed_frames(20))
    duration = [100] * 10 + [300] * 10
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0, **settings)
    return path


@pytest.mark.parametrize("name", MOVING_PICTURES)
def test_a_picture_that_moves_is_a_clip_of_all_its_frames(tmp_path: Path, name: str) -> None:
    path = write_moving_picture(tmp_path / name, **MOVING_PICTURES[name])
    clip = decode(path, Sampling(fps=10), [SPEC])
    assert indices(clip) == list(range(20))
    np.testing.assert_allclose(clip.times_s, [*np.arange(10) * 0.1, *(1 + np.arange(10) * 0.3)], atol=0.011)
    spread = decode(path, Sampling(frames=4), [SPEC])
    assert (spread.status, spread.reason) == (Status.OK, "")
    np.testing.assert_allclose(indices(spread), [0, 10, 14, 17], atol=1)


def test_a_picture_that_stands_still_is_one_frame_in_every_format(tmp_path: Path) -> None:
    for name in ("a.gif", "a.png", "a.webp"):
        Image.fromarray(np.full((48, 64, 3), 60, np.uint8)).save(tmp_path / name)
        clip = decode(tmp_path / name, Sampling(frames=4), [SPEC])
        assert (clip.status, clip.reason, indices(clip)) == (Status.OK, "", [10])


def test_a_moving_picture_that_cannot_be_decoded_says_what_was_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_moving_picture(tmp_path / "a.png")
    monkeypatch.setattr("featurize.decoding.video.probe", lambda *_, **__: Probe(errors=("no such format",)))
    clip = decode(path, Sampling(fps=10), [SPEC])
    assert (clip.status, indices(clip)) == (Status.PARTIAL, [0])
    assert clip.reason == "only the first of 20 pictures was read: no frame could be decoded: no such format"
