"""The file of a network that heads tune: it sees what the extractor sees, and its layers go by their names."""

from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_backbone import tiny_backbone
from typer.testing import CliRunner

from featurize.backbones.registry import find_backbone
from featurize.backbones.spec import Preprocessing, Tap
from featurize.backbones.weights import RANDOM_WEIGHTS
from featurize.cli import app
from featurize.errors import BackboneError
from featurize.runtime.extractor import build_extractor
from featurize.runtime.whole_network import build_whole_network, write_whole_network
from store.models import whole_network_path

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3)).astype(np.uint8)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("last", ["first", "second"])
def test_it_gives_what_the_last_tap_sees_of_the_same_pictures(
    order: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    rule = Preprocessing(name="x", mean=(100.0, 110.0, 120.0), scale=(50.0, 60.0, 70.0), order=order)  # type: ignore[arg-type]
    channels, stride = {"first": (4, 4), "second": (6, 16)}[last]
    taps = (Tap(name=last, layer=last, channels=channels, stride=stride),)
    backbone = tiny_backbone(preprocessing=rule, taps=taps)
    path = write_whole_network(backbone, RANDOM_WEIGHTS)
    assert path == tmp_path / "models" / "networks" / "tiny.keras" == whole_network_path("tiny")
    network = keras.models.load_model(path, compile=False)
    expected = np.array(build_extractor(backbone, RANDOM_WEIGHTS)(PIXELS))
    np.testing.assert_allclose(np.array(network(PIXELS.astype(np.float32))).mean(axis=(1, 2)), expected, atol=1e-5)
    names = [layer.name for layer in network.layers]
    assert names == ["pixels", "preprocessing", "first", "second"][: 3 + (last == "second")]


def test_featurize_weights_makes_the_file_of_a_network_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    told = CliRunner().invoke(app, ["weights", "lite0", "--weights", "random"])
    assert told.exit_code == 0, told.output
    path = tmp_path / "models" / "networks" / "efficientnet_lite0.keras"
    assert str(path) in told.output.replace("\n", "")
    network = keras.models.load_model(path, compile=False)
    assert network.output_shape == (None, None, None, 1280)
    assert "block10_out" in {layer.name for layer in network.layers}


def test_what_is_no_network_of_layers_is_refused() -> None:
    with pytest.raises(BackboneError, match="audio is no network of Keras"):
        write_whole_network(find_backbone("audio"), RANDOM_WEIGHTS)
    with pytest.raises(BackboneError, match=r"mobilenet_v3_large: its step \w+ is no layer, so it cannot be tuned"):
        build_whole_network(find_backbone("mobilenet_v3_large"), RANDOM_WEIGHTS)
