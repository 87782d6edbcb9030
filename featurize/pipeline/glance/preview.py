"""Contact sheets: what a view sees of a clip, to be looked at before days of computing are spent on it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from featurize.background.difference import Background
from featurize.decoding.decoded import DecodedClip
from featurize.detection.over_time import Detect
from featurize.errors import SourceError
from featurize.motion.boxes import Box
from featurize.motion.energy import MOVING
from featurize.motion.keyframes import choose_by_motion
from featurize.pipeline.clips.prefetch import decode_clip
from featurize.pipeline.discover import Clip
from featurize.pipeline.places.backgrounds import NO_BACKGROUNDS, Backgrounds
from featurize.pipeline.plan import fingerprint_or_blank
from featurize.views.contrast import even_out
from featurize.views.crops import ViewSpec
from featurize.views.moving import MovingSquares
from featurize.views.registry import find_view
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from featurize.views.view import View

_FRAMES = 15
_COLUMNS = 5
_TILE_PX = 224
_CURVE_PX = 90
# At least so much energy is full height (a tenth of the picture just moves), so that the curve lies low elsewhere.
_LEAST_SCALE = 0.1 * MOVING
_TEXT_PX = 18
_INK, _PAPER, _FAINT = "#1b1b1b", "#ffffff", "#b8b8b8"
# Ten times what is usual is white.
_MOST_APART = 10.0
_MOTION = MovingSquares()
# A detector looks at frames that wait for the clip's end; of those that are cut out for it nothing is shown.
_LEAST = Canvas(px=16, rule="squash")
_BOX_COLOURS = ("#ff7a00", "#00a5ff")


def write_previews(
    clips: Sequence[Clip],
    sampling: Sampling,
    folder: Path,
    *,
    view: str = "motion",
    contrast: bool = False,
    backgrounds: Backgrounds = NO_BACKGROUNDS,
    detect: Detect | None = None,
    workers: int,
    on_clip: Callable[[str], None],
) -> list[tuple[str, str]]:
    """Write a contact sheet per clip into `folder`, named as the clip with `.jpg` behind.

    Args:
        clips: the clips.
        sampling: the frames that featurize would take; the 15 most telling of them are shown.
        folder: made if it is missing.
        view: name of the view.
        contrast: whether its squares are shown in the contrast in which networks see them, where that is its way.
        backgrounds: what clips are seen against, if the view compares them.
        detect: the detector that the view asks, if it asks one.
        workers: decoding threads.
        on_clip: called with one line per clip.

    Returns:
        (clip id, reason) of each clip that failed.

    Raises:
        SourceError: a sheet cannot be written.
    """
    failures: list[tuple[str, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        written = pool.map(
            lambda clip: _write_one(clip, sampling, folder, find_view(view), contrast, backgrounds, detect), clips
        )
        for clip, (failure, said) in zip(clips, written, strict=True):
            if failure:
                failures.append((clip.clip_id, failure))
            on_clip(f"{clip.clip_id}: {failure or said}")
    return failures


def _write_one(
    clip: Clip,
    sampling: Sampling,
    folder: Path,
    view: View,
    contrast: bool,
    backgrounds: Backgrounds,
    detect: Detect | None,
) -> tuple[str, str]:
    """Write the sheet of one clip: why it failed, "" if it did not, and what it shows."""
    spec = ViewSpec(canvas=Canvas(px=_TILE_PX))
    specs = [spec, ViewSpec(canvas=_LEAST, view=view.name)] if view.needs_detector else [spec]
    background = backgrounds.of(fingerprint_or_blank(clip)) if view.needs_background else None
    decoded = decode_clip(clip, clip.on_disk(), sampling, specs, lambda: background, detect)
    if not len(decoded.times_s):
        return decoded.reason, ""
    path = folder / f"{clip.clip_id}.jpg"
    ((_, pixels),) = decoded.crops[spec].by_size
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet = contact_sheet(clip.clip_id, decoded, pixels, view, background, contrast=contrast)
        sheet.save(path, quality=88)
    except OSError as error:
        raise SourceError(
            f"{path}: the contact sheet cannot be written ({error.strerror or error}); give --preview another folder"
        ) from error
    return "", _in_words(decoded)


def contact_sheet(
    title: str,
    decoded: DecodedClip,
    pixels: NDArray[np.uint8],
    view: View = _MOTION,
    background: Background | None = None,
    *,
    contrast: bool = False,
) -> Image.Image:
    """The sheet of one clip.

    Args:
        title: what stands above it.
        decoded: the clip.
        pixels: (T, H, W, 3) uint8, its whole frames.
        view: whose boxes are drawn.
        background: what it is seen against; it is shown, and what differs from it, behind the frames.
        contrast: whether what is in the boxes is shown in the contrast in which networks see it, if that is the view's
            way; it is told by the pixels here, which may be fewer than those that networks see.
    """
    nearest = decoded.motion.nearest(decoded.times_s)
    shown = choose_by_motion(decoded.motion.energy_at(decoded.times_s), _FRAMES)
    height, width = pixels.shape[1:3]
    behind = [] if background is None else _background_tiles(background, decoded, (width, height))
    shown = shown[: _FRAMES - len(behind)]
    columns = min(_COLUMNS, len(shown) + len(behind))
    rows = -(-(len(shown) + len(behind)) // columns)
    sheet = Image.new("RGB", (max(columns, 3) * width, _TEXT_PX + rows * (height + _TEXT_PX) + _CURVE_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw.text((4, 2), f"{title}   {_in_words(decoded)}", _INK, font)
    aspect = width / height
    for place, index in enumerate(shown):
        x, y = _corner(place, columns, (width, height))
        boxes = view.boxes(decoded.motion, int(nearest[index]), aspect)
        tile = _evened(pixels[index], boxes) if contrast and view.evens_contrast else pixels[index]
        sheet.paste(Image.fromarray(tile), (x, y))
        _draw_boxes(draw, boxes, (x, y), (width, height))
        draw.text((x + 4, y + height + 1), _caption(decoded.times_s[index], boxes), _INK, font)
    for place, (caption, tile) in enumerate(behind, start=len(shown)):
        x, y = _corner(place, columns, (width, height))
        sheet.paste(tile, (x, y))
        draw.text((x + 4, y + height + 1), caption, _INK, font)
    _draw_curve(draw, decoded, decoded.times_s[shown], sheet.height - _CURVE_PX, sheet.width)
    return sheet


def _evened(frame: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """`frame` (H, W, 3) with what is in `boxes`, but not all of it, in the contrast in which networks see it."""
    seen = frame.copy()
    for box in boxes:
        if not box.covers_frame:
            left, top, right, bottom = box.pixels(frame.shape[1], frame.shape[0])
            seen[top:bottom, left:right] = even_out(np.ascontiguousarray(frame[top:bottom, left:right]))
    return seen


def _corner(place: int, columns: int, size: tuple[int, int]) -> tuple[int, int]:
    """Where the tile at `place` begins."""
    return place % columns * size[0], _TEXT_PX + place // columns * (size[1] + _TEXT_PX)


def _background_tiles(
    background: Background, decoded: DecodedClip, size: tuple[int, int]
) -> list[tuple[str, Image.Image]]:
    """The place as the camera's other clips show it, and what differs from it at any time, with captions."""
    grey = np.clip(110 + 80 * background.empty, 0, 255).astype(np.uint8)
    strongest = decoded.motion.difference.max(axis=0, initial=0)
    apart = np.clip(strongest * (255 / _MOST_APART), 0, 255).astype(np.uint8)
    return [
        (f"seen against {len(background.samples)} other clips", Image.fromarray(grey).convert("RGB").resize(size)),
        (
            f"differs by {strongest.max(initial=0):.1f} times the usual at most",
            Image.fromarray(apart).convert("RGB").resize(size, Image.Resampling.NEAREST),
        ),
    ]


