"""What every blender promises, and what one that is written in the table of them gets for it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.blending.blend import Blend, blend_data
from heads.blending.blenders import (
    Blender,
    blenders_to_try,
    find_blender,
    known_blender,
    network,
    registry,
    single_label,
)
from heads.blending.blenders.calibrated import Calibrated
from heads.blending.blenders.protocol import Stack
from heads.blending.blenders.registry import BLENDERS
from heads.data.frame_statistics import FRAME_STATISTICS, spread_over_frames
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import assign_folds
from heads.report import render_report
from heads.run import RunDirectory
from heads.workflows.blend import blend_run

CLASSES = ("hog", "lion", "nobody's", "pig")
_N_CLIPS = 120


class Median(Blender):
    """The middle one of the models' answers."""

    name = "median"
    about = "the middle one of the answers"
    complexity = 0

    def fit(self, stack: Stack, labels: NDArray[np.uint8], fold: NDArray[np.int64]) -> dict[str, Any]:
        return {}

    def predict(self, stack: Stack, parameters: Mapping[str, Any]) -> NDArray[np.float64]:
        known = ~np.isnan(stack).all(axis=(0, 1))
        middle = np.full(stack.shape[1:], np.nan)
        middle[:, known] = np.nanmedian(stack[:, :, known], axis=0)
        return middle


def labels_and_folds() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    labels = (np.random.default_rng(0).random((_N_CLIPS, 4)) < (0.4, 0.25, 0.2, 0.05)).astype(np.uint8)
    return labels, assign_folds(labels, None, 3, 0).fold


def a_stack(blender: Blender, n_models: int, labels: NDArray[np.uint8]) -> Stack:
    """What a blender sees of models of which none knows the third class, and the last not the first either."""
    rng = np.random.default_rng(1)
    frames = 1 / (1 + np.exp(-(2.0 * labels - 1 + rng.normal(0, 1.2, (5, n_models, *labels.shape)))))
    stack = frames.mean(axis=0)
    if blender.takes_frames:
        spread = spread_over_frames(frames.astype(np.float32)).astype(np.float64)
        stack = np.concatenate([stack, spread.reshape(-1, *labels.shape)])
        assert len(stack) == n_models * (1 + len(FRAME_STATISTICS))
    if blender.windows:
        around = np.stack([np.roll(stack.mean(axis=0), 1 + place, axis=0) for place in range(len(blender.windows))])
        around[:, ::3] = np.nan  # clips without neighbours
        stack = np.concatenate([stack, around])
    stack[:, :, 2] = np.nan
    if n_models > 1:
        stack[n_models - 1 :: n_models, :, 0] = np.nan
    return stack


