"""What every network of the registry promises, held against the network itself, without pretrained weights."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import pytest
from golden_pixels import golden_pixels
from numpy.typing import NDArray

from featurize.backbones.registry import BACKBONES, find_backbone
from featurize.backbones.spec import Backbone, FileWeights, KerasWeights, resolve
from featurize.backbones.weights import RANDOM_WEIGHTS, locate_weights
from featurize.runtime.extractor import build_extractor
from featurize.runtime.runners import make_runner, mixed_precision

NETWORKS = [name for name, backbone in BACKBONES.items() if backbone.kind == "network"]
QUICK = ("efficientnet_lite0", "vgg16", "mobilenet_v3_large")
SIDE = 96  # what all networks take; 75 is the least that the Inceptions do

# Layers of keras.applications whose activations our taps are; `<` for what goes into the layer.
CUTS = {
    "resnet50": ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
    "resnet152": ("conv2_block3_out", "conv3_block8_out", "conv4_block36_out", "conv5_block3_out"),
    "nasnet": ("reduction_concat_reduce_6", "reduction_concat_reduce_12", "normal_concat_18"),
    "nasnet_mobile": ("reduction_concat_reduce_4", "reduction_concat_reduce_8", "normal_concat_12"),
    "inception_resnet_v2": ("block35_10_ac", "block17_20_ac", "<conv_7b"),
}


# The formulas that were published with the weights, spelled out for a pixel (r, g, b).
PUBLISHED = {
    "(x-127)/128": lambda r, g, b: ((r - 127) / 128, (g - 127) / 128, (b - 127) / 128),
    "x/127.5-1": lambda r, g, b: (r / 127.5 - 1, g / 127.5 - 1, b / 127.5 - 1),
    "x/128-1": lambda r, g, b: (r / 128 - 1, g / 128 - 1, b / 128 - 1),
    "(x/255-mean)/std, ImageNet": lambda r, g, b: (
        (r / 255 - 0.485) / 0.229,
        (g / 255 - 0.456) / 0.224,
        (b / 255 - 0.406) / 0.225,
    ),
    "BGR x-mean, ImageNet": lambda r, g, b: (b - 103.939, g - 116.779, r - 123.68),
}


def of_each(names: Iterable[str]) -> list[Any]:
    """A case of each network; one worker takes those of the same network, one after the other."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.xdist_group(f"network {name}"), *(() if name in QUICK else (pytest.mark.slow,))],
            id=name,
        )
        for name in names
    ]


def pictures(height: int, width: int) -> NDArray[np.uint8]:
    """Two different pictures (2, H, W, 3)."""
    picture = golden_pixels(height, width)
    return np.stack([picture, picture[::-1, :, ::-1]])


def by_tap(
    found: NDArray[np.float32], wanted: NDArray[np.float32], backbone: Backbone
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
    """What was found and what was wanted of each tap, and the root mean square of the latter."""
    start = 0
    for tap in backbone.taps:
        ours, theirs = (values[:, start : start + tap.channels].astype(np.float64) for values in (found, wanted))
        yield ours, theirs, float(np.sqrt((theirs**2).mean()))
        start += tap.channels


def worst_disagreement(found: NDArray[np.float32], wanted: NDArray[np.float32], backbone: Backbone) -> float:
    """The largest difference, relative to the value or, for small values, to the tap's root mean square."""
    return max(
        float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), size)).max())
        for ours, theirs, size in by_tap(found, wanted, backbone)
    )


def usual_disagreement(found: NDArray[np.float32], wanted: NDArray[np.float32], backbone: Backbone) -> float:
    """The root mean square difference relative to the root mean square of the values, in the worst tap."""
    return max(
        float(np.sqrt(((ours - theirs) ** 2).mean())) / size for ours, theirs, size in by_tap(found, wanted, backbone)
    )


@dataclass(frozen=True, kw_only=True)
class Built:
    """A network as the registry builds it, and its extractor."""

    network: keras.Model
    extractor: keras.Model


