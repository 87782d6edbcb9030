"""What differs from a place's own background, on drawn places of which the truth is known."""

import cv2
import numpy as np
import pytest
from moving import FRAMES, HEIGHT, TIMES_S, WIDTH, as_pixels, clip, overlap, scene, walk
from numpy.typing import NDArray

from featurize.background.boxes import boxes_apart
from featurize.background.difference import Background, find_difference, make_background
from featurize.background.key_picture import KeyPicture, key_picture
from featurize.background.neighbours import find_neighbours
from featurize.motion.energy import find_motion
from featurize.motion.lowres import LowresFrames

RESTING = (96, 30, 24)
ASPECT = WIDTH / HEIGHT


def lowres(frames: NDArray[np.float32]) -> LowresFrames:
    return LowresFrames(as_pixels(frames))


def picture(seed: int, *, gain: float = 1.0, moved: tuple[int, int] = (0, 0), noise: int = 0) -> KeyPicture:
    """The key picture of an empty clip of place `seed` in some light, the camera moved by some pixels."""
    place = np.roll(scene(seed), moved, axis=(1, 0)) * gain
    frames = place[None] + np.random.default_rng(noise + 100).normal(0, 3, (5, *place.shape))
    found = key_picture(lowres(frames.astype(np.float32)))
    assert found is not None
    return found


def with_square(shown: KeyPicture, left: int, top: int, side: int) -> KeyPicture:
    grey = shown.grey.copy()
    grey[top : top + side, left : left + side] = 225
    return KeyPicture(grey=grey, infrared=shown.infrared)


def rests(_: int) -> tuple[float, float, float]:
    return RESTING


def background_of(frames: NDArray[np.float32], others: list[KeyPicture]) -> Background:
    own = key_picture(lowres(frames[::9]))
    assert own is not None
    return make_background(own, [(other, 0.0, 0.0) for other in others])


@pytest.fixture
def empty() -> list[KeyPicture]:
    return [picture(0, gain=0.8 + 0.06 * index, noise=index) for index in range(7)]


def test_an_animal_that_lies_still_all_through_a_clip_is_found_where_motion_sees_nothing(
    empty: list[KeyPicture],
) -> None:
    frames = clip(rests)
    seen = lowres(frames)
    motion = find_motion(seen, TIMES_S)
    apart = find_difference(seen, TIMES_S, background_of(frames, empty))
    assert not motion.cells.any()
    for index in range(0, FRAMES, 10):
        boxes = boxes_apart(apart[index], motion.cells[index], ASPECT)
        assert len(boxes) == 1
        assert overlap((boxes[0].left, boxes[0].top, boxes[0].right, boxes[0].bottom), RESTING) > 0.3
        assert boxes[0].energy > 0
        assert boxes[0].confidence > 0.5


def test_an_empty_clip_in_another_light_does_not_differ(empty: list[KeyPicture]) -> None:
    frames = 0.6 * clip() + 10
    assert not find_difference(lowres(frames), TIMES_S, background_of(frames, empty)).any()


def test_what_two_other_clips_show_at_the_same_place_is_explained_and_what_one_shows_is_not(
    empty: list[KeyPicture],
) -> None:
    """A branch that fell is in all clips that come after; an animal may lie in one other clip."""
    frames = clip(rests)
    alike = [picture(0, noise=20), picture(0, noise=21)]
    once = [with_square(alike[0], *RESTING), alike[1], *empty]
    twice = [with_square(shown, *RESTING) for shown in alike] + empty
    assert find_difference(lowres(frames), TIMES_S, background_of(frames, once)).any()
    assert not find_difference(lowres(frames), TIMES_S, background_of(frames, twice)).any()


def test_a_place_that_varies_between_clips_must_differ_by_more(empty: list[KeyPicture]) -> None:
    frames = clip(rests, grey=150)
    left, top, side = RESTING
    varied = []
    for index, shown in enumerate(empty):
        grey = shown.grey.astype(np.float32)
        ripple = np.sin(np.arange(side) * (0.5 + 0.2 * index))[None] * 45
        grey[top : top + side, left : left + side] += ripple
        varied.append(KeyPicture(grey=np.clip(grey, 0, 255).astype(np.uint8), infrared=shown.infrared))
    steady = find_difference(lowres(frames), TIMES_S, background_of(frames, empty))
    restless = find_difference(lowres(frames), TIMES_S, background_of(frames, varied))
    assert restless.max() < 0.5 * steady.max()


def test_what_is_there_for_a_moment_is_left_to_motion(empty: list[KeyPicture]) -> None:
    """An insect at the lens: for three frames, a third of a second."""
    frames = clip(lambda index: RESTING if 30 <= index < 33 else None)
    assert not find_difference(lowres(frames), TIMES_S, background_of(frames, empty)).any()


