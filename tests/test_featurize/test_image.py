"""Still pictures: odd ones stop nothing, and none is shown as something else than it is."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tiny_backbone import tiny_source

from featurize.decoding.decode import decode
from featurize.decoding.ffmpeg import parse_probe
from featurize.decoding.still import read_image
from featurize.pipeline.discover import survey
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import make_plan
from featurize.views.sampling import Sampling
from store import FeatureStore, Status

ORIENTATION, DATE_TIME = 0x0112, 0x0132
SAMPLING = Sampling(fps=1)


def gradient(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, 255 - rows * 5], axis=-1).astype(np.uint8)


def exif_bytes(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of (tag, type, count, value or offset as 4 bytes) without anything that Pillow would put right."""
    body = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)


def write_padded_time(path: Path) -> None:
    exif = Image.Exif()
    exif[DATE_TIME] = "2024:05:06 07:08:09\0\0\0 rest"
    Image.fromarray(gradient()).save(path, exif=exif)


MALFORMED = {
    "a value beyond the end": exif_bytes((ORIENTATION, 3, 1, b"\6\0\0\0"), (DATE_TIME, 2, 400, b"\xff\xff\xff\0")),
    "text for a number": exif_bytes((ORIENTATION, 2, 3, b"ab\0\0")),
    "no such type": exif_bytes((ORIENTATION, 99, 1, b"\6\0\0\0")),
    "two numbers for one": exif_bytes((ORIENTATION, 3, 2, b"\6\0\x08\0")),
    "a fraction": exif_bytes((ORIENTATION, 5, 1, b"\x1a\0\0\0")),
    "cut off": exif_bytes((ORIENTATION, 3, 1, b"\6\0\0\0"))[:20],
}
# What Pillow reads and cannot write again.
_UPRIGHT = (ORIENTATION, 3, 1, b"\6\0\0\0")
ODD_NEIGHBOURS = {
    "a pointer of bytes": exif_bytes(_UPRIGHT, (0xA005, 1, 1, b"\xff\xff\xff\1")),
    "a resolution in words": exif_bytes(_UPRIGHT, (0x011A, 2, 1, b"\xff\xff\xff\1")),
    "a unit too large": exif_bytes(_UPRIGHT, (0x0128, 4, 1, b"\xff\xff\xff\1")),
}


@pytest.mark.parametrize("what", MALFORMED)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_picture_with_malformed_exif_is_a_picture(tmp_path: Path, what: str) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", exif=MALFORMED[what])
    still = read_image(tmp_path / "a.jpg")
    assert still.frame is not None, still.reason
    assert sorted(still.frame.shape) == [3, 40, 60]


@pytest.mark.parametrize("what", ODD_NEIGHBOURS)
def test_malformed_tags_do_not_hide_how_a_picture_stands(tmp_path: Path, what: str) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", exif=ODD_NEIGHBOURS[what])
    frame = read_image(tmp_path / "a.jpg").frame
    assert frame is not None
    assert frame.shape == (60, 40, 3)


@pytest.mark.parametrize("orientation", range(10))
def test_pictures_are_turned_upright_as_pillow_does(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(gradient()).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").frame, expected)


def test_texts_end_at_the_first_zero_character(tmp_path: Path) -> None:
    write_padded_time(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").container.recorded_at == "2024:05:06 07:08:09"
    log = "[info]     creation_time   : 2014-11-20T06:07:08Z\0\0\n[mov @ 0x1] [error] bad atom \0 x\n"
    found = parse_probe(log)
    assert (found.recorded_at, found.errors) == ("2014-11-20T06:07:08Z", ("bad atom",))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_odd_pictures_stop_no_run(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_padded_time(clips / "a.jpg")
    for number, exif in enumerate([*MALFORMED.values(), *ODD_NEIGHBOURS.values()]):
        Image.fromarray(gradient()).save(clips / f"b{number}.jpg", exif=exif)
    Image.fromarray(gradient().astype(np.float32)[..., 0]).save(clips / "c.png", "TIFF")
    store = FeatureStore.open(tmp_path / "store", create=True)
    progress = extract(make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store), store)
    assert (progress.statuses[Status.OK], progress.statuses[Status.FAILED]) == (10, 1)
    assert store.clips().loc["a.jpg", "recorded_at"] == "2024:05:06 07:08:09"


@pytest.mark.parametrize(
    "error", [struct.error("unpack requires 4 bytes"), TypeError("'NoneType'"), IndexError(), EOFError(), KeyError(3)]
)
def test_whatever_pillow_raises_is_the_reason_of_one_clip(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_it(*_: object) -> None:
        raise error

    Image.fromarray(gradient()).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", raise_it)
    frames = decode(tmp_path / "a.png", SAMPLING, [])
    assert frames.status is Status.FAILED
    assert frames.reason.startswith("the image cannot be decoded: ")
    assert len(frames.reason) > len("the image cannot be decoded: ")


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_of_grey_keep_their_upper_eight(tmp_path: Path, order: str) -> None:
    grey = (np.arange(40 * 60).reshape(40, 60) * 27).astype(f"{order}u2")
    suffix, kind = ("png", "PNG") if order == "<" else ("jpg", "TIFF")
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}", kind)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.mode.startswith("I;16")
    frame = read_image(tmp_path / f"a.{suffix}").frame
    np.testing.assert_array_equal(frame, np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_a_picture_without_an_agreed_white_fails_and_says_what_to_do(tmp_path: Path, kind: type) -> None:
    Image.fromarray(gradient()[..., 0].astype(kind)).save(tmp_path / "a.png", "TIFF")
    still = read_image(tmp_path / "a.png")
    assert still.frame is None
    assert "have no agreed white; convert it to 8 or 16 bits" in still.reason
