"""Compiled networks that are kept: the same bits without TensorFlow, and nothing trusted that is not whole."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from indexed_clips import write_indexed_clip
from tiny_backbone import tiny_backbone

from featurize.backbones.spec import Backbone
from featurize.backbones.weights import RANDOM_WEIGHTS, Weights
from featurize.errors import SettingsError
from featurize.runtime import runners
from featurize.runtime.compiled import CompiledNetworks, cache_folder, most_bytes, trim
from featurize.runtime.extractor import build_extractor
from featurize.runtime.runners import make_kept_runner, make_runner
from store import FeatureStore

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 64, 96, 3), dtype=np.uint8)


def build() -> keras.Model:
    return build_extractor(tiny_backbone(), RANDOM_WEIGHTS)


def never() -> keras.Model:
    raise AssertionError("it was to be taken from what is kept")


def kept(folder: Path, backbone: Backbone | None = None, weights: Weights = RANDOM_WEIGHTS) -> CompiledNetworks:
    return CompiledNetworks(backbone or tiny_backbone(), weights, 64, folder)


def test_what_is_kept_gives_the_same_bits_and_builds_nothing(tmp_path: Path) -> None:
    first = make_kept_runner(build, kept(tmp_path))(PIXELS)
    again = make_kept_runner(never, kept(tmp_path))(PIXELS)
    assert first.tobytes() == again.tobytes()
    assert first.any()
    for path in tmp_path.glob("*.ir"):
        path.unlink()
    with pytest.raises(AssertionError, match="to be taken from what is kept"):
        make_kept_runner(never, kept(tmp_path))(PIXELS[:, :32])  # a size that nobody compiled


def test_a_size_that_nobody_compiled_is_compiled_of_what_was_converted_and_gives_the_same_bits(tmp_path: Path) -> None:
    make_kept_runner(build, kept(tmp_path / "kept"))(PIXELS)
    found = make_kept_runner(never, kept(tmp_path / "kept"))(PIXELS[:, :32])
    assert found.tobytes() == make_kept_runner(build, kept(tmp_path / "new"))(PIXELS[:, :32]).tobytes()
    assert found.tobytes() == make_runner(build(), "openvino")(PIXELS[:, :32]).tobytes()


@pytest.mark.parametrize(
    "spoil", [lambda whole: whole[:-1], lambda whole: whole[:80] + b"x" + whole[81:], lambda _: b""]
)
def test_a_converted_network_that_is_damaged_is_made_anew(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    make_kept_runner(build, kept(tmp_path))(PIXELS)
    (path,) = tmp_path.glob("*.ir")
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    expected = make_runner(build(), "openvino")(PIXELS[:, :32])
    assert make_kept_runner(build, kept(tmp_path))(PIXELS[:, :32]).tobytes() == expected.tobytes()
    assert path.read_bytes()[-100:] == whole[-100:]  # it is whole again, but for names, which Keras counts


def test_two_processes_at_once_and_one_that_is_killed_leave_whole_files(tmp_path: Path) -> None:
    several = [subprocess.Popen([sys.executable, "-c", _KEEP, str(tmp_path)]) for _ in range(2)]
    assert [each.wait() for each in several] == [0, 0]
    assert [path.suffix for path in tmp_path.iterdir()] == [".ir"]
    assert subprocess.run([sys.executable, "-c", _KEEP, str(tmp_path), "killed"], check=False).returncode == -9
    assert len(list(tmp_path.glob(".tmp-*"))) == 1
    assert subprocess.run([sys.executable, "-c", _KEEP, str(tmp_path), "read"], check=False).returncode == 0
    make_kept_runner(build, kept(tmp_path))(PIXELS)
    assert not list(tmp_path.glob(".tmp-*"))  # what the dead left goes with the next that is kept


_KEEP = """
import os, signal, sys
from pathlib import Path
from featurize.backbones.openvino_library import import_openvino
from featurize.backbones.registry import find_backbone
from featurize.backbones.weights import RANDOM_WEIGHTS
from featurize.errors import SettingsError
from featurize.runtime.compiled import CompiledNetworks

def make():
    if "read" in sys.argv:
        sys.exit(1)
    import openvino.opset13 as operations
    pixels = operations.parameter([16, 3])
    return import_openvino().Model([operations.result(operations.relu(pixels))], [pixels], "made")

