"""Training over folds: honest, resumable, and what it writes can be used again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from made_store import DIM, clip_ids, made_key, make_store, sites_of
from training import train_run
from typer.testing import CliRunner

from heads.cli import app
from heads.data.features.metadata import MetadataTransform
from heads.data.features.statistics_cache import cached_statistics
from heads.data.labels import LabelTable
from heads.data.listener import LoggingListener
from heads.data.predictions import read_csv
from heads.data.splitting.folds import assign_folds
from heads.errors import PredictError, PredictionError, TrainError
from heads.evaluation.metrics import mean_log_loss
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.trainers.cross_validation import cross_validate_head
from heads.workflows.answers.external import import_predictions
from heads.workflows.answers.output import read_template, write_predictions
from heads.workflows.answers.predict import Origin, predict_run
from heads.workflows.blend import blend_run
from heads.workflows.job import read_job
from heads.workflows.resolve import resolve_heads
from heads.workflows.training.on_cluster import Cluster, train_on_cluster
from heads.workflows.training.side_by_side import train_side_by_side
from heads.workflows.training.train import train
from store import ClipFacts, ClipFeatures, FeatureStore, Status
from store.config import parse_settings
from store.errors import UnknownClipError

pytestmark = pytest.mark.slow

CLASSES = ("blank", "deer")
CONFIG = HeadConfig(dense_units=(8,), metadata_units=(4,), epochs=12, batch_clips=16, dropout=0.0, learning_rate=0.01)
DEVIATION = HeadConfig(
    kind="deviation",
    statistics=("deviation",),
    queries=0,
    metadata=(),
    dense_units=(8,),
    dropout=0.2,
    epochs=40,
    batch_clips=16,
    learning_rate=0.01,
    weight_decay=0.01,
    start_at_prior=True,
    schedule="cosine",
)
RECIPE = Recipe(folds=3, heads=(CONFIG,))


def made_labels(count: int = 90, seed: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    deer = np.random.default_rng(seed).integers(0, 2, count)
    return np.stack([1 - deer, deer], axis=1).astype(np.uint8)


def write_labels(path: Path, labels: np.ndarray[Any, Any], **columns: object) -> Path:
    frame = pd.DataFrame(labels, columns=list(CLASSES)).assign(**columns)
    frame.insert(0, "filename", clip_ids(len(labels)))
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ids = clip_ids(90)
    path = tmp_path_factory.mktemp("sites") / "sites.csv"
    pd.DataFrame({"filename": ids, "site": sites_of(ids)}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, sites: Path) -> Path:
    """A folder with a store, labels and a trained run: made once, since compiling a head takes seconds."""
    folder = tmp_path_factory.mktemp("trained")
    labels = made_labels()
    store = make_store(folder / "store", labels, ("made", "other"), failed=(7, 11))
    path = write_labels(folder / "labels.csv", labels)
    train_run(store, path, RunDirectory(folder / "run"), RECIPE, sites=sites)
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> tuple[FeatureStore, RunDirectory, Path]:
    """A copy of the trained run, for one test to change."""
    shutil.copytree(trained_once / "run", tmp_path / "run")
    return FeatureStore.open(trained_once / "store"), RunDirectory(tmp_path / "run"), trained_once / "labels.csv"


def test_a_run_holds_all_that_was_promised(trained: tuple[FeatureStore, RunDirectory, Path]) -> None:
    _, run, _ = trained
    assert run.head_names() == ("attention-made", "attention-other")
    folds = run.read_folds()
    assert len(folds.ids) == 88
    assert all(
        len({group for group, fold in zip(folds.groups, folds.fold, strict=True) if fold == k}) for k in range(3)
    )
    for group in set(folds.groups):
        assert len({fold for name, fold in zip(folds.groups, folds.fold, strict=True) if name == group}) == 1
    for name in run.head_names():
        predictions = run.read_oof(name)
        assert set(predictions.ids) == set(folds.ids)
        np.testing.assert_array_equal(predictions.fold, folds.of(predictions.ids))
        labels = run.read_labels().select(predictions.ids).values
        assert mean_log_loss(labels, predictions.probabilities) < 0.25
        assert [run.model_path(name, fold).is_file() for fold in range(3)] == [True] * 3
        facts = run.read_head(name)
        assert facts["sources"][0]["backbone"] == name.removeprefix("attention-")
        assert all(loss[-1] < loss[0] for loss in facts["losses"])
    set_aside = run.read_clips()
    assert set(set_aside["clip_id"]) == {clip_ids(90)[7], clip_ids(90)[11]}
    assert set(set_aside["reason"]) == {"made to fail"}


def test_models_load_with_keras_and_the_layers_alone(
    trained: tuple[FeatureStore, RunDirectory, Path],
) -> None:
    _, run, _ = trained
    code = (
        "import sys, keras, heads.layers\n"
        f"model = keras.saving.load_model({str(run.model_path('attention-made', 0))!r})\n"
        "print(model.output_shape, sorted(name for name in sys.modules if name.startswith(('heads', 'store'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    layers = ["heads.models.layers", "heads.models.pixel_layers", "heads.models.sound_layers"]
    own = ["heads", "heads.layers", "heads.models", *layers]
    assert done.stdout.strip() == f"(None, 2) {own}"


def test_a_finished_head_is_not_trained_again(trained: tuple[FeatureStore, RunDirectory, Path], sites: Path) -> None:
    store, run, labels = trained
    run.oof_path("attention-other").unlink()
    kept = run.model_path("attention-made", 0).stat().st_mtime_ns
    before = run.model_path("attention-other", 0).stat().st_mtime_ns
    done = train_run(store, labels, run, RECIPE, sites=sites)
    assert [(head.name, head.resumed) for head in done] == [("attention-made", True), ("attention-other", False)]
    assert run.model_path("attention-made", 0).stat().st_mtime_ns == kept
    assert run.model_path("attention-other", 0).stat().st_mtime_ns > before


def test_no_way_to_train_trains_what_is_being_trained(
    trained: tuple[FeatureStore, RunDirectory, Path], sites: Path
) -> None:
    store, run, labels = trained
    job = read_job(store, labels, RECIPE, sites=sites)
    ways: list[Callable[[], object]] = [
        lambda: train(job, run, LoggingListener()),
        lambda: train_on_cluster(job, lambda: job, run, LoggingListener(), Cluster()),
        lambda: train_side_by_side(lambda: job, run, [head.name for head in job.heads], lambda _name, _epoch: None),
    ]
    for way in ways:
        with run.in_training(), pytest.raises(TrainError, match="is being trained already"):
            way()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("recipe", "another recipe"),
        ("labels", "other labels"),
        ("folds", "other folds"),
        ("features", "other features of the same clips"),
    ],
)
def test_a_run_is_never_mixed(
    trained: tuple[FeatureStore, RunDirectory, Path], sites: Path, tmp_path: Path, changed: str, said: str
) -> None:
    store, run, labels = trained
    recipe = (
        RECIPE.model_copy(update={"heads": (CONFIG.model_copy(update={"epochs": 2}),)})
        if changed == "recipe"
        else RECIPE
    )
    if changed == "labels":
        labels = write_labels(tmp_path / "other.csv", made_labels(seed=4))
    if changed == "features":
        again = {"clip_id": clip_ids(90)[8], "fingerprint": "of another file", "status": Status.OK, "reason": ""}
        shutil.copytree(store.root, tmp_path / "store")
        store = FeatureStore.open(tmp_path / "store")
        with store.clip_writer() as facts:
            facts.add(ClipFacts(**again, path="", size_bytes=1, mtime_ns=1, width=64, height=48))
        for name in ("made", "other"):
            with store.writer(made_key(name)) as writer:
                writer.add(ClipFeatures(**again, times_s=np.arange(2.0), features=np.ones((2, DIM), np.float32)))
    with pytest.raises(TrainError, match=f"begun with {said}.*; name a new folder"):
        train_run(store, labels, run, recipe, sites=None if changed == "folds" else sites)


def test_a_run_goes_on_under_a_limit_that_its_clips_are_too_few_for(
    trained: tuple[FeatureStore, RunDirectory, Path], sites: Path
) -> None:
    store, run, labels = trained
    limited = [RECIPE.model_copy(update={"heads": (CONFIG.model_copy(update={"many_clips": at}),)}) for at in (90, 20)]
    assert all(head.resumed for head in train_run(store, labels, run, limited[0], sites=sites))
    with pytest.raises(TrainError, match="begun with another recipe"):
        train_run(store, labels, run, limited[1], sites=sites)


def test_a_run_goes_on_under_a_recipe_that_names_views_which_the_store_lacks(
    trained: tuple[FeatureStore, RunDirectory, Path], sites: Path
) -> None:
    store, run, labels = trained
    heads = (*RECIPE.heads, CONFIG.model_copy(update={"view": "animal"}))
    done = train_run(store, labels, run, RECIPE.model_copy(update={"heads": heads}), sites=sites)
    assert [head.resumed for head in done] == [True] * len(run.head_names())


def test_a_run_goes_on_under_a_version_whose_recipes_have_more_settings(
    trained: tuple[FeatureStore, RunDirectory, Path], sites: Path
) -> None:
    """The run's own recipe lacks a setting that came later: it means its default."""
    store, run, labels = trained
    config = yaml.safe_load(run.config_path.read_text())
    del config["version"], config["recipe"]["made_for"]
    for head in config["recipe"]["heads"]:
        del head["tap_dropout"], head["averaging"]
    run.config_path.write_text(yaml.safe_dump(config))
    assert all(head.resumed for head in train_run(store, labels, run, RECIPE, sites=sites))


