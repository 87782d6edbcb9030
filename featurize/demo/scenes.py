"""Camera-trap clips that are drawn, with known truth: for the demo, and for tests that must know what a frame shows."""

import math
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from featurize.decoding.ffmpeg import as_file, ffmpeg_binary

SPECIES = ("antelope", "pig", "bird")
BLANK = "blank"
_VOICES = {"antelope": 700, "pig": 250, "bird": 3000}  # Hz
_SOUND_HZ = 16_000


@dataclass(frozen=True, kw_only=True)
class Visit:
    """An animal's way through a clip.

    Attributes:
        species: one of `SPECIES`.
        start: when it enters, as a share of the clip.
        stop: when it leaves.
        from_x: where it enters, as a share of the frame's width; it may lie outside the frame.
        to_x: where it leaves.
        ground: height of its feet, as a share of the frame's height from the top.
        size: its length, as a share of the frame's width.
    """

    species: str
    start: float
    stop: float
    from_x: float
    to_x: float
    ground: float
    size: float

    def x_at(self, moment: float) -> float | None:
        """Where it is at `moment` (a share of the clip), as a share of the width; None while it is away."""
        if not self.start <= moment < self.stop:
            return None
        return self.from_x + (self.to_x - self.from_x) * (moment - self.start) / (self.stop - self.start)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a clip shows.

    Attributes:
        site: the camera's place; it decides the background.
        infrared: whether the lamp is on, at night.
        visits: the animals; none in a blank clip.
        seed: of noise, sway and the animals' looks.
    """

    site: int
    infrared: bool
    visits: tuple[Visit, ...]
    seed: int


def draw_clip(scene: Scene, *, frames: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """The frames of a scene, each (H, W, 3) uint8."""
    rng = np.random.default_rng([scene.seed, 1])
    background = _background(scene.site, width, height)
    tint = np.array(_coat(rng), np.float32)
    for number in range(frames):
        moment = number / frames
        picture = background.copy()
        draw = ImageDraw.Draw(picture)
        for visit in scene.visits:
            x = visit.x_at(moment)
            if x is not None:
                _draw_animal(draw, visit, x, number, (width, height), tuple(int(part) for part in tint))
        shift = round(math.sin(number * 0.9 + scene.seed) * 0.6)
        pixels = np.roll(np.asarray(picture, np.float32), shift, axis=1)
        yield _light(pixels, scene.infrared, rng)


def sound_of(scene: Scene, seconds: float) -> str:
    """What a clip sounds like, as a formula of ffmpeg's: the voice of each animal that is on screen, above a hiss."""
    hiss = f"0.02*(random({scene.seed % 10})-0.5)"
    voices = [
        f"0.2*sin(2*PI*{_VOICES[visit.species]}*t)*between(t,{visit.start * seconds:.3f},{visit.stop * seconds:.3f})"
        for visit in scene.visits
    ]
    return "+".join([hiss, *voices])


def write_video(
    path: Path, frames: Iterator[NDArray[np.uint8]], *, fps: float, arguments: Sequence[str] = (), sound: str = ""
) -> None:
    """Encode `frames` (H, W, 3) uint8 into the video at `path`; its suffix decides the container.

    Args:
        path: where it goes.
        frames: what it shows.
        fps: frames a second.
        arguments: further ones of ffmpeg's, for what is written.
        sound: a formula of ffmpeg's for its sound; none without one.

    Raises:
        OSError: ffmpeg refused.
    """
    shown = list(frames)
    height, width = shown[0].shape[:2]
    command = [ffmpeg_binary(), "-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", str(fps), "-i", "pipe:0"]
    if sound:
        command += ["-f", "lavfi", "-i", f"aevalsrc='{sound}':s={_SOUND_HZ}:d={len(shown) / fps}"]
    command += ["-pix_fmt", "yuv420p", *arguments, as_file(path)]
    content = b"".join(frame.tobytes() for frame in shown)
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"{path}: ffmpeg could not write it: {done.stderr.decode(errors='replace').strip()}")


