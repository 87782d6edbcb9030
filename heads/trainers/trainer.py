"""The course of a head's training: epochs on labelled clips, then on unlabelled ones too, then the verdict on those."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from heads.data.history import Epoch
from heads.errors import StoppedError
from heads.features.batches import Examples, in_turn
from heads.models.networks import HeadShape
from heads.recipe import HeadConfig
from heads.trainers.checkpoint import Progress, stop_after_epoch
from heads.trainers.ensemble import Members
from heads.trainers.initialise import correct_priors, prepare_members
from heads.trainers.pseudo_labels import Judgement, judge
from heads.trainers.sampler import Curriculum, Member, decay_share, step_sizes, suited_to

_PREDICT_CLIPS = 64


class Course:
    """The members of a head on their way through the recipe's epochs.

    Args:
        config: architecture and training settings.
        plan: the members.
        examples: labelled clips first, unlabelled ones behind them.
        targets: (N, C) of the labelled clips.
        fold: (N,) their folds.
        shunned: (U,) of each unlabelled clip the fold whose members must not learn from it either, -1 for none.
        progress: where training stands; it goes on from there.
        seed: of the order of clips.
    """

    def __init__(
        self,
        config: HeadConfig,
        plan: Sequence[Member],
        examples: Examples,
        targets: NDArray[np.float32],
        fold: NDArray[np.int64],
        shunned: NDArray[np.int64],
        progress: Progress,
        seed: int,
    ) -> None:
        self._config, self._plan, self._targets, self._fold = config, plan, targets, fold
        self.examples = examples
        shape = HeadShape(
            dim=examples.reader.dim,
            n_metadata=examples.metadata.shape[2],
            n_classes=targets.shape[1],
            taps=examples.reader.tap_widths,
        )
        seen, also = (
            np.stack([member.learns_from(each) for member in plan]).astype(np.float32) for each in (fold, shunned)
        )
        learned = int(seen.sum(axis=1).max())
        seeds = [member.seed for member in plan]
        self.members = Members(suited_to(config, learned), shape, seeds, decay_share(config, learned))
        prepare_members(self.members, config, plan, examples, targets, fold)
        self.curriculum = Curriculum(
            config=config, targets=targets, fold=fold, seen=seen, seen_unlabelled=also, seed=seed
        )
        self.progress = progress
        self.progress.resume(self.members.state)

    @property
    def epochs(self) -> int:
        """How many epochs there are, with those on unlabelled clips."""
        unlabelled = len(self.examples) > len(self._fold)
        return self._config.epochs + (self._config.pseudo_epochs if unlabelled else 0)

    def steps(self) -> Iterator[Epoch]:
        """Go through the epochs that are left, one at a time."""
        while len(self.progress.epochs) < self.epochs:
            if len(self.progress.epochs) == self._config.epochs:
                self._remember()
            yield self._one_epoch()

    def run(self, report: Callable[[Epoch], None], asked: threading.Event) -> None:
        """Go through the epochs that are left, saving where training stands.

        Args:
            report: called after every epoch.
            asked: set when Ctrl-C is pressed; after the last epoch, nothing else comes of it here.

        Raises:
            StoppedError: Ctrl-C was pressed; the last epoch was finished and saved.
        """
        with stop_after_epoch(asked):
            for epoch in self.steps():
                report(epoch)
                stopping = asked.is_set()  # looked at once: what is asked for after it waits for the next epoch
                self.progress.keep(self.members.state, now=stopping)
                if stopping and epoch.number < self.epochs:
                    raise StoppedError(
                        f"stopped after epoch {epoch.number} of {self.epochs}; the same command goes on there"
                    )

    def settle(self) -> dict[int, Judgement]:
        """Give every member the weights that it is going to predict with.

        Returns:
            The judgement of each fold, where unlabelled clips were learned from.
        """
        weights, judgements = self.members.finished_weights(), {}
        if self.progress.set_aside:
            before = self._unpack()
            first, then = (self._judged_by(each) for each in (before, weights))
            judgements = judge(self._plan, first, then, self._targets, self._fold)
            weights = [
                new if judgements[member.fold].kept else old
                for member, old, new in zip(self._plan, before, weights, strict=True)
            ]
        self.members.set_weights(weights)
        if self._config.class_balance:
            correct_priors(self.members, self._config, self._plan, self._targets, self._fold)
        return judgements

    def predict_held_out(self) -> NDArray[np.float32]:
        """(K, N, C) the probabilities of each member for its own fold; NaN elsewhere."""
        return self._predict(np.stack([self._fold == member.fold for member in self._plan]))

    def _one_epoch(self) -> Epoch:
        started, done = time.monotonic(), len(self.progress.epochs)
        guesses = self._guess() if done >= self._config.epochs else None
        losses = [np.array(epoch.losses) for epoch in self.progress.epochs]
        rates = step_sizes(self._config, losses, len(self.members))
        found = self.members.train_epoch(self.examples, self.curriculum.lessons(done, guesses), rates)
        epoch = Epoch(
            number=done + 1,
            epochs=self.epochs,
            losses=tuple(found.tolist()),
            rates=tuple(rates.tolist()),
            unlabelled=guesses is not None,
            seconds=time.monotonic() - started,
        )
        self.progress.epochs.append(epoch)
        return epoch

    def _guess(self) -> NDArray[np.float32]:
        """(K, U, C) what each member thinks of the unlabelled clips."""
        labelled, everything = len(self._fold), len(self.examples)
        batches = [places + labelled for places in in_turn(everything - labelled, _PREDICT_CLIPS)]
        asked = np.ones((len(self._plan), everything), bool)
        return self.members.predict(self.examples, batches, asked)[:, labelled:]

    def _predict(self, asked: NDArray[np.bool_]) -> NDArray[np.float32]:
        batches = list(in_turn(len(self._fold), _PREDICT_CLIPS))
        return self.members.predict(self.examples, batches, asked)[:, : len(self._fold)]

    def _judged_by(self, weights: Sequence[Sequence[NDArray[np.float32]]]) -> NDArray[np.float32]:
        self.members.set_weights(weights)
        return self._predict(
            np.stack([self._fold == (-1 if member.inner is None else member.inner) for member in self._plan])
        )

    def _remember(self) -> None:
        """Put the weights aside, as they are before unlabelled clips are learned from."""
        self.progress.set_aside = [each for weights in self.members.finished_weights() for each in weights]

    def _unpack(self) -> list[list[NDArray[np.float32]]]:
        each = len(self.progress.set_aside) // len(self._plan)
        return [self.progress.set_aside[start : start + each] for start in range(0, each * len(self._plan), each)]
