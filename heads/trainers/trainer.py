"""The training of a head: epochs on labelled clips, then on unlabelled ones too, then the verdict on those."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from heads.data.features.animals import ANIMALS_INPUT
from heads.data.features.batches import in_turn
from heads.data.features.drawn import DrawnFrames
from heads.data.history import Epoch
from heads.errors import StoppedError
from heads.models.networks import HeadShape
from heads.trainers.checkpoint import Checkpoint, stop_after_epoch
from heads.trainers.ensemble import Batches, FoldEnsemble, Stage
from heads.trainers.initialise import adjust_for_prior_shift, initialise
from heads.trainers.optimizer import DECAY_EVERY
from heads.trainers.pseudo_labels import PseudoLabelDecision, decide
from heads.trainers.sampler import BatchSampler
from heads.trainers.schedule import decay_every, decay_share, learning_rates, scale_dropout, scale_length
from heads.trainers.task import HeadTask, TrainedMembers

_FRAMES = 1  # sets the drawing of frames apart from that of clips


def train_by_gradient(
    task: HeadTask, checkpoint: Checkpoint, on_epoch: Callable[[Epoch], None], stopping: threading.Event
) -> TrainedMembers:
    """Train all members of a head together, epoch by epoch; see `heads.trainers.task.Train`.

    The number of epochs is fixed and the step size follows the training loss, so that the scored fold decides nothing.
    """
    trainer = Trainer(task, checkpoint)
    trainer.run(on_epoch, stopping)
    judgements = trainer.finalise()
    return TrainedMembers(
        models=[head.model for head in trainer.members.heads],
        probabilities=trainer.predict_held_out(),
        epochs=trainer.checkpoint.epochs,
        judgements=judgements,
    )


class Trainer:
    """The members of a head on their way through the recipe's epochs.

    Args:
        task: what is trained, on what.
        checkpoint: where training stands; it goes on from there.
    """

    def __init__(self, task: HeadTask, checkpoint: Checkpoint) -> None:
        examples = task.examples
        shape = HeadShape(
            dim=examples.reader.dim,
            n_metadata=examples.metadata.shape[2],
            n_classes=task.targets.shape[1],
            taps=examples.reader.tap_widths,
            n_animals=examples.statistics[ANIMALS_INPUT].shape[1] if task.config.named else 0,
        )
        seen, also = (
            np.stack([member.learns_from(each) for member in task.plan]).astype(np.float32)
            for each in (task.fold, task.shunned)
        )
        learned = int(seen.sum(axis=1).max())
        if task.told is not None:
            also *= ~np.isnan(task.told).any(axis=2)
        config = scale_length(task.config, learned)
        self.task = task = replace(task, config=config)
        seeds = [member.seed for member in task.plan]
        self.members = FoldEnsemble(
            scale_dropout(config, learned),
            shape,
            seeds,
            decay_share(config, learned),
            decay_every(config, learned, DECAY_EVERY),
        )
        initialise(self.members, task)
        self.sampler = BatchSampler(
            config=config,
            targets=task.targets,
            fold=task.fold,
            seen=seen,
            seen_unlabelled=also,
            seed=task.seed,
            weights=task.weights,
        )
        self.checkpoint = checkpoint
        self.checkpoint.restore(self.members.state)

    @property
    def epochs(self) -> int:
        """How many epochs there are, with those on unlabelled clips."""
        unlabelled = len(self.task.examples) > len(self.task.fold)
        return self.task.config.epochs + (self.task.config.pseudo_epochs if unlabelled else 0)

    def steps(self) -> Iterator[Epoch]:
        """Go through the epochs that are left, one at a time."""
        while len(self.checkpoint.epochs) < self.epochs:
            if len(self.checkpoint.epochs) == self.task.config.epochs:
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
                self.checkpoint.save(self.members.state, now=stopping)
                if stopping and epoch.number < self.epochs:
                    raise StoppedError(
                        f"stopped after epoch {epoch.number} of {self.epochs}; the same command goes on there"
                    )

    def finalise(self) -> dict[int, PseudoLabelDecision]:
        """Give every member the weights that it is going to predict with.

        Returns:
            The judgement of each fold, where unlabelled clips were learned from.
        """
        weights, judgements = self.members.finished_weights(), {}
        if self.checkpoint.weights_before_pseudo:
            before = self._unpack()
            first, then = (self._judged_by(each) for each in (before, weights))
            judgements = decide(self.task.plan, first, then, self.task.targets, self.task.fold)
            weights = [
                new if judgements[member.fold].kept else old
                for member, old, new in zip(self.task.plan, before, weights, strict=True)
            ]
        self.members.set_weights(weights)
        if self.task.config.class_balance:
            adjust_for_prior_shift(self.members, self.task)
        return judgements

    def predict_held_out(self) -> NDArray[np.float32]:
        """(K, N, C) the probabilities of each member for its own fold; NaN elsewhere."""
        return self._predict(np.stack([self.task.fold == member.fold for member in self.task.plan]))

    def _one_epoch(self) -> Epoch:
        started, done = time.monotonic(), len(self.checkpoint.epochs)
        guesses = self._guess() if done >= self.task.config.epochs else None
        losses = [np.array(epoch.losses) for epoch in self.checkpoint.epochs]
        rates = learning_rates(self.task.config, losses, len(self.members))
        batches = self.sampler.batches(done, guesses)
        shown = self._shown(done)
        found = self.members.train_epoch(self.task.examples, batches, rates, stage=self._stage(done), shown=shown)
        epoch = Epoch(
            number=done + 1,
            epochs=self.epochs,
            losses=tuple(found.tolist()),
            rates=tuple(rates.tolist()),
            unlabelled=guesses is not None,
            seconds=time.monotonic() - started,
        )
        self.checkpoint.epochs.append(epoch)
        return epoch

    def _stage(self, done: int) -> Stage:
        config = self.task.config
        if done < config.head_epochs:
            return Stage.HEAD
        return Stage.FINISH if config.epochs - config.sgd_epochs <= done < config.epochs else Stage.USUAL

    def _shown(self, done: int) -> Batches:
        """What is shown of the clips in the epoch behind so many: whole clips, or frames that are drawn of them."""
        if not self.task.config.traits.frame_by_frame:
            return self.task.examples
        return DrawnFrames(examples=self.task.examples, rng=np.random.default_rng([self.task.seed, done, _FRAMES]))

    def _guess(self) -> NDArray[np.float32]:
        """(K, U, C) what each member thinks of the unlabelled clips, or is told of them."""
        if self.task.told is not None:
            return np.nan_to_num(self.task.told)  # what a member is not told, it does not learn from
        labelled, everything = len(self.task.fold), len(self.task.examples)
        batches = [places + labelled for places in in_turn(everything - labelled, self.task.examples.at_once)]
        asked = np.ones((len(self.task.plan), everything), bool)
        return self.members.predict(self.task.examples, batches, asked)[:, labelled:]

    def _predict(self, asked: NDArray[np.bool_]) -> NDArray[np.float32]:
        batches = list(in_turn(len(self.task.fold), self.task.examples.at_once))
        return self.members.predict(self.task.examples, batches, asked)[:, : len(self.task.fold)]

    def _judged_by(self, weights: Sequence[Sequence[NDArray[np.float32]]]) -> NDArray[np.float32]:
        self.members.set_weights(weights)
        return self._predict(
            np.stack([self.task.fold == (-1 if member.inner is None else member.inner) for member in self.task.plan])
        )

    def _remember(self) -> None:
        """Put the weights aside, as they are before unlabelled clips are learned from."""
        self.checkpoint.weights_before_pseudo = [
            each for weights in self.members.finished_weights() for each in weights
        ]

    def _unpack(self) -> list[list[NDArray[np.float32]]]:
        each = len(self.checkpoint.weights_before_pseudo) // len(self.task.plan)
        return [
            self.checkpoint.weights_before_pseudo[start : start + each]
            for start in range(0, each * len(self.task.plan), each)
        ]
