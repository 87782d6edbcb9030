"""What a network itself takes clips for, from the features that are kept and its own last layer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.data.features.readers import Reader
from heads.errors import PredictError
from store import FeatureReader
from store.format.classifier_file import IMAGENET_ANIMALS

ANIMALS_INPUT = "animals"


def knows_animals(reader: Reader) -> bool:
    """Whether the last layer of the network whose features `reader` reads is kept, and has animals for classes."""
    kept = reader.classifier if isinstance(reader, FeatureReader) else None
    return kept is not None and kept.classes == IMAGENET_ANIMALS


def count_animals(reader: Reader) -> int:
    """K, how many animals the network of `reader` knows.

    Raises:
        PredictError: its last layer is not kept.
    """
    return len(_last_layer(reader)[2])


def frame_animals(frames: NDArray[Any], reader: Reader) -> NDArray[np.float32]:
    """(T, K) the logarithm of the probability of each animal in each frame (T, D), among the animals.

    Raises:
        PredictError: the last layer of the network is not kept.
    """
    columns, kernel, bias = _last_layer(reader)
    scores = frames[:, columns].astype(np.float32) @ kernel + bias
    scores -= scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), np.float32)


def clip_animals(frames: NDArray[Any], reader: Reader) -> NDArray[np.float32]:
    """(K,) the same of a clip of frames (T, D), T at least 1: by the root of the probability's mean square over its
    frames, so that those in which an animal is seen best count most.
    """
    each = 2 * frame_animals(frames, reader)
    most = each.max(axis=0)
    return np.asarray((most + np.log(np.exp(each - most).mean(axis=0))) / 2, np.float32)


def _last_layer(reader: Reader) -> tuple[slice, NDArray[np.float32], NDArray[np.float32]]:
    if not isinstance(reader, FeatureReader) or not knows_animals(reader) or reader.classifier is None:
        raise PredictError(
            f"{' and '.join(reader.key_folders)}: it is not kept beside these features what the network itself calls "
            "animals; run the `featurize` command that made them once more, which computes nothing again"
        )
    kept = reader.classifier
    columns = next(tap for tap in reader.key.tap_columns if tap.name == kept.tap)
    return slice(columns.start, columns.stop), kept.kernel, kept.bias
