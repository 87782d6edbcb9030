import numpy as np
import pytest

from heads.evaluation.blank_removal import blank_removal, fewest_animals, none_lost_allows, removal_curve

BLANK = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3])
IS_BLANK = np.array([True, True, False, True, False, False])


def test_curve_by_hand() -> None:
    curve = removal_curve(BLANK, IS_BLANK)
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.6, 0.4, 0.3]
    assert curve.animals_lost == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    assert curve.blanks_dropped == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1, 1, 1])
    assert curve.at(0.0) == pytest.approx((0.8, 2 / 3))
    assert curve.at(0.34) == pytest.approx((0.6, 1.0))


def test_equal_probabilities_fall_together() -> None:
    curve = removal_curve(np.array([0.9, 0.5, 0.5]), np.array([True, True, False]))
    assert curve.at(0.0) == pytest.approx((0.9, 0.5))


def test_nothing_is_dropped_where_an_animal_looks_most_blank() -> None:
    assert removal_curve(np.array([0.9, 0.8]), np.array([False, True])).at(0.05) == (np.inf, 0.0)


def test_weights_count_clips_several_times() -> None:
    weighted = removal_curve(BLANK, IS_BLANK, np.array([1.0, 3, 1, 1, 1, 0]))
    repeated = removal_curve(np.repeat(BLANK, [1, 3, 1, 1, 1, 0]), np.repeat(IS_BLANK, [1, 3, 1, 1, 1, 0]))
    for accepted in (0.0, 0.4, 0.5, 1.0):
        assert weighted.at(accepted)[1] == pytest.approx(repeated.at(accepted)[1])


def test_intervals_hold_the_share_and_honest_figures_come_from_other_folds() -> None:
    rng = np.random.default_rng(0)
    site = rng.integers(0, 40, 2000)
    is_blank = rng.random(2000) < 0.5
    blank = 1 / (1 + np.exp(-(3.0 * is_blank - 1.5 + rng.normal(0, 1.2, 2000) + rng.normal(0, 0.5, 40)[site])))
    groups = [f"s{number}" for number in site]
    removals = blank_removal(blank, is_blank, site % 5, groups)
    assert [removal.accepted for removal in removals] == [0.01, 0.05, 0.1]
    assert [removal.dropped for removal in removals] == sorted(removal.dropped for removal in removals)
    for removal in removals:
        assert removal.low <= removal.dropped <= removal.high
        assert removal.high - removal.low > 0.01
        assert abs(removal.honest_lost - removal.accepted) < 0.05
    assert removals == blank_removal(blank, is_blank, site % 5, groups)


def test_sites_as_units_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    site = rng.integers(0, 12, 1200)
    is_blank = rng.random(1200) < 0.5
    blank = 1 / (1 + np.exp(-(2.0 * is_blank + rng.normal(0, 1, 1200) + rng.normal(0, 1.5, 12)[site])))
    by_site = blank_removal(blank, is_blank, site % 4, [str(number) for number in site])[1]
    by_clip = blank_removal(blank, is_blank, site % 4, [str(row) for row in range(1200)])[1]
    assert by_site.high - by_site.low > 1.3 * (by_clip.high - by_clip.low)


def test_few_animals_that_none_is_lost_of_still_allow_a_loss() -> None:
    assert [fewest_animals(share) for share in (0.01, 0.05, 0.10, 0.03)] == [100, 20, 10, 34]
    for animals in (1, 24, 299):
        assert (1 - none_lost_allows(animals)) ** animals == pytest.approx(0.05)
    assert none_lost_allows(24) == pytest.approx(0.117, abs=5e-4)
