"""Boxes that stand at one place of a camera's picture through many clips: a branch in the wind, water, a stone.

Or a feeding place: what stands there is for a person to look at, and nothing is left out by itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from store.access.reader import FeatureReader
from store.errors import StoreRequestError
from store.featurestore import FeatureStore
from store.format.background_part import background_part_of
from store.key import FeatureKey
from store.maintenance.sweep import compared_keys

# A box stands in another clip if they share this much of what they cover together.
SAME_PLACE = 0.5
# It is listed if it stands in this share of the clips of its framing, and in no fewer than so many.
SHARE = 0.25
FEWEST = 4
# Of a framing with more clips than these, so many are compared, evenly spaced over their sorted ids.
MOST_COMPARED = 400
_BOX = "box"
_WHOLE = 1.0 - 1e-6

Boxes = NDArray[np.float32]  # (N, 4): left, top, right, bottom, in shares of the frame's width and height


@dataclass(frozen=True, kw_only=True)
class StandingBox:
    """A place of the picture of a framing at which many clips have a box.

    Attributes:
        framing: the first of the framing's clips, by id, which stands for it.
        clips: how many of the framing's clips were compared.
        shown_in: how many of them have a box at this place.
        left: of the box with which most others agree, 0 to 1 of the frame's width.
        top: 0 to 1 of its height.
        right: as `left`.
        bottom: as `top`.
        clip_id: the clip that this box is from.
        time_s: when it is there, in seconds.
    """

    framing: str
    clips: int
    shown_in: int
    left: float
    top: float
    right: float
    bottom: float
    clip_id: str
    time_s: float


def find_standing_boxes(store: FeatureStore, key: FeatureKey) -> list[StandingBox]:
    """The places at which boxes stand through many clips, those of most clips first.

    Framings are those that the store has found out for views that compare clips; where it has none, a folder of clips
    stands for one.

    Args:
        store: holds the features.
        key: of a view that cuts boxes.

    Raises:
        StoreRequestError: the features are of whole frames.
    """
    reader = store.reader(key)
    found: list[StandingBox] = []
    for rows in _framings(store, key, reader):
        if len(rows) >= FEWEST:
            spaced = np.linspace(0, len(rows) - 1, min(len(rows), MOST_COMPARED)).round().astype(int)
            found.extend(_standing(reader, [rows[place] for place in spaced]))
    return sorted(found, key=lambda box: (-box.shown_in / box.clips, -box.shown_in, box.framing, box.left, box.top))


def find_boxed_key(store: FeatureStore, source: str | None) -> FeatureKey:
    """The key called `source`; without one, the first whose boxes are cut by what clips are compared with.

    Raises:
        StoreRequestError: there is none, or it is of whole frames.
    """
    if source is not None:
        key = store.find(source)
        rows = store.reader(key)
        if not any(rows.per_frame(_BOX, index) is not None for index in range(min(len(rows), 64))):
            raise StoreRequestError(f"features of {key.source} are of whole frames, without boxes; name another source")
        return key
    if not (keys := compared_keys(store)):
        raise StoreRequestError(
            f"{store.root}: no features were made with `--view animal`; name another source that has boxes"
        )
    return keys[0]


def _framings(store: FeatureStore, key: FeatureKey, reader: FeatureReader) -> list[list[int]]:
    """The rows of the clips of each framing, by id; clips that are seen against each other share one."""
    comparing = [key, *compared_keys(store)]
    settings = next((part for each in comparing if (part := background_part_of(each.view))), None)
    links = {name: row.others for name, row in store.backgrounds(settings).items()} if settings else {}
    of_fingerprint = _components(links)
    members: dict[str, list[int]] = {}
    for row in sorted(range(len(reader)), key=lambda index: reader.ids[index]):
        clip_id, fingerprint = reader.ids[row], reader.fingerprints[row]
        name = of_fingerprint.get(fingerprint) if links else str(PurePosixPath(clip_id).parent)
        if name is not None:
            members.setdefault(name, []).append(row)
    return list(members.values())


def _components(links: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """For each name that is linked with others, one name that stands for all that are linked with it."""
    stands_for = {name: name for name, others in links.items() if others}

    def root(name: str) -> str:
        while (above := stands_for.setdefault(name, name)) != name:
            stands_for[name] = stands_for[above]
            name = above
        return name

    for name, others in links.items():
        for other in others:
            stands_for[root(other)] = root(name)
    return {name: root(name) for name in list(stands_for)}


def _standing(reader: FeatureReader, rows: Sequence[int]) -> Iterator[StandingBox]:
    """The places of one framing, that of most clips first; a box belongs to one of them at most."""
    boxes, owner, times = _boxes_of(reader, rows)
    left = np.ones(len(boxes), bool)
    while left.any():
        alike = _shared(boxes[left], boxes[left]) > SAME_PLACE
        owners = owner[left]
        shown_in = np.array([len(np.unique(owners[row])) for row in alike])
        best = int(shown_in.argmax())
        if shown_in[best] < max(FEWEST, SHARE * len(rows)):
            return
        place = np.flatnonzero(left)[best]
        edges = [round(float(edge), 4) for edge in boxes[place]]
        yield StandingBox(
            framing=reader.ids[rows[0]],
            clips=len(rows),
            shown_in=int(shown_in[best]),
            left=edges[0],
            top=edges[1],
            right=edges[2],
            bottom=edges[3],
            clip_id=reader.ids[int(owner[place])],
            time_s=round(float(times[place]), 2),
        )
        left[np.flatnonzero(left)[alike[best]]] = False


def _boxes_of(reader: FeatureReader, rows: Sequence[int]) -> tuple[Boxes, NDArray[np.int64], NDArray[np.float64]]:
    """The boxes of some clips, but whole frames, and one a place of a clip; the row and the time of each."""
    boxes, owner, times = [np.zeros((0, 4), np.float32)], [], []
    for row in rows:
        own = reader.per_frame(_BOX, row)
        mine: list[Boxes] = []
        for box, time_s in zip(() if own is None else own, reader.times(row), strict=own is not None):
            is_part = (box[2] - box[0]) * (box[3] - box[1]) < _WHOLE
            if is_part and not any(_shared(box[None], each)[0, 0] > SAME_PLACE for each in mine):
                mine.append(box[None])
                times.append(float(time_s))
        boxes.extend(mine)
        owner.extend([row] * len(mine))
    return np.concatenate(boxes), np.array(owner, np.int64), np.array(times)


def _shared(one: Boxes, other: Boxes) -> NDArray[np.float32]:
    """(N, M) the area that two boxes share over the area that they cover together."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0.0, None).prod(axis=1) for each in (one, other)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9), np.float32)
