"""Heads that learn from pixels: what they are shown, what they are made of, and that they go the way of all heads."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from made_store import clip_ids, make_store, sites_of
from numpy.typing import NDArray
from pictured_store import add_pictures, draw_clip, encode, make_pictured_store, pictured_key
from training import blended_run, train_run

import heads.trainers.checkpoint
from heads.data.features.pictures import PictureReader, decode_square, evenly_chosen
from heads.data.features.readers import Reader
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.splitting.folds import assign_folds
from heads.errors import RecipeError
from heads.models.explain.scoring import heads_to_score
from heads.models.networks import HeadShape, build_head
from heads.models.pixel_layers import CropClip, KeepFrames
from heads.recipe import HeadConfig, Recipe, builtin_recipe, load_recipe
from heads.run import RunDirectory
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head
from heads.trainers.optimizer import FusedNesterov
from heads.workflows.answers.packing import opened_run, pack
from heads.workflows.answers.predict import predict_run
from heads.workflows.resolve import resolve_heads
from store import FeatureStore

SHOWN = np.eye(2, dtype=np.uint8)[np.random.default_rng(5).integers(0, 2, 60)]
SMALL = {
    "clip_frames": 8,
    "clip_px": 16,
    "crop_frames": 4,
    "crop_px": 12,
    "filters": (4, 8),
    "batch_clips": 8,
    "learning_rate": 5e-3,
    "epochs": 12,
    "sgd_epochs": 2,
    "dense_units": (16,),
    "dense_dropout": 0.0,
}


def small(kind: str, **settings: object) -> HeadConfig:
    return HeadConfig(**{"kind": kind, **SMALL, **settings})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Clips of 8, 3 and 11 pictures, and one in twelve that failed."""
    return make_pictured_store(
        tmp_path_factory.mktemp("pixels") / "store", SHOWN, (8, 3, 11, 8, 8, 8, 3, 0, 8, 8, 8, 8)
    )


def test_pictures_are_squares_with_a_mask_and_nothing_in_place_of_what_is_not_there(store: FeatureStore) -> None:
    reader: Reader = PictureReader(store.reader(pictured_key()), 8, 16)
    rows = reader.index_of([clip_ids(60)[place] for place in (0, 1, 2, 7)])
    pixels, mask = reader.batch(rows)
    assert (pixels.shape, pixels.dtype) == ((4, 8, 16, 16, 3), np.uint8)
    assert mask.sum(axis=1).tolist() == [8, 3, 8, 0]
    assert not pixels[~mask].any()
    eleven = draw_clip(2, 11, there=bool(SHOWN[2, 1]))
    for seen, number in zip(pixels[2], [0, 1, 3, 4, 6, 7, 9, 10], strict=True):
        np.testing.assert_array_equal(seen, decode_square(encode(eleven[number]), 16))


def test_which_frames_are_seen_of_long_clips() -> None:
    assert evenly_chosen(3, 8) == [0, 1, 2]
    assert evenly_chosen(9, 3) == [0, 4, 8]
    assert len(set(evenly_chosen(31, 30))) == 30


def test_squares_are_what_the_picture_shows_in_its_colours() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = (250, 20, 20)
    picture[:24, 32:] = (20, 20, 250)
    seen = decode_square(encode(picture), 16).astype(int)
    for place, colour in (((8, 3), (250, 20, 20)), ((3, 12), (20, 20, 250)), ((12, 12), (0, 0, 0))):
        assert np.abs(seen[place] - colour).max() < 25


def test_what_memory_does_not_hold_is_decoded_again_to_the_same_pixels(store: FeatureStore) -> None:
    own, rows = store.reader(pictured_key()), np.arange(12)
    most = 5 * 8 * 16 * 16 * 3
    tight, free = PictureReader(own, 8, 16, most_bytes=most), PictureReader(own, 8, 16)
    for _ in range(2):
        np.testing.assert_array_equal(tight.batch(rows)[0], free.batch(rows)[0])
    assert 0 < tight.kept_bytes <= most < free.kept_bytes