def _in_words(decoded: DecodedClip) -> str:
    """What a sheet shows: what moves and, where that is known, what differs from the camera's other clips."""
    finds = decoded.motion.detected[..., 4]
    if finds.size:
        told = (
            f"the detector is sure of an animal by {finds.max():.2f} at most" if finds.any() else "no animal is found"
        )
        return f"{told}; {_motion_in_words(decoded).removesuffix(': whole frames')}"
    differs = np.atleast_1d(decoded.motion.difference.any(axis=(1, 2)))
    if not len(differs):
        return _motion_in_words(decoded)
    moves = _motion_in_words(decoded).removesuffix(": whole frames")
    return f"{moves}; something differs from the camera's other clips in {differs.mean():.0%} of the time"


def _motion_in_words(decoded: DecodedClip) -> str:
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
            if box.is_found:
                wide, high = size
                inner = [edge * side for edge, side in zip(box.around, (wide, high, wide, high), strict=True)]
                draw.rectangle(
                    (at[0] + inner[0], at[1] + inner[1], at[0] + inner[2] - 1, at[1] + inner[3] - 1), outline=_PAPER
                )
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
        strongest = max(float(energy.max()), _LEAST_SCALE)
        points = [
            (4 + (width - 8) * time / end, bottom - (bottom - top - 8) * value / strongest)
            for time, value in zip(times, energy, strict=True)
        ]
        draw.line(points, fill=_BOX_COLOURS[0], width=2)
    draw.text((4, top), "motion energy over time", _INK, ImageFont.load_default(11))
