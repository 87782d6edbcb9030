"""What a network itself takes frames for, beside its features: written once, merged, damage is told and set aside."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from store import ClipFeatures, FeatureKey, FeatureStore
from store.errors import CorruptPartError, StoreReadError
from store.format.classifier_file import CLASSIFIER, IMAGENET_ANIMALS, Classifier, read_classifier, write_classifier
from store.maintenance.compact import compact_features
from store.maintenance.merge import merge_stores
from store.maintenance.repair import QUARANTINE, repair_store
from store.maintenance.sweep import carry_out, plan_sweep
from store.maintenance.verify import verify_store

MakeFeatures = Callable[..., ClipFeatures]


def made(seed: int = 0) -> Classifier:
    rng = np.random.default_rng(seed)
    return Classifier(
        classes=IMAGENET_ANIMALS,
        tap="high",
        kernel=rng.normal(size=(5, 7)).astype(np.float32),
        bias=rng.normal(size=7).astype(np.float32),
    )


def assert_alike(found: Classifier | None, given: Classifier) -> None:
    assert found is not None
    assert (found.classes, found.tap) == (given.classes, given.tap)
    for one, other in ((found.kernel, given.kernel), (found.bias, given.bias)):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def plain(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures) -> FeatureStore:
    """Four clips in two parts, without a classifier."""
    with store.writer(key, clips_per_part=2) as writer:
        for number in range(4):
            writer.add(make_features(f"clip{number}", 3))
    return store


@pytest.fixture
def filled(plain: FeatureStore, key: FeatureKey) -> FeatureStore:
    """The same with one."""
    plain.add_classifier(key, made())
    return plain


def contents(store: FeatureStore, key: FeatureKey) -> dict[str, bytes]:
    reader = FeatureStore.open(store.root).reader(key)
    return {clip_id: reader.row(place).features.tobytes() for place, clip_id in enumerate(reader.ids)}


def test_what_was_written_is_read_back_and_the_same_gives_the_same_bytes(
    filled: FeatureStore, key: FeatureKey, tmp_path: Path
) -> None:
    assert filled.has_classifier(key)
    assert_alike(FeatureStore.open(filled.root).reader(key).classifier, made())
    write_classifier(tmp_path, made())
    assert (tmp_path / CLASSIFIER).read_bytes() == (filled.folder(key) / CLASSIFIER).read_bytes()


def test_doubles_are_kept_as_singles(tmp_path: Path) -> None:
    wide = made()
    write_classifier(
        tmp_path,
        Classifier(
            classes=wide.classes, tap=wide.tap, kernel=wide.kernel.astype(np.float64), bias=wide.bias.astype(np.float64)
        ),
    )
    assert_alike(read_classifier(tmp_path), wide)


def test_features_without_one_are_read_as_ever(plain: FeatureStore, key: FeatureKey) -> None:
    before = contents(plain, key)
    assert len(before) == 4
    assert not plain.has_classifier(key)
    assert plain.reader(key).classifier is None
    plain.add_classifier(key, made())
    assert contents(plain, key) == before


def test_it_is_read_when_it_is_asked_for(filled: FeatureStore, key: FeatureKey) -> None:
    """Whoever does not ask is not kept from the features by a damaged one."""
    (filled.folder(key) / CLASSIFIER).write_bytes(b"")
    reader = filled.reader(key)
    assert reader.batch([0, 1])[0].shape == (2, 3, key.dim)
    with pytest.raises(CorruptPartError):
        _ = reader.classifier


def test_any_other_bits_are_told_or_mean_the_same(tmp_path: Path) -> None:
    write_classifier(tmp_path, made())
    path = tmp_path / CLASSIFIER
    sound = path.read_bytes()
    told = 0
    for position in range(0, len(sound), 3):
        damaged = bytearray(sound)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            found = read_classifier(tmp_path)
        except CorruptPartError:
            told += 1
        else:
            assert_alike(found, made())
    assert told > len(sound) / 6


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:600]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive at all" * 100),
        lambda path: np.savez(path, classes=np.array(IMAGENET_ANIMALS), tap=np.array("high"), bias=np.zeros(7)),
        one_array,
    ],
)
def test_a_damaged_one_is_told_with_its_remedy_found_and_set_aside(
    filled: FeatureStore, key: FeatureKey, damage: Callable[[Path], object]
) -> None:
    before, path = contents(filled, key), filled.folder(key) / CLASSIFIER
    damage(path)
    with pytest.raises(
        CorruptPartError, match=r"classifier\.npz: is damaged; remove it, and the same `featurize` command"
    ):
        _ = filled.reader(key).classifier
    assert [(problem.path, problem.damaged) for problem in verify_store(filled.root).problems] == [(path, True)]
    done = repair_store(filled)
    assert [(old, new) for old, new, _ in done.quarantined] == [
        (path, filled.root / QUARANTINE / path.relative_to(filled.root))
    ]
    assert not filled.has_classifier(key)
    assert FeatureStore.open(filled.root).reader(key).classifier is None
    assert contents(filled, key) == before
    assert verify_store(filled.root).problems == []


def test_one_that_cannot_be_read_is_not_called_damaged(filled: FeatureStore, key: FeatureKey) -> None:
    path = filled.folder(key) / CLASSIFIER
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreReadError, match=r"classifier\.npz: could not be read .*restore access"):
        read_classifier(path.parent)


def test_a_sound_one_is_no_part_and_no_problem(filled: FeatureStore, key: FeatureKey) -> None:
    found = verify_store(filled.root)
    assert (found.parts, found.problems) == (2, [])
    assert found.bytes == sum(path.stat().st_size for path in filled.root.rglob("part-*.h5"))
    assert repair_store(filled).quarantined == []
    assert_alike(filled.reader(key).classifier, made())


def test_compacting_leaves_it(filled: FeatureStore, key: FeatureKey) -> None:
    before = contents(filled, key)
    assert compact_features(filled, key).parts_after == 1
    assert contents(filled, key) == before
    assert_alike(FeatureStore.open(filled.root).reader(key).classifier, made())
    assert verify_store(filled.root).problems == []


def test_it_goes_with_its_features(filled: FeatureStore, key: FeatureKey) -> None:
    carry_out(filled, plan_sweep(filled, (), 30))
    assert filled.keys() == []
    assert not filled.folder(key).exists()
    assert not filled.has_classifier(key)
    assert [*filled.root.rglob(CLASSIFIER)] == []


def other_store(root: Path, key: FeatureKey, make_features: MakeFeatures) -> FeatureStore:
    store = FeatureStore.open(root, create=True)
    with store.writer(key) as writer:
        writer.add(make_features("clip9", 3))
    return store


@pytest.mark.parametrize("copy", [False, True])
def test_merging_brings_it(
    filled: FeatureStore, key: FeatureKey, make_features: MakeFeatures, tmp_path: Path, copy: bool
) -> None:
    into = other_store(tmp_path / "into", key, make_features)
    done = merge_stores([filled], into, copy=copy)
    assert (done.parts, done.present) == (2, 0)
    assert_alike(FeatureStore.open(into.root).reader(key).classifier, made())
    assert len(contents(into, key)) == 5
    size = sum((filled.folder(key) / path).stat().st_size for path in filled.folder(key).glob("[cp]*-*.h5"))
    assert done.bytes == copy * (size + (filled.folder(key) / CLASSIFIER).stat().st_size)
    again = merge_stores([filled], into, copy=copy)
    assert (again.parts, again.present, again.bytes) == (0, 2, 0)
    assert verify_store(into.root).problems == []


def test_merging_keeps_what_is_there_and_what_only_the_other_has_not(
    filled: FeatureStore, key: FeatureKey, make_features: MakeFeatures, tmp_path: Path
) -> None:
    into, without = (other_store(tmp_path / name, key, make_features) for name in ("into", "without"))
    into.add_classifier(key, made(1))
    merge_stores([filled, without], into)
    assert_alike(into.reader(key).classifier, made(1))
    assert not without.has_classifier(key)
    assert_alike(filled.reader(key).classifier, made())
