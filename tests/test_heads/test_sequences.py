"""One recurrent layer over frames as they come: what it sees, what it is made of, and that it does as all heads do."""

from pathlib import Path

import keras
import numpy as np
import pytest
from made_store import clip_facts, clip_ids, made_key, make_store, sites_of
from training import blended_run

import heads.trainers.checkpoint
from heads.data.features.readers import TapReader
from heads.data.features.statistics_cache import cached_statistics
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.splitting.folds import assign_folds
from heads.errors import RecipeError, UnweighedError
from heads.models.explain.attribution import weigh_frames
from heads.models.explain.scoring import heads_to_score
from heads.models.layers import TimeWindow
from heads.models.networks import FRONT, HeadShape, build_head
from heads.models.reading import reader_for
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head
from heads.workflows.answers.packing import opened_run, pack
from heads.workflows.answers.predict import predict_run
from heads.workflows.resolve import resolve_heads
from store import ClipFeatures, FeatureStore, Status

N_CLIPS, FRAMES = 80, 6
RISES = np.eye(2, dtype=np.uint8)[np.random.default_rng(7).integers(0, 2, N_CLIPS)]
SMALL = {
    "kind": "gru",
    "taps": ("high",),
    "recurrent_units": 8,
    "recurrent_dropout": 0.2,
    "window": 0.8,
    "dropout": 0.1,
    "epochs": 12,
    "batch_clips": 16,
    "learning_rate": 0.02,
}


def add_clips(
    store: FeatureStore, shown: np.ndarray, ids: list[str], backbones: tuple[str, ...] = ("made",)
) -> FeatureStore:
    """Clips whose third column falls, or rises where the second column of `shown` (N, 2) says so: order tells, only."""
    for number, backbone in enumerate(backbones):
        rng = np.random.default_rng(number)
        with store.writer(made_key(backbone)) as writer, store.clip_writer() as facts:
            for index, clip_id in enumerate(ids):
                count = 0 if index % 20 == 19 else FRAMES - index % 3
                features = rng.normal(0, 0.3, (count, 6)).astype(np.float32)
                features[:, 2] += np.linspace(-2, 2, count) * (1 if shown[index, 1] else -1)
                facts.add(clip_facts(clip_id, index, f"print of {clip_id}", failed=not count))
                row = ClipFeatures(
                    clip_id=clip_id,
                    fingerprint=f"print of {clip_id}",
                    status=Status.OK if count else Status.FAILED,
                    reason="" if count else "made to fail",
                    times_s=np.arange(count, dtype=np.float64),
                    features=features,
                )
                writer.add(row)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    root = tmp_path_factory.mktemp("sequences") / "store"
    return add_clips(FeatureStore.open(root, create=True), RISES, clip_ids(N_CLIPS))


