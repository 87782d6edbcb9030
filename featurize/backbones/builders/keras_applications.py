"""The networks that keras.applications serves, without their classifiers."""

import warnings
from pathlib import Path
from typing import Any

import keras

from featurize.backbones.spec import Backbone
from featurize.errors import WeightsError

# These would scale pixels themselves; Trapline's extractor does it for all networks alike.
_SCALES_BY_ITSELF = ("MobileNetV3", "EfficientNetV2", "ConvNeXt")


def keras_application_network(backbone: Backbone, weights: Path | None, side_px: int | None) -> keras.Model:
    """The network whose keras.applications name is `backbone.architecture`.

    Args:
        backbone: its row.
        weights: a weights file of the network without its classifier (.h5, .weights.h5 or .keras); None: untrained.
        side_px: the side of the square it is built for; None: any shape.

    Raises:
        WeightsError: the file holds other layers than the network has.
    """
    options: dict[str, Any] = (
        {"include_preprocessing": False} if backbone.architecture.startswith(_SCALES_BY_ITSELF) else {}
    )
    build = getattr(keras.applications, backbone.architecture)
    network = build(include_top=False, weights=None, input_shape=(side_px, side_px, 3), **options)
    if weights is not None:
        _load(network, backbone, weights)
    return network


def _load(network: keras.Model, backbone: Backbone, weights: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Of layers that the file has not, Keras only warns: the network would stay partly untrained.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(str(weights))
    except (ValueError, OSError, KeyError, TypeError, UserWarning) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{weights}: not weights of {backbone.name} without its classifier ({reason}); "
            "give the file whose name ends in `notop.h5` or `no_top.h5`"
        ) from error
