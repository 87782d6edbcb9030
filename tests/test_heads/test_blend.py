import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from heads.blending.blend import Blend, blend_data
from heads.blending.blenders import find_blender
from heads.blending.blenders.registry import BLENDERS
from heads.cli import app
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds, assign_folds
from heads.errors import BlendError, RunError
from heads.evaluation.leaderboard import prior_predictions
from heads.evaluation.metrics import mean_log_loss
from heads.run import RunDirectory
from heads.workflows.blend import blend_run


def predictions(model: str, values: NDArray[np.float64], classes: tuple[str, ...] = ("hog", "lion")) -> Predictions:
    ids = tuple(f"c{row:04d}" for row in range(len(values)))
    return Predictions(ids=ids, classes=classes, probabilities=values, provenance={"model": model})


def table(values: NDArray[np.uint8]) -> LabelTable:
    return LabelTable(ids=tuple(f"c{row:04d}" for row in range(len(values))), classes=("hog", "lion"), values=values)


def folds_of(labels: LabelTable, n_folds: int = 4) -> Folds:
    return assign_folds(labels.values, None, n_folds, 0, ids=labels.ids)


def sample(n_clips: int = 80, seed: int = 0) -> LabelTable:
    return table((np.random.default_rng(seed).random((n_clips, 2)) < 0.3).astype(np.uint8))


# Those that look around clips want to be told what is there: tests/test_heads/test_nearby.py.
FAST = {blender.name: blender for blender in BLENDERS if blender.cost == "fast" and not blender.windows}
METHODS = [*FAST, "mean+calibrated", "greedy+calibrated"]
A = predictions("a", np.array([[0.2, 0.5], [0.9, 0.5]]))
B = predictions("b", np.array([[0.4, 0.5], [0.5, 0.8]]))


def test_mean_by_hand() -> None:
    blend = Blend(method="mean", models=("a", "b"), classes=("hog", "lion"))
    assert blend.apply([A, B]).probabilities == pytest.approx(np.array([[0.3, 0.5], [0.7, 0.65]]))


def test_mean_of_logits_by_hand() -> None:
    blend = Blend(method="mean_of_logits", models=("a", "b"), classes=("hog", "lion"))
    odds = np.sqrt(np.array([[0.25 * 2 / 3, 1.0], [9.0, 4.0]]))  # the geometric mean of the odds
    assert blend.apply([A, B]).probabilities == pytest.approx(odds / (1 + odds))


@pytest.mark.parametrize("method", METHODS)
def test_models_are_found_by_name_and_clips_by_id(method: str) -> None:
    labels = sample()
    rng = np.random.default_rng(1)
    oof = [predictions(name, rng.random((80, 2))) for name in ("a", "b", "c")]
    blend = blend_data(oof, labels, folds_of(labels)).fit(find_blender(method))
    straight = blend.apply(oof)
    turned = [each.select(each.ids[::-1]) for each in (oof[2], oof[0])]
    mixed = blend.apply([turned[0], oof[1], turned[1], predictions("stranger", rng.random((80, 2)))])
    assert mixed.ids == oof[2].ids[::-1]
    assert mixed.select(straight.ids).probabilities == pytest.approx(straight.probabilities)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_knows_one_class_only_takes_part_in_that_class(method: str) -> None:
    labels = sample()
    rng = np.random.default_rng(2)
    full, narrow = predictions("full", rng.random((80, 2))), predictions("narrow", rng.random((80, 1)), ("lion",))
    blended = blend_data([full, narrow], labels, folds_of(labels)).cross_fit(find_blender(method))
    assert blended.classes == ("hog", "lion")
    assert np.isfinite(blended.probabilities).all()


def test_a_class_known_to_one_model_is_that_model() -> None:
    narrow = predictions("narrow", np.array([[0.9], [0.1]]), ("lion",))
    blend = Blend(method="mean", models=("a", "narrow"), classes=("hog", "lion"))
    assert blend.apply([A, narrow]).probabilities == pytest.approx(np.array([[0.2, 0.7], [0.9, 0.3]]))


