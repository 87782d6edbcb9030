from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from numpy.typing import NDArray

from heads.data.labels import LabelTable
from heads.data.splitting.duplicates import ImageSummary, copies_across, merge_duplicate_groups, surplus_copies
from heads.data.splitting.folds import assign_folds
from heads.data.splitting.splits import find_copies
from heads.errors import FoldError
from heads.recipe import Recipe
from heads.workflows.job import prepare_job
from store.errors import UnknownClipError

BUSY = 0x5A3C_96E1_0FD2_B478


def looks(hashes: list[int], brightness: list[float] | None = None, motion: list[float] | None = None) -> ImageSummary:
    n_clips = len(hashes)
    return ImageSummary(
        image_hash=tuple(f"{value:016x}" for value in hashes),
        brightness=np.array(brightness or [0.4] * n_clips),
        contrast=np.full(n_clips, 0.2),
        motion=np.array(motion or [0.05] * n_clips),
    )


def unique(n_clips: int) -> list[str]:
    return [f"print {row}" for row in range(n_clips)]


def test_equal_files_join_their_sites() -> None:
    assert merge_duplicate_groups(["a", "a", "b", "c"], ["1", "2", "2", "3"]) == ("a + b", "a + b", "a + b", "c")


def test_joining_is_transitive_and_long_names_are_cut() -> None:
    joined = merge_duplicate_groups(["e", "a", "b", "b", "c", "c", "d", "d"], ["1", "1", "1", "2", "2", "3", "3", "4"])
    assert set(joined) == {"a + b + c + 2 more"}


def test_unknown_fingerprints_join_nothing() -> None:
    assert merge_duplicate_groups(["a", "b"], ["", ""]) == ("a", "b")


def test_a_copy_that_was_encoded_again_joins() -> None:
    assert merge_duplicate_groups(["a", "b"], unique(2), looks([BUSY, BUSY ^ 0b101])) == ("a + b", "a + b")


@pytest.mark.parametrize("bit", range(63))
def test_two_flipped_bits_are_found_wherever_they_are(bit: int) -> None:
    other = BUSY ^ (1 << bit) ^ (1 << 63)
    assert len(set(merge_duplicate_groups(["a", "b"], unique(2), looks([BUSY, other])))) == 1


@pytest.mark.parametrize(
    "different",
    [
        looks([BUSY, BUSY ^ 0b111]),
        looks([BUSY, BUSY], brightness=[0.4, 0.42]),
        looks([BUSY, BUSY], motion=[0.05, 0.06]),
        looks([BUSY, BUSY], brightness=[0.4, float("nan")]),
        looks([0, 0]),
        looks([0x8001, 0x8001]),
    ],
    ids=["three bits", "brightness", "motion", "unknown brightness", "no structure", "hardly any structure"],
)
def test_clips_that_share_a_background_only_stay_apart(different: ImageSummary) -> None:
    assert merge_duplicate_groups(["a", "b"], unique(2), different) == ("a", "b")


def brute_force(groups: list[str], facts: ImageSummary) -> list[set[str]]:
    values = np.array([int(text, 16) for text in facts.image_hash], np.uint64)
    joined = [{group} for group in sorted(set(groups))]
    for one in range(len(groups)):
        for other in range(one):
            bits = int(values[one] ^ values[other]).bit_count()
            bright = abs(facts.brightness[one] - facts.brightness[other]) <= 0.01 * max(
                facts.brightness[one], facts.brightness[other], 0.02
            )
            if bits <= 2 and bright:
                left = next(part for part in joined if groups[one] in part)
                right = next(part for part in joined if groups[other] in part)
                if left is not right:
                    joined.remove(right)
                    left |= right
    return joined


@pytest.mark.parametrize("seed", range(5))
def test_the_quick_search_finds_what_comparing_all_pairs_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"site {number:02d}" for number in rng.integers(0, 40, 300)]
    scenes = rng.integers(0, 1 << 63, 12)
    hashes = [int(scenes[rng.integers(12)]) ^ sum(1 << int(bit) for bit in set(rng.integers(0, 64, 3))) for _ in groups]
    facts = looks(hashes, brightness=rng.uniform(0.1, 0.9, 300).tolist())
    joined = merge_duplicate_groups(groups, unique(300), facts)
    parts: dict[str, set[str]] = {}
    for name, group in zip(joined, groups, strict=True):
        parts.setdefault(name, set()).add(group)
    assert sorted(map(sorted, parts.values())) == sorted(map(sorted, brute_force(groups, facts)))


def leaky_labels() -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Forty sites in pairs: the second of each pair holds copies of the first one's clips."""
    rng = np.random.default_rng(0)
    labels = np.tile((rng.random((100, 3)) < 0.4).astype(np.int64), (2, 1))
    groups = [f"site {row // 5}" for row in range(200)]
    return labels, groups, [f"print {row % 100}" for row in range(200)]


