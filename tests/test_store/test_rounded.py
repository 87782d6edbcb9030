"""Features that are rounded to bytes: how far they may be off, that nothing else changes them, and who refuses them."""

import tarfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from typer.testing import CliRunner

from store import ClipFeatures, FeatureKey, FeatureStore, Status
from store.cli import app
from store.errors import CorruptPartError, StoreRequestError
from store.format import open_part
from store.format.commit import HEADER_BYTES, header_of
from store.format.part_names import list_parts
from store.format.rounded import restore_features, restored_dtype, round_features
from store.maintenance.compact import compact_features
from store.maintenance.export import export_features
from store.maintenance.merge import merge_stores
from store.maintenance.relink import relink_features
from store.maintenance.repair import repair_store
from store.maintenance.verify import verify_store

MakeFeatures = Callable[..., ClipFeatures]
_CLIPS = {"a": 3, "b": 0, "c": 1, "d": 2, "e": 0, "f": 4}
_ARCHIVE = Path(__file__).parents[1] / "data" / "store_v3.tar.gz"


@pytest.fixture
def rounded(key: FeatureKey) -> FeatureKey:
    return replace(key, dtype="int8")


@pytest.fixture
def filled(store: FeatureStore, rounded: FeatureKey, make_features: MakeFeatures) -> FeatureStore:
    """Six clips in four parts, one of which holds no frame at all."""
    with store.writer(rounded, clips_per_part=2) as writer:
        for clip_id, frames in _CLIPS.items():
            writer.add(make_features(clip_id, frames))
            if clip_id in "de":
                writer.commit()
    return store


def read(store: FeatureStore, key: FeatureKey) -> dict[str, bytes]:
    """The features of each clip."""
    reader = FeatureStore.open(store.root).reader(key)
    return {clip_id: reader.row(place).features.tobytes() for place, clip_id in enumerate(reader.ids)}


def restored(values: NDArray[np.float32]) -> NDArray[np.float32]:
    found = round_features(values)
    out = np.empty(values.shape, restored_dtype(np.array([found.exponent], np.int8)))
    restore_features(found, out)
    return out


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.floats(-1e9, 1e9, width=32) | st.floats(-1, 1, width=32) | st.sampled_from([0.0, 127.0, 63.5]),
    )
)
def test_a_value_is_off_by_half_a_step_and_rounding_again_changes_nothing(values: NDArray[np.float32]) -> None:
    found = restored(values)
    largest = np.abs(values.astype(np.float64)).max(axis=0)
    smallest_step = 2.0 ** max(np.ceil(np.log2(max(largest.max(), 1e-30) / 127)) - 15, -24)
    assert (np.abs(found.astype(np.float64) - values) <= np.maximum(largest / 127, smallest_step / 2)).all()
    again, once = round_features(found), round_features(values)
    assert (again.codes.tobytes(), again.exponent, again.steps.tobytes()) == (
        once.codes.tobytes(),
        once.exponent,
        once.steps.tobytes(),
    )


def test_a_column_keeps_its_own_scale_beside_one_that_is_ten_thousand_times_as_large() -> None:
    values = np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32) * np.float32([1e4, 1])
    error = np.abs(restored(values) - values).max(axis=0)
    assert error[1] < 2 / 64
    assert error[0] > 1


def test_rounded_features_are_read_as_halves_padded_by_tap_and_beside_their_times(
    filled: FeatureStore, rounded: FeatureKey, make_features: MakeFeatures
) -> None:
    reader = filled.reader(rounded)
    assert (reader.dtype, reader.ids, reader.lengths.tolist()) == (np.float16, list(_CLIPS), list(_CLIPS.values()))
    features, mask = reader.batch([5, 1, 0, 5], pad_to=6)
    assert (features.dtype, features.shape, mask.sum(axis=1).tolist()) == (np.float16, (4, 6, 8), [4, 0, 3, 4])
    assert not features[~mask].any()
    for place, clip_id in enumerate(reader.ids):
        row, written = reader.row(place), make_features(clip_id, _CLIPS[clip_id])
        np.testing.assert_allclose(row.features, written.features, atol=0.03)
        np.testing.assert_array_equal(row.times_s, written.times_s)
        assert row.features.dtype == np.float16
    np.testing.assert_array_equal(reader.batch([5], taps=["high"])[0][0], features[0, :4, 3:])
    assert verify_store(filled.root).problems == []


