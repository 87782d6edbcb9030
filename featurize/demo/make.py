"""Makes the demo's clips: `python -m featurize.demo FOLDER`.

A few hundred short drawn clips of several sites, by day and under infrared light: blanks, one species, two species, on
screen, and to be heard, for part of the clip. Each site has a species mix of its own. A few files are damaged on
purpose.
"""

import csv
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featurize.demo.scenes import BLANK, SPECIES, Scene, Visit, draw_clip, sound_of, write_video

_CLIPS = 240
_SITES = 10
_FRAMES = 24
_FPS = 4.0
_WIDTH, _HEIGHT = 192, 144
_BLANK_SHARE = 0.4
_INFRARED_SHARE = 0.4
_TWO_SPECIES_SHARE = 0.15
_SEED = 2026
_QUICKLY = ("-threads", "1", "-preset", "veryfast")  # clips of a few frames, several at a time


@dataclass(frozen=True, kw_only=True)
class DemoClip:
    """A clip of the demo: its file name below the folder, and what it shows."""

    name: str
    scene: Scene

    @property
    def labels(self) -> tuple[str, ...]:
        """Its species, or blank."""
        return tuple(visit.species for visit in self.scene.visits) or (BLANK,)


def plan_demo(clips: int = _CLIPS) -> list[DemoClip]:
    """What the demo's clips show; always the same."""
    rng = np.random.default_rng(_SEED)
    mixes = rng.dirichlet(np.full(len(SPECIES), 1.5), _SITES)
    planned = []
    for number in range(clips):
        site = int(rng.integers(_SITES))
        scene = Scene(
            site=site,
            infrared=bool(rng.random() < 0.4),
            visits=_visits(mixes[site], rng),
            seed=int(rng.integers(2**31)),
        )
        planned.append(DemoClip(name=f"site {site:02d}/IMG_{number:04d}.{_suffix(number)}", scene=scene))
    return planned


def make_demo(folder: Path) -> None:
    """Draw the demo's clips below `folder`/clips, and write labels.csv and sites.csv beside them."""
    planned = plan_demo()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda clip: _write_clip(folder / "clips", clip), planned))
    damaged = _damage(folder / "clips", planned)
    _write_tables(folder, planned)
    print(f"{len(planned)} clips of {_SITES} sites drawn into {folder / 'clips'}")
    print(f"damaged on purpose: {', '.join(damaged)}")


def _visits(mix: Sequence[float], rng: np.random.Generator) -> tuple[Visit, ...]:
    """No, one or two animals, of the site's species mix."""
    if rng.random() < _BLANK_SHARE:
        return ()
    count = 2 if rng.random() < _TWO_SPECIES_SHARE else 1
    chosen = rng.choice(len(SPECIES), size=count, replace=False, p=np.asarray(mix) * 0.9 + 0.1 / len(SPECIES))
    return tuple(_visit(SPECIES[species], rng) for species in chosen)


def _visit(species: str, rng: np.random.Generator) -> Visit:
    start = rng.uniform(0, 0.5)
    ways = (-0.2, 1.2) if rng.random() < 0.5 else (1.2, -0.2)
    size = rng.uniform(0.16, 0.34) * (0.6 if species == "bird" else 1.0)
    return Visit(
        species=species,
        start=start,
        stop=min(1.0, start + rng.uniform(0.3, 0.6)),
        from_x=ways[0],
        to_x=ways[1],
        ground=rng.uniform(0.65, 0.9),
        size=size,
    )


def _suffix(number: int) -> str:
    """Mostly mp4, and some of what older cameras write."""
    return {0: "AVI", 1: "mov"}.get(number % 10, "mp4")


def _write_clip(folder: Path, clip: DemoClip) -> None:
    path = folder / clip.name
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = draw_clip(clip.scene, frames=_FRAMES, width=_WIDTH, height=_HEIGHT)
    write_video(path, frames, fps=_FPS, arguments=_QUICKLY, sound=sound_of(clip.scene, _FRAMES / _FPS))


def _damage(folder: Path, planned: Sequence[DemoClip]) -> list[str]:
    """Spoil three files as cards and copies do: emptied, cut off, overwritten; returns their names."""
    empty, cut, overwritten = (planned[place].name for place in (17, 68, 133))
    (folder / empty).write_bytes(b"")
    (folder / cut).write_bytes((folder / cut).read_bytes()[:1500])
    (folder / overwritten).write_bytes(np.random.default_rng(_SEED).bytes(20_000))
    return [empty, cut, overwritten]


def _write_tables(folder: Path, planned: Sequence[DemoClip]) -> None:
    columns = (BLANK, *SPECIES)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("filename", *columns))
        table.writerows((clip.name, *(int(name in clip.labels) for name in columns)) for clip in planned)
    with (folder / "sites.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("filename", "site"))
        table.writerows((clip.name, f"site {clip.scene.site:02d}") for clip in planned)
