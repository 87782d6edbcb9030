"""What every store must do, whatever has been done to it since: a store fresh from its writer, and others."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from store import ClipFeatures, FeatureKey, FeatureStore
from store.errors import UnknownClipError
from store.format.part_names import list_parts
from store.maintenance.compact import compact_features
from store.maintenance.relink import relink_features
from store.maintenance.repair import repair_store
from store.maintenance.verify import verify_store

MakeFeatures = Callable[..., ClipFeatures]


class StoreContract:
    """To inherit. Six clips, one of them failed and one superseded; `settle` then treats the store in its own way."""

    clips_per_part = 256

    def settle(self, store: FeatureStore, key: FeatureKey) -> FeatureStore:
        return store

    @pytest.fixture
    def rows(self, make_features: MakeFeatures) -> dict[str, ClipFeatures]:
        frames = {"s1/a.mp4": 4, "s1/b.mp4": 1, "s2/ä.mov": 3, "s2/d.avi": 0, "e.mp4": 2, "f.mp4": 4}
        return {clip_id: make_features(clip_id, count) for clip_id, count in frames.items()}

    @pytest.fixture
    def settled(
        self, store: FeatureStore, key: FeatureKey, rows: dict[str, ClipFeatures], make_features: MakeFeatures
    ) -> FeatureStore:
        with store.writer(key, clips_per_part=self.clips_per_part) as writer:
            writer.add(make_features("e.mp4", 3, "before it changed"))
            for row in rows.values():
                writer.add(row)
        return self.settle(store, key)

    def test_every_clip_is_there_once(
        self, settled: FeatureStore, key: FeatureKey, rows: dict[str, ClipFeatures]
    ) -> None:
        reader = settled.reader(key)
        assert reader.ids == sorted(rows)
        assert reader.status == [rows[clip_id].status for clip_id in reader.ids]
        assert reader.reasons == [rows[clip_id].reason for clip_id in reader.ids]
        assert reader.lengths.tolist() == [len(rows[clip_id].times_s) for clip_id in reader.ids]

    def test_batches_in_random_order_hold_the_right_frames(
        self, settled: FeatureStore, key: FeatureKey, rows: dict[str, ClipFeatures]
    ) -> None:
        reader = settled.reader(key)
        rng = np.random.default_rng(0)
        for size in (1, 2, 6, 20):
            indices = rng.integers(0, len(reader), size)
            features, mask = reader.batch(indices)
            for place, values, present in zip(indices, features, mask, strict=True):
                np.testing.assert_array_equal(values[present], rows[reader.ids[place]].features)
                assert not values[~present].any()

    def test_nothing_is_missing_and_changes_are(
        self, settled: FeatureStore, key: FeatureKey, rows: dict[str, ClipFeatures]
    ) -> None:
        assert settled.missing(key, dict.fromkeys(rows, "a")) == []
        assert settled.missing(key, {"e.mp4": "before it changed", "new": "a"}) == ["e.mp4", "new"]
        assert settled.missing(key, dict.fromkeys(rows, "a"), retry_failed=True) == ["s2/d.avi"]

    def test_unknown_clips_are_named(self, settled: FeatureStore, key: FeatureKey) -> None:
        with pytest.raises(UnknownClipError, match="'nobody'"):
            settled.reader(key).index_of(["e.mp4", "nobody"])

    def test_it_verifies(self, settled: FeatureStore) -> None:
        assert verify_store(settled.root).problems == []

    def test_it_can_be_added_to(self, settled: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> None:
        with settled.writer(key) as writer:
            writer.add(make_features("e.mp4", 1, "changed again"))
        reader = settled.reader(key)
        place = int(reader.index_of(["e.mp4"])[0])
        np.testing.assert_array_equal(reader.batch([place])[0][0], make_features("e.mp4", 1, "changed again").features)


class TestFresh(StoreContract):
    pass


class TestOneClipAPart(StoreContract):
    clips_per_part = 1


class TestReopened(StoreContract):
    def settle(self, store: FeatureStore, key: FeatureKey) -> FeatureStore:
        return FeatureStore.open(store.root)


class TestCompacted(StoreContract):
    clips_per_part = 2

    def settle(self, store: FeatureStore, key: FeatureKey) -> FeatureStore:
        compact_features(store, key)
        return store


class TestCompactedByAnother(StoreContract):
    clips_per_part = 2

    def settle(self, store: FeatureStore, key: FeatureKey) -> FeatureStore:
        store.reader(key)
        compact_features(FeatureStore.open(store.root), key, clips_per_part=4)
        return store


class TestCopied(StoreContract):
    def settle(self, store: FeatureStore, key: FeatureKey) -> FeatureStore:
        shutil.copytree(store.root, store.root.parent / "copy")
        shutil.rmtree(store.root)
        return FeatureStore.open(store.root.parent / "copy")


class TestRepairedAndRedone(StoreContract):
    clips_per_part = 3

    def settle(self, store: FeatureStore, key: FeatureKey) -> FeatureStore:
        """Lose a part that holds what another one holds too."""
        relink_features(store, key, {clip_id: clip_id for clip_id in store.reader(key).ids})
        part = store.folder(key) / list_parts(store.folder(key))[1]
        part.write_bytes(part.read_bytes()[:-1])
        repair_store(store)
        return store
