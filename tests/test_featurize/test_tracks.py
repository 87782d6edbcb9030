"""Containers with several video tracks: the one that a player would show is the clip."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from indexed_clips import index_of, indexed_frames, write_indexed_clip
from typer.testing import CliRunner

from featurize.cli import app
from featurize.decoding.decode import decode
from featurize.decoding.ffmpeg import ffmpeg_binary, parse_probe, probe
from featurize.demo.scenes import write_video
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import Status

SPEC = ViewSpec(canvas=Canvas(px=64))
FRAMES, FPS = 20, 5


def write_beside(path: Path, beside: Path, *words: str) -> Path:
    """A clip of 20 frames that say which they are, as the second track; another file's track is the first."""
    own = write_indexed_clip(path.with_name("own.mp4"), FRAMES, FPS)
    inputs = ["-i", str(beside), "-i", str(own), "-map", "0:v", "-map", "1:v"]
    subprocess.run([ffmpeg_binary(), "-loglevel", "error", *inputs, *words, str(path)], check=True)
    return path


def write_grey(path: Path, count: int, width: int, height: int) -> Path:
    write_video(path, (np.full((height, width, 3), 250, np.uint8) for _ in range(count)), fps=FPS)
    return path


SECOND_IS_DEFAULT = ("-disposition:v:0", "0", "-disposition:v:1", "default")
BOTH_ARE_DEFAULT = ("-disposition:v:0", "default", "-disposition:v:1", "default")


@pytest.mark.parametrize(
    ("name", "count", "size", "words"),
    [
        ("small.mp4", FRAMES, (32, 24), ("-c", "copy")),
        ("small.mkv", FRAMES, (32, 24), ("-c", "copy", *BOTH_ARE_DEFAULT)),
        ("small.mts", FRAMES, (32, 32), ("-c", "copy")),
        ("large, not default.mp4", FRAMES, (128, 96), ("-c", "copy", *SECOND_IS_DEFAULT)),
        ("large, not default.mkv", FRAMES, (128, 96), ("-c", "copy", *SECOND_IS_DEFAULT)),
        ("one frame.mp4", 1, (32, 24), ("-c", "copy", *BOTH_ARE_DEFAULT)),
        ("one large frame.mp4", 1, (640, 480), ("-c:v:0", "mjpeg", "-c:v:1", "copy", *BOTH_ARE_DEFAULT)),
        ("one large frame.mov", 1, (640, 480), ("-c", "copy", "-disposition:v:0", "default", "-disposition:v:1", "0")),
    ],
)
def test_the_track_that_a_player_shows_is_taken_and_the_choice_is_told(
    tmp_path: Path, name: str, count: int, size: tuple[int, int], words: tuple[str, ...]
) -> None:
    path = write_beside(tmp_path / name, write_grey(tmp_path / "grey.mp4", count, *size), *words)
    clip = decode(path, Sampling(frames=4), [SPEC])
    ((_, pixels),) = clip.crops[SPEC].by_size
    assert [index_of(frame) for frame in pixels] == [0, 5, 10, 15]
    np.testing.assert_allclose(clip.times_s, [0, 1, 2, 3], atol=0.01)
    assert (clip.status, clip.reason) == (Status.OK, "")
    found = clip.container
    assert (found.track, found.video_tracks, found.width, found.height, found.fps) == (1, 2, 64, 48, FPS)


def test_an_attached_picture_is_no_track(tmp_path: Path) -> None:
    words = ("-c:v:0", "mjpeg", "-c:v:1", "copy", "-disposition:v:0", "attached_pic")
    path = write_beside(tmp_path / "a.mp4", write_grey(tmp_path / "grey.mp4", 1, 640, 480), *words)
    found = probe(path)
    assert (found.video_tracks, found.width, found.codec) == (1, 64, "h264")
    ((_, pixels),) = decode(path, Sampling(frames=4), [SPEC]).crops[SPEC].by_size
    assert [index_of(frame) for frame in pixels] == [0, 5, 10, 15]
    line = "[info]   Stream #0:0: Video: mjpeg (Baseline), yuvj444p(pc), 600x480, 90k tbr, 90k tbn (attached pic)\n"
    assert (parse_probe(line).codec, parse_probe(line).video_tracks) == ("", 0)


def test_two_stills_are_not_no_picture(tmp_path: Path) -> None:
    one = write_grey(tmp_path / "one.mp4", 1, 32, 24)
    write_video(tmp_path / "own.mp4", indexed_frames(1), fps=FPS)
    words = ["-i", str(one), "-i", str(tmp_path / "own.mp4"), "-map", "0:v", "-map", "1:v", "-c", "copy"]
    subprocess.run([ffmpeg_binary(), "-loglevel", "error", *words, str(tmp_path / "a.mkv")], check=True)
    assert (probe(tmp_path / "a.mkv").track, probe(tmp_path / "a.mkv").width) == (1, 64)


def test_clips_with_several_tracks_are_named_at_the_end(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    write_indexed_clip(clips / "plain.mp4", 4, FPS)
    beside = write_grey(tmp_path / "grey.mp4", 1, 32, 24)
    (tmp_path / "made").mkdir()
    write_beside(tmp_path / "made" / "two.mp4", beside, "-c", "copy").rename(clips / "two.mp4")
    words = [str(clips), "--backbone", "phash", "--fps", "5", "--store"]
    printed = CliRunner().invoke(app, [*words, str(tmp_path / "store")]).stdout
    sentence = "1 clip holds several video tracks, of which the default one was taken, else the largest: 'two.mp4'"
    assert sentence in printed.splitlines()
    outcome = json.loads(CliRunner().invoke(app, [*words, str(tmp_path / "other"), "--json"]).stdout)
    assert (outcome["several_video_tracks"], outcome["ok"], outcome["frames"]) == (["two.mp4"], 2, 24)
