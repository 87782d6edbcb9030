"""Which frames a head's answer came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from heads.data.features.animals import ANIMALS_INPUT, frame_animals
from heads.data.features.batches import METADATA, PREDICT_CLIPS, ClipBatches, in_turn
from heads.data.features.readers import ids_with_frames
from heads.errors import AttendError, UnweighedError
from heads.models.explain.gradients import (
    answer_gradients,
    frame_shares,
    has_frame_shares,
    named_parts,
    traced_statistics,
)
from heads.models.layers import AttentionPooling
from heads.models.networks import ATTENTION, FRONT, NAMED, members_of
from heads.models.trained_head import TrainedHead, head_settings
from heads.recipe import HeadConfig
from heads.run import RunDirectory
from store import FeatureStore


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameWeights:
    """How much each frame of a clip counted.

    Attributes:
        head: name of the head.
        clip_id: the clip.
        folds: the folds whose models were asked, and averaged: for a labelled clip the one that has not seen it.
        by: `attention`, the learned weights, mean over queries and seeds; or `contribution`, for a head that sees
            statistics over time: the share of each frame in what speaks for the answer (see
            `heads.models.explain.gradients`).
        times_s: (T,) time of each frame.
        weights: (T,) in sum 1.
        per_query: (Q, T) of each query, for `attention`; None for `contribution`.
    """

    head: str
    clip_id: str
    folds: tuple[int, ...]
    by: str
    times_s: NDArray[np.float64]
    weights: NDArray[np.float64]
    per_query: NDArray[np.float64] | None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame that counted: its time, and its weight of all frames' 1."""

    time_s: float
    weight: float


def trained_heads(run: RunDirectory) -> list[str]:
    """The heads of a run that were trained here."""
    return [name for name in run.head_names() if not run.is_added(name)]


def weigh_frames(run: RunDirectory, store: FeatureStore, head: str, clip_ids: Sequence[str]) -> list[FrameWeights]:
    """The weight of each frame of some clips under one head, whose models are loaded once.

    Raises:
        UnknownClipError: the store lacks a clip.
        AttendError: a clip has no frames.
        UnweighedError: the head gives frames no weights.
    """
    trained = TrainedHead(run, store, head)
    config = trained.config
    if not can_weigh(config):
        raise UnweighedError(f"head {head} {_why_unweighed(config)}, so it has no weights per frame; name another head")
    reader = trained.reader
    for clip_id, row in zip(clip_ids, reader.index_of(clip_ids).tolist(), strict=True):
        if not reader.lengths[row]:
            raise AttendError(
                f"clip '{clip_id}' has no frames under head {head}: {reader.reasons[row]}; name another clip"
            )
    asked, examples = trained.folds_for(clip_ids), trained.examples(clip_ids)
    models = {fold: trained.model(fold) for fold in np.flatnonzero(asked.any(axis=0)).tolist()}
    found = []
    for places in in_turn(len(clip_ids), PREDICT_CLIPS):
        found += _weigh_together(config, models, examples, places, asked[places])
    return [
        FrameWeights(
            head=head,
            clip_id=clip_id,
            folds=tuple(np.flatnonzero(asked[place]).tolist()),
            by="attention" if config.weighs_frames else "contribution",
            times_s=reader.times(int(examples.rows[place])),
            weights=queries.mean(axis=0),
            per_query=queries if config.weighs_frames else None,
        )
        for place, (clip_id, queries) in enumerate(zip(clip_ids, found, strict=True))
    ]


def can_weigh(config: HeadConfig) -> bool:
    """Whether a head of these settings can say how much each frame counted."""
    return config.weighs_frames or (not config.sees_frames and has_frame_shares(config))


def _why_unweighed(config: HeadConfig) -> str:
    if config.sees_frames:
        return f"pools frames as kind {config.kind} does, without weighing them"
    return f"sees {', '.join(config.statistics)} over time, which no single frame decides"


