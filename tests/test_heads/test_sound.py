"""Heads that learn from sound: what they hear, what they are made of, and that they go the way of all heads."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from made_store import clip_facts, clip_ids, made_key, make_store, sites_of
from training import blended_run

import heads.trainers.checkpoint
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.splitting.folds import assign_folds
from heads.errors import RecipeError, UnweighedError
from heads.models.explain.attribution import weigh_frames
from heads.models.explain.scoring import heads_to_score
from heads.models.networks import HeadShape, build_head
from heads.models.sound_layers import CropSound, NormaliseHeard, SoundBlock
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.selection.embedding import choose_key
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head
from heads.workflows.answers.packing import opened_run, pack
from heads.workflows.answers.predict import predict_run
from heads.workflows.resolve import resolve_heads
from store import ClipFeatures, FeatureKey, FeatureStore, Status

N_CLIPS, PIECE = 60, 64
SINGS = np.eye(2, dtype=np.uint8)[np.random.default_rng(3).integers(0, 2, N_CLIPS)]
LENGTHS = (8, 11, 5, 8, 0, 20)  # in pieces
SMALL = {
    "kind": "conv1d",
    "crop_frames": 8,
    "filters": (4, 8),
    "dense_units": (8,),
    "dense_dropout": 0.0,
    "epochs": 8,
    "learning_rate": 0.01,
}


def sound_key() -> FeatureKey:
    return replace(made_key("sound"), taps=(("samples", PIECE),), preprocessing="waveform-22050")


def add_sound(store: FeatureStore, sings: np.ndarray, ids: Sequence[str]) -> FeatureStore:
    """Clips of noise, with a tone in it where the second column of `sings` (N, 2) says so; one in six has no sound."""
    rng = np.random.default_rng(0)
    with store.writer(sound_key()) as writer, store.clip_writer() as facts:
        for index, clip_id in enumerate(ids):
            count = LENGTHS[index % len(LENGTHS)]
            samples = rng.normal(0, 0.02, count * PIECE)
            if sings[index, 1]:
                samples += 0.05 * np.sin(2 * np.pi * np.arange(len(samples)) / 8 + rng.uniform(0, 6))
            facts.add(clip_facts(clip_id, index, f"print of {clip_id}", failed=False))
            row = ClipFeatures(
                clip_id=clip_id,
                fingerprint=f"print of {clip_id}",
                status=Status.OK if count else Status.FAILED,
                reason="" if count else "the clip has no sound",
                times_s=np.arange(count) * PIECE / 22_050,
                features=samples.reshape(count, PIECE).astype(np.float32),
            )
            writer.add(row)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    root = tmp_path_factory.mktemp("sound") / "store"
    return add_sound(FeatureStore.open(root, create=True), SINGS, clip_ids(N_CLIPS))


@pytest.fixture(scope="module")
def run(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return blended_run(tmp_path_factory.mktemp("conv1d"), store, SINGS, HeadConfig(**SMALL))


def test_the_published_network_of_the_second_place() -> None:
    head = build_head(HeadConfig(kind="conv1d"), HeadShape(dim=4096, n_metadata=0, n_classes=24))
    assert head.front.get_layer("crop").output[0].shape == (None, 327_680, 1)
    blocks = [each for each in head.front.layers if each.name.startswith("block")]
    assert [each.output[0].shape[1:] for each in blocks] == [(20_480, 16), (1_280, 32), (80, 64), (5, 128)]
    assert [each.whole for each in blocks] == [True, True, True, False]
    given_made = ((1, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 128))
    convolutions = sum(9 * given * made + made + 2 * made for given, made in given_made)  # with scale and shift
    dense = sum(given * made + made for given, made in ((640, 128), (128, 128), (128, 24)))
    trained = sum(int(np.prod(each.shape)) for each in head.model.trainable_variables)
    assert trained == convolutions + dense == 541_336


def test_any_part_is_learned_from_and_the_middle_is_predicted_by() -> None:
    keras.utils.set_random_seed(0)
    pieces = np.arange(10 * 4, dtype=np.float32).reshape(1, 10, 4) + 1
    mask, crop = np.ones((200, 10), bool), CropSound(7)
    middle, heard = (np.array(each) for each in crop(pieces, mask[:1]))
    np.testing.assert_array_equal(middle[0, :, 0], pieces[0, 1:8].ravel())
    assert heard.all()
    drawn = np.array(crop(pieces.repeat(200, axis=0), mask, training=True)[0])[:, :, 0]
    assert {tuple(each) for each in drawn} == {tuple(pieces[0, start : start + 7].ravel()) for start in range(4)}


def test_a_short_clip_is_heard_as_it_is_and_nothing_behind_it() -> None:
    keras.utils.set_random_seed(0)
    mask = np.arange(5) < np.array([5, 3])[:, None]
    for training in (False, True):
        samples, heard = (
            np.array(each) for each in CropSound(7)(np.ones((2, 5, 4), np.float32), mask, training=training)
        )
        assert heard.sum(axis=1).ravel().tolist() == [20, 12]
        assert not heard[1, 12:].any()
        np.testing.assert_array_equal(samples, heard)


def test_moments_are_those_of_keras_over_what_is_there() -> None:
    maps = np.random.default_rng(0).normal(2, 3, (3, 10, 4)).astype(np.float32)
    there = np.arange(10) < np.array([10, 7, 2])[:, None]
    own, known = NormaliseHeard(), keras.layers.BatchNormalization(momentum=0.9)
    known.build(maps.shape)
    known.moving_mean.assign(maps[there].mean(axis=0))
    known.moving_variance.assign(maps[there].var(axis=0))
    for training in (True, False):  # after a single step
        found = np.array(own(maps, there[:, :, None].astype(np.float32), training=training))
        wanted = np.array(known(maps, mask=there, training=training))
        np.testing.assert_allclose(found[there], wanted[there], atol=1e-4)
        assert not found[~there].any()


def test_moments_are_averaged_over_steps_and_then_run_along() -> None:
    layer, there = NormaliseHeard(), np.ones((1, 2, 1), np.float32)
    for mean in range(20):
        layer(np.array([[[mean - 1.0], [mean + 1.0]]], np.float32), there, training=True)
        if mean < 10:
            np.testing.assert_allclose(layer.moving_mean, mean / 2, rtol=1e-5)
    wanted = 4.5
    for mean in range(10, 20):
        wanted = 0.9 * wanted + 0.1 * mean
    np.testing.assert_allclose(layer.moving_mean, wanted, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 1, rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_what_is_behind_the_end_of_a_clip_changes_nothing(training: bool) -> None:
    """A clip of 20 pieces beside longer ones is what it is by itself: 16 of them make a step, 4 a part of one."""
    keras.utils.set_random_seed(0)
    first, last = SoundBlock(3, 2, whole=True), SoundBlock(5, 2)
    sound = np.random.default_rng(0).normal(size=(1, 20 * 16, 1)).astype(np.float32)

    def hear(steps: int) -> np.ndarray:
        there = (np.arange(steps)[None, :, None] < 320).astype(np.float32)
        pieces, left = first(np.pad(sound, ((0, 0), (0, steps - 320), (0, 0))), there, training=training)
        assert np.array(left).sum() == 20
        assert not np.array(pieces)[:, 20:].any()
        found, left = last(pieces, left, training=training)
        assert np.array(left).sum() == 2
        return np.array(found)

    alone, beside = hear(512), hear(768)
    np.testing.assert_allclose(beside[:, :2], alone, atol=1e-5)
    assert not beside[:, 2].any()
    assert np.abs(alone[:, 1]).max() < 1e3


def test_it_learns_and_clips_without_sound_get_the_share_of_each_class(run: RunDirectory, store: FeatureStore) -> None:
    metrics = run.read_metrics()
    (name,) = run.head_names()
    assert name == "conv1d-sound"
    assert metrics["heads"][name]["mean_log_loss"] < 0.6 * metrics["baselines"]["training prior"]["mean_log_loss"]
    oof, reader = run.read_oof(name), store.reader(sound_key())
    fold, lengths = np.asarray(oof.fold), reader.lengths[reader.index_of(oof.ids)]
    silent = oof.probabilities[(lengths == 0) & (fold == 1)]
    np.testing.assert_allclose(silent, np.tile(run.read_head(name)["prior"][1], (len(silent), 1)))
    own = np.flatnonzero((fold == 1) & (lengths > 0)).tolist()
    features, mask = reader.batch(reader.index_of([oof.ids[place] for place in own]))
    model = keras.saving.load_model(run.model_path(name, 1), compile=False)
    said = np.array(model({"features": features.astype(np.float32), "mask": mask}, training=False))
    np.testing.assert_allclose(said, oof.probabilities[own], atol=1e-4)


def test_it_predicts_clips_that_nobody_labelled_packed_or_not(run: RunDirectory, tmp_path: Path) -> None:
    ids = [f"valley/{number}.mp4" for number in range(18)]
    other = add_sound(FeatureStore.open(tmp_path / "new", create=True), SINGS[::-1], ids)
    said = predict_run(run, other).predictions
    deer, sings = said.probabilities[:, said.classes.index("deer")], dict(zip(ids, SINGS[::-1, 1], strict=False))
    heard = [place for place, clip_id in enumerate(said.ids) if LENGTHS[ids.index(clip_id) % len(LENGTHS)]]
    assert np.mean([(deer[place] > 0.5) == sings[said.ids[place]] for place in heard]) >= 0.8
    pack(run, tmp_path / "model.trapline")
    with opened_run(tmp_path / "model.trapline") as packed:
        np.testing.assert_array_equal(predict_run(packed, other).predictions.probabilities, said.probabilities)


def test_it_says_that_it_weighs_no_pieces_and_is_not_asked_about_one(run: RunDirectory, store: FeatureStore) -> None:
    assert heads_to_score(run) == []
    with pytest.raises(UnweighedError, match="conv1d-sound pools frames as kind conv1d does, without weighing them"):
        weigh_frames(run, store, "conv1d-sound", clip_ids(1))


def test_it_reads_sound_and_no_other_kind_does_unless_it_is_named(store: FeatureStore, tmp_path: Path) -> None:
    both = make_store(tmp_path / "store", SINGS)
    heads_ = (HeadConfig(kind="conv1d"), HeadConfig(kind="attention"))
    with pytest.raises(RecipeError, match=r"no head of the recipe fits what the store holds \(made\)"):
        resolve_heads(Recipe(heads=heads_[:1]), both)
    add_sound(both, SINGS, clip_ids(N_CLIPS))
    assert [each.name for each in resolve_heads(Recipe(heads=heads_), both).heads] == ["conv1d-sound", "attention-made"]
    with pytest.raises(
        RecipeError, match="which learns from sound, and made holds none; name a source that `featurize"
    ):
        resolve_heads(Recipe(heads=(HeadConfig(kind="conv1d", sources=("made",)),)), both)
    assert choose_key(both).source == "made"


def test_too_little_sound_for_its_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="crop_frames: 4 blocks need 16 pieces of sound, or fewer filters"):
        HeadConfig(kind="conv1d", crop_frames=15)


class _KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_bits(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running averages of moments, and where the next parts begin, are as they were."""
    monkeypatch.setattr(heads.trainers.checkpoint, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(heads.trainers.checkpoint, "_MOST_TIME", float("inf"))
    ids = tuple(clip_ids(N_CLIPS))
    config = HeadConfig(**{**SMALL, "filters": (4,), "epochs": 3, "sgd_epochs": 1, "dense_dropout": 0.3})
    folds = assign_folds(SINGS, sites_of(ids), 2, 0, ids=ids)
    table = LabelTable(ids=ids, classes=("blank", "deer"), values=SINGS)

    def train(checkpoint: Checkpoint, dies: int = 99) -> CrossValidatedHead:
        def report(epoch: Epoch) -> None:
            if epoch.number > dies:
                raise _KilledError

        reader = store.reader(sound_key())
        return cross_validate_head(
            reader, store.clips(), table, folds, config, name="x", checkpoint=checkpoint, report=report
        )

    whole = train(Checkpoint(path=None))
    with pytest.raises(_KilledError):
        train(Checkpoint(path=tmp_path / "state.npz"), 2)
    rest = train(Checkpoint(path=tmp_path / "state.npz"))
    assert [epoch.losses for epoch in rest.epochs] == [epoch.losses for epoch in whole.epochs]
    np.testing.assert_array_equal(rest.predictions.probabilities, whole.predictions.probabilities)