class BlenderContract:
    """Holds for every blender; whoever writes one inherits it and says in `blender` which."""

    @pytest.fixture
    def blender(self) -> Blender:
        raise NotImplementedError

    def test_its_parameters_are_json_and_predict_the_same_when_they_are_read(self, blender: Blender) -> None:
        labels, fold = labels_and_folds()
        stack = a_stack(blender, 3, labels)
        parameters = blender.fit(stack, labels, fold)
        read = json.loads(json.dumps(parameters, allow_nan=False))
        assert read == parameters
        np.testing.assert_array_equal(blender.predict(stack, read), blender.predict(stack, parameters))

    def test_predictions_are_probabilities_but_for_a_class_that_no_model_knows(self, blender: Blender) -> None:
        labels, fold = labels_and_folds()
        stack = a_stack(blender, 3, labels)
        said = blender.predict(stack, blender.fit(stack, labels, fold))
        assert said.shape == labels.shape
        assert np.isnan(said[:, 2]).all()
        known = np.delete(said, 2, axis=1)
        assert ((known >= 0) & (known <= 1)).all()

    def test_what_it_is_given_is_left_as_it_was(self, blender: Blender) -> None:
        labels, fold = labels_and_folds()
        stack = a_stack(blender, 3, labels)
        before = stack.copy(), labels.copy(), fold.copy()
        blender.predict(stack, blender.fit(stack, labels, fold))
        for given, as_it_was in zip((stack, labels, fold), before, strict=True):
            np.testing.assert_array_equal(given, as_it_was)

    def test_each_clip_is_answered_by_itself(self, blender: Blender) -> None:
        """Neither their order nor who else is asked about has a say; and no clips are no error."""
        labels, fold = labels_and_folds()
        stack = a_stack(blender, 3, labels)
        parameters = blender.fit(stack, labels, fold)
        said, order = blender.predict(stack, parameters), np.random.default_rng(2).permutation(_N_CLIPS)
        np.testing.assert_allclose(blender.predict(stack[:, order], parameters), said[order], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(blender.predict(stack[:, :7], parameters), said[:7], rtol=1e-6, atol=1e-9)
        assert blender.predict(stack[:, :0], parameters).shape == (0, 4)

    def test_of_one_model_it_keeps_what_is_likely_likely(self, blender: Blender) -> None:
        labels, fold = labels_and_folds()
        if blender.name.startswith("xgboost-single"):  # it is told one class a clip: here each clip has just one
            labels = labels * (labels.cumsum(axis=1) <= 1)
            labels[~labels.any(axis=1), 0] = 1
        stack = a_stack(blender, 1, labels)
        said = blender.predict(stack, blender.fit(stack, labels, fold))
        for column in (0, 1, 3):
            assert np.isfinite(said[:, column]).all()
            assert np.corrcoef(stack[0, :, column], said[:, column])[0, 1] > 0.5

    def test_weights_are_one_for_each_model_and_add_up_to_one(self, blender: Blender) -> None:
        labels, fold = labels_and_folds()
        stack = a_stack(blender, 2, labels)[:, :, [1, 3]]  # the classes that both of them know
        weights = blender.model_weights(blender.fit(stack, labels[:, [1, 3]], fold), ("a", "b"))
        if weights is not None:
            assert list(weights) == ["a", "b"]
            assert sum(weights.values()) == pytest.approx(1)

    def test_it_says_what_it_is(self, blender: Blender) -> None:
        assert blender.name == blender.name.strip().lower()
        assert blender.about
        assert blender.complexity >= 0
        assert isinstance(blender.missing(), str)


class TestEveryBlender(BlenderContract):
    @pytest.fixture(
        params=[
            pytest.param(each, id=each.name, marks=[pytest.mark.slow] if each.needs_keras else [])
            for each in (*BLENDERS, Calibrated(find_blender("greedy_per_class")), Calibrated(known_blender("lightgbm")))
        ]
    )
    def blender(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Blender:
        monkeypatch.setattr(network, "_BAGS", 2)
        monkeypatch.setattr(network, "_UNITS", 32)
        monkeypatch.setattr(single_label, "_ROUNDS", 40)
        blender: Blender = request.param
        if blender.missing():
            pytest.skip(blender.missing())
        return blender


class TestABlenderOfSomebodyElse(BlenderContract):
    @pytest.fixture
    def blender(self) -> Blender:
        return Median()


def test_names_are_all_different_and_the_simplest_come_first() -> None:
    names = [blender.name for blender in BLENDERS]
    assert len(set(names)) == len(names)
    always = [blender.complexity for blender in BLENDERS if blender.cost == "fast"]
    assert always[0] == 0
    assert max(always) < min(blender.complexity for blender in BLENDERS if blender.cost != "fast")


def a_run(path: Path) -> RunDirectory:
    """Each of three models is wrong about clips of its own, and very sure: means suffer, the median does not."""
    rng, run = np.random.default_rng(3), RunDirectory(path)
    values = (rng.random((300, 2)) < 0.3).astype(np.uint8)
    labels = LabelTable(ids=tuple(f"c{row:04d}" for row in range(300)), classes=("hog", "lion"), values=values)
    folds = assign_folds(values, None, 3, 0, ids=labels.ids)
    run.write_labels(labels)
    run.write_folds(folds)
    for place, name in enumerate("abc"):
        said = 1 / (1 + np.exp(-(5.0 * values - 2.5 + rng.normal(0, 1.5, values.shape))))
        wrong = np.arange(300) % 30 == 10 * place
        said[wrong] = np.where(values[wrong] == 1, 1e-5, 1 - 1e-5)
        run.write_oof(
            name, Predictions(ids=labels.ids, classes=labels.classes, probabilities=said, fold=folds.of(labels.ids))
        )
    return run


def test_a_blender_is_added_by_its_row_in_the_table_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BLENDERS", (*BLENDERS, Median()))
    run = a_run(tmp_path / "run")
    rows = {row["name"]: row for row in blend_run(run, most_clips_for_trees=0)}
    metrics = run.read_metrics()
    assert metrics["chosen"].removesuffix("+calibrated") == "median"
    assert rows["median"]["mean_log_loss"] < 0.9 * rows["mean"]["mean_log_loss"]
    for name in ("median", "median+calibrated"):
        blend_run(run, name, most_clips_for_trees=0)
        assert Blend.from_json(run.read_blend()).method == run.read_metrics()["chosen"] == name
        page = render_report(run).html
        assert f"{name} · chosen" in page
        assert "the middle one of the answers" in page
        assert f"{metrics['blends'][name]['mean_log_loss']:.4f}" in page


def test_a_blender_that_is_missing_something_or_costs_much_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent(Median):
        name = "absent"

        def missing(self) -> str:
            return "its library is not installed"

    class Asked(Median):
        name = "asked"
        cost = "asked"

    class AlsoAsked(Asked):
        name = "also asked"

    class Small(Median):
        name = "small"
        cost = "small tables"

    monkeypatch.setattr(registry, "BLENDERS", (Median(), Absent(), Asked(), AlsoAsked(), Small()))
    tried, notes = blenders_to_try(51, most_clips_for_trees=50)
    assert list(tried) == ["median"]
    assert notes == [
        "not tried: absent (its library is not installed)",
        "not tried: asked, also asked (minutes each; --also NAME tries one)",
        "not tried: small (slow on more than 50 clips; --also NAME tries it)",
    ]
    assert list(blenders_to_try(50, ["asked"], most_clips_for_trees=50)[0]) == ["median", "small", "asked"]


def test_a_blender_that_calibrates_itself_is_not_calibrated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sure(Median):
        is_calibrated = True

    run = a_run(tmp_path / "run")
    monkeypatch.setattr(registry, "BLENDERS", (find_blender("greedy"), Median()))
    assert "median+calibrated" in {row["name"] for row in blend_run(run)}
    monkeypatch.setattr(registry, "BLENDERS", (find_blender("greedy"), Sure()))
    assert "median+calibrated" not in {row["name"] for row in blend_run(run)}


def test_a_blend_finds_its_blender_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BLENDERS", (Median(),))
    labels, _ = labels_and_folds()
    table = LabelTable(ids=tuple(map(str, range(_N_CLIPS))), classes=CLASSES, values=labels)
    folds = assign_folds(labels, None, 3, 0, ids=table.ids)
    rng = np.random.default_rng(4)
    oof = [
        Predictions(ids=table.ids, classes=CLASSES, probabilities=rng.random(labels.shape), provenance={"model": name})
        for name in "abc"
    ]
    blend = Blend.from_json(json.loads(json.dumps(blend_data(oof, table, folds).fit(Median()).to_json())))
    middle = np.median([each.probabilities for each in oof], axis=0)
    np.testing.assert_array_equal(blend.apply(oof).probabilities, middle)


def test_trees_that_are_told_one_class_a_clip_share_one_certainty_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published so: of a clip that shows two species they say neither is likely, as boosters of each class do not."""
    monkeypatch.setattr(single_label, "_ROUNDS", 60)
    rng = np.random.default_rng(5)
    labels = np.zeros((300, 3), np.uint8)
    labels[np.arange(300), np.arange(300) % 3] = 1
    labels[:60, :2] = 1  # both species
    stack = 1 / (1 + np.exp(-(4.0 * labels - 2 + rng.normal(0, 0.3, (2, *labels.shape)))))
    fold = np.arange(300) % 3
    single, each = (find_blender(name) for name in ("xgboost-single", "xgboost"))
    said = single.predict(stack, single.fit(stack, labels, fold))
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-5)
    assert said[60:][labels[60:] == 1].mean() > 0.8
    both = (labels[:, :2].sum(axis=1) == 2) & (labels[:, 2] == 0)
    assert said[both, :2].min(axis=1).max() < 0.5
    assert each.predict(stack, each.fit(stack, labels, fold))[both, :2].min(axis=1).mean() > 0.8
