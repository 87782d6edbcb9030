"""What a network itself takes clips for: by hand, alone and together, remembered, and where nobody can tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_store import DIM, made_key, make_store
from numpy.typing import NDArray
from taught_store import teach

from heads.data.features.animals import (
    ANIMALS_INPUT,
    clip_animals,
    count_animals,
    frame_animals,
    knows_animals,
)
from heads.data.features.readers import ConcatenatedReader, TapReader
from heads.data.features.statistics import compute_statistics, statistics_of
from heads.data.features.statistics_cache import cached_statistics
from heads.errors import PredictError
from store import ClipFeatures, FeatureReader, FeatureStore, Status
from store.format.classifier_file import CLASSIFIER, IMAGENET_ANIMALS, Classifier

KERNEL = np.array([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]], np.float32)
BIAS = np.array([0.0, -1.0, 0.5], np.float32)


def store_of(root: Path, clips: dict[str, NDArray[np.floating]], classifier: Classifier | None) -> FeatureReader:
    store, key = FeatureStore.open(root, create=True), made_key()
    key = replace(key, taps=(("low", 2), ("high", next(iter(clips.values())).shape[1] - 2)))
    with store.writer(key) as writer:
        for name, frames in clips.items():
            writer.add(
                ClipFeatures(
                    clip_id=name,
                    fingerprint=name,
                    status=Status.OK if len(frames) else Status.FAILED,
                    reason="" if len(frames) else "made to fail",
                    times_s=np.arange(float(len(frames))),
                    features=frames,
                )
            )
    if classifier is not None:
        store.add_classifier(key, classifier)
    return store.reader(key)


def tiny(classes: str = IMAGENET_ANIMALS) -> Classifier:
    return Classifier(classes=classes, tap="high", kernel=KERNEL, bias=BIAS)


def test_a_clip_by_hand(tmp_path: Path) -> None:
    """The first tap, on which the layer does not stand, is far from zero."""
    frames = np.array([[9, -9, 2, 0, 5, 0], [9, -9, 0, 1, 5, 2]], np.float32)
    reader = store_of(tmp_path, {"a.mp4": frames}, tiny())
    scores = np.array([[2.0, -1.0, -1.5], [1.0, 1.0, 0.5]])
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    np.testing.assert_allclose(frame_animals(frames, reader), np.log(chances), rtol=1e-5)
    expected = np.log(np.sqrt((chances**2).mean(axis=0)))
    np.testing.assert_allclose(clip_animals(frames, reader), expected, rtol=1e-5)
    (found,) = cached_statistics(reader, np.array([0]), (ANIMALS_INPUT,))[ANIMALS_INPUT]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (found.dtype, count_animals(reader)) == (np.float32, 3)


def test_a_clip_of_one_frame_is_what_the_frame_is(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).normal(0, 5, (4, DIM)).astype(np.float16)
    reader = store_of(tmp_path, {"a.mp4": frames}, tiny())
    alike = np.repeat(frames[:1], 7, axis=0)
    np.testing.assert_array_equal(clip_animals(frames[:1], reader), frame_animals(frames[:1], reader)[0])
    np.testing.assert_allclose(clip_animals(alike, reader), frame_animals(frames[:1], reader)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(clip_animals(frames[::-1], reader), clip_animals(frames, reader), rtol=1e-5, atol=1e-6)


def test_scores_of_any_size_are_numbers(tmp_path: Path) -> None:
    frames = np.array([[0, 0, 6e4, -6e4, 0, 0], [0, 0, -6e4, 6e4, 0, 0]], np.float32)
    found = clip_animals(frames, store_of(tmp_path, {"a.mp4": frames}, tiny()))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:2], np.log(0.5) / 2, rtol=1e-5)


def test_a_frame_that_shows_it_well_counts_more_than_many_that_hint_at_it(tmp_path: Path) -> None:
    well, hints, none = ([0, 0, 0, size, 0, 0] for size in (6, 0.75, 0))
    clips = {
        "one well": np.array([well, none, none, none], np.float32),
        "hints": np.array([hints, hints, hints, hints], np.float32),
    }
    reader = store_of(tmp_path, clips, tiny())
    chances = {name: np.exp(frame_animals(frames, reader))[:, 1].mean() for name, frames in clips.items()}
    assert chances["one well"] < chances["hints"]
    assert clip_animals(clips["one well"], reader)[1] > clip_animals(clips["hints"], reader)[1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_clips_that_are_computed_together_get_the_bits_that_each_gets_alone(
    tmp_path: Path, dtype: type[np.floating]
) -> None:
    """In any order, and with other statistics, whose bits stay as well."""
    rng = np.random.default_rng(5)
    width, n_animals = 205, 398
    classifier = Classifier(
        classes=IMAGENET_ANIMALS,
        tap="high",
        kernel=rng.normal(size=(width - 2, n_animals)).astype(np.float32),
        bias=rng.normal(size=n_animals).astype(np.float32),
    )
    clips = {}
    for number in range(150):
        length = 0 if number == 40 else int(rng.integers(1, 20))
        clips[f"{number:03d}.mp4"] = (rng.normal(size=(length, width)) * rng.choice([1e-2, 1, 300])).astype(dtype)
    if dtype == np.float32:
        clips["000.mp4"][0, 0] = 1e6  # which halves do not hold
    reader = store_of(tmp_path, clips, classifier)
    assert reader.dtype == dtype
    rows, places = rng.permutation(150), rng.permutation(150)[:140]
    out = {"mean": np.full((150, width), 5, np.float32), ANIMALS_INPUT: np.full((150, n_animals), 5, np.float32)}
    compute_statistics(out, reader, rows, places)
    for place, row in enumerate(rows.tolist()):
        features, mask = reader.batch([row])
        frames, given = features[0, mask[0]], np.full(n_animals, 5, np.float32)
        wanted = clip_animals(frames, reader) if len(frames) and place in places else given
        np.testing.assert_array_equal(out[ANIMALS_INPUT][place].view(np.int32), wanted.view(np.int32))
        mean = statistics_of(frames, ("mean",))["mean"] if len(frames) and place in places else out["mean"][place]
        np.testing.assert_array_equal(out["mean"][place], mean)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames each clip had of which it was asked what it is."""
    lengths: list[int] = []

    def count(frames: NDArray[np.floating], reader: FeatureReader) -> NDArray[np.float32]:
        lengths.append(len(frames))
        return clip_animals(frames, reader)

    monkeypatch.setattr("heads.data.features.statistics.clip_animals", count)
    return lengths