@lru_cache(maxsize=1)
def built(name: str) -> Built:
    """A network of the registry, built once for the tests of it.

    What is a network of keras.applications too has the weights of `plain` from a file; the others are untrained.
    """
    backbone = find_backbone(name)
    networks: list[keras.Model] = []

    def build(*given: Any) -> keras.Model:
        networks.append(resolve(backbone)(*given))
        return networks[-1]

    with patch("featurize.runtime.extractor.resolve", lambda _: build), TemporaryDirectory() as folder:
        weights = RANDOM_WEIGHTS
        if name in CUTS:
            path = Path(folder, "plain.weights.h5")
            plain(name, None if backbone.any_shape else SIDE).network.save_weights(path)
            weights = locate_weights(backbone, path)
        extractor = build_extractor(backbone, weights, SIDE)
    (network,) = networks
    return Built(network=network, extractor=extractor)


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A network of keras.applications, untrained, and what Keras would have fetched to train it."""

    network: keras.Model
    asked: dict[str, object]


@lru_cache(maxsize=1)
def plain(name: str, side_px: int | None) -> Plain:
    """What keras.applications builds when it is asked for ImageNet weights, up to their download."""
    asked: dict[str, object] = {}

    def get_file(fname: str, origin: str, **settings: object) -> str:
        asked.update(fname=fname, origin=origin, digest=settings["file_hash"], folder=settings["cache_subdir"])
        return fname

    # A network of which only that is looked at needs no numbers.
    drawn = contextlib.nullcontext() if name in CUTS else keras.StatelessScope(initialize_variables=False)
    with (
        drawn,
        patch("keras.src.utils.file_utils.get_file", get_file),
        patch("keras.Model.load_weights", lambda network, path: asked.update(loaded=path)),
    ):
        build = getattr(keras.applications, find_backbone(name).architecture)
        network = build(include_top=False, input_shape=(side_px, side_px, 3))
    return Plain(network=network, asked=asked)


@pytest.fixture(scope="module", autouse=True)
def networks_are_let_go() -> Iterator[None]:
    yield
    built.cache_clear()
    plain.cache_clear()


def check_tap_shapes(tapped: keras.Model, network: keras.Model, backbone: Backbone, side_px: int | None) -> None:
    """Channels as declared, and strides: where the picture grows by 64 px, a map grows by 64 / stride."""
    # The network may go on behind its last tap.
    assert backbone.parameters in (tapped.count_params(), network.count_params())
    small = tapped.compute_output_shape((1, SIDE, SIDE, 3))
    for index, tap in enumerate(backbone.taps):
        if side_px is None:
            large = tapped.compute_output_shape((1, SIDE + 64, SIDE, 3))
            assert large[index][1] - small[index][1] == 64 // tap.stride, tap.name
            assert large[index][2:] == small[index][2:] == (small[index][1], tap.channels), tap.name
        else:
            assert small[index][1:] == (*[math.ceil(SIDE / tap.stride)] * 2, tap.channels), tap.name


@pytest.mark.parametrize("name", of_each(NETWORKS))
def test_a_network_is_what_its_row_says(name: str, tmp_path: Path) -> None:
    backbone = find_backbone(name)
    side_px = None if backbone.any_shape else SIDE
    extractor = built(name).extractor
    (tapped,) = (layer for layer in extractor.layers if isinstance(layer, keras.Model))
    check_tap_shapes(tapped, built(name).network, backbone, side_px)
    pixels = pictures(SIDE, SIDE if side_px else SIDE + 32)
    run = make_runner(extractor, "tensorflow")
    features = run(pixels)
    assert features.shape == (2, backbone.dim)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert not np.array_equal(features[0], features[1])
    np.testing.assert_array_equal(run(pixels), features)
    path = tmp_path / "extractor.keras"
    extractor.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.to_json() == extractor.to_json()
    for found, wanted in zip(loaded.get_weights(), extractor.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    # Layer by layer: tracing a graph of a thousand layers once more would take longer than all else.
    np.testing.assert_allclose(loaded(pixels, training=False).numpy(), features, rtol=1e-4, atol=1e-5)
    other_runtime = make_runner(extractor, "openvino")(pixels)
    assert worst_disagreement(other_runtime, features, backbone) < 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_preprocessing_is_the_published_formula(name: str) -> None:
    """On a ramp of all grey levels that differs by channel."""
    rule = find_backbone(name).preprocessing
    red = np.arange(256.0)
    green, blue = np.roll(red, 85), np.roll(red, 170)
    pixels = np.stack([red, green, blue], axis=-1)
    ordered = pixels[:, ::-1] if rule.order == "bgr" else pixels
    ours = (ordered - np.array(rule.mean)) / np.array(rule.scale)
    np.testing.assert_allclose(ours, np.stack(PUBLISHED[rule.name](red, green, blue), axis=-1), atol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vgg16", "mobilenet_v3_large"])
def test_the_extractor_applies_its_preprocessing(name: str) -> None:
    """What reaches the network in the built graph, on the ramp, for each order of channels."""
    backbone = find_backbone(name)
    extractor = build_extractor(backbone, RANDOM_WEIGHTS)
    red = np.arange(256.0).reshape(1, 16, 16)
    pixels = np.stack([red, np.roll(red, 5, axis=2), np.roll(red, 9, axis=2)], axis=-1)
    seen = keras.Model(extractor.input, extractor.get_layer("preprocessing").output)(pixels.astype(np.uint8))
    wanted = np.stack(PUBLISHED[backbone.preprocessing.name](*np.moveaxis(pixels, -1, 0)), axis=-1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(seen), wanted, atol=1e-4)


MODULES = {
    "NASNetLarge": "nasnet",
    "NASNetMobile": "nasnet",
    "ResNet152": "resnet",
    "ResNet50": "resnet",
    "InceptionResNetV2": "inception_resnet_v2",
    "InceptionV3": "inception_v3",
    "Xception": "xception",
    "VGG16": "vgg16",
    "DenseNet201": "densenet",
}


@pytest.mark.parametrize("architecture", MODULES)
def test_preprocessing_equals_that_of_keras(architecture: str) -> None:
    (backbone,) = (row for row in BACKBONES.values() if row.architecture == architecture)
    rule = backbone.preprocessing
    pixels = golden_pixels(8, 8)[None].astype(np.float32)
    module = getattr(keras.applications, MODULES[architecture])
    ordered = pixels[..., ::-1] if rule.order == "bgr" else pixels
    ours = (ordered - np.array(rule.mean, np.float32)) / np.array(rule.scale, np.float32)
    np.testing.assert_allclose(ours, module.preprocess_input(pixels.copy()), atol=1e-4)


def test_an_untrained_network_is_the_same_every_time() -> None:
    backbone = find_backbone("mobilenet_v3_large")
    one, two = (make_runner(build_extractor(backbone, RANDOM_WEIGHTS), "tensorflow") for _ in range(2))
    np.testing.assert_array_equal(one(pictures(SIDE, SIDE)), two(pictures(SIDE, SIDE)))


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")
@pytest.mark.parametrize(
    "name", of_each(name for name in NETWORKS if isinstance(BACKBONES[name].weights, KerasWeights))
)
def test_weights_are_those_that_keras_publishes(name: str) -> None:
    """Keras is asked for its ImageNet weights; the file, the URL and the digest that it would fetch are the table's."""
    backbone = find_backbone(name)
    weights = backbone.weights
    assert isinstance(weights, KerasWeights)
    assert plain(name, None if backbone.any_shape else SIDE).asked == {
        "fname": weights.file,
        "origin": weights.url,
        "digest": weights.digest,
        "folder": "models",
        "loaded": weights.file,
    }


