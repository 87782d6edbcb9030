"""Which members a head has, what each may see, and what it is taught in an epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heads.data.class_balance import sample_weights
from heads.features.batches import spread_batches
from heads.recipe import HeadConfig
from heads.trainers.lessons import Lesson

_FEWEST_FOLDS_TO_JUDGE = 3
_SEED_STEP = 1000
_FEWER_DROPPED = 0.2


@dataclass(frozen=True, kw_only=True)
class Member:
    """One network of a head.

    Attributes:
        fold: the fold that it never sees, and predicts.
        seed: of its weights and dropout.
        inner: a further fold that it does not learn from, so that it can judge what is good for `fold`'s members
            without looking at `fold`; None for those that predict.
    """

    fold: int
    seed: int
    inner: int | None = None

    @property
    def unseen(self) -> tuple[int, ...]:
        """The folds that it does not learn from."""
        return (self.fold,) if self.inner is None else (self.fold, self.inner)

    def learns_from(self, fold: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether it learns from each clip."""
        return ~np.isin(fold, self.unseen)


def plan_members(config: HeadConfig, n_folds: int, seed: int, *, judged: bool) -> list[Member]:
    """The members that predict, fold by fold, then those that judge pseudo-labels if there are any to judge."""
    members = [
        Member(fold=fold, seed=seed + fold + _SEED_STEP * number)
        for fold in range(n_folds)
        for number in range(config.seeds)
    ]
    if judged and n_folds >= _FEWEST_FOLDS_TO_JUDGE:
        members += [Member(fold=fold, seed=seed + fold, inner=(fold + 1) % n_folds) for fold in range(n_folds)]
    return members


