"""Trained heads, as they were saved, at work on clips."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from heads.errors import PredictError
from heads.features.batches import METADATA, Examples, in_turn
from heads.features.metadata import MetadataTransform
from heads.features.prefetch import read_ahead
from heads.features.readers import JoinedReader, Reader
from heads.features.statistics_cache import clip_statistics
from heads.recipe import HeadConfig
from heads.run import RunDirectory
from store import FeatureKey, FeatureStore
from store.config import parse_settings
from store.errors import StoreNotFoundError

_CLIPS_AT_ONCE = 64


def predict_models(models: Sequence[keras.Model], examples: Examples) -> NDArray[np.float64]:
    """The probabilities (K, N, C) that each of some models gives the examples; clips are read once for all.

    Args:
        models: (K) models that take the same inputs, each with its own row of the examples' metadata.
        examples: the clips.
    """
    places = list(in_turn(len(examples), _CLIPS_AT_ONCE))
    predict = tf.function(lambda inputs: _predict(models, inputs), reduce_retracing=True)
    parts = [predict(inputs).numpy() for inputs in read_ahead(examples.batch(some) for some in places)]
    nothing = np.zeros((len(models), 0, models[0].output_shape[-1]))
    return np.concatenate([nothing, *parts], axis=1).astype(np.float64)


def _predict(models: Sequence[keras.Model], inputs: dict[str, Any]) -> Any:
    if "features" in inputs:
        inputs = {**inputs, "features": tf.cast(inputs["features"], tf.float32)}
    outputs = []
    for number, model in enumerate(models):
        own = {name: each[number] if name == METADATA else each for name, each in inputs.items()}
        outputs.append(model(own, training=False))
    return tf.stack(outputs)


def head_reader(store: FeatureStore, name: str, facts: Mapping[str, Any]) -> Reader:
    """The reader of exactly the features that a head was trained on.

    Raises:
        PredictError: the store has not got them.
    """
    readers = []
    for key in (FeatureKey.from_json(source) for source in facts["sources"]):
        try:
            readers.append(store.reader(key))
        except StoreNotFoundError as error:
            raise PredictError(
                f"{store.root}: head {name} reads features {key.folder}, which are not there; run featurize with "
                f"--backbone {key.backbone} and the sampling {dict(key.sampling)}"
            ) from error
    return readers[0] if len(readers) == 1 else JoinedReader(readers)


def see_new_clips(
    run: RunDirectory, name: str, facts: Mapping[str, Any], reader: Reader, table: pd.DataFrame
) -> Examples:
    """What a trained head sees of the clips in `table`, rows of the clip table."""
    config = parse_settings(facts["settings"], HeadConfig, str(run.head_path(name)))
    transforms = [parse_settings(each, MetadataTransform, str(run.head_path(name))) for each in facts["metadata"]]
    rows = reader.index_of(table.index)
    return Examples(
        reader=reader,
        rows=rows,
        statistics=clip_statistics(reader, rows, config.inputs),
        metadata=np.stack([transform.apply(table) for transform in transforms]),
        sees_frames=config.sees_frames,
    )
