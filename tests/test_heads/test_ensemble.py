"""Members that train together are what they would be if each trained alone, by Keras' own means."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_store import DIM, made_key, make_store

from heads.data.features.batches import ClipBatches
from heads.data.features.statistics_cache import cached_statistics
from heads.models.networks import HeadShape, build_head
from heads.recipe import HeadConfig
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.ensemble import FoldEnsemble
from heads.trainers.initialise import initialise
from heads.trainers.members import most_learned, plan_members
from heads.trainers.optimizer import FusedAdamW
from heads.trainers.sampler import BatchSampler
from heads.trainers.schedule import decay_share, learning_rates, scale_dropout, scale_length
from heads.trainers.task import HeadTask
from heads.trainers.trainer import Trainer

pytestmark = pytest.mark.slow

FOLDS, CLIPS, EPOCHS = 3, 60, 3
SMALL: dict[str, Any] = {"dense_units": (8,), "metadata_units": (4,), "batch_clips": 8, "learning_rate": 0.01}
KINDS = {
    "attention": HeadConfig(**SMALL, weight_decay=0.1),
    "recurrent": HeadConfig(**SMALL, kind="recurrent", recurrent_units=3),
    "statistics": HeadConfig(
        **SMALL, kind="deviation", statistics=("deviation", "mean"), queries=0, weight_decay=0.1, competing=True
    ),
    "queries": HeadConfig(**SMALL, kind="deviation", statistics=("deviation",), queries=3, start_at_prior=True),
}


def examples_of(root: Path, config: HeadConfig) -> tuple[ClipBatches, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (CLIPS, 2)).astype(np.uint8)
    reader = make_store(root, labels).reader(made_key())
    rows = np.arange(CLIPS)
    examples = ClipBatches(
        reader=reader,
        rows=rows,
        statistics=cached_statistics(reader, rows, config.inputs),
        metadata=rng.normal(size=(FOLDS, CLIPS, 2)).astype(np.float32),
        sees_frames=config.sees_frames,
    )
    return examples, labels.astype(np.float32), np.arange(CLIPS) % FOLDS


def started(config: HeadConfig, examples: ClipBatches, targets: Any, fold: Any) -> tuple[FoldEnsemble, BatchSampler]:
    plan = plan_members(config, FOLDS, seed=4, judged=False)
    members = FoldEnsemble(config, HeadShape(dim=DIM, n_metadata=2, n_classes=2), [member.seed for member in plan])
    initialise(members, HeadTask(config=config, plan=plan, examples=examples, targets=targets, fold=fold))
    seen = np.stack([member.learns_from(fold) for member in plan]).astype(np.float32)
    none = np.zeros((len(plan), 0), np.float32)
    return members, BatchSampler(config=config, targets=targets, fold=fold, seen=seen, seen_unlabelled=none, seed=4)


@pytest.mark.parametrize("kind", KINDS)
def test_together_as_alone(tmp_path: Path, kind: str) -> None:
    """The same losses and weights as plain Keras models on the same clips in the same order, dropout included.

    Weight decay is taken at every eighth step, for all eight.
    """
    config = KINDS[kind]
    examples, targets, fold = examples_of(tmp_path, config)
    members, sampler = started(config, examples, targets, fold)
    initial = [head.model.get_weights() for head in members.heads]
    rates = np.full(FOLDS, config.learning_rate)
    losses = [members.train_epoch(examples, sampler.batches(epoch), rates).tolist() for epoch in range(EPOCHS)]
    alone = build_head(config, HeadShape(dim=DIM, n_metadata=2, n_classes=2)).model
    loss_of = keras.losses.BinaryCrossentropy()
    seen_by = {name: tf.TensorSpec(each.shape, each.dtype) for name, each in alone.input.items()}

    def step(inputs: Any, wanted: Any) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            loss = loss_of(wanted, alone(inputs, training=True))
        return loss, tape.gradient(loss, [each.value for each in alone.trainable_variables])

    step_of = tf.function(step, autograph=False, input_signature=[seen_by, tf.TensorSpec((None, 2), tf.float32)])
    for member in range(FOLDS):
        keras.utils.set_random_seed(4 + member)
        drawn = build_head(config, HeadShape(dim=DIM, n_metadata=2, n_classes=2)).model
        drawn.set_weights(initial[member])
        for variable, other in zip(alone.variables, drawn.variables, strict=True):  # states of dropout among them
            variable.assign(other)
        optimiser = keras.optimizers.Adam(config.learning_rate)
        spared = ("bias", "gamma", "beta", "log_temperature", "strength")
        decayed = [each for each in alone.trainable_variables if each.name not in spared]
        steps = 0
        for epoch in range(EPOCHS):
            total = clips = 0.0
            for places, seen, _ in sampler.batches(epoch):
                rows = seen[member] > 0
                own, batch = places[rows], examples.batch(places)
                inputs = {name: (each[member] if name == "metadata" else each)[rows] for name, each in batch.items()}
                if config.sees_frames:
                    inputs["features"] = inputs["features"].astype(np.float32)
                loss, gradients = step_of(inputs, targets[own])
                steps += 1
                for weight in decayed if steps % 8 == 0 else ():
                    weight.assign(weight * (1 - config.learning_rate * config.weight_decay) ** 8)
                optimiser.apply(gradients, alone.trainable_variables)
                total, clips = total + float(loss) * len(own), clips + len(own)
            assert losses[epoch][member] == pytest.approx(total / clips, abs=1e-4)
        moved = 0.0
        for weight, other, before in zip(
            members.heads[member].model.get_weights(), alone.get_weights(), initial[member], strict=True
        ):
            np.testing.assert_allclose(weight, other, atol=1e-4)
            moved = max(moved, float(np.abs(weight - before).max()))
        assert moved > 0.01
        assert steps > 8


def test_a_member_is_the_same_whoever_trains_beside_it(tmp_path: Path) -> None:
    config = KINDS["statistics"]
    examples, targets, fold = examples_of(tmp_path, config)
    together, sampler = started(config, examples, targets, fold)
    lessons = sampler.batches(0)
    together.train_epoch(examples, lessons, np.full(FOLDS, 0.01))
    plan = plan_members(config, FOLDS, seed=4, judged=False)[1:2]
    alone = FoldEnsemble(config, HeadShape(dim=DIM, n_metadata=2, n_classes=2), [plan[0].seed])
    own = ClipBatches(**{**vars(examples), "metadata": examples.metadata[1:2]})
    initialise(alone, HeadTask(config=config, plan=plan, examples=own, targets=targets, fold=fold))
    alone.train_epoch(own, [(places, seen[1:2], wanted[1:2]) for places, seen, wanted in lessons], np.full(1, 0.01))
    for one, other in zip(alone.heads[0].model.get_weights(), together.heads[1].model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_decay_every_eighth_step_takes_off_what_adamw_takes_off() -> None:
    """Weights that a hundred noisy steps move by some hundredths, and decay shrinks by a third."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(30, 20)).astype(np.float32)
    fused, plain = tf.Variable(start), keras.Variable(start)
    ours = FusedAdamW([fused], [True], 4.0)
    theirs = keras.optimizers.AdamW(0.001, weight_decay=4.0, epsilon=1e-7)
    for _ in range(104):
        gradient = tf.constant(rng.normal(size=start.shape), tf.float32)
        ours.apply([gradient], [tf.constant(0.001)])
        theirs.apply([gradient], [plain])
    shrunk = np.linalg.norm(plain.numpy()) / np.linalg.norm(start)
    assert shrunk == pytest.approx(np.exp(-0.416), abs=0.01)
    np.testing.assert_allclose(fused.numpy(), plain.numpy(), atol=2e-4 + 0.01 * np.abs(start).max())
    assert np.linalg.norm(fused.numpy()) / np.linalg.norm(start) == pytest.approx(shrunk, abs=0.003)