@dataclass(frozen=True, kw_only=True, eq=False)
class Curriculum:
    """Makes the lessons of each epoch.

    Labelled clips come first among the examples, unlabelled ones behind them.

    Attributes:
        config: batch sizes.
        targets: (N, C) float32 of the labelled clips.
        fold: (N,) their folds.
        seen: (K, N) float32, 1 where a member learns from a clip.
        seen_unlabelled: (K, U) float32, 1 where a member may learn from an unlabelled clip.
        seed: of the order.
    """

    config: HeadConfig
    targets: NDArray[np.float32]
    fold: NDArray[np.int64]
    seen: NDArray[np.float32]
    seen_unlabelled: NDArray[np.float32]
    seed: int

    def lessons(self, epoch: int, guesses: NDArray[np.float32] | None = None) -> list[Lesson]:
        """The lessons of an epoch (from 0), in order.

        Args:
            epoch: which one.
            guesses: (K, U, C) what each member thinks of the unlabelled clips, to learn from those too.
        """
        rng = np.random.default_rng([self.seed, epoch])
        strata = [np.flatnonzero(self.fold == number) for number in np.unique(self.fold)]
        labelled = self.config.batch_clips - (0 if guesses is None else self.config.pseudo_clips)
        share = len(self.targets) / max(float(self.seen.sum(axis=1).max()), 1.0)
        if self.config.class_balance and self.config.balance_by == "sampling":
            strata = [self._drawn_by_rarity(stratum, rng) for stratum in strata]
        lessons = [self._lesson(places) for places in spread_batches(strata, labelled * share, rng)]
        if guesses is None:
            return lessons
        return self._with_guesses(lessons, guesses, rng)

    def _lesson(self, places: NDArray[np.int64]) -> Lesson:
        members, kept = len(self.seen), 1.0 - self.config.label_smoothing
        targets = np.broadcast_to(self.targets[places], (members, len(places), self.targets.shape[1]))
        if kept < 1:
            targets = kept * targets + (1.0 - kept) * self._shares[:, None]
        return places, self._weights[:, places], targets

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        """(K, N) how much each clip counts for each member."""
        if not self.config.class_balance or self.config.balance_by == "sampling":
            return self.seen
        return np.stack([learned_weights(self.config, self.targets, self.fold, each > 0) for each in self.seen]).astype(
            np.float32
        )

    @cached_property
    def _shares(self) -> NDArray[np.float32]:
        """(K, C) the share of each class among the clips that each member learns from."""
        return np.asarray(self.seen @ self.targets / self.seen.sum(axis=1, keepdims=True))

    def _drawn_by_rarity(self, stratum: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """As many clips of a fold as it has, rare ones more often; by what that fold holds, since no more may be known
        to every member that learns from it.
        """
        chances = sample_weights(self.targets[stratum], self.config.class_balance)
        return rng.choice(stratum, len(stratum), p=chances / chances.sum())

    def _with_guesses(
        self, lessons: Sequence[Lesson], guesses: NDArray[np.float32], rng: np.random.Generator
    ) -> list[Lesson]:
        """Each lesson with some unlabelled clips behind it; all of them come equally often."""
        unlabelled = guesses.shape[1]
        each = self.config.pseudo_clips
        passes = math.ceil(each * len(lessons) / unlabelled)
        order = np.concatenate([rng.permutation(unlabelled) for _ in range(passes)])
        weights = self.config.pseudo_weight * self.seen_unlabelled
        mixed = []
        for number, (places, seen, targets) in enumerate(lessons):
            drawn = order[number * each : (number + 1) * each]
            mixed.append(
                (
                    np.concatenate([places, len(self.targets) + drawn]),
                    np.concatenate([seen, weights[:, drawn]], axis=1),
                    np.concatenate([targets, guesses[:, drawn]], axis=1),
                )
            )
        return mixed


def learned_weights(
    config: HeadConfig, targets: NDArray[np.float32], fold: NDArray[np.int64], seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(N,) how much each clip counts for a member that learns from those that are `seen`; zero for the others."""
    weights = np.zeros(len(targets))
    parts = [seen] if config.balance_by == "loss" else [seen & (fold == number) for number in np.unique(fold[seen])]
    for part in parts:
        weights[part] = sample_weights(targets[part], config.class_balance)
    return weights


def step_sizes(config: HeadConfig, losses: Sequence[NDArray[np.float64]], members: int) -> NDArray[np.float64]:
    """Each member's step size (K,) for the next epoch, from the training losses (K,) of those before.

    Along a cosine, or shorter each time a member's training loss has not fallen for some epochs. The scored fold's
    loss is not looked at: it would choose the model that it then scores. Learning from unlabelled clips goes on with a
    tenth of the first step size where the cosine has come to its end.
    """
    done = len(losses)
    if config.schedule == "cosine":
        first, span = (1.0, config.epochs) if done < config.epochs else (0.1, max(config.pseudo_epochs, 1))
        passed = done if done < config.epochs else done - config.epochs
        rate = config.learning_rate * first * (1 + math.cos(math.pi * min(passed / span, 1.0))) / 2
        return np.full(members, rate)
    rates = np.full(members, config.learning_rate)
    best, flat = np.full(members, np.inf), np.zeros(members, np.int64)
    for loss in losses:
        better = loss < best
        best, flat = np.where(better, loss, best), np.where(better, 0, flat + 1)
        shorten = (flat > 0) & (flat % config.plateau_epochs == 0)
        rates = np.where(shorten, np.maximum(rates * config.plateau_factor, config.least_learning_rate), rates)
    return rates


def suited_to(config: HeadConfig, clips: int) -> HeadConfig:
    """The recipe's settings for members that learn from `clips` clips: with less dropout where there are many."""
    if not 0 < config.few_clips < clips:
        return config
    return config.model_copy(update={"dropout": config.dropout * (config.few_clips / clips) ** _FEWER_DROPPED})


def decay_share(config: HeadConfig, clips: int) -> float:
    """Weight decay as a share of the step size, for members that learn from `clips` clips."""
    steps = config.epochs * max(1, round(clips / config.batch_clips))
    travelled = config.learning_rate * steps * (0.5 if config.schedule == "cosine" else 1.0)
    return config.weight_decay + config.shrinkage / travelled
