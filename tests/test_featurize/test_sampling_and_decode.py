"""Which frames a clip gives, when, and what is said of clips that are not whole."""

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from drawn_frames import drawn_frames
from indexed_clips import index_of, indexed_frames, write_indexed_clip
from numpy.typing import NDArray
from PIL import Image

from featurize.decoding.audio import decode_sound
from featurize.decoding.decode import decode
from featurize.decoding.decoded import DecodedClip
from featurize.decoding.ffmpeg import ffmpeg_binary
from featurize.demo.scenes import Scene, Visit, draw_clip, write_video
from featurize.errors import SettingsError
from featurize.pipeline.discover import survey
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import Status

SPEC = ViewSpec(canvas=Canvas(px=64))


def frames_of(path: Path, **sampling: float | None) -> DecodedClip:
    return decode(path, Sampling(**sampling), [SPEC])  # type: ignore[arg-type]


def pixels_of(frames: DecodedClip, spec: ViewSpec = SPEC) -> NDArray[np.uint8]:
    """(T, H, W, 3) the whole frames, which are all of one size."""
    ((_, pixels),) = frames.crops[spec].by_size
    return pixels


def indices(frames: DecodedClip) -> list[int]:
    return [index_of(frame) for frame in pixels_of(frames)]


def test_fps_takes_the_first_frame_of_each_bin(tmp_path: Path) -> None:
    frames = frames_of(write_indexed_clip(tmp_path / "a.mp4", 40, fps=10), fps=2.5)
    assert indices(frames) == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]
    np.testing.assert_allclose(frames.times_s, np.arange(10) * 0.4, atol=1e-3)
    assert (frames.status, frames.reason) == (Status.OK, "")


def test_fps_that_does_not_divide_the_source_takes_no_frame_twice(tmp_path: Path) -> None:
    frames = frames_of(write_indexed_clip(tmp_path / "a.mp4", 30, fps=10), fps=3)
    assert indices(frames) == [0, 4, 7, 10, 14, 17, 20, 24, 27]
    assert frames.status is Status.OK


def test_frames_are_spread_over_the_whole_clip(tmp_path: Path) -> None:
    frames = frames_of(write_indexed_clip(tmp_path / "a.mp4", 40, fps=10), frames=5)
    assert indices(frames) == [0, 8, 16, 24, 32]


def test_a_long_clip_is_thinned_over_its_length_and_never_cut(tmp_path: Path) -> None:
    frames = frames_of(write_indexed_clip(tmp_path / "a.mp4", 40, fps=10), fps=10, max_frames=4)
    assert indices(frames) == [0, 10, 20, 30]
    assert frames.status is Status.OK


def test_a_clip_with_fewer_frames_gives_each_once_and_is_short(tmp_path: Path) -> None:
    frames = frames_of(write_indexed_clip(tmp_path / "a.mp4", 6, fps=2), fps=5)
    assert indices(frames) == [0, 1, 2, 3, 4, 5]
    assert frames.status is Status.SHORT
    assert frames.reason == "6 of 13 frames that were asked for: the clip has 2 a second"


def remux(plain: Path, path: Path, *arguments: str) -> Path:
    command = [ffmpeg_binary(), "-v", "error", "-i", str(plain), *arguments, "-c:v", "copy", str(path)]
    subprocess.run(command, check=True)
    return path