def test_many_clips_are_read_by_several_threads_as_one_by_one(store: FeatureStore, rounded: FeatureKey) -> None:
    wide = replace(rounded, taps=(("low", 1001), ("high", 1000)))
    rng = np.random.default_rng(0)
    with store.writer(wide, clips_per_part=16) as writer:
        for place in range(64):
            features = rng.standard_normal((8, wide.dim)).astype(np.float16)
            writer.add(
                ClipFeatures(
                    clip_id=f"{place:02d}",
                    fingerprint="a",
                    status=Status.OK,
                    reason="",
                    times_s=np.arange(8.0),
                    features=features,
                )
            )
    reader = store.reader(wide)
    features, _ = reader.batch(range(64))
    for place in range(64):
        np.testing.assert_array_equal(features[place], reader.row(place).features)


def test_bits_depend_on_neither_order_nor_parts_nor_what_is_done_with_these(
    filled: FeatureStore, rounded: FeatureKey, make_features: MakeFeatures, tmp_path: Path
) -> None:
    other = FeatureStore.open(tmp_path / "other", create=True)
    with other.writer(rounded) as writer:
        for clip_id, frames in reversed(_CLIPS.items()):
            writer.add(make_features(clip_id, frames))
    before = read(filled, rounded)
    assert read(other, rounded) == before
    reader = filled.reader(rounded)
    assert compact_features(FeatureStore.open(filled.root), rounded).parts_after == 1
    assert read(filled, rounded) == before
    assert reader.row(5).features.tobytes() == before["f"]  # a reader that knows of no merging
    relink_features(filled, rounded, {"new": "f"})
    into = FeatureStore.open(tmp_path / "into", create=True)
    merge_stores([filled, other], into)
    assert read(into, rounded) == before | {"new": before["f"]}
    assert all(verify_store(each.root).problems == [] for each in (filled, into))


def test_rounded_features_take_half_of_the_disk(store: FeatureStore, key: FeatureKey, rounded: FeatureKey) -> None:
    values = np.random.default_rng(0).random((45, 1000)).astype(np.float16)
    sizes = []
    for own in (replace(each, taps=(("all", 1000),)) for each in (key, rounded)):
        with store.writer(own) as writer:
            for place in range(40):
                writer.add(
                    ClipFeatures(
                        clip_id=f"{place}",
                        fingerprint="a",
                        status=Status.OK,
                        reason="",
                        times_s=np.arange(45.0),
                        features=values,
                    )
                )
        sizes.append(store.info(own).bytes)
    assert sizes[1] < 0.52 * sizes[0]


def test_what_float16_cannot_hold_is_read_as_float32(
    store: FeatureStore, rounded: FeatureKey, make_features: MakeFeatures
) -> None:
    large = np.full((2, 8), 1e5, np.float32)
    with store.writer(rounded, clips_per_part=1) as writer:
        writer.add(make_features("a", 2, features=large))
        writer.add(make_features("b", 2))
    reader = store.reader(rounded)
    assert reader.dtype == np.float32
    np.testing.assert_allclose(reader.batch([0, 1])[0][0], large, rtol=1 / 127)
    assert [reader.row(place).features.dtype for place in range(2)] == [np.float32, np.float16]
    assert compact_features(FeatureStore.open(store.root), rounded).parts_after == 2


def test_pictures_may_stand_beside_rounded_features(
    store: FeatureStore, rounded: FeatureKey, make_features: MakeFeatures
) -> None:
    pictured = replace(rounded, preprocessing="jpeg-q90")
    with store.writer(pictured) as writer:
        writer.add(make_features("a", 2, pictures=[b"\xff\xd8\xffx"] * 2))
    reader = store.reader(pictured)
    assert reader.pictures(0) == [b"\xff\xd8\xffx"] * 2
    np.testing.assert_allclose(reader.row(0).features, make_features("a", 2).features, atol=0.03)
    assert verify_store(store.root).problems == []


def test_rounded_features_can_be_read_by_the_document_alone(
    filled: FeatureStore, rounded: FeatureKey, make_features: MakeFeatures
) -> None:
    (first, *_) = list_parts(filled.folder(rounded))
    with h5py.File(filled.folder(rounded) / first) as part:
        assert part.attrs["format_version"] == 3
        assert [part[name].chunks for name in ("features", "exponents", "steps")] == [None] * 3
        assert [part[name].dtype for name in ("features", "exponents", "steps")] == [np.int8, np.int8, np.uint8]
        steps = np.stack([part["steps"][0] & 15, part["steps"][0] >> 4], axis=1).reshape(-1)[:8]
        scale = 2.0 ** (int(part["exponents"][0]) - steps.astype(int))
        found = part["features"][part["offsets"][0] : part["offsets"][1]] * scale
    np.testing.assert_array_equal(found, filled.reader(rounded).row(0).features)
    np.testing.assert_allclose(found, make_features("a", 3).features, atol=0.03)


