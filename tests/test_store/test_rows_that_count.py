"""Several rows of one clip: which counts; what is missing; how keys are found; the clip table."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status
from store.errors import StoreNotFoundError
from store.key import distinguish, setting_words

MakeFeatures = Callable[..., ClipFeatures]
MakeFacts = Callable[..., ClipFacts]


def add(store: FeatureStore, key: FeatureKey, *rows: ClipFeatures) -> None:
    with store.writer(key) as writer:
        for row in rows:
            writer.add(row)


@pytest.mark.parametrize("one_part", [True, False])
@pytest.mark.parametrize(
    ("history", "counts"),
    [
        ([("old", 2), ("new", 3)], 1),
        ([("same", 2), ("same", 3)], 1),
        ([("same", 2), ("same", 0)], 0),
        ([("same", 0), ("same", 2)], 1),
        ([("old", 2), ("new", 0)], 1),
        ([("back", 2), ("other", 3), ("back", 0)], 0),
        ([("a", 1), ("b", 2), ("b", 3), ("b", 0)], 2),
    ],
)
def test_newest_content_then_usable_then_newest(
    store: FeatureStore,
    key: FeatureKey,
    make_features: MakeFeatures,
    history: list[tuple[str, int]],
    counts: int,
    one_part: bool,
) -> None:
    rows = [make_features("clip", frames, content) for content, frames in history]
    for rows_of_part in [rows] if one_part else [[row] for row in rows]:
        add(store, key, *rows_of_part)
    reader = store.reader(key)
    content, frames = history[counts]
    assert (reader.fingerprints, reader.lengths.tolist()) == ([content], [frames])
    assert store.info(key).superseded == len(history) - 1


def test_missing_is_what_has_no_row_of_that_content(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    cut_off = make_features("cut off", status=Status.PARTIAL, reason="the decoder stopped")
    few = make_features("few", status=Status.SHORT, reason="the clip holds no more")
    add(store, key, make_features("a"), make_features("b"), make_features("broken", 0), cut_off, few)
    wanted = {"new": "a", "broken": "a", "b": "changed", "a": "a", "cut off": "a", "few": "a"}
    assert store.missing(key, wanted) == ["new", "b"]
    assert store.missing(key, wanted, retry_failed=True) == ["new", "broken", "b", "cut off"]
    add(store, key, make_features("cut off"))
    assert store.missing(key, wanted, retry_failed=True) == ["new", "broken", "b"]


def test_missing_sees_what_another_process_added(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    assert store.missing(key, {"a": "a"}) == ["a"]
    add(FeatureStore.open(store.root), key, make_features("a"))
    assert store.missing(key, {"a": "a"}) == []


def test_a_key_is_found_by_source_folder_or_the_beginning_of_it(store: FeatureStore, key: FeatureKey) -> None:
    motion = replace(key, view={"name": "motion", "px": 64})
    larger = replace(key, input_px=64)
    for each in (key, motion, larger):
        add(store, each)
    assert store.keys() == sorted([key, motion, larger], key=lambda each: each.folder)
    assert store.find("tiny+motion") == motion
    assert store.find(larger.folder) == larger
    assert store.find("tiny-m") == motion
    with pytest.raises(StoreNotFoundError, match=rf"(?s)may mean .*{key.folder} \(input_px=32\)"):
        store.find("tiny")
    assert store.find("tiny", [key, motion]) == key
    with pytest.raises(StoreNotFoundError, match=r"no features 'other'; there are: tiny"):
        store.find("other")


def test_info_counts(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> None:
    add(store, key, make_features("a", 3), make_features("b", 0))
    add(store, key, make_features("c", 2, status=Status.SHORT, reason="2 of 3 frames"))
    info = store.info(key)
    assert (info.clips, info.frames, info.parts, info.superseded) == (3, 5, 2, 0)
    assert info.statuses == {Status.OK: 1, Status.SHORT: 1, Status.PARTIAL: 0, Status.FAILED: 1}
    assert info.bytes == sum(path.stat().st_size for path in store.folder(key).glob("part-*.h5"))


def test_the_clip_table_holds_the_newest_facts(store: FeatureStore, make_facts: MakeFacts) -> None:
    with store.clip_writer() as writer:
        writer.add(make_facts("b.mp4", fps=25.0, has_audio=True, container="avi"))
        writer.add(make_facts("a.mp4", status=Status.PARTIAL, reason="cut off"))
    with store.clip_writer() as writer:
        writer.add(make_facts("a.mp4", fingerprint="new", width=640))
    table = store.clips()
    assert table.index.tolist() == ["a.mp4", "b.mp4"]
    assert table.index.name == "clip_id"
    assert table["fingerprint"].tolist() == ["new", "a"]
    assert table["width"].tolist() == [640, -1]
    assert table["status"].tolist() == ["ok", "ok"]
    assert np.isnan(table["fps"].iloc[0])
    assert table["has_audio"].tolist() == [False, True]
    assert [str(table[name].dtype) for name in ("size_bytes", "fps", "has_audio", "path")] == [
        "int64",
        "float64",
        "bool",
        "str",
    ]


def test_an_empty_clip_table_has_its_columns(store: FeatureStore) -> None:
    table = store.clips()
    assert len(table) == 0
    assert "path" in table.columns


def test_settings_in_words_tell_keys_apart(key: FeatureKey) -> None:
    keys = [
        key,
        replace(key, sampling={"mode": "fps", "fps": 2.5, "max_frames": 45}),
        replace(key, sampling={"mode": "frames", "frames": 8}),
        replace(key, sampling={"mode": "motion", "frames": 8}),
        replace(key, sampling={"mode": "motion", "frames": 8}, input_px=64),
    ]
    told = distinguish(keys)
    assert [told[each.folder] for each in keys] == [
        "fps=1",
        "fps=2.5",
        "frames=8 mode=frames",
        "frames=8 mode=motion input_px=32",
        "frames=8 mode=motion input_px=64",
    ]
    for each in keys:
        settings = dict(words.split("=") for words in told[each.folder].split())
        assert [other for other in keys if settings.items() <= setting_words(other).items()] == [each]
    halved = replace(key, precision="bf16")
    assert distinguish([key, halved]) == {key.folder: "precision=f32", halved.folder: "precision=bf16"}
    newer = replace(key, view={**key.view, "steady.revision": 2})
    assert distinguish([key, newer]) == {key.folder: "steady.revision=none", newer.folder: "steady.revision=2"}


def test_a_precision_stands_in_a_key_only_where_it_is_another_than_ever(key: FeatureKey) -> None:
    assert {"precision", "quantised"}.isdisjoint(key.to_json())
    halved, small = (
        replace(key, precision="bf16"),
        replace(key, precision="int8", quantised="1" * 64),
    )
    assert len({each.digest for each in (key, halved, small, replace(small, quantised="2" * 64))}) == 4
    assert [FeatureKey.from_json(each.to_json()) for each in (key, halved, small)] == [key, halved, small]
    assert halved.folder.startswith("tiny-whole-bf16-")
    assert key.source == halved.source == small.source
