"""The heads' networks."""

from typing import Any

import keras
from keras import layers

from heads.layers import AttentionPooling, MaxMinusMin
from heads.recipe import HeadConfig


def build_head(config: HeadConfig, dim: int, n_metadata: int, n_classes: int) -> keras.Model:
    """An untrained head for one source.

    Features are normalised per column, pooled over frames by attention; beside it stands how much each raw feature
    changes over the clip, and beside that the metadata through a small dense part. Dense layers lead from there to one
    independent probability a class.

    Args:
        config: widths, dropout.
        dim: D, feature columns.
        n_metadata: M, metadata columns; 0 leaves the metadata part out.
        n_classes: C.

    Returns:
        A model of the inputs `features` (B, T, D) float32, `mask` (B, T) bool and, if M > 0, `metadata` (B, M)
        float32, that gives probabilities (B, C).

    Source: the single-backbone head of the third place of DrivenData's Pri-matrix Factorization. Padding is masked
    everywhere, also in the normalisation's statistics; see `AttentionPooling` for where the attention differs.
    """
    features = keras.Input((None, dim), name="features")
    mask = keras.Input((None,), dtype="bool", name="mask")
    inputs = {"features": features, "mask": mask}
    normalised = layers.BatchNormalization(name="feature_norm")(features, mask=mask)
    pooled = [
        AttentionPooling(name="attention")(normalised, mask),
        MaxMinusMin(name="change")(features, mask),
    ]
    if n_metadata:
        inputs["metadata"] = keras.Input((n_metadata,), name="metadata")
        pooled.append(_dense_part(inputs["metadata"], config.metadata_units, config.dropout, "metadata"))
    x = layers.Concatenate(name="clip")(pooled)
    x = layers.BatchNormalization(name="clip_norm")(x)
    x = layers.Dropout(config.dropout, name="clip_dropout")(x)
    x = _dense_part(x, config.dense_units, config.dropout, "dense")
    probabilities = layers.Dense(n_classes, activation="sigmoid", name="probabilities")(x)
    return keras.Model(inputs, probabilities, name=config.kind)


def _dense_part(x: Any, units: tuple[int, ...], dropout: float, name: str) -> Any:
    """Dense, batch normalisation, ReLU, with dropout between."""
    for index, width in enumerate(units):
        if index:
            x = layers.Dropout(dropout, name=f"{name}_dropout{index}")(x)
        x = layers.Dense(width, use_bias=False, name=f"{name}{index}")(x)
        x = layers.BatchNormalization(name=f"{name}_norm{index}")(x)
        x = layers.ReLU(name=f"{name}_relu{index}")(x)
    return x
