"""Discriminants for all folds at once, whose probabilities are calibrated without the scored fold."""

import threading
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from heads.data.features.batches import ClipBatches, in_turn
from heads.data.features.readers import columns_of_last_taps
from heads.data.history import Epoch
from heads.models.kinds.discriminant import Discriminant, Matrix, Sums, add_sums, fit_discriminant, sums_of
from heads.models.kinds.discriminant_calibration import Calibration, clips_to_fit, default_calibration, fit_calibration
from heads.models.layers import signed_root
from heads.models.networks import COMPETING, NAMED, OUTPUT, HeadShape, build_head
from heads.recipe import HeadConfig
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.named import Evidence, NamedEvidence
from heads.trainers.task import HeadTask, TrainedMembers

_CLIPS_AT_ONCE = 1024


def fit_discriminants(
    task: HeadTask,
    _checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    _stopping: threading.Event | None = None,
) -> TrainedMembers:
    """Fit a discriminant for each member of a plan to the clips that it learns from; see `heads.trainers.task.Train`.

    Scores become probabilities by what is fitted to scores of the member's own training clips, each fold of them scored
    by a discriminant that knows neither that fold nor the member's own. It is reported as one epoch, whose losses are
    those that calibration ended with.
    """
    config, plan, examples, targets, fold = task.config, task.plan, task.examples, task.targets, task.fold
    started = time.monotonic()
    values = _Values(config, examples)
    places = {number: np.flatnonzero(fold == number) for number in np.unique(fold).tolist()}
    sums = {number: values.sums(own, targets) for number, own in places.items()}
    made: dict[frozenset[int], Discriminant | None] = {}

    def without(*unseen: int) -> Discriminant | None:
        key = frozenset(unseen)
        if key not in made:
            parts = [own for number, own in sums.items() if number not in key]
            made[key] = fit_discriminant(add_sums(parts), config.covariance_shrinkage) if parts else None
        return made[key]

    evidence = NamedEvidence(task) if config.named else None
    models, losses = [], []
    found = np.full((len(plan), *targets.shape), np.nan, np.float32)
    for row, member in enumerate(plan):
        own = without(member.fold)
        if own is None:
            raise ValueError(f"fold {member.fold}: there is no clip in another fold to learn from")
        inner = {number: without(member.fold, number) for number in places if number != member.fold}
        named = evidence.learn(member.learns_from(fold)) if evidence else None
        beside = named.values if named else np.zeros(targets.shape)
        calibration = _calibrate(own, inner, places, values, targets, beside, task.weights)
        model = _build(config, examples, values.columns, own, calibration, targets.shape[1], named)
        models.append(model)
        losses.append(calibration.loss)
        held_out = np.flatnonzero(fold == member.fold)
        for some in in_turn(len(held_out), _CLIPS_AT_ONCE):
            batch = examples.batch(held_out[some])
            found[row, held_out[some]] = keras.ops.convert_to_numpy(model(batch, training=False))
    epoch = Epoch(
        number=1,
        epochs=1,
        losses=tuple(losses),
        rates=(0.0,) * len(plan),
        unlabelled=False,
        seconds=time.monotonic() - started,
    )
    on_epoch(epoch)
    return TrainedMembers(models=models, probabilities=found, epochs=[epoch])


def _calibrate(
    own: Discriminant,
    inner: Mapping[int, Discriminant | None],
    places: Mapping[int, NDArray[np.int64]],
    values: "_Values",
    targets: NDArray[np.float32],
    beside: Matrix,
    weights: Matrix | None = None,
) -> Calibration:
    """The calibration of a member's discriminant.

    Args:
        own: the member's.
        inner: for each fold that the member learns from, one that knows neither that fold nor the member's; None if
            there is no third fold to learn it from.
        places: the clips of each fold.
        values: of the clips.
        targets: (N, C).
        beside: (N, C) what else speaks for each class.
        weights: (N,) how many clips each stands for; one each if None.
    """
    learned = np.concatenate([places[number] for number in inner])
    fold = np.repeat(list(inner), [len(places[number]) for number in inner])
    some = clips_to_fit(len(learned))
    learned, fold = learned[some], fold[some]
    scorers = {number: each or own for number, each in inner.items()}
    scores = np.concatenate([values.scores(each, learned[fold == number]) for number, each in scorers.items()])
    if None in inner.values():
        return default_calibration(scores, targets[learned], beside[learned])
    known = np.concatenate([np.tile(each.known, (np.sum(fold == number), 1)) for number, each in scorers.items()])
    own_weights = None if weights is None else weights[learned]
    return fit_calibration(scores, known, targets[learned], own_weights, beside[learned])


class _Values:
    """The columns that a discriminant sees, read some clips at a time: roots of the last tap of each statistic."""

    def __init__(self, config: HeadConfig, examples: ClipBatches) -> None:
        self._statistics = [examples.statistics[name] for name in config.statistics]
        of_one = np.flatnonzero(columns_of_last_taps(examples.reader))
        self._of_one = of_one
        dim = examples.reader.dim
        self.columns = np.concatenate([of_one + number * dim for number in range(len(self._statistics))])

    def sums(self, places: NDArray[np.int64], targets: NDArray[np.float32]) -> Sums:
        chunks = (places[some] for some in in_turn(len(places), _CLIPS_AT_ONCE))
        return add_sums(sums_of(self._roots(chunk), targets[chunk]) for chunk in chunks)

    def scores(self, discriminant: Discriminant, places: NDArray[np.int64]) -> Matrix:
        parts = [discriminant.scores(self._roots(places[some])) for some in in_turn(len(places), _CLIPS_AT_ONCE)]
        return np.concatenate([np.empty((0, discriminant.weights.shape[1])), *parts])

    def _roots(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        beside = np.concatenate([each[places][:, self._of_one] for each in self._statistics], axis=1)
        return np.asarray(keras.ops.convert_to_numpy(signed_root(beside)))


def _build(
    config: HeadConfig,
    examples: ClipBatches,
    columns: NDArray[np.int64],
    discriminant: Discriminant,
    calibration: Calibration,
    n_classes: int,
    named: Evidence | None,
) -> keras.Model:
    """The network that does what a discriminant and its calibration do; columns that are not seen have no weight."""
    head = build_head(
        config,
        HeadShape(
            dim=examples.reader.dim, n_metadata=0, n_classes=n_classes, n_animals=len(named.meaning) if named else 0
        ),
    )
    width = examples.reader.dim * len(config.statistics)
    mean, spread, kernel = np.zeros(width), np.ones(width), np.zeros((width, n_classes))
    mean[columns], spread[columns] = discriminant.mean, discriminant.spread
    kernel[columns] = discriminant.weights * calibration.inverse_temperature
    for number, name in enumerate(config.statistics):
        own = slice(number * examples.reader.dim, (number + 1) * examples.reader.dim)
        head.tail.get_layer(f"standardise_{name}").set_moments(mean[own], spread[own])
    bias = calibration.bias_of(discriminant.known) + discriminant.bias * calibration.inverse_temperature
    head.tail.get_layer(OUTPUT).set_weights([kernel, bias])
    head.tail.get_layer(COMPETING).set_strength(calibration.strength)
    if named is not None:
        named.give(head.tail.get_layer(NAMED), calibration.belief)
    return head.model
