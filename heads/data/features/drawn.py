"""One frame of each clip, drawn where much moves: what heads learn from that look at single frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.data.features.batches import Batch, ClipBatches
from heads.data.features.pictures import PictureReader

_MIRRORED = 0.5  # of all pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnFrames:
    """Clips of which each batch shows one frame each, mirrored as often as not.

    Attributes:
        examples: the clips.
        rng: draws, batch after batch.
    """

    examples: ClipBatches
    rng: np.random.Generator

    def batch(self, places: NDArray[np.int64]) -> Batch:
        """`features` (B, 1, H, W, 3) and `mask` (B, 1), all true, of the clips at `places`, which have frames."""
        reader = self.examples.reader
        if not isinstance(reader, PictureReader):
            raise TypeError(f"frames are drawn of pictures, and this is a {type(reader).__name__}")
        rows = self.examples.rows[places].tolist()
        drawn = [draw(chances_of_frames(reader, row), self.rng) for row in rows]
        pixels = reader.some(rows, drawn)
        mirrored = self.rng.random(len(rows)) < _MIRRORED
        pixels[mirrored] = pixels[mirrored, :, :, ::-1]
        return {"features": pixels, "mask": np.ones((len(rows), 1), bool)}


def chances_of_frames(reader: PictureReader, row: int) -> NDArray[np.float64]:
    """(T,) how likely each frame of a clip that is seen is drawn: as its motion energy, or all alike where none has
    any, or none was stored.
    """
    seen = reader.seen(row)
    energy = reader.per_frame("motion_energy", row)
    if energy is not None:
        chances = np.nan_to_num(energy[seen].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(0.0)
        if chances.sum() > 0:
            return np.asarray(chances / chances.sum())
    return np.full(len(seen), 1 / max(len(seen), 1))


def draw(chances: NDArray[np.float64], rng: np.random.Generator) -> int:
    """A place, as likely as `chances` say."""
    return int(
        np.searchsorted(np.cumsum(chances), rng.random() * chances.sum(), side="right").clip(0, len(chances) - 1)
    )
