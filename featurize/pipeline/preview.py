"""Contact sheets: what the motion view sees of a clip, to be looked at before days of computing are spent on it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from featurize.decoding.decoded import DecodedClip
from featurize.errors import SourceError
from featurize.motion.boxes import Box
from featurize.motion.energy import MOVING
from featurize.motion.keyframes import choose_by_motion
from featurize.pipeline.discover import Clip
from featurize.pipeline.prefetch import decode_or_fail
from featurize.views.crops import ViewSpec
from featurize.views.moving import MovingSquares
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling

_FRAMES = 15
_COLUMNS = 5
_TILE_PX = 224
_CURVE_PX = 90
_TEXT_PX = 18
_INK, _PAPER, _FAINT = "#1b1b1b", "#ffffff", "#b8b8b8"
_BOX_COLOURS = ("#ff7a00", "#00a5ff")


def write_previews(
    clips: Sequence[Clip], sampling: Sampling, folder: Path, *, workers: int, on_clip: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Write a contact sheet per clip into `folder`, named as the clip with `.jpg` behind.

    Args:
        clips: the clips.
        sampling: the frames that featurize would take; the 15 most telling of them are shown.
        folder: made if it is missing.
        workers: decoding threads.
        on_clip: called with one line per clip.

    Returns:
        (clip id, reason) of each clip that failed.

    Raises:
        SourceError: a sheet cannot be written.
    """
    failures: list[tuple[str, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        written = pool.map(lambda clip: _write_one(clip, sampling, folder), clips)
        for clip, (failure, said) in zip(clips, written, strict=True):
            if failure:
                failures.append((clip.clip_id, failure))
            on_clip(f"{clip.clip_id}: {failure or said}")
    return failures


def _write_one(clip: Clip, sampling: Sampling, folder: Path) -> tuple[str, str]:
    """Write the sheet of one clip: why it failed, "" if it did not, and what it shows."""
    spec = ViewSpec(canvas=Canvas(px=_TILE_PX))
    decoded = decode_or_fail(clip.path, clip.clip_id, sampling, [spec])
    if not len(decoded.times_s):
        return decoded.reason, ""
    path = folder / f"{clip.clip_id}.jpg"
    ((_, pixels),) = decoded.crops[spec].by_size
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(clip.clip_id, decoded, pixels).save(path, quality=88)
    except OSError as error:
        raise SourceError(
            f"{path}: the contact sheet cannot be written ({error.strerror or error}); give --preview another folder"
        ) from error
    return "", _in_words(decoded)


def contact_sheet(title: str, decoded: DecodedClip, pixels: NDArray[np.uint8]) -> Image.Image:
    """The sheet of one clip.

    Args:
        title: what stands above it.
        decoded: the clip.
        pixels: (T, H, W, 3) uint8, its whole frames.
    """
    nearest = decoded.motion.nearest(decoded.times_s)
    shown = choose_by_motion(decoded.motion.energy_at(decoded.times_s), _FRAMES)
    height, width = pixels.shape[1:3]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (max(columns, 3) * width, _TEXT_PX + rows * (height + _TEXT_PX) + _CURVE_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw.text((4, 2), f"{title}   {_in_words(decoded)}", _INK, font)
    aspect = width / height
    for place, index in enumerate(shown):
        x, y = place % columns * width, _TEXT_PX + place // columns * (height + _TEXT_PX)
        sheet.paste(Image.fromarray(pixels[index]), (x, y))
        boxes = MovingSquares().boxes(decoded.motion, int(nearest[index]), aspect)
        _draw_boxes(draw, boxes, (x, y), (width, height))
        draw.text((x + 4, y + height + 1), _caption(decoded.times_s[index], boxes), _INK, font)
    _draw_curve(draw, decoded, decoded.times_s[shown], sheet.height - _CURVE_PX, sheet.width)
    return sheet


def _in_words(decoded: DecodedClip) -> str:
    motion = decoded.motion
    if not motion.cells.size:
        return "too few frames to see motion: whole frames"
    moving = motion.cells.max(axis=(1, 2)) > MOVING
    if not moving.any():
        return "nothing moves: whole frames"
    times = motion.times_s[moving]
    return f"something moves in {moving.mean():.0%} of the time, from {times[0]:.1f} to {times[-1]:.1f} s"


def _caption(time_s: float, boxes: Sequence[Box]) -> str:
    if boxes[0].covers_frame:
        return f"{time_s:.2f} s   whole frame" + (": too much changes" if boxes[0].energy else "")
    return f"{time_s:.2f} s   confidence {', '.join(f'{box.confidence:.2f}' for box in boxes)}"


def _draw_boxes(draw: ImageDraw.ImageDraw, boxes: Sequence[Box], at: tuple[int, int], size: tuple[int, int]) -> None:
    for box, colour in zip(boxes, _BOX_COLOURS, strict=False):
        if not box.covers_frame:
            left, top, right, bottom = box.pixels(*size)
            draw.rectangle((at[0] + left, at[1] + top, at[0] + right - 1, at[1] + bottom - 1), outline=colour, width=2)


def _draw_curve(
    draw: ImageDraw.ImageDraw, decoded: DecodedClip, shown_s: NDArray[np.float64], top: int, width: int
) -> None:
    """The energy over time; ticks mark the frames that are shown."""
    bottom = top + _CURVE_PX - 16
    times, energy = decoded.motion.times_s, decoded.motion.energy
    end = max(float(np.max(np.concatenate([times, shown_s]), initial=0)), 1e-9)
    draw.line((0, bottom, width, bottom), fill=_FAINT)
    for time in shown_s:
        x = 4 + (width - 8) * time / end
        draw.line((x, bottom, x, bottom + 6), fill=_INK)
    if len(times) > 1:
        strongest = max(float(energy.max()), 1e-6)
        points = [
            (4 + (width - 8) * time / end, bottom - (bottom - top - 8) * value / strongest)
            for time, value in zip(times, energy, strict=True)
        ]
        draw.line(points, fill=_BOX_COLOURS[0], width=2)
    draw.text((4, top), "motion energy over time", _INK, ImageFont.load_default(11))
