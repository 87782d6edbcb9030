import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.data.splitting.folds import Folds, assign_folds, balance_table
from heads.errors import FoldError
from store.errors import UnknownClipError


def random_labels(n_clips: int, n_classes: int, seed: int, density: float = 0.05) -> NDArray[np.int64]:
    """A multi-label table with a tail: class frequencies fall off steeply, labels overlap."""
    rng = np.random.default_rng(seed)
    frequency = np.clip(density * rng.lognormal(0, 1.2, n_classes), 2 / n_clips, 0.6)
    labels = (rng.random((n_clips, n_classes)) < frequency).astype(np.int64)
    return labels[:, labels.any(axis=0)]


def misfit(labels: NDArray[np.int64], fold: NDArray[np.int64], n_folds: int) -> NDArray[np.float64]:
    """Each class's mean distance from an even share, in clips."""
    per_fold = np.stack([labels[fold == number].sum(axis=0) for number in range(n_folds)])
    return np.abs(per_fold - labels.sum(axis=0) / n_folds).mean(axis=0)


@settings(max_examples=60, deadline=None)
@given(
    n_groups=st.integers(5, 60),
    group_size=st.integers(1, 12),
    n_classes=st.integers(1, 12),
    n_folds=st.integers(3, 5),
    seed=st.integers(0, 10_000),
)
def test_groups_stay_whole_and_every_spread_class_can_be_trained(
    n_groups: int, group_size: int, n_classes: int, n_folds: int, seed: int
) -> None:
    labels = random_labels(n_groups * group_size, n_classes, seed)
    rng = np.random.default_rng(seed)
    groups = [
        f"site {number}" for number in np.r_[np.arange(n_groups), rng.integers(0, n_groups, len(labels) - n_groups)]
    ]
    folds = assign_folds(labels, groups, n_folds, seed)
    assert set(folds.fold.tolist()) == set(range(n_folds))
    assert all(len(set(folds.fold[np.array(groups) == group])) == 1 for group in set(groups))
    table = balance_table(labels, folds, [f"c{column}" for column in range(labels.shape[1])])
    assert (table.loc[table["groups"] >= n_folds, "untrained_folds"] == 0).all()


@settings(max_examples=40, deadline=None)
@given(n_clips=st.integers(20, 400), n_classes=st.integers(1, 10), seed=st.integers(0, 10_000))
def test_single_clips_are_dealt_nearly_evenly(n_clips: int, n_classes: int, seed: int) -> None:
    labels = random_labels(n_clips, n_classes, seed)
    fold = assign_folds(labels, None, 5, seed).fold
    assert np.ptp(np.bincount(fold, minlength=5)) <= 3
    per_fold = np.stack([labels[fold == number].sum(axis=0) for number in range(5)])
    assert (np.ptp(per_fold, axis=0) <= 4).all()


def test_the_same_seed_gives_the_same_folds_and_another_seed_others() -> None:
    labels = random_labels(300, 8, 1)
    first, again, other = (assign_folds(labels, None, 5, seed).fold for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_folds_do_not_depend_on_how_groups_are_called_in_which_row() -> None:
    labels, groups = random_labels(200, 6, 2), [f"s{row % 17}" for row in range(200)]
    order = np.random.default_rng(0).permutation(200)
    straight = assign_folds(labels, groups, 4, 0).fold
    shuffled = assign_folds(labels[order], [groups[row] for row in order], 4, 0).fold
    assert np.array_equal(straight[order], shuffled)


def test_a_class_that_would_fit_one_fold_is_spread() -> None:
    # five sites hold all lions; a dealing by size alone could put them together
    sites = np.repeat(np.arange(25), 4)
    labels = np.zeros((100, 2), np.int64)
    labels[:, 0] = 1
    labels[sites < 5, 1] = 1
    folds = assign_folds(labels, [str(site) for site in sites], 5, 0)
    assert sorted(set(folds.fold[sites < 5].tolist())) == [0, 1, 2, 3, 4]


def test_one_huge_site_does_not_break_the_rest() -> None:
    groups = ["huge"] * 500 + [f"s{row % 20}" for row in range(500)]
    labels = random_labels(1000, 5, 3)
    folds = assign_folds(labels, groups, 5, 0)
    sizes = np.bincount(folds.fold, minlength=5)
    home = folds.fold[0]
    assert sizes[home] == 500
    assert np.ptp(np.delete(sizes, home)) <= 30


def test_rare_classes_are_reported() -> None:
    labels = np.zeros((20, 2), np.int64)
    labels[:, 0] = 1
    labels[:3, 1] = 1
    groups = [f"s{row // 2}" for row in range(20)]
    folds = assign_folds(labels, groups, 5, 0, classes=("hog", "lion"))
    table = balance_table(labels, folds, ["hog", "lion"])
    assert table.loc["lion", ["clips", "groups"]].tolist() == [3, 2]
    assert table["rare"].tolist() == [False, True]
    assert table.loc["hog", [f"fold_{fold}" for fold in range(5)]].sum() == 20
    assert table.loc["lion", "untrained_folds"] == 0


def test_lonely_class_is_untrained_in_its_own_fold() -> None:
    labels = np.eye(6, 2, dtype=np.int64)
    table = balance_table(labels, assign_folds(labels, None, 3, 0), ["a", "b"])
    assert table["untrained_folds"].tolist() == [1, 1]


def test_too_few_groups() -> None:
    with pytest.raises(FoldError, match=r"2 groups \('a', 'b'\) cannot fill 5 folds .* at most 2 folds"):
        assign_folds(np.ones((4, 1)), ["a", "a", "b", "b"], 5, 0)
    with pytest.raises(FoldError, match=r"one group \('a'\).*; label clips of more sites, or leave the sites out"):
        assign_folds(np.ones((4, 1)), ["a"] * 4, 5, 0)


def test_impossible_folds_are_refused_by_class_name() -> None:
    # three sites, three species, each at two sites: with two folds one species always falls into one fold
    labels = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])
    with pytest.raises(FoldError, match=r"every clip of '(hog|lion|pig)' into one fold"):
        assign_folds(labels, ["a", "b", "c"], 2, 0, classes=("hog", "lion", "pig"))