def explaining_head(run: RunDirectory) -> str:
    """The best head of a run's blend that can say how much each frame counted.

    Raises:
        UnweighedError: there is none.
    """
    blend, heads = run.read_blend(), run.read_metrics()["heads"]
    trained: list[str] = [name for name in blend["models"] if not run.is_added(name)]
    for name in sorted(trained, key=lambda name: (-len(heads[name]["classes"]), heads[name]["mean_log_loss"])):
        if can_weigh(head_settings(run, name)):
            return name
    raise UnweighedError(f"{run.path}: no head of the blend was trained here and weighs frames; leave --explain out")


def top_frames(
    run: RunDirectory, store: FeatureStore, head: str, clip_ids: Sequence[str], most: int = 3
) -> dict[str, list[Moment]]:
    """The moments of each clip that a head's answer came from: the frames of most weight, the largest first.

    A clip without frames has no moments.
    """
    seen = ids_with_frames(TrainedHead(run, store, head).reader, clip_ids)
    return {
        each.clip_id: [
            Moment(time_s=float(each.times_s[place]), weight=float(each.weights[place]))
            for place in np.argsort(-each.weights, kind="stable")[:most]
        ]
        for each in weigh_frames(run, store, head, seen)
    }


def _weigh_together(
    config: HeadConfig,
    models: Mapping[int, keras.Model],
    examples: ClipBatches,
    places: NDArray[np.int64],
    asked: NDArray[np.bool_],
) -> list[NDArray[np.float64]]:
    """(Q, T) of each clip at `places`, the models of all asked folds below each other."""
    features, mask = examples.reader.batch(examples.rows[places])
    found: list[list[NDArray[np.float64]]] = [[] for _ in places]
    for fold, model in models.items():
        own = np.flatnonzero(asked[:, fold])
        if not len(own):
            continue
        frames, valid = features[own].astype(np.float32), mask[own]
        if config.sees_frames:
            weights = _attention(model, frames, valid)
        else:
            weights = _contribution(model, fold, config, examples, places[own], frames, valid)
        for place, each in zip(own.tolist(), weights, strict=True):
            found[place].append(each[:, : int(mask[place].sum())])
    return [np.concatenate(each) for each in found]


def _attention(model: keras.Model, frames: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(B, Q, T) the weights of each query of all seeds."""
    weights = []
    for member in members_of(model):
        layer, seen = member.get_layer(FRONT), frames
        if not isinstance(layer, AttentionPooling):
            seen = keras.Model(layer.inputs, layer.get_layer("seen").output)([frames, valid])
            layer = layer.get_layer(ATTENTION)
        weights.append(keras.ops.convert_to_numpy(layer.weights_of(seen, valid)))
    return np.concatenate(weights, axis=1).astype(np.float64)


def _contribution(
    model: keras.Model,
    fold: int,
    config: HeadConfig,
    examples: ClipBatches,
    places: NDArray[np.int64],
    frames: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(B, 1, T) the shares of the frames in the answer."""
    inputs = {name: each[fold] if name == METADATA else each for name, each in examples.batch(places).items()}
    names = traced_statistics(config)
    gradients = answer_gradients(model, inputs, (*names, *((ANIMALS_INPUT,) if config.named else ())))
    tail = members_of(model)[0].get_layer("tail")
    usual = {name: tail.get_layer(f"standardise_{name}").usual().numpy() for name in names}
    shares = np.zeros((len(places), 1, frames.shape[1]))
    for number, row in enumerate(examples.rows[places].tolist()):
        length = int(valid[number].sum())
        beside: NDArray[np.float64] | float = 0.0
        if config.named:
            animals = frame_animals(frames[number, :length], examples.reader)
            own = inputs[ANIMALS_INPUT][number], gradients[ANIMALS_INPUT][number]
            beside = named_parts(animals, *own, tail.get_layer(NAMED))
        shares[number, 0, :length] = frame_shares(
            frames[number, :length],
            examples.reader.per_frame("motion_energy", row),
            {name: inputs[name][number] for name in names},
            {name: gradients[name][number] for name in names},
            usual,
            beside,
        )
    return shares
