"""Frames that wait: the same ones come back, from memory and from the disk, and memory has a bound."""

import numpy as np
import pytest

from featurize.views import spool
from featurize.views.spool import FrameSpool

FRAMES = [np.full((height, 8, 3), height, np.uint8) for height in (4, 6, 4, 10, 3, 1)]


@pytest.mark.parametrize("most", [0, 100, 250, 10**6])
def test_frames_come_back_in_their_order_whether_they_wait_in_memory_or_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(spool, "_MOST_BYTES_IN_MEMORY", most)
    waiting = FrameSpool()
    for count, frame in enumerate(FRAMES):
        assert len(waiting) == count
        waiting.append(frame)
        held = [waiting[place] for place in range(count + 1)]
        assert sum(each.nbytes for each in held if any(each is one for one in FRAMES)) <= most
    for place in (3, 0, 5, 1, 4, 2):
        np.testing.assert_array_equal(waiting[place], FRAMES[place])
    waiting.close()


def test_a_frame_in_memory_is_not_copied() -> None:
    waiting = FrameSpool()
    waiting.append(FRAMES[0])
    assert waiting[0] is FRAMES[0]
    waiting.close()
