"""The heads' networks: a front that pools frames by what it learns, if there is one, and a dense tail."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from heads.data.features.animals import ANIMALS_INPUT
from heads.data.features.batches import METADATA
from heads.data.features.statistics import InputName
from heads.models.layers import (
    AttentionPooling,
    Competing,
    Dropout,
    Named,
    Standardise,
    TapDropout,
    TimeWindow,
    TurnRound,
)
from heads.models.pixel_layers import MeanOverFrames
from heads.recipe import HeadConfig
from heads.recipe.kinds import resolve

OUTPUT = "output"
COMPETING = "competing"
NAMED = "named"
FRONT = "front"
POOLED = "pooled"
MASK = "mask"
ATTENTION = "attention"
FRAMES = "frames"


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    """The sizes of a head's inputs and output.

    Attributes:
        dim: D, feature columns.
        n_metadata: M, metadata columns; 0 for a head without metadata.
        n_classes: C.
        taps: columns of each tap, in sum D; not needed where no taps are dropped.
        n_animals: K, animals that the backbone knows by name; not needed where it is not asked.
    """

    dim: int
    n_metadata: int
    n_classes: int
    taps: tuple[int, ...] = ()
    n_animals: int = 0

    def width_of(self, name: InputName) -> int:
        """How many numbers the input of that name has of a clip."""
        return self.n_animals if name == ANIMALS_INPUT else self.dim


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """An untrained head and its parts, which share their weights with it.

    Attributes:
        model: gives probabilities (B, C). Its inputs are those of `front` and `tail`, but for what is pooled.
        front: gives (B, P) from `features` (B, T, D) float32, `mask` (B, T) bool and, for attention over deviations,
            `background` (B, D); None for a head that sees no frames.
        tail: gives probabilities from `pooled` (B, P) if there is a front, a statistic (B, D) by each name that the
            recipe lists, and `metadata` (B, M) if M > 0. Of a kind that goes frame by frame, `pooled` is (B, T, P) and
            `mask` (B, T) is beside it.
        attention: the layer that weighs frames, if there is one.
    """

    model: keras.Model
    front: Any
    tail: keras.Model
    attention: AttentionPooling | None


def build_head(config: HeadConfig, shape: HeadShape, name: str = "head") -> Head:
    """An untrained head of the kind that `config` names; its network is called `name`."""
    inputs: dict[str, Any] = {name: keras.Input((shape.width_of(name),), name=name) for name in config.inputs}
    if shape.n_metadata:
        inputs[METADATA] = keras.Input((shape.n_metadata,), name=METADATA)
    tail_inputs = {name: each for name, each in inputs.items() if name in (*config.tail_inputs, METADATA)}
    front, pooled = None, None
    if config.sees_frames:
        frames = frames_shape(config, shape.dim)
        inputs["features"] = keras.Input(frames, name="features")
        inputs[MASK] = keras.Input(frames[:1], dtype="bool", name=MASK)
        front = resolve(config.traits.front)(config, shape.dim)
        pooled = call_front(front, [inputs[name] for name in front_inputs(config)])
        tail_inputs[POOLED] = keras.Input(pooled.shape[1:], name=POOLED)
        if config.traits.frame_by_frame:
            tail_inputs[MASK] = keras.Input(frames[:1], dtype="bool", name=MASK)
    tail = keras.Model(tail_inputs, _tail(config, tail_inputs, shape), name="tail")
    probabilities = tail({name: pooled if name == POOLED else inputs[name] for name in tail_inputs})
    model = keras.Model(inputs, probabilities, name=name)
    return Head(model=model, front=front, tail=tail, attention=find_attention(front))


def frames_shape(config: HeadConfig, dim: int) -> tuple[int | None, ...]:
    """What a head is shown of the frames of a clip, `features` without the batch: (T, D), or pictures (T, H, W, 3)."""
    if config.traits.reads_pictures:
        return None if config.traits.frame_by_frame else config.clip_frames, config.clip_px, config.clip_px, 3
    return None, dim


def front_inputs(config: HeadConfig) -> tuple[str, ...]:
    """The names of what the front takes, in order."""
    return ("features", MASK, *config.traits.front_statistics)


def call_front(front: Any, given: list[Any]) -> Any:
    """What a front, a layer or a small network, makes of its inputs, in the order of `front_inputs`."""
    return front(*given) if isinstance(front, AttentionPooling) else front(given)


def frame_standardiser(head: Head) -> Any:
    """The layer of a head's front that takes the moments of frames; None if it has no such layer."""
    return head.front if isinstance(head.front, AttentionPooling) else _layer(head.front, FRAMES)


def find_attention(front: Any) -> AttentionPooling | None:
    """The layer of a front that weighs frames; None if no layer does."""
    layer: AttentionPooling | None = front if isinstance(front, AttentionPooling) else _layer(front, ATTENTION)
    return layer


def named_slope(model: keras.Model) -> float:
    """By how much a head believes what the backbone itself takes clips for, mean over its seeds."""
    return float(np.mean([member.get_layer("tail").get_layer(NAMED).slope for member in members_of(model)]))