def test_a_head_called_like_a_model_that_was_brought_in_is_refused_both_ways(
    trained: tuple[FeatureStore, RunDirectory, Path], sites: Path, tmp_path: Path
) -> None:
    store, run, labels = trained
    given = tmp_path / "attention-other.csv"
    shutil.copy(run.oof_path("attention-other"), given)
    run.oof_path("attention-other").unlink()
    run.head_path("attention-other").unlink()
    with pytest.raises(PredictionError, match="the run has a head 'attention-other' of its own; give the file another"):
        import_predictions(run, given)
    planned = run.config_path.read_text()
    run.config_path.write_text(planned.replace("attention-other", "another"))
    import_predictions(run, given)
    run.config_path.write_text(planned)
    with pytest.raises(TrainError, match="a model called 'attention-other' was brought in with --add"):
        train_run(store, labels, run, RECIPE, sites=sites)


def test_what_a_recipe_asks_for_and_the_store_does_not_hold_is_said(
    trained: tuple[FeatureStore, RunDirectory, Path],
) -> None:
    store, _, _ = trained
    heads = (
        CONFIG,
        CONFIG.model_copy(update={"name": "moving", "view": "motion"}),
        CONFIG.model_copy(update={"name": "none", "sources": ("made",), "without": ("made",)}),
        CONFIG.model_copy(update={"name": "typo", "without": ("othr", "nasnet")}),
    )
    found = resolve_heads(Recipe(folds=3, heads=heads), store)
    assert [head.name for head in found.heads] == ["attention-made", "attention-other", "typo-made", "typo-other"]
    assert found.notes == [
        "`without` names 'othr', which leaves nothing out: the store does not hold it; did you mean 'other'?",
        "head 'moving' is left out: nothing that the store holds (made, other) is of view motion",
        "head 'none' is left out: nothing that the store holds (made, other) is of sources made and sources other than "
        "made",
    ]


