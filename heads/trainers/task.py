"""What a trainer is given and what it gives: the same for every kind of head."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from heads.data.features.batches import ClipBatches
from heads.data.history import Epoch
from heads.recipe import HeadConfig
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.members import FoldMember
from heads.trainers.pseudo_labels import PseudoLabelDecision


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadTask:
    """A head to be trained over all folds.

    Attributes:
        config: architecture and training settings.
        plan: (K) its members, and what each may see.
        examples: labelled clips first, unlabelled ones behind them.
        targets: (N, C) float32 of the labelled clips.
        fold: (N,) their folds.
        weights: (N,) how many clips each labelled one stands for, where some kinds were chosen more often than others;
            one each if None.
        shunned: (U,) of each unlabelled clip the fold whose members must not learn from it either, -1 for none.
        told: (K, U, C) what each member is told that the unlabelled clips show, NaN where it is told nothing; if None,
            each goes by its own guesses.
        meant: (C) the animals that each class means, by number, where the backbone itself is asked; none otherwise.
        seed: of the order of clips.
    """

    config: HeadConfig
    plan: Sequence[FoldMember]
    examples: ClipBatches
    targets: NDArray[np.float32]
    fold: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None
    shunned: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    told: NDArray[np.float32] | None = None
    meant: Sequence[tuple[int, ...]] = ()
    seed: int = 0

    @property
    def n_folds(self) -> int:
        """K without seeds: how many folds there are."""
        return int(self.fold.max()) + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedMembers:
    """What training gives.

    Attributes:
        models: (K) the members' networks, in the plan's order.
        probabilities: (K, N, C) of each member for its own fold; NaN elsewhere.
        epochs: how training went.
        judgements: of each fold, whether what was learned from unlabelled clips was kept; empty where there were none.
    """

    models: Sequence[keras.Model]
    probabilities: NDArray[np.float32]
    epochs: Sequence[Epoch]
    judgements: Mapping[int, PseudoLabelDecision] = field(default_factory=dict)


class Train(Protocol):
    """How a kind of head is trained over all folds."""

    def __call__(
        self,
        task: HeadTask,
        checkpoint: Checkpoint,
        on_epoch: Callable[[Epoch], None],
        stopping: threading.Event,
    ) -> TrainedMembers:
        """Train the members of `task`; whatever is fitted for a member has seen the clips that it learns from only.

        Args:
            task: what is trained, on what.
            checkpoint: where training is saved after epochs, and goes on from.
            on_epoch: called after every epoch.
            stopping: set when Ctrl-C is pressed.

        Raises:
            StoppedError: Ctrl-C was pressed; the last epoch was finished and saved.
        """