def test_the_running_average_predicts_and_training_goes_on_without_it(tmp_path: Path) -> None:
    config = KINDS["statistics"].model_copy(update={"averaging": 0.9})
    examples, targets, fold = examples_of(tmp_path, config)
    members, sampler = started(config, examples, targets, fold)
    kernels = []
    for epoch in range(2):
        members.train_epoch(examples, sampler.batches(epoch), np.full(FOLDS, 0.01))
        kernels.append([head.model.get_weights() for head in members.heads])
    averaged = members.finished_weights()
    last = members.heads[0].model.get_weights()
    for before, after, average in zip(kernels[1][0], last, averaged[0], strict=True):
        np.testing.assert_array_equal(before, after)
        assert average.shape == before.shape
    assert max(float(np.abs(one - other).max()) for one, other in zip(averaged[0], last, strict=True)) > 1e-3
    asked = np.stack([fold == number for number in range(FOLDS)])
    given = members.predict(examples, [np.arange(CLIPS)], asked)
    members.heads[0].model.set_weights(averaged[0])
    inputs = examples.batch(np.flatnonzero(fold == 0))
    inputs["metadata"] = inputs["metadata"][0]
    expected = members.heads[0].model({name: inputs[name] for name in members.heads[0].model.input})
    np.testing.assert_allclose(given[0, fold == 0], expected, atol=1e-5)
    assert np.isnan(given[0, fold != 0]).all()


