"""Where motion is found: a known square must be boxed whatever the camera and the weather do, and nothing else."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moving import FRAMES, HEIGHT, TIMES_S, WIDTH, as_pixels, clip, overlap, scene, walk
from numpy.typing import NDArray

from featurize.motion.boxes import Box, boxes_of
from featurize.motion.energy import Motion, find_motion
from featurize.motion.lowres import LowresFrames
from featurize.motion.stabilise import stabilised
from featurize.views.moving import MovingSquares

ASPECT = WIDTH / HEIGHT
PATH = walk()
SHOWN = range(22, 40)


def motion_of(frames: NDArray[np.float32]) -> Motion:
    return find_motion(LowresFrames(as_pixels(frames)), TIMES_S)


def boxes_in(motion: Motion, index: int) -> list[Box]:
    return boxes_of(motion.cells[index], ASPECT)


def corners(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


def overlaps(motion: Motion) -> list[float]:
    """How well the first box of each frame fits the square that walks along PATH."""
    return [overlap(corners(boxes_in(motion, index)[0]), PATH(index) or (0, 0, 0)) for index in SHOWN]


def flicker(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    gain = 1 + 0.15 * np.sin(np.arange(FRAMES) * 2.1)
    return frames * gain[:, None, None, None].astype(np.float32)


def sway(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """A branch at the right that swings all the time."""
    swung = frames.copy()
    for index in range(FRAMES):
        swung[index, 20:60, 130:155] = np.roll(scene(5)[20:60, 130:155], round(4 * np.sin(index * 0.9)), axis=1)
    return swung


def shake(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    shaken = []
    for frame in frames:
        right, down = rng.uniform(-3, 3, 2)
        shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
        shaken.append(cv2.warpAffine(frame, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
    return np.stack(shaken)


def caption(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """A dark strip along the lower edge with digits, the last of which changes every second."""
    written = frames.copy()
    written[:, HEIGHT - 7 :] = 10
    for index, frame in enumerate(written):
        for place in range(0, 60, 8):
            frame[HEIGHT - 6 : HEIGHT - 1, 90 + place : 94 + place] = 240
        digits = np.random.default_rng(int(TIMES_S[index])).random((5, 8)) > 0.5
        frame[HEIGHT - 6 : HEIGHT - 1, 148:156] = np.where(digits, 240, 10)[..., None]
    return written


def rain(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Streaks of about two pixels of a 1280 px picture, which the low-resolution copy sees faintly."""
    rng = np.random.default_rng(8)
    wet = frames.copy()
    for frame in wet:
        for x, y in zip(rng.integers(0, WIDTH, 60), rng.integers(0, HEIGHT - 6, 60), strict=True):
            frame[y : y + 6, x] += 20
    return wet


WEATHER: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "still": lambda frames: frames,
    "flicker": flicker,
    "sway": sway,
    "shake": shake,
    "clock": caption,
    "rain": rain,
}


@pytest.mark.parametrize("weather", WEATHER)
def test_a_moving_square_is_boxed(weather: str) -> None:
    found = overlaps(motion_of(WEATHER[weather](clip(PATH, noise=4))))
    assert np.mean(found) > 0.5
    assert np.mean([fit > 0.35 for fit in found]) >= 0.9


@pytest.mark.parametrize("weather", WEATHER)
def test_where_nothing_moves_the_whole_frame_is_seen(weather: str) -> None:
    motion = motion_of(WEATHER[weather](clip(noise=4)))
    assert np.mean([boxes_in(motion, index)[0].covers_frame for index in range(FRAMES)]) >= 0.9


@pytest.mark.parametrize("weather", WEATHER)
def test_energy_tells_when_something_is_there(weather: str) -> None:
    energy = motion_of(WEATHER[weather](clip(PATH, noise=4))).energy
    there = np.array([PATH(index) is not None for index in range(FRAMES)])
    assert np.quantile(energy[there], 0.1) > np.quantile(energy[~there], 0.9)


def test_the_shaking_of_a_frame_is_undone_whatever_frames_came_before_it() -> None:
    """Shaken clips are moved back onto their background, which stays as it was: OpenCV 5 changes what it compares."""
    still = clip(noise=4)[..., 0]
    background = np.median(still, axis=0)
    shaken = shake(clip(noise=4))[..., 0]
    frames, untouched = shaken.copy(), background.copy()
    steady = stabilised(frames, background)
    assert np.array_equal(frames, shaken)
    assert np.array_equal(background, untouched)
    alone = np.concatenate([stabilised(frame[None], background) for frame in shaken])
    assert np.array_equal(steady, alone)
    inner = np.s_[:, 8:-8, 8:-8]
    apart = np.abs(steady - background)[inner].mean(axis=(1, 2))
    assert np.median(apart) < 0.5 * np.median(np.abs(shaken - background)[inner].mean(axis=(1, 2)))


