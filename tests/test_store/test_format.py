"""The format on the disk: the frozen archive of version 1, other tools, and how it may change."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status
from store.errors import CorruptPartError
from store.format.part_names import list_parts
from store.maintenance.compact import compact_clips
from store.maintenance.verify import verify_store

MakeFeatures = Callable[..., ClipFeatures]
MakeFacts = Callable[..., ClipFacts]

_ARCHIVES = Path(__file__).parents[1] / "data"


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A store as version 1 of the format wrote it."""
    with tarfile.open(_ARCHIVES / "store_v1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "store_v1"


def test_version_1_is_readable_for_ever(frozen: Path) -> None:
    assert verify_store(frozen).problems == []
    store = FeatureStore.open(frozen)
    (key,) = store.keys()
    assert (key.source, key.dim, key.format_version) == ("tiny", 5, 1)
    reader = store.reader(key)
    assert reader.ids == [
        "site 0/clïp0.mp4",
        "site 0/clïp2.mp4",
        "site 0/clïp4.mp4",
        "site 1/clïp1.mp4",
        "site 1/clïp3.mp4",
    ]
    assert reader.status == [Status.OK, Status.SHORT, Status.PARTIAL, Status.FAILED, Status.OK]
    assert reader.reasons == ["", "1 of 45 frames", "broke at 1.0 s", "moov atom not found", ""]
    assert reader.fingerprints[4] == "f" * 32
    assert reader.lengths.tolist() == [3, 1, 2, 0, 2]
    features, _ = reader.batch([0, 4])
    np.testing.assert_array_equal(features[0], np.arange(15).reshape(3, 5))
    np.testing.assert_array_equal(features[1, :2], np.full((2, 5), 1e5))
    np.testing.assert_array_equal(reader.times(0), [0, 0.5, 1])
    np.testing.assert_array_equal(reader.per_frame("energy", 2), [0.5, 0.25])
    table = store.clips()
    assert table.index.tolist() == ["site 0/clïp0.mp4", "site 1/clïp1.mp4"]
    row = table.loc["site 0/clïp0.mp4"].to_dict()
    # Facts that are younger than the archive are unknown of its clips.
    assert np.isnan([row.pop("motion_share"), row.pop("motion_peak")]).all()
    assert row == {
        "path": "/videos/site 0/clïp0.mp4",
        "size_bytes": 1000,
        "mtime_ns": 5_000_000_000,
        "fingerprint": "0" * 32,
        "status": "ok",
        "reason": "",
        "container": "avi",
        "codec": "mjpeg",
        "duration_s": 15.0,
        "fps": 30.0,
        "width": 640,
        "height": 360,
        "bit_rate": 1e6,
        "has_audio": True,
        "recorded_at": "2014-03-01T06:00:00",
        "brightness_mean": 0.5,
        "brightness_std": 0.25,
        "saturation_mean": 0.125,
        "infrared_share": 0.0,
        "motion_mean": 0.0625,
        "image_hash": "0123456789abcdef",
    }


def test_a_part_can_be_read_by_the_document_alone(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    """Nothing of the store's reading code is used: h5py, hashlib and plain files, as docs/format.md says."""
    rows = [make_features("b.mp4", 2), make_features("ä.mp4", 0), make_features("c.mp4", 3)]
    with store.writer(key) as writer:
        for row in rows:
            writer.add(row)
    (path,) = store.folder(key).glob("part-*.h5")

    content = path.read_bytes()
    text = f"trapline part\nsha256 of the bytes after the first 4096: {hashlib.sha256(content[4096:]).hexdigest()}\n"
    assert content[:4096] == text.encode().ljust(4096, b"\0")
    with h5py.File(path) as part:
        assert (part.attrs["format"], part.attrs["format_version"]) == ("trapline features", 1)
        spec = json.loads((path.parent / "spec.json").read_bytes())
        assert json.loads(part.attrs["key"]) == spec
        canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert part.attrs["key_digest"] == hashlib.sha256(canonical.encode()).hexdigest()
        assert part["clip_id"].asstr()[:].tolist() == ["b.mp4", "ä.mp4", "c.mp4"]
        assert part["offsets"][:].tolist() == [0, 2, 2, 5]
        codes = h5py.check_enum_dtype(part["status"].dtype)
        assert codes == {"ok": 0, "short": 1, "partial": 2, "failed": 3}
        assert part["status"][:].tolist() == [0, 3, 0]
        features = part["features"]
        assert features.dtype == np.dtype("<f2")
        assert features.chunks is None
        np.testing.assert_array_equal(features[2:5], rows[2].features)
        assert features.attrs["tap_names"].tolist() == ["low", "high"]
        assert (features.attrs["tap_starts"].tolist(), features.attrs["tap_stops"].tolist()) == ([0, 3], [3, 8])
        start = features.id.get_offset() + 2 * key.dim * 2
    block = np.frombuffer(content[start : start + 3 * key.dim * 2], "<f2").reshape(3, key.dim)
    np.testing.assert_array_equal(block, rows[2].features)


def test_a_part_written_by_the_document_alone_can_be_read(store: FeatureStore, key: FeatureKey) -> None:
    with store.writer(key):
        pass
    path = store.folder(key) / "part-01M85C237EGJBMRH8ASKRJ2RMG.h5"
    with h5py.File(path, "w", userblock_size=4096) as part:
        part.attrs.update(
            {
                "format": "trapline features",
                "format_version": 1,
                "key": json.dumps(key.to_json()),
                "key_digest": key.digest,
            }
        )
        part["clip_id"] = np.array([b"a.mp4"], h5py.string_dtype("utf-8", 5))
        part["fingerprint"] = np.array([b"x"], h5py.string_dtype("utf-8", 1))
        part["reason"] = np.array([b""], h5py.string_dtype("utf-8", 1))
        part["status"] = np.zeros(1, "u1")
        part["offsets"] = np.array([0, 2])
        part["times_s"] = np.array([0.0, 1.0])
        part["features"] = np.ones((2, 8), "<f2")
    content = path.read_bytes()
    seal = f"trapline part\nsha256 of the bytes after the first 4096: {hashlib.sha256(content[4096:]).hexdigest()}\n"
    path.write_bytes(seal.encode().ljust(4096, b"\0") + content[4096:])

    assert verify_store(store.root).problems == []
    reader = store.reader(key)
    assert reader.ids == ["a.mp4"]
    np.testing.assert_array_equal(reader.batch([0])[0], np.ones((1, 2, 8)))


def alter(folder: Path, change: Callable[[h5py.File], object]) -> None:
    (name,) = list_parts(folder)
    with h5py.File(folder / name, "r+") as part:
        change(part)


def drop(name: str) -> Callable[[h5py.File], object]:
    return lambda part: part.__delitem__(name)


def test_unknown_columns_are_ignored_and_missing_ones_are_defaults(store: FeatureStore, make_facts: MakeFacts) -> None:
    with store.clip_writer() as writer:
        writer.add(make_facts("a", fps=25.0, codec="h264", width=640))
    for name in ("fps", "codec", "width", "has_audio"):
        alter(store.root / "clips", drop(name))
    alter(store.root / "clips", lambda part: part.__setitem__("from_the_future", [1.5]))
    table = FeatureStore.open(store.root).clips()
    assert "from_the_future" not in table
    row = table.loc["a"]
    assert np.isnan(row["fps"])
    assert (row["codec"], row["width"], row["has_audio"], row["size_bytes"]) == ("", -1, False, 1234)


def test_merging_leaves_foreign_columns_alone(store: FeatureStore, make_facts: MakeFacts) -> None:
    with store.clip_writer() as writer:
        writer.add(make_facts("a"))
    alter(store.root / "clips", lambda part: part.__setitem__("from_the_future", [1.5]))
    foreign = list_parts(store.root / "clips")
    for name in "bc":
        with store.clip_writer() as writer:
            writer.add(make_facts(name))
    compact_clips(FeatureStore.open(store.root))
    assert len(list_parts(store.root / "clips")) == 2
    assert foreign[0] in list_parts(store.root / "clips")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda part: part.attrs.__setitem__("format_version", 4), "format version is 4, this Trapline reads up to 3"),
        (lambda part: part.attrs.__setitem__("format", "other"), "expected 'trapline features'"),
        (lambda part: part.attrs.__setitem__("key_digest", "0" * 64), "belongs to the key 000000000000"),
        (lambda part: part["offsets"].__setitem__(0, 1), "offsets do not rise"),
        (lambda part: part["offsets"].__setitem__(-1, 99), "offsets do not rise"),
        (drop("clip_id"), "clip_id"),
        (drop("features"), "features"),
    ],
)
def test_what_breaks_the_format_is_refused_by_name(
    store: FeatureStore,
    key: FeatureKey,
    make_features: MakeFeatures,
    change: Callable[[h5py.File], object],
    word: str,
) -> None:
    with store.writer(key) as writer:
        writer.add(make_features("a"))
    alter(store.folder(key), change)
    (name,) = list_parts(store.folder(key))
    with pytest.raises(CorruptPartError, match=rf"(?s){name}.*{word}.*store repair"):
        FeatureStore.open(store.root).reader(key)
