"""`timm:NAME`: a network of timm is exported once, and read as an ONNX file from then on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_pixels import golden_pixels
from indexed_clips import write_indexed_clip
from typer.testing import CliRunner
from written_onnx import WEIGHT, write_onnx

from featurize.backbones.resolve import resolve_backbones
from featurize.backbones.timm_export import export_timm, timm_path
from featurize.backbones.weights import locate_weights
from featurize.cli import app
from featurize.errors import BackboneError, SettingsError, WeightsError
from featurize.pipeline.for_run import sources_of
from featurize.pipeline.networks import runner_of
from featurize.pipeline.source import make_source
from featurize.views.sampling import Sampling
from store import FeatureStore


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))


def made(name: str, side: int = 32) -> Path:
    """The file of a network as if it had been exported."""
    path = timm_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"mean": [0, 0, 0], "scale": [255, 255, 255], "input_px": side, "taps": ["vector"], "prefix_tokens": 1}
    path.with_name(f"{name}.yaml").write_text(json.dumps(told))
    return write_onnx(path, side=side)


def test_a_file_that_is_there_needs_neither_pytorch_nor_its_options(tmp_path: Path) -> None:
    made("tiny.some_set")
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 8, fps=2)
    words = [str(tmp_path / "clips"), "--store", str(tmp_path / "store"), "--backbone", "timm:tiny.some_set"]
    done = CliRunner().invoke(app, [*words, "--fps", "2", "--offline", "--json"])
    assert done.exit_code == 0, done.output
    store = FeatureStore.open(tmp_path / "store")
    (key,) = store.keys()
    assert (key.backbone, key.input_px, key.taps) == ("timm:tiny.some_set", 32, (("vector", 5),))
    assert key.preprocessing == "rgb mean=0,0,0 scale=255,255,255"
    (source,) = sources_of([key], [], [], offline=True)
    assert source.key(Sampling(fps=2)) == key
    runner = runner_of(source, "auto")
    pixels = golden_pixels(32, 32)[None]
    np.testing.assert_allclose(runner(pixels), pixels.mean(axis=(1, 2)) / 255 @ WEIGHT.T, rtol=1e-4, atol=1e-4)


def test_a_size_of_its_own_is_a_file_of_its_own() -> None:
    usual = made("tiny", 32)
    assert timm_path("tiny") == timm_path("tiny", 32) == usual
    assert timm_path("tiny", 64) == usual.with_name("tiny@64.onnx")
    with pytest.raises(
        WeightsError, match=r"there is no .*tiny@64\.onnx; run `featurize weights timm:tiny --input-px 64`"
    ):
        resolve_backbones(["timm:tiny"], None, input_px=64, offline=True)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(
        WeightsError, match=r"takes PyTorch and timm, which are not here .*pip install trapline\[timm\]"
    ):
        resolve_backbones(["timm:vit"], None)
    with pytest.raises(WeightsError, match=r"nothing\.pth: there is no such weights file for timm:vit"):
        export_timm("vit", tmp_path / "nothing.pth")
    done = CliRunner().invoke(app, ["weights", "timm:vit", "--offline"])
    assert isinstance(done.exception, SettingsError)
    assert "give the checkpoint too" in str(done.exception)


def test_taps_of_a_network_are_what_timm_gives(tmp_path: Path) -> None:
    """A transformer with a class token, one with registers and another size, and a network of convolutions."""
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    for name, px, taps, dim in (
        ("vit_tiny_patch16_224", None, ["depth4", "depth8", "features[0]", "features[1:]"], 4 * 192),
        ("vit_small_patch14_reg4_dinov2", 56, ["depth4", "depth8", "features[0]", "features[5:]"], 4 * 384),
        ("mobilenetv3_small_050", None, ["depth3", "depth4", "features", "embedding"], 16 + 24 + 288 + 1024),
        ("resnet18", 64, ["depth3", "depth4", "features"], 128 + 256 + 512),
    ):
        torch.manual_seed(0)
        size = {"img_size": px} if px and name.startswith("vit") else {}
        network: Any = timm.create_model(name, pretrained=False, **size).eval()
        path = tmp_path / f"{name}.pth"
        torch.save(network.state_dict(), path)
        words = ["weights", f"timm:{name}", "--weights", str(path), *(["--input-px", str(px)] if px else [])]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        (row,) = resolve_backbones([f"timm:{name}"], None, input_px=px, offline=True)
        assert ([tap.name for tap in row.taps], row.dim) == (taps, dim)
        pixels = golden_pixels(row.input_px, row.input_px)[None]
        found = runner_of(make_source(row, locate_weights(row), input_px=px), "auto")(pixels)[0]
        config = timm.data.resolve_model_data_config(network)
        mean, std = (np.array(config[part]) for part in ("mean", "std"))
        given = torch.tensor((pixels / 255 - mean) / std, dtype=torch.float32).permute(0, 3, 1, 2)
        with torch.no_grad():
            end = network.forward_features(given)
            last = end.mean(dim=(2, 3)) if end.ndim == 4 else end[:, network.num_prefix_tokens :].mean(dim=1)
            if name.startswith("mobilenet"):
                last = network.forward_head(end, pre_logits=True)
        np.testing.assert_allclose(found[-last.shape[1] :], last[0].numpy(), atol=2e-3, rtol=2e-3)
    with pytest.raises(BackboneError, match="has no such network, expected something like resnet"):
        export_timm("resnet1800")
    with pytest.raises(WeightsError, match="not weights of timm's resnet18"):
        export_timm("resnet18", tmp_path / "vit_tiny_patch16_224.pth")
