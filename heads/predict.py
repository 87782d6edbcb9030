"""A finished run applied to clips of a store: every fold model of every head, then the blend."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.blend import Blend
from heads.errors import HeadsError
from heads.feed import Examples
from heads.metadata import MetadataTransform
from heads.model import POOLINGS
from heads.predictions import Predictions
from heads.run import RunDirectory
from heads.trainer import Predictor
from store import FeatureReader, FeatureStore, Status
from store.config import parse_settings
from store.errors import StoreNotFoundError
from store.key import FeatureKey


class PredictError(HeadsError, ValueError):
    """The run and the store do not fit together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NewPredictions:
    """What a run says of clips.

    Attributes:
        predictions: blended probabilities, one row a clip.
        status: (N) how decoding went, the worst over the sources; a failed clip has the training prior.
    """

    predictions: Predictions
    status: tuple[Status, ...]


def predict_run(run: RunDirectory, store: FeatureStore, ids: Sequence[str] | None = None) -> NewPredictions:
    """Predict clips of `store` by the blend of `run`.

    For each fold the heads' models of that fold predict and are blended; the folds' blends are averaged. A clip that
    could not be decoded gets the share of each class among the training clips, and its status says so.

    Args:
        run: trained and blended.
        store: holds the features that the run's heads read, under the same settings.
        ids: clips, in the order wanted; all of the store if None.

    Raises:
        PredictError: the store lacks features of the run's kind, or has no clip under all of them.
        UnknownClipError: a clip is not in the store.
    """
    blend = Blend.from_json(run.read_blend())
    heads = {name: run.read_head(name) for name in blend.models}
    readers = {name: _reader(store, name, facts) for name, facts in heads.items()}
    if ids is None:
        ids = sorted(set.intersection(*(set(reader.ids) for reader in readers.values())))
    if not ids:
        raise PredictError(
            f"{store.root}: no clip has the features of all heads of this run; featurize with all of its backbones"
        )
    status = _worst_status(readers.values(), ids)
    decoded = [clip_id for clip_id, found in zip(ids, status, strict=True) if found is not Status.FAILED]
    table = store.clips().loc[decoded]
    per_head = [_predict_folds(run, name, heads[name], readers[name], table) for name in blend.models]
    per_fold = list(zip(*per_head, strict=True))
    blended = blend.apply_to_folds(per_fold) if decoded else None
    probabilities = np.tile(_prior(heads, blend.classes), (len(ids), 1))
    if blended is not None:
        places = {clip_id: place for place, clip_id in enumerate(ids)}
        probabilities[[places[clip_id] for clip_id in blended.ids]] = blended.probabilities
    predictions = Predictions(
        ids=tuple(ids), classes=blend.classes, probabilities=probabilities, provenance={"model": blend.method}
    )
    return NewPredictions(predictions=predictions, status=status)


def _reader(store: FeatureStore, name: str, facts: Mapping[str, Any]) -> FeatureReader:
    """The reader of exactly the features that a head was trained on."""
    key = FeatureKey.from_json(facts["source"])
    try:
        return store.reader(key)
    except StoreNotFoundError as error:
        raise PredictError(
            f"{store.root}: head {name} reads features {key.folder}, which are not there; run featurize with "
            f"--backbone {key.backbone} and the sampling {dict(key.sampling)}"
        ) from error


def _worst_status(readers: Iterable[FeatureReader], ids: Sequence[str]) -> tuple[Status, ...]:
    """How decoding went for each clip, the worst over all readers."""
    order = list(Status)
    worst = np.zeros(len(ids), np.int64)
    for reader in readers:
        codes = [order.index(reader.status[place]) for place in reader.index_of(ids)]
        worst = np.maximum(worst, codes)
    return tuple(order[code] for code in worst)


def _predict_folds(
    run: RunDirectory, name: str, facts: Mapping[str, Any], reader: FeatureReader, table: pd.DataFrame
) -> list[Predictions]:
    """What each fold's model of one head says of the clips in `table`; they share one compiled network."""
    ids = tuple(table.index)
    model = keras.saving.load_model(run.model_path(name, 0), compile=False)
    predict = Predictor(model)
    rows = reader.index_of(ids)
    kind = facts["settings"]["kind"]
    pooled = POOLINGS[kind](reader, rows) if kind in POOLINGS else None
    predictions = []
    for number, settings in enumerate(facts["metadata"]):
        model.load_weights(run.model_path(name, number))
        metadata = parse_settings(settings, MetadataTransform, str(run.head_path(name)))
        examples = Examples(reader=reader, rows=rows, metadata=metadata.apply(table), pooled=pooled)
        predictions.append(
            Predictions(
                ids=ids,
                classes=tuple(facts["classes"]),
                probabilities=predict(examples),
                provenance={"model": name},
            )
        )
    return predictions


def _prior(heads: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> NDArray[np.float64]:
    """The mean training prior of the first head that knows all of `classes`, in their order."""
    for facts in heads.values():
        if set(classes) <= set(facts["classes"]):
            prior = np.mean(facts["prior"], axis=0)
            return np.array([prior[facts["classes"].index(name)] for name in classes])
    raise PredictError("no head of this run knows all classes of its blend; run `heads blend` again")
