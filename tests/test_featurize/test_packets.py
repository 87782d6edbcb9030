"""Motion JPEG: frames that nobody takes are not decoded, and nobody can tell."""

import subprocess
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurize.decoding import video
from featurize.decoding.decode import decode
from featurize.decoding.decoded import DecodedClip
from featurize.decoding.ffmpeg import ffmpeg_command, probe
from featurize.decoding.packets import WholeFrames, dropping, find_whole_frames, form_of_sound, pays_to_drop
from featurize.demo.scenes import write_video
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import Status

SPECS = [ViewSpec(canvas=Canvas(px=64), view=view) for view in ("whole", "motion")]
JPEGS = ("-c:v", "mjpeg", "-q:v", "3")


def pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    ground = random.integers(0, 200, (60, 80, 3))
    for place in range(count):
        picture = ground + random.integers(0, 12, ground.shape)
        picture[20:40, place % 60 : place % 60 + 20] = 240
        yield picture.astype(np.uint8)


def write(path: Path, *arguments: str, seconds: float = 4, fps: float = 30) -> Path:
    write_video(path, pictures(round(seconds * fps)), fps=fps, arguments=[*JPEGS, *arguments])
    return path


def same(one: DecodedClip, other: DecodedClip) -> bool:
    assert (one.status, one.reason, one.image_facts) == (other.status, other.reason, other.image_facts)
    np.testing.assert_array_equal(one.times_s, other.times_s)
    np.testing.assert_array_equal(one.motion.times_s, other.motion.times_s)
    np.testing.assert_array_equal(one.motion.cells, other.motion.cells)
    return all(
        np.array_equal(pixels, expected)
        for spec in SPECS
        for (_, pixels), (_, expected) in zip(one.crops[spec].by_size, other.crops[spec].by_size, strict=True)
    )


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each decode, whether packets were left out."""
    seen: list[bool] = []
    stream = video.stream_frames

    def watched(arguments: Sequence[str], *rest: object, **named: object) -> object:
        seen.append(any(word.startswith("noise=drop") for word in arguments))
        return stream(arguments, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(video, "stream_frames", watched)
    return seen


@pytest.mark.parametrize(
    ("name", "arguments", "sampling"),
    [
        ("a.avi", (), Sampling(fps=3)),
        ("a.avi", (), Sampling(frames=8, choose="motion")),
        ("a.mov", (), Sampling(frames=5)),
        ("a.mkv", (), Sampling(fps=7)),
        ("late.mkv", ("-output_ts_offset", "5"), Sampling(frames=8)),
    ],
)
def test_what_is_seen_is_the_same_whether_or_not_packets_are_left_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attempts: list[bool],
    name: str,
    arguments: tuple[str, ...],
    sampling: Sampling,
) -> None:
    path = write(tmp_path / name, *arguments)
    found = decode(path, sampling, SPECS)
    assert attempts[0]
    assert all(attempts)
    monkeypatch.setattr(video, "_whole_frames", lambda *_: None)
    attempts.clear()
    assert same(found, decode(path, sampling, SPECS))
    assert not any(attempts)


def test_only_frames_that_are_taken_are_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi")
    plans = [Sampling(fps=rate).plan(4.0, 30.0) for rate in (3, 8)]
    words = [*ffmpeg_command(), "-loglevel", "verbose", *dropping(0, plans), "-i", str(path), "-f", "null", "-"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stderr
    times = np.arange(120) / 30
    first = [np.unique(np.floor(times * rate + 1e-3), return_index=True)[1] for rate in (3, 8)]
    assert f" {len(np.unique(np.concatenate(first)))} frames decoded" in told


def damage(path: Path, content: bytes, place: int) -> Path:
    whole = bytearray(path.read_bytes())
    whole[place : place + len(content)] = content
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize("content", [np.random.default_rng(0).bytes(2048), bytes(512)], ids=["random", "zeros"])
def test_where_data_are_damaged_all_frames_are_decoded(tmp_path: Path, attempts: list[bool], content: bytes) -> None:
    path = write(tmp_path / "a.avi")
    damage(path, content, path.stat().st_size // 2)
    assert find_whole_frames(path, probe(path), timeout_s=60) is None
    decode(path, Sampling(fps=3), SPECS)
    assert not any(attempts)


def test_a_complaint_about_a_frame_that_is_taken_has_all_decoded(tmp_path: Path, attempts: list[bool]) -> None:
    """So that reasons are those of the whole clip."""
    path = write(tmp_path / "a.avi")
    content = path.read_bytes()
    place = content.find(b"\xff\xda") + 40
    damage(path, bytes([content[place] ^ 0x55 | 1]) * 30, place)
    assert find_whole_frames(path, probe(path), timeout_s=60) is not None
    assert decode(path, Sampling(fps=3), SPECS).status is Status.PARTIAL
    assert attempts == [True, False]


def test_packets_that_were_chosen_by_other_times_are_decoded_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: list[bool]
) -> None:
    path = write(tmp_path / "a.avi")
    expected = decode(path, Sampling(fps=3), SPECS)
    for start_s, end_s in ((1.0, 119 / 30), (0.0, 4.5)):
        told = WholeFrames(start_s=start_s, end_s=end_s)
        monkeypatch.setattr(video, "find_whole_frames", lambda *_, told=told, **__: told)
        attempts.clear()
        assert same(decode(path, Sampling(fps=3), SPECS), expected)
        assert attempts == [True, False]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", ("-c:v", "libx264")), ("a.avi", ("-c:v", "mpeg4")), ("a.mkv", ("-c:v", "ffv1"))]
)
def test_frames_that_others_may_rest_on_are_all_decoded(tmp_path: Path, name: str, codec: tuple[str, str]) -> None:
    path = write(tmp_path / name, *codec, seconds=1)
    assert find_whole_frames(path, probe(path), timeout_s=60) is None


def test_pictures_that_get_their_times_by_being_counted_are_all_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mjpeg", "-f", "mjpeg", seconds=1)
    assert probe(path).codec == "mjpeg"
    assert find_whole_frames(path, probe(path), timeout_s=60) is None


def test_pictures_of_changing_size_are_all_decoded(tmp_path: Path) -> None:
    one, other = (write(tmp_path / f"{px}.avi", "-vf", f"scale={px}:-2", seconds=1).read_bytes() for px in (80, 96))
    jpegs = [
        b"\xff\xd8" + part.partition(b"\xff\xd9")[0] + b"\xff\xd9"
        for content in (one, other)
        for part in content.split(b"\xff\xd8")[1:]
    ]
    joined = tmp_path / "joined.mjpeg"
    joined.write_bytes(b"".join(jpegs))
    path = tmp_path / "changing.mkv"
    words = [*ffmpeg_command(), "-f", "mjpeg", "-framerate", "30", "-i", str(joined), "-c", "copy", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    assert probe(path).codec == "mjpeg"
    assert find_whole_frames(path, probe(path), timeout_s=60) is None


def test_whether_a_jpeg_is_one_from_end_to_end() -> None:
    buffer = BytesIO()
    Image.fromarray(next(pictures(1))).save(buffer, "JPEG", quality=90)
    content = buffer.getvalue()
    code = content.find(b"\xff\xda") + 60
    assert form_of_sound(content) == form_of_sound(content + bytes(700)) != b""
    for broken in (
        content[:-2],
        content[: len(content) // 2],
        content[1:],
        content + b"more",
        content[:code] + b"\xff\xc4" + content[code + 2 :],
        content[:code] + bytes(40) + content[code + 40 :],
        b"",
        b"\xff\xd8",
    ):
        assert form_of_sound(broken) == b""
    progressive = BytesIO()
    Image.fromarray(next(pictures(1))).save(progressive, "JPEG", progressive=True)
    assert form_of_sound(progressive.getvalue()) == b""


def test_packets_are_looked_at_only_where_many_can_be_left_out() -> None:
    def pays(fps: float, *rates: float) -> bool:
        return pays_to_drop([Sampling(fps=rate).plan(10.0, fps) for rate in rates], fps)

    assert pays(30, 3, 8)
    assert pays(12, 4, 8)
    assert not pays(12, 3, 8)
    assert not pays(8, 3, 8)
    assert not pays(float("nan"), 3, 8)
