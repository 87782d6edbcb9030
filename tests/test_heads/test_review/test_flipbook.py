"""Flipbooks hold the frames that were meant, of whole clips and of broken ones."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from indexed_clips import index_of, write_indexed_clip
from PIL import Image

from heads.review.flipbook import Flipbook, Flipbooks, pictures


def frame(jpeg: bytes) -> int:
    return index_of(np.asarray(Image.open(BytesIO(jpeg)).convert("RGB")))


def whole(book: Flipbook) -> dict[int, bytes]:
    number = 0
    while more := book.after(number):
        number += len(more)
    return dict(book.pictures)


@pytest.mark.parametrize("name", ["a.mp4", "ü b.AVI", "12:concat.mkv"])
def test_each_picture_is_that_of_its_moment(tmp_path: Path, name: str) -> None:
    clip = write_indexed_clip(tmp_path / name, 40, 10.0)
    times = (0.0, 0.3, 1.0, 1.1, 3.9)
    found = dict(pictures(clip, times))
    assert {place: frame(jpeg) for place, jpeg in found.items()} == {0: 0, 1: 3, 2: 10, 3: 11, 4: 39}


def test_moments_that_the_file_does_not_have_are_left_out(tmp_path: Path) -> None:
    clip = write_indexed_clip(tmp_path / "a.mp4", 20, 10.0)
    found = dict(pictures(clip, (0.5, 1.0, 1.9, 7.0)))
    assert {place: frame(jpeg) for place, jpeg in found.items()} == {0: 5, 1: 10, 2: 19}


def test_times_that_are_not_the_files_own_are_sought_one_by_one(tmp_path: Path) -> None:
    clip = write_indexed_clip(tmp_path / "a.mp4", 20, 10.0)
    found = dict(pictures(clip, (0.45, 0.95)))
    assert {place: frame(jpeg) for place, jpeg in found.items()} == {0: 5, 1: 10}  # the frames that come next


def test_a_file_that_breaks_off_gives_what_it_has(tmp_path: Path) -> None:
    clip = write_indexed_clip(tmp_path / "a.avi", 40, 10.0)
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 7 // 10])
    found = dict(pictures(clip, [each / 10 for each in range(40)]))
    assert 3 < len(found) < 40
    del found[max(found)]  # half of it was made up by the decoder
    assert all(frame(jpeg) == place for place, jpeg in found.items())


@pytest.mark.parametrize("content", [None, b"", b"RIFF nothing", b"version https://git-lfs"])
def test_a_file_without_a_picture_gives_none_and_ends(tmp_path: Path, content: bytes | None) -> None:
    clip = tmp_path / "a.mp4"
    if content is not None:
        clip.write_bytes(content)
    book = Flipbooks().get(clip, (0.0, 1.0), "print")
    assert whole(book) == {}
    assert book.done


def test_flipbooks_that_were_asked_for_last_are_kept(tmp_path: Path) -> None:
    clips = [write_indexed_clip(tmp_path / f"{each}.mp4", 8, 4.0) for each in range(3)]
    books = Flipbooks(most_bytes=1)
    first = books.get(clips[0], (0.0, 1.0), "print")
    assert len(whole(first)) == 2
    assert books.get(clips[0], (0.0, 1.0), "print") is first
    whole(books.get(clips[1], (0.0, 1.0), "print"))
    assert books.get(clips[0], (0.0, 1.0), "print") is not first
    roomy = Flipbooks()
    kept = [roomy.get(each, (0.0, 1.0), "print") for each in clips]
    assert [roomy.get(each, (0.0, 1.0), "print") for each in clips] == kept
    assert roomy.get(clips[0], (0.0, 1.0), "other print") is not kept[0]  # the file has changed
    for book in kept:
        whole(book)
