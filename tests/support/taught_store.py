"""Networks of stores made up by `made_store` that know animals by name."""

from collections.abc import Mapping

import numpy as np
from made_store import DIM, made_key

from heads.data.animal_names import ANIMALS
from store import FeatureKey, FeatureStore
from store.format.classifier_file import IMAGENET_ANIMALS, Classifier


def teach(
    store: FeatureStore, shows: Mapping[int, str], key: FeatureKey | None = None, strength: float = 3.0
) -> FeatureStore:
    """The same store, whose network calls a frame in which class number c is shown by the name that `shows` has of c.

    Frames that show no such class it takes for any animal alike, but for noise.
    """
    kernel = np.zeros((DIM - 2, len(ANIMALS)), np.float32)
    for column, name in shows.items():
        kernel[column, ANIMALS.index(name)] = strength
    made = Classifier(classes=IMAGENET_ANIMALS, tap="high", kernel=kernel, bias=np.zeros(len(ANIMALS), np.float32))
    store.add_classifier(key or made_key(), made)
    return store
