"""Heads that tune a network: what they learn from, what stays as it was, and that they go the way of all heads."""

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers
from made_store import clip_ids, sites_of
from numpy.typing import NDArray
from pictured_store import add_pictures, make_pictured_store, pictured_key
from training import train_run

import heads.trainers.checkpoint
from heads.blending.blend import blend_data
from heads.blending.blenders import find_blender
from heads.data.class_balance import clip_weights, drawn_by_class
from heads.data.features.batches import ClipBatches
from heads.data.features.drawn import DrawnFrames, chances_of_frames
from heads.data.features.pictures import PictureReader
from heads.data.frame_statistics import FRAME_STATISTICS
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.splitting.folds import Folds, assign_folds
from heads.errors import RecipeError, RunError
from heads.evaluation.metrics import mean_log_loss
from heads.models.explain.scoring import heads_to_score, score_frames, scores_over_time
from heads.models.kinds.finetuned import load_network, network_file, split
from heads.models.networks import HeadShape, build_head
from heads.models.trained_head import TrainedHead
from heads.recipe import HeadConfig, Recipe, builtin_recipe, load_recipe
from heads.run import RunDirectory
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head, make_batches
from heads.trainers.members import plan_members
from heads.trainers.task import HeadTask
from heads.trainers.trainer import Trainer
from heads.workflows.answers.packing import opened_run, pack
from heads.workflows.answers.predict import _predict_folds, predict_run
from heads.workflows.blend import blend_run
from store import FeatureStore

SHOWN = np.eye(2, dtype=np.uint8)[np.random.default_rng(5).integers(0, 2, 60)]
IDS = tuple(clip_ids(60))
TABLE = LabelTable(ids=IDS, classes=("blank", "deer"), values=SHOWN)
PX = 32


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Clips of 8, 3 and 11 pictures, and one in twelve that failed."""
    return make_pictured_store(
        tmp_path_factory.mktemp("pixels") / "store", SHOWN, (8, 3, 11, 8, 8, 8, 3, 0, 8, 8, 8, 8)
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that looks for edges and bright places, with a branch round one of its layers."""
    keras.utils.set_random_seed(1)
    picture = keras.Input((None, None, 3), name="picture")
    x = layers.Rescaling(1 / 127.5, -1.0, name="grey")(picture)
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name="first")(x)
    x = layers.ReLU(name="first_relu")(layers.BatchNormalization(name="first_norm")(x))
    x = layers.Conv2D(12, 3, 2, padding="same", use_bias=False, name="second")(x)
    x = layers.ReLU(name="second_relu")(layers.BatchNormalization(name="second_norm")(x))
    y = layers.Conv2D(12, 3, padding="same", use_bias=False, name="third")(x)
    y = layers.BatchNormalization(name="third_norm")(y)
    x = layers.ReLU(name="third_relu")(layers.Add(name="sum")([x, y]))
    model = keras.Model(picture, x, name="small")
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta, mean + 0.05, variance * 0.3])
    path = tmp_path_factory.mktemp("network") / "small.keras"
    model.save(path)
    return path


def small(network: Path, **settings: Any) -> HeadConfig:
    own: dict[str, Any] = {
        "kind": "finetuned",
        "network": str(network),
        "unfreeze_from": "third",
        "clip_frames": 8,
        "clip_px": PX,
        "epochs": 8,
        "head_epochs": 2,
        "head_rate": 0.02,
        "learning_rate": 5e-3,
    }
    return HeadConfig(**{**own, **settings})


def folds() -> Folds:
    return assign_folds(SHOWN, sites_of(list(IDS)), 2, 0, ids=IDS)


def cross_validate(store: FeatureStore, config: HeadConfig, **more: Any) -> CrossValidatedHead:
    reader = PictureReader(store.reader(pictured_key()), config.clip_frames, config.clip_px)
    return cross_validate_head(reader, store.clips(), TABLE, folds(), config, name="x", **more)


def examples_of(store: FeatureStore, config: HeadConfig) -> tuple[ClipBatches, list[str]]:
    reader = PictureReader(store.reader(pictured_key()), config.clip_frames, config.clip_px)
    ids = [clip_id for clip_id in IDS if reader.lengths[reader.index_of([clip_id])[0]]]
    plan = plan_members(config, 2, 0, judged=False)
    return make_batches(reader, store.clips(), ids, config, plan, folds().of(ids))[1], ids


