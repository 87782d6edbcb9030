"""A head as a run holds it: its settings, the features that it reads, and its models, loaded when they are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import heads.models.layers
import heads.models.pixel_layers
import heads.models.sound_layers  # noqa: F401  saved models are made of them, and Keras knows them once they are imported
from heads.data.features.batches import METADATA, ClipBatches, in_turn
from heads.data.features.metadata import MetadataTransform
from heads.data.features.prefetch import read_ahead
from heads.data.features.readers import Reader
from heads.data.features.statistics_cache import cached_statistics
from heads.errors import PredictError
from heads.models.known_clips import known_clips
from heads.models.missing_features import featurize_command
from heads.models.reading import reader_for
from heads.models.shared_trace import SharedTrace
from heads.recipe import HeadConfig
from heads.run import RunDirectory
from store import FeatureStore
from store.config import parse_settings
from store.key import FeatureKey


class TrainedHead:
    """A trained head of a run, at work on a store's clips.

    Attributes:
        name: what it is called in the run.
        config: its settings.
        classes: (C) that it tells apart.
        prior: (K, C) the share of each class among the training clips of each fold's model.
        n_folds: K.
    """

    def __init__(self, run: RunDirectory, store: FeatureStore, name: str) -> None:
        """Read what the run says of the head; nothing is loaded yet.

        Raises:
            RunError: the run has no such head.
            ConfigError: its settings are not of this version.
        """
        self.name, self._run, self._store = name, run, store
        self._facts: Mapping[str, Any] = run.read_head(name)
        self.config = head_settings(run, name, self._facts)
        self.classes = tuple(self._facts["classes"])
        self.prior = np.array(self._facts["prior"], np.float64)
        self.n_folds = len(self._facts["metadata"])
        self._models: dict[int, keras.Model] = {}

    @property
    def keys(self) -> tuple[FeatureKey, ...]:
        """The features that the head was trained on."""
        return tuple(FeatureKey.from_json(source) for source in self._facts["sources"])

    @cached_property
    def reader(self) -> Reader:
        """The reader of exactly the features that the head was trained on.

        Raises:
            PredictError: the store has not got them.
        """
        require_features([self], self._store, self._run)
        return reader_for(self.config, [self._store.reader(key) for key in self.keys])

    def examples(self, ids: Sequence[str]) -> ClipBatches:
        """What the head sees of some clips of the store.

        Raises:
            UnknownClipError: the store lacks a clip.
        """
        table, rows = self._store.clips().loc[list(ids)], self.reader.index_of(ids)
        where = str(self._run.head_path(self.name))
        transforms = [parse_settings(each, MetadataTransform, where) for each in self._facts["metadata"]]
        return ClipBatches(
            reader=self.reader,
            rows=rows,
            statistics=cached_statistics(self.reader, rows, self.config.inputs),
            metadata=np.stack([transform.apply(table) for transform in transforms]),
            sees_frames=self.config.sees_frames,
            at_once=self.config.clips_at_once,
        )

    def model(self, fold: int) -> keras.Model:
        """The model that has not seen the clips of `fold`."""
        if fold not in self._models:
            self._models[fold] = keras.saving.load_model(self._run.model_path(self.name, fold), compile=False)
        return self._models[fold]

    def unload(self) -> None:
        """Let go of the models that have been loaded."""
        self._models.clear()

    def folds_for(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """(N, K) which folds' models may be asked about each clip: of one that the run learned from, or of a copy of
        it, only that which has not seen it; of any other all.
        """
        fold_of = known_clips(self._run, self._store, ids).fold
        own = np.array([fold_of.get(clip_id, -1) for clip_id in ids], np.int64)
        return np.asarray((own[:, None] == np.arange(self.n_folds)) | (own < 0)[:, None])

    def predict(self, examples: ClipBatches) -> NDArray[np.float64]:
        """(K, N, C) the probabilities that each fold's model gives the clips, which are read once for all."""
        return predict_models([self.model(fold) for fold in range(self.n_folds)], examples)


def require_features(heads: Sequence[TrainedHead], store: FeatureStore, run: RunDirectory) -> None:
    """Raise PredictError, with the command that makes them, unless the store holds the features of a run's heads, and
    beside them what the network itself takes clips for where a head asks for it.
    """
    keys = store.keys()
    held = {key.digest for key in keys}
    lacking = [(head, key) for head in heads for key in head.keys if key.digest not in held]
    if not lacking:
        for head in heads:
            if head.config.named and not store.has_classifier(head.keys[0]):
                raise PredictError(
                    f"{head.keys[0].folder}: it is not kept beside these features what the network itself takes a clip "
                    f"for, which head {head.name} asks; run once more what made them, which computes nothing again: "
                    f"{featurize_command(run.named, store)}"
                )
        return
    head, key = lacking[0]
    alike = next((each for each in keys if replace(each, dtype=key.dtype) == key), None)
    if alike is not None:
        raise PredictError(
            f"{store.root}: head {head.name} learned from {key.dtype} features ({key.folder}), and the store holds "
            f"them as {alike.dtype} ({alike.folder}), by which it was not scored; make them as they were, by: "
            f"{featurize_command(run.named, store)}"
        )
    kinds = len({each.digest for _, each in lacking})
    others = f" ({kinds} kinds in all)" if kinds > 1 else ""
    raise PredictError(
        f"{store.root}: head {head.name} reads features {key.folder}, which are not there{others}; make them, with the "
        f"weights that were used then, by: {featurize_command(run.named, store)}"
    )


def head_settings(run: RunDirectory, name: str, facts: Mapping[str, Any] | None = None) -> HeadConfig:
    """The settings of a run's head, of which `facts` is its head.json if that has been read."""
    known = run.read_head(name) if facts is None else facts
    return parse_settings(known["settings"], HeadConfig, str(run.head_path(name)))


def predict_models(models: Sequence[keras.Model], examples: ClipBatches) -> NDArray[np.float64]:
    """The probabilities (K, N, C) that each of some models gives the examples; clips are read once for all.

    Args:
        models: (K) models of one architecture, each with its own row of the examples' metadata.
        examples: the clips.
    """
    places = list(in_turn(len(examples), examples.at_once))
    trace = SharedTrace(models, training=False)
    predict = tf.function(lambda inputs: _predict(trace, inputs), autograph=False, reduce_retracing=True)
    parts = [predict(inputs).numpy() for inputs in read_ahead(examples.batch(some) for some in places)]
    nothing = np.zeros((len(models), 0, models[0].output_shape[-1]))
    return np.concatenate([nothing, *parts], axis=1).astype(np.float64)


def _predict(trace: SharedTrace, inputs: dict[str, Any]) -> Any:
    if "features" in inputs:
        inputs = {**inputs, "features": tf.cast(inputs["features"], tf.float32)}
    outputs = []
    for number in range(len(trace)):
        own = {name: each[number] if name == METADATA else each for name, each in inputs.items()}
        outputs.append(trace(number, own))
    return tf.stack(outputs)
