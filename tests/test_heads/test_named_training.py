"""Heads that ask what the backbone itself calls the animals: trained, refused, stopped, explained and used."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from made_store import DIM, clip_ids, made_key, make_store, sites_of
from numpy.typing import NDArray
from small_heads import small_head
from taught_store import teach
from training import train_run
from typer.testing import CliRunner

import heads.trainers.checkpoint
from heads.cli import app
from heads.data.features.animals import ANIMALS_INPUT, clip_animals, frame_animals
from heads.data.frame_statistics import layer_name
from heads.data.history import Epoch
from heads.errors import PredictError
from heads.evaluation.metrics import mean_log_loss
from heads.models.explain.attribution import top_frames, weigh_frames
from heads.models.explain.gradients import named_parts
from heads.models.explain.scoring import score_frames, scores_over_time
from heads.models.layers import Named
from heads.models.networks import NAMED
from heads.models.trained_head import TrainedHead
from heads.recipe import HeadConfig, Recipe
from heads.report.run_facts import read_run
from heads.report.tables.models import named_table
from heads.run import RunDirectory
from heads.workflows.answers.predict import predict_run
from heads.workflows.blend import blend_run
from heads.workflows.job import read_job
from heads.workflows.training.estimate import estimate_cost
from store import FeatureStore
from store.errors import CorruptPartError
from store.format.classifier_file import CLASSIFIER

COUNT = 60
CLASSES = ("blank", "leopard", "lion")
SHOWS = {1: "leopard", 2: "lion"}
NAME = {"deviation": "deviation-made", "discriminant": "discriminant-made"}


def config_of(kind: str, **settings: Any) -> HeadConfig:
    """A head that has learned little by the end, or in which nothing is learned by steps."""
    if kind == "discriminant":
        return HeadConfig(kind="discriminant", statistics=("deviation",), **settings)
    own: dict[str, Any] = {"kind": kind, "epochs": 2, "pseudo_epochs": 0, "competing": True, "start_at_prior": True}
    if kind == "recurrent":
        own["recurrent_units"] = 3
    return small_head(**{**own, "queries": 0 if kind == "deviation" else 1, **settings})


def shown(count: int = COUNT) -> NDArray[np.uint8]:
    return np.eye(3, dtype=np.uint8)[np.random.default_rng(0).integers(0, 3, count)]


def write_labels(path: Path, classes: tuple[str, ...] = CLASSES, count: int = COUNT) -> Path:
    ids = clip_ids(count)
    columns = dict(zip(classes, shown(count).T, strict=True))
    pd.DataFrame({"filename": ids, "site": sites_of(ids), **columns}).to_csv(path, index=False)
    return path


def trained(store: FeatureStore, folder: Path, config: HeadConfig, classes: tuple[str, ...] = CLASSES) -> RunDirectory:
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDirectory(folder / "run")
    train_run(store, write_labels(folder / "labels.csv", classes), run, Recipe(folds=3, heads=(config,)))
    return run


def said(run: RunDirectory) -> NDArray[np.float64]:
    (name,) = run.head_names()
    return run.read_oof(name).probabilities


def asked(run: RunDirectory) -> tuple[bool, Mapping[str, Any]]:
    (name,) = run.head_names()
    settings = run.read_head(name)["settings"]
    return settings["named"], settings["names"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, FeatureStore]:
    """The same features, of a network that knows leopards and lions, and of one of which that is not kept."""
    folder = tmp_path_factory.mktemp("stores")
    taught = teach(make_store(folder / "taught", shown()), SHOWS)
    return taught, make_store(folder / "plain", shown())


@pytest.mark.parametrize(
    "kind",
    [
        "deviation",
        "discriminant",
        pytest.param("attention", marks=pytest.mark.slow),
        pytest.param("recurrent", marks=pytest.mark.slow),
    ],
)
def test_what_the_network_says_makes_a_better_head(
    stores: tuple[FeatureStore, FeatureStore], tmp_path: Path, kind: str
) -> None:
    """One that has learned for two epochs, or that sees next to nothing itself."""
    taught, _ = stores
    few = {"covariance_shrinkage": 1.0} if kind == "discriminant" else {}
    runs = [trained(taught, tmp_path / str(named), config_of(kind, named=named, **few)) for named in (False, True)]
    assert [asked(run)[0] for run in runs] == [False, True]
    without, with_names = (mean_log_loss(shown(), said(run)) for run in runs)
    assert with_names < 0.2 * without


KNOWN_NOTHING: dict[str, Callable[[str], tuple[HeadConfig, tuple[str, ...]]]] = {
    "no file": lambda kind: (config_of(kind, named=True, names={"blank": ("zebra",)}), CLASSES),
    "no name": lambda kind: (config_of(kind, named=True), ("blank", "human", "giraffe")),
    "no exception": lambda kind: (config_of(kind, named=True, names={"leopard": (), "lion": ()}), CLASSES),
    "of its classes": lambda kind: (config_of(kind, named=True, classes=("blank",)), CLASSES),
    "taps": lambda kind: (config_of(kind, named=True, taps=("high",)), CLASSES),
}


@pytest.mark.parametrize(("kind", "why"), [("deviation", "no file"), *(("discriminant", why) for why in KNOWN_NOTHING)])
def test_where_nothing_can_be_told_the_head_is_as_without_it(
    stores: tuple[FeatureStore, FeatureStore], tmp_path: Path, kind: str, why: str
) -> None:
    taught, plain = stores
    config, classes = KNOWN_NOTHING[why](kind)
    store = plain if why == "no file" else taught
    assert config.named
    found = trained(store, tmp_path / "named", config, classes)
    off = config.model_copy(update={"named": False, "names": {}})
    expected = trained(store, tmp_path / "off", off, classes)
    assert asked(found) == (False, {})
    np.testing.assert_array_equal(said(found), said(expected))


def test_a_joined_head_is_as_without_it(tmp_path: Path) -> None:
    store = teach(make_store(tmp_path / "store", shown()), SHOWS)
    reader, other = store.reader(made_key()), made_key("other")
    with store.writer(other) as writer:
        for row in range(len(reader)):
            writer.add(reader.row(row))
    teach(store, SHOWS, other)
    runs = [
        trained(store, tmp_path / str(named), config_of("discriminant", joined=True, named=named))
        for named in (False, True)
    ]
    assert [asked(run) for run in runs] == [(False, {})] * 2
    np.testing.assert_array_equal(said(runs[0]), said(runs[1]))


def test_of_two_networks_the_one_that_says_it_is_asked(tmp_path: Path) -> None:
    store = teach(make_store(tmp_path / "store", shown(), ("made", "other")), SHOWS)
    (tmp_path / "run").mkdir()
    run, recipe = RunDirectory(tmp_path / "run"), Recipe(folds=3, heads=(config_of("discriminant", named=True),))
    train_run(store, write_labels(tmp_path / "labels.csv"), run, recipe)
    assert {name: run.read_head(name)["settings"]["named"] for name in run.head_names()} == {
        "discriminant-made": True,
        "discriminant-other": False,
    }


def test_exceptions_decide_what_speaks_for_a_class(stores: tuple[FeatureStore, FeatureStore], tmp_path: Path) -> None:
    """Clips that show a lion are called lions, whatever their class is called."""
    taught, _ = stores
    names = {"simba": ("lion",), "leopard": ()}
    run = trained(taught, tmp_path, config_of("discriminant", named=True, names=names), ("blank", "leopard", "simba"))
    assert asked(run) == (True, {"simba": ["lion"], "leopard": []})
    model = TrainedHead(run, taught, "discriminant-made").model(0)
    meaning, _, slope = model.get_layer("tail").get_layer(NAMED).get_weights()
    assert np.argwhere(meaning).tolist() == [[291, 2]]
    assert slope > 0.3


@pytest.fixture(scope="module")
def blended(tmp_path_factory: pytest.TempPathFactory, stores: tuple[FeatureStore, FeatureStore]) -> RunDirectory:
    """A run of a deviation head and a discriminant, which both ask."""
    folder, (taught, _) = tmp_path_factory.mktemp("blended"), stores
    run = RunDirectory(folder / "run")
    heads_of = tuple(config_of(kind, named=True) for kind in NAME)
    train_run(taught, write_labels(folder / "labels.csv"), run, Recipe(folds=3, heads=heads_of))
    score_frames(run, taught, list(NAME.values()))
    blend_run(run, "mean")
    return run


def test_new_clips_are_predicted_by_what_their_own_store_keeps(blended: RunDirectory, tmp_path: Path) -> None:
    new = [f"new/{number}.mp4" for number in range(30)]
    others = make_store(tmp_path / "others", shown(30), ids=new, seed=5)
    with pytest.raises(PredictError, match=f"{made_key().folder}: it is not kept beside these features what .* once"):
        predict_run(blended, others)
    teach(others, SHOWS)
    found = predict_run(blended, FeatureStore.open(others.root))
    assert found.predictions.ids == tuple(sorted(new))
    assert mean_log_loss(shown(30), found.predictions.select(new).probabilities) < 0.2


@pytest.mark.parametrize("kind", NAME)
def test_a_loaded_head_says_of_a_clip_what_its_parts_say(
    blended: RunDirectory, stores: tuple[FeatureStore, FeatureStore], kind: str
) -> None:
    """And what was said of it when it was trained, by the model that had not seen it."""
    taught, reader = stores[0], stores[0].reader(made_key())
    head, oof = TrainedHead(blended, taught, NAME[kind]), blended.read_oof(NAME[kind])
    for place in (0, 17, 41):
        features, mask = reader.batch(reader.index_of([oof.ids[place]]))
        frames = features[0, mask[0]].astype(np.float32)
        given = {
            "deviation": (frames.max(axis=0) - np.median(frames, axis=0))[None],
            ANIMALS_INPUT: clip_animals(frames, reader)[None],
        }
        assert oof.fold is not None
        (expected,) = keras.ops.convert_to_numpy(head.model(int(oof.fold[place]))(given))
        np.testing.assert_allclose(oof.probabilities[place], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", NAME)
def test_single_frames_are_scored_by_what_each_is_taken_for(
    blended: RunDirectory, stores: tuple[FeatureStore, FeatureStore], kind: str
) -> None:
    taught, reader = stores[0], stores[0].reader(made_key())
    ids, head = clip_ids(COUNT)[:12], TrainedHead(blended, taught, NAME[kind])
    layers = {each.model: each for each in blended.read_frames(NAME[kind])}
    over_time = scores_over_time(blended, taught, NAME[kind], ids)
    for clip_id, fold in zip(ids, blended.read_folds().of(ids).tolist(), strict=True):
        features, _ = reader.batch(reader.index_of([clip_id]))
        frames = features[0].astype(np.float32)
        given = {
            "deviation": np.maximum(frames - np.median(frames, axis=0), 0),
            ANIMALS_INPUT: frame_animals(frames, reader),
        }
        scores = over_time[clip_id].probabilities
        np.testing.assert_allclose(scores, keras.ops.convert_to_numpy(head.model(fold)(given)), rtol=1e-3, atol=1e-5)
        highest = layers[layer_name(NAME[kind], "max")].select([clip_id]).probabilities[0]
        np.testing.assert_allclose(highest, scores.max(axis=0), atol=1e-5)


@pytest.mark.parametrize("kind", NAME)
def test_frames_that_show_the_animal_weigh_most(
    blended: RunDirectory, stores: tuple[FeatureStore, FeatureStore], kind: str
) -> None:
    taught, reader = stores[0], stores[0].reader(made_key())
    lions = [clip_id for clip_id, lion in zip(clip_ids(COUNT), shown()[:, 2], strict=True) if lion][:8]
    weight, share = [], []
    for clip_id, found in zip(lions, weigh_frames(blended, taught, NAME[kind], lions), strict=True):
        assert found.by == "contribution"
        assert found.weights.sum() == pytest.approx(1.0)
        there = reader.batch(reader.index_of([clip_id]))[0][0, :, 4] > 1.5
        weight.append(found.weights[there].sum())
        share.append(there.mean())
    assert np.mean(weight) > np.mean(share) + 0.1
    top = top_frames(blended, taught, NAME[kind], lions[:2])
    assert [len(moments) > 0 for moments in top.values()] == [True, True]


def test_a_frame_adds_by_names_what_it_shows_of_what_speaks_for_the_answer() -> None:
    """Of two classes, one that speaks for the answer and is more than usual, and one that speaks against it."""
    layer = Named(2)
    layer.build((None, 3))
    meaning = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    layer.set_evidence(meaning, np.log([0.1, 0.1]), 1.0)
    animals = np.log(np.array([[0.5, 0.1, 0.4], [0.2, 0.1, 0.7], [0.05, 0.05, 0.9]], np.float32))
    value, gradient = np.log(np.array([0.3, 0.1, 0.7], np.float32)), np.array([0.5, 0.25, -1.0], np.float32)
    parts = named_parts(animals, value, gradient, layer)
    added = 0.75 * np.log(0.4 / 0.1)
    np.testing.assert_allclose(parts, added * np.array([0.36, 0.09, 0.01]) / 0.46, rtol=1e-5)
    nothing = named_parts(animals, np.log(np.array([0.03, 0.03, 0.9], np.float32)), gradient, layer)
    np.testing.assert_array_equal(nothing, np.zeros(3))


def test_a_head_that_was_trained_before_it_was_kept_stays_and_that_is_said(tmp_path: Path) -> None:
    store, recipe = (
        make_store(tmp_path / "store", shown()),
        Recipe(folds=3, heads=(config_of("discriminant", named=True),)),
    )
    labels, run = write_labels(tmp_path / "labels.csv"), RunDirectory(tmp_path / "run")
    notes: list[str] = []
    train_run(store, labels, run, recipe, note=notes.append)
    before = said(run)
    train_run(teach(store, SHOWS), labels, run, recipe, note=notes.append)
    assert asked(run) == (False, {})
    np.testing.assert_array_equal(said(run), before)
    assert [note.split(" is kept")[0] for note in notes if "another --run" in note] == [f"head {NAME['discriminant']}"]


def test_the_run_and_its_report_tell_what_speaks_for_which_class(
    blended: RunDirectory, stores: tuple[FeatureStore, FeatureStore]
) -> None:
    for name in NAME.values():
        told = blended.read_head(name)["named"]
        assert told["animals"] == {"leopard": ["leopard"], "lion": ["lion"]}
        model = TrainedHead(blended, stores[0], name).model(1)
        assert told["slopes"][1] == pytest.approx(float(model.get_layer("tail").get_layer(NAMED).slope))
        assert all(0.5 < slope < 3 for slope in told["slopes"])
    table = named_table(read_run(blended))
    assert table is not None
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["leopard", "leopard"], ["lion", "lion"]]
    assert CliRunner().invoke(app, ["report", "--run", str(blended.path)]).exit_code == 0
    assert "What networks themselves call animals" in blended.report_path.read_text(encoding="utf-8")


def test_attend_and_explain_work_as_commands(
    blended: RunDirectory, stores: tuple[FeatureStore, FeatureStore], tmp_path: Path
) -> None:
    where = ["--run", blended.path, "--store", stores[0].root]
    done = CliRunner().invoke(app, [str(word) for word in ("attend", *where, "--clip", clip_ids(COUNT)[2])])
    assert done.exit_code == 0, done.output
    assert all(f"{name}, by contribution, models of folds" in done.stdout for name in NAME.values())
    words = ("predict", *where, "--out", tmp_path / "out.csv", "--explain")
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(tmp_path / "out.csv")) == COUNT


@pytest.mark.parametrize("kind", ["attention", pytest.param("recurrent", marks=pytest.mark.slow)])
def test_kinds_that_see_frames_ask_too(stores: tuple[FeatureStore, FeatureStore], tmp_path: Path, kind: str) -> None:
    taught, _ = stores
    run = trained(taught, tmp_path, config_of(kind, named=True, epochs=1))
    assert asked(run)[0]
    assert np.isfinite(said(run)).all()
    (name,) = run.head_names()
    score_frames(run, taught, [name])
    assert all(np.isfinite(each.probabilities).all() for each in run.read_frames(name))
    (weighed,) = weigh_frames(run, taught, name, [clip_ids(COUNT)[3]])
    assert weighed.by == "attention"
    assert weighed.weights.sum() == pytest.approx(1.0)


class _KilledError(Exception):
    pass


@pytest.fixture
def _saved_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads.trainers.checkpoint, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(heads.trainers.checkpoint, "_MOST_TIME", float("inf"))


def die_after(number: int) -> Callable[[str, Epoch], None]:
    def report(_: str, epoch: Epoch) -> None:
        if epoch.number > number:
            raise _KilledError

    return report


@pytest.mark.slow
@pytest.mark.usefixtures("_saved_after_every_epoch")
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Also one that learns from clips without labels, mixes clips and averages weights."""
    store = teach(make_store(tmp_path / "store", shown(80)), SHOWS)
    labels = write_labels(tmp_path / "labels.csv")
    config = config_of("deviation", named=True, epochs=3, pseudo_epochs=2, mixup=0.4, averaging=0.9, tap_dropout=0.2)
    recipe = Recipe(folds=3, heads=(config,))
    whole, killed = (RunDirectory(tmp_path / name) for name in ("whole", "killed"))
    train_run(store, labels, whole, recipe, unlabelled=True)
    with pytest.raises(_KilledError):
        train_run(store, labels, killed, recipe, unlabelled=True, report=die_after(2))
    went_on: list[int] = []
    train_run(store, labels, killed, recipe, unlabelled=True, report=lambda _, epoch: went_on.append(epoch.number))
    assert went_on[0] == 3
    np.testing.assert_array_equal(said(killed), said(whole))
    assert asked(killed)[0]


