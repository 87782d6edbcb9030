"""One file of what prediction needs: the same answers, nothing of the clips, and nothing that runs by itself."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from training import train_run
from typer.testing import CliRunner

from featurize.pipeline.for_run import keys_of_run
from heads.cli import app
from heads.errors import RunError, TrainError
from heads.recipe import HeadConfig, Recipe
from heads.report import write_report
from heads.run import RunDirectory
from heads.workflows.answers.packing import opened_run, pack, read_packed, unpack
from heads.workflows.answers.predict import Origin, predict_run
from heads.workflows.blend import blend_run
from store import FeatureStore
from store.format.network_file import add_network, network_folder

pytestmark = pytest.mark.slow

QUICK = {"metadata": ("frame_size",), "dense_units": (), "dropout": 0.0, "epochs": 2, "batch_clips": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blended run of three kinds of heads, its store, and a store of other clips with one copy among them."""
    folder = tmp_path_factory.mktemp("packing")
    values = np.eye(3, dtype=np.uint8)[np.random.default_rng(0).integers(0, 3, 60)]
    store = make_store(folder / "store", values, copies=(7,))
    ids = clip_ids(60)
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids)})
    table[["blank", "deer", "fox"]] = values
    table.to_csv(folder / "labels.csv", index=False)
    heads = (
        HeadConfig(kind="attention", **QUICK),
        HeadConfig(kind="deviation", statistics=("event", "mean"), **QUICK),
        HeadConfig(kind="discriminant"),
    )
    run = RunDirectory(folder / "run")
    train_run(store, folder / "labels.csv", run, Recipe(folds=3, heads=heads))
    blend_run(run, "greedy+calibrated")
    make_store(folder / "new", values[:20], ids=[f"valley/{number}.avi" for number in range(20)], copies=(3,), seed=9)
    pack(run, folder / "model.trapline")
    return folder


def test_a_packed_model_answers_to_the_same_bits(folder: Path) -> None:
    run, new = RunDirectory(folder / "run"), FeatureStore.open(folder / "new")
    expected = predict_run(run, new)
    with opened_run(folder / "model.trapline") as packed:
        found = predict_run(packed, new)
    fresh = np.array([origin is Origin.NEW for origin in expected.origin])
    assert np.count_nonzero(fresh) == 19
    np.testing.assert_array_equal(found.predictions.probabilities[fresh], expected.predictions.probabilities[fresh])
    assert (found.predictions.ids, found.status, found.origin) == (
        expected.predictions.ids, expected.status, expected.origin,
    )  # fmt: skip


def test_what_was_learned_from_gets_no_fitted_answer_elsewhere(folder: Path) -> None:
    """Its own store, seen by the packed model: clips are known by their content, and their folds' models answer."""
    store = FeatureStore.open(folder / "store")
    with opened_run(folder / "model.trapline") as packed:
        found = predict_run(packed, store)
    assert set(found.origin) == {Origin.OUT_OF_FOLD}
    run = RunDirectory(folder / "run")
    fold = run.read_folds().of(found.predictions.ids)
    alone = found.predictions.probabilities
    with opened_run(folder / "model.trapline") as packed:
        marks = packed.read_fingerprints()
        assert len(marks) == 60
        assert not set(marks) & set(found.predictions.ids)
    oof = run.read_oof("blend").select(found.predictions.ids)
    assert np.abs(alone - oof.probabilities).max() < 0.2  # blends of other folds' clips differ a little
    assert fold.max() == 2


