"""What members are given before training: the moments of what they learn from, and the share of each class."""

import numpy as np
from numpy.typing import NDArray

from heads.data.class_balance import initial_competition, weighted_share
from heads.data.features.moments import Moments, combine_moments, moments_by_fold
from heads.data.features.statistics_cache import cached_statistics
from heads.models.networks import COMPETING, NAMED, OUTPUT, frame_standardiser
from heads.recipe import HeadConfig
from heads.trainers.ensemble import FoldEnsemble
from heads.trainers.named import NamedEvidence
from heads.trainers.sampler import learned_weights
from heads.trainers.task import HeadTask

_SMALLEST_SHARE = 1e-3


def initialise(members: FoldEnsemble, task: HeadTask) -> None:
    """Set each member's moments, and its output bias if it starts at the prior, from the clips that it learns from."""
    config, targets, fold = task.config, task.targets, task.fold
    standardised = any(frame_standardiser(head) is not None for head in members.heads)
    evidence = NamedEvidence(task) if config.named else None
    clips, frames = _clip_moments(task), _frame_moments(task) if standardised else []
    for head, member in zip(members.heads, task.plan, strict=True):
        learned = [number for number in range(task.n_folds) if number not in member.unseen]
        for name, per_fold in clips.items():
            moments = combine_moments([per_fold[number] for number in learned])
            head.tail.get_layer(f"standardise_{name}").set_moments(moments.mean, moments.spread)
        standardiser = frame_standardiser(head)
        if frames and standardiser is not None:
            moments = combine_moments([frames[number] for number in learned])
            standardiser.set_moments(moments.mean, moments.spread)
        seen = member.learns_from(fold)
        if evidence is not None:
            evidence.learn(seen).give(head.tail.get_layer(NAMED))
        if config.competing:
            head.tail.get_layer(COMPETING).set_strength(initial_competition(targets[seen]))
        if config.start_at_prior:
            weights = learned_weights(config, targets, fold, seen, task.weights)[seen]
            head.tail.get_layer(OUTPUT).bias.assign(_prior_scores(config, targets[seen], weights))
    members.begin()


def adjust_for_prior_shift(members: FoldEnsemble, task: HeadTask) -> None:
    """Take back from each member's output what preferring rare classes in training put there.

    Source: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities",
    2002.
    """
    config, targets, fold = task.config, task.targets, task.fold
    for head, member in zip(members.heads, task.plan, strict=True):
        seen = member.learns_from(fold)
        weights = learned_weights(config, targets, fold, seen, task.weights)[seen]
        bias, own = head.tail.get_layer(OUTPUT).bias, None if task.weights is None else task.weights[seen]
        bias.assign_add(_prior_scores(config, targets[seen], own) - _prior_scores(config, targets[seen], weights))


def _prior_scores(
    config: HeadConfig, targets: NDArray[np.float32], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """(C,) the scores by which a head without any evidence gives each class its share among the targets (N, C).

    Where classes compete somewhat, they lie as far between those of full and of no competition.
    """
    found, without = weighted_share(targets, weights)
    share = found.clip(_SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
    compete = initial_competition(targets) if config.competing else 0.0
    alone, together = np.log(share / (1 - share)), np.log(share / max(without, _SMALLEST_SHARE))
    return np.asarray((1 - compete) * alone + compete * together, np.float32)


def _clip_moments(task: HeadTask) -> dict[str, list[Moments]]:
    """The moments of each statistic in each fold, for heads that standardise statistics."""
    if not task.config.traits.standardises:
        return {}
    return {
        name: moments_by_fold(task.examples.statistics[name], task.fold, task.n_folds)
        for name in task.config.statistics
    }


def _frame_moments(task: HeadTask) -> list[Moments]:
    """The moments of all frames of each fold, or of their deviations from each clip's background.

    Put together from each clip's own mean and spread, so that all folds need one pass over the frames, once.
    """
    if not task.config.sees_frames or task.config.traits.content != "features":
        return []
    examples, fold, n_folds = task.examples, task.fold, task.n_folds
    rows = examples.rows[: len(fold)]
    found = cached_statistics(examples.reader, rows, ("mean", "spread"))
    mean, spread, lengths = found["mean"], found["spread"], examples.reader.lengths[rows]
    minus = examples.statistics["background"] if "background" in task.config.traits.front_statistics else None
    between = moments_by_fold(mean, fold, n_folds, counts=lengths, minus=minus)
    within = moments_by_fold(spread, fold, n_folds, counts=lengths)
    return [
        Moments(count=own.count, mean=own.mean, squares=own.squares + each.squares + each.count * each.mean**2)
        for own, each in zip(between, within, strict=True)
    ]