def test_the_same_seed_gives_the_same_predictions(tmp_path: Path) -> None:
    labels = made_labels()
    store = make_store(tmp_path / "store", labels)
    table = LabelTable(ids=tuple(clip_ids(90)), classes=CLASSES, values=labels)
    folds = assign_folds(labels, sites_of(table.ids), 3, 0, ids=table.ids, classes=CLASSES)
    reader, facts = store.reader(made_key()), store.clips()
    config = CONFIG.model_copy(update={"epochs": 3, "dropout": 0.5})
    one, two = (cross_validate_head(reader, facts, table, folds, config, name="x", seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.predictions.probabilities, two.predictions.probabilities)
    other = cross_validate_head(reader, facts, table, folds, config, name="x", seed=6)
    assert np.abs(other.predictions.probabilities - one.predictions.probabilities).max() > 1e-4


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "kind": "deviation",
            "queries": 0,
            "competing": True,
            "start_at_prior": True,
            "mixup": 0.4,
            "tap_dropout": 0.2,
            "label_smoothing": 0.1,
            "class_balance": 0.5,
        },
    ],
    ids=["published", "everything else"],
)
def test_labels_of_the_scored_fold_cannot_reach_its_predictions(tmp_path: Path, settings: dict[str, Any]) -> None:
    """The planted leak: whatever the labels of fold 0 are, the predictions for fold 0 are the same to the last bit."""
    labels = made_labels()
    store = make_store(tmp_path / "store", labels)
    ids = tuple(clip_ids(90))
    folds = assign_folds(labels, sites_of(ids), 3, 0, ids=ids, classes=CLASSES)
    turned = labels.copy()
    turned[folds.fold == 0] = 1 - turned[folds.fold == 0]
    config = CONFIG.model_copy(update={"epochs": 3, **settings})
    outcomes = []
    for values in (labels, turned):
        table = LabelTable(ids=ids, classes=CLASSES, values=values)
        trained = cross_validate_head(store.reader(made_key()), store.clips(), table, folds, config, name="x")
        outcomes.append(trained.predictions.probabilities)
    np.testing.assert_array_equal(outcomes[0][folds.fold == 0], outcomes[1][folds.fold == 0])
    assert np.abs(outcomes[0][folds.fold == 1] - outcomes[1][folds.fold == 1]).max() > 0.05