def test_before_anything_is_learned_every_clip_gets_the_share_of_each_class(store: FeatureStore, network: Path) -> None:
    config = small(network, class_balance=0.0)
    examples, ids = examples_of(store, config)
    fold, targets = folds().of(ids), TABLE.select(ids).values.astype(np.float32)
    plan = plan_members(config, 2, 0, judged=False)
    task = HeadTask(config=config, plan=plan, examples=examples, targets=targets, fold=fold)
    said = Trainer(task, Checkpoint(path=None)).predict_held_out()
    for member in plan:
        prior = targets[fold != member.fold].mean(axis=0)
        own = said[member.fold, fold == member.fold]
        np.testing.assert_allclose(own, np.broadcast_to(prior, own.shape), atol=1e-6)


def layers_of(model: keras.Model) -> dict[str, list[NDArray[Any]]]:
    front = model.get_layer("front")
    parts = [front.get_layer("frozen"), front.get_layer("tuned")]
    return {layer.name: layer.get_weights() for part in parts for layer in part.layers if layer.weights}


@pytest.mark.parametrize("epochs", [2, 4])
def test_what_is_frozen_and_what_batches_are_normalised_by_stays_as_it_was(
    epochs: int, store: FeatureStore, network: Path
) -> None:
    before = {layer.name: layer.get_weights() for layer in keras.models.load_model(network, compile=False).layers}
    trained = cross_validate(store, small(network, epochs=epochs))
    models = [part.model for part in trained.folds]
    for model in models:
        after = layers_of(model)
        assert set(after) == {"first", "first_norm", "second", "second_norm", "third", "third_norm"}
        for name, weights in after.items():
            frozen = epochs == 2 or not name.startswith("third")
            for place, (was, now) in enumerate(zip(before[name], weights, strict=True)):
                stays = frozen or (name.endswith("norm") and place >= 2)
                assert np.array_equal(was, now) == stays, (name, place)
        assert np.abs(model.get_layer("tail").get_layer("output").get_weights()[0]).max() > 0
    one, other = (layers_of(model)["third"][0] for model in models)
    assert np.array_equal(one, other) == (epochs == 2)