def test_frames_in_another_light_are_not_compared(empty: list[KeyPicture]) -> None:
    frames = clip(rests)
    frames[40:] = frames[40:].mean(axis=-1, keepdims=True)
    apart = find_difference(lowres(frames), TIMES_S, background_of(frames[:40], empty))
    assert apart[:36].any(axis=(1, 2)).all()
    assert not apart[44:].any()


def test_a_shaking_camera_does_not_differ(empty: list[KeyPicture]) -> None:
    steps = np.random.default_rng(3).integers(-3, 4, (FRAMES, 2))
    frames = np.stack(
        [np.roll(frame, tuple(step), axis=(0, 1)) for frame, step in zip(clip(), steps, strict=True)]
    ).astype(np.float32)
    background = make_background(picture(0), [(other, 0.0, 0.0) for other in empty])
    inner = find_difference(lowres(frames), TIMES_S, background)[:, 2:-2, 2:-2]
    assert (inner.any(axis=(1, 2))).mean() < 0.1


def test_what_differs_and_what_moves_elsewhere_are_both_shown(empty: list[KeyPicture]) -> None:
    frames = clip(rests, walk(top=60, side=20, speed=1.0))
    seen = lowres(frames)
    apart = find_difference(seen, TIMES_S, background_of(frames, empty))
    nothing = np.zeros_like(apart[0])
    motion = find_motion(seen, TIMES_S)
    assert len(boxes_apart(apart[30], motion.cells[30], ASPECT)) == 2
    assert boxes_apart(nothing, motion.cells[30], ASPECT)[0].left < 0.3
    assert boxes_apart(nothing, nothing, ASPECT)[0].covers_frame
    assert len(boxes_apart(motion.cells[30] * 20, motion.cells[30], ASPECT)) == 1


def test_neighbours_are_clips_of_the_same_framing_in_the_same_light() -> None:
    here = [picture(0, gain=0.7 + 0.1 * index, noise=index) for index in range(5)]
    shifted = picture(0, moved=(4, -3), noise=9)
    dark = KeyPicture(grey=here[0].grey, infrared=True)
    elsewhere = [picture(seed, noise=seed) for seed in range(1, 5)]
    larger = KeyPicture(grey=cv2.resize(here[0].grey, (160, 120)), infrared=False)
    pictures = [*here, shifted, dark, *elsewhere, larger]
    found = find_neighbours(pictures, range(len(pictures)))
    assert {each.index for each in found[0]} == {1, 2, 3, 4, 5}
    (moved,) = [each for each in found[0] if each.index == 5]
    assert (moved.right, moved.down) == pytest.approx((4, -3), abs=0.3)
    assert [found[place] for place in range(6, len(pictures))] == [()] * (len(pictures) - 6)


def test_neighbours_do_not_depend_on_the_order_of_clips_nor_on_how_many_are_asked_about() -> None:
    pictures = [picture(seed, gain=0.7 + 0.05 * index, noise=index) for seed in (0, 1) for index in range(9)]
    order = np.random.default_rng(5).permutation(len(pictures))
    straight = find_neighbours(pictures, range(len(pictures)))
    shuffled = find_neighbours([pictures[place] for place in order], range(len(pictures)))
    for place, found in zip(order, shuffled, strict=True):
        mapped = {(int(order[each.index]), each.right, each.down) for each in found}
        assert mapped == {(each.index, each.right, each.down) for each in straight[place]}
    assert find_neighbours(pictures, [3, 12]) == [straight[3], straight[12]]


def test_a_clip_whose_deployment_is_said_has_neighbours_of_it_only() -> None:
    pictures = [picture(0, gain=0.7 + 0.05 * index, noise=index) for index in range(12)]
    said = ["one"] * 5 + ["two"] * 5 + ["", "three"]
    found = [{each.index for each in near} for near in find_neighbours(pictures, range(12), said)]
    assert found[0] == {1, 2, 3, 4}
    assert found[7] == {5, 6, 8, 9}
    assert found[10] == {*range(12)} - {10}
    assert found[11] == set()
    assert find_neighbours(pictures, range(12), [""] * 12) == find_neighbours(pictures, range(12))


def test_a_key_picture_is_of_the_light_that_most_frames_have() -> None:
    frames = clip(rests)[:7]
    frames[:2] = 40
    shown = key_picture(lowres(frames))
    assert shown is not None
    assert not shown.infrared
    assert shown.grey[40, 100] == 225
    assert key_picture(LowresFrames(np.empty((0, 0, 0, 3), np.uint8))) is None