SOUND_OF_15_S = ("-f", "lavfi", "-t", "15", "-i", "sine")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("late.mkv", ("-output_ts_offset", "100")), ("long.mp4", SOUND_OF_15_S), ("long.mkv", SOUND_OF_15_S)],
)
def test_the_length_of_the_picture_counts_and_not_the_container_s(
    tmp_path: Path, name: str, arguments: tuple[str, ...]
) -> None:
    """5 s of picture in a container that says 105 s or 15 s."""
    path = remux(write_indexed_clip(tmp_path / "plain.mp4", 50, fps=10), tmp_path / name, *arguments)
    spread, dense = frames_of(path, frames=5), frames_of(path, fps=5)
    assert indices(spread) == [0, 10, 20, 30, 40]
    stated_s = dense.container.duration_s
    for each in (spread, dense):
        assert each.status is Status.SHORT, "as of a clip that was cut off"
        assert each.reason == f"the picture lasts 5.0 s of the {stated_s:.1f} s that the container states"
    assert indices(dense) == list(range(0, 50, 2))
    assert stated_s in (15, 105), "the facts say what the container says"
    chosen = decode(path, Sampling(frames=8, choose="motion"), [SPEC])
    assert (chosen.status, len(chosen.times_s)) == (Status.SHORT, 8)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_picture_that_begins_late_is_seen_to_its_end(tmp_path: Path, suffix: str) -> None:
    """Frames 0 to 49 from 5.3 to 10.3 s of twenty seconds of sound."""
    sound = ("-f", "lavfi", "-t", "20", "-i", "sine")
    plain = write_indexed_clip(tmp_path / "plain.mp4", 50, fps=10)
    inputs = [*sound, "-itsoffset", "5.3", "-i", str(plain), "-map", "1:v", "-map", "0:a", "-c:v", "copy"]
    path = tmp_path / f"late{suffix}"
    subprocess.run([ffmpeg_binary(), "-v", "error", *inputs, str(path)], check=True)
    spread = frames_of(path, frames=5)
    assert indices(spread) == [0, 10, 20, 30, 40]
    np.testing.assert_allclose(spread.times_s, [5.3, 6.3, 7.3, 8.3, 9.3], atol=0.01)
    thin = frames_of(path, fps=5, max_frames=10)
    assert indices(thin) == list(range(0, 50, 5))
    assert thin.reason == spread.reason == "the picture lasts 5.0 s of the 20.0 s that the container states"


@pytest.mark.parametrize(("seconds", "status"), [("4", Status.OK), ("5.2", Status.OK), ("5.8", Status.SHORT)])
def test_sound_that_is_a_little_longer_makes_no_clip_short(tmp_path: Path, seconds: str, status: Status) -> None:
    sound = ("-f", "lavfi", "-t", seconds, "-i", "sine")
    path = remux(write_indexed_clip(tmp_path / "plain.mp4", 50, fps=10), tmp_path / "a.mkv", *sound)
    clip = frames_of(path, fps=10)
    assert (clip.status, indices(clip)) == (status, list(range(50)))
    assert clip.reason == (
        "" if status is Status.OK else "the picture lasts 5.0 s of the 5.8 s that the container states"
    )


def test_frames_are_spread_over_the_picture_where_the_sound_is_a_little_longer(tmp_path: Path) -> None:
    """The last of thirty moments in 5.2 s comes after the last frame of 5 s."""
    sound = ("-f", "lavfi", "-t", "5.2", "-i", "sine")
    path = remux(write_indexed_clip(tmp_path / "plain.mp4", 50, fps=10), tmp_path / "a.mkv", *sound)
    clip = frames_of(path, frames=30)
    assert (clip.status, clip.reason) == (Status.OK, "")
    assert indices(clip) == [math.ceil(place * 5 / 3 - 0.01) for place in range(30)]


def test_a_hole_in_the_picture_is_not_laid_to_the_sound(tmp_path: Path) -> None:
    hole = ("-vf", "select='lt(n,10)+gte(n,30)'", "-fps_mode", "passthrough")
    plain = write_indexed_clip(tmp_path / "plain.mkv", 50, fps=10, arguments=hole)
    clip = frames_of(remux(plain, tmp_path / "a.mkv", "-f", "lavfi", "-t", "5.2", "-i", "sine"), fps=5)
    assert indices(clip) == [*range(0, 10, 2), *range(30, 50, 2)]
    assert (clip.status, clip.reason.partition(":")[0]) == (Status.SHORT, "15 of 26 frames that were asked for")


def test_what_is_said_of_a_short_clip_is_true(tmp_path: Path) -> None:
    """Frames 10 to 29 of 50 are missing: half of the moments asked for have no frame, though the clip has enough."""
    gap = ("-vf", "select='lt(n,10)+gte(n,30)'", "-fps_mode", "passthrough")
    path = write_indexed_clip(tmp_path / "a.mkv", 50, fps=10, arguments=gap)
    frames = frames_of(path, frames=10)
    assert indices(frames) == [0, 5, 30, 35, 40, 45]
    assert frames.status is Status.SHORT
    assert frames.reason == "6 of 10 frames that were asked for: the other moments have no frame of their own"
    few = frames_of(write_indexed_clip(tmp_path / "b.mp4", 3, fps=10), frames=8)
    assert few.reason == "3 of 8 frames that were asked for: the clip has no more"