@pytest.mark.parametrize("method", METHODS)
def test_a_blend_survives_json(method: str) -> None:
    labels = sample()
    rng = np.random.default_rng(3)
    oof = [predictions(name, rng.random((80, 2))) for name in ("a", "b")]
    blend = blend_data(oof, labels, folds_of(labels)).fit(find_blender(method))
    again = Blend.from_json(json.loads(json.dumps(blend.to_json(), allow_nan=False)))
    assert np.array_equal(again.apply(oof).probabilities, blend.apply(oof).probabilities)


@pytest.mark.parametrize("method", METHODS)
def test_nested_scores_never_see_the_scored_fold(method: str) -> None:
    """Turning the labels of one fold around must not change what the blend says about that fold."""
    labels = sample()
    folds = folds_of(labels)
    rng = np.random.default_rng(4)
    oof = [predictions(name, rng.random((80, 2))) for name in ("a", "b", "c")]
    turned = labels.values.copy()
    turned[folds.fold == 2] = 1 - turned[folds.fold == 2]
    before = blend_data(oof, labels, folds).cross_fit(find_blender(method)).probabilities
    after = blend_data(oof, table(turned), folds).cross_fit(find_blender(method)).probabilities
    assert np.array_equal(before[folds.fold == 2], after[folds.fold == 2])


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_clips_does_not_matter(method: str) -> None:
    labels = sample()
    folds = folds_of(labels)
    rng = np.random.default_rng(5)
    oof = [predictions(name, rng.random((80, 2))) for name in ("a", "b")]
    order = [oof[0].ids[row] for row in rng.permutation(80)]
    straight = blend_data(oof, labels, folds).cross_fit(find_blender(method))
    shuffled = blend_data([oof[0].select(order), oof[1]], labels, folds).cross_fit(find_blender(method))
    assert shuffled.select(straight.ids).probabilities == pytest.approx(straight.probabilities, abs=1e-6)


def test_new_clips_are_blended_fold_by_fold() -> None:
    first = [predictions("a", np.array([[0.9, 0.5]])), predictions("b", np.array([[0.9, 0.5]]))]
    second = [predictions("a", np.array([[0.1, 0.5]])), predictions("b", np.array([[0.5, 0.5]]))]
    blend = Blend(method="mean_of_logits", models=("a", "b"), classes=("hog", "lion"))
    # 0.9 in the first fold; odds sqrt(1/9 * 1) = 1/3, so 0.25, in the second
    blended = blend.apply_to_folds([first, second])
    assert blended.probabilities == pytest.approx(np.array([[(0.9 + 0.25) / 2, 0.5]]))
    assert blended.fold is None
    with pytest.raises(BlendError, match="no predictions"):
        blend.apply_to_folds([])


def test_wrong_inputs_get_one_sentence() -> None:
    blend = Blend(method="mean", models=("a", "b"), classes=("hog", "lion"))
    with pytest.raises(BlendError, match="needs the predictions of 'b'"):
        blend.apply([A])
    with pytest.raises(BlendError, match="'c' and 'a' predict different clips: 1 are in one only, such as 'c0001'"):
        Blend(method="mean", models=("a", "c"), classes=("hog",)).apply([A, predictions("c", np.zeros((1, 2)))])
    with pytest.raises(BlendError, match="two models share a name"):
        blend_data([A, A], table(np.ones((2, 2), np.uint8)), folds_of(sample())).fit(find_blender("mean"))
    with pytest.raises(BlendError, match="nothing to blend"):
        blend_data([], sample(), folds_of(sample())).fit(find_blender("mean"))
    with pytest.raises(BlendError, match="no blender 'magic'; choose one of mean, mean_of_logits"):
        Blend.from_json({"method": "magic", "models": [], "classes": [], "parameters": {}})
    with pytest.raises(BlendError, match="there is no 'models'"):
        Blend.from_json({"method": "mean"})


def test_prior_is_of_the_training_part() -> None:
    labels = table(np.array([[1, 0], [0, 0], [1, 1], [0, 1]], np.uint8))
    folds = Folds(ids=labels.ids, fold=np.array([0, 0, 1, 1]), groups=("a", "b", "c", "d"), n_folds=2)
    prior = prior_predictions(labels, folds, labels.ids)
    assert prior.probabilities.tolist() == [[0.5, 1.0], [0.5, 1.0], [0.5, 0.0], [0.5, 0.0]]


