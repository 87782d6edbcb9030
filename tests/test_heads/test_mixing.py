"""Mixed clips: what is drawn, and that inputs and labels are mixed alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_store import DIM, made_key, make_store

from heads.data.features.batches import ClipBatches
from heads.data.features.statistics_cache import cached_statistics
from heads.models.networks import HeadShape
from heads.recipe import HeadConfig
from heads.trainers.ensemble import FoldEnsemble
from heads.trainers.mixup import Mixup, mix


def test_a_step_always_draws_the_same_and_each_step_and_member_something_else() -> None:
    mixer = Mixup(0.4, [3, 4])
    part, other = (each.numpy() for each in mixer.draw(0, 5, 1000))
    again = [each.numpy() for each in mixer.draw(0, 5, 1000)]
    np.testing.assert_array_equal(part, again[0])
    np.testing.assert_array_equal(other, again[1])
    for member, step in ((0, 6), (1, 5)):
        assert (mixer.draw(member, step, 1000)[1].numpy() != other).any()
    assert sorted(other.tolist()) == list(range(1000))
    assert part.shape == (1000, 1)
    assert part.min() >= 0.5
    assert part.max() <= 1
    # The greater of x and 1 - x under Beta(0.4, 0.4), whose mean distance from a half is known by sampling it.
    drawn = np.random.default_rng(0).beta(0.4, 0.4, 100_000)
    assert part.mean() == pytest.approx(np.maximum(drawn, 1 - drawn).mean(), abs=0.02)


def test_mixing_by_hand() -> None:
    values = np.array([[0.0, 8.0], [4.0, 0.0]], np.float32)
    mixed = mix(values, np.array([[0.75], [0.5]], np.float32), np.array([1, 0])).numpy()
    np.testing.assert_allclose(mixed, [[1, 6], [2, 4]])


def test_inputs_and_labels_are_mixed_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips, each mixed half and half with the other, are twice the clip between them with the label between."""
    monkeypatch.setattr(Mixup, "draw", lambda *_: (np.full((2, 1), 0.5, np.float32), np.array([1, 0])))
    reader = make_store(tmp_path, np.array([[1, 0], [0, 1]], np.uint8)).reader(made_key())
    config: Any = {"kind": "deviation", "statistics": ("mean",), "queries": 0, "metadata": (), "dropout": 0.0}
    examples = ClipBatches(
        reader=reader,
        rows=np.arange(2),
        statistics=cached_statistics(reader, np.arange(2), ("mean",)),
        metadata=np.zeros((1, 2, 0), np.float32),
        sees_frames=False,
    )
    targets = np.array([[[1, 0], [0, 1]]], np.float32)
    weights, rate = np.ones((1, 2), np.float32), np.full(1, 0.1)
    trained = []
    for mixup in (0.4, 0.0):
        members = FoldEnsemble(HeadConfig(**config, dense_units=(), mixup=mixup), shape(), [0])
        given = examples
        if not mixup:
            between = examples.statistics["mean"].mean(axis=0, keepdims=True).repeat(2, axis=0)
            given = ClipBatches(**{**vars(examples), "statistics": {"mean": between}})
            targets = np.full_like(targets, 0.5)
        members.train_epoch(given, [(np.arange(2), weights, targets)], rate)
        trained.append(members.heads[0].model.get_weights())
    for one, two in zip(*trained, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def shape() -> HeadShape:
    return HeadShape(dim=DIM, n_metadata=0, n_classes=2, taps=(2, DIM - 2))
