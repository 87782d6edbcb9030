"""Precisions: f32 is f32, others have keys of their own, and what was quantised once is what all are run through."""

import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from indexed_clips import write_indexed_clip
from tiny_backbone import tiny_backbone
from typer.testing import CliRunner

import featurize
from featurize import api
from featurize.backbones.registry import BACKBONES
from featurize.backbones.runner import Precision
from featurize.backbones.weights import RANDOM_WEIGHTS
from featurize.cli import app
from featurize.commands.measure import print_speeds, speed_rows
from featurize.errors import SettingsError, SourceError, WeightsError
from featurize.pipeline.for_run import sources_of
from featurize.pipeline.networks import full_network, runner_of
from featurize.pipeline.request import Request, carry_out
from featurize.pipeline.source import FeatureSource, make_source
from featurize.runtime.compiled import CompiledNetworks
from featurize.runtime.extractor import build_extractor
from featurize.runtime.precision import precisions_here
from featurize.runtime.quantised import quantise, read_quantised, write_quantised
from featurize.runtime.runners import make_kept_runner
from store import FeatureKey, FeatureStore
from store.digest import file_sha256
from store.errors import CorruptPartError, StoreNotFoundError
from store.format.network_file import add_network, choose_network, chosen_network, list_networks
from store.maintenance.merge import merge_stores
from store.maintenance.repair import repair_store
from store.maintenance.verify import verify_store

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 64, 96, 3), dtype=np.uint8)
needs_bf16 = pytest.mark.skipif("bf16" not in precisions_here(), reason="this processor has no bf16")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(BACKBONES, "tiny", tiny_backbone())  # type: ignore[arg-type]
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(4):
        write_indexed_clip(folder / f"{number}.mp4", 6 + number, fps=2)
    return folder


def request(videos: Path, precision: Precision, **changes: Any) -> Request:
    sampling = featurize.Sampling(fps=2)
    return Request(videos=[videos], backbones=["tiny"], sampling=sampling, precision=precision, **changes)


def run(asked: Request, store: Path) -> tuple[int, list[str]]:
    """How many clips were done, and the names of networks that were quantised for it."""
    calibrated: list[str] = []
    done = carry_out(
        asked,
        store,
        watch=api._nothing,
        on_warning=lambda _: None,
        on_calibrate=lambda source: calibrated.append(source.backbone.name),
    )
    return done.done, calibrated


def keys(store: Path) -> dict[str, FeatureKey]:
    return {key.precision: key for key in FeatureStore.open(store).keys()}


def features(store: Path, precision: str) -> list[bytes]:
    reader = FeatureStore.open(store).reader(keys(store)[precision])
    return [reader.row(row).features.tobytes() for row in range(len(reader.ids))]