@pytest.mark.parametrize(("n_clips", "n_sites"), [(60, 9), (300, 9), (300, 12), (450, 12)])
def test_many_equally_rare_classes_are_dealt_and_a_few_at_most_are_untrained(n_clips: int, n_sites: int) -> None:
    rng, n_classes = np.random.default_rng(0), 150
    labels = np.zeros((n_clips, n_classes), np.int64)
    for column in range(n_classes):
        labels[rng.choice(n_clips, 3, replace=False), column] = 1
    sites = [f"site {number}" for number in rng.integers(0, n_sites, n_clips)]
    folds = assign_folds(labels, sites, 3, 0)
    table = balance_table(labels, folds, [str(column) for column in range(n_classes)])
    assert ((table["untrained_folds"] > 0) & (table["groups"] >= 3)).sum() <= 0.05 * n_classes
    assert len(set(zip(sites, folds.fold.tolist(), strict=True))) == len(set(sites))


@pytest.mark.parametrize(
    ("labels", "groups", "n_folds", "message"),
    [
        (np.ones((4, 1)), None, 1, "at least 2"),
        (np.ones((4, 1)), ["a", "b"], 2, r"labels are \(4, 1\), but there are 2 groups"),
        (np.ones(4), None, 2, r"labels are \(4,\)"),
    ],
)
def test_wrong_shapes(labels: NDArray[np.float64], groups: list[str] | None, n_folds: int, message: str) -> None:
    with pytest.raises(FoldError, match=message):
        assign_folds(labels, groups, n_folds, 0)


def test_folds_join_by_id() -> None:
    folds = Folds(ids=("a", "b"), fold=np.array([1, 0]), groups=("s", "t"), n_folds=2)
    assert folds.of(["b", "a"]).tolist() == [0, 1]
    assert folds.group_of(["b"]) == ("t",)
    with pytest.raises(UnknownClipError, match="'z'"):
        folds.of(["z"])


def test_better_balanced_than_the_usual_library() -> None:
    stratifiers = pytest.importorskip("iterstrat.ml_stratifiers", reason="iterative-stratification is not installed")
    ours, theirs = [], []
    for seed in range(12):
        labels = random_labels(400 + 200 * (seed % 4), 24, seed, density=0.08)
        fold = np.zeros(len(labels), np.int64)
        split = stratifiers.MultilabelStratifiedKFold(5, shuffle=True, random_state=seed).split(labels, labels)
        for number, (_, scored) in enumerate(split):
            fold[scored] = number
        ours.append(misfit(labels, assign_folds(labels, None, 5, seed).fold, 5).mean())
        theirs.append(misfit(labels, fold, 5).mean())
    assert all(mine <= other + 1e-9 for mine, other in zip(ours, theirs, strict=True))
    assert np.mean(ours) < 0.8 * np.mean(theirs)
