from typing import Any

import numpy as np
import pytest

from heads.blending.blend import Blend
from heads.blending.contribution import ablate_models, error_correlation
from heads.evaluation.metrics import mean_log_loss


def test_leaving_out_by_hand() -> None:
    labels = np.array([[1], [0]], np.uint8)
    stack = np.array([[[0.8], [0.2]], [[0.5], [0.5]]])
    together = np.array([[2 / 3], [1 / 3]])  # odds 4 and 1, geometric mean 2
    rows = ablate_models(stack, ["good", "useless"], labels, ["a", "b"])
    expected = [mean_log_loss(labels, rest) - mean_log_loss(labels, together) for rest in (stack[1], stack[0])]
    assert [row["name"] for row in rows] == ["good", "useless"]
    assert [row["adds"] for row in rows] == pytest.approx(expected)
    assert rows[0]["adds"] > 0 > rows[1]["adds"]


@pytest.mark.parametrize(
    ("method", "parameters", "expected"),
    [
        ("greedy", {"weights": [[0.25, 0.75], [0.75, 0.25]]}, {"a": 0.5, "b": 0.5}),
        ("greedy+calibrated", {"blend": {"weights": [[1.0, 0.5], [0.0, 0.5]]}}, {"a": 0.75, "b": 0.25}),
        ("mean", {}, {"a": 0.5, "b": 0.5}),
        ("logistic", {"strength": None, "departures": []}, None),
    ],
)
def test_weights_of_models(method: str, parameters: dict[str, Any], expected: dict[str, float] | None) -> None:
    blend = Blend(method=method, models=("a", "b"), classes=("hog", "lion"), parameters=parameters)
    assert blend.model_weights() == pytest.approx(expected)


def test_intervals_need_more_than_one_group() -> None:
    labels = np.array([[1], [0], [1]], np.uint8)
    stack = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 1))
    apart = ablate_models(stack, ["a", "b"], labels, ["x", "y", "z"])[0]
    assert apart["low"] < apart["adds"] < apart["high"]
    assert ablate_models(stack, ["a", "b"], labels, ["x", "x", "x"])[0]["low"] is None


def test_correlation_of_errors_by_hand() -> None:
    labels = np.array([[1, 0], [0, 0]], np.uint8)
    errors = np.array([[-0.4, 0.2], [0.1, 0.1]])
    stack = np.stack([labels + errors, labels + 0.5 * errors, labels - 0.5 * (errors - errors.mean())])
    assert np.array(error_correlation(stack, labels)) == pytest.approx(np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]]))


def test_a_model_without_errors_correlates_with_nothing() -> None:
    labels = np.array([[1, 0], [0, 1]], np.uint8)
    stack = np.stack([labels.astype(float), np.array([[0.7, 0.2], [0.1, 0.9]])])
    assert error_correlation(stack, labels) == [[1.0, 0.0], [0.0, 1.0]]