@pytest.mark.parametrize("name", ["a.mp4", "b.AVI", "c.mov", "d.mkv", "e.webm", "f.mts", "g.ASF", "Taï 1/h é.mp4"])
def test_containers_and_names(tmp_path: Path, name: str) -> None:
    frames = frames_of(write_indexed_clip(tmp_path / name, 20, fps=10), fps=5)
    assert frames.status is Status.OK
    np.testing.assert_allclose(indices(frames), np.arange(0, 20, 2), atol=1)


@pytest.mark.parametrize("name", ["2024-01-01T12:30:00.mp4", "IMG:1.mp4", "concat:x|y.mp4", "pipe:1.mp4", "-x.mp4"])
def test_a_name_that_looks_like_a_protocol_is_a_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sine = ["-f", "lavfi", "-t", "2", "-i", "sine"]
    plain = write_indexed_clip(tmp_path / "plain.mp4", 4, fps=2)
    command = [ffmpeg_binary(), "-v", "error", "-i", str(plain), *sine, "-c:v", "copy", str(tmp_path / "heard.mp4")]
    subprocess.run(command, check=True)
    (tmp_path / "clips").mkdir()
    (tmp_path / "heard.mp4").rename(tmp_path / "clips" / name)
    monkeypatch.chdir(tmp_path / "clips")
    (clip,) = survey([Path()]).clips
    frames = frames_of(clip.path, fps=2)
    assert (frames.status, frames.reason) == (Status.OK, "")
    assert len(decode_sound(clip.path, frames.times_s, frames.container).frames) == 4


def test_non_square_pixels_are_undone(tmp_path: Path) -> None:
    path = write_indexed_clip(tmp_path / "a.mp4", 4, fps=4, arguments=["-vf", "setsar=2/1"])
    larger = ViewSpec(canvas=Canvas(px=224))
    wide = pixels_of(decode(path, Sampling(fps=4), [larger]), larger)
    plain = pixels_of(decode(write_indexed_clip(tmp_path / "b.mp4", 4, fps=4), Sampling(fps=4), [larger]), larger)
    assert wide.shape[2] / wide.shape[1] > 1.8 * plain.shape[2] / plain.shape[1]


def write_scene(path: Path) -> Path:
    """A clip with something to see, 60 frames in 6 s, so that damage falls on picture data."""
    pig = Visit(species="pig", start=0.0, stop=1.0, from_x=0.0, to_x=1.0, ground=0.8, size=0.3)
    scene = Scene(site=1, infrared=False, visits=(pig,), seed=1)
    index_first = ["-movflags", "+faststart"] if path.suffix in (".mp4", ".mov") else []
    write_video(path, draw_clip(scene, frames=60, width=160, height=120), fps=10, arguments=index_first)
    return path


CONTAINERS = [".avi", ".mp4", ".mov", ".mkv", ".asf", ".mts"]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_clip_cut_off_in_the_middle_keeps_what_decoded(tmp_path: Path, suffix: str) -> None:
    path = write_scene(tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames = frames_of(path, fps=5)
    assert frames.status is Status.PARTIAL
    assert 8 <= len(frames.times_s) <= 16
    assert len(frames.times_s) == len(pixels_of(frames))
    assert f"{len(frames.times_s)} frames were kept" in frames.reason


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_damaged_data_is_partial_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = write_scene(tmp_path / f"a{suffix}")
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + len(content) // 6)
    content[middle] = np.random.default_rng(0).bytes(middle.stop - middle.start)
    path.write_bytes(content)
    frames = frames_of(path, fps=5)
    assert frames.status is Status.PARTIAL
    assert "frames were kept" in frames.reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.mp4", b"", "the file is empty (0 bytes)"),
        ("a.mp4", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        ("a.mp4", b"\0\0\0\x18ftypmp42", "no frame could be decoded: "),
        ("a.avi", b"nonsense" * 100, "no frame could be decoded: "),
        ("a.jpg", b"nonsense" * 100, "the image cannot be decoded: "),
    ],
)
def test_what_cannot_be_decoded_fails_with_its_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    frames = frames_of(path, fps=3)
    assert frames.status is Status.FAILED
    assert reason in frames.reason
    assert "\n" not in frames.reason
    assert len(frames.times_s) == 0
    assert not frames.crops


