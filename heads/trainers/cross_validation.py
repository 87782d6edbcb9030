"""Trains one head over all folds. Whatever is fitted for a fold has seen that fold's training clips and no others."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.animal_names import named_animals
from heads.data.features.batches import ClipBatches
from heads.data.features.metadata import MetadataTransform
from heads.data.features.readers import Reader, ids_with_frames
from heads.data.features.statistics_cache import cached_statistics
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds
from heads.data.splitting.splits import NO_CLIPS, Unlabelled
from heads.models.seed_average import average_models, mean_of_logits
from heads.recipe import HeadConfig
from heads.recipe.kinds import resolve
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.members import FoldMember, plan_members
from heads.trainers.pseudo_labels import PseudoLabelDecision
from heads.trainers.task import HeadTask, Train


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldModel:
    """A head trained without one fold.

    Attributes:
        model: the trained network, of all seeds together.
        metadata: how clip facts become its metadata input.
        prior: (C,) the share of each class among its training clips.
        losses: mean training loss of each epoch, over the fold's seeds.
        judgement: whether what was learned from unlabelled clips was kept; None where there were none.
    """

    model: keras.Model
    metadata: MetadataTransform
    prior: NDArray[np.float64]
    losses: list[float]
    judgement: PseudoLabelDecision | None


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossValidatedHead:
    """A head over all folds.

    Attributes:
        folds: one model a fold, in order.
        predictions: of every clip, by the model that has not seen it.
        epochs: how training went.
    """

    folds: list[FoldModel]
    predictions: Predictions
    epochs: list[Epoch]


def cross_validate_head(
    reader: Reader,
    facts: pd.DataFrame,
    labels: LabelTable,
    folds: Folds,
    config: HeadConfig,
    *,
    name: str,
    seed: int = 0,
    weights: NDArray[np.float64] | None = None,
    unlabelled: Unlabelled = NO_CLIPS,
    checkpoint: Checkpoint | None = None,
    stopping: threading.Event | None = None,
    report: Callable[[Epoch], None] = lambda _: None,
) -> CrossValidatedHead:
    """Train a head for all folds at once, and predict each fold by the model that has not seen it.

    Args:
        reader: the cached features; must hold every clip.
        facts: the clip table; must hold every clip.
        labels: clips and their classes.
        folds: of these clips.
        config: architecture and training settings.
        name: what the head is called in the predictions' provenance.
        seed: of initial weights, dropout and shuffling.
        weights: (N,) how many clips each of `labels` stands for, where some kinds were chosen more often than others;
            one each if None.
        unlabelled: further clips, to learn from by pseudo-labels if the recipe says so.
        checkpoint: where training is saved after epochs, and goes on from; nowhere if None.
        stopping: set when Ctrl-C is pressed during an epoch.
        report: called after every epoch.

    Returns:
        The fold models and out-of-fold predictions, clips in the order of `labels`. A clip without frames is
        not learned from, and gets the share of each class among the training clips of its fold.

    Raises:
        UnknownClipError: a clip is not in the store.
        StoppedError: Ctrl-C was pressed; the last epoch was finished and saved.
    """
    everyone, labels = labels, labels.select(ids_with_frames(reader, labels.ids))
    if weights is not None:
        place = {clip_id: row for row, clip_id in enumerate(everyone.ids)}
        weights = weights[[place[clip_id] for clip_id in labels.ids]]
    fold, values = folds.of(labels.ids), labels.values.astype(np.float32)
    plan = plan_members(config, folds.n_folds, seed, judged=bool(unlabelled.ids and config.pseudo_epochs))
    extra = unlabelled if any(member.inner is not None for member in plan) else NO_CLIPS
    transforms, examples = make_batches(reader, facts, (*labels.ids, *extra.ids), config, plan, fold)
    task = HeadTask(
        config=config,
        plan=plan,
        examples=examples,
        targets=values,
        fold=fold,
        weights=weights,
        shunned=extra.fold,
        told=_told(extra, labels.classes, plan),
        meant=meant_animals(config, labels.classes),
        seed=seed,
    )
    train: Train = resolve(config.traits.trainer)
    found = train(task, checkpoint or Checkpoint(path=None), report, stopping or threading.Event())
    models, epochs = found.models, list(found.epochs)
    predictions = Predictions(
        ids=labels.ids,
        classes=labels.classes,
        probabilities=_of_each_fold(found.probabilities, plan, fold),
        fold=fold,
        provenance={"model": name},
    )
    trained = []
    for number in range(folds.n_folds):
        own = [place for place, member in enumerate(plan) if member.fold == number and member.inner is None]
        trained.append(
            FoldModel(
                model=average_models([models[place] for place in own]),
                metadata=transforms[own[0]],
                prior=_share(values, weights, plan[own[0]].learns_from(fold)),
                losses=[float(np.mean([epoch.losses[place] for place in own])) for epoch in epochs],
                judgement=found.judgements.get(number),
            )
        )
    own_fold = folds.of(everyone.ids)
    priors = np.stack([part.prior for part in trained])
    of_prior = Predictions(ids=everyone.ids, classes=everyone.classes, probabilities=priors[own_fold], fold=own_fold)
    return CrossValidatedHead(folds=trained, predictions=predictions.over(of_prior), epochs=epochs)


def meant_animals(config: HeadConfig, classes: Sequence[str]) -> list[tuple[int, ...]]:
    """(C) the animals that each class means; nothing where the backbone itself is not asked."""
    if not config.named:
        return []
    known = named_animals(classes, config.names)
    return [known.get(name, ()) for name in classes]


def _told(extra: Unlabelled, classes: Sequence[str], plan: Sequence[FoldMember]) -> NDArray[np.float32] | None:
    """(K, U, C) what each member is told of clips without labels, of the classes that the head tells apart."""
    if extra.said is None:
        return None
    columns = [extra.classes.index(name) for name in classes]
    return np.stack([extra.said[member.fold][:, columns] for member in plan])


def _share(
    values: NDArray[np.float32], weights: NDArray[np.float64] | None, seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(C,) the share of each class among the clips that are seen, which count as `weights` say."""
    if weights is None:
        return np.asarray(values[seen].mean(axis=0), np.float64)
    return np.asarray(np.average(values[seen].astype(np.float64), axis=0, weights=weights[seen]))