def test_dropout_falls_with_the_clips_beyond_few() -> None:
    config = HeadConfig(dropout=0.8, few_clips=1000)
    assert [round(scale_dropout(config, clips).dropout, 3) for clips in (10, 1000, 32_000)] == [0.8, 0.8, 0.4]
    assert scale_dropout(HeadConfig(dropout=0.8), 10**6).dropout == 0.8


def test_beyond_many_clips_there_are_fewer_epochs_of_larger_batches() -> None:
    config = HeadConfig(epochs=25, batch_clips=48, many_clips=16_000).model_copy(update={"sgd_epochs": 20})
    scaled = [scale_length(config, clips) for clips in (10, 16_000, 128_000, 10**8)]
    assert [(each.epochs, each.batch_clips, each.sgd_epochs) for each in scaled] == [
        (25, 48, 20),
        (25, 48, 20),
        (6, 192, 6),
        (3, 16_287, 3),
    ]
    assert scale_length(HeadConfig(epochs=2, many_clips=10), 10**6).epochs == 2
    assert scale_length(HeadConfig(), 10**8) == HeadConfig()


def test_training_on_many_clips_goes_by_the_epochs_that_are_scaled(tmp_path: Path) -> None:
    config = HeadConfig(**{**SMALL, "epochs": 12, "many_clips": 5, "schedule": "cosine"})
    examples, targets, fold = examples_of(tmp_path, config)
    plan = plan_members(config, FOLDS, seed=4, judged=False)
    task = HeadTask(config=config, plan=plan, examples=examples, targets=targets, fold=fold)
    trainer = Trainer(task, Checkpoint(path=None))
    assert most_learned(fold) == 40
    rates = [epoch.rates[0] for epoch in trainer.steps()]
    assert len(rates) == trainer.epochs == 3
    assert rates[2] == pytest.approx(config.learning_rate * (1 + np.cos(np.pi * 2 / 3)) / 2)


def test_shrinkage_is_what_decay_takes_off_however_many_steps_there_are() -> None:
    config = HeadConfig(shrinkage=0.5, epochs=10, batch_clips=10, learning_rate=0.01, schedule="cosine")
    for clips in (40, 4000):
        kept, decay = 1.0, decay_share(config, clips)
        for epoch in range(config.epochs):
            rate = learning_rates(config, [np.zeros(1)] * epoch, 1)[0]
            kept *= (1 - rate * decay) ** (clips // config.batch_clips)
        assert np.log(kept) == pytest.approx(-0.5, rel=0.15)


@pytest.mark.parametrize("epochs", [1, 3, 20])
def test_short_trainings_shrink_weights_as_much_as_long_ones(tmp_path: Path, epochs: int) -> None:
    """Steps without a gradient: what is left of the weights is what decay leaves."""
    config = HeadConfig(**SMALL, kind="deviation", statistics=("mean",), queries=0, shrinkage=0.5, epochs=epochs)
    examples, targets, fold = examples_of(tmp_path, config)
    plan = plan_members(config, FOLDS, seed=4, judged=False)
    task = HeadTask(config=config, plan=plan, examples=examples, targets=targets, fold=fold)
    members = Trainer(task, Checkpoint(path=None)).members
    weights = [each.value for head in members.heads for each in head.model.trainable_variables]
    (kernel,) = (each for each in members.heads[0].model.trainable_variables if each.path.endswith("dense0/kernel"))
    before = kernel.numpy()
    for _ in range(epochs * most_learned(fold) // config.batch_clips):
        members.optimiser.apply([tf.zeros_like(each) for each in weights], [config.learning_rate] * len(weights))
    np.testing.assert_allclose(np.log(kernel.numpy() / before), -0.5, rtol=0.15)