def test_a_file_that_is_gone_fails_with_its_reason(tmp_path: Path) -> None:
    frames = frames_of(tmp_path / "gone.mp4", fps=3)
    assert (frames.status, frames.reason) == (Status.FAILED, "the file cannot be read: No such file or directory")


def test_audio_alone_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    subprocess.run([ffmpeg_binary(), "-v", "error", "-f", "lavfi", "-i", "sine", "-t", "1", str(path)], check=True)
    assert frames_of(path, fps=3).reason == "no frame could be decoded: there is no video stream"


def test_a_decoder_that_hangs_is_killed_and_its_frames_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_indexed_clip(tmp_path / "a.mp4", 30, fps=10)
    monkeypatch.setattr("featurize.decoding.video._arguments", lambda *_: drawn_frames("if(lt(N,5),PTS,3600/TB)", 9))
    frames = decode(path, Sampling(fps=10), [SPEC], timeout_s=1)
    assert frames.status is Status.PARTIAL
    assert frames.reason == f"the decoder gave no frame for 1 s and was stopped; {len(frames.times_s)} frames were kept"


def test_an_image_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.JPG"
    turned = Image.fromarray(np.full((40, 80, 3), 99, np.uint8))
    exif = turned.getexif()
    exif[0x0112], exif[0x0132] = 6, "2024:05:06 07:08:09"
    turned.save(path, exif=exif)
    frames = frames_of(path, fps=3)
    assert frames.status is Status.OK
    assert pixels_of(frames).shape[0] == 1
    assert pixels_of(frames).shape[1] > pixels_of(frames).shape[2]
    assert frames.container.recorded_at == "2024:05:06 07:08:09"
    assert math.isnan(frames.image_facts.motion_mean)


def test_a_truncated_image_is_not_completed_with_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    frames = frames_of(path, fps=3)
    assert frames.status is Status.FAILED
    assert "truncated" in frames.reason


def test_a_clip_looks_the_same_whatever_else_is_asked_for(tmp_path: Path) -> None:
    path = write_indexed_clip(tmp_path / "a.mp4", 20, fps=10)
    other = ViewSpec(canvas=Canvas(px=224))
    both = decode(path, Sampling(fps=5), [SPEC, other])
    np.testing.assert_array_equal(pixels_of(both), pixels_of(frames_of(path, fps=5)))
    np.testing.assert_array_equal(pixels_of(both, other), pixels_of(decode(path, Sampling(fps=5), [other]), other))


def test_picture_facts_know_infrared_motion_and_light(tmp_path: Path) -> None:
    grey = frames_of(write_indexed_clip(tmp_path / "a.mp4", 40, fps=4), fps=1).image_facts
    assert grey.infrared_share == 1.0
    assert grey.motion_mean == pytest.approx(4 / 255, rel=0.05)
    assert grey.brightness_mean == pytest.approx((20 + 4 * 19.5) / 255, rel=0.02)
    colour = tmp_path / "b.mp4"
    write_video(colour, (np.full((48, 64, 3), (160, 90, 40), np.uint8) for _ in range(8)), fps=4)
    facts = frames_of(colour, fps=1).image_facts
    assert facts.infrared_share == 0.0
    assert facts.motion_mean == pytest.approx(0, abs=0.002)
    assert facts.saturation_mean == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize(
    "settings",
    [{}, {"fps": 1.0, "frames": 3}, {"fps": 0.0}, {"fps": -1.0}, {"frames": 0}, {"fps": 1.0, "max_frames": 0}],
)
def test_impossible_sampling_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="sampling: "):
        Sampling(**settings)  # type: ignore[arg-type]


def test_indexed_frames_can_be_told_apart() -> None:
    assert [index_of(frame) for frame in indexed_frames(50)] == list(range(50))


def test_complaints_without_end_hide_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_indexed_clip(tmp_path / "a.mp4", 30, fps=10)
    whole = decode(path, Sampling(fps=10), [SPEC])
    monkeypatch.setattr("featurize.decoding.ffmpeg._MOST_LOG_BYTES", 1)
    cut = decode(path, Sampling(fps=10), [SPEC])
    assert cut.status is Status.OK
    assert cut.times_s.tolist() == whole.times_s.tolist()