@pytest.mark.parametrize("name", of_each(CUTS))
def test_taps_equal_a_plain_keras_model_cut_at_the_same_layers(name: str) -> None:
    """A plain keras.applications network with its own preprocessing; its weights reach ours through a file."""
    backbone = find_backbone(name)
    network = plain(name, None if backbone.any_shape else SIDE).network
    ends = [network.get_layer(cut[1:]).input if cut[0] == "<" else network.get_layer(cut).output for cut in CUTS[name]]
    pixels = pictures(SIDE, SIDE)
    module = getattr(keras.applications, MODULES[backbone.architecture])
    # Layer by layer, both: that a compiled extractor computes the same is held against each network above.
    maps = keras.Model(network.input, ends)(module.preprocess_input(pixels.astype(np.float32)), training=False)
    wanted = np.concatenate([activations.numpy().mean(axis=(1, 2)) for activations in maps], axis=1)
    found = built(name).extractor(pixels, training=False).numpy()
    assert found.shape == wanted.shape == (2, backbone.dim)
    assert worst_disagreement(found, wanted, backbone) < 1e-4


def test_mixed_precision_changes_features_little() -> None:
    """What a GPU would compute, on this processor, with trained weights: float16 activations, float32 features.

    Processors add up float16 in ways of their own, by which the worst of thousands of columns is off by 4 to 5 %; all
    of them together are off by well under a hundredth everywhere.
    """
    backbone = find_backbone("efficientnet_lite0")
    weights = locate_weights(backbone)
    pixels = pictures(SIDE, SIDE)
    full = make_runner(build_extractor(backbone, weights), "tensorflow")(pixels)
    with mixed_precision():
        extractor = build_extractor(backbone, weights)
    assert extractor.get_layer(index=-2).dtype == "float32"
    half = make_runner(extractor, "tensorflow")(pixels)
    assert half.dtype == np.float32
    assert 0 < usual_disagreement(half, full, backbone) < 0.01
    assert worst_disagreement(half, full, backbone) < 0.1
    assert keras.config.dtype_policy().name == "float32"


def test_the_published_dimensions_of_the_third_place() -> None:
    dims = {"nasnet": 8064, "resnet152": 3840, "inception_v4": 2944, "inception_resnet_v2": 3488}
    assert {name: find_backbone(name).dim for name in dims} == dims
    sizes = {"nasnet": 331, "resnet152": 404, "inception_v4": 404, "inception_resnet_v2": 404}
    assert {name: find_backbone(name).input_px for name in sizes} == sizes


def test_names_and_aliases_are_unique_and_rows_complete() -> None:
    names = [word for row in BACKBONES.values() for word in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    for row in BACKBONES.values():
        assert row.licence
        assert row.reference
        assert len({tap.name for tap in row.taps}) == len(row.taps)
        assert all(tap.layer or row.kind != "network" for tap in row.taps)
        if isinstance(row.weights, KerasWeights):
            assert len(row.weights.digest) in (32, 64)
            assert row.weights.url.startswith("https://")
        elif isinstance(row.weights, FileWeights):
            assert row.weights.expected


def test_an_alias_is_the_same_backbone() -> None:
    assert find_backbone("nasnet_large") is find_backbone("nasnet")
