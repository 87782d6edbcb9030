"""Where weights are found, in which order, and what is said where they are not."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import keras
import pytest
from indexed_clips import write_indexed_clip
from typer.testing import CliRunner

from featurize.backbones.registry import BACKBONES, find_backbone
from featurize.backbones.spec import Backbone, KerasWeights
from featurize.backbones.weights import RANDOM_WEIGHTS, choose_weights, locate_weights, weights_available
from featurize.cli import app
from featurize.commands.backbones import backbone_rows
from featurize.errors import SettingsError, WeightsError
from featurize.pipeline.source import make_source
from featurize.runtime.extractor import build_extractor
from featurize.views.sampling import Sampling
from store import FeatureStore

CONTENT = b"published weights"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """A network whose published weights stand in Keras' cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    digest = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    weights = KerasWeights(url="https://example.invalid/net_notop.h5", file="net_notop.h5", digest=digest)
    (tmp_path / "home" / "models").mkdir(parents=True)
    (tmp_path / "home" / "models" / weights.file).write_bytes(CONTENT)
    return replace(find_backbone("vgg16"), weights=weights)


def forbid_downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def get_file(_name: str, url: str, **_: object) -> str:
        asked.append(url)
        raise Exception(f"URL fetch failure on {url}: no network")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    return asked


def test_a_given_file_comes_first_then_the_cache(cached: Backbone, tmp_path: Path) -> None:
    found = locate_weights(cached)
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert weights_available(cached)
    given = tmp_path / "mine.h5"
    given.write_bytes(b"other weights")
    chosen = locate_weights(cached, given)
    assert (chosen.path, chosen.sha256) == (given, hashlib.sha256(b"other weights").hexdigest())
    keys = {make_source(cached, weights).key(Sampling(fps=1)).folder for weights in (found, chosen, RANDOM_WEIGHTS)}
    assert len(keys) == 3, "two different weights share a cache"


def test_a_cached_file_that_is_not_the_published_one_is_refused(cached: Backbone, tmp_path: Path) -> None:
    (tmp_path / "home" / "models" / "net_notop.h5").write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match=r"net_notop.h5: md5 is .*…, expected .*…; fetch https://example.invalid"):
        locate_weights(cached)


def test_missing_weights_are_downloaded_unless_offline(
    cached: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = forbid_downloads(monkeypatch)
    place = tmp_path / "home" / "models" / "net_notop.h5"
    place.unlink()
    assert not weights_available(cached)
    remedy = (
        f"fetch https://example.invalid/net_notop.h5 and put it at {place} or give --weights PATH; these work now: "
    )
    with pytest.raises(WeightsError) as offline:
        locate_weights(cached, offline=True)
    assert not asked
    assert f"its weights are not on this machine; {remedy}efficientnet_lite0" in str(offline.value)
    with pytest.raises(WeightsError) as failed:
        locate_weights(cached)
    assert asked == ["https://example.invalid/net_notop.h5"]
    assert f"cannot be downloaded (URL fetch failure on {asked[0]}: no network); {remedy}" in str(failed.value)


def test_words_of_weights_reach_their_backbones(cached: Backbone, tmp_path: Path) -> None:
    lite = find_backbone("efficientnet_lite0")
    mine = tmp_path / "mine.h5"
    mine.write_bytes(b"mine")
    both = choose_weights([lite, cached], [f"vgg16={mine}"], offline=True)
    assert (both["vgg16"].path, both["efficientnet_lite0"]) == (mine, locate_weights(lite))
    assert choose_weights([lite, cached], [f"lite0={mine}"], offline=True)["efficientnet_lite0"].path == mine
    assert choose_weights([cached], [str(mine)], offline=True)["vgg16"].path == mine
    some = choose_weights([lite, cached], ["vgg16=random"], offline=True)
    assert some["vgg16"] == RANDOM_WEIGHTS != some["efficientnet_lite0"]
    every = choose_weights([lite, cached, find_backbone("phash")], ["random"], offline=True)
    assert [every[name].sha256 for name in ("efficientnet_lite0", "vgg16", "phash")] == [
        "random-0",
        "random-0",
        "rules-1",
    ]
    with pytest.raises(SettingsError, match="write NAME=PATH, where NAME is one of efficientnet_lite0, vgg16"):
        choose_weights([lite, cached], [str(mine)], offline=True)
    with pytest.raises(SettingsError, match="write NAME=PATH"):
        choose_weights([lite, cached], [f"nasnet={mine}"], offline=True)
    with pytest.raises(WeightsError, match="gone: there is no such weights file for vgg16"):
        choose_weights([cached], [str(tmp_path / "gone")], offline=True)


def test_a_weights_file_of_another_network_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save_weights(path)
    backbone = find_backbone("mobilenet_v3_large")
    for wrong in (path, tmp_path / "text.h5"):
        (tmp_path / "text.h5").write_text("nothing")
        with pytest.raises(WeightsError, match="not weights of mobilenet_v3_large without its classifier") as raised:
            build_extractor(backbone, locate_weights(backbone, wrong))
        assert "\n" not in str(raised.value)


def test_the_listing_has_the_fields_that_machines_expect() -> None:
    rows = backbone_rows()
    assert [row["name"] for row in rows] == list(BACKBONES)
    fields = ["name", "aliases", "dim", "taps", "input_px", "parameters", "weights_available", "source", "licence"]
    assert all(list(row) == fields for row in rows)
    nasnet = next(row for row in rows if row["name"] == "nasnet")
    assert nasnet["taps"][0] == {
        "name": "reduction1",
        "layer": "reduction_concat_reduce_6",
        "channels": 1344,
        "stride": 16,
    }


@pytest.mark.parametrize(("rule", "name"), [("equal_area", "nasnet"), ("stretch", "vgg16")])
def test_a_rule_that_a_network_cannot_have_is_refused(rule: str, name: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        make_source(find_backbone(name), RANDOM_WEIGHTS, resize=rule)


def test_networks_for_squares_get_squares() -> None:
    canvas = make_source(find_backbone("nasnet"), RANDOM_WEIGHTS).canvas
    assert (canvas.px, canvas.shape_for(1280, 720)) == (331, (331, 331))
    assert make_source(find_backbone("vgg16"), RANDOM_WEIGHTS, input_px=160).canvas.px == 160


@pytest.mark.slow
def test_random_weights_are_loud_and_mark_the_key(tmp_path: Path) -> None:
    clip = write_indexed_clip(tmp_path / "a.mp4", 3, fps=2)
    words = [
        "--backbone",
        "mobilenet_v3",
        "--weights",
        "random",
        "--input-px",
        "64",
        "--resize",
        "squash",
        "--fps",
        "2",
    ]
    done = CliRunner().invoke(app, [str(clip), *words, "--json", "--store", str(tmp_path / "store")])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 1
    assert "warning: mobilenet_v3_large untrained (--weights random): the features mean nothing" in " ".join(
        done.stderr.split()
    )
    (key,) = FeatureStore.open(tmp_path / "store").keys()
    assert (key.weights_sha256, key.input_px) == ("random-0", 64)
    assert key.resize == "squash, bicubic, reducing gap 1"
