"""Which frames a head's answer came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from heads.errors import HeadsError
from heads.examples import Examples
from heads.layers import AttentionPooling
from heads.model import METADATA
from heads.predict import head_reader, see_new_clips
from heads.run import RunDirectory
from store import FeatureStore

_PEAKS = ("deviation", "change")
_SMALLEST = 1e-7


class AttendError(HeadsError, ValueError):
    """There are no frames to weigh, or nothing that weighs them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameWeights:
    """How much each frame of a clip counted.

    Attributes:
        head: name of the head.
        clip_id: the clip.
        folds: the folds whose models were asked, and averaged: for a labelled clip the one that has not seen it.
        by: `attention`, the learned weights, mean over queries and seeds; or `peaks`, for a head that sees each
            feature's largest value only: the share of the answer that came from features largest in that frame.
        times_s: (T,) time of each frame.
        weights: (T,) in sum 1.
        per_query: (Q, T) of each query, for `attention`; None for `peaks`.
    """

    head: str
    clip_id: str
    folds: tuple[int, ...]
    by: str
    times_s: NDArray[np.float64]
    weights: NDArray[np.float64]
    per_query: NDArray[np.float64] | None


def attend(run: RunDirectory, store: FeatureStore, clip_id: str, heads: Sequence[str] = ()) -> list[FrameWeights]:
    """The weight of each frame of a clip under each head of a run.

    Args:
        run: trained.
        store: holds the clip's features.
        clip_id: the clip.
        heads: names of heads; all of the run if none.

    Raises:
        UnknownClipError: the store has no such clip.
        AttendError: the clip has no frames.
    """
    trained = [name for name in run.head_names() if not run.is_added(name)]
    return [weigh_frames(run, store, name, [clip_id])[0] for name in heads or trained]


def weigh_frames(run: RunDirectory, store: FeatureStore, head: str, clip_ids: Sequence[str]) -> list[FrameWeights]:
    """The weight of each frame of some clips under one head, whose models are loaded once.

    Raises:
        UnknownClipError: the store lacks a clip.
        AttendError: a clip has no frames.
    """
    folds, facts = run.read_folds(), run.read_head(head)
    fold_of = dict(zip(folds.ids, folds.fold.tolist(), strict=True))
    everyone = tuple(range(folds.n_folds))
    asked = [(fold_of[clip_id],) if clip_id in fold_of else everyone for clip_id in clip_ids]
    reader, table = head_reader(store, head, facts), store.clips()
    models = {
        fold: keras.saving.load_model(run.model_path(head, fold), compile=False)
        for fold in sorted({fold for each in asked for fold in each})
    }
    found = []
    for clip_id, scored in zip(clip_ids, asked, strict=True):
        (row,) = reader.index_of([clip_id])
        if not reader.lengths[row]:
            raise AttendError(f"clip '{clip_id}': it has no frames, since it could not be decoded; name another clip")
        examples = see_new_clips(run, head, facts, reader, table.loc[[clip_id]])
        found.append(_weigh(examples, clip_id, head, {fold: models[fold] for fold in scored}))
    return found


def top_frames(
    run: RunDirectory, store: FeatureStore, clip_ids: Sequence[str], most: int = 3
) -> dict[str, list[float]]:
    """The moments of each clip, in seconds, that its answer came from: the frames of most weight, the largest first.

    The best head of the run's blend is asked; a clip without frames has no moments.

    Raises:
        AttendError: the blend has no head that was trained here, or the best one sees no single frames.
    """
    heads = run.read_metrics()["heads"]
    trained = [name for name in run.read_blend()["models"] if not run.is_added(name)]
    if not trained:
        raise AttendError(f"{run.path}: no head of the blend was trained here, so none can say where it looked")
    best = min(trained, key=lambda name: (-len(heads[name]["classes"]), heads[name]["mean_log_loss"]))
    reader = head_reader(store, best, run.read_head(best))
    seen = [clip_id for clip_id, row in zip(clip_ids, reader.index_of(clip_ids), strict=True) if reader.lengths[row]]
    return {
        each.clip_id: each.times_s[np.argsort(-each.weights, kind="stable")[:most]].tolist()
        for each in weigh_frames(run, store, best, seen)
    }


def _weigh(examples: Examples, clip_id: str, name: str, by_fold: Mapping[int, keras.Model]) -> FrameWeights:
    folds, models = tuple(by_fold), tuple(by_fold.values())
    row = int(examples.rows[0])
    features, _ = examples.reader.batch(examples.rows)
    frames = features[0].astype(np.float32)
    times = examples.reader.times(row)
    if examples.sees_frames:
        queries = np.concatenate([_attention(model, frames) for model in models])
        return FrameWeights(
            head=name,
            clip_id=clip_id,
            folds=folds,
            by="attention",
            times_s=times,
            weights=queries.mean(axis=0),
            per_query=queries,
        )
    weights = np.mean(
        [_peaks(model, examples, fold, frames) for model, fold in zip(models, folds, strict=True)], axis=0
    )
    return FrameWeights(
        head=name, clip_id=clip_id, folds=folds, by="peaks", times_s=times, weights=weights, per_query=None
    )


def _attention(model: keras.Model, frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """(Q, T), the queries of all of a model's seeds below each other."""
    weights, mask = [], np.ones((1, len(frames)), bool)
    for member in _members(model):
        front = member.get_layer("front")
        if isinstance(front, AttentionPooling):
            seen, layer = frames[None], front
        else:
            layer = front.get_layer("attention")
            seen = keras.Model(front.inputs, front.get_layer("seen").output)([frames[None], mask])
        weights.append(keras.ops.convert_to_numpy(layer.weights_of(seen, mask))[0])
    return np.concatenate(weights).astype(np.float64)


def _peaks(model: keras.Model, examples: Examples, fold: int, frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T,) the share of each frame: what each column adds to the logits of what is probably there, given to the frame
    where the column is largest.
    """
    batch: dict[str, Any] = {name: tf.constant(values) for name, values in examples.batch(np.array([0])).items()}
    if METADATA in batch:
        batch[METADATA] = batch[METADATA][fold]
    peaks = [name for name in _PEAKS if name in batch]
    if not peaks:
        raise AttendError("this head sees means over time only, so no frame counts more than another")
    with tf.GradientTape() as tape:
        tape.watch([batch[name] for name in peaks])
        given = model(batch, training=False)
        logits = tf.math.log(given + _SMALLEST) - tf.math.log(1.0 - given + _SMALLEST)
        answer = tf.reduce_sum(tf.stop_gradient(given) * logits)
    gradients = tape.gradient(answer, [batch[name] for name in peaks])
    share = np.zeros(len(frames))
    for name, gradient in zip(peaks, gradients, strict=True):
        np.add.at(share, frames.argmax(axis=0), np.maximum(gradient * batch[name], 0)[0])
    return share / share.sum() if share.sum() > 0 else np.full(len(frames), 1 / len(frames))


def _members(model: keras.Model) -> list[keras.Model]:
    """The members that a model averages; the model itself if it is one."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model) and layer.name.startswith("member")]
    return inner or [model]
