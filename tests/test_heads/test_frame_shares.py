"""What a frame added to an answer, by hand."""

from typing import Any

import keras
import numpy as np
import pytest

from heads.models.explain.gradients import answer_gradients, frame_shares

NOTHING = np.zeros(2, np.float32)


def shares(frames: list[list[float]], energy: list[float] | None = None, **gradients: list[float]) -> list[float]:
    seen = np.array(frames, np.float32)
    values = {
        "deviation": seen.max(axis=0) - np.median(seen, axis=0),
        "change": seen.max(axis=0) - seen.min(axis=0),
        "event": seen.mean(axis=0),
        "mean": seen.mean(axis=0),
    }
    found = frame_shares(
        seen,
        None if energy is None else np.array(energy, np.float32),
        {name: values[name].astype(np.float32) for name in gradients},
        {name: np.array(gradient, np.float32) for name, gradient in gradients.items()},
        dict.fromkeys(gradients, NOTHING),
    )
    return [round(each, 6) for each in found.tolist()]


def test_a_peak_belongs_to_the_frame_that_holds_it() -> None:
    frames = [[0, 0], [4, 0], [0, 2], [0, 0]]
    assert shares(frames, deviation=[1, 1]) == [0, 0.666667, 0.333333, 0]
    assert shares(frames, deviation=[1, 6]) == [0, 0.25, 0.75, 0]
    assert shares(frames, change=[0, 1]) == [0, 0, 1, 0]


def test_what_speaks_against_the_answer_has_no_share() -> None:
    assert shares([[0, 0], [4, 0], [0, 2]], deviation=[1, -1]) == [0, 1, 0]
    assert shares([[1, 0], [-3, 0]], mean=[1, 0]) == [1, 0]


def test_a_mean_is_handed_on_by_its_weights_and_what_the_frames_show() -> None:
    frames = [[1, 0], [1, 0], [2, 0]]
    assert shares(frames, mean=[1, 0]) == [0.25, 0.25, 0.5]
    assert shares(frames, [0, 2, 1], event=[1, 0]) == [0, 0.5, 0.5]
    assert shares(frames, [0, 0, 0], event=[1, 0]) == [0.25, 0.25, 0.5]
    assert shares(frames, [0, 2, 1], mean=[1, 0]) == [0.25, 0.25, 0.5]


def test_statistics_are_weighed_against_each_other() -> None:
    """A deviation of 3 in the last frame beside a mean to which each frame adds its energy times its value."""
    frames = [[0, 1], [0, 1], [0, 1], [3, 1]]
    found = shares(frames, [1, 0, 0, 0], deviation=[1, 0], event=[0, 6])
    assert found == [0.666667, 0, 0, 0.333333]


def test_with_nothing_for_the_answer_all_frames_are_equal() -> None:
    assert shares([[0, 0], [4, 0]], deviation=[-1, 0]) == [0.5, 0.5]


@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_gradients_are_those_of_the_expected_logit(probability: float) -> None:
    """One class: the logit is linear, so its gradient is the weights times the probability."""
    seen: Any = keras.Input((2,), name="deviation")
    dense = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Model({"deviation": seen}, dense(seen))
    weights = np.array([[0.5], [-2.0]], np.float32)
    dense.set_weights([weights, np.array([np.log(probability / (1 - probability))], np.float32)])
    found = answer_gradients(model, {"deviation": np.zeros((1, 2), np.float32)}, ("deviation",))
    np.testing.assert_allclose(found["deviation"], probability * weights.T, rtol=1e-4)
