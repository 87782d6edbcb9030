"""Clips become films that browsers play, one at a time, within a limit, and whole."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from indexed_clips import write_indexed_clip

from featurize.decoding.ffmpeg import probe
from featurize.demo.scenes import write_video
from heads.errors import ReviewError
from heads.review import films
from heads.review.films import Films, media_type, plays_as_it_is


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_indexed_clip(tmp_path_factory.mktemp("films") / "IMG_1.AVI", 12, 4.0)


@pytest.mark.parametrize(
    ("container", "codec", "plays"),
    [
        ("mov,mp4,m4a,3gp,3g2,mj2", "h264", True),
        ("mov,mp4,m4a,3gp,3g2,mj2", "hevc", False),
        ("mov,mp4,m4a,3gp,3g2,mj2", "mjpeg", False),
        ("matroska,webm", "vp9", True),
        ("matroska,webm", "h264", False),
        ("avi", "h264", False),
        ("avi", "mpeg4", False),
        ("", "", False),
    ],
)
def test_which_clips_browsers_play(container: str, codec: str, plays: bool) -> None:
    assert plays_as_it_is(container, codec) is plays


@pytest.mark.parametrize(("form", "codec", "kind"), [("h264", "h264", "video/mp4"), ("vp9", "vp9", "video/webm")])
def test_a_film_is_encoded_once_under_the_content_of_its_clip(
    clip: Path, tmp_path: Path, form: str, codec: str, kind: str
) -> None:
    kept = Films(tmp_path / "films")
    film = kept.get(clip, "print", form)
    facts = probe(film)
    assert (facts.codec, facts.width, facts.height, media_type(film)) == (codec, 64, 48, kind)
    before = film.stat().st_ino
    assert kept.get(clip, "print", form) == film
    assert film.stat().st_ino == before
    assert kept.get(clip, "other print", form) != film
    assert [each.name for each in tmp_path.joinpath("films").iterdir() if each.name.startswith(".")] == []


def test_what_is_no_video_gives_a_reason_and_no_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"RIFF nothing")
    with pytest.raises(ReviewError, match=r"broken.avi: cannot be encoded \("):
        Films(tmp_path / "films").get(broken, "print", "h264")
    assert list((tmp_path / "films").iterdir()) == []


def test_encoding_that_takes_too_long_is_ended(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="encoding took more than 0 s and was ended; its frames are shown"):
        Films(tmp_path / "films", timeout_s=0.001).get(clip, "print", "h264")
    assert list((tmp_path / "films").iterdir()) == []


def test_one_is_encoded_at_a_time(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, running, most = Films(tmp_path / "films"), 0, 0
    lock, run = threading.Lock(), films.subprocess.run

    def counted(*arguments: object, **settings: object) -> object:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        try:
            return run(*arguments, **settings)  # type: ignore[call-overload]
        finally:
            with lock:
                running -= 1

    films.known_encoders()
    monkeypatch.setattr(films.subprocess, "run", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: kept.get(clip, f"print {number % 2}", "h264"), range(4)))
    assert most == 1
    assert found[0] == found[2] != found[1]


def test_the_films_that_were_asked_for_last_stay(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    size = Films(folder).get(clip, "a", "h264").stat().st_size
    kept = Films(folder, most_bytes=2 * size + 10)
    for name in "bc":
        time.sleep(0.02)
        kept.get(clip, name, "h264")
    time.sleep(0.02)
    kept.get(clip, "a", "h264")  # again, so that b is the oldest
    kept.get(clip, "d", "h264")
    assert sorted(each.stem for each in folder.iterdir()) == ["a", "c", "d"]


def test_an_ffmpeg_without_an_encoder_is_named(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "known_encoders", lambda: frozenset({"mpeg4", "libopenh264x"}))
    with pytest.raises(ReviewError, match=r"none of the encoders libx264, libopenh264, so IMG_1\.AVI is not played"):
        Films(tmp_path / "films").get(clip, "print", "h264")


def test_odd_sizes_are_made_even(tmp_path: Path) -> None:
    path = tmp_path / "odd.avi"
    frames = (np.full((47, 63, 3), 10 * each, np.uint8) for each in range(8))
    write_video(path, frames, fps=4.0, arguments=["-vf", "scale=63:47", "-c:v", "mjpeg", "-pix_fmt", "yuvj444p"])
    facts = probe(Films(tmp_path / "films").get(path, "print", "h264"))
    assert (facts.width, facts.height) in ((62, 46), (64, 48), (62, 48), (64, 46))