def test_members_that_share_the_frozen_layers_learn_what_they_would_learn_alone(
    store: FeatureStore, network: Path
) -> None:
    """Against Keras' own steps on the same batches, member by member."""
    config = small(network, epochs=1, head_epochs=0, class_balance=0.0)
    examples, ids = examples_of(store, config)
    fold, targets = folds().of(ids), TABLE.select(ids).values.astype(np.float32)
    plan = plan_members(config, 2, 0, judged=False)
    task = HeadTask(config=config, plan=plan, examples=examples, targets=targets, fold=fold)
    trainer = Trainer(task, Checkpoint(path=None))
    alone = [keras.models.clone_model(head.model) for head in trainer.members.heads]
    for model, head in zip(alone, trainer.members.heads, strict=True):
        model.set_weights(head.model.get_weights())
        model.get_layer("front").get_layer("frozen").trainable = False
    optimisers = [keras.optimizers.Adam(config.learning_rate) for _ in alone]
    shown = trainer._shown(0)
    for places, weights, wanted in trainer.sampler.batches(0):
        batch = shown.batch(places)
        for member, model in enumerate(alone):
            own = weights[member] > 0
            given = {"features": batch["features"][own].astype(np.float32), "mask": batch["mask"][own]}
            with tf.GradientTape() as tape:
                said = model(given, training=False)
                loss = tf.reduce_mean(keras.losses.binary_crossentropy(wanted[member, own], said))
            own_weights = model.trainable_variables
            optimisers[member].apply(tape.gradient(loss, [each.value for each in own_weights]), own_weights)
    list(trainer.steps())
    for model, head in zip(alone, trainer.members.heads, strict=True):
        for theirs, ours in zip(model.get_weights(), head.model.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_frames_are_drawn_by_how_much_moves_and_mirrored_as_often_as_not(store: FeatureStore, network: Path) -> None:
    examples, _ = examples_of(store, small(network))
    reader = examples.reader
    assert isinstance(reader, PictureReader)
    eight, three, eleven = (chances_of_frames(reader, int(reader.index_of([IDS[place]])[0])) for place in (0, 1, 2))
    np.testing.assert_allclose(eight, np.arange(8) / 28, atol=1e-6)
    np.testing.assert_allclose(three, np.arange(3) / 3, atol=1e-6)
    np.testing.assert_allclose(eleven, np.array([0, 1, 3, 4, 6, 7, 9, 10]) / 40, atol=1e-6)
    drawn = DrawnFrames(examples=examples, rng=np.random.default_rng(0)).batch(np.zeros(4000, np.int64))
    assert drawn["features"].shape == (4000, 1, PX, PX, 3)
    assert drawn["mask"].all()
    frames = reader.batch(examples.rows[:1])[0][0]
    kinds = {each.tobytes(): number for number, each in enumerate([*frames, *frames[:, :, ::-1]])}
    found = np.bincount([kinds[each.tobytes()] for each in drawn["features"]], minlength=16) / 4000
    np.testing.assert_allclose(found, np.tile(eight, 2) / 2, atol=0.02)


def test_where_no_motion_was_stored_all_frames_are_as_likely(
    store: FeatureStore, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, _ = examples_of(store, small(network))
    reader = examples.reader
    assert isinstance(reader, PictureReader)
    for stored in (None, np.zeros(8, np.float32), np.full(8, np.nan, np.float32)):
        monkeypatch.setattr(reader, "per_frame", lambda _name, _row, stored=stored: stored)
        np.testing.assert_allclose(chances_of_frames(reader, int(examples.rows[0])), np.full(8, 1 / 8))


def test_some_pictures_are_those_of_whole_clips(store: FeatureStore) -> None:
    own = store.reader(pictured_key())
    whole = PictureReader(own, 8, 16).batch(np.array([0, 2]))[0]
    apart, kept = PictureReader(own, 8, 16), PictureReader(own, 8, 16)
    kept.batch(np.array([0, 2]))
    for reader in (apart, kept):
        np.testing.assert_array_equal(reader.some([0, 2, 2], [7, 0, 5])[:, 0], whole[[0, 1, 1], [7, 0, 5]])
    assert apart.kept_bytes == 0


def test_how_often_clips_are_drawn_by_hand() -> None:
    """1000 blanks, 100 hogs, 20 lions, 2 of them with a hog, and one clip of nothing."""
    targets = np.zeros((1119, 3), np.float32)
    targets[:1000, 0] = targets[1000:1100, 1] = targets[1098:1118, 2] = 1
    chances = drawn_by_class(targets) / len(targets)
    assert chances.sum() == pytest.approx(1)
    accepted = np.array([1.0, 0.31, 0.11, 0.01])
    per_clip = accepted / accepted.sum() / np.array([1000, 100, 20, 1])
    np.testing.assert_allclose(chances[[0, 1000, 1117, 1118]], per_clip, rtol=1e-6)
    assert chances[1098] == pytest.approx(per_clip[1] + per_clip[2])
    mixed = clip_weights(targets, 0.4, "classes") / len(targets)
    np.testing.assert_allclose(mixed, 0.6 / len(targets) + 0.4 * chances)


def test_the_sampler_draws_so(store: FeatureStore, network: Path) -> None:
    config = small(network, class_balance=0.4)
    targets = np.zeros((220, 2), np.float32)
    targets[:200, 0] = targets[200:, 1] = 1
    examples, _ = examples_of(store, config)
    task = HeadTask(
        config=config,
        plan=plan_members(config, 2, 0, judged=False),
        examples=examples,
        targets=targets,
        fold=np.arange(220) % 2,
    )
    sampler = Trainer(task, Checkpoint(path=None)).sampler
    drawn = np.concatenate([places for epoch in range(60) for places, _, _ in sampler.batches(epoch)])
    # Of each fold's 100 and 10 clips, 0.31 and 0.11 of 0.42 draws by class.
    assert np.mean(drawn >= 200) == pytest.approx(0.6 * 20 / 220 + 0.4 * 0.11 / 0.42, abs=0.01)


@pytest.fixture(scope="module")
def run(store: FeatureStore, network: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("finetuned")
    gone = shutil.copy(network, folder / "network.keras")
    ids = list(IDS)
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": SHOWN[:, 0], "deer": SHOWN[:, 1]})
    table.to_csv(folder / "labels.csv", index=False)
    run = RunDirectory(folder / "run")
    train_run(store, folder / "labels.csv", run, Recipe(folds=2, heads=(small(gone, epochs=12),)))
    gone.unlink()  # a run needs nothing beside itself
    score_frames(run, store, heads_to_score(run))
    blend_run(run)
    return run


def test_they_learn_and_what_they_say_of_a_clip_is_the_mean_of_its_frames(
    run: RunDirectory, store: FeatureStore
) -> None:
    metrics = run.read_metrics()
    (name,) = run.head_names()
    assert name == "finetuned-frames"
    assert metrics["heads"][name]["mean_log_loss"] < 0.6 * metrics["baselines"]["training prior"]["mean_log_loss"]
    oof = run.read_oof(name)
    fold = np.asarray(oof.fold)
    head = TrainedHead(run, store, name)
    for place in (0, 1, 2):
        pixels, mask = head.reader.batch(head.reader.index_of([oof.ids[place]]))
        model = head.model(int(fold[place]))
        each = [
            np.array(model({"features": frame[None, None].astype(np.float32), "mask": np.ones((1, 1), bool)}))[0]
            for frame in pixels[0][mask[0]]
        ]
        np.testing.assert_allclose(np.mean(each, axis=0), oof.probabilities[place], atol=1e-5)
        (said,) = scores_over_time(run, store, name, [oof.ids[place]]).values()
        np.testing.assert_allclose(said.probabilities, each, atol=1e-5)


def test_scores_of_their_frames_are_out_of_fold_and_stackers_take_them(run: RunDirectory) -> None:
    (name,) = run.head_names()
    oof, layers_of_frames = run.read_oof(name), run.read_frames(name)
    mean = layers_of_frames[FRAME_STATISTICS.index("mean")]
    np.testing.assert_allclose(mean.probabilities, oof.probabilities, atol=1e-5)
    assert np.array_equal(np.asarray(mean.fold), np.asarray(oof.fold))
    labels = run.read_labels()
    data = blend_data([oof], labels, run.read_folds(), {name: layers_of_frames})
    said = data.cross_fit(find_blender("xgboost+frames"))
    assert mean_log_loss(labels.select(said.ids).values, said.probabilities) < 0.69


def test_with_their_frames_asked_clips_get_the_same_answers(run: RunDirectory, store: FeatureStore) -> None:
    (name,) = run.head_names()
    head = TrainedHead(run, store, name)
    some = [clip_id for clip_id in IDS if head.reader.lengths[head.reader.index_of([clip_id])[0]]][:6]
    plain, framed = (_predict_folds(TrainedHead(run, store, name), some, with_frames=each) for each in (False, True))
    for one, other in zip(plain, framed, strict=True):
        assert (len(one), len(other)) == (1, 1 + len(FRAME_STATISTICS))
        np.testing.assert_allclose(other[0].probabilities, one[0].probabilities, atol=1e-5)


def test_they_predict_clips_that_nobody_labelled_packed_or_not(run: RunDirectory, tmp_path: Path) -> None:
    new = SHOWN[::-1][:20]
    ids = [f"valley/{number}.mp4" for number in range(20)]
    other = add_pictures(FeatureStore.open(tmp_path / "new", create=True), new, (8, 4), ids=ids)
    said = predict_run(run, other).predictions
    deer = said.probabilities[:, said.classes.index("deer")]
    shown = dict(zip(ids, new[:, 1], strict=True))
    assert np.mean([(each > 0.5) == shown[clip_id] for each, clip_id in zip(deer, said.ids, strict=True)]) >= 0.8
    pack(run, tmp_path / "model.trapline")
    with opened_run(tmp_path / "model.trapline") as packed:
        np.testing.assert_array_equal(predict_run(packed, other).predictions.probabilities, said.probabilities)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("dies", [1, 3])
def test_a_killed_training_goes_on_to_the_same_bits(
    dies: int, store: FeatureStore, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the output layer learns alone, and behind that."""
    monkeypatch.setattr(heads.trainers.checkpoint, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(heads.trainers.checkpoint, "_MOST_TIME", float("inf"))
    config = small(network, epochs=4, averaging=0.9)

    def report(epoch: Epoch) -> None:
        if epoch.number > dies:
            raise _KilledError

    whole = cross_validate(store, config)
    with pytest.raises(_KilledError):
        cross_validate(store, config, checkpoint=Checkpoint(path=tmp_path / "state.npz"), report=report)
    rest = cross_validate(store, config, checkpoint=Checkpoint(path=tmp_path / "state.npz"))
    assert [epoch.losses for epoch in rest.epochs] == [epoch.losses for epoch in whole.epochs]
    np.testing.assert_array_equal(rest.predictions.probabilities, whole.predictions.probabilities)


def test_the_last_third_of_the_layers_with_weights_is_tuned_if_none_is_named(network: Path) -> None:
    config = small(network, unfreeze_from="")
    frozen, tuned = split(load_network(config), config)
    assert [layer.name for layer in frozen.layers if layer.weights] == ["first", "first_norm", "second", "second_norm"]
    assert [layer.name for layer in tuned.layers if layer.weights] == ["third", "third_norm"]
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 20, 28, 3)).astype(np.float32)
    whole = np.array(keras.models.load_model(network, compile=False)(pixels))
    np.testing.assert_array_equal(np.array(tuned(frozen(pixels))), whole)


def test_a_network_may_be_cut_inside_a_branch(network: Path) -> None:
    config = small(network, unfreeze_from="third_norm")
    frozen, tuned = split(load_network(config), config)
    assert len(frozen.outputs) == 2  # what goes through the branch and what goes round it
    head = build_head(config, HeadShape(dim=3, n_metadata=0, n_classes=2))
    own = [each.path.split("/")[-2] for each in head.front.trainable_variables]
    assert own == ["third_norm", "third_norm"]
    assert len(tuned.trainable_variables) == 2


def test_frames_that_are_not_there_change_nothing(network: Path) -> None:
    keras.utils.set_random_seed(0)
    head = build_head(small(network, start_at_prior=False), HeadShape(dim=3, n_metadata=0, n_classes=2))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 8, PX, PX, 3)).astype(np.float32)
    mask = np.arange(8)[None] < 5
    short = np.array(head.model({"features": pixels[:, :5], "mask": mask[:, :5]}))
    np.testing.assert_allclose(np.array(head.model({"features": pixels, "mask": mask})), short, atol=1e-6)
    assert np.abs(np.array(head.model({"features": pixels, "mask": np.ones((1, 8), bool)})) - short).max() > 1e-5


def test_networks_that_cannot_be_tuned_are_refused(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(RecipeError, match=r"there is no .*resnet50\.keras, .*make it by `featurize weights resnet50`"):
        network_file("resnet50")
    with pytest.raises(RecipeError, match=r"there is no gone\.keras"):
        network_file("gone.keras")
    config = small(network, unfreeze_from="thrid")
    with pytest.raises(RecipeError, match=r"has no layer 'thrid', expected something like third"):
        split(load_network(config), config)
    picture = keras.Input((64, 64, 3))
    keras.Model(picture, layers.Conv2D(2, 3)(picture)).save(tmp_path / "fixed.keras")
    with pytest.raises(RecipeError, match=r"expected pictures \(B, 32, 32, 3\); say its size as `clip_px`"):
        load_network(small(tmp_path / "fixed.keras"))
    keras.Model(picture, layers.GaussianNoise(0.1)(picture)).save(tmp_path / "odd.keras")
    with pytest.raises(RunError, match=r"built of keras\.layers\.GaussianNoise, .* save such a network in odd\.keras"):
        load_network(small(tmp_path / "odd.keras", clip_px=64))


def test_the_recipe_that_comes_along_trains_on_a_few_clips(network: Path, tmp_path: Path) -> None:
    """In its own stages, but for the network, its pictures and the number of epochs."""
    shown = np.tile(np.eye(2, dtype=np.uint8), (5, 1))
    few = make_pictured_store(tmp_path / "store", shown, (6, 2))
    table = {"filename": clip_ids(10), "site": sites_of(clip_ids(10)), "blank": shown[:, 0], "deer": shown[:, 1]}
    pd.DataFrame(table).to_csv(tmp_path / "labels.csv", index=False)
    recipe = load_recipe(builtin_recipe("first_place"))
    (head,) = recipe.heads
    assert head == HeadConfig(kind="finetuned", epochs=head.epochs, unfreeze_from=head.unfreeze_from)  # as published
    own = head.model_copy(update={"network": str(network), "unfreeze_from": "third", "epochs": 2, "clip_px": PX})
    run = RunDirectory(tmp_path / "run")
    train_run(few, tmp_path / "labels.csv", run, recipe.model_copy(update={"folds": 2, "heads": (own,)}))
    (trained,) = run.head_names()
    assert len(run.read_oof(trained).ids) == 10
    assert all(len(losses) == 2 for losses in run.read_head(trained)["losses"])
    assert len(run.read_head(trained)["network_sha256"]) == 64


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"head_epochs": 16}, "head_epochs: they are the first of the epochs, of which there are 15"),
        ({"crop_px": 48}, "crop_px: a head of kind finetuned has no use for it"),
        ({"competing": True}, "competing: a head of kind finetuned has no use for it"),
        ({"kind": "conv3d", "network": "resnet50"}, "network: a head of kind conv3d has no use for it"),
        ({"kind": "attention", "head_epochs": 1}, "head_epochs: a head of kind attention has no use for it"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        HeadConfig(**{"kind": "finetuned", **settings})
