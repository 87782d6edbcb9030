"""SavedModels with the hub's interface and a person's own Keras files as backbones."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from golden_pixels import golden_pixels
from indexed_clips import write_indexed_clip
from saved_models import described, write_hub_model

from featurize.backbones.resolve import resolve_backbones, tap_choices
from featurize.backbones.weights import RANDOM_WEIGHTS, locate_weights
from featurize.errors import BackboneError, SettingsError, WeightsError
from featurize.pipeline.source import make_source
from featurize.runtime.extractor import build_extractor
from featurize.runtime.runners import make_runner
from featurize.views.sampling import Sampling
from store import FeatureStore

PIXELS = golden_pixels(64, 96)[None]


@pytest.fixture(scope="module")
def hub_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hub_model(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "mine.keras"
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(5, 3, strides=2, activation="relu", name="edges")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    keras.Model(image, keras.layers.Dense(3, name="head")(x)).save(path)
    return path


@pytest.mark.parametrize("runtime", ["tensorflow", "openvino"])
def test_endpoints_of_a_hub_model_are_its_taps(hub_model: Path, runtime: str) -> None:
    (backbone,) = resolve_backbones([f"hub:{hub_model}"], "block2,block1/unit,default")
    assert [(tap.name, tap.channels) for tap in backbone.taps] == [("block2", 6), ("block1/unit", 4), ("default", 6)]
    run = make_runner(build_extractor(backbone, locate_weights(backbone)), runtime)  # type: ignore[arg-type]
    wanted = described(PIXELS)
    np.testing.assert_allclose(
        run(PIXELS), np.hstack([wanted["block2"], wanted["block1/unit"], wanted["default"]]), rtol=1e-4, atol=1e-6
    )


def test_without_taps_or_endpoints_it_is_the_feature_vector(hub_model: Path, tmp_path: Path) -> None:
    plain = write_hub_model(tmp_path / "plain", endpoints=False)
    for folder in (hub_model, plain):
        (backbone,) = resolve_backbones([f"hub:{folder}"], None)
        run = make_runner(build_extractor(backbone, locate_weights(backbone)), "tensorflow")
        np.testing.assert_allclose(run(PIXELS), described(PIXELS)["default"], rtol=1e-4, atol=1e-6)
    assert tap_choices(f"hub:{hub_model}") == {"block1/unit": (56, 56, 4), "block2": (14, 14, 6), "default": (6,)}
    assert tap_choices(f"hub:{plain}") == {"default": (6,)}


def test_a_saved_model_that_keras_exported_gives_its_signature_s_outputs(tmp_path: Path) -> None:
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.Conv2D(7, 3, name="conv")(image))
    model.export(tmp_path / "exported", verbose=False)
    (backbone,) = resolve_backbones([f"hub:{tmp_path / 'exported'}"], None)
    assert (backbone.input_px, backbone.any_shape, backbone.dim) == (32, False, 7)
    pixels = golden_pixels(32, 32)[None]
    run = make_runner(build_extractor(backbone, locate_weights(backbone), 32), "tensorflow")
    wanted = model.predict(pixels.astype(np.float32) / 255, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(run(pixels), wanted, rtol=1e-4, atol=1e-6)


def test_layers_of_a_keras_file_are_its_taps(keras_file: Path) -> None:
    (backbone,) = resolve_backbones([f"keras:{keras_file}"], "head,edges")
    assert (backbone.name, backbone.dim, backbone.any_shape) == ("keras:mine", 8, True)
    model = keras.models.load_model(keras_file)
    cut = keras.Model(model.input, [model.get_layer("head").output, model.get_layer("edges").output])
    head, edges = cut.predict(PIXELS.astype(np.float32), verbose=0)
    run = make_runner(build_extractor(backbone, locate_weights(backbone)), "tensorflow")
    np.testing.assert_allclose(run(PIXELS), np.hstack([head, edges.mean(axis=(1, 2))]), rtol=1e-4, atol=1e-4)
    assert tap_choices(f"keras:{keras_file}") | {"edges": (None, None, 5), "pool": (5,), "head": (3,)} == tap_choices(
        f"keras:{keras_file}"
    )


def test_what_is_inside_decides_the_key_not_the_name(hub_model: Path, tmp_path: Path) -> None:
    """The same folder elsewhere has the same key; one changed byte has another."""

    def digest(folder: Path) -> str:
        (backbone,) = resolve_backbones([f"hub:{folder}"], "block2")
        return make_source(backbone, locate_weights(backbone)).key(Sampling(fps=1)).digest

    import shutil

    moved = tmp_path / "elsewhere" / hub_model.name
    shutil.copytree(hub_model, moved)
    assert digest(moved) == digest(hub_model)
    (moved / "assets").mkdir(exist_ok=True)
    (moved / "assets" / "note.txt").write_text("changed")
    assert digest(moved) != digest(hub_model)


@pytest.mark.parametrize(
    ("word", "taps", "error", "expected"),
    [
        ("hub:HUB", "block9", BackboneError, "no endpoint 'block9', expected some of block1/unit, block2, default"),
        ("hub:TMP/gone", None, WeightsError, "no SavedModel folder"),
        ("hub:https://tfhub.dev/none/1", None, WeightsError, "--offline forbids a download; download it elsewhere"),
        ("keras:KERAS", None, BackboneError, "needs --taps LAYER,LAYER"),
        ("keras:KERAS", "edge", BackboneError, "no layer 'edge' to tap, expected something like edges"),
        ("keras:TMP/gone.keras", "a", WeightsError, "there is no such .keras file"),
        ("keras:TMP/damaged.keras", "a", WeightsError, "Keras cannot load it"),
        ("efficientnet_lite0", "head", SettingsError, "--taps goes with exactly one --backbone hub:HANDLE"),
    ],
)
def test_wrong_models_and_taps_get_one_sentence(
    word: str,
    taps: str | None,
    error: type[Exception],
    expected: str,
    hub_model: Path,
    keras_file: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "damaged.keras").write_bytes(b"PK nothing")
    named = word.replace("HUB", str(hub_model)).replace("KERAS", str(keras_file)).replace("TMP", str(tmp_path))
    with pytest.raises(error, match=expected) as raised:
        resolve_backbones([named], taps, offline=True)
    assert "\n" not in str(raised.value)


def test_an_own_model_cannot_be_untrained(keras_file: Path) -> None:
    (backbone,) = resolve_backbones([f"keras:{keras_file}"], "head")
    with pytest.raises(WeightsError, match="the file is its weights"):
        build_extractor(backbone, RANDOM_WEIGHTS)


@pytest.mark.slow
def test_the_command_lists_taps_and_runs_own_models(hub_model: Path, keras_file: Path, tmp_path: Path) -> None:
    clip = write_indexed_clip(tmp_path / "clips" / "a.mp4", 4, fps=2)
    command = [sys.executable, "-c", "from featurize.cli import main; main()"]
    hub = f"hub:{hub_model}"
    listed = subprocess.run([*command, "--backbone", hub, "--list-taps", "--json"], capture_output=True, text=True)
    assert json.loads(listed.stdout)[hub]["block2"] == [14, 14, 6]
    words = [str(clip), "--backbone", hub, "--taps", "block1/unit,block2", "--backbone", "phash", "--fps", "2"]
    done = subprocess.run([*command, *words, "--store", str(tmp_path / "store")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    store = FeatureStore.open(tmp_path / "store")
    dims = {key.backbone: (key.dim, store.reader(key).lengths.tolist()) for key in store.keys()}
    assert dims == {"hub:tiny": (10, [4]), "phash": (268, [4])}
