"""Many parts, many threads, many clips: bounded descriptors, bounded memory, and parts that are merged meanwhile."""

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureReader, FeatureStore
from store import key as key_module
from store.access import blocks
from store.errors import StoreError, StoreReadError, StoreWriteError
from store.format.part_names import list_parts
from store.maintenance.compact import compact_features

MakeFeatures = Callable[..., ClipFeatures]


@pytest.fixture
def many(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> FeatureStore:
    """A hundred clips in as many parts; clip i holds the value i."""
    with store.writer(key, clips_per_part=1) as writer:
        for number in range(100):
            frames = 1 + number % 3
            values = np.full((frames, key.dim), number, np.float16)
            writer.add(make_features(f"clip{number:03d}", frames, features=values))
    return store


def check(reader: FeatureReader, indices: np.ndarray) -> None:
    features, mask = reader.batch(indices)
    np.testing.assert_array_equal(features, np.where(mask, np.asarray(indices)[:, None], 0)[:, :, None] * np.ones(8))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_a_reader_holds_few_files_open_and_gives_them_back(many: FeatureStore, key: FeatureKey) -> None:
    before = descriptors()
    reader = many.reader(key)
    assert descriptors() == before
    check(reader, np.random.default_rng(0).permutation(100))
    assert 0 < descriptors() - before <= 64
    del reader
    assert descriptors() == before


def test_threads_read_while_parts_are_merged(many: FeatureStore, key: FeatureKey) -> None:
    reader = many.reader(key)
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(60):
                check(reader, rng.integers(0, 100, 16))
        except (StoreError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for clips_per_part in (4, 16, 200):
        compact_features(FeatureStore.open(many.root), key, clips_per_part)
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list_parts(many.folder(key))) == 1


def test_a_reader_says_so_when_a_clip_was_replaced_and_its_part_is_gone(
    many: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    reader = many.reader(key)
    with many.writer(key) as writer:
        writer.add(make_features("clip050", 2, "changed"))
    compact_features(many, key)
    with pytest.raises(StoreReadError, match=r"'clip050'.*open it again"):
        reader.batch(np.arange(100))


def test_a_dangling_link_does_not_hang_the_reader(many: FeatureStore, key: FeatureKey) -> None:
    (many.folder(key) / "part-01M85C237EGJBMRH8ASKRJ2RMG.h5").symlink_to("nowhere")
    with pytest.raises(StoreReadError, match="vanished 100 times"):
        many.reader(key)


def test_what_stands_in_the_way_is_one_sentence(tmp_path: Path, store: FeatureStore, key: FeatureKey) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreWriteError, match="could not be made"):
        FeatureStore.open(tmp_path / "file" / "store", create=True)
    (store.root / "clips").rmdir()
    (store.root / "clips").write_text("")
    with pytest.raises(StoreReadError, match="could not be listed"):
        store.clips()
    with pytest.raises(StoreWriteError, match="could not be made"):
        store.clip_writer()


@pytest.mark.parametrize("cached", ["nothing", "part of it", "cannot be told"])
def test_what_is_not_in_the_page_cache_is_read_all_the_same(
    many: FeatureStore, key: FeatureKey, monkeypatch: pytest.MonkeyPatch, cached: str
) -> None:
    preadv, refused = os.preadv, []

    def cold(descriptor: int, buffers: list[memoryview], position: int, flags: int = 0) -> int:
        if not flags:
            return preadv(descriptor, buffers, position)
        refused.append(position)
        if cached == "part of it":
            return preadv(descriptor, [buffers[0].cast("B")[:7]], position)
        raise BlockingIOError if cached == "nothing" else OSError(errno.EOPNOTSUPP, "not supported")

    reader = many.reader(key)
    everything = np.random.default_rng(0).permutation(100)
    check(reader, everything)
    monkeypatch.setattr(os, "preadv", cold)
    check(reader, everything)
    # Asked for without waiting: those whose parts the first batch left open.
    assert len(refused) == 64


def test_a_disk_error_while_reading_is_one_sentence(
    many: FeatureStore, key: FeatureKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(StoreReadError, match="Input/output error"):
        many.reader(key).batch([0, 1])


def test_each_part_is_opened_once_for_the_numbers_of_all_its_frames(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.writer(key, clips_per_part=5) as writer:
        for number in range(20):
            energy = np.full(1 + number % 3, number, np.float32)
            writer.add(make_features(f"clip{number:02d}", len(energy), per_frame={"energy": energy}))
    reader, opened, load = store.reader(key), list[Path](), blocks.load_extras
    monkeypatch.setattr(blocks, "load_extras", lambda path: (opened.append(path), load(path))[1])
    for place in np.random.default_rng(0).permutation(20).tolist():
        np.testing.assert_array_equal(reader.per_frame("energy", place), np.full(1 + place % 3, place, np.float32))
        assert reader.per_frame("box", place) is None
    assert len(opened) == 4


def test_numbers_of_frames_are_found_again_in_the_part_that_theirs_was_merged_into(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    with store.writer(key, clips_per_part=2) as writer:
        for number in range(8):
            writer.add(make_features(f"clip{number}", 2, per_frame={"energy": np.full(2, number, np.float32)}))
    reader = store.reader(key)
    np.testing.assert_array_equal(reader.per_frame("energy", 3), [3, 3])
    compact_features(FeatureStore.open(store.root), key)
    for place in range(8):  # also of clips whose part is held open
        np.testing.assert_array_equal(reader.per_frame("energy", place), [place, place])


def test_the_settings_are_digested_once_however_many_parts_are_compared_with_them(
    many: FeatureStore, key: FeatureKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    digested, digest = list[object](), key_module.settings_digest
    monkeypatch.setattr(key_module, "settings_digest", lambda each: (digested.append(each), digest(each))[1])
    FeatureStore.open(many.root).reader(replace(key))
    assert len(digested) == 1


def test_equal_texts_of_a_part_are_one_object(store: FeatureStore, make_facts: Callable[..., ClipFacts]) -> None:
    with store.clip_writer() as writer:
        for number in range(50):
            writer.add(make_facts(f"clip{number}", container="mov,mp4,m4a,3gp,3g2,mj2"))
    (part,) = store.clip_parts()
    assert len(set(map(id, part.columns["container"]))) == 1
    assert part.columns["clip_id"] == sorted(part.columns["clip_id"], key=lambda clip_id: int(clip_id[4:]))
