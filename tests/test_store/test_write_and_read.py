"""What is written comes back, in any order, padded and masked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status
from store.errors import (
    InvalidRecordError,
    StoreNotFoundError,
    StoreRequestError,
    UnknownClipError,
)

MakeFacts = Callable[..., ClipFacts]
MakeFeatures = Callable[..., ClipFeatures]


def fill(store: FeatureStore, key: FeatureKey, rows: list[ClipFeatures], clips_per_part: int = 256) -> None:
    with store.writer(key, clips_per_part=clips_per_part) as writer:
        for row in rows:
            writer.add(row)


def test_rows_come_back_as_they_were(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> None:
    rows = [make_features("b/ñ 2.mp4", 2), make_features("a.mp4", 5), make_features("c.mp4", 0)]
    fill(store, key, rows, clips_per_part=2)

    reader = FeatureStore.open(store.root).reader(key)

    assert reader.ids == ["a.mp4", "b/ñ 2.mp4", "c.mp4"]
    assert reader.status == [Status.OK, Status.OK, Status.FAILED]
    assert reader.reasons == ["", "", "moov atom not found"]
    assert reader.fingerprints == ["a", "a", "a"]
    assert reader.lengths.tolist() == [5, 2, 0]
    assert (reader.dim, reader.taps, reader.dtype) == (8, ("low", "high"), np.float16)
    for row in rows:
        place = int(reader.index_of([row.clip_id])[0])
        features, mask = reader.batch([place])
        assert mask.all()
        np.testing.assert_array_equal(features[0], row.features)
        np.testing.assert_array_equal(reader.times(place), row.times_s)


def test_a_batch_is_in_the_order_asked_padded_and_masked(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    rows = {name: make_features(name, frames) for name, frames in [("a", 1), ("b", 4), ("c", 0), ("d", 2)]}
    fill(store, key, list(rows.values()), clips_per_part=3)
    reader = store.reader(key)

    names = ["d", "a", "c", "d"]
    features, mask = reader.batch(reader.index_of(names), pad_to=3)

    assert features.shape == (4, 3, 8)
    assert features.dtype == np.float16
    assert mask.sum(axis=1).tolist() == [2, 1, 0, 2]
    for name, values, present in zip(names, features, mask, strict=True):
        np.testing.assert_array_equal(values[present], rows[name].features)
        assert not values[~present].any()


def test_taps_select_columns_in_the_order_asked(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    row = make_features("a", 4)
    fill(store, key, [row])
    reader = store.reader(key)

    np.testing.assert_array_equal(reader.batch([0], taps=["high"])[0][0], row.features[:, 3:])
    np.testing.assert_array_equal(
        reader.batch([0], taps=["high", "low"])[0][0], np.hstack([row.features[:, 3:], row.features[:, :3]])
    )
    with pytest.raises(StoreRequestError, match=r"middle.*low"):
        reader.batch([0], taps=["middle"])


def test_padding_to_less_than_a_clip_is_refused(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    fill(store, key, [make_features("a", 4)])
    with pytest.raises(StoreRequestError, match="4 frames"):
        store.reader(key).batch([0], pad_to=3)


def test_unknown_ids_are_named(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> None:
    fill(store, key, [make_features("a")])
    with pytest.raises(UnknownClipError, match=r"1 clip id is unknown: 'zebra'"):
        store.reader(key).index_of(["a", "zebra"])


def test_float32_becomes_float16(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> None:
    values = np.linspace(-3, 3, 16, dtype=np.float32).reshape(2, 8)
    fill(store, key, [make_features("a", 2, features=values)])
    features, _ = store.reader(key).batch([0])
    np.testing.assert_array_equal(features[0], values.astype(np.float16))


def test_values_beyond_float16_make_the_part_float32(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    large = np.full((2, 8), 1e6, dtype=np.float32)
    fill(store, key, [make_features("a", 3)])
    fill(store, key, [make_features("b", 2, features=large)])
    reader = store.reader(key)

    features, mask = reader.batch([0, 1])

    assert reader.dtype == features.dtype == np.float32
    np.testing.assert_array_equal(features[1][mask[1]], large)
    np.testing.assert_array_equal(features[0], make_features("a", 3).features)


def test_per_frame_extras_come_back_where_they_were_given(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    rows = [
        make_features("a", 2),
        make_features("b", 3, per_frame={"box": boxes}),
        make_features("c", 0),
        make_features("d", 1, per_frame={"box": boxes[:1]}),
    ]
    fill(store, key, rows)
    reader = store.reader(key)

    assert reader.per_frame("box", 0) is None
    np.testing.assert_array_equal(reader.per_frame("box", 1), boxes)
    assert reader.per_frame("box", 2) is None
    np.testing.assert_array_equal(reader.per_frame("box", 3), boxes[:1])
    assert reader.per_frame("energy", 1) is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"features": np.full((3, 8), np.nan, np.float32)}, "not finite"),
        ({"features": np.full((3, 8), np.inf, np.float16)}, "not finite"),
        ({"features": np.zeros((3, 7), np.float16)}, r"\(3, 7\), expected \(3, 8\)"),
        ({"features": np.zeros((2, 8), np.float16)}, r"\(2, 8\), expected \(3, 8\)"),
        ({"features": np.zeros((3, 8), np.float64)}, "float64"),
        ({"times_s": np.array([0.0, 2.0, 1.0])}, "times_s"),
        ({"times_s": np.array([0.0, np.nan, 1.0])}, "times_s"),
        ({"status": Status.FAILED, "reason": "broken"}, "failed with 3 frames"),
        ({"status": Status.SHORT}, "reason"),
        ({"reason": "odd"}, "reason"),
        ({"clip_id": ""}, "no clip id"),
        ({"clip_id": "a\\b"}, "no clip id"),
        ({"clip_id": "a\0b"}, "zero character"),
        ({"clip_id": "\udcff.mp4"}, "UTF-8"),
        ({"per_frame": {"energy": np.zeros(2, np.float32)}}, "energy"),
        ({"per_frame": {"a/b": np.zeros(3, np.float32)}}, "a/b"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused_and_the_others_stay(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures, changes: dict[str, object], word: str
) -> None:
    with store.writer(key) as writer:
        writer.add(make_features("good"))
        with pytest.raises(InvalidRecordError, match=word):
            writer.add(make_features(**({"clip_id": "bad"} | changes)))
    assert store.reader(key).ids == ["good"]


def test_leaving_by_an_exception_commits_the_rows_before_it(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    def interrupted() -> None:
        with store.writer(key) as writer:
            writer.add(make_features("a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.reader(key).ids == ["a"]


def test_a_part_is_committed_at_a_number_of_clips_and_after_some_seconds(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    with store.writer(key, clips_per_part=2) as writer:
        for name in "abc":
            writer.add(make_features(name))
        assert store.reader(key).ids == ["a", "b"]
    with store.writer(key, max_seconds=0) as writer:
        writer.add(make_features("d"))
        assert store.reader(key).ids == ["a", "b", "c", "d"]
    assert store.info(key).parts == 3


def test_the_writer_keeps_its_own_copy(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> None:
    row = make_features("a")
    before = row.features.copy()
    with store.writer(key) as writer:
        writer.add(row)
        row.features[:] = 0
    np.testing.assert_array_equal(store.reader(key).batch([0])[0][0], before)


def test_a_store_that_is_not_there_says_what_to_do(tmp_path: Path, key: FeatureKey) -> None:
    with pytest.raises(StoreNotFoundError, match="make one with `featurize`"):
        FeatureStore.open(tmp_path)
    with pytest.raises(StoreNotFoundError, match="featurize them first"):
        FeatureStore.open(tmp_path / "new", create=True).reader(key)


def test_an_unused_writer_makes_an_empty_reader(store: FeatureStore, key: FeatureKey) -> None:
    with store.writer(key):
        pass
    reader = store.reader(key)
    assert (reader.ids, reader.lengths.tolist(), len(reader)) == ([], [], 0)
    assert reader.batch([])[0].shape == (0, 0, 8)
    assert store.info(key).clips == 0


@pytest.mark.parametrize("create", [False, True])
def test_a_file_is_no_store(tmp_path: Path, create: bool) -> None:
    (tmp_path / "labels.csv").touch()
    with pytest.raises(StoreNotFoundError, match=r"labels\.csv: is a file, and a store is a folder"):
        FeatureStore.open(tmp_path / "labels.csv", create=create)


@pytest.mark.parametrize("held", ["labels.csv", "clips/a.mp4"])
def test_no_store_is_begun_among_other_things(tmp_path: Path, held: str) -> None:
    path = tmp_path / held
    path.parent.mkdir(exist_ok=True)
    path.touch()
    name = held.partition("/")[0]
    with pytest.raises(
        StoreNotFoundError, match=rf"is no store, and holds other things \('{name}'\); name a new folder"
    ):
        FeatureStore.open(tmp_path, create=True)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "held", [[], [".DS_Store"], ["lost+found/"], ["features/"], ["features/", "clips/", "notes.txt"]]
)
def test_a_store_is_begun_or_gone_on_with_where_nothing_else_is(tmp_path: Path, held: list[str]) -> None:
    for each in held:
        (tmp_path / each).mkdir() if each.endswith("/") else (tmp_path / each).touch()
    assert FeatureStore.open(tmp_path, create=True).keys() == []


def test_a_store_without_features_goes_on(store: FeatureStore, make_facts: MakeFacts) -> None:
    with store.clip_writer() as writer:
        writer.add(make_facts("a.mp4"))
    (store.root / "features").rmdir()
    (store.root / "notes.txt").touch()
    assert FeatureStore.open(store.root, create=True).clips().index.tolist() == ["a.mp4"]
