"""What clips are seen against: written once, the oldest word counts, damage is found and set aside."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, SeenAgainst
from store.errors import CorruptPartError
from store.format.background_part import background_digest, background_folder
from store.format.network_file import add_network, choose_network, list_networks, network_folder
from store.maintenance.compact import compact_clips
from store.maintenance.repair import repair_store
from store.maintenance.sweep import carry_out, forget_backgrounds, plan_sweep
from store.maintenance.verify import verify_store

SETTINGS = {"background.alike": 0.35, "low_px": 160}
SHAPES = [(3, 4), (2, 5), (3, 4)]


def row(number: int, *others: str) -> SeenAgainst:
    picture = np.random.default_rng(number).integers(0, 256, SHAPES[number % 3]).astype(np.uint8)
    shifts = np.arange(2 * len(others), dtype=np.float32).reshape(-1, 2) / 4 - number
    return SeenAgainst(
        clip_id=f"sité {number}/a.mp4",
        fingerprint=f"{number:032x}",
        infrared=number % 2 == 1,
        picture=picture,
        others=others,
        shifts=shifts,
        digest=background_digest(SETTINGS, picture, [], shifts),
    )


def alike(one: SeenAgainst, other: SeenAgainst) -> bool:
    plain = {"picture": np.zeros(0, np.uint8), "shifts": np.zeros(0, np.float32)}
    return (
        replace(one, **plain) == replace(other, **plain)  # type: ignore[arg-type]
        and np.array_equal(one.picture, other.picture)
        and np.array_equal(one.shifts, other.shifts)
        and one.shifts.dtype == other.shifts.dtype
    )


@pytest.fixture
def filled(store: FeatureStore) -> FeatureStore:
    store.add_backgrounds(SETTINGS, [row(0, "a" * 32, "b" * 32), row(1), row(2, "c" * 32)])
    return store


def test_what_was_written_is_read_back(filled: FeatureStore) -> None:
    found = FeatureStore.open(filled.root).backgrounds(SETTINGS)
    assert list(found) == [f"{number:032x}" for number in range(3)]
    for given, name in zip([row(0, "a" * 32, "b" * 32), row(1), row(2, "c" * 32)], found, strict=True):
        assert alike(found[name], given)
    assert filled.backgrounds({**SETTINGS, "low_px": 80}) == {}
    assert verify_store(filled.root).problems == []
    assert verify_store(filled.root).parts == 1


def test_deployments_are_kept_where_they_were_said(filled: FeatureStore) -> None:
    filled.add_backgrounds(SETTINGS, [replace(row(3), deployment="Taï / 2"), row(4)])
    found = FeatureStore.open(filled.root).backgrounds(SETTINGS)
    assert [found[f"{number:032x}"].deployment for number in range(5)] == ["", "", "", "Taï / 2", ""]
    first, second = sorted(background_folder(filled.root, SETTINGS).glob("*.h5"))
    assert [b"deployment" in path.read_bytes() for path in (first, second)] == [False, True]
    assert verify_store(filled.root).problems == []


def test_of_several_rows_of_one_clip_the_oldest_counts(filled: FeatureStore) -> None:
    filled.add_backgrounds(SETTINGS, [row(1, "d" * 32), row(3)])
    found = filled.backgrounds(SETTINGS)
    assert len(found) == 4
    assert found[f"{1:032x}"].others == ()


def test_a_store_with_backgrounds_is_otherwise_as_it_was(
    filled: FeatureStore,
    key: FeatureKey,
    make_features: Callable[..., ClipFeatures],
    make_facts: Callable[..., ClipFacts],
) -> None:
    for number in range(2):
        with filled.writer(key) as writer, filled.clip_writer() as facts:
            writer.add(make_features(f"clip{number}"))
            facts.add(make_facts(f"clip{number}"))
    compact_clips(filled, 1)
    assert filled.keys() == [key]
    assert len(filled.clips()) == 2
    assert len(filled.backgrounds(SETTINGS)) == 3


@pytest.mark.parametrize("position", [5000, -200])
def test_damage_is_found_and_set_aside(filled: FeatureStore, position: int) -> None:
    (path,) = background_folder(filled.root, SETTINGS).glob("*.h5")
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    (problem,) = verify_store(filled.root).problems
    assert problem.path == path
    assert "its bytes are not those that were written" in problem.problem
    ((source, target, _),) = repair_store(filled).quarantined
    assert (source, target) == (path, filled.root / "quarantine" / path.relative_to(filled.root))
    assert verify_store(filled.root).problems == []
    assert filled.backgrounds(SETTINGS) == {}


def test_a_part_of_other_settings_is_refused(filled: FeatureStore) -> None:
    (path,) = background_folder(filled.root, SETTINGS).glob("*.h5")
    elsewhere = background_folder(filled.root, {"alike": 0.5})
    elsewhere.mkdir()
    (elsewhere / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CorruptPartError, match="it belongs to the settings"):
        filled.backgrounds({"alike": 0.5})


def test_the_digest_is_of_pictures_shifts_and_settings() -> None:
    own, other = row(0).picture, row(2).picture
    shifts = np.zeros((1, 2), np.float32)
    digests = {
        background_digest(SETTINGS, own, [other], shifts),
        background_digest(SETTINGS, other, [own], shifts),
        background_digest(SETTINGS, own, [other], shifts + 1),
        background_digest({"alike": 0.5}, own, [other], shifts),
        background_digest(SETTINGS, own.T, [other], shifts),
        background_digest(SETTINGS, own, [], shifts[:0]),
    }
    assert len(digests) == 6


def compared(key: FeatureKey) -> FeatureKey:
    return replace(key, view={"name": "animal", "boxes.margin": 1.2, **SETTINGS})


def test_refreshing_forgets_backgrounds_and_the_features_that_go_by_them(
    filled: FeatureStore, key: FeatureKey, make_features: Callable[..., ClipFeatures]
) -> None:
    for each in (key, compared(key)):
        with filled.writer(each) as writer:
            writer.add(make_features("clip"))
    assert forget_backgrounds(filled) == [compared(key)]
    assert filled.keys() == [key]
    assert filled.backgrounds(SETTINGS) == {}
    assert verify_store(filled.root).problems == []
    filled.add_backgrounds(SETTINGS, [row(4)])
    assert len(filled.backgrounds(SETTINGS)) == 1


def test_sweeping_takes_backgrounds_and_networks_that_no_features_are_left_of(
    filled: FeatureStore, key: FeatureKey, make_features: Callable[..., ClipFeatures]
) -> None:
    folder = network_folder(filled.root)
    quantised = [add_network(folder, "tiny", lambda path, each=each: path.write_bytes(each)) for each in (b"1", b"2")]
    for order, sha256 in zip(("tiny-a", "tiny-b"), quantised, strict=True):
        choose_network(folder, order, sha256)
    kept = replace(compared(key), precision="int8", quantised=quantised[0])
    with filled.writer(kept) as writer:
        writer.add(make_features("clip"))
    before = list_networks(folder)
    plan = plan_sweep(filled, ["each"], 30)
    assert {path.name for path in plan.orphans} == {f"tiny-{quantised[1][:12]}.zip", "tiny-b.json"}
    carry_out(filled, plan)
    assert {path.name for path in before} - {path.name for path in list_networks(folder)} == {
        path.name for path in plan.orphans
    }
    assert len(filled.backgrounds(SETTINGS)) == 3
    other = replace(key, backbone="other")
    with filled.writer(other) as writer:
        writer.add(make_features("clip"))
    carry_out(filled, plan_sweep(filled, ["other"], 30))
    assert (filled.keys(), filled.backgrounds(SETTINGS), list_networks(folder)) == ([other], {}, [])
    assert not plan_sweep(filled, ["each"], 30).is_worth_it
    assert verify_store(filled.root).problems == []
