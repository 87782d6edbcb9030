"""What networks themselves take frames for: kept beside features of their own weights, and what the network says."""

import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from golden_pixels import golden_pixels
from indexed_clips import write_indexed_clip

import featurize
from featurize.backbones.builders.efficientnet_lite import build_efficientnet_lite, load_torch_weights
from featurize.backbones.builders.imagenet_animals import efficientnet_lite_animals
from featurize.backbones.registry import find_backbone
from featurize.backbones.weights import RANDOM_WEIGHTS, Weights, locate_weights
from featurize.pipeline.classifiers import keep_classifiers
from featurize.pipeline.source import make_source
from featurize.runtime.extractor import build_extractor
from featurize.views.sampling import Sampling
from store import FeatureStore
from store.errors import StoreWriteError
from store.format.classifier_file import CLASSIFIER, IMAGENET_ANIMALS, Classifier

LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SAMPLING = Sampling(fps=2)


@pytest.mark.parametrize("name", LITES)
def test_its_scores_are_those_of_the_whole_network(name: str) -> None:
    """By the features as the extractor gives them, for the animals: the first of a thousand classes."""
    backbone = find_backbone(name)
    weights = locate_weights(backbone)
    assert weights.path is not None
    model = build_efficientnet_lite(name, include_top=True)
    load_torch_weights(model, weights.path)
    pixels = golden_pixels(224, 224)
    logits = keras.ops.convert_to_numpy(model((pixels[None].astype(np.float32) - 127) / 128))[0]
    kept = efficientnet_lite_animals(backbone, weights.path)
    assert (kept.classes, kept.tap) == (IMAGENET_ANIMALS, "head")
    assert (kept.kernel.shape, kept.bias.shape) == ((1280, 398), (398,))
    key = make_source(backbone, weights).key(SAMPLING)
    (columns,) = (tap for tap in key.tap_columns if tap.name == kept.tap)
    features = keras.ops.convert_to_numpy(build_extractor(backbone, weights)(pixels[None]))[0]
    scores = features[columns.start : columns.stop] @ kept.kernel + kept.bias
    np.testing.assert_allclose(scores, logits[:398], atol=1e-3)
    assert np.ptp(logits[:398]) > 1


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(2):
        write_indexed_clip(folder / f"{number}.mp4", 3, fps=2)
    return folder


def featurized(clips: Path, root: Path, **settings: object) -> featurize.Summary:
    words = {"backbones": ["efficientnet_lite0", "phash"], "views": ["whole", "motion"], **settings}
    return featurize.run(clips, root, fps=2, input_px=64, progress=False, **words)  # type: ignore[arg-type]


def kept_by_source(root: Path) -> dict[str, Classifier | None]:
    store = FeatureStore.open(root)
    return {key.source: store.reader(key).classifier for key in store.keys()}


@pytest.fixture(scope="module")
def made(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "store"
    assert featurized(clips, root).done == 2
    return root


def test_a_run_keeps_it_for_each_view_of_its_network_and_for_no_other(made: Path) -> None:
    kept = kept_by_source(made)
    assert {source for source, each in kept.items() if each is not None} == {
        "efficientnet_lite0",
        "efficientnet_lite0+motion",
    }
    assert set(kept) > {"phash", "phash+motion"}
    backbone = find_backbone("efficientnet_lite0")
    path = locate_weights(backbone).path
    assert path is not None
    expected = efficientnet_lite_animals(backbone, path)
    for each in kept.values():
        if each is not None:
            np.testing.assert_array_equal(each.kernel, expected.kernel)
            np.testing.assert_array_equal(each.bias, expected.bias)


def test_a_store_without_it_gets_it_by_the_same_command_which_does_no_clip(
    made: Path, clips: Path, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    shutil.copytree(made, root)
    files = sorted(root.rglob(CLASSIFIER))
    contents = [path.read_bytes() for path in files]
    assert len(files) == 2
    for path in files:
        path.unlink()
    parts = {path: path.stat().st_mtime_ns for path in root.rglob("part-*.h5")}
    again = featurized(clips, root)
    assert (again.done, again.skipped, again.frames) == (0, 2, 0)
    assert [path.read_bytes() for path in files] == contents
    assert {path: path.stat().st_mtime_ns for path in root.rglob("part-*.h5")} == parts


def test_what_is_kept_stays_as_it_is(made: Path, clips: Path, tmp_path: Path) -> None:
    """Also where it is damaged: whoever asks for it is told to remove it."""
    shutil.copytree(made, tmp_path / "store")
    for path in (tmp_path / "store").rglob(CLASSIFIER):
        path.write_bytes(b"damaged")
    assert featurized(clips, tmp_path / "store").done == 0
    assert {path.read_bytes() for path in (tmp_path / "store").rglob(CLASSIFIER)} == {b"damaged"}


def test_a_view_that_is_added_gets_its_own(made: Path, clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    assert featurized(clips, root, views="whole", backbones="efficientnet_lite0").done == 2
    assert [*kept_by_source(root)] == ["efficientnet_lite0"]
    assert featurized(clips, root, backbones="efficientnet_lite0").done == 2
    assert all(each is not None for each in kept_by_source(root).values())
    assert len(kept_by_source(root)) == 2


def test_an_untrained_network_takes_nothing_for_anything(clips: Path, tmp_path: Path) -> None:
    with pytest.warns(featurize.FeaturizeWarning, match="untrained"):
        featurized(clips, tmp_path / "store", backbones="efficientnet_lite0", weights="random", views="whole")
    assert kept_by_source(tmp_path / "store") == {"efficientnet_lite0": None}


def test_it_is_kept_for_a_network_s_own_weights_only(tmp_path: Path) -> None:
    """Others may have been taught other classes, or none."""
    lite, other = find_backbone("efficientnet_lite0"), find_backbone("mobilenet_v3_large")
    own = locate_weights(lite)
    copy = shutil.copy(str(own.path), tmp_path)
    given = {
        "own": make_source(lite, own),
        "a copy of them": make_source(lite, replace(own, path=Path(copy)), view="motion"),
        "others": make_source(lite, Weights(path=own.path, sha256="0" * 64)),
        "random": make_source(lite, RANDOM_WEIGHTS),
        "another network": make_source(other, Weights(path=own.path, sha256=own.sha256)),
        "rules": make_source(find_backbone("phash"), locate_weights(find_backbone("phash"))),
        "without features": make_source(lite, own, input_px=160),
    }
    keys = {source: source.key(SAMPLING) for source in given.values()}
    store = FeatureStore.open(tmp_path / "store", create=True)
    for name, source in given.items():
        if name != "without features":
            store.make_folder_of(keys[source])
    keep_classifiers(keys, store)
    assert [name for name, source in given.items() if store.has_classifier(keys[source])] == ["own", "a copy of them"]
    assert not store.folder(keys[given["without features"]]).exists()


def test_a_finished_store_that_cannot_be_written_to_is_still_found_finished(
    clips: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    shutil.copytree(made, root)
    for path in root.glob(f"features/*/{CLASSIFIER}"):
        path.unlink()

    def refuse(*_: object) -> None:
        raise StoreWriteError("store: the disk refused")

    monkeypatch.setattr(FeatureStore, "add_classifier", refuse)
    with pytest.warns(UserWarning, match="take frames for is not kept: store: the disk refused"):
        assert featurized(clips, root).done == 0
