"""Which clips the members of a head learn from in each step of an epoch, and what they are taught of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heads.data.class_balance import clip_weights
from heads.data.features.batches import spread_batches
from heads.recipe import HeadConfig

# What a batch asks of the members: places of clips, weights (K, B) that are zero for clips that a member must not see,
# and targets (K, B, C).
BatchSpec = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
_FEWEST = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchSampler:
    """Makes the batches of each epoch.

    Labelled clips come first among the examples, unlabelled ones behind them.

    Attributes:
        config: batch sizes.
        targets: (N, C) float32 of the labelled clips.
        fold: (N,) their folds.
        seen: (K, N) float32, 1 where a member learns from a clip.
        seen_unlabelled: (K, U) float32, 1 where a member may learn from an unlabelled clip.
        seed: of the order.
        weights: (N,) how many clips each labelled one stands for; one each if None.
    """

    config: HeadConfig
    targets: NDArray[np.float32]
    fold: NDArray[np.int64]
    seen: NDArray[np.float32]
    seen_unlabelled: NDArray[np.float32]
    seed: int
    weights: NDArray[np.float64] | None = None

    def batches(self, epoch: int, guesses: NDArray[np.float32] | None = None) -> list[BatchSpec]:
        """The batches of an epoch (from 0), in order.

        Args:
            epoch: which one.
            guesses: (K, U, C) what each member thinks of the unlabelled clips, to learn from those too.
        """
        rng = np.random.default_rng([self.seed, epoch])
        strata = [np.flatnonzero(self.fold == number) for number in np.unique(self.fold)]
        labelled = self.config.batch_clips - (0 if guesses is None else self.config.pseudo_clips)
        share = len(self.targets) / max(float(self.seen.sum(axis=1).max()), 1.0)
        if self.config.class_balance and self.config.balance_by != "loss":
            strata = [self._drawn_by_rarity(stratum, rng) for stratum in strata]
        batches = [self._batch(places) for places in spread_batches(strata, labelled * share, rng)]
        if guesses is None:
            return batches
        return self._with_guesses(batches, guesses, rng)

    def _batch(self, places: NDArray[np.int64]) -> BatchSpec:
        members, kept = len(self.seen), 1.0 - self.config.label_smoothing
        targets = np.broadcast_to(self.targets[places], (members, len(places), self.targets.shape[1]))
        if kept < 1:
            targets = kept * targets + (1.0 - kept) * self._shares[:, None]
        return places, self._weights[:, places], targets

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        """(K, N) how much each clip counts for each member."""
        if not self.config.class_balance or self.config.balance_by != "loss":
            return self.seen if self.weights is None else np.asarray(self.seen * self.weights, np.float32)
        seen = (each > 0 for each in self.seen)
        weights = [learned_weights(self.config, self.targets, self.fold, each, self.weights) for each in seen]
        return np.stack(weights).astype(np.float32)

    @cached_property
    def _shares(self) -> NDArray[np.float32]:
        """(K, C) the share of each class among the clips that each member learns from."""
        return np.asarray(self.seen @ self.targets / self.seen.sum(axis=1, keepdims=True))

    def _drawn_by_rarity(self, stratum: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """As many clips of a fold as it has, rare ones more often; by what that fold holds, since no more may be known
        to every member that learns from it.
        """
        chances = clip_weights(self.targets[stratum], self.config.class_balance, self.config.balance_by)
        return rng.choice(stratum, len(stratum), p=chances / chances.sum())

    def _with_guesses(
        self, batches: Sequence[BatchSpec], guesses: NDArray[np.float32], rng: np.random.Generator
    ) -> list[BatchSpec]:
        """Each batch with some unlabelled clips behind it; all of them come equally often."""
        unlabelled = guesses.shape[1]
        each = self.config.pseudo_clips
        passes = math.ceil(each * len(batches) / unlabelled)
        order = np.concatenate([rng.permutation(unlabelled) for _ in range(passes)])
        weights = self.config.pseudo_weight * self.seen_unlabelled
        mixed = []
        for number, (places, seen, targets) in enumerate(batches):
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
    config: HeadConfig,
    targets: NDArray[np.float32],
    fold: NDArray[np.int64],
    seen: NDArray[np.bool_],
    stands_for: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(N,) how much each clip counts for a member that learns from those that are `seen`; zero for the others.

    Args:
        config: how rare classes are preferred.
        targets: (N, C).
        fold: (N,).
        seen: (N,) what the member learns from.
        stands_for: (N,) how many clips each stands for; one each if None.
    """
    weights = np.zeros(len(targets))
    parts = [seen] if config.balance_by == "loss" else [seen & (fold == number) for number in np.unique(fold[seen])]
    for part in parts:
        weights[part] = clip_weights(targets[part], config.class_balance, config.balance_by)
    return weights if stands_for is None else weights * stands_for


def ensure_two_clips_each(batches: Sequence[BatchSpec]) -> Sequence[BatchSpec]:
    """The batches of an epoch, with two clips at least in each for every member that has as many: some come again.

    Where one site holds nearly all clips, the member that does not see it has fewer clips than there are batches; but
    batch normalisation finds no moments in no clip, and none worth having in one.
    """
    if all((np.count_nonzero(weights, axis=1) >= _FEWEST).all() for _, weights, _ in batches):
        return batches
    places, weights, targets = zip(*batches, strict=True)
    everything = (np.concatenate(places), np.concatenate(weights, axis=1), np.concatenate(targets, axis=1))
    return [_filled(batch, everything, turn) for turn, batch in enumerate(batches)]


def _filled(batch: BatchSpec, everything: BatchSpec, turn: int) -> BatchSpec:
    """A batch and, behind it, clips out of all batches for members that lack some; others in each turn."""
    places, weights, targets = everything
    chosen: list[int] = []
    members: list[int] = []
    for member, found in enumerate(np.count_nonzero(batch[1], axis=1).tolist()):
        own = np.flatnonzero((weights[member] > 0) & ~np.isin(places, batch[0])).tolist()
        count = min(max(_FEWEST - found, 0), len(own))
        chosen += [own[(turn * count + step) % len(own)] for step in range(count)]
        members += [member] * count
    seen = np.zeros((len(weights), len(chosen)), np.float32)
    seen[members, np.arange(len(chosen))] = weights[members, chosen]
    return (
        np.concatenate([batch[0], places[chosen]]),
        np.concatenate([batch[1], seen], axis=1),
        np.concatenate([batch[2], targets[:, chosen]], axis=1),
    )