@pytest.mark.parametrize("by_site", [True, False])
def test_what_gives_labels_away_at_one_site_only_helps_no_other(tmp_path: Path, by_site: bool) -> None:
    """The planted leak: at the sites of fold 0 a column holds the label, elsewhere it and all others are noise.

    With sites kept whole nobody can learn that before being scored there; across a random split everybody can.
    """
    rng, ids = np.random.default_rng(0), clip_ids(240)
    labels = made_labels(240, seed=1)
    groups = sites_of(ids)
    kept_whole = assign_folds(labels, groups, 3, 0, ids=ids)
    told = kept_whole.fold == 0
    store = FeatureStore.open(tmp_path, create=True)
    with store.clip_writer() as facts, store.writer(made_key()) as writer:
        for place, clip_id in enumerate(ids):
            known: dict[str, Any] = {"clip_id": clip_id, "fingerprint": clip_id, "status": Status.OK, "reason": ""}
            facts.add(ClipFacts(**known, path="", size_bytes=1, mtime_ns=0, width=1, height=1))
            frames = rng.normal(0, 0.1, (4, DIM)).astype(np.float32)
            frames[:, :2] += 3 * labels[place] * told[place]
            writer.add(ClipFeatures(**known, times_s=np.arange(4.0), features=frames))
    folds = kept_whole if by_site else assign_folds(labels, None, 3, 0, ids=ids)
    table = LabelTable(ids=tuple(ids), classes=CLASSES, values=labels)
    config = DEVIATION.model_copy(update={"statistics": ("mean",), "epochs": 40, "dropout": 0.0})
    found = cross_validate_head(store.reader(made_key()), store.clips(), table, folds, config, name="x").predictions
    loss = mean_log_loss(labels[told], found.probabilities[told])
    assert loss > 0.6 if by_site else loss < 0.35


