"""Which row of a clip counts, when several parts hold one."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def valid_rows(
    parts: Iterable[tuple[Sequence[str], Sequence[str], NDArray[np.uint8]]], failed_code: int
) -> dict[str, tuple[int, int]]:
    """The row that counts of each clip, as (part, row), by clip id in sorted order.

    The newest row's fingerprint is the clip's content. Among the rows of that content one with frames beats a failed
    one, then the newest counts.

    Args:
        parts: (clip ids, fingerprints, status codes) of each part, oldest part first, oldest row first.
        failed_code: the status code of a failed clip.
    """
    content: dict[str, str] = {}
    best: dict[tuple[str, str], tuple[bool, int, int]] = {}
    for part, (clip_ids, fingerprints, codes) in enumerate(parts):
        usable = (codes != failed_code).tolist()
        for row, pair in enumerate(zip(clip_ids, fingerprints, strict=True)):
            content[pair[0]] = pair[1]
            candidate = (usable[row], part, row)
            if pair not in best or candidate > best[pair]:
                best[pair] = candidate
    return {clip_id: best[clip_id, content[clip_id]][1:] for clip_id in sorted(content)}