@pytest.mark.slow
@pytest.mark.usefixtures("_saved_after_every_epoch")
def test_what_was_learned_without_it_is_not_gone_on_with(
    stores: tuple[FeatureStore, FeatureStore], tmp_path: Path
) -> None:
    """Where what the network calls animals comes to be kept after training was stopped, training begins anew."""
    taught, plain = stores
    shutil.copytree(plain.root, tmp_path / "store")
    labels, recipe = write_labels(tmp_path / "labels.csv"), Recipe(folds=3, heads=(config_of("deviation", named=True),))
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(_KilledError):
        train_run(FeatureStore.open(tmp_path / "store"), labels, run, recipe, report=die_after(1))
    store = teach(FeatureStore.open(tmp_path / "store"), SHOWS)
    learned: list[int] = []
    train_run(store, labels, run, recipe, report=lambda _, epoch: learned.append(epoch.number))
    assert learned == [1, 2]
    np.testing.assert_array_equal(
        said(run), said(trained(taught, tmp_path / "whole", config_of("deviation", named=True)))
    )


@pytest.mark.parametrize("kind", NAME)
def test_a_run_from_before_there_was_the_setting_reads_as_ever(
    stores: tuple[FeatureStore, FeatureStore], tmp_path: Path, kind: str
) -> None:
    taught, _ = stores
    config = config_of(kind)
    run = trained(taught, tmp_path, config)
    blend_run(run, "mean")
    expected = predict_run(run, taught, clip_ids(COUNT)[:7]).predictions.probabilities
    facts = json.loads(run.head_path(NAME[kind]).read_text(encoding="utf-8"))
    for name in ("named", "names"):
        del facts["settings"][name]
    run.head_path(NAME[kind]).write_text(json.dumps(facts), encoding="utf-8")
    assert TrainedHead(run, taught, NAME[kind]).config == config
    np.testing.assert_array_equal(predict_run(run, taught, clip_ids(COUNT)[:7]).predictions.probabilities, expected)
    text = run.config_path.read_text(encoding="utf-8")
    older = [line for line in text.splitlines() if not line.strip().startswith(("named:", "names:"))]
    assert len(older) == len(text.splitlines()) - 2
    run.config_path.write_text("\n".join(older), encoding="utf-8")
    (again,) = train_run(taught, tmp_path / "labels.csv", run, Recipe(folds=3, heads=(config,)))
    assert again.resumed


def test_a_damaged_file_is_told_by_training(tmp_path: Path) -> None:
    store = teach(make_store(tmp_path / "store", shown()), SHOWS)
    (store.folder(made_key()) / CLASSIFIER).write_bytes(b"damaged")
    with pytest.raises(CorruptPartError, match=r"classifier\.npz: is damaged; remove it"):
        trained(store, tmp_path, config_of("discriminant", named=True))


@pytest.mark.parametrize("kind", NAME)
def test_a_dry_run_trains_with_it(stores: tuple[FeatureStore, FeatureStore], tmp_path: Path, kind: str) -> None:
    labels = write_labels(tmp_path / "labels.csv")
    job = read_job(stores[0], labels, Recipe(folds=3, heads=(config_of(kind, named=True),)))
    assert job.heads[0].config.named
    found = estimate_cost(job, job.heads[0])
    assert (found.members, found.cache_bytes) == (3, COUNT * 4 * (DIM + 398))
