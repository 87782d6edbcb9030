"""What is believed of the boxes that a detector finds in a clip's frames.

A detector sees one frame at a time. Boxes are followed from look to look: one that is sure begins a track, and less
sure ones continue it. What fills half the frame is no animal but a tunnel or a wall of leaves; what the camera's other
clips show at the same place, or what never moves in a clip that has no others and is not clearly one, is a stump.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from featurize.background.difference import nearest_step, thinned
from featurize.detection.boxes import overlaps
from featurize.motion.boxes import MOST_BOXES
from featurize.motion.energy import MOVING, Motion

# A look every so many seconds.
LOOK_S = 0.5
# A track is believed if one of its boxes is so sure; boxes are followed as far as the detector tells them.
BEGINS = 0.25
# A box continues a track whose last box it overlaps by at least so much (intersection over union).
FOLLOWS = 0.3
# A box of more than this share of the frame is none.
MOST_AREA = 0.5
# Without other clips to compare with: a track stands if it is there in this share of at least so many looks, and each
# of its boxes overlaps the middle one by so much.
STANDS_SHARE = 0.9
STANDS_LOOKS = 6
STANDS_OVERLAP = 0.6
# One whose boxes are this sure, in the middle one of their ranking, is believed all the same: an animal at rest.
STANDS_SURE = 0.7

Detect = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A frame (H, W, 3) to (N, 5): left, top, right, bottom in shares of it, and how sure, the surest first."""


def detect_over(
    frame_at: Callable[[int], NDArray[np.uint8]], times_s: NDArray[np.float64], motion: Motion, detect: Detect
) -> NDArray[np.float32]:
    """(L, K, 5) what is believed to be an animal about the time of each low-resolution frame, as in `Motion.detected`.

    Args:
        frame_at: gives the frame at a place of `times_s`.
        times_s: (T,) times of the frames, rising, T at least 1.
        motion: of the clip, with what differs from its other clips where that is known.
        detect: the detector.
    """
    if not len(motion.times_s):
        return np.zeros((0, MOST_BOXES, 5), np.float32)
    looks = thinned(times_s, LOOK_S)
    kept = believed([detect(frame_at(int(place))) for place in looks], times_s[looks], motion)
    return surest(kept)[nearest_step(times_s[looks], motion.times_s)]


def surest(boxes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(S, K, 5) the K surest boxes of each of S looks, filled up with zeros."""
    table = np.zeros((len(boxes), MOST_BOXES, 5), np.float32)
    for row, each in enumerate(boxes):
        table[row, : len(each)] = each[np.argsort(-each[:, 4], kind="stable")][:MOST_BOXES]
    return table


def believed(
    found: Sequence[NDArray[np.float32]], times_s: NDArray[np.float64], motion: Motion
) -> list[NDArray[np.float32]]:
    """What of the boxes (N, 5) of each look is believed to be an animal.

    Args:
        found: the boxes of each of S looks, the surest first.
        times_s: (S,) when.
        motion: of the clip.
    """
    sized = [each[(each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1]) <= MOST_AREA] for each in found]
    moving, apart = _between_looks(motion.cells, times_s, motion), _between_looks(motion.difference, times_s, motion)
    kept: list[list[int]] = [[] for _ in sized]
    for track in tracks_of(sized):
        boxes = np.stack([sized[look][place] for look, place in track])
        if boxes[:, 4].max() >= BEGINS and not _stands([look for look, _ in track], boxes, len(sized), moving, apart):
            for look, place in track:
                kept[look].append(place)
    return [each[sorted(places)] for each, places in zip(sized, kept, strict=True)]


def _between_looks(cells: NDArray[np.float32], times_s: NDArray[np.float64], motion: Motion) -> NDArray[np.float32]:
    """(S, h, w) the largest of the numbers (L, h, w) of the frames around each look; no rows where there are none."""
    if not cells.size:
        return np.zeros((0, 0, 0), np.float32)
    of_look = nearest_step(times_s, motion.times_s)
    return np.stack([cells[of_look == look].max(axis=0, initial=0) for look in range(len(times_s))])


def tracks_of(boxes: Sequence[NDArray[np.float32]]) -> list[list[tuple[int, int]]]:
    """The boxes of each look as tracks: of each of its boxes the look and the place there, in order of time.

    Each box, the surest first, continues the track that ends in the look before with the box that it overlaps most.
    """
    tracks: list[list[tuple[int, int]]] = []
    for look, each in enumerate(boxes):
        ends = [track for track in tracks if track[-1][0] == look - 1]
        for place, box in enumerate(each):
            last = np.array([boxes[look - 1][track[-1][1]] for track in ends], np.float32).reshape(-1, 5)
            shared = overlaps(box[:4], last[:, :4])
            if len(ends) and shared.max() >= FOLLOWS:
                ends.pop(int(shared.argmax())).append((look, place))
            else:
                tracks.append([(look, place)])
    return tracks


def _stands(
    looks: Sequence[int],
    boxes: NDArray[np.float32],
    count: int,
    moving: NDArray[np.float32],
    apart: NDArray[np.float32],
) -> bool:
    """Whether a track is of something that belongs to the place.

    Args:
        looks: in which it was seen.
        boxes: (N, 5) of each of them.
        count: S, how many looks there are.
        moving: (S, h, w) how much moves around each look.
        apart: (S, h, w) how much differs from the camera's other clips; no rows where that is not known.
    """
    if _peak(moving, looks, boxes) > MOVING:
        return False
    if len(apart):
        return not _peak(apart, looks, boxes)
    stays = bool((overlaps(np.median(boxes[:, :4], axis=0), boxes[:, :4]) >= STANDS_OVERLAP).all())
    unsure = float(np.median(boxes[:, 4])) < STANDS_SURE
    return stays and unsure and count >= STANDS_LOOKS and len(looks) >= STANDS_SHARE * count


def _peak(cells: NDArray[np.float32], looks: Sequence[int], boxes: NDArray[np.float32]) -> float:
    """The largest number of cells (S, h, w) inside boxes (N, 5), each in its look."""
    if not len(cells):
        return 0.0
    rows, columns = cells.shape[1:]
    first = np.floor(boxes[:, [1, 0]] * (rows, columns)).astype(int)
    last = np.ceil(boxes[:, [3, 2]] * (rows, columns)).astype(int)
    return max(
        float(cells[look, top : max(bottom, top + 1), left : max(right, left + 1)].max(initial=0))
        for look, (top, left), (bottom, right) in zip(looks, first, last, strict=True)
    )
