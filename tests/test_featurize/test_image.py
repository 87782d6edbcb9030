"""Still pictures: odd ones stop nothing, and none is shown as something else than it is."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin
from tiny_backbone import tiny_source

from featurize.decoding.decode import decode
from featurize.decoding.ffmpeg import parse_probe
from featurize.decoding.pictures.still import read_image
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


def test_when_a_picture_was_taken_counts_more_than_when_it_was_saved(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2025:01:02 03:04:05"
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").container.recorded_at == "2025:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:03:01 05:06:07"
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").container.recorded_at == "2024:03:01 05:06:07"


def test_texts_end_at_the_first_zero_character(tmp_path: Path) -> None:
    write_padded_time(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").container.recorded_at == "2024:05:06 07:08:09"
    log = "[info]     creation_time   : 2014-11-20T06:07:08Z\0\0\n[mov @ 0x1] [error] bad atom \0 x\n"
    found = parse_probe(log)
    assert (found.recorded_at, found.errors) == ("2014-11-20T06:07:08Z", ("bad atom",))


def photo(seed: int = 0, height: int = 120, width: int = 160) -> Image.Image:
    """A picture with detail at every size, as photographs have."""
    rng = np.random.default_rng(seed)
    sizes = ((3, 4), (15, 20), (height, width))
    layers = [Image.fromarray(rng.integers(0, 86, (*size, 3), np.uint8)).resize((width, height)) for size in sizes]
    return Image.fromarray(np.sum([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8))


def jpeg(picture: Image.Image, **settings: Any) -> bytes:
    """The picture as a JPEG file."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", **settings)
    return buffer.getvalue()


# What befalls a file at one of its bytes, and in how many of ten places it must be noticed at least: by chance the code
# fits again behind a damage, and then nothing in the file says that it is not the picture that was taken.
DAMAGES: dict[str, tuple[Callable[[bytes, int], bytes], int]] = {
    "the rest is missing": (lambda content, at: content[:at], 10),
    "the rest is missing but for the end": (lambda content, at: content[:at] + b"\xff\xd9", 10),
    "the rest is zeros": (lambda content, at: content[:at].ljust(len(content), b"\0"), 10),
    "the rest is zeros but for the end": (
        lambda content, at: content[:at].ljust(len(content), b"\0") + b"\xff\xd9",
        10,
    ),
    "zeros": (lambda content, at: content[:at] + bytes(400) + content[at + 400 :], 10),
    "few zeros": (lambda content, at: content[:at] + bytes(64) + content[at + 64 :], 10),
    "a gap": (lambda content, at: content[:at] + content[at + 100 :], 6),
    "something slipped in": (lambda content, at: content[:at] + content[at - 900 : at] + content[at:], 10),
    "another picture's rest": (lambda content, at: content[:at] + jpeg(photo(1, 160, 160))[at:], 10),
}
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "fine": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
}


# The later scans of a progressive file are mostly bits of which nearly all are zeros.
LESS_SURE = {("progressive", "zeros"): 5, ("progressive", "few zeros"): 5}


@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_jpeg_fails_instead_of_being_painted_over(tmp_path: Path, kind: str, what: str) -> None:
    path = tmp_path / "a.jpg"
    sound = jpeg(photo(), **KINDS[kind])
    path.write_bytes(sound)
    assert decode(path, SAMPLING, []).status is Status.OK
    damage, fewest = DAMAGES[what]
    found = []
    for place in np.linspace(0.4, 0.85, 10):
        path.write_bytes(damage(sound, int(len(sound) * place)))
        found.append(decode(path, SAMPLING, []))
    failed = [clip for clip in found if clip.status is Status.FAILED]
    assert len(failed) >= LESS_SURE.get((kind, what), fewest)
    assert all(clip.reason.startswith("the image cannot be decoded: ") and not len(clip.times_s) for clip in failed)


def with_thumbnail() -> bytes:
    exif = Image.Exif()
    exif[DATE_TIME] = "2024:05:06 07:08:09"
    exif.get_ifd(0x8769)[0x927C] = jpeg(photo(2, 24, 32))  # a maker's note that holds a JPEG
    return jpeg(photo(), exif=exif)


def of_two_pictures() -> bytes:
    buffer = BytesIO()
    photo().save(buffer, "MPO", save_all=True, append_images=[photo(1)])
    return buffer.getvalue()


def half_black() -> Image.Image:
    picture = Image.new("RGB", (640, 480))
    picture.paste(photo(), (0, 0))
    return picture


def nearly_black() -> Image.Image:
    """A picture with single points of light, where the shortest code is the end of a block."""
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[::97, ::89] = 255
    return Image.fromarray(picture)


SOUND: dict[str, Callable[[], bytes]] = {
    "grey": lambda: jpeg(photo().convert("L")),
    "CMYK": lambda: jpeg(photo().convert("CMYK")),
    "RGB": lambda: jpeg(photo(), keep_rgb=True),
    "black": lambda: jpeg(Image.new("RGB", (640, 480))),
    "black, with tables of its own": lambda: jpeg(Image.new("RGB", (640, 480)), optimize=True),
    "nearly black, with tables of its own": lambda: jpeg(nearly_black(), optimize=True, subsampling=0),
    "half black": lambda: jpeg(half_black(), quality=95),
    "half black, with tables of its own": lambda: jpeg(half_black(), optimize=True),
    "half black, progressive": lambda: jpeg(half_black(), progressive=True),
    "tiny": lambda: jpeg(photo().resize((1, 1))),
    "a text behind it": lambda: jpeg(photo()) + b"camera notes " * 99,
    "zeros behind it": lambda: jpeg(photo()) + bytes(4096),
    "zeros before the end marker": lambda: jpeg(photo())[:-2] + bytes(500) + b"\xff\xd9",
    "a thumbnail": with_thumbnail,
    "two pictures": of_two_pictures,
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_jpeg_of_an_odd_kind_is_what_pillow_sees(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(SOUND[kind]())
    still = read_image(path)
    assert still.reason == ""
    with Image.open(path) as picture:
        np.testing.assert_array_equal(still.frame, picture.convert("RGB"))


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


def png(picture: Image.Image, **settings: Any) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG", **settings)
    return buffer.getvalue()


def test_a_damaged_png_fails_wherever_its_pixels_are_damaged(tmp_path: Path) -> None:
    sound, path = png(photo()), tmp_path / "a.png"
    start, stop = sound.index(b"IDAT") + 4, sound.rindex(b"IEND") - 8
    for place in np.linspace(start, stop - 1, 40).astype(int).tolist():
        damaged = bytearray(sound)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        clip = decode(path, SAMPLING, [])
        assert (clip.status, len(clip.times_s)) == (Status.FAILED, 0), place
    path.write_bytes(sound[:-12])
    assert decode(path, SAMPLING, []).status is Status.FAILED


@pytest.mark.parametrize("extra", ["text", "bytes behind it", "palette", "several pictures"])
def test_a_sound_png_is_what_pillow_sees(tmp_path: Path, extra: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("camera", "notes")
    content = {
        "text": lambda: png(photo(), pnginfo=info),
        "bytes behind it": lambda: png(photo()) + bytes(100),
        "palette": lambda: png(photo().quantize(16)),
        "several pictures": lambda: png(photo(), save_all=True, append_images=[photo(1)]),
    }[extra]()
    path = tmp_path / "a.png"
    path.write_bytes(content)
    still = read_image(path)
    assert still.reason == ""
    with Image.open(path) as picture:
        np.testing.assert_array_equal(still.frame, picture.convert("RGB"))
