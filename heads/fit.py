"""Trains one head over all folds. Whatever is fitted for a fold has seen that fold's training clips and no others."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.feed import Examples
from heads.folds import Folds
from heads.labels import LabelTable
from heads.metadata import MetadataTransform
from heads.model import POOLINGS
from heads.predictions import Predictions
from heads.recipe import HeadConfig
from heads.trainer import HeadTrainer
from store import FeatureReader


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What is told to the progress display after every epoch.

    Attributes:
        fold: number of the fold, from 0.
        epoch: number of the epoch, from 1.
        loss: mean training loss of the epoch.
    """

    fold: int
    epoch: int
    loss: float


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldModel:
    """A head trained without one fold.

    Attributes:
        model: the trained network.
        metadata: how clip facts become its metadata input.
        prior: (C,) the share of each class among its training clips.
        losses: mean training loss of each epoch.
        seconds: training time.
    """

    model: keras.Model
    metadata: MetadataTransform
    prior: NDArray[np.float64]
    losses: list[float]
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """A head over all folds.

    Attributes:
        folds: one model a fold, in order.
        predictions: of every clip, by the model that has not seen it.
    """

    folds: list[FoldModel]
    predictions: Predictions


def train_heads(
    reader: FeatureReader,
    facts: pd.DataFrame,
    labels: LabelTable,
    folds: Folds,
    config: HeadConfig,
    *,
    name: str,
    seed: int = 0,
    report: Callable[[Epoch], None] = lambda _: None,
) -> OutOfFold:
    """Train a head once per fold, and predict each fold by the model that has not seen it.

    The number of epochs is fixed and the step size follows the training loss, so that the scored fold decides nothing.

    Args:
        reader: the cached features; must hold every labelled clip.
        facts: the clip table, likewise.
        labels: clips and their classes.
        folds: of these clips.
        config: architecture and training settings.
        name: what the head is called in the predictions' provenance.
        seed: of initial weights, dropout and shuffling; fold k uses `seed + k`.
        report: called after every epoch.

    Returns:
        The fold models and out-of-fold predictions, clips in the order of `labels`.

    Raises:
        UnknownClipError: a labelled clip is not in the store.
    """
    rows = reader.index_of(labels.ids)
    pooled = POOLINGS[config.kind](reader, rows) if config.kind in POOLINGS else None
    table = facts.loc[list(labels.ids)]
    fold = folds.of(labels.ids)
    probabilities = np.zeros(labels.values.shape)
    trained = []
    trainer: HeadTrainer | None = None
    for number in range(folds.n_folds):
        training, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        metadata = MetadataTransform.fit(config.metadata, table.iloc[training])
        examples = Examples(
            reader=reader,
            rows=rows,
            metadata=metadata.apply(table),
            targets=labels.values.astype(np.float32),
            pooled=pooled,
        )
        if trainer is None:
            trainer = HeadTrainer(config, reader.dim, examples.metadata.shape[1], len(labels.classes))
        part = _train_fold(trainer, examples.take(training), metadata, number, seed + number, report)
        probabilities[held_out] = trainer.predict(examples.take(held_out))
        trained.append(part)
    predictions = Predictions(
        ids=labels.ids, classes=labels.classes, probabilities=probabilities, fold=fold, provenance={"model": name}
    )
    return OutOfFold(folds=trained, predictions=predictions)


def _train_fold(
    trainer: HeadTrainer,
    examples: Examples,
    metadata: MetadataTransform,
    number: int,
    seed: int,
    report: Callable[[Epoch], None],
) -> FoldModel:
    """Train one fold's model on its training clips."""
    started = time.monotonic()
    trainer.restart(seed)
    losses = trainer.train(examples, seed, lambda epoch, loss: report(Epoch(fold=number, epoch=epoch, loss=loss)))
    return FoldModel(
        model=trainer.snapshot(),
        metadata=metadata,
        prior=examples.known_targets.mean(axis=0).astype(np.float64),
        losses=losses,
        seconds=time.monotonic() - started,
    )