@pytest.mark.parametrize(
    ("precision", "told"), [("f32", "float32"), pytest.param("bf16", "bfloat16", marks=needs_bf16)]
)
def test_openvino_is_always_told_what_to_compute_in(tmp_path: Path, precision: Precision, told: str) -> None:
    """By itself it takes bf16 where the processor is faster in it."""
    found = []

    class Watched(CompiledNetworks):
        def keep(self, core: Any, shape: tuple[int, ...], compiled: Any) -> None:
            found.append(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
            super().keep(core, shape, compiled)

        def load(self, core: Any, shape: tuple[int, ...], settings: dict[str, str]) -> Any:
            compiled = super().load(core, shape, settings)
            if compiled is not None:
                found.append(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
            return compiled

    kept = [Watched(tiny_backbone(), RANDOM_WEIGHTS, 64, tmp_path, precision=precision) for _ in range(2)]
    for each in kept:
        make_kept_runner(lambda: build_extractor(tiny_backbone(), RANDOM_WEIGHTS), each, precision)(PIXELS)
    assert len(found) == 2
    assert all(told in name or {"f32": "float32", "bf16": "bfloat16"}.get(name) == told for name in found)


@needs_bf16
def test_features_of_two_precisions_stand_under_two_keys_and_differ(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run(request(clips, "f32"), store) == (4, [])
    assert run(request(clips, "bf16"), store) == (4, [])
    assert run(request(clips, "bf16"), store) == (0, [])
    assert set(keys(store)) == {"f32", "bf16"}
    assert "precision" not in keys(store)["f32"].to_json()
    full, half = (np.frombuffer(b"".join(features(store, name)), np.float16).astype(float) for name in ("f32", "bf16"))
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, rtol=0.05, atol=0.02)


def test_a_precision_that_the_processor_lacks_is_refused_before_anything_is_made(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurize.runtime.precision.precisions_here", lambda: ("f32", "int8"))
    words = [str(clips), "--store", str(tmp_path / "store"), "--backbone", "tiny", "--precision", "bf16"]
    with pytest.raises(SettingsError, match="processor of this machine does not have it, it has f32, int8; use one"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert FeatureStore.open(tmp_path / "store", create=True).keys() == []


def test_tensorflow_is_refused_for_other_precisions_and_rules_know_none(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--precision int8 is run by OpenVINO; leave --runtime out"):
        run(request(clips, "int8", runtime="tensorflow"), tmp_path / "store")
    rules = BACKBONES["phash"]
    assert make_source(rules, RANDOM_WEIGHTS, precision="int8") == make_source(rules, RANDOM_WEIGHTS)


def test_a_network_is_quantised_once_and_new_clips_go_through_it(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, grown = tmp_path / "store", tmp_path / "grown"
    shutil.copytree(clips, grown)
    assert run(request(grown, "int8"), store) == (4, ["tiny"])
    (key,) = keys(store).values()
    (network,) = (store / "networks").glob("*.zip")
    assert file_sha256(network) == key.quantised
    assert key.folder.startswith("tiny-whole-int8-")
    write_indexed_clip(grown / "new.mp4", 9, fps=2)
    monkeypatch.setattr("featurize.runtime.quantised.LIBRARY", "a_package_that_is_not_there")
    assert run(request(grown, "int8"), store) == (1, [])
    assert keys(store) == {"int8": key}
    assert run(request(grown, "int8", views=["motion"]), store) == (5, [])
    assert {each.quantised for each in FeatureStore.open(store).keys()} == {key.quantised}
    with pytest.raises(SettingsError, match=r"needs NNCF .* `pip install 'trapline\[int8\]'`"):
        run(request(grown, "int8"), tmp_path / "another")


def test_the_same_clips_give_the_same_network_and_others_another(clips: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(request(clips, "int8"), tmp_path / name)
    assert keys(tmp_path / "one") == keys(tmp_path / "two")
    assert features(tmp_path / "one", "int8") == features(tmp_path / "two", "int8")
    write_indexed_clip(tmp_path / "other" / "9.mp4", 40, fps=2)
    run(request(tmp_path / "other", "int8"), tmp_path / "three")
    assert keys(tmp_path / "three")["int8"].quantised != keys(tmp_path / "one")["int8"].quantised


def test_a_run_gets_its_own_quantised_network_or_a_sentence(clips: Path, tmp_path: Path) -> None:
    """`--for RUN` hands over keys: clips of another season are run through what the run was trained on."""
    run(request(clips, "int8"), tmp_path / "old")
    (key,) = keys(tmp_path / "old").values()
    write_indexed_clip(tmp_path / "new" / "9.mp4", 40, fps=2)
    asked = request(tmp_path / "new", "f32", keys=[key])
    assert run(asked, tmp_path / "next") == (1, [])  # the user's cache has a copy
    assert keys(tmp_path / "next") == {"int8": key}
    assert [path.name for path in (tmp_path / "next" / "networks").iterdir()] == [
        path.name for path in (tmp_path / "old" / "networks").glob("*.zip")
    ]
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(WeightsError, match=rf"copy the file whose name ends in -{key.quantised[:12]}\.zip"):
        run(asked, tmp_path / "elsewhere")
    (network,) = (tmp_path / "next" / "networks").iterdir()
    packed = tmp_path / "model.trapline"
    for place, content in (("heads", b""), ("networks", network.read_bytes()[:-1]), ("networks", network.read_bytes())):
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"{place}/{network.name}", content)
        if content != network.read_bytes():
            with pytest.raises(WeightsError, match=r"have the model packed with `heads pack --store`"):
                run(replace(asked, brought_by=packed), tmp_path / "elsewhere")
    assert run(replace(asked, brought_by=packed), tmp_path / "elsewhere") == (1, [])
    assert keys(tmp_path / "elsewhere") == {"int8": key}
    packed.unlink()
    write_indexed_clip(tmp_path / "new" / "10.mp4", 30, fps=2)
    assert run(asked, tmp_path / "elsewhere") == (1, [])  # the store keeps it
    shutil.copytree(tmp_path / "next" / "networks", tmp_path / "unpacked" / "networks")
    assert run(replace(asked, brought_by=tmp_path / "unpacked"), tmp_path / "another") == (2, [])


def test_a_damaged_network_is_told_and_set_aside_and_never_run(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run(request(clips, "int8"), store)
    shutil.rmtree(tmp_path / "cache")
    (network,) = (store / "networks").glob("*.zip")
    whole = network.read_bytes()
    network.write_bytes(whole[:-1])
    write_indexed_clip(tmp_path / "new" / "9.mp4", 40, fps=2)
    with pytest.raises(WeightsError, match="is damaged, its sha256 is not"):
        run(request(tmp_path / "new", "int8"), store)
    assert [problem.path for problem in verify_store(store).problems] == [network]
    repair_store(FeatureStore.open(store))
    assert not network.exists()
    with pytest.raises(WeightsError, match="copy the file"):
        run(request(tmp_path / "new", "int8"), store)
    network.write_bytes(whole)
    assert run(request(tmp_path / "new", "int8"), store) == (1, [])


def test_a_network_is_fitted_to_clips_that_can_be_decoded(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="none of 1 clips can be decoded"):
        run(request(tmp_path / "bad", "int8"), tmp_path / "store")
    shutil.copy(clips / "0.mp4", tmp_path / "bad" / "b.mp4")
    assert run(request(tmp_path / "bad", "int8"), tmp_path / "store") == (1, ["tiny"])


def test_dry_runs_quantise_nothing_in_the_store(clips: Path, tmp_path: Path) -> None:
    FeatureStore.open(tmp_path / "store", create=True)
    words = [str(clips), "--store", str(tmp_path / "store"), "--backbone", "tiny", "--precision", "int8"]
    done = CliRunner().invoke(app, [*words, "--dry-run", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["to_do"] == 4
    assert not (tmp_path / "store" / "networks").exists()


def test_merged_stores_have_the_networks_of_both(clips: Path, tmp_path: Path) -> None:
    run(request(clips, "int8"), tmp_path / "one")
    write_indexed_clip(tmp_path / "other" / "9.mp4", 40, fps=2)
    run(request(tmp_path / "other", "int8"), tmp_path / "two")
    stores = [FeatureStore.open(tmp_path / name) for name in ("one", "two")]
    into = FeatureStore.open(tmp_path / "both", create=True)
    merge_stores(stores, into)
    assert {path.stem[-12:] for path in list_networks(into.root / "networks") if path.suffix == ".zip"} == {
        key.quantised[:12] for key in into.keys()
    }
    assert not verify_store(into.root).problems
    shutil.rmtree(tmp_path / "cache")
    assert run(request(clips, "int8"), into.root) == (0, [])  # the first store's network stands for the merged one


def test_a_frame_has_the_same_bits_wherever_it_stands(clips: Path, tmp_path: Path) -> None:
    for precision in ("bf16", "int8"):
        if precision not in precisions_here():
            continue
        source = quantised(tmp_path) if precision == "int8" else tiny(precision)
        found = runner_of(source, "auto")(PIXELS)
        assert runner_of(source, "auto")(PIXELS[::-1].copy())[::-1].tobytes() == found.tobytes()
        assert found.any()


def tiny(precision: Precision) -> FeatureSource:
    return make_source(tiny_backbone(), RANDOM_WEIGHTS, precision=precision)


def quantised(folder: Path) -> FeatureSource:
    from featurize.backbones.weights import Weights

    path = folder / "tiny.zip"
    write_quantised(path, quantise(full_network(tiny("f32")), [PIXELS[:1], PIXELS[:1, :32]]), {"pictures": 2})
    return replace(tiny("int8"), quantised=Weights(path=path, sha256=file_sha256(path)))


def test_what_was_quantised_is_near_and_needs_neither_its_maker_nor_the_file_once_compiled(tmp_path: Path) -> None:
    source = quantised(tmp_path)
    full = runner_of(tiny("f32"), "auto")(PIXELS)
    first = runner_of(source, "auto")(PIXELS)
    assert not np.array_equal(full, first)
    assert np.abs(first - full).mean() < 0.05 * np.abs(full).mean()
    (tmp_path / "tiny.zip").unlink()
    assert runner_of(source, "auto")(PIXELS).tobytes() == first.tobytes()
    with pytest.raises(WeightsError, match="cannot be read"):
        runner_of(source, "auto")(PIXELS[:, :32])


def test_quantising_again_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        source = quantised(tmp_path / str(number))
        assert source.quantised is not None
        digests.add(source.quantised.sha256)
        read_quantised(tmp_path / str(number) / "tiny.zip", source.quantised.sha256)
    assert len(digests) == 1


def test_of_processes_that_quantise_at_once_all_take_the_one_that_was_first(tmp_path: Path) -> None:
    folder, barrier = tmp_path / "networks", Barrier(6)

    def quantise_one(number: int) -> str:
        made = add_network(folder, "net-int8", lambda path: path.write_bytes(bytes([number])) and None)
        barrier.wait()
        return choose_network(folder, "net-int8-order", made)

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(quantise_one, range(6)))
    assert len(set(taken)) == 1
    assert chosen_network(folder, "net-int8-order") == taken[0]
    assert choose_network(folder, "net-int8-order", "0" * 64) == taken[0]
    assert not [path for path in folder.iterdir() if path.name.startswith(".tmp")]


def test_a_network_that_is_not_written_to_its_end_is_not_there(tmp_path: Path) -> None:
    def stopped(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_network(tmp_path, "net-int8", stopped)
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "net-int8-order.json").write_text('{"sha256"')
    with pytest.raises(CorruptPartError, match="does not say which network is meant"):
        chosen_network(tmp_path, "net-int8-order")


def test_a_precision_of_a_later_version_is_named(clips: Path, tmp_path: Path) -> None:
    run(request(clips, "f32"), tmp_path / "store")
    spec = keys(tmp_path / "store")["f32"].to_json() | {"precision": "int4"}
    with pytest.raises(SettingsError, match="was computed in int4, which this version of Trapline does not have"):
        sources_of([FeatureKey.from_json(spec)], [], ["random"], offline=True)


def test_speeds_are_measured_at_each_precision_that_the_machine_has(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = speed_rows(["tiny"], offline=True, seconds=0.03)
    assert row["name"] == "tiny"
    assert set(row["frames_per_s"]) == set(precisions_here())
    assert all(speed > 0 for speed in row["frames_per_s"].values())
    monkeypatch.setattr("featurize.commands.measure.LIBRARY", "a_package_that_is_not_there")
    monkeypatch.setattr("featurize.commands.measure.speed_rows", lambda *_, **__: iter([SLOW]))
    print_speeds(["slow"], offline=True, as_json=False)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split() == ["slow", "64", "1.5", *(["-"] * (len(precisions_here()) - 1))]
    assert "int8 is not measured" in shown.err
    assert "slow: its weights are not here" in shown.err


SLOW = {"name": "slow", "input_px": 64, "pretrained": False, "frames_per_s": {"f32": 1.5}}


def test_the_weights_of_every_convolution_become_integers() -> None:
    """Where they stay behind a transposition, a quantised network is no faster than the one it was made of."""
    network = quantise(full_network(tiny("f32")), [PIXELS[:1]])
    named = [each for each in network.get_ops() if each.get_type_name() == "Convolution"]
    kinds = {
        each.get_element_type().get_type_name() for each in network.get_ops() if each.get_type_name() == "Constant"
    }
    assert len(named) == 2
    assert "i8" in kinds
    integers = [
        each
        for each in network.get_ops()
        if each.get_type_name() == "Constant" and each.get_element_type().get_type_name() == "i8"
    ]
    assert len(integers) == 2


def stored(store: Path) -> dict[str, FeatureKey]:
    return {key.dtype: key for key in FeatureStore.open(store).keys()}


def test_features_that_are_rounded_have_a_key_of_their_own_and_are_near(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run(request(clips, "f32"), store) == (4, [])
    assert run(request(clips, "f32", store_precision="int8"), store) == (4, [])
    assert run(request(clips, "f32", store_precision="int8"), store) == (0, [])
    assert set(stored(store)) == {"float16", "int8"}
    opened = FeatureStore.open(store)
    half, rounded = (opened.reader(stored(store)[name]) for name in ("float16", "int8"))
    for place in range(4):
        expected = half.row(place).features.astype(np.float32)
        off = np.abs(rounded.row(place).features - expected)
        assert (off <= np.abs(expected).max(axis=0) / 127 + 1e-4).all()
    with pytest.raises(StoreNotFoundError, match=r"may mean .*dtype=int8"):
        opened.find("tiny")


def test_shards_of_rounded_features_and_a_run_that_was_stopped_have_the_bits_of_one_run(
    clips: Path, tmp_path: Path
) -> None:
    asked = request(clips, "f32", store_precision="int8", clips_per_part=1)
    run(asked, tmp_path / "whole")
    for index in range(2):
        run(replace(asked, shard=(index, 2)), tmp_path / str(index))
    run(replace(asked, limit=2), tmp_path / "stopped")
    run(asked, tmp_path / "stopped")
    merge_stores([FeatureStore.open(tmp_path / str(index)) for index in range(2)], into := merged(tmp_path / "merged"))
    assert features(into.root, "f32") == features(tmp_path / "whole", "f32") == features(tmp_path / "stopped", "f32")


def merged(folder: Path) -> FeatureStore:
    return FeatureStore.open(folder, create=True)


def test_what_a_run_read_rounded_is_made_rounded_again_and_rules_are_never_rounded(clips: Path, tmp_path: Path) -> None:
    run(request(clips, "f32", store_precision="int8"), tmp_path / "store")
    key = stored(tmp_path / "store")["int8"]
    (source,) = sources_of([key], [], ["random"], offline=True)
    assert source.key(featurize.Sampling(fps=2)) == key
    rules = BACKBONES["phash"]
    assert make_source(rules, RANDOM_WEIGHTS, stored="int8") == make_source(rules, RANDOM_WEIGHTS)


def test_a_dry_run_tells_of_half_the_disk(clips: Path, tmp_path: Path) -> None:
    estimates = [
        featurize.estimate_cost(
            featurize.plan(clips, tmp_path / "store", backbones="tiny", weights="random", fps=2, store_precision=each)
        ).disk_bytes
        for each in ("float16", "int8")
    ]
    assert estimates[0] == 2 * estimates[1]


def test_the_command_rounds_and_takes_no_such_word_beside_a_run(clips: Path, tmp_path: Path) -> None:
    words = [str(clips), "--store", str(tmp_path / "store"), "--store-precision", "int8"]
    done = CliRunner().invoke(app, [*words, "--backbone", "tiny", "--weights", "random", "--fps", "2"])
    assert done.exit_code == 0, done.output
    assert set(stored(tmp_path / "store")) == {"int8"}
    refused = CliRunner().invoke(app, [*words, "--for", str(tmp_path)])
    assert refused.exit_code == 2
    assert "--for takes such settings from the run" in " ".join(refused.output.split())
