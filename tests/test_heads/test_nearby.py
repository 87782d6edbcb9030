"""What is said of the clips around a clip: which they are, that nothing leaks, and that it helps where animals stay."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.blending.blend import Blend, BlendData, blend_data
from heads.blending.blenders import find_blender
from heads.data.labels import LabelTable
from heads.data.nearby import WINDOWS, WINDOWS_APART, Nearby, Window, nearby
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds
from heads.errors import BlendError
from heads.evaluation.metrics import mean_log_loss

START = datetime(2026, 5, 1, 6)


def at(seconds: Mapping[str, float]) -> dict[str, datetime]:
    return {name: START + timedelta(seconds=each) for name, each in seconds.items()}


def told(around: Nearby, window: Window) -> list[float | None]:
    """The mean over neighbours of numbers 1, 2, 4, 8 and so on, which tells which they are."""
    values = 2.0 ** np.arange(len(around.at))[:, None]
    (means,) = around.means(values, [window])
    return [None if np.isnan(each) else float(each) for each in means[:, 0]]


def test_windows_hold_the_clips_around_and_not_the_clip_itself() -> None:
    ids = ["p/a", "p/b", "p/c", "p/d", "q/e"]
    clock = at({"p/a": 0, "p/b": 50, "p/c": 100, "p/d": 4000, "q/e": 60})
    around = nearby(ids, sites={}, clock=clock, side=lambda _: 0, marks={})
    assert told(around, Window(within_s=60)) == [2, (1 + 4) / 2, 2, None, None]
    assert told(around, Window(within_s=600)) == [(2 + 4) / 2, (1 + 4) / 2, (1 + 2) / 2, None, None]
    assert told(around, Window(count=1)) == [2, (1 + 4) / 2, (2 + 8) / 2, 4, None]
    assert told(around, Window(count=10)) == [14 / 3, 13 / 3, 11 / 3, 7 / 3, None]
    assert told(around, Window(within_s=600, beyond_s=60)) == [4, None, 1, None, None]
    assert told(around, Window(count=1, beyond_s=60)) == [4, 8, (1 + 8) / 2, 4, None]
    assert told(around, Window(within_s=1e6)) == told(around, Window(count=10))


def test_clips_of_another_side_copies_and_clips_without_a_time_are_no_neighbours() -> None:
    ids = ["p/a", "p/b", "p/c", "p/d", "p/e"]
    clock = at({"p/a": 0, "p/b": 10, "p/c": 20, "p/d": 30})
    side = {"p/a": 0, "p/b": 1, "p/c": 0, "p/d": 0, "p/e": 0}
    around = nearby(ids, sites={}, clock=clock, side=side.__getitem__, marks={"p/a": "x", "p/c": "x", "p/d": "y"})
    assert told(around, Window(within_s=600)) == [8, None, 8, (1 + 4) / 2, None]
    assert told(around, Window(count=1)) == [None, None, 8, 4, None]


def test_without_any_time_clips_follow_each_other_by_their_names_in_their_folder() -> None:
    ids = ["p/3", "p/1", "q/1", "p/2"]
    around = nearby(ids, sites={}, clock={}, side=lambda _: 0, marks={})
    assert told(around, Window(count=1)) == [8, 8, None, (1 + 2) / 2]
    assert told(around, Window(within_s=600)) == [None] * 4
    assert told(around, Window(count=1, beyond_s=60)) == [None] * 4
    by_site = nearby(ids, sites=dict.fromkeys(ids, "s"), clock={}, side=lambda _: 0, marks={})
    assert told(by_site, Window(count=1))[2] == 1


def visits(seed: int, *, burst_s: float) -> tuple[BlendData, NDArray[np.uint8]]:
    """Animals that stay for six clips at eight places, and two models that see them poorly on each."""
    rng = np.random.default_rng(seed)
    clips = 8 * 60
    ids = tuple(f"place {number // 60}/{number:04d}.mp4" for number in range(clips))
    shows = np.repeat(rng.random((clips // 6, 2)) < 0.3, 6, axis=0)
    values = np.concatenate([~shows.any(axis=1, keepdims=True), shows], axis=1).astype(np.uint8)
    labels = LabelTable(ids=ids, classes=("blank", "deer", "hog"), values=values, origin="made")
    fold = np.arange(clips) // 60 % 4
    folds = Folds(ids=ids, fold=fold, groups=tuple(f"{number // 60}" for number in range(clips)), n_folds=4)
    oof = [
        Predictions(
            ids=ids,
            classes=labels.classes,
            probabilities=1 / (1 + np.exp(-(2.0 * values - 1.5 + rng.normal(0, 1.5, values.shape)))),
            fold=fold,
            provenance={"model": name},
        )
        for name in ("one", "two")
    ]
    times = at({name: burst_s * (number % 6) + 36_000 * (number // 6) for number, name in enumerate(ids)})
    side = dict(zip(ids, fold.tolist(), strict=True))
    data = blend_data(oof, labels, folds)
    around = nearby(ids, sites={}, clock=times, side=side.__getitem__, marks={})
    return replace(data, around=around), values


def losses(data: BlendData, values: NDArray[np.uint8]) -> dict[str, float]:
    names = ("mean_of_logits", "logistic", "neighbours", "neighbours-apart")
    return {name: mean_log_loss(values, data.cross_fit(find_blender(name)).probabilities) for name in names}


def test_where_animals_stay_for_several_clips_their_neighbours_help() -> None:
    by_minutes = losses(*visits(0, burst_s=300.0))
    assert by_minutes["neighbours"] < 0.85 * min(by_minutes["mean_of_logits"], by_minutes["logistic"])
    assert by_minutes["neighbours-apart"] < 0.85 * by_minutes["logistic"]
    bursts = losses(*visits(0, burst_s=8.0))
    assert bursts["neighbours"] < 0.85 * bursts["logistic"]
    assert bursts["neighbours-apart"] > 0.97 * bursts["logistic"]


def test_neighbours_that_tell_nothing_do_little_harm() -> None:
    data, values = visits(1, burst_s=300.0)
    assert data.around is not None
    mixed = data.around.at.copy()
    np.random.default_rng(2).shuffle(mixed)
    found = losses(replace(data, around=replace(data.around, at=mixed)), values)
    assert found["neighbours"] < found["logistic"] + 0.015


def test_a_blend_is_read_as_it_was_written_and_knows_its_windows() -> None:
    data, _ = visits(3, burst_s=300.0)
    fitted = data.fit(find_blender("neighbours"))
    spec = json.loads(json.dumps(fitted.to_json()))
    again = Blend.from_json(spec)
    said = [
        Predictions(ids=data.ids, classes=data.classes, probabilities=layer, provenance={"model": name})
        for name, layer in zip(data.models, data.stack, strict=True)
    ]
    alone, placed = again.apply(said), again.apply(said, lambda _: data.around)  # type: ignore[arg-type, return-value]
    assert not np.allclose(alone.probabilities, placed.probabilities)
    np.testing.assert_array_equal(placed.probabilities, fitted.apply(said, lambda _: data.around).probabilities)  # type: ignore[arg-type, return-value]
    spec["windows"][0]["within_s"] = 30.0
    with pytest.raises(BlendError, match="other windows of time"):
        Blend.from_json(spec)
    assert len(WINDOWS) == len(WINDOWS_APART) + 1


def test_a_calibrated_blend_looks_around_where_the_other_does() -> None:
    data, _ = visits(1, burst_s=300.0)
    assert data.around is not None
    mixed = data.around.at.copy()
    np.random.default_rng(2).shuffle(mixed)
    for method in ("neighbours", "neighbours+calibrated"):
        assert data.fit(find_blender(method)).looks_around
        shuffled = replace(data, around=replace(data.around, at=mixed))
        assert not shuffled.fit(find_blender(method)).looks_around
    assert not data.fit(find_blender("logistic+calibrated")).looks_around
