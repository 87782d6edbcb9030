"""A person's own Keras model as a backbone: layers of a `.keras` file are the taps. It sees grey levels 0 to 255."""

import difflib
import functools
from collections.abc import Sequence
from pathlib import Path

import keras

from featurize.backbones.spec import Backbone, FileWeights, Preprocessing, Tap
from featurize.errors import BackboneError, WeightsError

_PIXELS = Preprocessing(name="0..255", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
_USUAL_PX = 224


def keras_file_backbone(path: Path, taps: Sequence[str], *, input_px: int | None = None) -> Backbone:
    """The row of the model in `path`, which is loaded to see what it holds.

    Args:
        path: a `.keras` file of a functional or sequential model with one picture as its input.
        taps: layers whose output is a map (B, H, W, C) or a vector (B, C), in the order of the feature columns.
        input_px: side of its input; what the model is made for, or 224, if None.

    Raises:
        WeightsError: there is no such file, or Keras cannot load it.
        BackboneError: it has no such layer, or takes something other than one picture.
    """
    network = _load(path)
    shape = network.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != 3 or shape[1] != shape[2]:
        raise BackboneError(f"{path} takes {shape}, expected one picture (B, H, W, 3) of any shape or a square")
    found = keras_file_taps(path)
    if not taps:
        raise BackboneError(f"{path} needs --taps LAYER,LAYER; see --list-taps for its layers")
    for name in taps:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=3) or list(found)[-3:]
            raise BackboneError(f"{path} has no layer {name!r} to tap, expected something like {', '.join(near)}")
    return Backbone(
        name=f"keras:{path.stem}",
        input_px=shape[1] or input_px or _USUAL_PX,
        preprocessing=_PIXELS,
        taps=tuple(Tap(name=name, layer=name, channels=found[name][-1] or 0, stride=0) for name in taps),
        builder="featurize.backbones.builders.keras_file:keras_file_network",
        weights=FileWeights(expected="a .keras file", path=str(path)),
        parameters=network.count_params(),
        licence="its own",
        reference=str(path.name),
        any_shape=shape[1] is None,
    )


def keras_file_taps(path: Path) -> dict[str, tuple[int | None, ...]]:
    """The layers that can be tapped: name to shape, (H, W, channels) or (channels); None where it varies."""
    shapes: dict[str, tuple[int | None, ...]] = {}
    for layer in _load(path).layers:
        output = layer.output
        if not isinstance(output, list) and len(output.shape) in (2, 4) and output.shape[-1]:
            shapes[layer.name] = tuple(output.shape[1:])
    return shapes


def keras_file_network(backbone: Backbone, weights: Path | None, _side_px: int | None) -> keras.Model:
    """The model of the file.

    Raises:
        WeightsError: an untrained one was asked for; the file is its weights.
    """
    if weights is None:
        raise WeightsError(f"{backbone.name} cannot be untrained: the file is its weights")
    return _load(weights)


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> keras.Model:
    if path.suffix != ".keras" or not path.is_file():
        raise WeightsError(f"{path}: there is no such .keras file; save the model with `model.save('name.keras')`")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds for a damaged file or an unknown layer.
        raise WeightsError(f"{path}: Keras cannot load it ({' '.join(str(error).split())[:200]})") from error
