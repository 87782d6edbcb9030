"""What the file of a saved model may be made of, checked before Keras opens it.

A model's configuration names the classes that it is built of, and Keras builds what is named. In a file from elsewhere
only the layers that heads consist of are accepted, and only arrays of numbers that lie in the file itself.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py

from heads.errors import RunError

_CONFIG, _WEIGHTS, _ABOUT = "config.json", "model.weights.h5", "metadata.json"
_OWN = frozenset(
    {
        "AttentionPooling",
        "Competing",
        "CropClip",
        "CropSound",
        "Dropout",
        "EachFrame",
        "KeepFrames",
        "MeanOfLogits",
        "MeanOverFrames",
        "Named",
        "NormaliseHeard",
        "OfClips",
        "SoundBlock",
        "Standardise",
        "TakeBack",
        "TapDropout",
        "TimeWindow",
        "TurnRound",
    }
)
_OWN_MODULES = frozenset(
    {"heads.layers", "heads.models.layers", "heads.models.pixel_layers", "heads.models.sound_layers"}
)
_KERAS = {
    "keras": frozenset({"DTypePolicy"}),
    "keras.initializers": frozenset(
        {"GlorotUniform", "HeNormal", "Ones", "Orthogonal", "RandomNormal", "VarianceScaling", "Zeros"}
    ),
    "keras.layers": frozenset(
        {
            "Activation",
            "Add",
            "AveragePooling2D",
            "BatchNormalization",
            "Concatenate",
            "Conv2D",
            "Conv3D",
            "Cropping2D",
            "Dense",
            "DepthwiseConv2D",
            "Dropout",
            "Flatten",
            "GRU",
            "GlobalAveragePooling2D",
            "Identity",
            "InputLayer",
            "LSTM",
            "MaxPooling2D",
            "MaxPooling3D",
            "Multiply",
            "ReLU",
            "Rescaling",
            "Reshape",
            "SeparableConv2D",
            "ZeroPadding2D",
        }
    ),
    "keras.src.applications.inception_resnet_v2": frozenset({"CustomScaleLayer"}),
    "keras.src.models.functional": frozenset({"Functional"}),
}
_TENSOR = "__keras_tensor__"
_MOST_CONFIG_BYTES = 64 << 20


def require_plain_model(
    content: bytes, name: str, remedy: str = "a packed model holds heads of Trapline and nothing else"
) -> None:
    """Make sure that opening a saved model runs nothing but Keras and our layers, and reads no other file.

    Args:
        content: of the `.keras` file.
        name: of the file, for messages.
        remedy: what a message ends in.

    Raises:
        RunError: it is no such file, or consists of something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {member.filename: member.file_size for member in archive.infolist()}
            if sorted(members) != sorted((_CONFIG, _WEIGHTS, _ABOUT)):
                raise _refused(name, remedy, f"it holds {', '.join(sorted(members))}")
            if members[_CONFIG] > _MOST_CONFIG_BYTES or members[_WEIGHTS] > 2 * len(content) + _MOST_CONFIG_BYTES:
                raise _refused(name, remedy, "it would unpack into far more than a head needs")
            config, weights = json.loads(archive.read(_CONFIG)), archive.read(_WEIGHTS)
        for part in _named_classes(config):
            _require_known(part, name, remedy)
        with h5py.File(io.BytesIO(weights), "r") as file:
            for path, link in _links(file):
                _require_numbers(file, path, link, name, remedy)
    except RunError:  # which is an error of files too
        raise
    except (
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        OSError,
        RuntimeError,
        RecursionError,
        NotImplementedError,
    ) as error:
        raise _refused(name, remedy, f"it cannot be read ({error})") from error


def _named_classes(value: Any) -> Iterator[dict[str, Any]]:
    """Every part of a configuration that names a class, or that Keras would take for more than plain values."""
    if isinstance(value, dict):
        if "class_name" in value or "module" in value or "registered_name" in value:
            yield value
        for each in value.values():
            yield from _named_classes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _named_classes(each)


def _require_known(part: dict[str, Any], name: str, remedy: str) -> None:
    kind, module, registered = part.get("class_name"), part.get("module"), part.get("registered_name")
    own = module in _OWN_MODULES and kind in _OWN and registered == f"trapline>{kind}"
    keras = kind in _KERAS.get(str(module), frozenset()) and registered in (None, kind)
    tensor = kind == _TENSOR and module is None and registered is None
    if not (own or keras or tensor):
        raise _refused(name, remedy, f"it is built of {module or 'something'}.{kind}, of which no head consists")


def _links(group: h5py.Group, above: str = "") -> Iterator[tuple[str, Any]]:
    """The path and the link of everything in a file, without following links out of it."""
    for key in group:
        path, link = f"{above}/{key}", group.get(key, getlink=True)
        yield path, link
        if isinstance(link, h5py.HardLink) and group.get(key, getclass=True) is h5py.Group:
            yield from _links(group[key], path)


def _require_numbers(file: h5py.File, path: str, link: Any, name: str, remedy: str) -> None:
    if not isinstance(link, h5py.HardLink):
        raise _refused(name, remedy, f"its {path} leads elsewhere")
    found = file[path]
    if isinstance(found, h5py.Dataset) and (found.dtype.kind not in "fiub" or found.external or found.is_virtual):
        raise _refused(name, remedy, f"its {path} is no array of numbers in the file itself")


def _refused(name: str, remedy: str, why: str) -> RunError:
    return RunError(f"{name}: not opened, since {why}; {remedy}")
