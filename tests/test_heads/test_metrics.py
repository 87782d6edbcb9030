import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds
from heads.errors import PredictionError
from heads.evaluation.metrics import (
    average_precision,
    evaluate,
    expected_calibration_error,
    f1_per_class,
    log_loss_per_class,
    reliability,
    top_shares,
)
from store.errors import UnknownClipError

Y = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.uint8)
P = np.array([[0.9, 0.2], [0.4, 0.5], [0.3, 0.8], [0.1, 0.1]])


def test_log_loss_by_hand() -> None:
    first = -(math.log(0.9) + math.log(0.6) + math.log(0.3) + math.log(0.9)) / 4
    second = -(math.log(0.8) + math.log(0.5) + math.log(0.2) + math.log(0.9)) / 4
    assert log_loss_per_class(Y, P) == pytest.approx([first, second], rel=1e-12)


def test_log_loss_is_clipped() -> None:
    sure_and_wrong = log_loss_per_class(np.array([[1], [0]], np.uint8), np.array([[0.0], [1.0]]))
    assert sure_and_wrong == pytest.approx([-math.log(1e-5)])
    assert log_loss_per_class(np.array([[1]], np.uint8), np.array([[0.0]]), eps=0.01) == pytest.approx(
        [-math.log(0.01)]
    )


def test_average_precision_by_hand() -> None:
    # first class, by falling probability: 1 0 1 0 -> (1/1 + 2/3) / 2; second: 0 1 0 0 -> 1/2
    assert average_precision(Y, P) == pytest.approx([(1 + 2 / 3) / 2, 0.5])


@given(seed=st.integers(0, 10_000), steps=st.integers(1, 40), n_clips=st.integers(1, 60))
def test_average_precision_agrees_with_scikit_learn_also_on_ties(seed: int, steps: int, n_clips: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((n_clips, 2)) < 0.3).astype(np.uint8)
    labels[0] = 1
    probabilities = rng.integers(0, steps + 1, (n_clips, 2)) / steps
    expected = [average_precision_score(labels[:, column], probabilities[:, column]) for column in (0, 1)]
    assert average_precision(labels, probabilities) == pytest.approx(expected)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 4))
def test_top_shares_agree_with_sorting(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((30, 5)) < 0.3).astype(np.uint8)
    labels[0] = 1
    probabilities = rng.integers(0, 4, (30, 5)) / 3
    strongest = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    rows = labels.any(axis=1)
    assert top_shares(labels, probabilities, k) == [
        np.take_along_axis(labels, strongest, axis=1).any(axis=1)[rows].mean()
    ]


def test_classes_without_positives_have_no_precision() -> None:
    assert np.isnan(average_precision(np.zeros((3, 1), np.uint8), np.full((3, 1), 0.5)))[0]
    assert np.isnan(f1_per_class(np.zeros((3, 1), np.uint8), np.full((3, 1), 0.9)))[0]


def test_f1_by_hand() -> None:
    # first: said {0}, true {0, 2} -> 2 * 1 / (1 + 2); second: said {1, 2}, true {1} -> 2 * 1 / (2 + 1)
    assert f1_per_class(Y, P) == pytest.approx([2 / 3, 2 / 3])


def test_top_shares_by_hand() -> None:
    assert top_shares(Y, P, 1, 2) == [pytest.approx(2 / 3), 1.0]
    assert math.isnan(top_shares(np.zeros((1, 2), np.uint8), np.zeros((1, 2)), 1)[0])


def test_calibration_by_hand() -> None:
    labels = np.array([[1], [0], [0], [0]], np.uint8)
    probabilities = np.array([[0.3], [0.3], [0.9], [1.0]])
    steps = reliability(labels, probabilities, n_bins=2)
    assert [step["count"] for step in steps] == [2, 2]
    assert [step["predicted"] for step in steps] == pytest.approx([0.3, 0.95])
    assert [step["observed"] for step in steps] == pytest.approx([0.5, 0.0])
    assert expected_calibration_error(labels, probabilities, n_bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.95)


def labelled() -> tuple[LabelTable, Predictions, Folds]:
    ids = ("a", "b", "c", "d")
    labels = LabelTable(ids=ids, classes=("hog", "lion", "pig"), values=np.c_[Y, np.zeros((4, 1), np.uint8)])
    predictions = Predictions(ids=ids, classes=("hog", "lion"), probabilities=P, provenance={"model": "m"})
    return labels, predictions, Folds(ids=ids, fold=np.array([0, 0, 1, 1]), groups=("x", "y", "z", "w"), n_folds=2)


def test_evaluate_sums_up() -> None:
    labels, predictions, folds = labelled()
    scores = evaluate(labels, predictions, folds)
    losses = log_loss_per_class(Y, P)
    assert scores["mean_log_loss"] == pytest.approx(losses.mean())
    assert scores["map"] == pytest.approx(((1 + 2 / 3) / 2 + 0.5) / 2)
    assert scores["macro_f1"] == pytest.approx(2 / 3)
    assert scores["n_clips"] == 4
    assert scores["per_class"]["lion"]["support"] == 1
    assert sum(row["share"] for row in scores["per_class"].values()) == pytest.approx(1)
    by_fold = [log_loss_per_class(Y[:2], P[:2]).mean(), log_loss_per_class(Y[2:], P[2:]).mean()]
    assert scores["fold_log_loss"] == pytest.approx(by_fold)
    assert scores["fold_spread"] == pytest.approx(abs(by_fold[0] - by_fold[1]) / math.sqrt(2))
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_evaluate_does_not_depend_on_row_order() -> None:
    labels, predictions, folds = labelled()
    straight = evaluate(labels, predictions, folds)
    shuffled = evaluate(labels, predictions.select(["d", "b", "a", "c"]), folds)
    for score in ("mean_log_loss", "map", "macro_f1", "top_1", "ece", "fold_spread", "fold_log_loss"):
        assert shuffled[score] == pytest.approx(straight[score])


def test_evaluate_says_which_classes_have_no_positive() -> None:
    labels, predictions, folds = labelled()
    wide = Predictions(ids=predictions.ids, classes=labels.classes, probabilities=np.c_[P, np.full(4, 0.1)])
    scores = evaluate(labels, wide, folds)
    assert scores["classes_without_positives"] == ["pig"]
    assert scores["per_class"]["pig"]["ap"] is None
    assert scores["map"] == pytest.approx(((1 + 2 / 3) / 2 + 0.5) / 2)


def test_evaluate_refuses_strangers() -> None:
    labels, _, folds = labelled()
    with pytest.raises(PredictionError, match="class 'puma' is not in labels"):
        evaluate(labels, Predictions(ids=("a",), classes=("puma",), probabilities=np.zeros((1, 1))), folds)
    with pytest.raises(UnknownClipError, match="'z'"):
        evaluate(labels, Predictions(ids=("z",), classes=("hog",), probabilities=np.zeros((1, 1))), folds)
