"""Inception-v4 and its converter against timm, with made-up weights."""

from pathlib import Path

import keras
import numpy as np
import pytest
from golden_pixels import golden_pixels
from safetensors.numpy import save_file
from seeded_tensors import seeded_tensors

from featurize.backbones.builders.inception_v4 import build_inception_v4
from featurize.backbones.registry import find_backbone
from featurize.backbones.weights import locate_weights
from featurize.errors import WeightsError
from featurize.runtime.extractor import build_extractor

GOLDENS = Path(__file__).parent / "goldens" / "inception_v4.npz"
SHAPES = {"square": (139, 139), "wide": (112, 192)}


def checkpoint_shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of timm's checkpoint without its classifier, in torch's layout."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in build_inception_v4().layers:
        if isinstance(layer, keras.layers.Conv2D):
            rows, columns, into, out = layer.kernel.shape
            shapes[f"{layer.name}.weight"] = (out, into, rows, columns)
        elif layer.weights:
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{layer.name}.{part}"] = tuple(layer.gamma.shape)
    return shapes


@pytest.mark.slow
def test_taps_equal_timm_s_and_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    tensors = seeded_tensors(checkpoint_shapes())
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    backbone = find_backbone("inception_v4")
    weights = locate_weights(backbone, path)
    extractor = build_extractor(backbone, weights)
    for name, shape in SHAPES.items():
        features = keras.ops.convert_to_numpy(extractor(golden_pixels(*shape)[None]))[0]
        expected = np.load(GOLDENS)[name]
        assert features.shape == (2944,) == expected.shape
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4 * expected.std())
    tensors["features.0.conv.weight"] = tensors["features.0.conv.weight"][:, :1].copy()
    save_file(tensors, path)
    with pytest.raises(WeightsError, match="not a checkpoint of timm's inception_v4"):
        build_extractor(backbone, weights)


def test_it_needs_a_file_and_says_which() -> None:
    with pytest.raises(WeightsError, match=r"inception_v4 needs --weights PATH: timm's .*these work now: efficientnet"):
        locate_weights(find_backbone("inception_v4"))
