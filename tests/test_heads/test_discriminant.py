"""Discriminants: the algebra, the calibration, and that nothing is fitted to what it is scored on."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from made_store import DIM, clip_ids, made_key, make_store, sites_of
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from training import train_run

from heads.data.features.readers import ConcatenatedReader, columns_of_last_taps
from heads.data.frame_statistics import FRAME_STATISTICS
from heads.data.labels import LabelTable
from heads.data.splitting.folds import Folds
from heads.evaluation.metrics import mean_log_loss
from heads.models.explain.attribution import weigh_frames
from heads.models.explain.scoring import heads_to_score, score_frames
from heads.models.kinds import discriminant_calibration
from heads.models.kinds.discriminant import Discriminant, add_sums, fit_discriminant, sums_of
from heads.models.kinds.discriminant_calibration import fit_calibration
from heads.models.layers import Standardise, let_compete, signed_root
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head

CONFIG = HeadConfig(kind="discriminant", statistics=("deviation",))
COUNT, CLASSES = 90, 3


def shown(seed: int = 0) -> NDArray[np.uint8]:
    labels = np.eye(CLASSES, dtype=np.uint8)[np.random.default_rng(seed).integers(0, CLASSES, COUNT)]
    labels[::15] = 0
    labels[7::20, :2] = 1
    return labels


def fit_made(
    root: Path, labels: NDArray[np.uint8], learned: NDArray[np.uint8] | None = None, k: int = 3
) -> CrossValidatedHead:
    """Trained on `learned`, by default the labels that the store's features show."""
    store = make_store(root, labels)
    ids = clip_ids(COUNT)
    folds = Folds(ids=tuple(ids), fold=np.arange(COUNT) % 6 % k, groups=tuple(sites_of(ids)), n_folds=k)
    table = LabelTable(ids=tuple(ids), classes=("a", "b", "c"), values=labels if learned is None else learned)
    return cross_validate_head(store.reader(made_key()), store.clips(), table, folds, CONFIG, name="discriminant")


def test_without_shrinkage_it_is_the_textbook_s() -> None:
    rng = np.random.default_rng(1)
    kind = rng.integers(0, CLASSES, 400)
    values = (rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=(CLASSES, 5))[kind]).astype(
        np.float32
    )
    targets = np.eye(CLASSES, dtype=np.float32)[kind]
    halves = [sums_of(values[:150], targets[:150]), sums_of(values[150:], targets[150:])]
    mine = fit_discriminant(add_sums(halves), 1e-12).scores(values)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(values, kind)
    expected = theirs.decision_function(values) - np.log(theirs.priors_)
    np.testing.assert_allclose(mine - mine[:, :1], expected - expected[:, :1], rtol=1e-4, atol=1e-4)


def test_full_shrinkage_asks_which_mean_is_nearest() -> None:
    rng = np.random.default_rng(2)
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 100)]
    values = (rng.normal(size=(100, 4)) + targets[:, :1] * 3).astype(np.float32)
    found = fit_discriminant(sums_of(values, targets), 1.0)
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    means = np.stack([standard[targets[:, number] > 0].mean(axis=0) for number in range(2)])
    distance = ((standard[:, None] - means) ** 2).sum(axis=2)
    np.testing.assert_array_equal(found.scores(values).argmax(axis=1), distance.argmin(axis=1))


def test_a_class_that_nobody_showed_scores_nothing() -> None:
    targets = np.zeros((40, 2), np.float32)
    targets[::2, 0] = 1
    values = np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32)
    found = fit_discriminant(sums_of(values, targets), 0.5)
    assert found.known.tolist() == [True, False]
    np.testing.assert_array_equal(found.scores(values)[:, 1], 0.0)


def test_the_gradient_of_calibration_is_that_of_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    scores, targets = rng.normal(size=(60, CLASSES)) * 9, (rng.random((60, CLASSES)) < 0.3).astype(np.float32)
    known = np.ones((60, CLASSES), bool)
    known[:10, 1] = False
    seen = {}
    minimise = scipy.optimize.minimize

    def keep(objective, start, **settings):  # type: ignore[no-untyped-def]
        seen["objective"], seen["start"] = objective, start
        return minimise(objective, start, **settings)

    monkeypatch.setattr(discriminant_calibration.scipy.optimize, "minimize", keep)
    fit_calibration(scores, known, targets)
    point = seen["start"] + rng.normal(size=seen["start"].shape) * 0.2
    wrong = scipy.optimize.check_grad(lambda x: seen["objective"](x)[0], lambda x: seen["objective"](x)[1], point)
    assert wrong < 1e-6