if "killed" in sys.argv:
    real = Path.write_bytes
    def half(path, content):
        real(path, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    Path.write_bytes = half
    Path.read_bytes = lambda _: b""
kept = CompiledNetworks(find_backbone("resnet50"), RANDOM_WEIGHTS, 224, Path(sys.argv[1]))
kept.network(import_openvino().Core(), make)
"""


@pytest.mark.parametrize(
    ("backbone", "weights"),
    [
        (tiny_backbone("other"), RANDOM_WEIGHTS),
        (tiny_backbone(), Weights(path=None, sha256="0" * 64)),
        (replace(tiny_backbone(), taps=tiny_backbone().taps[:1]), RANDOM_WEIGHTS),
        (tiny_backbone(builder="made_store:make_store"), RANDOM_WEIGHTS),
        (tiny_backbone(any_shape=False), RANDOM_WEIGHTS),
    ],
)
def test_another_network_is_another_file(tmp_path: Path, backbone: Backbone, weights: Weights) -> None:
    make_kept_runner(build, kept(tmp_path))(PIXELS)
    assert kept(tmp_path).is_known
    assert not kept(tmp_path, backbone, weights).is_known


def test_changed_code_uses_nothing_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_kept_runner(build, kept(tmp_path))(PIXELS)
    monkeypatch.setattr("featurize.runtime.compiled._code_digest", lambda: "other")
    assert not kept(tmp_path).is_known


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / f"{name}.blob").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}.blob", (1000 - age, 1000 - age))
    trim(tmp_path, 250)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["middle", "new"]
    trim(tmp_path, 0)
    assert [*tmp_path.iterdir()] == []


def test_the_limit_is_the_user_s_and_0_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path))
    monkeypatch.setenv("TRAPLINE_CACHE_GB", "0")
    assert make_kept_runner(build, CompiledNetworks(tiny_backbone(), RANDOM_WEIGHTS, 64))(PIXELS).any()
    assert [*tmp_path.iterdir()] == []
    monkeypatch.setenv("TRAPLINE_CACHE_GB", "0.5")
    assert (most_bytes(), cache_folder()) == (500_000_000, tmp_path / "networks")
    monkeypatch.setenv("TRAPLINE_CACHE_GB", "much")
    with pytest.raises(SettingsError, match="TRAPLINE_CACHE_GB=much: expected gigabytes, such as 4, or 0 to keep no"):
        cache_folder()


def test_where_nothing_can_be_kept_networks_run_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert make_kept_runner(build, kept(tmp_path / "file" / "below"))(PIXELS).any()


def test_an_openvino_that_reads_graphs_in_another_way_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor, fix, fixed = build(), runners._fix, []

    def counted(*words: Any) -> None:
        fixed.append(fix(*words))

    def in_another_way(*_: object) -> object:
        raise ImportError("cannot import name 'GraphIteratorTFGraph'")

    monkeypatch.setattr(runners, "_fix", counted)
    usual = make_runner(extractor, "openvino")(PIXELS)
    assert not fixed
    monkeypatch.setattr(runners, "_graph_with_constants", in_another_way)
    assert make_runner(extractor, "openvino")(PIXELS).tobytes() == usual.tobytes()
    assert len(fixed) == len(extractor.variables)
    monkeypatch.setattr(runners, "_graph_with_constants", lambda graph, _: graph)  # its parts have other names
    assert make_runner(extractor, "openvino")(PIXELS).tobytes() == usual.tobytes()


_FEATURIZE = """
import sys
from featurize.cli import app

try:
    app(sys.argv[1:])
except SystemExit as ended:
    print("code", ended.code, "tensorflow" in sys.modules)
"""


@pytest.mark.slow
def test_the_second_start_needs_no_tensorflow(tmp_path: Path) -> None:
    for number in range(2):
        write_indexed_clip(tmp_path / "clips" / f"{number}.mp4", 6, fps=2)
    said = []
    for name in ("first", "second"):
        words = [str(tmp_path / "clips"), "--store", str(tmp_path / name), "--backbone", "efficientnet_lite0"]
        done = subprocess.run(
            [sys.executable, "-c", _FEATURIZE, *words, "--fps", "2"],
            env={**os.environ, "TRAPLINE_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(done.stdout.splitlines()[-1])
    assert said == ["code 0 True", "code 0 False"]
    stores = [FeatureStore.open(tmp_path / name) for name in ("first", "second")]
    readers = [store.reader(store.keys()[0]) for store in stores]
    assert readers[0].batch(range(2))[0].tobytes() == readers[1].batch(range(2))[0].tobytes()
