"""docs/extending.md: what it tells strangers to write works, as it stands there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import page_examples
import pytest
from indexed_clips import write_indexed_clip

import featurize
from featurize.backbones.registry import find_backbone
from featurize.errors import WeightsError
from featurize.runtime.extractor import tap_output
from heads.blending.blend import Blend, blend_data
from heads.blending.blenders import blenders_to_try, find_blender
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.reading.label_formats import read_labels
from heads.data.splitting.folds import assign_folds
from heads.errors import LabelError, PredictionError
from heads.workflows.answers.output import write_predictions
from heads.workflows.answers.predict import NewPredictions, Origin
from store import FeatureStore, Status

ROOT = page_examples.PAGE.parents[1]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for number in range(3):
        write_indexed_clip(tmp_path / "clips" / f"{number}.mp4", 4, fps=2)
    return tmp_path / "clips"


def test_every_seam_has_an_example() -> None:
    assert page_examples.titles() == [
        "A network",
        "A view",
        "A kind of head",
        "A blender",
        "A form of labels",
        "A format of predictions",
        "A runner of work",
    ]


def test_saved_files_and_the_tables_that_import_them_can_be_imported(tmp_path: Path) -> None:
    """As examples are run below, their tables are there already; on a disk either may be asked for first."""
    for package in ("store", "featurize", "heads"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    names = []
    for title in page_examples.titles():
        file, row = page_examples.blocks(title)
        names += [file.module, row.module]
        (tmp_path / f"{file.module.replace('.', '/')}.py").write_text(file.code)
        table = tmp_path / f"{row.module.replace('.', '/')}.py"
        text, imports = table.read_text(), row.code.rpartition("\n\n")[0]
        table.write_text(re.sub(r"^from ", f"{imports}\nfrom ", text, count=1, flags=re.MULTILINE))
    for order in (names, names[::-1]):
        check = "".join(f"import {name}\n" for name in order)
        done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_a_network(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = page_examples.install("A network", monkeypatch)
    row = find_backbone("two_steps")
    network = module.two_steps_network(row, None, None)
    assert network.count_params() == row.parameters
    tapped = keras.Model(network.input, [tap_output(network, row, tap) for tap in row.taps])
    sizes = [(tap.channels, 64 // tap.stride) for tap in row.taps]
    assert [(shape[3], shape[1]) for shape in tapped.compute_output_shape((1, 64, 64, 3))] == sizes
    weights = tmp_path / "two_steps.weights.h5"
    network.save_weights(weights)
    summary = featurize.run(clips, tmp_path / "store", backbones="two_steps", weights=weights, fps=2, progress=False)
    assert summary.done == 3
    store = FeatureStore.open(tmp_path / "store")
    assert store.reader(store.find("two_steps")).dim == row.dim == 48
    weights.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="not weights of two_steps"):
        featurize.run(clips, tmp_path / "other", backbones="two_steps", weights=weights, fps=2, progress=False)


def test_a_view(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page_examples.install("A view", monkeypatch)
    views = ["whole", "left"]
    assert featurize.run(clips, tmp_path / "store", backbones="phash", views=views, fps=2, progress=False).done == 3
    store = FeatureStore.open(tmp_path / "store")
    key = store.find("phash+left")
    assert key.view == {"name": "left", "left.share": 0.5}
    np.testing.assert_array_equal(store.reader(key).row(0).per_frame["box"], [[0, 0, 0.5, 1]] * 4)


def test_a_blender(monkeypatch: pytest.MonkeyPatch) -> None:
    page_examples.install("A blender", monkeypatch)
    assert "median" in blenders_to_try(60)[0]
    rng = np.random.default_rng(0)
    values = (rng.random((60, 2)) < 0.4).astype(np.uint8)
    labels = LabelTable(ids=tuple(map(str, range(60))), classes=("hog", "lion"), values=values)
    oof = [
        Predictions(ids=labels.ids, classes=labels.classes, probabilities=rng.random((60, 2)), provenance={"model": m})
        for m in "abc"
    ]
    fitted = blend_data(oof, labels, assign_folds(values, None, 3, 0, ids=labels.ids)).fit(find_blender("median"))
    blend = Blend.from_json(json.loads(json.dumps(fitted.to_json())))
    middle = np.median([each.probabilities for each in oof], axis=0)
    np.testing.assert_array_equal(blend.apply(oof).probabilities, middle)


def test_a_form_of_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page_examples.install("A form of labels", monkeypatch)
    path = tmp_path / "cards.json"
    cards = [{"clip": "a", "camera": "k1", "animals": ["hog"]}, {"clip": "b", "camera": "k2"}]
    path.write_text(json.dumps(cards))
    found = read_labels(path)
    assert (found.labels.ids, found.labels.classes, found.labels.sites) == (("a",), ("hog",), ("k1",))
    assert found.sites == {"a": "k1", "b": "k2"}
    for text in ("not JSON", "[1]", '[{"clip": "a"}]'):
        path.write_text(text)
        with pytest.raises(LabelError, match=r"^cards.json: expected a .json of clip, camera and animals, found"):
            read_labels(path)


def test_a_format_of_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page_examples.install("A format of predictions", monkeypatch)
    said = Predictions(ids=("a.mp4",), classes=("hog", "lion"), probabilities=np.array([[0.25, 0.5]]))
    new = NewPredictions(predictions=said, status=(Status.OK,), origin=(Origin.NEW,))
    write_predictions(tmp_path / "p.json", new)
    assert json.loads((tmp_path / "p.json").read_text()) == [{"media": "a.mp4", "class": "lion", "probability": 0.5}]
    with pytest.raises(PredictionError, match="no place for a template or frames"):
        write_predictions(tmp_path / "q.json", new, frames={})
    assert not (tmp_path / "q.json").exists()


def test_a_runner_of_work(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page_examples.install("A runner of work", monkeypatch)
    store = FeatureStore.open(tmp_path / "store", create=True)
    summary = featurize.run(clips, store, backbones="phash", fps=2, work_runner="two_processes", progress=False)
    assert (summary.done, summary.frames) == (3, 12)
    assert len(store.clips()) == 3
