"""A person's own network in an ONNX file as a backbone, read and run by OpenVINO: its tensors are the taps.

Nothing in the file says what its pixels are meant to be, so that has to be told: by `--preprocessing`, or by a YAML
file of the same name beside it. Maps are averaged over the picture; of the tokens of a transformer the first, its
summary of the picture, and the mean of those of the picture's patches are kept.
"""

import difflib
import functools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from featurize.backbones.openvino_library import import_openvino
from featurize.backbones.spec import Backbone, FileWeights, Preprocessing, Tap
from featurize.errors import BackboneError, SettingsError, WeightsError
from store.config import StrictModel, load_yaml
from store.errors import ConfigError

_USUAL_PX = 224
_BUILDER = "featurize.backbones.builders.onnx_file:onnx_network"
_COLOURS = 3
# What pixels of 0 to 255 become, by the names that people know them by: (mean, scale) of red, green and blue.
PREPROCESSINGS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "clip": ((122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "signed": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "raw": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
# As it stands in a feature key, from which it can be read again.
_SPELT = re.compile(r"(?P<order>rgb|bgr) mean=(?P<mean>[^ ]+) scale=(?P<scale>[^ ]+)")


class OnnxSettings(StrictModel):
    """What a YAML file beside an ONNX file may say.

    Attributes:
        preprocessing: a name out of PREPROCESSINGS; else `mean` and `scale` are needed.
        mean: of red, green and blue, in grey levels 0 to 255.
        scale: of them, in grey levels.
        order: of the channels that the network takes.
        input_px: side of its square input, where the file leaves that open.
        taps: tensors to keep, in the order of the feature columns; those that the network ends in if None.
        prefix_tokens: tokens before those of patches: the class token, and registers where there are some.
    """

    preprocessing: str | None = None
    mean: tuple[float, float, float] | None = None
    scale: tuple[float, float, float] | None = None
    order: Literal["rgb", "bgr"] = "rgb"
    input_px: int | None = None
    taps: tuple[str, ...] | None = None
    prefix_tokens: int = 1


def onnx_file_backbone(
    path: Path, taps: Sequence[str] = (), *, input_px: int | None = None, preprocessing: str | None = None
) -> Backbone:
    """The row of the network in `path`, which is read to see what it holds.

    Args:
        path: an `.onnx` file of a network with one picture as its input, (B, 3, H, W) or (B, H, W, 3).
        taps: tensors: maps, tokens (B, N, C) or vectors (B, C), in the order of the feature columns.
        input_px: side of its input, where the file leaves that open.
        preprocessing: a name out of PREPROCESSINGS, or how one stands in a feature key; the YAML's if None.

    Raises:
        WeightsError: there is no such file, or OpenVINO cannot read it.
        BackboneError: it has no such tensor, or takes something other than one picture.
        SettingsError: it is not told what its pixels are meant to be.
    """
    told = _settings_beside(path)
    rule = _preprocessing(path, told, preprocessing)
    px = _side(path, input_px or told.input_px)
    found = onnx_file_taps(path, input_px=px)
    wanted = list(taps) or list(told.taps or ()) or _ends(path, found)
    rows: list[Tap] = []
    for asked in wanted:
        tensor, part = _split(asked)
        if tensor not in found:
            near = difflib.get_close_matches(tensor, found, n=3) or list(found)[-3:]
            raise BackboneError(f"{path} has no tensor '{tensor}' to tap, expected something like {', '.join(near)}")
        rows += _taps_of(path, tensor, part, found[tensor], told.prefix_tokens)
    return Backbone(
        name=f"onnx:{path.stem}",
        input_px=px,
        preprocessing=rule,
        taps=tuple(rows),
        builder=_BUILDER,
        weights=FileWeights(expected="an .onnx file", path=str(path)),
        parameters=_parameters(path),
        licence="its own",
        reference=path.name,
        any_shape=False,
        kind="onnx",
    )


def onnx_file_taps(path: Path, *, input_px: int | None = None) -> dict[str, tuple[int | None, ...]]:
    """The tensors that can be tapped: name to shape, without the batch: (C), tokens (N, C), maps (C, H, W) or
    (H, W, C).
    """
    model = _sized(path, 1, _side(path, input_px or _settings_beside(path).input_px))
    shapes: dict[str, tuple[int | None, ...]] = {}
    for operation in model.get_ordered_ops():
        if operation.get_type_name() in ("Parameter", "Constant", "Result"):
            continue
        for output in operation.outputs():
            shape = output.get_partial_shape()
            floats = output.get_element_type().is_real()
            if floats and shape.is_static and len(shape) in (2, 3, 4) and shape[0] == 1:
                shapes |= {name: tuple(shape.to_shape()[1:]) for name in sorted(output.get_names())}
    return shapes


def onnx_network(backbone: Backbone, weights: Path | None, px: int, batch: int) -> Any:
    """The network as OpenVINO runs it: uint8 (batch, px, px, 3), RGB, to float32 (batch, D).

    Raises:
        WeightsError: an untrained one was asked for; the file is its weights.
        RuntimeError: the file does not allow a batch of that size.
    """
    if weights is None:
        raise WeightsError(f"{backbone.name} cannot be untrained: the file is its weights")
    openvino = import_openvino()
    import openvino.opset13 as operations
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    model = _sized(weights, batch, px)
    layout = _layout(weights)
    kept = [_pooled(operations, _tensor(model, tap.layer), tap, layout) for tap in backbone.taps]
    features = operations.concat(kept, 1) if len(kept) > 1 else kept[0]
    found = openvino.Model([operations.result(features)], model.get_parameters(), "features")
    rule, step = backbone.preprocessing, PrePostProcessor(found)
    step.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    step.input().model().set_layout(Layout(layout))
    steps = step.input().preprocess().convert_element_type(Type.f32)
    if rule.order == "bgr":
        steps = steps.reverse_channels()
    steps.mean(list(rule.mean)).scale(list(rule.scale))
    step.output().tensor().set_element_type(Type.f32)
    return step.build()


def _pooled(operations: Any, output: Any, tap: Tap, layout: str) -> Any:
    """A tensor as float32 columns (B, C)."""
    import numpy as np

    values = operations.convert(output, "f32")
    shape = output.get_partial_shape()
    if len(shape) == 4:
        axes = [2, 3] if _channel_axis(tuple(shape.to_shape()), layout) == 1 else [1, 2]
        return operations.reduce_mean(values, np.array(axes, np.int64))
    if len(shape) == 3:
        _, part = _split(tap.name)
        first, rest = int(part.rstrip(":")), part.endswith(":")
        last = np.iinfo(np.int64).max if rest else first + 1
        some = operations.slice(values, *(np.array([each], np.int64) for each in (first, last, 1, 1)))
        return operations.reduce_mean(some, np.array([1], np.int64))
    return values


def _channel_axis(shape: tuple[int, ...], layout: str) -> int:
    """Where the channels of a map (B, ., ., .) stand: the side beside two equal ones, else as in the input."""
    _, one, two, three = shape
    if two == three != one:
        return 1
    if one == two != three:
        return 3
    return 1 if layout == "NCHW" else 3


def _taps_of(path: Path, tensor: str, part: str, shape: tuple[int | None, ...], prefix: int) -> list[Tap]:
    """The rows of one tensor: one, or for tokens the first and the mean of the others."""
    if len(shape) != 2:
        if part:
            raise BackboneError(f"{path}: '{tensor}[{part}]': only tokens (N, C) have parts, it is {shape}")
        axis = 0 if len(shape) == 1 else _channel_axis((1, *map(int, shape)), _layout(path)) - 1  # type: ignore[arg-type]
        return [Tap(name=tensor, layer=tensor, channels=int(shape[axis] or 0), stride=0)]
    count, channels = int(shape[0] or 0), int(shape[1] or 0)
    parts = [part] if part else [*(["0"] if prefix else []), f"{prefix}:"]
    for each in parts:
        if int(each.rstrip(":")) >= count:
            raise BackboneError(f"{path}: '{tensor}[{each}]': there are {count} tokens; set prefix_tokens in its YAML")
    return [Tap(name=f"{tensor}[{each}]", layer=tensor, channels=channels, stride=0) for each in parts]


def _split(asked: str) -> tuple[str, str]:
    """A tensor's name, and which of its tokens: `x[0]` is the first, `x[5:]` the mean from the sixth on."""
    found = re.fullmatch(r"(?P<tensor>.+)\[(?P<part>\d+:?)\]", asked)
    return (found["tensor"], found["part"]) if found else (asked, "")


def _ends(path: Path, found: dict[str, tuple[int | None, ...]]) -> list[str]:
    """The tensors that the network ends in.

    Raises:
        BackboneError: none of them can be tapped.
    """
    names = [name for output in _read(path).outputs for name in sorted(output.get_names())[:1]]
    usable = [name for name in names if name in found]
    if not usable:
        raise BackboneError(
            f"{path} ends in {', '.join(names) or 'nothing'}, which is no map, token or vector; name --taps"
        )
    return usable


def _tensor(model: Any, name: str) -> Any:
    for operation in model.get_ordered_ops():
        for output in operation.outputs():
            if operation.get_type_name() != "Result" and name in output.get_names():
                return output
    raise BackboneError(f"there is no tensor '{name}'")


def _preprocessing(path: Path, told: OnnxSettings, asked: str | None) -> Preprocessing:
    name = asked or told.preprocessing
    spelt = _SPELT.fullmatch(name or "")
    if spelt is not None:
        mean, scale = (tuple(map(float, spelt[part].split(","))) for part in ("mean", "scale"))
        return _spelt(mean, scale, "bgr" if spelt["order"] == "bgr" else "rgb")
    if name is not None:
        if name not in PREPROCESSINGS:
            raise SettingsError(
                f"{path.name}: preprocessing '{name}' is unknown, expected one of {', '.join(PREPROCESSINGS)}; or "
                f"write mean and scale into {path.with_suffix('.yaml').name}"
            )
        return _spelt(*PREPROCESSINGS[name], told.order)
    if told.mean is not None and told.scale is not None:
        return _spelt(told.mean, told.scale, told.order)
    raise SettingsError(
        f"{path.name}: an ONNX file does not say what its pixels are meant to be; give --preprocessing "
        f"{'|'.join(PREPROCESSINGS)}, or write mean and scale (of grey levels 0 to 255) into "
        f"{path.with_suffix('.yaml').name}"
    )


def _spelt(mean: Sequence[float], scale: Sequence[float], order: Literal["rgb", "bgr"]) -> Preprocessing:
    if len(mean) != _COLOURS or len(scale) != _COLOURS or not all(scale):
        raise SettingsError(f"mean {list(mean)} and scale {list(scale)}: expected three numbers each, no scale of 0")
    words = (
        ",".join(f"{each:g}" if each == float(f"{each:g}") else repr(each) for each in part) for part in (mean, scale)
    )
    name = "{order} mean={} scale={}".format(*words, order=order)
    # Told as red, green and blue, applied in the network's order.
    turn = slice(None, None, -1 if order == "bgr" else 1)
    (a, b, c), (x, y, z) = list(mean)[turn], list(scale)[turn]
    return Preprocessing(name=name, mean=(a, b, c), scale=(x, y, z), order=order)


def _settings_beside(path: Path) -> OnnxSettings:
    for ending in (".yaml", ".yml"):
        beside = path.with_suffix(ending)
        if beside.is_file():
            try:
                return load_yaml(beside, OnnxSettings)
            except ConfigError as error:
                raise SettingsError(str(error)) from error
    return OnnxSettings()


def _layout(path: Path) -> str:
    """Where the colours of the input stand.

    Raises:
        BackboneError: it takes something other than one picture.
    """
    inputs = _read(path).inputs
    shape = inputs[0].get_partial_shape() if len(inputs) == 1 else None
    if shape is not None and len(shape) == 4:
        if shape[1].is_static and shape[1].get_length() == _COLOURS:
            return "NCHW"
        if shape[3].is_static and shape[3].get_length() == _COLOURS:
            return "NHWC"
    told = ", ".join(str(each.get_partial_shape()) for each in inputs)
    raise BackboneError(f"{path} takes {told}, expected one picture, (B, 3, H, W) or (B, H, W, 3)")


def _side(path: Path, asked: int | None) -> int:
    """The side of the square that it sees.

    Raises:
        BackboneError: it is made for pictures that are no squares, or for squares of another side.
    """
    layout, shape = _layout(path), _read(path).inputs[0].get_partial_shape()
    height, width = (shape[layout.index(axis)] for axis in "HW")
    if height.is_dynamic or width.is_dynamic:
        return asked or _USUAL_PX
    if height.get_length() != width.get_length():
        raise BackboneError(f"{path} takes pictures of {height.get_length()} x {width.get_length()}, expected squares")
    fixed = int(height.get_length())
    if asked is not None and asked != fixed:
        raise BackboneError(f"{path} is made for squares of {fixed} pixels; leave --input-px {asked} out")
    return fixed


def _parameters(path: Path) -> int:
    constants = (each for each in _read(path).get_ordered_ops() if each.get_type_name() == "Constant")
    return sum(math.prod(map(int, each.output(0).get_shape())) for each in constants)


def _sized(path: Path, batch: int, px: int) -> Any:
    """The network for pictures of one size."""
    model = _read(path).clone()
    layout = _layout(path)
    sides = {"N": batch, "C": _COLOURS, "H": px, "W": px}
    try:
        model.reshape([sides[axis] for axis in layout])
    except RuntimeError as error:
        if batch != 1:
            raise
        raise BackboneError(
            f"{path} cannot see squares of {px} pixels ({_line(error)}); give another --input-px"
        ) from error
    return model


@functools.lru_cache(maxsize=4)
def _read(path: Path) -> Any:
    if path.suffix != ".onnx" or not path.is_file():
        raise WeightsError(f"{path}: there is no such .onnx file; export the network to ONNX first")
    try:
        return import_openvino().Core().read_model(str(path))
    except RuntimeError as error:
        raise WeightsError(f"{path}: OpenVINO cannot read it ({_line(error)})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
