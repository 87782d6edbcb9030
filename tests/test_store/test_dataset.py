"""The tf.data and PyDataset views hold the store's frames, each clip once an epoch."""

from collections.abc import Callable

import numpy as np
import pytest

from store import ClipFeatures, FeatureKey, FeatureReader, FeatureStore

MakeFeatures = Callable[..., ClipFeatures]
pytestmark = pytest.mark.slow


@pytest.fixture
def reader(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> FeatureReader:
    with store.writer(key, clips_per_part=4) as writer:
        for number in range(11):
            writer.add(make_features(f"clip{number:02d}", number % 4))
    return store.reader(key)


def check(reader: FeatureReader, batches: list[tuple[tuple[object, object], object]]) -> list[int]:
    """Every batch holds the frames of the clips that its targets name; the clips in the order given."""
    seen = []
    for (features, mask), targets in batches:
        clips = np.asarray(targets)[:, 0].astype(int).tolist()
        frames, present = reader.batch(clips, pad_to=np.asarray(mask).shape[1])
        assert np.asarray(features).dtype == np.float32
        np.testing.assert_array_equal(np.asarray(features), frames.astype(np.float32))
        np.testing.assert_array_equal(np.asarray(mask), present)
        seen += clips
    return seen


@pytest.mark.parametrize("pad_to", [None, 5])
def test_tf_data(reader: FeatureReader, pad_to: int | None) -> None:
    from heads.dataset import feature_dataset

    indices = np.arange(11)
    targets = indices[:, None].astype(np.float32)
    plain = feature_dataset(reader, indices, batch_clips=4, targets=targets, pad_to=pad_to)
    assert check(reader, list(plain)) == list(range(11))
    shuffled = feature_dataset(reader, indices, batch_clips=4, targets=targets, pad_to=pad_to, shuffle_seed=3)
    first, second = check(reader, list(shuffled)), check(reader, list(shuffled))
    assert sorted(first) == sorted(second) == list(range(11))
    assert first != second
    again = feature_dataset(reader, indices, batch_clips=4, targets=targets, pad_to=pad_to, shuffle_seed=3)
    assert check(reader, list(again)) == first


def test_tf_data_without_targets_and_with_taps(reader: FeatureReader) -> None:
    from heads.dataset import feature_dataset

    (batch,) = feature_dataset(reader, np.array([3, 2]), batch_clips=4, taps=["high"])
    np.testing.assert_array_equal(batch[0], reader.batch([3, 2], taps=["high"])[0].astype(np.float32))


def test_py_dataset(reader: FeatureReader) -> None:
    from heads.dataset import FeatureBatches

    indices = np.arange(11)
    batches = FeatureBatches(reader, indices, indices[:, None].astype(np.float32), batch_clips=4, shuffle_seed=3)
    assert len(batches) == 3
    first = check(reader, [batches[number] for number in range(3)])
    batches.on_epoch_end()
    second = check(reader, [batches[number] for number in range(3)])
    assert sorted(first) == sorted(second) == list(range(11))
    assert first != second