def _background(site: int, width: int, height: int) -> Image.Image:
    """The scene that a site's camera looks at: sky, ground, trunks and bushes, always the same for a site."""
    rng = np.random.default_rng([site, 7])
    sky = rng.integers(140, 200) + np.array((0, 8, 20)) + rng.integers(-12, 12, 3)
    ground = rng.integers(70, 130) * np.array((1.0, 0.92, 0.66)) + rng.integers(-10, 10, 3)
    picture = Image.new("RGB", (width, height), tuple(int(part) for part in sky))
    draw = ImageDraw.Draw(picture)
    horizon = int(height * rng.uniform(0.3, 0.5))
    for row in range(horizon, height):
        shade = 0.7 + 0.5 * (row - horizon) / (height - horizon)
        draw.line((0, row, width, row), fill=tuple(int(min(255, part * shade)) for part in ground))
    for _ in range(int(rng.integers(4, 9))):
        x, girth = rng.uniform(0, width), rng.uniform(0.01, 0.04) * width
        bark = int(rng.integers(30, 80))
        foot = horizon + rng.uniform(0.0, 0.25) * height
        draw.rectangle((x - girth, 0, x + girth, foot), fill=(bark, int(bark * 0.8), int(bark * 0.6)))
    for _ in range(int(rng.integers(10, 25))):
        x, y, radius = rng.uniform(0, width), rng.uniform(horizon, height), rng.uniform(0.01, 0.06) * width
        green = int(rng.integers(60, 140))
        draw.ellipse((x - radius, y - radius / 2, x + radius, y + radius / 2), fill=(green // 2, green, green // 3))
    return picture.filter(ImageFilter.GaussianBlur(0.6))


def _coat(rng: np.random.Generator) -> tuple[int, int, int]:
    """The colour of an animal: some brown."""
    depth = rng.uniform(0.6, 1.2)
    return (int(120 * depth), int(85 * depth), int(55 * depth))


def _light(pixels: NDArray[np.float32], infrared: bool, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture as the sensor has it: noise by day; grey, darker at the edges and noisier under the lamp."""
    height, width = pixels.shape[:2]
    if infrared:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        lamp = (1.15 - 0.55 * (x**2 + y**2)).clip(0.15, 1)
        grey = (pixels.mean(axis=2) * lamp)[..., None].repeat(3, axis=2)
        night: NDArray[np.uint8] = (grey + rng.normal(0, 6, (height, width, 1))).clip(0, 255).astype(np.uint8)
        return night
    gain = rng.uniform(0.97, 1.03)
    day: NDArray[np.uint8] = (pixels * gain + rng.normal(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8)
    return day


def _draw_animal(
    draw: ImageDraw.ImageDraw, visit: Visit, x: float, number: int, size: tuple[int, int], coat: tuple[int, ...]
) -> None:
    """One animal with its feet on the ground, facing where it goes, legs or wings in motion."""
    width, height = size
    unit = visit.size * width
    facing = 1 if visit.to_x > visit.from_x else -1
    swing = math.sin(number * 1.3) * 0.12
    pen = _Pen(draw=draw, left=x * width, feet=visit.ground * height, unit=unit, facing=facing, coat=coat)
    {"antelope": _antelope, "pig": _pig, "bird": _bird}[visit.species](pen, swing)


@dataclass(frozen=True, kw_only=True)
class _Pen:
    """Draws in units of the animal's length, from the middle of its feet, in the direction it faces."""

    draw: ImageDraw.ImageDraw
    left: float
    feet: float
    unit: float
    facing: int
    coat: tuple[int, ...]

    def _point(self, x: float, y: float) -> tuple[float, float]:
        return self.left + self.facing * x * self.unit, self.feet - y * self.unit

    def oval(self, x: float, y: float, across: float, down: float, fill: Any) -> None:
        (centre_x, centre_y) = self._point(x, y)
        half_x, half_y = across * self.unit / 2, down * self.unit / 2
        self.draw.ellipse((centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y), fill=fill)

    def line(self, start: tuple[float, float], stop: tuple[float, float], thickness: float, fill: Any) -> None:
        points = (*self._point(*start), *self._point(*stop))
        self.draw.line(points, fill=fill, width=max(1, round(thickness * self.unit)))


def _antelope(pen: _Pen, swing: float) -> None:
    """Slender: long legs, long neck, horns."""
    for leg in (-0.33, -0.25, 0.25, 0.33):
        pen.line((leg, 0.5), (leg + swing * (1 if leg in (-0.33, 0.25) else -1), 0), 0.05, pen.coat)
    pen.oval(0, 0.6, 0.9, 0.32, pen.coat)
    pen.line((0.35, 0.65), (0.55, 1.0), 0.11, pen.coat)
    pen.oval(0.62, 1.03, 0.26, 0.14, pen.coat)
    for horn in (0.54, 0.6):
        pen.line((horn, 1.08), (horn - 0.12, 1.38), 0.03, (230, 225, 205))
    pen.oval(-0.42, 0.62, 0.1, 0.18, (235, 230, 220))


def _pig(pen: _Pen, swing: float) -> None:
    """Stout and dark: short legs, a big head held low, a snout."""
    dark = tuple(part // 3 for part in pen.coat)
    for leg in (-0.3, -0.15, 0.15, 0.3):
        pen.line((leg, 0.3), (leg + swing * 0.6 * (1 if leg in (-0.3, 0.15) else -1), 0), 0.09, dark)
    pen.oval(0, 0.42, 1.0, 0.55, dark)
    pen.oval(0.48, 0.36, 0.42, 0.34, dark)
    pen.oval(0.7, 0.3, 0.12, 0.14, (150, 110, 105))


def _bird(pen: _Pen, swing: float) -> None:
    """Small and bright: round body, beating wings, a beak."""
    pen.oval(0, 1.2, 0.5, 0.34, (225, 225, 235))
    pen.oval(0.25, 1.35, 0.22, 0.2, (200, 60, 50))
    pen.line((0.34, 1.35), (0.48, 1.33), 0.06, (240, 190, 60))
    for side in (-1, 1):
        pen.line((0, 1.25), (-0.1, 1.25 + side * (0.25 + swing * 2)), 0.12, (190, 195, 215))
