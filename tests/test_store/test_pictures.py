"""Pictures beside features: what is written is read, whatever is done with the parts, and older readers refuse them."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from store import ClipFeatures, FeatureKey, FeatureStore
from store.errors import CorruptPartError, InvalidRecordError, StoreRequestError
from store.format import open_part
from store.format.commit import HEADER_BYTES, header_of
from store.format.part_names import list_parts
from store.maintenance.compact import compact_features
from store.maintenance.export import export_features
from store.maintenance.merge import merge_stores
from store.maintenance.relink import relink_features
from store.maintenance.repair import repair_store
from store.maintenance.verify import verify_store

MakeFeatures = Callable[..., ClipFeatures]
_CLIPS = {"a": 3, "b": 0, "c": 1, "d": 2, "e": 0, "f": 4}


@pytest.fixture
def pictured(key: FeatureKey) -> FeatureKey:
    return replace(key, preprocessing="jpeg-q90")


@pytest.fixture
def filled(store: FeatureStore, pictured: FeatureKey, make_features: MakeFeatures) -> FeatureStore:
    """Six clips in four parts, one of which holds no frame at all."""
    with store.writer(pictured, clips_per_part=2) as writer:
        for clip_id, frames in _CLIPS.items():
            writer.add(make_features(clip_id, frames, pictures=pictures_of(clip_id, frames)))
            if clip_id == "d":
                writer.commit()
            if clip_id == "e":
                writer.commit()
    return store


def pictures_of(clip_id: str, frames: int) -> list[bytes]:
    """What begins like a JPEG, of as many bytes as differ from clip to clip and from frame to frame."""
    return [b"\xff\xd8\xff" + clip_id.encode() * (50 * number + ord(clip_id)) for number in range(frames)]


def require_same(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> None:
    reader = FeatureStore.open(store.root).reader(key)
    for place, clip_id in enumerate(reader.ids):
        written = make_features(clip_id, _CLIPS[clip_id])
        assert reader.pictures(place) == pictures_of(clip_id, _CLIPS[clip_id])
        assert reader.picture_sizes(place).tolist() == list(map(len, reader.pictures(place)))
        np.testing.assert_array_equal(reader.row(place).features, written.features)
        assert reader.times(place).tolist() == written.times_s.tolist()
    assert verify_store(store.root).problems == []


def test_pictures_come_back_as_they_were(
    filled: FeatureStore, pictured: FeatureKey, make_features: MakeFeatures
) -> None:
    assert filled.reader(pictured).ids == list(_CLIPS)
    require_same(filled, pictured, make_features)


def test_pictures_outlive_merging_of_parts(
    filled: FeatureStore, pictured: FeatureKey, make_features: MakeFeatures
) -> None:
    before = filled.reader(pictured)
    assert compact_features(FeatureStore.open(filled.root), pictured).parts_after == 1
    require_same(filled, pictured, make_features)
    assert before.pictures(5) == pictures_of("f", 4)  # a reader that knows of no merging


def test_pictures_go_with_clips_that_moved_and_into_other_stores(
    filled: FeatureStore, pictured: FeatureKey, tmp_path: Path
) -> None:
    relink_features(filled, pictured, {"new": "d"})
    other = FeatureStore.open(tmp_path / "other", create=True)
    merge_stores([filled], other)
    reader = other.reader(pictured)
    assert reader.pictures(reader.index_of(["new"])[0]) == pictures_of("d", 2)
    assert verify_store(other.root).problems == []


def test_an_export_holds_the_pictures(filled: FeatureStore, pictured: FeatureKey, tmp_path: Path) -> None:
    export_features(filled.reader(pictured), tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["features"].shape == (6, 4, 8)
        assert file["features"].attrs["tap_names"].tolist() == ["low", "high"]
        np.testing.assert_array_equal(file["features"][5], filled.reader(pictured).batch([5])[0][0])
        offsets, every = file["picture_offsets"][:], file["pictures"][:].tobytes()
    found = [every[start:stop] for start, stop in pairwise(offsets)]
    assert found == [picture for clip_id, frames in _CLIPS.items() for picture in pictures_of(clip_id, frames)]


def test_pictures_can_be_read_by_the_document_alone(filled: FeatureStore, pictured: FeatureKey) -> None:
    (first, *_) = list_parts(filled.folder(pictured))
    with h5py.File(filled.folder(pictured) / first) as part:
        assert part.attrs["format_version"] == 2
        offsets = part["picture_offsets"][:]
        found = part["pictures"][offsets[1] : offsets[2]].tobytes()
        assert (part["pictures"].chunks, part["picture_offsets"].dtype) == (None, np.dtype("<i8"))
    assert found == pictures_of("a", 3)[1]


def test_older_readers_refuse_pictures_and_read_all_else(
    filled: FeatureStore,
    key: FeatureKey,
    pictured: FeatureKey,
    make_features: MakeFeatures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with filled.writer(key) as writer:
        writer.add(make_features("a"))
    monkeypatch.setattr(open_part, "NEWEST_VERSION", 1)
    old = FeatureStore.open(filled.root)
    assert old.reader(key).ids == ["a"]
    with pytest.raises(CorruptPartError, match="its format version is 2, this Trapline reads up to 1"):
        old.reader(pictured)


@pytest.mark.parametrize(
    ("pictures", "word"),
    [
        ((), "there are 0 pictures, expected 3"),
        (pictures_of("a", 2), "there are 2 pictures, expected 3"),
        ([*pictures_of("a", 2), b"\x89PNG"], "a picture is no JPEG file"),
        ([*pictures_of("a", 2), b""], "a picture is no JPEG file"),
    ],
)
def test_rows_without_their_pictures_are_refused(
    store: FeatureStore, pictured: FeatureKey, make_features: MakeFeatures, pictures: list[bytes], word: str
) -> None:
    with store.writer(pictured) as writer, pytest.raises(InvalidRecordError, match=word):
        writer.add(make_features("a", 3, pictures=pictures))


def test_pictures_belong_to_keys_that_hold_them(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    with store.writer(key) as writer:
        with pytest.raises(InvalidRecordError, match="there are 3 pictures, expected 0"):
            writer.add(make_features("a", 3, pictures=pictures_of("a", 3)))
        writer.add(make_features("a", 3))
    assert store.reader(key).picture_sizes(0).tolist() == []
    with pytest.raises(StoreRequestError, match=r"no pictures are kept.*--backbone frames"):
        store.reader(key).pictures(0)


def test_a_part_is_full_when_its_pictures_are(
    store: FeatureStore, pictured: FeatureKey, make_features: MakeFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.access.writer.MAX_PART_BYTES", 1000)
    with store.writer(pictured) as writer:
        for clip_id in "acd":
            writer.add(make_features(clip_id, 3, pictures=pictures_of(clip_id, 3)))
        assert len(list_parts(store.folder(pictured))) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda part: part.attrs.__setitem__("format_version", 1), "it holds pictures, expected format version 2"),
        (lambda part: part.__delitem__("pictures"), "pictures"),
        (lambda part: part["picture_offsets"].__setitem__(0, 1), "do not go from 0"),
        (lambda part: part["picture_offsets"].__setitem__(-1, 10**9), "do not go from 0"),
    ],
)
def test_damage_to_pictures_is_refused_and_set_aside(
    filled: FeatureStore, pictured: FeatureKey, change: Callable[[h5py.File], object], word: str
) -> None:
    first = filled.folder(pictured) / list_parts(filled.folder(pictured))[0]
    with h5py.File(first, "r+") as part:
        change(part)
    with pytest.raises(CorruptPartError, match=rf"(?s){first.name}.*{word}.*store repair"):
        FeatureStore.open(filled.root).reader(pictured)
    repair_store(FeatureStore.open(filled.root))
    assert FeatureStore.open(filled.root).reader(pictured).ids == ["c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda part: part["picture_offsets"].__setitem__(1, 0), "its picture offsets do not rise"),
        (lambda part: part["pictures"].__setitem__(part["picture_offsets"][1], 0), "a picture is no JPEG"),
    ],
)
def test_what_only_a_writer_can_get_wrong_is_found(
    filled: FeatureStore, pictured: FeatureKey, change: Callable[[h5py.File], object], word: str
) -> None:
    first = filled.folder(pictured) / list_parts(filled.folder(pictured))[0]
    with h5py.File(first, "r+") as part:
        change(part)
    body = first.read_bytes()[HEADER_BYTES:]
    first.write_bytes(header_of(sha256(body).hexdigest()) + body)
    (problem,) = verify_store(filled.root).problems
    assert word in problem.problem