def pixels_of(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, T, H, W, 3): pixels that tell where they are."""
    return places[None, ..., None].repeat(3, axis=-1)


def test_the_middle_is_predicted_by_and_any_part_is_learned_from() -> None:
    keras.utils.set_random_seed(0)
    time, rows, columns = np.indices((6, 8, 8), np.float32)
    pixels = pixels_of(time * 36 + rows * 6 + columns / 2) + np.float32(0.25)
    crop, mask = CropClip(4, 6), np.ones((1, 6), bool)
    part, kept = (np.array(each) for each in crop(pixels, mask))
    np.testing.assert_allclose(part, pixels[:, 1:5, 1:7, 1:7] / 256 - 0.5)
    assert kept.all()
    every = {
        (start, top, left, flip): pixels[0, start : start + 4, top : top + 6, left : left + 6][:, :, ::flip] / 256 - 0.5
        for start in range(3) for top in range(3) for left in range(3) for flip in (1, -1)
    }  # fmt: skip
    many, _ = crop(pixels.repeat(400, axis=0), mask.repeat(400, axis=0), training=True)
    found = [[place for place, each in every.items() if np.allclose(each, own)] for own in np.array(many)]
    assert {len(places) for places in found} == {1}
    assert len({places[0] for places in found}) == len(every)


def test_a_short_clip_is_cropped_within_its_frames_and_masked_behind_them() -> None:
    keras.utils.set_random_seed(0)
    pixels = np.full((50, 6, 8, 8, 3), 200, np.float32)
    mask = np.arange(6) < np.array([3, 5] * 25)[:, None]
    for training in (False, True):
        part, kept = (np.array(each) for each in CropClip(4, 6, shift=3.0)(pixels, mask, training=training))
        assert kept.sum(axis=1).tolist() == [3, 4] * 25
        assert (part[~kept] == 0).all()
        assert np.abs(part[kept] - (200 / 256 - 0.5)).max() <= 3 / 256 + 1e-6
    shifts = np.array(part)[1::2, 0, 0, 0]
    assert len(np.unique(shifts)) > 50  # each clip and colour by itself
    np.testing.assert_allclose(
        part[1::2, :4], shifts[:, None, None, None].repeat(4, 1).repeat(6, 2).repeat(6, 3), atol=1e-6
    )


def test_frames_that_are_not_there_change_nothing_of_the_others() -> None:
    """A short clip is to the network what the same frames are with nothing but a border behind them."""
    maps = np.random.default_rng(0).normal(size=(1, 4, 6, 6, 3)).astype(np.float32)
    mask = np.array([[True, True, False, False]])
    convolve = keras.layers.Conv3D(5, 3, padding="same", activation="relu")
    short = np.array(convolve(maps[:, :2]))
    padded = KeepFrames()(convolve(KeepFrames()(maps, mask)), mask)
    np.testing.assert_allclose(np.array(padded)[:, :2], short, atol=1e-5)
    assert not np.array(padded)[:, 2:].any()
    halves = KeepFrames()(np.ones((1, 2, 1, 1, 1), np.float32), np.array([[True, False, False, False]]))
    assert np.array(halves).ravel().tolist() == [1, 0]


def test_the_published_network_of_the_second_place() -> None:
    head = build_head(HeadConfig(kind="conv3d"), HeadShape(dim=3, n_metadata=0, n_classes=24))
    shapes = [tuple(each.output.shape[1:]) for each in head.front.layers if "pool" in each.name or each.name == "flat"]
    assert head.model.input["features"].shape == (None, 30, 64, 64, 3)
    assert head.front.get_layer("crop").output[0].shape == (None, 24, 56, 56, 3)
    assert shapes == [(12, 28, 28, 16), (6, 14, 14, 32), (3, 7, 7, 64), (9408,)]
    convolutions = sum(
        27 * given * made + made for given, made in ((3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64))
    )
    dense = sum(given * made + made for given, made in ((9408, 128), (128, 128), (128, 24)))
    trained = sum(int(np.prod(each.shape)) for each in head.model.trainable_variables)
    assert trained == convolutions + dense == 1_439_752
    config = HeadConfig(kind="conv3d")
    assert (config.batch_clips, config.learning_rate, config.dense_dropout, config.colour_shift) == (32, 1e-4, 0.5, 3.0)


def test_the_network_of_the_benchmark() -> None:
    head = build_head(HeadConfig(kind="lrcn"), HeadShape(dim=3, n_metadata=0, n_classes=24))
    shapes = [tuple(each.output.shape[1:]) for each in head.front.layers if "pool" in each.name]
    assert shapes == [(30, 16, 16, 32), (30, 8, 8, 64), (30, 4, 4, 128), (30, 2, 2, 256)]
    squares = sum(
        side * side * given * made + made
        for side, given, made in (
            (7, 3, 32), (3, 32, 32), (3, 32, 64), (3, 64, 64),
            (3, 64, 128), (3, 128, 128), (3, 128, 256), (3, 256, 256),
        )
    )  # fmt: skip
    trained = sum(int(np.prod(each.shape)) for each in head.model.trainable_variables)
    assert trained == squares + 4 * ((1024 + 256) * 256 + 256) + 256 * 24 + 24


def test_frames_behind_the_end_of_a_clip_do_not_change_what_a_recurrent_network_says() -> None:
    keras.utils.set_random_seed(0)
    head = build_head(small("lrcn", crop_frames=8, crop_px=16), HeadShape(dim=3, n_metadata=0, n_classes=2))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 8, 16, 16, 3)).astype(np.float32)
    mask = np.arange(8)[None] < 5
    said = [
        np.array(head.model({"features": each, "mask": mask}))
        for each in (pixels, pixels * mask[..., None, None, None])
    ]
    np.testing.assert_array_equal(*said)
    assert np.abs(np.array(head.model({"features": pixels, "mask": np.ones((1, 8), bool)})) - said[0]).max() > 1e-4


@pytest.fixture(scope="module", params=["conv3d", "lrcn"])
def run(request: pytest.FixtureRequest, store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return blended_run(tmp_path_factory.mktemp(request.param), store, SHOWN, small(request.param))


def test_they_learn_and_what_they_say_of_a_clip_is_said_by_models_that_have_not_seen_it(
    run: RunDirectory, store: FeatureStore
) -> None:
    metrics = run.read_metrics()
    (name,) = run.head_names()
    assert name.endswith("-frames")
    assert metrics["heads"][name]["mean_log_loss"] < 0.6 * metrics["baselines"]["training prior"]["mean_log_loss"]
    oof = run.read_oof(name)
    fold = np.asarray(oof.fold)
    reader = PictureReader(store.reader(pictured_key()), 8, 16)
    own = [
        place
        for place, clip_id in enumerate(oof.ids)
        if fold[place] == 1 and reader.lengths[reader.index_of([clip_id])[0]]
    ]
    pixels, mask = reader.batch(reader.index_of([oof.ids[place] for place in own]))
    model = keras.saving.load_model(run.model_path(name, 1), compile=False)
    said = np.array(model({"features": pixels.astype(np.float32), "mask": mask}, training=False))
    np.testing.assert_allclose(said, oof.probabilities[own], atol=1e-5)


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


@pytest.mark.parametrize("name", ["second_place", "benchmark"])
def test_the_recipes_that_come_along_train_on_a_few_clips(name: str, tmp_path: Path) -> None:
    """In their own sizes, but for the number of epochs and of folds."""
    shown = np.tile(np.eye(2, dtype=np.uint8), (5, 1))
    few = make_pictured_store(tmp_path / "store", shown, (6, 2))
    table = {"filename": clip_ids(10), "site": sites_of(clip_ids(10)), "blank": shown[:, 0], "deer": shown[:, 1]}
    pd.DataFrame(table).to_csv(tmp_path / "labels.csv", index=False)
    recipe = load_recipe(builtin_recipe(name))
    head, *others = recipe.heads
    assert head == HeadConfig(kind=head.kind, epochs=head.epochs, sgd_epochs=head.sgd_epochs)  # as published
    short = head.model_copy(update={"epochs": 2, "sgd_epochs": min(head.sgd_epochs, 1)})
    run = RunDirectory(tmp_path / "run")
    train_run(few, tmp_path / "labels.csv", run, recipe.model_copy(update={"folds": 2, "heads": (short, *others)}))
    (trained,) = run.head_names()
    assert len(run.read_oof(trained).ids) == 10
    assert all(len(losses) == 2 for losses in run.read_head(trained)["losses"])


def test_single_frames_are_not_asked_of_what_sees_clips(run: RunDirectory) -> None:
    assert heads_to_score(run) == []


def test_they_read_what_holds_pictures_and_nothing_else(store: FeatureStore, tmp_path: Path) -> None:
    both = make_store(tmp_path / "store", SHOWN)
    with pytest.raises(RecipeError, match=r"no head of the recipe fits what the store holds \(made\)"):
        resolve_heads(Recipe(heads=(HeadConfig(kind="conv3d"),)), both)
    add_pictures(both, SHOWN, (2,))
    assert [head.name for head in resolve_heads(Recipe(heads=(HeadConfig(kind="conv3d"),)), both).heads] == [
        "conv3d-frames"
    ]
    with pytest.raises(
        RecipeError, match="'conv3d' is of kind conv3d, which learns from pictures, and made holds none"
    ):
        resolve_heads(Recipe(heads=(HeadConfig(kind="conv3d", sources=("made",)),)), both)


class _KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_bits(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two epochs of steps with momentum, which Adam's went before."""
    monkeypatch.setattr(heads.trainers.checkpoint, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(heads.trainers.checkpoint, "_MOST_TIME", float("inf"))
    ids, config = tuple(clip_ids(60)), small("conv3d", filters=(4,), epochs=4, dense_dropout=0.3, averaging=0.9)
    folds = assign_folds(SHOWN, sites_of(ids), 2, 0, ids=ids)
    table = LabelTable(ids=ids, classes=("blank", "deer"), values=SHOWN)

    def train(checkpoint: Checkpoint, dies: int = 99) -> CrossValidatedHead:
        def report(epoch: Epoch) -> None:
            if epoch.number > dies:
                raise _KilledError

        reader = PictureReader(store.reader(pictured_key()), 8, 16)
        return cross_validate_head(
            reader, store.clips(), table, folds, config, name="x", checkpoint=checkpoint, report=report
        )

    whole = train(Checkpoint(path=None))
    with pytest.raises(_KilledError):
        train(Checkpoint(path=tmp_path / "state.npz"), 3)
    rest = train(Checkpoint(path=tmp_path / "state.npz"))
    assert [epoch.losses for epoch in rest.epochs] == [epoch.losses for epoch in whole.epochs]
    np.testing.assert_array_equal(rest.predictions.probabilities, whole.predictions.probabilities)


def test_steps_with_momentum_are_those_of_keras() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    own, theirs = tf.Variable(start), keras.Variable(start)
    mine, known = FusedNesterov([own]), keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    for gradient in gradients:
        mine.apply([tf.constant(gradient)], [tf.constant(0.1)])
        known.apply([gradient], [theirs])
    np.testing.assert_allclose(own.numpy(), np.array(theirs), rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"crop_frames": 31}, "crop_frames: 31 cannot be cut out of the 30 of clip_frames"),
        ({"crop_px": 65}, "crop_px: 65 cannot be cut out of the 64 of clip_px"),
        ({"sgd_epochs": 16}, "sgd_epochs: they are the last of the epochs, of which there are 15"),
        ({"joined": True}, "joined: a head of kind conv3d has no use for it"),
        ({"kind": "attention", "filters": (4,)}, "filters: a head of kind attention has no use for it"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        HeadConfig(**{"kind": "conv3d", **settings})  # type: ignore[arg-type]
