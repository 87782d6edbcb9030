from typing import Any

import pytest

from heads.evaluation.verdicts import FEWEST_CLIPS, Use, Verdict, blank_threshold, species_verdict


def threshold(aim: str, wanted: float, right: float | None, found: float | None, low: float = 0.8) -> dict[str, Any]:
    return {
        "aim": aim,
        "wanted": wanted,
        "threshold": 0.3,
        "precision_interval": [low, 1.0],
        "honest_precision": right,
        "honest_recall": found,
    }


CHECK = threshold("recall", 0.9, 0.25, 0.85)


def verdict(sure: dict[str, Any], clips: int = 40, sites: int | None = 8) -> Verdict:
    rows = [threshold("precision", 0.8, 0.8, 0.9), sure, threshold("recall", 0.8, 0.5, 0.8), CHECK]
    return species_verdict("hog", clips, sites, 5, rows)


@pytest.mark.parametrize(
    ("sure", "use"),
    [
        (threshold("precision", 0.9, 0.86, 0.5), Use.ALONE),
        (threshold("precision", 0.9, 0.84, 0.5), Use.CHECKED),
        (threshold("precision", 0.9, 0.95, 0.49), Use.CHECKED),
        (threshold("precision", 0.9, 0.95, 0.9, low=0.7), Use.CHECKED),
        (threshold("precision", 0.9, None, 0.0), Use.CHECKED),
        (threshold("precision", 0.95, 0.86, 0.9) | {"threshold": None}, Use.CHECKED),
    ],
)
def test_answers_are_usable_alone_where_they_held_elsewhere(sure: dict[str, Any], use: Use) -> None:
    assert verdict(sure).use is use


def test_what_is_to_be_checked_says_how_much_that_is() -> None:
    found = verdict(threshold("precision", 0.9, 0.1, 0.1))
    assert (found.right, found.found, found.to_look_at) == (0.25, 0.85, round(0.85 * 40 / 0.25))


def test_too_few_says_how_many_more() -> None:
    sure = threshold("precision", 0.9, 1.0, 1.0)
    few = verdict(sure, clips=7, sites=3)
    assert (few.use, few.more_clips, few.more_sites) == (Use.TOO_FEW, FEWEST_CLIPS - 7, 2)
    assert verdict(sure, clips=FEWEST_CLIPS, sites=4).more_sites == 1
    assert verdict(sure, clips=FEWEST_CLIPS, sites=None).use is Use.ALONE


def test_without_a_threshold_there_is_none_to_name() -> None:
    found = species_verdict("hog", 40, 8, 5, [CHECK | {"threshold": None}])
    assert (found.use, found.threshold, found.to_look_at) == (Use.CHECKED, None, None)


@pytest.mark.parametrize(
    ("animals", "lost_elsewhere", "threshold"), [(100, 0.01, 0.7), (99, 0.01, None), (100, 0.03, None)]
)
def test_a_clip_is_surely_blank_only_where_the_loss_could_be_measured(
    animals: int, lost_elsewhere: float, threshold: float | None
) -> None:
    rows = [
        {"accepted": accepted, "threshold": 1 - 30 * accepted, "honest_lost": lost_elsewhere}
        for accepted in (0.01, 0.05)
    ]
    blend = {"n_clips": animals + 40, "per_class": {"blank": {"support": 40}}}
    assert blank_threshold({"chosen": "b", "blends": {"b": blend}, "blank_removal": rows}) == threshold


def test_no_clip_is_surely_blank_where_there_was_nothing_to_set_a_threshold_on() -> None:
    blend = {"n_clips": 200, "per_class": {"blank": {"support": 0}}}
    assert blank_threshold({"chosen": "b", "blends": {"b": blend}, "blank_removal": None}) is None
