"""Verify, repair, compact, export, sweep, relink."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status
from store.errors import ConfigError, CorruptPartError, StoreNotFoundError
from store.files import temporary_name
from store.format.part_names import list_parts, new_part_name
from store.maintenance.compact import compact_clips, compact_features
from store.maintenance.export import export_features
from store.maintenance.relink import moved_clips, relink_features
from store.maintenance.repair import repair_store
from store.maintenance.sweep import remove_key, unwanted_keys, wanted_sources
from store.maintenance.verify import verify_store

MakeFeatures = Callable[..., ClipFeatures]
MakeFacts = Callable[..., ClipFacts]


@pytest.fixture
def filled(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures, make_facts: MakeFacts) -> FeatureStore:
    """Twelve clips in four parts, one of them failed, some with extras; and their facts."""
    with store.writer(key, clips_per_part=3) as writer, store.clip_writer(clips_per_part=5) as facts:
        for number in range(12):
            extras = {"energy": np.arange(number % 4, dtype=np.float32)} if number >= 6 else {}
            writer.add(make_features(f"clip{number:02d}", number % 4, per_frame=extras))
            facts.add(make_facts(f"clip{number:02d}"))
    return store


def contents(store: FeatureStore, key: FeatureKey) -> dict[str, object]:
    reader = FeatureStore.open(store.root).reader(key)
    rows = [reader.row(place) for place in range(len(reader))]
    return {
        row.clip_id: (
            row.fingerprint,
            row.status,
            row.reason,
            row.times_s.tolist(),
            row.features.tobytes(),
            {name: values.tolist() for name, values in row.per_frame.items()},
        )
        for row in rows
    }


def flip(path: Path, position: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def test_a_sound_store_has_no_problems(filled: FeatureStore, key: FeatureKey) -> None:
    found = verify_store(filled.root)
    assert found.problems == []
    assert found.parts == 4 + 3
    assert found.bytes == sum(path.stat().st_size for path in filled.root.rglob("part-*.h5"))


def test_a_flipped_bit_anywhere_is_found(filled: FeatureStore, key: FeatureKey) -> None:
    part = next(filled.folder(key).glob("part-*.h5"))
    sound = part.read_bytes()
    rng = random.Random(0)
    # In the block of features, and in everything else (seal, structure, columns).
    with h5py.File(part) as file:
        start = file["features"].id.get_offset()
        block = range(start, start + file["features"].nbytes)
    for position in [*block[::4], *rng.sample(range(len(sound)), 60)]:
        flip(part, position, rng.randrange(8))
        assert [problem.path for problem in verify_store(filled.root).problems] == [part], position
        part.write_bytes(sound)
    assert verify_store(filled.root).problems == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not HDF5 at all" * 1000),
        lambda path: flip(path, 4096 + 3),
    ],
)
def test_repair_sets_damaged_parts_aside_so_that_their_clips_are_missing(
    filled: FeatureStore, key: FeatureKey, damage: Callable[[Path], object]
) -> None:
    before = contents(filled, key)
    part = filled.folder(key) / list_parts(filled.folder(key))[1]
    clips_part = filled.root / "clips" / list_parts(filled.root / "clips")[0]
    damage(part)
    damage(clips_part)

    done = repair_store(FeatureStore.open(filled.root))

    assert {old for old, _, _ in done.quarantined} == {part, clips_part}
    for old, new, _ in done.quarantined:
        assert new.exists()
        assert old.name in (new.parent / f"{new.name}.txt").read_text()
    after = contents(filled, key)
    lost = {"clip03", "clip04", "clip05"}
    assert after == {clip_id: row for clip_id, row in before.items() if clip_id not in lost}
    assert set(filled.missing(key, dict.fromkeys(before, "a"))) == lost
    assert len(filled.clips()) == 12 - 5
    assert verify_store(filled.root).problems == []


def test_a_damaged_part_is_never_read_as_if_it_were_sound(filled: FeatureStore, key: FeatureKey) -> None:
    part = filled.folder(key) / list_parts(filled.folder(key))[0]
    part.write_bytes(part.read_bytes()[:5000])
    with pytest.raises(CorruptPartError, match=rf"{part.name}.*store repair"):
        FeatureStore.open(filled.root).reader(key)


def test_a_part_that_is_cut_short_behind_the_readers_back_is_an_error(filled: FeatureStore, key: FeatureKey) -> None:
    reader = filled.reader(key)
    for part in filled.folder(key).glob("part-*.h5"):
        part.write_bytes(part.read_bytes()[:4096])
    with pytest.raises(CorruptPartError, match="ends before its rows do"):
        reader.batch(np.arange(12))


def test_repair_restores_a_damaged_spec_from_the_parts(filled: FeatureStore, key: FeatureKey) -> None:
    spec = filled.folder(key) / "spec.json"
    for damage in (lambda: spec.write_text("{"), spec.unlink):
        damage()
        with pytest.raises(CorruptPartError, match=r"spec\.json.*store repair"):
            filled.keys()
        assert repair_store(filled).restored == [spec]
        assert filled.keys() == [key]


def test_a_key_folder_without_anything_in_it_is_no_key(filled: FeatureStore, key: FeatureKey) -> None:
    (filled.root / "features" / "died-before-its-spec").mkdir()
    assert filled.keys() == [key]
    assert verify_store(filled.root).problems == []


def test_a_part_in_the_wrong_folder_is_found(filled: FeatureStore, key: FeatureKey) -> None:
    other = replace(key, input_px=64)
    with filled.writer(other):
        pass
    stray = filled.folder(other) / list_parts(filled.folder(key))[0]
    stray.write_bytes((filled.folder(key) / stray.name).read_bytes())
    assert [problem.path for problem in verify_store(filled.root).problems] == [stray]


@pytest.mark.parametrize("clips_per_part", [1, 4, 8, 100])
def test_compacting_keeps_every_row_that_counts(
    filled: FeatureStore, key: FeatureKey, make_features: MakeFeatures, clips_per_part: int
) -> None:
    with filled.writer(key, clips_per_part=2) as writer:
        for row in [
            make_features("clip01", 2, "new"),
            make_features("clip02", 0),
            make_features("clip00", 3),
            make_features("later", 1, features=np.full((1, 8), 1e5, np.float32)),
        ]:
            writer.add(row)
    before, facts = contents(filled, key), filled.clips()

    features = compact_features(filled, key, clips_per_part)
    clips = compact_clips(filled, clips_per_part)

    assert contents(filled, key) == before
    assert filled.clips().equals(facts)
    assert filled.info(key).superseded == 0
    assert filled.info(key).parts == features.parts_after == len(list_parts(filled.folder(key)))
    assert features.rows_dropped == 3
    assert verify_store(filled.root).problems == []
    if clips_per_part == 100:
        # Rows with and without per-frame extras, and float32 ones, do not share a part.
        assert (features.parts_after, clips.parts_after) == (3, 1)


def test_an_open_reader_outlives_compacting(filled: FeatureStore, key: FeatureKey) -> None:
    before = contents(filled, key)
    reader = filled.reader(key)
    compact_features(FeatureStore.open(filled.root), key)
    for place, clip_id in enumerate(reader.ids):
        assert reader.row(place).features.tobytes() == before[clip_id][4]  # type: ignore[index]


def test_rows_that_were_added_while_compacting_stay_newer(
    filled: FeatureStore, key: FeatureKey, make_features: MakeFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    import store.maintenance.compact as compacting

    def require_sealed(path: Path) -> None:
        if not filled.missing(key, {"clip05": "a"}):
            with FeatureStore.open(filled.root).writer(key) as writer:
                writer.add(make_features("clip05", 2, "new"))

    monkeypatch.setattr(compacting, "require_sealed", require_sealed)
    compact_features(filled, key)
    assert filled.missing(key, {"clip05": "new"}) == []


def test_compacting_refuses_to_copy_damage(filled: FeatureStore, key: FeatureKey) -> None:
    part = filled.folder(key) / list_parts(filled.folder(key))[2]
    flip(part, part.stat().st_size - 1)
    names = list_parts(filled.folder(key))
    with pytest.raises(CorruptPartError, match=part.name):
        compact_features(filled, key)
    assert list_parts(filled.folder(key)) == names


def test_a_clock_that_runs_behind_does_not_make_new_rows_old(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    with store.writer(key) as writer:
        writer.add(make_features("a", 2, "old"))
    (name,) = list_parts(store.folder(key))
    ahead = store.folder(key) / "part-3ZZZZZZZZZ0000000000000000.h5"
    (store.folder(key) / name).rename(ahead)
    assert new_part_name(store.folder(key)) > ahead.name
    with store.writer(key) as writer:
        writer.add(make_features("a", 3, "new"))
    assert store.reader(key).fingerprints == ["new"]


def test_export_is_one_plain_padded_file(filled: FeatureStore, key: FeatureKey, tmp_path: Path) -> None:
    reader = filled.reader(key)
    export_features(reader, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        features, lengths = file["features"][()], file["n_frames"][()]
        assert file["clip_id"].asstr()[()].tolist() == reader.ids
        assert file["features"].attrs["tap_names"].tolist() == ["low", "high"]
    expected, mask = reader.batch(np.arange(len(reader)))
    np.testing.assert_array_equal(features, expected)
    np.testing.assert_array_equal(lengths, mask.sum(axis=1))


def test_sweeping_removes_what_no_recipe_wants(filled: FeatureStore, key: FeatureKey, tmp_path: Path) -> None:
    motion = replace(key, view={"name": "motion"})
    with filled.writer(motion):
        pass
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("heads:\n- kind: attention\n  sources: [tiny]\n")
    assert wanted_sources([recipe]) == {"tiny"}
    assert unwanted_keys(filled, ["tiny"]) == [motion]
    assert unwanted_keys(filled, [motion.folder]) == [key]
    assert unwanted_keys(filled, ["each"]) == []
    remove_key(filled, motion)
    assert filled.keys() == [key]
    assert not list(filled.root.glob(".removed-*"))


@pytest.mark.parametrize(
    "recipe",
    [
        "heads:\n- sources: [tiny]\n- kind: deviation\n",
        "heads:\n- sources: [tiny]\n- joined: true\n",
        "heads:\n- sources: [tiny]\n- sources:\n",
        "heads:\n- sources: each\n  without: [tiny]\n",
        "heads: []\n",
        "heads:\n",
        "folds: 5\n",
        "",
    ],
)
def test_a_head_that_names_no_sources_wants_each(
    filled: FeatureStore, key: FeatureKey, tmp_path: Path, recipe: str
) -> None:
    with filled.writer(replace(key, view={"name": "motion"})):
        pass
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert unwanted_keys(filled, wanted_sources([tmp_path / "recipe.yaml"])) == []


def test_one_of_several_recipes_is_enough_to_keep_features(
    filled: FeatureStore, key: FeatureKey, tmp_path: Path
) -> None:
    motion, other = replace(key, view={"name": "motion"}), replace(key, backbone="other")
    for each in (motion, other):
        with filled.writer(each):
            pass
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("heads:\n- &head\n  sources: [tiny]\n- <<: *head\n  name: again\n  view: whole\n")
    second.write_text("heads:\n- sources: [tiny+motion]\n")
    assert unwanted_keys(filled, wanted_sources([first, second])) == [other]


def test_a_run_keeps_the_features_that_its_heads_read(filled: FeatureStore, key: FeatureKey, tmp_path: Path) -> None:
    motion = replace(key, view={"name": "motion"})
    with filled.writer(motion):
        pass
    config = tmp_path / "config.yaml"
    config.write_text(f"recipe:\n  heads:\n  - sources: each\nsources:\n  attention-tiny: [{key.folder}]\n")
    assert unwanted_keys(filled, wanted_sources([config])) == [motion]


def test_the_beginning_of_a_folder_name_keeps_its_features(filled: FeatureStore, key: FeatureKey) -> None:
    motion = replace(key, view={"name": "motion"})
    with filled.writer(motion):
        pass
    assert unwanted_keys(filled, [motion.folder[:-4]]) == [key]


def test_a_name_that_may_mean_several_keeps_them_all(filled: FeatureStore, key: FeatureKey) -> None:
    sparse = replace(key, sampling={"mode": "fps", "fps": 0.5})
    with filled.writer(sparse):
        pass
    assert {each.source for each in filled.keys()} == {"tiny"}
    assert unwanted_keys(filled, ["tiny"]) == []


def test_nothing_is_unwanted_as_long_as_a_name_means_nothing(filled: FeatureStore) -> None:
    for name in ("tinny", ""):
        with pytest.raises(StoreNotFoundError, match=f"'{name}'.*tiny"):
            unwanted_keys(filled, ["tiny", name])


@pytest.mark.parametrize(
    "recipe",
    [
        "heads: [\n",
        "- attention\n",
        "heads: attention\n",
        "heads: [attention]\n",
        "heads:\n- sources: []\n",
        "heads:\n- sources: [12]\n",
        "heads:\n- sources: {tiny: yes}\n",
        "recipe: {}\nsources: [tiny]\n",
        "recipe: {}\n",
        "made: 2024-13-45\n",
    ],
)
def test_a_recipe_that_cannot_be_understood_is_named(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe)
    with pytest.raises(ConfigError, match=r"recipe\.yaml: "):
        wanted_sources([path])


def test_moved_clips_are_written_under_their_new_ids(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    with store.writer(key) as writer:
        for row in [make_features("old/a", 3, "one"), make_features("old/b", 2, "two"), make_features("old/c", 0)]:
            writer.add(row)
    moved = moved_clips(store, key, {"new/a": "one", "new/x": "three", "old/b": "two", "new/c": "a"})
    assert moved == {"new/a": "old/a"}
    assert relink_features(store, key, moved) == 1
    reader = store.reader(key)
    assert reader.ids == ["new/a", "old/a", "old/b", "old/c"]
    new, old = (reader.row(place) for place in (0, 1))
    assert new.features.tobytes() == old.features.tobytes()
    assert (new.status, new.fingerprint) == (Status.OK, "one")


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(filled: FeatureStore, key: FeatureKey) -> None:
    folder = filled.folder(key)
    living = folder / temporary_name()
    host = living.name.rsplit("-", 2)[0]
    dead = folder / f"{host}-{2**22 + 1}-{'0' * 16}"
    foreign = folder / f".tmp-elsewhere_00000000-1-{'0' * 16}"
    unrelated = folder / "notes.txt"
    for path in (living, dead, foreign, unrelated):
        path.write_text("half")

    assert repair_store(filled).removed == [dead]
    assert {path.exists() for path in (living, foreign, unrelated)} == {True}

    import os

    os.utime(foreign, (0, 0))
    with filled.writer(key):
        pass
    assert not foreign.exists()
    assert living.exists()
