"""A network with weights, of which the last layers are tuned: it looks at single frames, and a clip is their mean.

Source: first place of DrivenData's Pri-matrix Factorization (single_frame_cnn.py); `docs/recipes.md` says what differs.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from heads.errors import RecipeError
from heads.models.networks import FRONT, POOLED, HeadShape
from heads.models.pixel_layers import EachFrame, OfClips
from heads.models.trusted import require_plain_model
from heads.recipe import HeadConfig
from store.models import KERAS_SUFFIX, whole_network_path

_FROZEN, _TUNED = "frozen", "tuned"
_TUNED_SHARE = 1 / 3  # of the layers with weights, the last ones, where no layer is named
_MAP = 4  # dimensions of maps (B, H, W, C)


def finetuned_front(config: HeadConfig, _dim: int) -> Any:
    """The network of the recipe, over each frame alone: (B, T, P) from pictures (B, T, H, W, 3) and mask (B, T).

    It is cut in two: `frozen` never learns, `tuned` does.

    Raises:
        RecipeError: there is no such network, it has no such layer, or takes other pictures than `clip_px` says.
        RunError: its file holds what no head may consist of.
    """
    px = config.clip_px
    pixels = keras.Input((None, px, px, 3), name="features")
    mask = keras.Input((None,), dtype="bool", name="mask")
    frozen, tuned = split(load_network(config), config)
    x = tuned(frozen(EachFrame(name="each_frame")(pixels)))
    if len(x.shape) == _MAP:
        x = layers.GlobalAveragePooling2D(name="over_space")(x)
    return keras.Model([pixels, mask], OfClips(name="of_clips")(x, mask), name=FRONT)


def finetuned_tail(_config: HeadConfig, inputs: dict[str, Any], _shape: HeadShape) -> Any:
    """What the network ends in, as it is: the output layer stands on each frame."""
    return inputs[POOLED]


def look_together(fronts: Sequence[Any], inputs: dict[str, Any], rows: Sequence[Any], *, alike: bool) -> list[Any]:
    """What the fronts of all members make of their own rows of a batch, (B', T, P) each.

    The frozen layers, which are the same in all of them, are gone through once. Batch normalisation runs on the moments
    that come with the network, in training too, since batches are small; and nothing is dropped.

    Args:
        fronts: (K) of `finetuned_front`.
        inputs: `features` (B, T, H, W, 3) and `mask` (B, T).
        rows: (K) which clips each member sees.
        alike: whether nothing has been tuned so far, so that the others' `tuned` are the first one's too.
    """
    mask = inputs["mask"]
    frames = tf.shape(mask)[1]
    first = fronts[0]
    maps = first.get_layer(_FROZEN)(first.get_layer("each_frame")(inputs["features"]), training=False)
    if alike:
        found = _finish(first, maps, mask)
        return [tf.gather(found, own) for own in rows]

    def of_member(front: Any, own: Any) -> Any:
        places = tf.reshape(own[:, None] * tf.cast(frames, own.dtype) + tf.range(frames, dtype=own.dtype), [-1])
        own_maps = tf.nest.map_structure(lambda each: tf.gather(each, places), maps)
        return _finish(front, own_maps, tf.gather(mask, own))

    def nothing(front: Any) -> Any:
        return tf.zeros((0, frames, front.output.shape[-1]))

    return [  # convolutions do not take an empty batch
        tf.cond(
            tf.size(own) > 0, lambda front=front, own=own: of_member(front, own), lambda front=front: nothing(front)
        )
        for front, own in zip(fronts, rows, strict=True)
    ]


def _finish(front: Any, maps: Any, mask: Any) -> Any:
    """(B, T, P) from what the frozen layers made of the frames of clips."""
    found = front.get_layer(_TUNED)(maps, training=False)
    if len(found.shape) == _MAP:
        found = front.get_layer("over_space")(found)
    return front.get_layer("of_clips")(found, mask)


def network_file(name: str) -> Path:
    """The file of a network that a recipe names: a `.keras` file, or what `featurize weights NAME` has made.

    Raises:
        RecipeError: there is none.
    """
    if name.endswith(KERAS_SUFFIX):
        path, remedy = Path(name), "name a file that is there"
    else:
        path = whole_network_path(name)
        remedy = f"make it by `featurize weights {name}`, or name a {KERAS_SUFFIX} file"
    if not path.is_file():
        raise RecipeError(f"network: there is no {path}, which is to be tuned; {remedy}")
    return path


def load_network(config: HeadConfig) -> keras.Model:
    """The network that a recipe names, with its weights.

    Raises:
        RecipeError: there is no such network, or it takes something other than pictures of `clip_px`.
        RunError: its file holds what no head may consist of.
    """
    path = network_file(config.network)
    remedy = f"heads take a functional model of Keras' usual layers only; save such a network in {path.name}"
    require_plain_model(path.read_bytes(), str(path), remedy)
    network = keras.models.load_model(path, compile=False)
    shape, px = network.input_shape, config.clip_px
    if (
        not isinstance(shape, tuple)
        or len(shape) != _MAP
        or any(side not in (None, wanted) for side, wanted in zip(shape[1:], (px, px, 3), strict=True))
    ):
        raise RecipeError(
            f"network: {path} takes {shape}, expected pictures (B, {px}, {px}, 3); say its size as `clip_px`, or name "
            "another network"
        )
    return network


def split(network: keras.Model, config: HeadConfig) -> tuple[keras.Model, keras.Model]:
    """The layers that stay as they are and those that are tuned, as two models that follow each other.

    Raises:
        RecipeError: the network has no layer of the name that the recipe gives, or cannot be cut there.
    """
    steps = network.operations
    start = _start(network, config)
    later = {id(step) for step in steps[start:]}
    between: dict[int, Any] = {}
    for step in steps[start:]:
        for tensor in tf.nest.flatten(keras.Operation.input.fget(step)):  # of its call, where it is a model itself
            if id(tensor._keras_history.operation) not in later:
                between[id(tensor)] = tensor
    ends = list(between.values())
    try:
        frozen = keras.Model(network.inputs[0], ends if len(ends) > 1 else ends[0], name=_FROZEN)
        tuned = keras.Model(ends if len(ends) > 1 else ends[0], network.outputs[0], name=_TUNED)
    except ValueError as error:
        raise RecipeError(
            f"unfreeze_from: {config.network} cannot be cut before {steps[start].name}; name another layer"
        ) from error
    frozen.trainable, tuned.trainable = False, True
    return frozen, tuned


def _start(network: keras.Model, config: HeadConfig) -> int:
    """The place of the first layer that is tuned, in the order in which the network goes through its layers."""
    names = [step.name for step in network.operations]
    if not config.unfreeze_from:
        weighty = [place for place, step in enumerate(network.operations) if step.weights]
        return weighty[-max(1, round(len(weighty) * _TUNED_SHARE))]
    if config.unfreeze_from not in names[1:]:
        near = difflib.get_close_matches(config.unfreeze_from, names[1:], n=3) or names[-3:]
        raise RecipeError(
            f"unfreeze_from: {config.network} has no layer '{config.unfreeze_from}', expected something like "
            f"{', '.join(near)}"
        )
    return names.index(config.unfreeze_from)
