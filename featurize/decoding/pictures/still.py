"""A still picture as Pillow reads it: upright, in eight bits and three colours."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from featurize.decoding.ffmpeg import Probe, clean_text
from featurize.decoding.pictures.jpeg import find_damage
from featurize.decoding.pictures.png import find_png_damage
from featurize.motion.image_facts import LOW_WIDTH_PX

# What Pillow is known to raise over damaged files: its readers trust what a file says of itself.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# How a picture is turned upright, by the orientation that EXIF states.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEG = ("JPEG", "MPO")
# Formats whose further pictures are later ones, and not previews or other views.
_ANIMATED = ("GIF", "PNG", "WEBP")
_WITHOUT_WHITE = ("I", "F")

Value = TypeVar("Value", int, str)


@dataclass(frozen=True, kw_only=True)
class Still:
    """A still picture.

    Attributes:
        frame: (H, W, 3) uint8; None where it cannot be decoded.
        container: what the file states.
        reason: why there is no frame, "" if there is one.
        pictures: how many the file holds, of which the frame is the first.
    """

    frame: NDArray[np.uint8] | None
    container: Probe
    reason: str = ""
    pictures: int = 1


def read_image(path: Path) -> Still:
    """The picture at `path`, turned upright as its EXIF says; one whose EXIF is malformed is taken as it is stored."""
    try:
        with Image.open(path) as image:
            container = (image.format or "").lower()
            turn = _TURNS.get(_stated(image, ExifTags.Base.Orientation, 1))
            taken = _stated(image, ExifTags.Base.DateTimeOriginal, "", ExifTags.IFD.Exif)
            recorded_at = clean_text(taken or _stated(image, ExifTags.Base.DateTime, ""))
            if image.mode in _WITHOUT_WHITE:
                return _undecodable(f"its values ({image.mode}) have no agreed white; convert it to 8 or 16 bits")
            picture = _in_eight_bits(image)
            damage = _damage(path, image.format or "")
            pictures = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    except _DAMAGE as error:
        return _undecodable(clean_text(str(error)) or type(error).__name__)
    if damage:
        return _undecodable(f"a part of it would be made up ({damage})")
    frame = np.asarray(picture if turn is None else picture.transpose(turn))
    height, width = frame.shape[:2]
    facts = Probe(container=container, codec=container, width=width, height=height, recorded_at=recorded_at)
    return Still(frame=frame, container=facts, pictures=pictures)


def _damage(path: Path, form: str) -> str:
    """What of a picture's data a decoder would make up without a word, "" for nothing."""
    if form in _JPEG:
        return find_damage(path.read_bytes())
    return find_png_damage(path.read_bytes()) if form == "PNG" else ""


def _stated(image: Image.Image, tag: ExifTags.Base, otherwise: Value, part: ExifTags.IFD | None = None) -> Value:
    """What the EXIF, or a part of it, says under `tag`; `otherwise` where it does not say it in the form that it must
    have.
    """
    try:
        exif = image.getexif()
        value = exif.get(tag) if part is None else exif.get_ifd(part).get(tag)
    except _DAMAGE:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """The picture in RGB; Pillow would clip 16 bits of grey to white instead of dropping the lower ones."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _undecodable(why: str) -> Still:
    return Still(frame=None, container=Probe(), reason=f"the image cannot be decoded: {why}")


def low_resolution(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) in the size in which facts about it are found, (h, w, 3)."""
    height, width = frame.shape[:2]
    size = (LOW_WIDTH_PX, max(1, round(height * LOW_WIDTH_PX / width)))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))
