"""Trains the members of a head (folds times seeds) together, in one pass over the clips.

A batch is read and cast once. Attention reads the frames once for all members. What follows is small: one product a
member, since a batched product of small matrices is slower, on the rows that the member may see. So a member's step is
what it would be if the member trained alone on its own clips of each batch, and one member takes the same way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from heads.data.features.batches import METADATA, Batch, ClipBatches
from heads.data.features.prefetch import read_ahead
from heads.models.layers import AttentionPooling, attend_together
from heads.models.networks import MASK, OUTPUT, POOLED, Head, HeadShape, build_head, frames_shape, front_inputs
from heads.models.shared_trace import SharedTrace
from heads.recipe import HeadConfig
from heads.recipe.kinds import resolve
from heads.trainers.mixup import Mixup, mix
from heads.trainers.optimizer import DECAY_EVERY, ExponentialMovingAverage, FusedAdamW, FusedNesterov
from heads.trainers.sampler import BatchSpec, ensure_two_clips_each

_SMALLEST = 1e-7


class Stage(Enum):
    """What an epoch of the recipe does: `HEAD` teaches the output layer alone, `FINISH` takes plain steps."""

    HEAD = "head"
    USUAL = "usual"
    FINISH = "finish"


class Batches(Protocol):
    """What gives batches of clips; see `heads.data.features.batches.ClipBatches`."""

    def batch(self, places: NDArray[np.int64], /) -> Batch: ...  # noqa: D102


class Optimiser(Protocol):
    """What goes down the gradient; see `heads.trainers.optimizer`."""

    @property
    def state(self) -> list[Any]: ...  # noqa: D102
    def apply(self, gradients: Sequence[Any], rates: Sequence[Any], /) -> None: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class _Taught:
    """Weights that learn in a stage, which member each belongs to, and by what they do."""

    weights: Sequence[Any]
    owner: Sequence[int]
    optimiser: Optimiser


class FoldEnsemble:
    """K networks of one shape, their optimiser and their compiled steps.

    Args:
        config: architecture and training settings.
        shape: sizes of input and output.
        seeds: (K) of initial weights and dropout.
        weight_decay: as a share of the step size; the recipe's if not given.
        decay_every: every how many steps it is taken.
    """

    def __init__(
        self,
        config: HeadConfig,
        shape: HeadShape,
        seeds: Sequence[int],
        weight_decay: float | None = None,
        decay_every: int = DECAY_EVERY,
    ) -> None:
        self._config = config
        self._shape = shape
        self.heads: list[Head] = []
        for place, seed in enumerate(seeds):
            keras.utils.set_random_seed(seed)
            self.heads.append(build_head(config, shape, f"member{place}"))
        owned = [(place, each) for place, head in enumerate(self.heads) for each in head.model.trainable_variables]
        self._weights = [each.value for _, each in owned]
        decayed = [each.name in ("kernel", "recurrent_kernel", "query") for _, each in owned]
        self.optimiser = FusedAdamW(
            self._weights, decayed, config.weight_decay if weight_decay is None else weight_decay, decay_every
        )
        owner = [place for place, _ in owned]
        self._taught = {Stage.USUAL: _Taught(weights=self._weights, owner=owner, optimiser=self.optimiser)}
        if config.sgd_epochs:
            finisher = FusedNesterov(self._weights)
            self._taught[Stage.FINISH] = _Taught(weights=self._weights, owner=owner, optimiser=finisher)
        if config.head_epochs:
            self._taught[Stage.HEAD] = self._outputs_alone()
        self._average = ExponentialMovingAverage(self._weights, config.averaging)
        self._mixer = Mixup(config.mixup, list(seeds)) if config.mixup else None
        fronts = [head.front for head in self.heads if head.front is not None]
        self._fronts, self._tails = (
            {training: SharedTrace(each, training=training) for training in (True, False)}
            for each in (fronts, [head.tail for head in self.heads])
        )
        self._steps: dict[Stage, Callable[..., Any]] = {}
        self._guess: Callable[..., Any] | None = None

    def __len__(self) -> int:
        """K."""
        return len(self.heads)

    def begin(self) -> None:
        """Take the weights, as they have been prepared, for the start of training."""
        self._average.start()

    def train_epoch(
        self,
        examples: ClipBatches,
        batches: Sequence[BatchSpec],
        rates: NDArray[np.float64],
        *,
        stage: Stage = Stage.USUAL,
        shown: Batches | None = None,
    ) -> NDArray[np.float64]:
        """One step a batch.

        Args:
            examples: the clips.
            batches: what is learned, in order.
            rates: (K,) step sizes.
            stage: what the epoch does.
            shown: what is learned from of the examples, if that is not the clips as they are.

        Returns:
            (K,) the mean loss of each member over the weights that it saw.
        """
        if stage not in self._steps:
            self._steps[stage] = tf.function(  # no control flow depends on a tensor: not looking halves the tracing
                partial(self._learn, stage),
                autograph=False,
                input_signature=[
                    self._signature(examples),
                    tf.TensorSpec((len(self), None), tf.float32),
                    tf.TensorSpec((len(self), None, self._shape.n_classes), tf.float32),
                    tf.TensorSpec((len(self),), tf.float32),
                ],
            )
        if self._config.traits.batch_normalises:
            batches = ensure_two_clips_each(batches)
        seen: Batches = shown or examples
        given_out = read_ahead((seen.batch(places), weights, targets) for places, weights, targets in batches)
        given = tf.constant(rates, tf.float32)
        sums = np.zeros((2, len(self)))
        for inputs, weights, targets in given_out:
            sums += self._steps[stage](inputs, weights, targets, given).numpy()
        return np.asarray(sums[0] / np.maximum(sums[1], _SMALLEST))

    def predict(
        self, examples: ClipBatches, batches: Sequence[NDArray[np.int64]], asked: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """The members' probabilities, by the running average of their weights where there is one.

        Args:
            examples: the clips.
            batches: places of clips, some at a time.
            asked: (K, N) which member predicts which clip.

        Returns:
            (K, N, C), NaN where a member was not asked.
        """
        out = np.full((len(self), len(examples), self._shape.n_classes), np.nan, np.float32)
        if self._guess is None:
            self._guess = tf.function(
                lambda inputs, weights: self._outputs(inputs, _rows(weights), training=False),
                autograph=False,
                input_signature=[self._signature(examples), tf.TensorSpec((len(self), None), tf.float32)],
            )
        wanted = read_ahead((examples.batch(places), asked[:, places].astype(np.float32)) for places in batches)
        self._average.swap()
        try:
            for places, (inputs, weights) in zip(batches, wanted, strict=True):
                for member, given in enumerate(self._guess(inputs, weights)):
                    out[member, places[asked[member, places]]] = given.numpy()
        finally:
            self._average.swap()
        return out

    def finished_weights(self) -> list[list[NDArray[Any]]]:
        """The weights of each member's model, averaged where there is a running average."""
        self._average.swap()
        weights = [head.model.get_weights() for head in self.heads]
        self._average.swap()
        return weights

    def set_weights(self, weights: Sequence[Sequence[NDArray[Any]]]) -> None:
        """Give each member's model these weights; a running average starts from them."""
        for head, own in zip(self.heads, weights, strict=True):
            head.model.set_weights(own)
        self._average.start()

    @property
    def state(self) -> list[Any]:
        """Everything that the next step depends on, as TensorFlow variables."""
        models = [each.value for head in self.heads for each in head.model.variables]
        others = [self._taught[stage].optimiser for stage in (Stage.FINISH, Stage.HEAD) if stage in self._taught]
        further = [each for other in others for each in other.state]
        return [*models, *self.optimiser.state, *further, *self._average.state]

    def _signature(self, examples: ClipBatches) -> dict[str, Any]:
        dim = self._shape.dim
        signature: dict[str, Any] = {
            name: tf.TensorSpec((None, values.shape[1]), tf.float32) for name, values in examples.statistics.items()
        }
        if examples.sees_frames:
            frames = frames_shape(self._config, dim)
            signature["features"] = tf.TensorSpec((None, *frames), tf.as_dtype(examples.reader.dtype))
            signature["mask"] = tf.TensorSpec((None, frames[0]), tf.bool)
        if self._shape.n_metadata:
            signature[METADATA] = tf.TensorSpec((len(self), None, self._shape.n_metadata), tf.float32)
        return signature

    def _outputs_alone(self) -> _Taught:
        """The output layers, which a stage of their own teaches."""
        own = [(place, each) for place, head in enumerate(self.heads) for each in head.tail.get_layer(OUTPUT).weights]
        weights = [each.value for _, each in own]
        optimiser = FusedAdamW(weights, [False] * len(own), 0.0)
        return _Taught(weights=weights, owner=[place for place, _ in own], optimiser=optimiser)

    def _learn(self, stage: Stage, inputs: Any, weights: Any, targets: Any, rates: Any) -> Any:
        """One step down the gradient; gives (2, K): the weighted sum of each member's losses, and of its weights."""
        rows = _rows(weights)
        pairs = self._pairs(rows)
        taught = self._taught[stage]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(taught.weights)
            outputs = self._outputs(inputs, rows, pairs, training=True, alike=stage is Stage.HEAD)
            means, sums = [], []
            for member, (given, own) in enumerate(zip(outputs, rows, strict=True)):
                weight, wanted = tf.gather(weights[member], own), tf.gather(targets[member], own)
                if pairs:
                    wanted = mix(wanted, *pairs[member])
                loss = _cross_entropy(wanted, given)
                total = tf.reduce_sum(weight)
                summed = tf.reduce_sum(loss * weight)
                means.append(summed / tf.maximum(total, _SMALLEST))
                sums.append((summed, total))
            everything = tf.add_n(means)
        steps = tf.unstack(rates)
        taught.optimiser.apply(tape.gradient(everything, taught.weights), [steps[owner] for owner in taught.owner])
        self._average.follow()
        return tf.transpose(tf.stack(sums))

    def _pairs(self, rows: Sequence[Any]) -> list[tuple[Any, Any]]:
        """How each member's clips are mixed at this step; nothing if they are not."""
        if self._mixer is None:
            return []
        step = self.optimiser.steps
        return [self._mixer.draw(member, step, tf.shape(own)[0]) for member, own in enumerate(rows)]

    def _outputs(
        self,
        inputs: Any,
        rows: Sequence[Any],
        pairs: Sequence[tuple[Any, Any]] = (),
        *,
        training: bool,
        alike: bool = False,
    ) -> list[Any]:
        """Each member's probabilities of its own rows of the batch; `alike` if their fronts are the same so far."""
        if self._config.sees_frames:  # TensorFlow casts several times faster than numpy
            inputs = {**inputs, "features": tf.cast(inputs["features"], tf.float32)}
        pooled = self._pool(inputs, rows, training=training, alike=alike)
        outputs = []
        for member, own in enumerate(rows):
            given: dict[str, Any] = {name: tf.gather(inputs[name], own) for name in self._config.tail_inputs}
            if METADATA in inputs:
                given[METADATA] = tf.gather(inputs[METADATA][member], own)
            if pooled:
                given[POOLED] = pooled[member]
            if self._config.traits.frame_by_frame:
                given[MASK] = tf.gather(inputs[MASK], own)
            if pairs:
                given = {name: mix(each, *pairs[member]) for name, each in given.items()}
            outputs.append(self._tails[training](member, given))
        return outputs

    def _pool(self, inputs: Any, rows: Sequence[Any], *, training: bool, alike: bool) -> list[Any]:
        """What each member's front makes of its own rows of the batch; nothing without a front."""
        fronts = [head.front for head in self.heads if head.front is not None]
        if self._config.traits.together:
            found: list[Any] = resolve(self._config.traits.together)(fronts, inputs, rows, alike=alike)
            return found
        names = front_inputs(self._config)
        if not all(isinstance(front, AttentionPooling) for front in fronts):
            return [
                self._fronts[training](member, [tf.gather(inputs[name], own) for name in names])
                for member, own in enumerate(rows)
            ]
        if not fronts:
            return []
        means = attend_together(fronts, inputs["features"], inputs["mask"])
        rest = [inputs[name] for name in names[1:]]
        return [
            front.finish(tf.gather(mean, own), *[tf.gather(each, own) for each in rest])
            for front, mean, own in zip(fronts, means, rows, strict=True)
        ]


def _rows(weights: Any) -> list[Any]:
    """The rows of the batch that each member may see."""
    return [tf.where(each > 0)[:, 0] for each in tf.unstack(weights)]


def _cross_entropy(targets: Any, probabilities: Any) -> Any:
    """(B,) the binary cross-entropy of each clip, mean over classes."""
    given = tf.clip_by_value(probabilities, _SMALLEST, 1.0 - _SMALLEST)
    return -tf.reduce_mean(targets * tf.math.log(given) + (1.0 - targets) * tf.math.log(1.0 - given), axis=1)