def test_version_3_is_readable_for_ever(tmp_path: Path) -> None:
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    store = FeatureStore.open(tmp_path / "store_v3")
    assert verify_store(store.root).problems == []
    (key,) = store.keys()
    assert (key.source, key.dtype, key.digest) == (
        "tiny",
        "int8",
        "eb98825364f85c93706caabe77cf0aef6bdef5a3bc5961f0efd441fff1b50f6e",
    )
    reader = store.reader(key)
    assert (reader.ids, reader.lengths.tolist()) == (["site 0/clïp0.mp4", "site 1/clïp1.mp4"], [3, 0])
    np.testing.assert_array_equal(
        reader.batch([0])[0][0],
        [[0, -1, 0.0078125, 100, 0], [0.5, 127, -0.25, -36, 0], [-1, 2, 0.0390625, 64, 0.0]],
    )


def test_older_readers_refuse_rounded_features_and_read_all_else(
    filled: FeatureStore,
    key: FeatureKey,
    rounded: FeatureKey,
    make_features: MakeFeatures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with filled.writer(key) as writer:
        writer.add(make_features("a"))
    monkeypatch.setattr(open_part, "NEWEST_VERSION", 2)
    old = FeatureStore.open(filled.root)
    assert old.reader(key).ids == ["a"]
    with pytest.raises(CorruptPartError, match="its format version is 3, this Trapline reads up to 2"):
        old.reader(rounded)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda part: part.attrs.__setitem__("format_version", 2), "rounded to bytes, expected format version 3"),
        (lambda part: part.__delitem__("steps"), "steps"),
        (lambda part: part["exponents"].__setitem__(0, -10), "its exponents are not one int8 a row, -9 or more"),
        (lambda part: [part.__delitem__("steps"), part.__setitem__("steps", np.zeros((2, 3), "u1"))], "its steps are"),
        (
            lambda part: [part.__delitem__("features"), part.__setitem__("features", np.zeros((3, 8), "<f2"))],
            "its features are float16, expected int8",
        ),
    ],
)
def test_damage_is_refused_and_set_aside(
    filled: FeatureStore, rounded: FeatureKey, change: Callable[[h5py.File], object], word: str
) -> None:
    first = filled.folder(rounded) / list_parts(filled.folder(rounded))[0]
    with h5py.File(first, "r+") as part:
        change(part)
    with pytest.raises(CorruptPartError, match=rf"(?s){first.name}.*{word}.*store repair"):
        FeatureStore.open(filled.root).reader(rounded)
    repair_store(FeatureStore.open(filled.root))
    assert FeatureStore.open(filled.root).reader(rounded).ids == ["c", "d", "e", "f"]


def test_a_code_that_stands_for_nothing_is_found(filled: FeatureStore, rounded: FeatureKey) -> None:
    first = filled.folder(rounded) / list_parts(filled.folder(rounded))[0]
    with h5py.File(first, "r+") as part:
        part["features"][1, 2] = -128
    body = first.read_bytes()[HEADER_BYTES:]
    first.write_bytes(header_of(sha256(body).hexdigest()) + body)
    (problem,) = verify_store(filled.root).problems
    assert "a feature of -128, which stands for nothing, at or after clip 'a'" in problem.problem


def test_stores_that_keep_the_same_features_otherwise_are_not_merged(
    filled: FeatureStore, key: FeatureKey, rounded: FeatureKey, make_features: MakeFeatures, tmp_path: Path
) -> None:
    other = FeatureStore.open(tmp_path / "other", create=True)
    with other.writer(key) as writer:
        writer.add(make_features("z"))
    into = tmp_path / "into"
    with pytest.raises(StoreRequestError) as caught:
        merge_stores([filled, other], FeatureStore.open(into, create=True))
    for word in (str(filled.root), str(other.root), "tiny as int8", "as float16", key.folder, rounded.folder):
        assert word in str(caught.value)
    assert FeatureStore.open(into).keys() == []
    with other.writer(rounded) as writer:
        writer.add(make_features("z"))
    with filled.writer(key) as writer:
        writer.add(make_features("a"))
    merge_stores([filled, other], FeatureStore.open(into))
    assert len(FeatureStore.open(into).reader(rounded)) == len(_CLIPS) + 1


def test_an_export_and_the_listing_tell_of_them(filled: FeatureStore, rounded: FeatureKey, tmp_path: Path) -> None:
    export_features(filled.reader(rounded), tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["features"][5], filled.reader(rounded).batch([5])[0][0])
    said = CliRunner().invoke(app, ["info", "--store", str(filled.root)])
    assert "D 8 int8  6 clips" in said.output