def test_a_deviation_head_learns_is_saved_and_predicts_the_same(tmp_path: Path, sites: Path) -> None:
    labels = made_labels()
    store = make_store(tmp_path / "store", labels)
    run = RunDirectory(tmp_path / "run")
    recipe = Recipe(folds=3, heads=(DEVIATION,))
    (head,) = train_run(store, write_labels(tmp_path / "labels.csv", labels), run, recipe, sites=sites)
    assert head.name == "deviation-made"
    assert head.mean_log_loss < 0.3
    blend_run(run, "mean", most_clips_for_trees=0)
    new, folds = predict_run(run, store).predictions, run.read_folds()
    oof = run.read_oof("deviation-made")
    reader = store.reader(made_key())
    for fold in range(3):
        model = keras.saving.load_model(run.model_path("deviation-made", fold), compile=False)
        held_out = [clip_id for clip_id, place in zip(folds.ids, folds.fold, strict=True) if place == fold]
        given = model(cached_statistics(reader, reader.index_of(held_out), ("deviation",)))
        np.testing.assert_allclose(given, oof.select(held_out).probabilities, rtol=1e-4, atol=1e-5)
    assert new.probabilities.shape == (90, 2)


def test_noise_labels_are_not_predicted(
    trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path, sites: Path
) -> None:
    """Labels that have nothing to do with the features must not score better than their prior; others do, by far."""
    store, run, _ = trained
    noise = write_labels(tmp_path / "noise.csv", made_labels(seed=99))
    recipe = Recipe(folds=3, heads=(CONFIG.model_copy(update={"sources": ("made",)}),))
    (head,) = train_run(store, noise, RunDirectory(tmp_path / "noise"), recipe, sites=sites)
    learned = run.read_oof(head.name)
    assert mean_log_loss(run.read_labels().select(learned.ids).values, learned.probabilities) < 0.3
    assert head.mean_log_loss > 0.69


@pytest.mark.parametrize("planted", [False, True])
def test_copies_of_a_clip_stay_in_one_fold(tmp_path: Path, planted: bool) -> None:
    """Eight pairs of copies: hardly any dealing keeps all of them together unless it knows that they are copies."""
    labels = made_labels()
    store = make_store(tmp_path / "store", labels)
    ids, table = clip_ids(90), store.clips()
    pairs = [(ids[place], ids[place + 3]) for place in range(0, 48, 6)]
    with store.clip_writer() as writer:
        for pair in pairs if planted else ():
            for clip_id in pair:
                rows = {**table.loc[clip_id].to_dict(), "fingerprint": f"contents of {pair[0]}", "status": Status.OK}
                writer.add(ClipFacts(clip_id=clip_id, **rows))
    run = RunDirectory(tmp_path / "run")
    one_epoch = Recipe(folds=3, heads=(CONFIG.model_copy(update={"epochs": 1}),))
    train_run(store, write_labels(tmp_path / "labels.csv", labels), run, one_epoch)
    folds = run.read_folds()
    assert all(folds.of(pair)[0] == folds.of(pair)[1] for pair in pairs) == planted


def test_a_label_without_features_is_refused_or_left_out(tmp_path: Path, sites: Path) -> None:
    store = make_store(tmp_path / "store", made_labels()[:80])
    path = write_labels(tmp_path / "labels.csv", made_labels())
    with pytest.raises(UnknownClipError, match=r"10 clip ids are unknown: .* featurize these clips"):
        train_run(store, path, RunDirectory(tmp_path / "run"), RECIPE, sites=sites)
    train_run(store, path, RunDirectory(tmp_path / "run"), RECIPE, sites=sites, allow_missing=True)
    assert len(RunDirectory(tmp_path / "run").read_labels().ids) == 80