def test_calibration_finds_what_made_the_labels() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(6000, CLASSES)) * 20
    bias, strength = np.array([-1.0, 0.5, -2.0]), np.full(CLASSES, 0.6)
    truth = keras.ops.convert_to_numpy(
        let_compete((scores * 0.1 + bias).astype(np.float32), strength.astype(np.float32))
    )
    targets = (rng.random(truth.shape) < truth).astype(np.float32)
    found = fit_calibration(scores, np.ones(truth.shape, bool), targets)
    assert found.inverse_temperature == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(found.bias, bias, atol=0.25)
    assert found.strength == pytest.approx(0.6, abs=0.15)
    assert found.loss < mean_log_loss(targets.astype(np.uint8), truth.astype(np.float64)) * 1.01


@pytest.mark.parametrize("count", [6, 7, 8])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("alike", [False, True])
def test_a_handful_of_clips_or_of_equal_ones_gives_probabilities(count: int, seed: int, alike: bool) -> None:
    """Discriminants and calibration of a member as `fit_folds` has them, over five folds; warnings are errors."""
    rng = np.random.default_rng([seed, count])
    targets = np.eye(CLASSES, dtype=np.float32)[rng.permutation(np.arange(count) % CLASSES)]
    values = np.full((count, DIM), 0.7, np.float32) if alike else rng.normal(size=(count, DIM)).astype(np.float32)
    fold = rng.permutation(np.arange(count) % 5)
    for held_out in range(5):
        learned = np.flatnonzero(fold != held_out)
        scores, known = np.zeros((len(learned), CLASSES)), np.zeros((len(learned), CLASSES), bool)
        for row, place in enumerate(learned):
            others = (fold != held_out) & (fold != fold[place])
            inner = fit_discriminant(sums_of(values[others], targets[others]), 0.9)
            scores[row], known[row] = inner.scores(values[[place]])[0], inner.known
        found = fit_calibration(scores, known, targets[learned])
        own = fit_discriminant(sums_of(values[learned], targets[learned]), 0.9)
        moved = own.scores(values) * found.inverse_temperature + found.bias_of(own.known)
        given = keras.ops.convert_to_numpy(let_compete(moved, np.full(CLASSES, found.strength)))
        assert np.isfinite(given).all()
        assert np.isfinite(found.loss)


def test_the_root_is_undone_by_what_is_usual() -> None:
    values = np.array([[-4.0, -0.01, 0.0, 0.25, 9.0]], np.float32)
    root = keras.ops.convert_to_numpy(signed_root(values))
    np.testing.assert_allclose(root, [[-2.0, -0.09, 0.0, 0.49, 3.0]], atol=0.02)
    layer = Standardise(root=True)
    layer.build(values.shape)
    layer.set_moments(root[0], np.ones(5))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.usual()), values[0], atol=1e-5)


def test_it_learns_and_its_models_say_the_same_when_loaded(tmp_path: Path) -> None:
    labels = shown()
    done = fit_made(tmp_path / "store", labels)
    oof = done.predictions
    prior = np.tile(labels.mean(axis=0), (COUNT, 1))
    assert mean_log_loss(labels, oof.probabilities) < 0.6 * mean_log_loss(labels, prior)
    done.folds[1].model.save(tmp_path / "fold1.keras")
    loaded = keras.saving.load_model(tmp_path / "fold1.keras", compile=False)
    held_out = np.flatnonzero(np.asarray(oof.fold) == 1)
    reader = make_store(tmp_path / "again", labels).reader(made_key())
    features, mask = reader.batch(reader.index_of([oof.ids[place] for place in held_out]))
    wide = np.where(mask[:, :, None], features.astype(np.float32), np.nan)
    given = {"deviation": np.nanmax(wide, axis=1) - np.nanmedian(wide, axis=1)}
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(loaded(given)), oof.probabilities[held_out], rtol=1e-4, atol=1e-5
    )


def test_the_scored_fold_s_labels_decide_nothing_about_its_scores(tmp_path: Path) -> None:
    labels = shown()
    other = labels.copy()
    held_out = np.arange(COUNT) % 6 % 3 == 1
    other[held_out] = 1 - other[held_out]
    one = fit_made(tmp_path / "one", labels).predictions.probabilities
    two = fit_made(tmp_path / "two", labels, other).predictions.probabilities
    np.testing.assert_array_equal(one[held_out], two[held_out])
    assert not np.allclose(one[~held_out], two[~held_out])


