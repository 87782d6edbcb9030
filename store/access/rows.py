"""Which row of a clip counts, when several parts hold one."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

RowColumns = tuple[Sequence[str], Sequence[str], NDArray[np.uint8]]


def valid_rows(parts: Iterable[RowColumns], failed_code: int) -> tuple[list[str], NDArray[np.int64]]:
    """The row that counts of each clip.

    The newest row's fingerprint is the clip's content. Among the rows of that content one with frames beats a failed
    one, then the newest counts.

    Args:
        parts: (clip ids, fingerprints, status codes) of each part, oldest part first, oldest row first.
        failed_code: the status code of a failed clip.

    Returns:
        The clip ids (N), sorted, and for each the place (N,) of its row among the rows of all parts, one part after the
        other; `part_and_row` says where that is.
    """
    parts = list(parts)
    ids = list(chain.from_iterable(clip_ids for clip_ids, _, _ in parts))
    if len(set(ids)) == len(ids):
        order = sorted(range(len(ids)), key=ids.__getitem__)
        return [ids[place] for place in order], np.array(order, np.int64)
    counting = dict(zip(ids, range(len(ids)), strict=True))
    counting |= _chosen_of_several(parts, ids, counting, failed_code)
    found = sorted(counting)
    return found, np.fromiter(map(counting.__getitem__, found), np.int64, len(found))


def part_and_row(places: NDArray[np.int64], rows_of: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part, and the row within it, of each of `places` among the rows of all parts, which have `rows_of` each."""
    first_row = np.cumsum([0, *rows_of])
    part_of = np.searchsorted(first_row, places, side="right") - 1
    return part_of, places - first_row[part_of]


def _chosen_of_several(
    parts: Sequence[RowColumns], ids: Sequence[str], newest: dict[str, int], failed_code: int
) -> dict[str, int]:
    """The place of the row that counts of each clip that has several; `newest` has that of each clip's newest row."""
    fingerprints = list(chain.from_iterable(each for _, each, _ in parts))
    usable = np.concatenate([codes for _, _, codes in parts]) != failed_code
    several = {clip_id for place, clip_id in enumerate(ids) if newest[clip_id] != place}
    chosen: dict[str, int] = {}
    for place, (clip_id, fingerprint) in enumerate(zip(ids, fingerprints, strict=True)):
        if clip_id not in several or fingerprint != fingerprints[newest[clip_id]]:
            continue
        before = chosen.get(clip_id)
        if before is None or usable[place] or not usable[before]:
            chosen[clip_id] = place
    return chosen
