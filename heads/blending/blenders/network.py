"""The third place's stacker: a network of two wide layers on every column of every model, bagged ten times.

Source: third place of DrivenData's Pri-matrix Factorization (second level), on logits rather than probabilities. Each
of the ten networks leaves out a tenth of the clips and stops where its loss on these is lowest. All of its chance comes
from seeds of its own: several blenders are fitted at the same time, and would stir one another's. What is kept is plain
numbers: batch normalisation is folded into the weights, and nothing but NumPy is needed to use them. With
`takes_frames` it also sees the order statistics of each model's answers over the frames of a clip.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import losses_of_logits, mean_over_models, to_logits, to_probabilities
from heads.blending.blenders.protocol import FRAMES, FRAMES_TOO, Blender, Stack
from heads.data.frame_statistics import FRAME_STATISTICS, ORDER

_UNITS = 512
_DROPOUT = 0.25
_BAGS = 10
_EPOCHS = 50
_PATIENCE = 8
_BATCH = 512
_SMALLEST_BATCH = 24
_RATE = 1e-3
_BN_EPS = 1e-3

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


class Network(Blender):
    """Two layers of 512 with batch normalisation and dropout; needs TensorFlow to be fitted."""

    cost = "asked"
    needs_keras = True

    def __init__(self, *, takes_frames: bool = False) -> None:
        self.takes_frames = takes_frames
        self.name = "network" + (FRAMES if takes_frames else "")
        self.about = "network of two wide layers of the models' answers" + (FRAMES_TOO if takes_frames else "")
        self.complexity = 8 if takes_frames else 7

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        """Train the bags: each is a list of layers, weights and offsets as float16 in base 64."""
        inputs = self._inputs(stack)
        chance = np.random.default_rng(0).permutation(len(labels)) % _BAGS
        model = _compiled(inputs.shape[1], labels.shape[1])
        start = [each.numpy() for each in model.optimizer.variables]
        bags = []
        for bag in range(_BAGS):
            _start_again(model, start, bag)
            bags.append(_packed(_train(model, inputs, labels, chance == bag, np.random.default_rng(bag))))
        return {"bags": bags}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        """The mean of the bags' probabilities; where no model knows a class, NaN."""
        if not stack.shape[1]:
            return np.empty(stack.shape[1:])
        inputs = self._inputs(stack)
        answers = [to_probabilities(_forward(inputs, _unpacked(bag)).astype(np.float64)) for bag in parameters["bags"]]
        return np.where(np.isnan(mean_over_models(stack)), np.nan, np.mean(answers, axis=0))

    def missing(self) -> str:
        """Why it cannot be used here, one sentence; "" if it can."""
        return "" if find_spec("tensorflow") else "TensorFlow is not installed"

    def _inputs(self, stack: Stack) -> NDArray[np.float32]:
        """(N, K): the logits of each column that a model knows. A histogram is nothing to take logits of."""
        seen = stack[: len(stack) // (1 + len(FRAME_STATISTICS)) * (1 + len(ORDER))] if self.takes_frames else stack
        known = ~np.isnan(seen[:, 0, :])
        return to_logits(seen.transpose(1, 0, 2)[:, known]).astype(np.float32)


def _compiled(width: int, n_classes: int) -> Any:
    """A network that can be trained again and again: what takes time is to compile it."""
    import keras

    model = _build(width, n_classes)
    model.compile(optimizer=keras.optimizers.Adam(_RATE), loss="binary_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model


def _start_again(model: Any, optimiser_start: list[Any], seed: int) -> None:
    """Give the network new weights and dropout, and its optimiser the state that it began with."""
    fresh = _build(model.input_shape[1], model.output_shape[1], seed)
    for variable, other in zip(model.variables, fresh.variables, strict=True):
        variable.assign(other)
    for variable, value in zip(model.optimizer.variables, optimiser_start, strict=True):
        variable.assign(value)


def _train(
    model: Any,
    inputs: NDArray[np.float32],
    labels: NDArray[np.uint8],
    held: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Layers:
    """Train the network without the clips in `held`, and keep it as it was when it did best on them."""
    share = labels[~held].mean(axis=0).clip(1e-4, 1 - 1e-4)
    model.layers[-1].bias.assign(np.log(share / (1 - share)))
    learned, truth = inputs[~held], labels[~held].astype(np.float32)
    best, best_loss, waited = _folded(model), np.inf, 0
    for _ in range(_EPOCHS):
        for batch in _batches(len(learned), rng):
            model.train_on_batch(learned[batch], truth[batch])
        layers = _folded(model)
        loss = float(losses_of_logits(_forward(inputs[held], layers), labels[held]).mean()) if held.any() else -1.0
        waited += 1
        if loss < best_loss or not held.any():
            best, best_loss, waited = layers, loss, 0
        if waited >= _PATIENCE:
            break
    return best


def _build(width: int, n_classes: int, seed: int = 0) -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((width,))
    x = inputs
    for place in range(2):
        own = 2 * seed + place
        x = layers.Dense(_UNITS, kernel_initializer=keras.initializers.GlorotUniform(own))(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=_BN_EPS)(x)
        x = layers.Dropout(_DROPOUT, seed=own)(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(n_classes, activation="sigmoid", kernel_initializer="zeros")(x))


def _batches(count: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Batches of one size, 512 or a tenth of a small table, in random order."""
    n_batches = max(1, round(count / min(_BATCH, max(count // 10, _SMALLEST_BATCH))))
    order = rng.permutation(count)
    yield from order[: count // n_batches * n_batches].reshape(n_batches, -1)


def _folded(model: Any) -> Layers:
    """The layers as weights and offsets, batch normalisation folded in."""
    kernel1, bias1, *norm1, kernel2, bias2 = model.get_weights()[:8]
    norm2, (kernel3, bias3) = model.get_weights()[8:12], model.get_weights()[12:]
    return [_fold(kernel1, bias1, norm1), _fold(kernel2, bias2, norm2), (kernel3, bias3)]


def _fold(kernel: Any, bias: Any, norm: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    gamma, beta, mean, variance = norm
    scale = gamma / np.sqrt(variance + _BN_EPS)
    return kernel * scale, (bias - mean) * scale + beta


def _forward(inputs: NDArray[np.float32], layers: Layers) -> NDArray[np.float32]:
    """The logits, (N, C)."""
    for kernel, bias in layers[:-1]:
        inputs = np.maximum(inputs @ kernel + bias, 0)
    kernel, bias = layers[-1]
    logits: NDArray[np.float32] = inputs @ kernel + bias
    return logits


def _packed(layers: Layers) -> list[dict[str, Any]]:
    return [{"shape": list(kernel.shape), "weights": _text(kernel), "offsets": _text(bias)} for kernel, bias in layers]


def _unpacked(bag: list[dict[str, Any]]) -> Layers:
    return [(_numbers(each["weights"]).reshape(each["shape"]), _numbers(each["offsets"])) for each in bag]


def _text(values: NDArray[np.float32]) -> str:
    return b64encode(values.astype("<f2").tobytes()).decode()


def _numbers(text: str) -> NDArray[np.float32]:
    return np.frombuffer(b64decode(text), "<f2").astype(np.float32)