@pytest.fixture(scope="module")
def run(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return blended_run(tmp_path_factory.mktemp("gru"), store, RISES, HeadConfig(**SMALL))


@pytest.mark.parametrize(
    ("units", "columns", "numbers"),
    [(128, 128, 101_784), (1024, 512, 4_746_264)],
    ids=["image hashes", "VGG16"],
)
def test_the_published_networks_of_the_second_place(units: int, columns: int, numbers: int) -> None:
    config = HeadConfig(kind="gru", recurrent_units=units)
    head = build_head(config, HeadShape(dim=columns, n_metadata=0, n_classes=24))
    trained = sum(int(np.prod(each.shape)) for each in head.model.trainable_variables)
    assert trained == 3 * units * (columns + units + 1) + units * 24 + 24 == numbers
    assert (config.batch_clips, config.learning_rate, config.dropout) == (48, 1e-4, 0.5)
    layer = head.front.get_layer("recurrent")
    assert (layer.recurrent_dropout, layer.return_sequences) == (0.5, False)
    assert {each.name for each in head.front.layers} == {"features", "mask", "window", "recurrent"}


def test_a_window_is_some_frames_one_after_the_other_anywhere_in_the_clip() -> None:
    keras.utils.set_random_seed(0)
    mask = np.arange(10) < np.array([10, 7, 1, 0] * 100)[:, None]
    window = TimeWindow(0.7)
    np.testing.assert_array_equal(window(mask), mask)
    first, second = (np.array(window(mask, training=True)) for _ in range(2))
    assert first.sum(axis=1).tolist() == [7, 5, 1, 0] * 100
    assert not (first & ~mask).any()
    for clips, starts in ((first[::4], 4), (first[1::4], 3)):
        steps = np.diff(np.pad(clips, ((0, 0), (1, 1))).astype(int))
        assert ((steps == 1).sum(axis=1) == 1).all()  # one stretch each
        assert set(clips.argmax(axis=1)) == set(range(starts))
    assert (first != second).any()


def test_what_is_outside_of_the_window_does_not_change_what_is_learned_from() -> None:
    """What it says under a window is what it says of a clip of nothing but these frames."""
    keras.utils.set_random_seed(0)
    head = build_head(HeadConfig(**SMALL), HeadShape(dim=4, n_metadata=0, n_classes=2))
    frames = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
    seen = np.array([[False, True, True, True, False, False]])
    whole = keras.Model(head.front.inputs, head.front.output)
    alone = np.array(whole([frames[:, 1:4], np.ones((1, 3), bool)]))
    np.testing.assert_allclose(np.array(whole([frames, seen])), alone, atol=1e-6)
    assert np.abs(np.array(whole([frames, np.ones((1, 6), bool)])) - alone).max() > 1e-3


def test_it_learns_what_only_the_order_of_frames_tells(run: RunDirectory, store: FeatureStore) -> None:
    metrics = run.read_metrics()
    (name,) = run.head_names()
    assert name == "gru-made"
    assert metrics["heads"][name]["mean_log_loss"] < 0.6 * metrics["baselines"]["training prior"]["mean_log_loss"]
    oof = run.read_oof(name)
    reader = TapReader(store.reader(made_key()), ["high"])
    own = np.flatnonzero(np.asarray(oof.fold) == 1).tolist()
    own = [place for place in own if reader.lengths[reader.index_of([oof.ids[place]])[0]]]
    features, mask = reader.batch(reader.index_of([oof.ids[place] for place in own]))
    model = keras.saving.load_model(run.model_path(name, 1), compile=False)
    said = np.array(model({"features": features.astype(np.float32), "mask": mask}, training=False))
    np.testing.assert_allclose(said, oof.probabilities[own], atol=1e-5)


def test_it_predicts_clips_that_nobody_labelled_packed_or_not(run: RunDirectory, tmp_path: Path) -> None:
    ids = [f"valley/{number}.mp4" for number in range(18)]
    other = add_clips(FeatureStore.open(tmp_path / "new", create=True), RISES[::-1], ids)
    said = predict_run(run, other).predictions
    shown = dict(zip(ids, RISES[::-1, 1], strict=False))
    deer = said.probabilities[:, said.classes.index("deer")]
    assert np.mean([(each > 0.5) == shown[clip_id] for each, clip_id in zip(deer, said.ids, strict=True)]) >= 0.8
    pack(run, tmp_path / "model.trapline")
    with opened_run(tmp_path / "model.trapline") as packed:
        np.testing.assert_array_equal(predict_run(packed, other).predictions.probabilities, said.probabilities)


def test_it_says_that_it_weighs_no_frames_and_is_not_asked_about_one(run: RunDirectory, store: FeatureStore) -> None:
    assert heads_to_score(run) == []
    with pytest.raises(UnweighedError, match="head gru-made pools frames as kind gru does, without weighing them"):
        weigh_frames(run, store, "gru-made", clip_ids(1))


class _KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_bits(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is dropped and where windows begin is drawn on from where training stood."""
    monkeypatch.setattr(heads.trainers.checkpoint, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(heads.trainers.checkpoint, "_MOST_TIME", float("inf"))
    ids, config = tuple(clip_ids(N_CLIPS)), HeadConfig(**{**SMALL, "epochs": 3})
    folds = assign_folds(RISES, sites_of(ids), 2, 0, ids=ids)
    table = LabelTable(ids=ids, classes=("blank", "deer"), values=RISES)

    def train(checkpoint: Checkpoint, dies: int = 99) -> CrossValidatedHead:
        def report(epoch: Epoch) -> None:
            if epoch.number > dies:
                raise _KilledError

        reader = TapReader(store.reader(made_key()), config.taps)
        return cross_validate_head(
            reader, store.clips(), table, folds, config, name="x", checkpoint=checkpoint, report=report
        )

    whole = train(Checkpoint(path=None))
    with pytest.raises(_KilledError):
        train(Checkpoint(path=tmp_path / "state.npz"), 2)
    rest = train(Checkpoint(path=tmp_path / "state.npz"))
    assert [epoch.losses for epoch in rest.epochs] == [epoch.losses for epoch in whole.epochs]
    np.testing.assert_array_equal(rest.predictions.probabilities, whole.predictions.probabilities)


def test_heads_see_the_taps_that_they_name_in_that_order(store: FeatureStore) -> None:
    own = store.reader(made_key())
    reader, rows = TapReader(own, ["high", "low"]), np.arange(10)
    assert (reader.dim, reader.tap_widths) == (6, (4, 2))
    np.testing.assert_array_equal(reader.batch(rows)[0], own.batch(rows)[0][:, :, [2, 3, 4, 5, 0, 1]])
    high = TapReader(own, ["high"])
    everything = np.arange(len(own.ids))  # so many that they are remembered
    for each in (own, high, own):
        found = cached_statistics(each, everything, ("mean",))["mean"]
        np.testing.assert_array_equal(found, cached_statistics(own, everything, ("mean",))["mean"][:, -each.dim :])


def test_each_means_the_sources_that_have_the_taps(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", RISES, ("made", "other"))
    head = HeadConfig(kind="gru", taps=("high",))
    assert [each.name for each in resolve_heads(Recipe(heads=(head,)), store).heads] == ["gru-made", "gru-other"]
    hashes = HeadConfig(kind="gru", taps=("perceptual_hash", "difference_hash"))
    both = resolve_heads(Recipe(heads=(head, hashes.model_copy(update={"name": "hashes"}))), store)
    assert both.notes == [
        "head 'hashes' is left out: nothing that the store holds (made, other) is of sources with the taps "
        "perceptual_hash, difference_hash"
    ]
    named = HeadConfig(kind="attention", taps=("high", "lowest"), sources=("made",))
    with pytest.raises(RecipeError, match="head 'attention': made has no tap lowest, expected some of low, high"):
        resolve_heads(Recipe(heads=(named,)), store)


def test_taps_of_several_sources_may_be_joined(tmp_path: Path) -> None:
    store = add_clips(FeatureStore.open(tmp_path / "store", create=True), RISES[:9], clip_ids(9), ("made", "other"))
    own = [store.reader(made_key(name)) for name in ("made", "other")]
    reader = reader_for(HeadConfig(kind="gru", joined=True, taps=("high",)), own)
    parts = [each.batch(np.arange(9))[0][:, :, 2:].copy() for each in own]
    assert (reader.dim, reader.tap_widths) == (8, (4, 4))
    np.testing.assert_array_equal(reader.batch(np.arange(9))[0], np.concatenate(parts, axis=2))


@pytest.mark.parametrize("kind", ["attention", "deviation", "discriminant", "conv3d", "lrcn", "finetuned"])
def test_windows_are_for_recurrent_layers(kind: str) -> None:
    with pytest.raises(ValueError, match=f"window: a head of kind {kind} has no use for it; leave it out"):
        HeadConfig(kind=kind, window=0.9)


def test_the_recurrent_network_of_before_has_no_window() -> None:
    shape = HeadShape(dim=4, n_metadata=0, n_classes=2)
    plain, windowed = (build_head(HeadConfig(kind="recurrent", window=share), shape) for share in (1.0, 0.9))
    names = [layer.name for layer in plain.model.get_layer(FRONT).layers]
    assert "window" not in names
    assert "window" in [layer.name for layer in windowed.model.get_layer(FRONT).layers]
