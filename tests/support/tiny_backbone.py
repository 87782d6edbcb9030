"""An untrained network of a few layers, so that the whole pipeline can be tested without weights and in no time."""

import keras
from keras import layers

from featurize.backbones.spec import Backbone, NoWeights, Preprocessing, Tap
from featurize.pipeline.source import FeatureSource
from featurize.views.resize import Canvas


def build_tiny(backbone: Backbone, *_: object) -> keras.Model:
    """Two convolutions with fixed weights."""
    keras.utils.set_random_seed(len(backbone.name))
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=4, padding="same", activation="relu", name="first")(image)
    x = layers.Conv2D(6, 3, strides=4, padding="same", activation="relu", name="second")(x)
    return keras.Model(image, x, name=backbone.name)


def tiny_backbone(name: str = "tiny", **changes: object) -> Backbone:
    settings: dict[str, object] = {
        "name": name,
        "input_px": 64,
        "preprocessing": Preprocessing(name="x/255", mean=(0.0, 0.0, 0.0), scale=(255.0, 255.0, 255.0)),
        "taps": (
            Tap(name="first", layer="first", channels=4, stride=4),
            Tap(name="second", layer="second", channels=6, stride=16),
        ),
        "builder": "tiny_backbone:build_tiny",
        "weights": NoWeights(version="tiny"),
        "parameters": 0,
        "licence": "none",
        "reference": "none",
        **changes,
    }
    return Backbone(**settings)  # type: ignore[arg-type]


def tiny_source(name: str = "tiny", px: int = 64) -> FeatureSource:
    return FeatureSource(backbone=tiny_backbone(name), canvas=Canvas(px=px))