def make_batches(
    reader: Reader,
    facts: pd.DataFrame,
    ids: Sequence[str],
    config: HeadConfig,
    plan: Sequence[FoldMember],
    fold: NDArray[np.int64],
) -> tuple[list[MetadataTransform], ClipBatches]:
    """What the members of a head see of clips: the labelled ones, whose folds are given, then unlabelled ones.

    Returns:
        Each member's metadata transform, fitted on the clips that it learns from; and the examples.
    """
    rows, table = reader.index_of(ids), facts.loc[list(ids)]
    fitted: dict[tuple[int, ...], MetadataTransform] = {}
    for member in plan:
        if member.unseen not in fitted:
            learned = np.flatnonzero(member.learns_from(fold))
            fitted[member.unseen] = MetadataTransform.fit(config.metadata, table.iloc[learned])
    transforms = [fitted[member.unseen] for member in plan]
    applied = {unseen: transform.apply(table) for unseen, transform in fitted.items()}
    examples = ClipBatches(
        reader=reader,
        rows=rows,
        statistics=cached_statistics(reader, rows, config.inputs),
        metadata=np.stack([applied[member.unseen] for member in plan]),
        sees_frames=config.sees_frames,
        at_once=config.clips_at_once,
    )
    return transforms, examples


def _of_each_fold(
    probabilities: NDArray[np.float32], plan: Sequence[FoldMember], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N, C) of each clip by its fold's members, from (K, N, C)."""
    out = np.zeros(probabilities.shape[1:])
    for number in np.unique(fold):
        own = [place for place, member in enumerate(plan) if member.fold == number and member.inner is None]
        out[fold == number] = mean_of_logits(probabilities[own][:, fold == number])
    return out