def test_nothing_of_the_clips_is_packed(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.trapline") as archive:
        # The digests of files are made up here, of their names.
        contents = {name: archive.read(name).replace(b"print of site", b"") for name in archive.namelist()}
        assert {name.split("/")[0] for name in archive.namelist()} == {
            *("manifest.json", "config.yaml", "blend.json", "metrics.json", "labels.csv", "folds.csv", "balance.csv"),
            *("packed.json", "heads", "oof"),
        }
        assert not [name for name in archive.namelist() if "state" in name or "epochs" in name]
    for clip_id in clip_ids(60):
        assert [name for name, content in contents.items() if clip_id.encode() in content] == []
    assert [name for name, content in contents.items() if b"site 1" in content] == []


def test_the_same_run_gives_the_same_bytes_and_says_what_it_is(folder: Path) -> None:
    again = pack(RunDirectory(folder / "run"), folder / "again.trapline")
    assert (folder / "again.trapline").read_bytes() == (folder / "model.trapline").read_bytes()
    assert read_packed(folder / "model.trapline") == again
    assert again.classes == ("blank", "deer", "fox")
    assert again.learned_from == 60
    assert [source["features"] for source in again.sources] == ["made"]
    told = CliRunner().invoke(app, ["unpack", str(folder / "model.trapline"), "--info"])
    assert told.exit_code == 0
    assert "run run, packed by Trapline" in told.output
    assert "reads made (fps=1.0, 64 px, weights random)" in told.output
    asked = CliRunner().invoke(app, ["unpack", str(folder / "model.trapline"), "--json"])
    assert json.loads(asked.output)["blend"] == "greedy+calibrated"


def test_the_command_takes_the_file_as_it_takes_a_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("class,scientificName\ndeer,Cervus elaphus\n")
    words = ["pack", str(folder / "run"), str(tmp_path / "m.trapline"), "--classes", str(tmp_path / "classes.csv")]
    assert CliRunner().invoke(app, words).exit_code == 0
    for source, out in ((tmp_path / "m.trapline", "a.csv"), (folder / "run", "b.csv")):
        words = ["predict", "--run", str(source), "--store", str(folder / "new"), "--out", str(tmp_path / out)]
        done = CliRunner().invoke(app, [*words, "--only-new", "--findings", str(tmp_path / f"found {out}")])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "found a.csv").read_bytes() == (tmp_path / "found b.csv").read_bytes()
    words = ["predict", "--run", str(tmp_path / "m.trapline"), "--store", str(folder / "new"), "--format", "long"]
    assert CliRunner().invoke(app, [*words, "--out", str(tmp_path / "long.csv")]).exit_code == 0
    assert "Cervus elaphus" in set(pd.read_csv(tmp_path / "long.csv")["scientificName"].dropna())
    assert keys_of_run(tmp_path / "m.trapline") == keys_of_run(folder / "run")


def test_what_was_unpacked_predicts_and_does_nothing_else(folder: Path, tmp_path: Path) -> None:
    unpack(folder / "model.trapline", tmp_path / "model")
    run = RunDirectory(tmp_path / "model")
    with pytest.raises(RunError, match="is a packed model, which predicts"):
        write_report(run)
    with pytest.raises(RunError, match="is a packed model, which predicts"):
        blend_run(run)
    store = FeatureStore.open(folder / "store")
    with pytest.raises(TrainError, match="is a packed model, which cannot be trained on"):
        train_run(store, folder / "labels.csv", run, Recipe(folds=3, heads=(HeadConfig(kind="discriminant"),)))
    with pytest.raises(RunError, match="is there already"):
        unpack(folder / "model.trapline", tmp_path / "model")
    with pytest.raises(RunError, match=r"ends in \.trapline"):
        pack(RunDirectory(folder / "run"), tmp_path / "m.zip")


def test_quantised_networks_go_along_if_the_store_is_named(folder: Path, tmp_path: Path) -> None:
    run, store = RunDirectory(tmp_path / "run"), FeatureStore.open(folder / "store")
    shutil.copytree(folder / "run", run.path)
    made = add_network(
        network_folder(tmp_path / "other"), "made-int8", lambda path: path.write_bytes(b"8 bits") and None
    )
    for path in run.path.glob("heads/*/head.json"):
        facts = json.loads(path.read_text())
        facts["sources"] = [source | {"precision": "int8", "quantised": made} for source in facts["sources"]]
        path.write_text(json.dumps(facts))
    out = tmp_path / "m.trapline"
    with pytest.raises(RunError, match=rf"networks: has no file whose name ends in -{made[:12]}\.zip"):
        pack(run, out, store=store)
    assert not out.exists()
    alone = CliRunner().invoke(app, ["pack", str(run.path), str(out)])
    assert alone.exit_code == 0
    lacks = "reads features of 1 quantised network, which it does not bring along"
    assert lacks in alone.stderr
    assert "reads made (fps=1.0, 64 px, weights random, int8)" in alone.stdout
    for words in (["--info"], ["--json"], ["--out", str(tmp_path / "unpacked")]):
        said = CliRunner().invoke(app, ["unpack", str(out), *words])
        assert said.exit_code == 0
        assert lacks in said.stderr
    assert "int8" in said.stdout
    shutil.copytree(folder / "store", tmp_path / "store")
    shutil.copytree(tmp_path / "other" / "networks", tmp_path / "store" / "networks")
    told = CliRunner().invoke(app, ["pack", str(run.path), str(out), "--store", str(tmp_path / "store")])
    assert told.exit_code == 0
    names = "with the names (paths) of the clips that quantising was fitted to"
    brings = f"brings 'made-int8-{made[:12]}.zip', quantised, {names}"
    assert brings in told.output
    assert told.stderr == ""
    whole = CliRunner().invoke(app, ["unpack", str(out), "--info"])
    assert brings in whole.output
    assert whole.stderr == ""
    with opened_run(out) as opened:
        assert (opened.path / "networks" / f"made-int8-{made[:12]}.zip").read_bytes() == b"8 bits"


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A packed model whose files were changed by somebody who also mended its list."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    change(files)
    manifest["files"] = {name: sha256(content).hexdigest() for name, content in files.items()}
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, content in files.items():
            archive.writestr(name, content)
    return target


