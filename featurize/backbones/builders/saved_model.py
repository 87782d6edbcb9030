"""TensorFlow Hub models and other SavedModels as backbones: their endpoints are the taps.

`hub.load` works with Keras 3; the layers that tensorflow-hub itself offers do not. Image models of the TF2 hub
interface give a dict of intermediate activations when they are called with `return_endpoints=True`; of others, what
they return, or what their serving signature returns, is all there is. By the hub's convention they take pixels from 0
to 1.
"""

import functools
import hashlib
import math
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import keras
from keras import layers

from featurize.backbones.spec import Backbone, FileWeights, Preprocessing, Tap
from featurize.errors import BackboneError, WeightsError

_PIXELS = Preprocessing(name="x/255", mean=(0.0, 0.0, 0.0), scale=(255.0, 255.0, 255.0))
_USUAL_PX = 224
_BUILDER = "featurize.backbones.builders.saved_model:saved_model_network"
_VECTOR = "default"

Endpoints = Mapping[str, Any]


def saved_model_backbone(
    handle: str, taps: Sequence[str] = (), *, input_px: int | None = None, offline: bool = False
) -> Backbone:
    """The row of a SavedModel, which is loaded to see what it gives.

    Args:
        handle: URL of a TensorFlow Hub model, or a local folder.
        taps: endpoints, in the order of the feature columns; none: the feature vector.
        input_px: side of its input; what the model is made for, or 224, if None.
        offline: whether to do without a download.

    Raises:
        WeightsError: it is not to be had, or is not a SavedModel.
        BackboneError: it has no such endpoint, or takes something other than pictures.
    """
    folder = _resolve(handle, offline=offline)
    fixed_px = _fixed_side(folder)
    px = fixed_px or input_px or _USUAL_PX
    found = _shapes(folder, px)
    wanted = list(taps) or [_VECTOR if _VECTOR in found else next(iter(found))]
    for name in wanted:
        if name not in found:
            raise BackboneError(f"{handle} has no endpoint {name!r}, expected some of {', '.join(sorted(found))}")
    return Backbone(
        name=f"hub:{_short_name(handle)}",
        input_px=px,
        preprocessing=_PIXELS,
        taps=tuple(
            Tap(name=name, layer=_layer_name(name), channels=found[name][-1], stride=_stride(px, found[name]))
            for name in wanted
        ),
        builder=_BUILDER,
        weights=FileWeights(expected="a SavedModel folder", path=str(folder)),
        parameters=sum(math.prod(variable.shape) for variable in getattr(_load(folder), "variables", ())),
        licence="its own",
        reference=handle,
        any_shape=fixed_px is None,
    )


def saved_model_taps(handle: str, *, offline: bool = False) -> dict[str, tuple[int, ...]]:
    """The endpoints of a SavedModel: name to the shape that one picture gives, (H, W, channels) or (channels)."""
    folder = _resolve(handle, offline=offline)
    return _shapes(folder, _fixed_side(folder) or _USUAL_PX)


def saved_model_network(backbone: Backbone, weights: Path | None, side_px: int | None) -> keras.Model:
    """A Keras model with a layer for each tap of a SavedModel's row.

    Raises:
        WeightsError: an untrained one was asked for; a SavedModel is its weights.
    """
    if weights is None:
        raise WeightsError(f"{backbone.name} cannot be untrained: a SavedModel is its weights")
    image = keras.Input((side_px, side_px, 3), name="image")
    loaded = _SavedModelTaps(_endpoints_of(weights), backbone.taps)
    outputs = [
        layers.Identity(name=tap.layer)(activations)
        for tap, activations in zip(backbone.taps, loaded(image), strict=True)
    ]
    return keras.Model(image, outputs, name="saved_model")


class _SavedModelTaps(layers.Layer):
    """Calls a loaded SavedModel inside a Keras model."""

    def __init__(self, call: Callable[[Any], Endpoints], taps: Sequence[Tap]) -> None:
        super().__init__(name="saved_model_taps", trainable=False, dtype="float32")
        self._call, self._taps = call, tuple(taps)

    def call(self, image: Any) -> list[Any]:
        endpoints = self._call(image)
        return [endpoints[tap.name] for tap in self._taps]

    def compute_output_spec(self, image: Any) -> list[keras.KerasTensor]:
        return [keras.KerasTensor(_batch_shape(tap)) for tap in self._taps]