def test_new_clips_get_the_mean_of_the_folds_blends(
    trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path
) -> None:
    _, run, _ = trained
    blend_run(run, "mean", most_clips_for_trees=0)
    ids = [f"new {clip_id}" for clip_id in clip_ids(90)]
    store = make_store(tmp_path / "new", made_labels(), ("made", "other"), failed=(7, 11), ids=ids)
    new = predict_run(run, store)
    assert new.predictions.ids == tuple(sorted(ids))
    assert set(new.origin) == {Origin.NEW}
    failed = [place for place, status in enumerate(new.status) if status is Status.FAILED]
    assert [new.predictions.ids[place] for place in failed] == sorted((ids[7], ids[11]))
    prior = np.mean(run.read_head("attention-made")["prior"], axis=0)
    np.testing.assert_allclose(new.predictions.probabilities[failed], [prior, prior])
    one = ids[0]
    by_hand = []
    for name in run.head_names():
        reader = store.reader(made_key(name.removeprefix("attention-")))
        features, mask = reader.batch(reader.index_of([one]))
        for fold in range(3):
            model = keras.saving.load_model(run.model_path(name, fold), compile=False)
            transform = parse_settings(run.read_head(name)["metadata"][fold], MetadataTransform, "head.json")
            metadata = transform.apply(store.clips().loc[[one]])
            inputs = {"features": features.astype(np.float32), "mask": mask, "metadata": metadata}
            inputs |= cached_statistics(reader, reader.index_of([one]), ("change",))
            by_hand.append(keras.ops.convert_to_numpy(model(inputs))[0])
    np.testing.assert_allclose(
        new.predictions.probabilities[new.predictions.ids.index(one)], np.mean(by_hand, axis=0), rtol=1e-4, atol=1e-5
    )
    write_predictions(tmp_path / "out.csv", new)
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["clip_id", "status", "origin", *CLASSES]
    assert table["status"].value_counts().to_dict() == {"ok": 88, "failed": 2}
    assert read_csv(tmp_path / "out.csv").classes == CLASSES


def test_clips_that_the_run_learned_from_get_their_out_of_fold_answers(
    trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path
) -> None:
    _, run, _ = trained
    blend_run(run, most_clips_for_trees=0)
    oof = run.read_oof("blend")
    known, new = clip_ids(90)[:60], [f"new {clip_id}" for clip_id in clip_ids(90)[60:]]
    store = make_store(tmp_path / "mixed", made_labels(), ("made", "other"), failed=(7, 11), ids=[*known, *new])
    words = ["predict", "--run", run.path, "--store", store.root, "--out", tmp_path / "out.csv"]
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert "90 clips predicted" in done.stdout
    assert "the run learned from 58 of them: these have the answers of models that did not" in done.stderr
    table = pd.read_csv(tmp_path / "out.csv").set_index("clip_id")
    learned = [clip_id for clip_id in known if clip_id in oof.ids]
    assert len(learned) == 58
    assert table.index[table["origin"] == "out of fold"].tolist() == sorted(learned)
    assert set(table["origin"]) == {"out of fold", "new"}
    np.testing.assert_allclose(table.loc[learned, list(CLASSES)], oof.select(learned).only(CLASSES).probabilities)
    done = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["origins"] == {"out of fold": 58, "new": 32}


def test_a_copy_of_a_clip_that_was_learned_from_is_known_by_its_content(
    trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path
) -> None:
    _, run, _ = trained
    blend_run(run, most_clips_for_trees=0)
    original, copy = clip_ids(90)[3], "moved/elsewhere.mp4"
    store = make_store(tmp_path / "moved", made_labels()[:1], ("made", "other"), ids=[copy])
    facts = store.clips().loc[copy].to_dict()
    with store.clip_writer() as writer:
        writer.add(ClipFacts(clip_id=copy, **{**facts, "status": Status.OK, "fingerprint": f"print of {original}"}))
    said = predict_run(run, store, [copy])
    assert said.origin == (Origin.OUT_OF_FOLD,)
    np.testing.assert_array_equal(
        said.predictions.probabilities, run.read_oof("blend").select([original]).probabilities
    )