def test_planted_copies_across_sites_never_cross_folds() -> None:
    labels, groups, fingerprints = leaky_labels()
    careless = assign_folds(labels, groups, 5, 0).fold
    careful = assign_folds(labels, merge_duplicate_groups(groups, fingerprints), 5, 0).fold
    assert (careless[:100] != careless[100:]).any()  # the leak is there to be caught
    assert np.array_equal(careful[:100], careful[100:])


def test_looks_come_from_the_clip_table_by_id() -> None:
    table = pd.DataFrame(
        {
            "image_hash": ["aa", ""],
            "brightness_mean": [0.1, 0.2],
            "brightness_std": [0.3, 0.4],
            "motion_mean": [0, 1.0],
        },
        index=["x", "y"],
    )
    found = ImageSummary.from_clip_table(table, ["y", "x"])
    assert found.image_hash == ("", "aa")
    assert found.brightness.tolist() == [0.2, 0.1]
    with pytest.raises(UnknownClipError, match="'z'"):
        ImageSummary.from_clip_table(table, ["z"])


def test_wrong_input_gets_one_sentence() -> None:
    with pytest.raises(FoldError, match="2 groups, but 1 fingerprints"):
        merge_duplicate_groups(["a", "b"], ["1"])
    bad = ImageSummary(image_hash=("xyz",), brightness=np.zeros(1), contrast=np.zeros(1), motion=np.zeros(1))
    with pytest.raises(FoldError, match="image hash 'xyz' is not 16 hex digits"):
        merge_duplicate_groups(["a"], ["1"], bad)


def labelled(sites: list[str]) -> LabelTable:
    values = np.stack([np.arange(len(sites)) // 6 % 2, np.arange(len(sites)) // 12 % 2], axis=1).astype(np.uint8)
    ids = tuple(clip_ids(len(sites)))
    return LabelTable(ids=ids, classes=("hog", "lion"), values=values, sites=tuple(sites), origin="t.csv")


def test_a_black_clip_at_every_site_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    """36 clips of 6 sites; the first of each site is one file."""
    ids = clip_ids(36)
    labels = labelled(sites_of(ids))
    store = make_store(tmp_path / "store", labels.values, copies=range(6))
    with pytest.raises(
        FoldError,
        match=r"^folds: copies of clips join 6 sites into one group: 'site 0/000.mp4', 'site 1/001.mp4', .* and 1 more "
        r"are one clip; one group of labelled clips cannot fill 3 folds: leave them out with --leave-out-copies",
    ) as caught:
        prepare_job(store, labels, Recipe(folds=3))
    assert "leave the sites out" not in str(caught.value)
    job = prepare_job(store, labels, Recipe(folds=3), leave_out_copies=True)
    assert set(ids) - set(job.labels.ids) == set(ids[1:6])
    assert set(job.folds.groups) == set(sites_of(ids))
    assert any("5 clips are left out, neither learned from nor scored" in note for note in job.notes)
    assert any("such as 'site 1/001.mp4' of 'site 0/000.mp4'" in note for note in job.notes)


def test_sites_that_copies_join_are_said_where_folds_can_be_dealt_all_the_same(tmp_path: Path) -> None:
    labels = labelled(sites_of(clip_ids(36)))
    store = make_store(tmp_path / "store", labels.values, copies=(0, 1))
    job = prepare_job(store, labels, Recipe(folds=3))
    assert len(job.labels.ids) == 36
    assert len(set(job.folds.groups)) == 5
    [note] = [note for note in job.notes if "copies" in note]
    assert note.startswith(
        "copies of clips join 6 sites into 5 groups: 'site 0/000.mp4', 'site 1/001.mp4' are one clip;"
    )


def test_no_copy_is_left_across_sites_labelled_or_not(tmp_path: Path) -> None:
    ids = clip_ids(42)
    labels = labelled(sites_of(ids[:36]))
    values = np.concatenate([labels.values, np.zeros((6, 2), np.uint8)])
    store = make_store(tmp_path / "store", values, copies=(0, 1, 7, 36, 37, 38))  # sites 0, 1, 1, 0, 1, 2
    known = dict(zip(ids, sites_of(ids), strict=True))
    job = prepare_job(store, labels, Recipe(folds=3), sites=known, unlabelled=True, leave_out_copies=True)
    assert set(ids[:36]) - set(job.labels.ids) == {ids[0]}
    assert set(ids[36:]) - set(job.unlabelled.ids) == {ids[36], ids[38]}
    assert find_copies(job.labels, job.facts, job.unlabelled.ids, known).rows == ()


def test_copies_at_one_site_stay() -> None:
    assert copies_across(["a", "a", "b"], ["1", "1", "2"]) == ()
    assert copies_across(["a", "b", "b"], ["1", "2", "1"]) == ((0, 2),)
    assert surplus_copies(["a", "b", "b", "c"], [(0, 1, 2, 3)]) == {0: 1, 3: 1}