def test_noise_is_not_believed(tmp_path: Path) -> None:
    noise = shown(seed=9)[np.random.default_rng(9).permutation(COUNT)]
    found = fit_made(tmp_path / "store", shown(), noise).predictions
    assert mean_log_loss(noise, found.probabilities) < 1.1 * mean_log_loss(
        noise, np.tile(noise.mean(axis=0), (COUNT, 1))
    )


def test_two_folds_leave_nothing_to_calibrate_on_but_it_still_speaks(tmp_path: Path) -> None:
    labels = shown()
    found = fit_made(tmp_path / "store", labels, k=2).predictions
    prior = np.tile(labels.mean(axis=0), (COUNT, 1))
    assert mean_log_loss(labels, found.probabilities) < mean_log_loss(labels, prior)


def test_only_the_last_tap_of_each_source_is_seen(tmp_path: Path) -> None:
    labels = shown()
    store = make_store(tmp_path / "store", labels)
    reader = store.reader(made_key())
    with store.writer(made_key("other")) as writer:
        for row in range(len(reader)):
            writer.add(reader.row(row))
    joined = ConcatenatedReader([reader, store.reader(made_key("other"))])
    assert columns_of_last_taps(joined).tolist() == [False] * 2 + [True] * (DIM - 2) + [False] * 2 + [True] * (DIM - 2)
    ids = clip_ids(COUNT)
    folds = Folds(ids=tuple(ids), fold=np.arange(COUNT) % 3, groups=tuple(ids), n_folds=3)
    table = LabelTable(ids=tuple(ids), classes=("a", "b", "c"), values=labels)
    done = cross_validate_head(joined, store.clips(), table, folds, CONFIG, name="discriminant")
    kernel = done.folds[0].model.get_layer("tail").get_layer("output").kernel.numpy()
    assert (np.abs(kernel).sum(axis=1) > 0).tolist() == columns_of_last_taps(joined).tolist()


def test_it_goes_the_whole_way_of_a_head(tmp_path: Path) -> None:
    labels, ids = shown(), clip_ids(COUNT)
    store = make_store(tmp_path / "store", labels)
    frame = pd.DataFrame({"filename": ids, "site": sites_of(ids), **dict(zip("abc", labels.T, strict=True))})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    run = RunDirectory(tmp_path / "run")
    (done,) = train_run(store, tmp_path / "labels.csv", run, Recipe(folds=3, heads=(CONFIG,)))
    assert run.head_names() == ("discriminant-made",)
    score_frames(run, store, heads_to_score(run))
    assert len(run.read_frames("discriminant-made")) == len(FRAME_STATISTICS)
    (weighed,) = weigh_frames(run, store, "discriminant-made", [ids[3]])
    assert weighed.by == "contribution"
    assert weighed.weights.sum() == pytest.approx(1.0)
    assert np.isfinite(weighed.weights).all()
    assert done.mean_log_loss < 0.5


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"dense_units": (4,)}, "dense_units: a head of kind discriminant has no use for it"),
        ({"pseudo_epochs": 2}, "pseudo_epochs: a head of kind discriminant has no use for it"),
        ({"metadata": ("fps",)}, "metadata: a head of kind discriminant has no use for it"),
        ({"competing": False}, "competing: a head of kind discriminant has no use for it"),
        ({"statistics": ()}, "statistics: with neither statistics nor frames there is nothing to see"),
    ],
)
def test_settings_that_mean_nothing_to_it_are_refused(setting: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        HeadConfig(kind="discriminant", **setting)


def test_no_more_clips_are_scored_for_a_calibration_than_it_is_fitted_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored, scores = list[int](), Discriminant.scores
    monkeypatch.setattr(
        Discriminant, "scores", lambda own, values: (scored.append(len(values)), scores(own, values))[1]
    )
    everything = fit_made(tmp_path / "all", shown()).predictions.probabilities
    assert sum(scored) == 3 * 60
    scored.clear()
    monkeypatch.setattr(discriminant_calibration, "_MOST_CLIPS", 40)
    found = fit_made(tmp_path / "some", shown()).predictions.probabilities
    assert sum(scored) == 3 * 40
    assert 1e-4 < np.abs(found - everything).max() < 0.3