@pytest.mark.parametrize("old_run", [False, True])
def test_what_may_be_another_clip_under_a_known_name_is_answered_by_the_models_that_never_saw_the_name(
    trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path, old_run: bool
) -> None:
    store, run, _ = trained
    blend_run(run, "mean", most_clips_for_trees=0)
    one = clip_ids(90)[0]
    if old_run:
        table = pd.read_csv(run.folds_path)
        table.drop(columns="fingerprint").to_csv(run.folds_path, index=False)
    else:
        store = make_store(tmp_path / "other", made_labels(seed=8), ("made", "other"), seed=5)
        facts = store.clips().loc[one].to_dict()
        with store.clip_writer() as writer:
            writer.add(ClipFacts(clip_id=one, **{**facts, "status": Status.OK, "fingerprint": "another file"}))
    said = predict_run(run, store, [one])
    fold = int(run.read_folds().of([one])[0])
    by_hand = []
    for name in run.head_names():
        reader = store.reader(made_key(name.removeprefix("attention-")))
        features, mask = reader.batch(reader.index_of([one]))
        model = keras.saving.load_model(run.model_path(name, fold), compile=False)
        transform = parse_settings(run.read_head(name)["metadata"][fold], MetadataTransform, "head.json")
        inputs = {"features": features.astype(np.float32), "mask": mask}
        inputs |= {"metadata": transform.apply(store.clips().loc[[one]])}
        inputs |= cached_statistics(reader, reader.index_of([one]), ("change",))
        by_hand.append(keras.ops.convert_to_numpy(model(inputs))[0])
    assert said.origin == (Origin.OUT_OF_FOLD,)
    np.testing.assert_allclose(said.predictions.probabilities[0], np.mean(by_hand, axis=0), rtol=1e-4, atol=1e-5)


def test_a_template_s_rows_and_columns_are_kept(
    trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path
) -> None:
    store, run, _ = trained
    blend_run(run, most_clips_for_trees=0)
    ids = clip_ids(90)
    template = tmp_path / "submission_format.csv"
    template.write_text(f"deer,filename,blank\n0,./{ids[5]},0\n0,{ids[2]},0\n")
    wanted = read_template(template)
    write_predictions(tmp_path / "out.csv", predict_run(run, store, wanted.clip_ids()), wanted)
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["deer", "filename", "blank"]
    assert list(table["filename"]) == [f"./{ids[5]}", ids[2]]
    template.write_text(f"filename,unicorn\n{ids[5]},0\n")
    with pytest.raises(ValueError, match="does not predict 'unicorn'"):
        write_predictions(tmp_path / "out.csv", predict_run(run, store, [ids[5]]), read_template(template))
    template.write_text(f"filename,deer\n{ids[5]},0\n{ids[7]},0\n")
    options = {"--run": run.path, "--store": store.root, "--out": tmp_path / "out.csv", "--template": template}
    done = CliRunner().invoke(app, ["predict", *(str(word) for option in options.items() for word in option)])
    assert f"1 of them could not be decoded and got the training prior: '{ids[7]}'" in done.output


def test_parquet_holds_what_csv_holds(trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    store, run, _ = trained
    blend_run(run, "mean", most_clips_for_trees=0)
    for name in ("out.csv", "out.parquet"):
        words = ["predict", "--run", run.path, "--store", store.root, "--out", tmp_path / name]
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "out.parquet").read_bytes()[:4] == b"PAR1"
    held = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(held, pd.read_csv(tmp_path / "out.csv"), check_dtype=False, rtol=1e-12)
    assert held[list(CLASSES)].dtypes.tolist() == [np.float64, np.float64]


def test_other_features_are_refused(trained: tuple[FeatureStore, RunDirectory, Path], tmp_path: Path) -> None:
    _, run, _ = trained
    blend_run(run, "mean", most_clips_for_trees=0)
    other = make_store(tmp_path / "other", made_labels(), ("made",))
    with pytest.raises(PredictError, match="head attention-other reads features other-whole-"):
        predict_run(run, other)