def test_two_movers_give_two_boxes() -> None:
    left, right = walk(top=8, side=22, speed=1.0), walk(top=56, side=22, speed=4.5)
    motion = motion_of(clip(left, right))
    for index in range(30, 40):
        boxes = boxes_in(motion, index)
        assert len(boxes) == 2
        for square in (left(index), right(index)):
            assert max(overlap(corners(box), square or (0, 0, 0)) for box in boxes) > 0.35
        assert all(box.confidence > 0.25 for box in boxes)


def test_a_switch_to_infrared_in_mid_clip_is_not_motion() -> None:
    frames = clip(PATH, noise=3)
    frames[:10] = frames[:10].mean(axis=-1, keepdims=True) * 0.6
    motion = motion_of(frames)
    assert np.mean(overlaps(motion)) > 0.5
    quiet = [index for index in range(FRAMES) if not 18 <= index <= 46 and not 6 <= index <= 14]
    assert all(boxes_in(motion, index)[0].covers_frame for index in quiet)


def test_an_animal_that_fills_the_frame_is_seen_whole() -> None:
    motion = motion_of(clip(walk(30, 40, top=-20, side=130, speed=1)))
    box = boxes_in(motion, 35)[0]
    assert box.covers_frame
    assert box.energy > 0.5


def test_what_never_moves_is_background() -> None:
    motion = motion_of(clip(lambda _: (60, 40, 20)))
    assert motion.peak < 0.1
    assert motion.share == 0


@pytest.mark.parametrize("frames", [0, 1, 4])
def test_too_few_frames_show_no_motion(frames: int) -> None:
    motion = find_motion(LowresFrames(as_pixels(clip(PATH))[30 : 30 + frames]), TIMES_S[:frames])
    assert len(motion.cells) == frames
    assert not motion.energy.any()
    assert motion.nearest(np.array([0.0, 1.0])).tolist() in ([0, 0], [0, 3])


def test_a_clip_whose_decoder_died_before_its_first_small_frame_has_no_motion() -> None:
    motion = find_motion(LowresFrames(np.empty((0, 0, 0, 3), np.uint8)), np.empty(0))
    assert not motion.energy_at(np.array([0.0, 1.0])).any()
    assert MovingSquares().boxes(motion, 0, ASPECT) == [Box()]


def test_boxes_stay_inside_the_frame_and_are_square_in_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        cells = np.zeros((22, 40), np.float32)
        height, width = rng.integers(1, 10, 2)
        top, left = rng.integers(0, 22 - height), rng.integers(0, 40 - width)
        cells[top : top + height, left : left + width] = 1
        for box in boxes_of(cells, ASPECT):
            assert 0 <= box.left < box.right <= 1
            assert 0 <= box.top < box.bottom <= 1
            if not box.covers_frame:
                wide, high = (box.right - box.left) * ASPECT, box.bottom - box.top
                assert wide == pytest.approx(high, rel=1e-6)
                assert box.confidence == pytest.approx(1)


def test_motion_between_the_sampled_frames_is_looked_up_at_the_nearest_moment() -> None:
    motion = Motion(times_s=np.array([0.0, 1.0, 2.0]), cells=np.zeros((3, 2, 2), np.float32))
    assert motion.nearest(np.array([-1.0, 0.4, 0.6, 1.5, 9.0])).tolist() == [0, 0, 1, 1, 2]


@given(
    frames=st.integers(1, 1100),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    fps=st.floats(0.1, 120),
    seed=st.integers(0, 9),
)
@example(frames=100, height=12, width=16, fps=8.0, seed=0)
@example(frames=232, height=12, width=16, fps=8.0, seed=0)
@settings(deadline=None, max_examples=150)
def test_a_clip_of_any_length_rate_and_size_has_a_background(
    frames: int, height: int, width: int, fps: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    still = rng.integers(40, 200, (height, width, 3), np.uint8)
    pixels = np.broadcast_to(still, (frames, *still.shape)).copy()
    times_s = np.arange(frames) / fps
    motion = find_motion(LowresFrames(pixels), times_s)
    assert len(motion.cells) == frames
    assert not motion.cells.any()
    pixels[frames // 2] = 255 - pixels[frames // 2]
    assert np.isfinite(find_motion(LowresFrames(pixels), times_s).cells).all()
