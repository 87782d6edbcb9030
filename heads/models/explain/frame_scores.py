"""What heads say of single frames.

A head is asked about a frame as if its clip were that one frame before the clip's own background: what the head takes
as a maximum over frames is this frame's part of it, so that the clip's is the largest of its frames'; what it takes as
a mean is the frame itself; and what describes the background stays that of the clip.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from heads.data.features.animals import ANIMALS_INPUT, frame_animals
from heads.data.features.batches import METADATA, ClipBatches, in_turn
from heads.data.features.prefetch import read_ahead
from heads.data.features.statistics import statistics_of
from heads.data.frame_statistics import FRAME_STATISTICS, spread_over_frames
from heads.models.shared_trace import SharedTrace

_CLIPS_AT_ONCE = 16
_SMALLEST = 1e-6


def frame_statistic(frames: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """A statistic of `heads.data.features.statistics` for each frame of a clip by itself, (T, D) from (T, D).

    `change`, `deviation` and `direction` of the clip are the largest of its frames'; the direction of a frame is as
    long as its part of the clip's, so that a frame in which nothing is stays short.
    """
    if name in ("background", "spread"):
        return np.broadcast_to(statistics_of(frames, (name,))[name], frames.shape)
    if name == "change":
        return np.asarray(frames - frames.min(axis=0))
    if name not in ("deviation", "direction"):
        return frames
    risen: NDArray[np.float32] = np.maximum(frames - statistics_of(frames, ("background",))["background"], 0.0)
    if name == "direction":
        risen /= np.sqrt(np.mean(risen.max(axis=0) ** 2) + _SMALLEST)
    return risen


def frame_probabilities(
    models: Sequence[tuple[int, keras.Model]], examples: ClipBatches, places: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """What some models of a head say of the frames of each clip in turn, (K, T, C) each.

    Args:
        models: (K) models, each with the row of the examples' metadata that is scaled for it.
        examples: the clips.
        places: which of them; each must have a frame.
    """
    predict = None
    some = (places[each] for each in in_turn(len(places), min(_CLIPS_AT_ONCE, examples.at_once)))
    for inputs, lengths in read_ahead(_frames_as_clips(examples, each) for each in some):
        predict = predict or _any_number_of_frames(models, inputs)
        found = predict(inputs).numpy()
        yield from np.split(found, np.cumsum(lengths)[:-1], axis=1)


def frame_spread(
    models: Sequence[tuple[int, keras.Model]],
    examples: ClipBatches,
    places: NDArray[np.int64],
    seen: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """`FRAME_STATISTICS` over the frames of each clip, (K, S, N, C), from what `frame_probabilities` takes.

    `seen` is called after every clip.
    """
    found = np.zeros((len(models), len(FRAME_STATISTICS), len(places), models[0][1].output_shape[-1]), np.float32)
    for number, clip in enumerate(frame_probabilities(models, examples, places)):
        found[:, :, number] = [spread_over_frames(own) for own in clip]
        seen()
    return found


def _frames_as_clips(examples: ClipBatches, places: NDArray[np.int64]) -> tuple[dict[str, NDArray[Any]], list[int]]:
    """The frames of some clips, each as a clip of its own, and how many each clip has.

    `metadata` is (K, F, M) for F frames, as in the examples.
    """
    features, mask = examples.reader.batch(examples.rows[places])
    lengths = mask.sum(axis=1).tolist()
    wide = tf.cast(features, tf.float32).numpy()  # numpy takes several times as long
    clips = [frames[:length] for frames, length in zip(wide, lengths, strict=True)]
    inputs: dict[str, NDArray[Any]] = {
        name: np.concatenate([frame_statistic(frames, name) for frames in clips])
        for name in examples.statistics
        if name != ANIMALS_INPUT
    }
    if ANIMALS_INPUT in examples.statistics:
        inputs[ANIMALS_INPUT] = np.concatenate([frame_animals(frames, examples.reader) for frames in clips])
    if examples.sees_frames:
        inputs["features"] = np.concatenate(clips)[:, None]
        inputs["mask"] = np.ones((sum(lengths), 1), bool)
    if examples.metadata.shape[2]:
        inputs[METADATA] = np.repeat(examples.metadata[:, places], lengths, axis=1)
    return inputs, lengths


def _any_number_of_frames(models: Sequence[tuple[int, keras.Model]], inputs: dict[str, NDArray[Any]]) -> Any:
    """`_predict`, traced once for inputs like these: clips have different numbers of frames."""
    signature = {}
    for name, each in inputs.items():
        shape = [*each.shape]
        shape[1 if name == METADATA else 0] = None
        signature[name] = tf.TensorSpec(shape, each.dtype)
    trace = SharedTrace([model for _, model in models], training=False)
    folds = [fold for fold, _ in models]
    return tf.function(lambda given: _predict(trace, folds, given), autograph=False, input_signature=[signature])


def _predict(trace: SharedTrace, folds: Sequence[int], inputs: dict[str, Any]) -> Any:
    outputs = []
    for number, fold in enumerate(folds):
        own = {name: each[fold] if name == METADATA else each for name, each in inputs.items()}
        outputs.append(trace(number, own))
    return tf.stack(outputs)
