"""ONNX files as backbones: pixels as they were meant, taps by name, tokens pooled, any layout and batch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from golden_pixels import golden_pixels
from indexed_clips import write_indexed_clip
from numpy.typing import NDArray
from onnx import TensorProto, helper
from typer.testing import CliRunner
from written_onnx import CLASS_TOKEN, WEIGHT, write_onnx

import featurize
from featurize.backbones.registry import find_backbone
from featurize.backbones.resolve import resolve_backbones, tap_choices
from featurize.backbones.spec import Backbone
from featurize.backbones.weights import content_sha256, locate_weights
from featurize.cli import app
from featurize.errors import BackboneError, SettingsError, WeightsError
from featurize.pipeline.for_run import sources_of
from featurize.pipeline.networks import runner_of
from featurize.pipeline.source import make_source
from featurize.views.sampling import Sampling
from store import FeatureStore

PIXELS = np.stack([golden_pixels(32, 32), golden_pixels(32, 32)[::-1].copy(), 255 - golden_pixels(32, 32)])
IMAGENET = np.array([[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]])


def row(path: Path, taps: str | None = None, **settings: Any) -> Backbone:
    (found,) = resolve_backbones([f"onnx:{path}"], taps, **{"preprocessing": "raw", "input_px": 32, **settings})
    return found


def features(backbone: Backbone, pixels: NDArray[np.uint8] = PIXELS) -> NDArray[np.float32]:
    source = make_source(backbone, locate_weights(backbone), input_px=32)
    return runner_of(source, "auto")(pixels)


def expected(pixels: NDArray[np.uint8], mean: Sequence[float] = (0, 0, 0), scale: Sequence[float] = (1, 1, 1)) -> Any:
    return ((pixels.mean(axis=(1, 2)) - np.array(mean)) / np.array(scale)) @ WEIGHT.T


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("side", ["side", 32])
def test_maps_vectors_and_tokens_are_pooled_in_the_order_that_was_asked_for(
    tmp_path: Path, layout: str, side: int | str
) -> None:
    backbone = row(write_onnx(tmp_path / "net.onnx", layout=layout, side=side), "vector,tokens,map,tokens[3]")
    assert [(tap.name, tap.channels) for tap in backbone.taps] == [
        *(("vector", 5), ("tokens[0]", 5), ("tokens[1:]", 5), ("map", 5), ("tokens[3]", 5)),
    ]
    assert (backbone.name, backbone.input_px, backbone.any_shape) == ("onnx:net", 32, False)
    found = features(backbone)
    wanted = expected(PIXELS)
    for column in (0, 10, 15):
        np.testing.assert_allclose(found[:, column : column + 5], wanted, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(found[:, 5:10], np.tile(CLASS_TOKEN, (3, 1)))
    np.testing.assert_allclose(found[:, 20:], PIXELS[:, 0, 2].astype(float) @ WEIGHT.T, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "mean", "scale"),
    [
        ("imagenet", *IMAGENET),
        ("unit", (0, 0, 0), (255, 255, 255)),
        ("signed", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        ("rgb mean=1,2,3 scale=4,5,6", (1, 2, 3), (4, 5, 6)),
    ],
)
def test_pixels_become_what_they_were_meant_to_be(tmp_path: Path, name: str, mean: Any, scale: Any) -> None:
    backbone = row(write_onnx(tmp_path / "net.onnx"), "vector", preprocessing=name)
    np.testing.assert_allclose(features(backbone), expected(PIXELS, mean, scale), rtol=1e-4, atol=1e-4)
    again = row(tmp_path / "net.onnx", "vector", preprocessing=backbone.preprocessing.name)
    assert again == backbone  # it can be read out of a feature key


def test_a_yaml_file_beside_it_says_all_that(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx")
    (tmp_path / "net.yaml").write_text(
        "mean: [10, 20, 30]\nscale: [2, 4, 8]\norder: bgr\ninput_px: 32\ntaps: [tokens]\nprefix_tokens: 3\n"
    )
    (backbone,) = resolve_backbones([f"onnx:{path}"], None)
    assert backbone.preprocessing.name == "bgr mean=10,20,30 scale=2,4,8"
    assert [tap.name for tap in backbone.taps] == ["tokens[0]", "tokens[3:]"]
    turned = (PIXELS.astype(float) - [10, 20, 30]) / [2, 4, 8]
    patches = turned[..., ::-1].reshape(3, -1, 3)[:, 2:].mean(axis=1)
    np.testing.assert_allclose(features(backbone)[:, 5:], patches @ WEIGHT.T, rtol=1e-4, atol=1e-3)
    assert row(path, preprocessing=backbone.preprocessing.name).preprocessing == backbone.preprocessing
    (tmp_path / "net.yaml").write_text("means: [1, 2, 3]\n")
    with pytest.raises(SettingsError, match=r"net\.yaml: means: no such setting"):
        resolve_backbones([f"onnx:{path}"], None)


def test_without_taps_what_the_network_ends_in_is_kept(tmp_path: Path) -> None:
    assert [tap.name for tap in row(write_onnx(tmp_path / "net.onnx")).taps] == ["tokens[0]", "tokens[1:]", "vector"]


def test_a_file_that_allows_no_batches_sees_one_picture_after_the_other(tmp_path: Path) -> None:
    fixed = row(write_onnx(tmp_path / "one.onnx", batch=1, reshape=1, side=32), "tokens,vector")
    free = row(write_onnx(tmp_path / "many.onnx"), "tokens,vector")
    np.testing.assert_allclose(features(fixed), features(free), rtol=1e-5, atol=1e-4)


def test_the_second_start_gives_the_same_bits_out_of_what_was_kept(tmp_path: Path) -> None:
    backbone = row(write_onnx(tmp_path / "net.onnx"), "map")
    first = features(backbone)
    assert len(list((tmp_path / "cache").rglob("*.blob"))) == 1
    assert features(backbone).tobytes() == first.tobytes()


def test_numbers_in_a_file_beside_it_count_for_its_digest(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx")
    alone = content_sha256(path)
    (tmp_path / "net.onnx.data").write_bytes(b"1")
    one = content_sha256(path)
    (tmp_path / "net.onnx.data").write_bytes(b"2")
    assert len({alone, one, content_sha256(path)}) == 3


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        (
            {"preprocessing": None},
            SettingsError,
            r"net\.onnx: an ONNX file does not say .* give --preprocessing imagenet",
        ),
        ({"preprocessing": "caffe"}, SettingsError, "preprocessing 'caffe' is unknown, expected one of imagenet, clip"),
        ({"taps": "vectr"}, BackboneError, "has no tensor 'vectr' to tap, expected something like vector"),
        ({"taps": "vector[0]"}, BackboneError, "only tokens"),
        ({"taps": "tokens[5000]"}, BackboneError, "there are 1025 tokens"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_one_sentence(
    tmp_path: Path, words: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        row(write_onnx(tmp_path / "net.onnx"), **words)


def test_files_that_are_no_network_of_one_picture_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(WeightsError, match="OpenVINO cannot read it"):
        row(tmp_path / "text.onnx")
    with pytest.raises(WeightsError, match=r"there is no such \.onnx file"):
        row(tmp_path / "none.onnx")
    with pytest.raises(BackboneError, match="is made for squares of 48 pixels; leave --input-px 32 out"):
        row(write_onnx(tmp_path / "fixed.onnx", side=48))
    image = helper.make_tensor_value_info("words", TensorProto.FLOAT, [1, 77])
    node = helper.make_node("Identity", ["words"], ["same"])
    graph = helper.make_graph([node], "text", [image], [helper.make_tensor_value_info("same", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "t.onnx")
    with pytest.raises(BackboneError, match=r"takes \[1,77\], expected one picture"):
        row(tmp_path / "t.onnx")
    with pytest.raises(SettingsError, match="--preprocessing goes with --backbone onnx:FILE"):
        resolve_backbones(["phash"], None, preprocessing="raw")


def test_the_whole_way_into_a_store_and_again_for_a_run(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx")
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 8, fps=2)
    words = [str(tmp_path / "clips"), "--store", str(tmp_path / "store"), "--backbone", f"onnx:{path}"]
    words += ["--preprocessing", "unit", "--input-px", "32", "--taps", "vector,tokens", "--fps", "2", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (key,) = FeatureStore.open(tmp_path / "store").keys()
    assert key.taps == (("vector", 5), ("tokens[0]", 5), ("tokens[1:]", 5))
    assert (key.preprocessing, key.input_px) == ("rgb mean=0,0,0 scale=255,255,255", 32)
    assert key.weights_sha256 == content_sha256(path)
    again = json.loads(CliRunner().invoke(app, words).output)
    assert again["done"] == 0
    (source,) = sources_of([key], [f"onnx:{path}"], [], offline=True)
    assert source.key(Sampling(fps=2)) == key
    listed = CliRunner().invoke(app, ["--list-taps", "--backbone", f"onnx:{path}", "--json"])
    assert json.loads(listed.output)[f"onnx:{path}"]["vector"] == [5]
    assert tap_choices(f"onnx:{path}")["map"] == (5, 224, 224)
    with pytest.raises(SettingsError, match="ONNX files are run by OpenVINO"):
        featurize.run(
            tmp_path / "clips", tmp_path / "other", backbones=f"onnx:{path}", preprocessing="unit", input_px=32,
            runtime="tensorflow", progress=False,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")  # of the exporter
def test_a_network_that_keras_exported_has_the_features_that_keras_gives(tmp_path: Path) -> None:
    """efficientnet_lite0 with its weights, and a small vision transformer of random ones."""
    pytest.importorskip("tf2onnx")
    import keras

    from featurize.backbones.spec import resolve
    from featurize.runtime.extractor import build_extractor, tap_output

    lite = find_backbone("efficientnet_lite0")
    weights = locate_weights(lite)
    network = resolve(lite)(lite, weights.path, None)
    picture = keras.Input((96, 96, 3), name="picture")
    tapped = keras.Model(network.inputs, [tap_output(network, lite, tap) for tap in lite.taps])
    exported = keras.Model(picture, tapped(picture))
    exported(np.zeros((1, 96, 96, 3), np.float32))  # a model that was never called cannot be exported
    exported.export(tmp_path / "lite0.onnx", format="onnx", verbose=False)
    rule = lite.preprocessing
    told = f"{rule.order} mean={','.join(map(repr, rule.mean))} scale={','.join(map(repr, rule.scale))}"
    (own,) = resolve_backbones([f"onnx:{tmp_path / 'lite0.onnx'}"], None, preprocessing=told)
    assert (own.input_px, own.dim) == (96, lite.dim)
    pixels = golden_pixels(96, 96)[None].repeat(2, axis=0)
    wanted = build_extractor(lite, weights, 96).predict(pixels, verbose=0)
    found = runner_of(make_source(own, locate_weights(own)), "auto")(pixels)
    order = [sorted(tap.channels for tap in row.taps) for row in (own, lite)]
    assert order[0] == order[1]
    starts = np.cumsum([0, *(tap.channels for tap in lite.taps)])
    by_channels = {tap.channels: wanted[:, start : start + tap.channels] for tap, start in zip(lite.taps, starts)}  # noqa: B905
    np.testing.assert_allclose(found, np.hstack([by_channels[tap.channels] for tap in own.taps]), atol=1e-3, rtol=1e-3)

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), name="image")
    patches = keras.layers.Reshape((16, 24))(keras.layers.Conv2D(24, 8, strides=8)(image))
    tokens = keras.layers.Concatenate(axis=1)([keras.layers.Lambda(lambda x: x[:, :1] * 0 + 1)(patches), patches])
    attended = keras.layers.MultiHeadAttention(2, 12)(tokens, tokens)
    tokens = keras.layers.LayerNormalization()(keras.layers.Add()([tokens, attended]))
    transformer = keras.Model(image, keras.layers.Add(name="tokens")([tokens, keras.layers.Dense(24)(tokens)]))
    transformer(np.zeros((1, 32, 32, 3), np.float32))
    transformer.export(tmp_path / "vit.onnx", format="onnx", verbose=False)
    (own,) = resolve_backbones([f"onnx:{tmp_path / 'vit.onnx'}"], None, preprocessing="unit")
    assert [tap.name.partition("[")[2] for tap in own.taps] == ["0]", "1:]"]
    wanted = transformer.predict(PIXELS / 255.0, verbose=0)
    np.testing.assert_allclose(
        features(own), np.hstack([wanted[:, 0], wanted[:, 1:].mean(axis=1)]), atol=1e-3, rtol=1e-3
    )
