"""The heads' networks."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from heads.layers import AttentionPooling, MaxMinusMin, Standardise
from heads.pooling import max_minus_median
from heads.recipe import HeadConfig
from store import FeatureReader

OUTPUT = "probabilities"
STANDARDISE = "standardise"

# The kinds of heads that see a clip through a statistic in which nothing is learned.
POOLINGS: Mapping[str, Callable[[FeatureReader, NDArray[np.int64]], NDArray[np.float32]]] = {
    "deviation": max_minus_median,
}


def build_head(config: HeadConfig, dim: int, n_metadata: int, n_classes: int) -> keras.Model:
    """An untrained head for one source, of the kind that `config` names.

    Args:
        config: kind, widths, dropout.
        dim: D, feature columns.
        n_metadata: M, metadata columns; 0 leaves the metadata part out.
        n_classes: C.

    Returns:
        A model that gives probabilities (B, C). Its inputs are `features` (B, T, D) float32 and `mask` (B, T) bool,
        or `pooled` (B, D) float32 where the kind has a pooling in `POOLINGS`; and `metadata` (B, M) float32 if M > 0.
    """
    inputs: dict[str, Any]
    if config.kind in POOLINGS:
        inputs = {"pooled": keras.Input((dim,), name="pooled")}
    else:
        inputs = {
            "features": keras.Input((None, dim), name="features"),
            "mask": keras.Input((None,), dtype="bool", name="mask"),
        }
    if n_metadata:
        inputs["metadata"] = keras.Input((n_metadata,), name="metadata")
    x = {"attention": _attention_head, "deviation": _deviation_head}[config.kind](config, inputs)
    # With nothing but its bias at first, the output is the prior that the trainer puts there.
    initial = "zeros" if config.start_at_prior else "glorot_uniform"
    probabilities = layers.Dense(n_classes, activation="sigmoid", kernel_initializer=initial, name=OUTPUT)(x)
    return keras.Model(inputs, probabilities, name=config.kind)


def _attention_head(config: HeadConfig, inputs: dict[str, Any]) -> Any:
    """The single-backbone head of the third place of DrivenData's Pri-matrix Factorization, up to its output.

    Features are normalised per column and pooled over frames by attention; beside it stands how much each raw feature
    changes over the clip, and beside that the metadata through a small dense part; dense layers follow. Padding is
    masked everywhere, also in the normalisation's statistics; see `AttentionPooling` for where the attention differs.
    """
    features, mask = inputs["features"], inputs["mask"]
    normalised = _batch_norm("feature_norm")(features, mask=mask)
    pooled = [
        AttentionPooling(name="attention")(normalised, mask),
        MaxMinusMin(name="change")(features, mask),
    ]
    if "metadata" in inputs:
        pooled.append(_dense_part(inputs["metadata"], config.metadata_units, config.dropout, "metadata"))
    x = layers.Concatenate(name="clip")(pooled)
    x = _batch_norm("clip_norm")(x)
    x = layers.Dropout(config.dropout, name="clip_dropout")(x)
    return _dense_part(x, config.dense_units, config.dropout, "dense")


def _deviation_head(config: HeadConfig, inputs: dict[str, Any]) -> Any:
    """What stands out from the clip's own background, standardised, through one lean dense part.

    Most of the features are dropped in training, so that a few hundred clips do not fit a wide head to their places.
    """
    x = Standardise(name=STANDARDISE)(inputs["pooled"])
    x = layers.Dropout(config.dropout, name="clip_dropout")(x)
    if "metadata" in inputs:
        x = layers.Concatenate(name="clip")([x, inputs["metadata"]])
    for index, width in enumerate(config.dense_units):
        x = layers.Dense(width, activation="gelu", name=f"dense{index}")(x)
        x = layers.Dropout(config.dense_dropout, name=f"dense_dropout{index}")(x)
    return x


def _batch_norm(name: str) -> Any:
    """Batch normalisation whose running moments follow within tens of steps: a small table makes few steps."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def _dense_part(x: Any, units: tuple[int, ...], dropout: float, name: str) -> Any:
    """Dense, batch normalisation, ReLU, with dropout between."""
    for index, width in enumerate(units):
        if index:
            x = layers.Dropout(dropout, name=f"{name}_dropout{index}")(x)
        x = layers.Dense(width, use_bias=False, name=f"{name}{index}")(x)
        x = _batch_norm(f"{name}_norm{index}")(x)
        x = layers.ReLU(name=f"{name}_relu{index}")(x)
    return x