def test_it_is_remembered_and_recalled_for_other_clips(tmp_path: Path, computed: list[int]) -> None:
    store = teach(make_store(tmp_path, np.ones((150, 2), np.uint8), failed=(3,)), {0: "lion", 1: "red fox"})
    reader = store.reader(made_key())
    (failed,) = np.flatnonzero(reader.lengths == 0).tolist()
    first = cached_statistics(reader, np.arange(100), ("mean", ANIMALS_INPUT))
    assert len(computed) == 99
    assert first[ANIMALS_INPUT].shape == (100, 398)
    np.testing.assert_array_equal(first[ANIMALS_INPUT][failed], 0.0)
    computed.clear()
    again = cached_statistics(store.reader(made_key()), np.arange(100), (ANIMALS_INPUT,))
    np.testing.assert_array_equal(again[ANIMALS_INPUT][np.arange(100)], first[ANIMALS_INPUT][np.arange(100)])
    assert computed == []
    rows = np.random.default_rng(0).permutation(150)
    other = cached_statistics(store.reader(made_key()), rows, (ANIMALS_INPUT,))[ANIMALS_INPUT]
    assert len(computed) == 50
    for place, row in enumerate(rows.tolist()):
        features, mask = reader.batch([row])
        if row != failed:
            np.testing.assert_array_equal(other[place], clip_animals(features[0, mask[0]], reader))


def test_few_clips_are_not_remembered_but_known(tmp_path: Path, computed: list[int]) -> None:
    reader = teach(make_store(tmp_path, np.ones((8, 2), np.uint8)), {0: "lion"}).reader(made_key())
    one, two = (cached_statistics(reader, np.arange(8), (ANIMALS_INPUT,))[ANIMALS_INPUT] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert len(computed) == 16


def test_features_whose_network_says_nothing_are_told_with_the_remedy(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((100, 2), np.uint8))
    reader = store.reader(made_key())
    said = f"{made_key().folder}: it is not kept beside these features .* run the `featurize` command that made them"
    assert not knows_animals(reader)
    for count in (5, 100):
        with pytest.raises(PredictError, match=said):
            cached_statistics(reader, np.arange(count), ("mean", ANIMALS_INPUT))
    with pytest.raises(PredictError, match=said):
        frame_animals(np.zeros((2, DIM), np.float32), reader)
    taught = teach(store, {0: "lion"}).reader(made_key())
    assert knows_animals(taught)
    for other in (ConcatenatedReader([taught, taught]), TapReader(taught, ("high",))):
        assert not knows_animals(other)
        with pytest.raises(PredictError, match="is not kept beside these features"):
            count_animals(other)


def test_names_of_other_lists_are_not_taken_for_these(tmp_path: Path) -> None:
    reader = store_of(tmp_path, {"a.mp4": np.ones((2, DIM), np.float32)}, tiny("species of Taï"))
    assert reader.classifier is not None
    assert not knows_animals(reader)
    with pytest.raises(PredictError, match="what the network itself calls animals"):
        count_animals(reader)


def test_other_statistics_need_no_sound_one(tmp_path: Path) -> None:
    store = teach(make_store(tmp_path, np.ones((100, 2), np.uint8)), {0: "lion"})
    expected = cached_statistics(store.reader(made_key()), np.arange(10), ("mean",))["mean"]
    (store.folder(made_key()) / CLASSIFIER).write_bytes(b"damaged")
    np.testing.assert_array_equal(
        cached_statistics(store.reader(made_key()), np.arange(10), ("mean",))["mean"], expected
    )