def _resolve(handle: str, *, offline: bool) -> Path:
    """The folder of the SavedModel that `handle` names, downloaded into the hub's cache if need be."""
    if not urlsplit(handle).scheme.startswith("http"):
        if not (Path(handle) / "saved_model.pb").is_file():
            raise WeightsError(f"{handle}: no SavedModel folder (it would hold saved_model.pb); name one, or a hub URL")
        return Path(handle)
    cached = _hub_cache() / hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()
    if (cached / "saved_model.pb").is_file():
        return cached
    remedy = f"download it elsewhere, unpack it into a folder and give --backbone hub:FOLDER, or into {cached}"
    if offline:
        raise WeightsError(f"{handle} is not in the hub's cache, and --offline forbids a download; {remedy}")
    try:
        return Path(_hub().resolve(handle))
    except Exception as error:  # The hub raises whatever its transport does.
        raise WeightsError(f"{handle} cannot be downloaded ({' '.join(str(error).split())}); {remedy}") from error


def _hub_cache() -> Path:
    """Where tensorflow-hub keeps what it downloaded: named by the sha1 of the handle."""
    named = os.environ.get("TFHUB_CACHE_DIR")
    return Path(named).expanduser() if named else Path(tempfile.gettempdir()) / "tfhub_modules"


def _hub() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It says that pkg_resources is going to be removed; the pin knows.
        import tensorflow_hub
    return tensorflow_hub


@functools.lru_cache(maxsize=4)
def _load(folder: Path) -> Any:
    try:
        return _hub().load(str(folder))
    except Exception as error:  # TensorFlow raises many kinds for a damaged SavedModel.
        raise WeightsError(f"{folder}: not a SavedModel ({' '.join(str(error).split())[:200]})") from error


def _endpoints_of(folder: Path) -> Callable[[Any], Endpoints]:
    """A function from pictures (B, H, W, 3), 0 to 1, to all that the model gives, by name."""
    model = _load(folder)
    if not callable(model):
        signature = model.signatures["serving_default"]
        (argument,) = signature.structured_input_signature[1]
        return lambda image: dict(signature(**{argument: image}))
    if _takes_endpoints(model):
        return lambda image: dict(model(image, training=False, return_endpoints=True))

    def plain(image: Any) -> Endpoints:
        found = model(image)
        return dict(found) if isinstance(found, Mapping) else {_VECTOR: found}

    return plain


def _takes_endpoints(model: Any) -> bool:
    """Whether some trace of the model's call knows `return_endpoints`."""
    specification = getattr(model.__call__, "function_spec", None) or getattr(model.__call__, "_function_spec", None)
    names = getattr(specification, "arg_names", None)
    if names is None and specification is not None:
        names = list(specification.fullargspec.args) + list(specification.fullargspec.kwonlyargs)
    return "return_endpoints" in (names or ())


def _fixed_side(folder: Path) -> int | None:
    """The side of the squares that the model is made for; None if it takes any shape."""
    model = _load(folder)
    concrete = model.__call__.concrete_functions[0] if callable(model) else model.signatures["serving_default"]
    positional, named = concrete.structured_input_signature
    shape = [*positional, *named.values()][0].shape
    if shape.rank != 4 or shape[-1] not in (3, None):
        raise BackboneError(f"{folder} takes {shape}, expected pictures (B, H, W, 3)")
    if shape[1] != shape[2]:
        raise BackboneError(f"{folder} takes pictures of {shape[1]} x {shape[2]}, expected squares or any shape")
    return None if shape[1] is None else int(shape[1])


def _shapes(folder: Path, px: int) -> dict[str, tuple[int, ...]]:
    """The endpoints that can be tapped, with the shape that one blank picture of `px` gives."""
    import tensorflow as tf

    found = _endpoints_of(folder)(tf.zeros((1, px, px, 3)))
    return {name: tuple(tensor.shape[1:]) for name, tensor in found.items() if len(tensor.shape) in (2, 4)}


def _stride(px: int, shape: tuple[int, ...]) -> int:
    return round(px / shape[0]) if len(shape) == 3 else 0


def _batch_shape(tap: Tap) -> tuple[int | None, ...]:
    """(B, H, W, C) of a map, (B, C) of a vector, which has no stride."""
    return (None, None, None, tap.channels) if tap.stride else (None, tap.channels)


def _layer_name(endpoint: str) -> str:
    """A Keras layer's name for an endpoint, which may hold slashes."""
    return "endpoint_" + re.sub(r"\W", "_", endpoint)


def _short_name(handle: str) -> str:
    """What stands in the feature key: a URL's path or a folder's name; the weights' digest tells models apart."""
    parts = urlsplit(handle)
    return parts.path.strip("/").replace("/", "-") if parts.scheme.startswith("http") else Path(handle).resolve().name