def in_models(change: Callable[[dict[str, Any], h5py.File], None]) -> Callable[[dict[str, bytes]], None]:
    """A change of the configuration and the weights in the first saved model."""

    def apply(files: dict[str, bytes]) -> None:
        name = next(name for name in files if name.endswith(".keras"))
        with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
            parts = {each: archive.read(each) for each in archive.namelist()}
        config, weights = json.loads(parts["config.json"]), io.BytesIO(parts["model.weights.h5"])
        with h5py.File(weights, "r+") as file:
            change(config, file)
        parts |= {"config.json": json.dumps(config).encode(), "model.weights.h5": weights.getvalue()}
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for each, content in parts.items():
                archive.writestr(each, content)
        files[name] = written.getvalue()

    return apply


def layer(**changed: Any) -> Callable[[dict[str, Any], h5py.File], None]:
    def change(config: dict[str, Any], file: h5py.File) -> None:
        config["config"]["layers"][1].update(changed)

    return change


def link_out(config: dict[str, Any], file: h5py.File) -> None:
    file["more"] = h5py.ExternalLink("/etc/hostname", "/")


def store_outside(config: dict[str, Any], file: h5py.File) -> None:
    file.create_dataset("more", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def put(name: str, content: bytes = b"import os") -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.update({name: content})


def call_a_function(config: dict[str, Any], file: h5py.File) -> None:
    config["config"]["layers"][1]["config"]["activation"] = {
        "module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (in_models(layer(class_name="Lambda", module="keras.layers")), r"built of keras\.layers\.Lambda"),
        (in_models(layer(class_name="TFSMLayer", module="keras.layers")), "built of .*TFSMLayer"),
        (in_models(layer(class_name="system", module="os", registered_name=None)), r"built of os\.system"),
        (in_models(layer(class_name="Standardise", module="evil", registered_name="x")), "built of evil"),
        (in_models(call_a_function), r"built of builtins\.function"),
        (in_models(link_out), "its /more leads elsewhere"),
        (in_models(store_outside), "its /more is no array of numbers in the file itself"),
        (put("../outside.csv"), r"holds '\.\./outside\.csv', which belongs into no packed model"),
        (put("/tmp/outside.csv"), "which belongs into no packed model"),
        (put("heads/a/b/fold0.keras"), "which belongs into no packed model"),
        (put("heads/..\\..\\x/head.json"), "which belongs into no packed model"),
        (put("networks/a/b.zip"), "which belongs into no packed model"),
        (put("networks/network.py"), "which belongs into no packed model"),
        (put("sitecustomize.py"), "which belongs into no packed model"),
        (put("heads/attention-made/fold0.keras", b"not a zip"), "it cannot be read"),
    ],
)
def test_a_doctored_file_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], match: str
) -> None:
    doctored = rewritten(folder / "model.trapline", tmp_path / "doctored.trapline", change)
    with pytest.raises(RunError, match=match):
        unpack(doctored, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RunError, match=match), opened_run(doctored):
        raise AssertionError("it was opened")


def test_a_damaged_file_is_told_from_no_model_at_all(folder: Path, tmp_path: Path) -> None:
    content = bytearray((folder / "model.trapline").read_bytes())
    place = content.find(b"temperature")
    content[place] ^= 1
    (tmp_path / "damaged.trapline").write_bytes(content)
    with pytest.raises(RunError, match=r"damaged\.trapline: is no packed model \(Bad CRC-32"):
        read_packed(tmp_path / "damaged.trapline")
    (tmp_path / "text.trapline").write_text("hello")
    with pytest.raises(RunError, match="is no packed model"):
        read_packed(tmp_path / "text.trapline")
    with pytest.raises(RunError, match="there is no such file"):
        read_packed(tmp_path / "none.trapline")
    with zipfile.ZipFile(folder / "model.trapline") as archive, zipfile.ZipFile(tmp_path / "l.trapline", "w") as less:
        for name in archive.namelist()[:-1]:
            less.writestr(name, archive.read(name))
    with pytest.raises(RunError, match="its files are not those that it lists"):
        read_packed(tmp_path / "l.trapline")