def members_of(model: keras.Model) -> list[keras.Model]:
    """The members that a model averages; the model itself if it is one."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model) and layer.name.startswith("member")]
    return inner or [model]


def _layer(front: Any, name: str) -> Any:
    """The layer of a front that is called `name`, if the front is a network that has one."""
    layers_of = {} if front is None else {each.name: each for each in getattr(front, "layers", ())}
    return layers_of.get(name)


def attention_front(config: HeadConfig, _dim: int) -> Any:
    """Attention over the frames of a clip."""
    return AttentionPooling(config.queries, name=FRONT)


def recurrent_front(config: HeadConfig, dim: int) -> Any:
    """Two recurrent layers that read a clip backwards; they and the features beside each other, pooled by attention.

    Frames are turned round, so that padding is read first and, being masked, changes nothing.

    Source: third place of DrivenData's Pri-matrix Factorization (recurrent variant).
    """
    features, mask = keras.Input((None, dim), name="features"), keras.Input((None,), dtype="bool", name="mask")
    frames = Standardise(name=FRAMES)(features)
    x = TurnRound(name="turn")(Dropout(config.frame_dropout, name="frame_dropout")(frames))
    there = window_of(config, mask)
    turned = TurnRound(name="turn_mask")(there)
    read = []
    for number in range(2):
        x = layers.GRU(
            config.recurrent_units,
            return_sequences=True,
            recurrent_dropout=config.recurrent_dropout,
            name=f"recurrent{number}",
        )(x, mask=turned)
        read.append(TurnRound(name=f"turn_back{number}")(x))
    seen = layers.Concatenate(name="seen")([frames, *read])
    return keras.Model([features, mask], AttentionPooling(config.queries, name=ATTENTION)(seen, there), name=FRONT)


def window_of(config: HeadConfig, mask: Any) -> Any:
    """The mask (B, T) of the frames that recurrent layers learn from: of all that are there, or of a part in time."""
    return mask if config.window == 1 else TimeWindow(config.window, name="window")(mask)


def _tail(config: HeadConfig, inputs: dict[str, Any], shape: HeadShape) -> Any:
    n_classes = shape.n_classes
    x = resolve(config.traits.tail)(config, inputs, shape)
    # With nothing but its bias at first, the output is the prior that the trainer puts there.
    initial = "zeros" if config.start_at_prior else "glorot_uniform"
    if config.named:
        scores = layers.Dense(n_classes, kernel_initializer=initial, name=OUTPUT)(x)
        scores = layers.Add(name="scores")([scores, Named(n_classes, name=NAMED)(inputs[ANIMALS_INPUT])])
        return Competing(name=COMPETING)(scores) if config.competing else layers.Activation("sigmoid")(scores)
    if not config.competing:
        x = layers.Dense(n_classes, activation="sigmoid", kernel_initializer=initial, name=OUTPUT)(x)
        return MeanOverFrames(name="clip")(x, inputs[MASK]) if config.traits.frame_by_frame else x
    return Competing(name=COMPETING)(layers.Dense(n_classes, kernel_initializer=initial, name=OUTPUT)(x))


def published_tail(config: HeadConfig, inputs: dict[str, Any], _shape: HeadShape) -> Any:
    """What follows pooling in the heads of the third place of DrivenData's Pri-matrix Factorization.

    Pooled frames, how much each raw feature changes over the clip, and the metadata through a small dense part;
    dense layers follow. See `AttentionPooling` for where the attention differs.
    """
    clip = [inputs[POOLED], *(inputs[name] for name in config.statistics)]
    if METADATA in inputs:
        clip.append(_dense_part(inputs[METADATA], config.metadata_units, config.dropout, METADATA))
    x = _batch_norm("clip_norm")(layers.Concatenate(name="clip")(clip) if len(clip) > 1 else clip[0])
    x = Dropout(config.dropout, name="clip_dropout")(x)
    return _dense_part(x, config.dense_units, config.dropout, "dense")


def lean_tail(config: HeadConfig, inputs: dict[str, Any], shape: HeadShape) -> Any:
    """What stands out from the clip's own background, standardised, through one lean dense part.

    Most of the features are dropped in training, so that a few hundred clips do not fit a wide head to their places.
    """
    x = _standardised(config, inputs)
    if config.tap_dropout:
        x = TapDropout(shape.taps, config.tap_dropout, name="tap_dropout")(x)
    x = Dropout(config.dropout, name="clip_dropout")(x)
    if METADATA in inputs:
        facts = inputs[METADATA]
        for number, width in enumerate(config.metadata_units):
            facts = layers.Dense(width, activation="gelu", name=f"metadata{number}")(facts)
        x = layers.Concatenate(name="with_metadata")([x, facts])
    for number, width in enumerate(config.dense_units):
        x = layers.Dense(width, activation="gelu", name=f"dense{number}")(x)
        x = Dropout(config.dense_dropout, name=f"dense_dropout{number}")(x)
    return x


def roots_tail(config: HeadConfig, inputs: dict[str, Any], _shape: HeadShape) -> Any:
    """Roots of the statistics, standardised: what a discriminant weighs."""
    return _standardised(config, inputs, root=True)


def _standardised(config: HeadConfig, inputs: dict[str, Any], *, root: bool = False) -> Any:
    """The statistics, or their roots, standardised, and what was pooled, beside each other."""
    clip = [Standardise(root=root, name=f"standardise_{name}")(inputs[name]) for name in config.statistics]
    if POOLED in inputs:
        clip.append(inputs[POOLED])
    return layers.Concatenate(name="clip")(clip) if len(clip) > 1 else clip[0]


def _batch_norm(name: str) -> Any:
    """Batch normalisation whose running moments follow within tens of steps: a small table makes few steps."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def _dense_part(x: Any, units: tuple[int, ...], dropout: float, name: str) -> Any:
    """Dense, batch normalisation, ReLU, with dropout between."""
    for index, width in enumerate(units):
        if index:
            x = Dropout(dropout, name=f"{name}_dropout{index}")(x)
        x = layers.Dense(width, use_bias=False, name=f"{name}{index}")(x)
        x = _batch_norm(f"{name}_norm{index}")(x)
        x = layers.ReLU(name=f"{name}_relu{index}")(x)
    return x