def make_run(path: Path) -> RunDirectory:
    labels, run = sample(200), RunDirectory(path)
    folds = folds_of(labels)
    run.write_labels(labels)
    run.write_folds(folds)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        noisy = 1 / (1 + np.exp(-(4.0 * labels.values - 2 + rng.normal(0, 1.5, labels.values.shape))))
        run.write_oof(
            name, Predictions(ids=labels.ids, classes=labels.classes, probabilities=noisy, fold=folds.of(labels.ids))
        )
    return run


def test_blend_run_writes_what_the_report_needs(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    rows = blend_run(run, most_clips_for_trees=0)
    assert {row["name"] for row in rows} >= {"a", "b", "training prior", *FAST}
    assert [row["mean_log_loss"] for row in rows] == sorted(row["mean_log_loss"] for row in rows)
    assert sum(row["chosen"] for row in rows) == 1
    metrics = run.read_metrics()
    blended, labels = run.read_oof("blend"), run.read_labels()
    score = metrics["blends"][metrics["chosen"]]["mean_log_loss"]
    assert mean_log_loss(labels.select(blended.ids).values, blended.probabilities) == pytest.approx(score)
    assert score < metrics["heads"]["a"]["mean_log_loss"] < metrics["baselines"]["training prior"]["mean_log_loss"]
    assert Blend.from_json(run.read_blend()).method == metrics["chosen"]
    [choice] = [row for row in rows if row["kind"] == "choice"]
    assert (choice["name"], choice["chosen"]) == ("auto", False)
    assert choice["mean_log_loss"] >= score - 1e-9
    of_fold = {row["fold"]: row["blend"] for row in metrics["chosen_without_fold"]}
    assert set(of_fold) == set(run.read_folds().fold.tolist())
    assert set(of_fold.values()) <= set(metrics["blends"])


def test_a_blend_that_is_calibrated_already_may_be_chosen(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    rows = blend_run(
        run,
        also=[f"{name}+calibrated" for name in FAST if not name.endswith("+calibrated")],
        most_clips_for_trees=0,
    )
    assert sum(row["chosen"] for row in rows) == 1
    assert not any(row["name"].endswith("+calibrated+calibrated") for row in rows)


def test_blend_run_takes_the_method_it_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    rows = blend_run(run, "mean", most_clips_for_trees=0)
    assert "choice" not in {row["kind"] for row in rows}
    [chosen] = [row["name"] for row in rows if row["chosen"]]
    assert chosen == run.read_blend()["method"] == "mean"
    assert "greedy+calibrated" in {
        row["name"] for row in blend_run(run, "greedy+calibrated", most_clips_for_trees=0) if row["chosen"]
    }
    assert Blend.from_json(run.read_blend()).apply(run.read_all_oof()).classes == run.read_labels().classes
    with pytest.raises(BlendError, match="no blender 'median'"):
        blend_run(run, "median", most_clips_for_trees=0)


def test_wanted_precisions_and_recalls_are_the_users(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    blend_run(run, "mean", precision=(0.7,), recall=(0.6, 0.99), most_clips_for_trees=0)
    aims = {tuple((row["aim"], row["wanted"]) for row in rows) for rows in run.read_metrics()["thresholds"].values()}
    assert aims == {(("precision", 0.7), ("recall", 0.6), ("recall", 0.99))}
    with pytest.raises(BlendError, match=r"a wanted precision or recall of 80 is no share"):
        blend_run(run, "mean", precision=(80,), most_clips_for_trees=0)


def test_what_comes_next_says_what_it_cannot_know(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    done = CliRunner().invoke(app, ["blend", "--run", str(run.path), "--method", "mean"])
    assert done.exit_code == 0, done.output
    following = (
        f"next: heads report --run {run.path} --store STORE, where STORE is the path of the store it was trained"
    )
    assert following in done.stderr


def test_blend_run_needs_heads(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no head is trained"):
        blend_run(RunDirectory(tmp_path))
