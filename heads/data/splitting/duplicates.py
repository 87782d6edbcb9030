"""Clips that are copies of each other keep their groups together, so that no fold is scored on what it has seen.

Equal files always join. Pictures join only on several facts at once: the hash of a clip's median frame shows its
background, which all clips of one camera share and cameras of one forest nearly share, so the hash alone would join
sites that have nothing in common. Copies that were encoded again keep hash, brightness, contrast and motion together.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.errors import FoldError
from store.ids import require_known

_HASH_BITS = 64
_MAX_DISTANCE = 2  # bits; 58 of 60 clips encoded again at 3/4 size and low quality stayed within it
_FLAT_BITS = 8  # a hash with fewer set (or unset) bits is a picture without structure: dark, fogged, covered
_BRIGHTNESS_TOLERANCE = 0.01
_CONTRAST_TOLERANCE = 0.01
_MOTION_TOLERANCE = 0.12
_SMALLEST_FACT = 0.02  # below it, tolerances are of this value, since rounding and noise rule there
_NAMED = 3

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSummary:
    """How clips look, from the clip table.

    Attributes:
        image_hash: (N) 64-bit difference hash of the median frame, 16 hex digits, "" if there is none.
        brightness: (N,) mean grey level, 0 to 1; NaN if unknown.
        contrast: (N,) spread of the grey level, 0 to 1; NaN if unknown.
        motion: (N,) mean change between frames, 0 to 1; NaN if unknown.
    """

    image_hash: tuple[str, ...]
    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
    motion: NDArray[np.float64]

    @classmethod
    def from_clip_table(cls, clips: pd.DataFrame, ids: Sequence[str]) -> "ImageSummary":
        """The looks of `ids`, in that order, from a table of ClipFacts columns indexed by clip id.

        Raises:
            UnknownClipError: a clip is not in the table.
        """
        require_known(ids, clips.index, "clip table", "featurize these clips")
        rows = clips.loc[list(ids)]
        return cls(
            image_hash=tuple(rows["image_hash"]),
            brightness=rows["brightness_mean"].to_numpy(np.float64),
            contrast=rows["brightness_std"].to_numpy(np.float64),
            motion=rows["motion_mean"].to_numpy(np.float64),
        )


def merge_duplicate_groups(
    groups: Sequence[str], fingerprints: Sequence[str], images: ImageSummary | None = None
) -> tuple[str, ...]:
    """Merge groups that hold copies of the same clip.

    Args:
        groups: (N) the group of each clip (its site; its own id where there are no sites).
        fingerprints: (N) content fingerprint of each file, "" if unknown.
        images: how the clips look, to find copies that were encoded again; None to compare files only.

    Returns:
        (N) group names; merged groups are called `a + b`.

    Raises:
        FoldError: the lengths differ, or an image hash is not 16 hex digits.
    """
    return join_groups(groups, copies_across(groups, fingerprints, images))


def copies_across(
    groups: Sequence[str], fingerprints: Sequence[str], images: ImageSummary | None = None
) -> tuple[tuple[int, ...], ...]:
    """The sets of clips that are copies of each other and lie in several groups.

    Args:
        groups: (N) the group of each clip.
        fingerprints: (N) content fingerprint of each file, "" if unknown.
        images: how the clips look, to find copies that were encoded again; None to compare files only.

    Returns:
        The rows of each set, rising; the sets in the order of their first rows.

    Raises:
        FoldError: the lengths differ, or an image hash is not 16 hex digits.
    """
    if len(fingerprints) != len(groups) or (images is not None and len(images.image_hash) != len(groups)):
        raise FoldError(f"groups: {len(groups)} groups, but {len(fingerprints)} fingerprints; expected one each a clip")
    _, unit = np.unique(np.array(groups, dtype=object), return_inverse=True)
    parent = list(range(len(groups)))
    for left, right in [_equal_files(fingerprints), *([] if images is None else _alike(images, unit))]:
        for one, other in zip(left.tolist(), right.tolist(), strict=True):
            parent[_root(parent, one)] = _root(parent, other)
    members: dict[int, list[int]] = {}
    for row in range(len(groups)):
        members.setdefault(_root(parent, row), []).append(row)
    return tuple(tuple(rows) for rows in members.values() if len(rows) > 1 and len(set(unit[rows].tolist())) > 1)


def join_groups(groups: Sequence[str], copies: Iterable[Sequence[int]]) -> tuple[str, ...]:
    """(N) the names of the groups (N) once those that share one of `copies` (rows) are one: `a + b`."""
    names, unit = np.unique(np.array(groups, dtype=object), return_inverse=True)
    parent = list(range(len(names)))
    for rows in copies:
        for row in rows[1:]:
            parent[_root(parent, int(unit[rows[0]]))] = _root(parent, int(unit[row]))
    roots = [_root(parent, number) for number in range(len(names))]
    members: dict[int, list[str]] = {}
    for name, root in zip(names.tolist(), roots, strict=True):
        members.setdefault(root, []).append(name)
    merged = [_merged_name(members[root]) for root in roots]
    return tuple(merged[number] for number in unit)


def surplus_copies(groups: Sequence[str], copies: Iterable[Sequence[int]]) -> dict[int, int]:
    """The rows that must go so that no copy is left in another group, each with the row of the copy that stays.

    Of each of `copies`, those in one group stay: the group that holds most of them, the first of equals.
    """
    going: dict[int, int] = {}
    for rows in copies:
        [(home, _)] = Counter(groups[row] for row in rows).most_common(1)
        kept = next(row for row in rows if groups[row] == home)
        going |= {row: kept for row in rows if groups[row] != home}
    return going


def _equal_files(fingerprints: Sequence[str]) -> Pairs:
    first: dict[str, int] = {}
    pairs = [
        (first.setdefault(fingerprint, row), row) for row, fingerprint in enumerate(fingerprints) if fingerprint != ""
    ]
    left, right = np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2).T
    return left, right


def _alike(images: ImageSummary, unit: NDArray[np.int64]) -> Iterator[Pairs]:
    """Pairs of clips in different units that look like one clip.

    Two hashes within d bits agree wholly in one of d + 1 bands, so only clips that share a band are compared; within
    a band they are sorted by brightness, so that each is compared with its few neighbours only.
    """
    hashes, usable = _hash_values(images.image_hash)
    known = np.isfinite(images.brightness) & np.isfinite(images.contrast) & np.isfinite(images.motion)
    rows = np.flatnonzero(usable & known)
    bounds = np.linspace(0, _HASH_BITS, _MAX_DISTANCE + 2).astype(int).tolist()
    for start, stop in pairwise(bounds):
        band = (hashes[rows] >> np.uint64(start)) & np.uint64((1 << (stop - start)) - 1)
        order = rows[np.lexsort((images.brightness[rows], band))]
        for left, right in _neighbours(np.sort(band), images.brightness[order]):
            pair = order[left], order[right]
            near = np.bitwise_count(hashes[pair[0]] ^ hashes[pair[1]]) <= _MAX_DISTANCE
            near &= unit[pair[0]] != unit[pair[1]]
            near &= _close(images.contrast, pair, _CONTRAST_TOLERANCE) & _close(images.motion, pair, _MOTION_TOLERANCE)
            yield pair[0][near], pair[1][near]


def _neighbours(band: NDArray[np.uint64], brightness: NDArray[np.float64]) -> Iterator[Pairs]:
    """Pairs of places in one band of about equal brightness; both arrays are sorted by band, then brightness."""
    here, step = np.arange(len(band)), 1
    while len(here):
        here = here[here + step < len(band)]
        there = here + step
        near = (band[here] == band[there]) & _close(brightness, (here, there), _BRIGHTNESS_TOLERANCE)
        here = here[near]
        yield here, here + step
        step += 1


def _close(values: NDArray[np.float64], pair: Pairs, tolerance: float) -> NDArray[np.bool_]:
    one, other = values[pair[0]], values[pair[1]]
    close: NDArray[np.bool_] = np.abs(one - other) <= tolerance * np.maximum(np.maximum(one, other), _SMALLEST_FACT)
    return close


def _hash_values(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The hashes as (N,) uint64, and which of them say anything."""
    values = np.zeros(len(texts), np.uint64)
    for row, text in enumerate(texts):
        if text:
            try:
                values[row] = int(text, 16)
            except (ValueError, OverflowError) as error:
                raise FoldError(f"image hash '{text}' is not 16 hex digits; featurize the clip again") from error
    bits = np.bitwise_count(values)
    return values, (bits >= _FLAT_BITS) & (bits <= _HASH_BITS - _FLAT_BITS)


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number


def _merged_name(members: Sequence[str]) -> str:
    shown = " + ".join(members[:_NAMED])
    return shown if len(members) <= _NAMED else f"{shown} + {len(members) - _NAMED} more"
