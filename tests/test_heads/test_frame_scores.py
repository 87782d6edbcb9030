"""Scores of single frames: the frame that shows the animal stands out, out of fold, and stackers can use it."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from indexed_clips import write_indexed_clip
from made_store import clip_ids, made_key, make_store, sites_of
from numpy.typing import NDArray
from typer.testing import CliRunner

from heads.blending.blend import Blend, blend_data
from heads.blending.blenders import find_blender, network
from heads.blending.blenders.boosted import XGBoost
from heads.cli import app
from heads.data import frame_statistics
from heads.data.features.statistics import statistics_of
from heads.data.frame_statistics import FRAME_STATISTICS, layer_name, spread_over_frames, to_predictions
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import assign_folds
from heads.errors import BlendError, PredictionError
from heads.evaluation.metrics import mean_log_loss
from heads.models.explain.frame_scores import frame_statistic
from heads.models.explain.scoring import scores_over_time
from heads.report.files import ClipFiles
from heads.report.strips import StripMaker
from heads.run import RunDirectory
from heads.workflows.answers.predict import predict_run
from heads.workflows.blend import blend_run
from store import FeatureStore

SMALL: dict[str, Any] = {
    "dense_units": [8],
    "metadata": [],
    "batch_clips": 16,
    "learning_rate": 0.02,
    "dropout": 0.0,
    "epochs": 25,
}
HEADS = ("attention-made", "deviation-made")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_BAGS", 2)
    monkeypatch.setattr(network, "_UNITS", 64)


def test_a_clip_s_maxima_are_those_of_its_frames() -> None:
    frames = np.random.default_rng(0).normal(0, 1, (7, 5)).astype(np.float32)
    for name in ("change", "deviation", "direction"):
        assert frame_statistic(frames, name).max(axis=0) == pytest.approx(
            statistics_of(frames, (name,))[name], abs=1e-6
        ), name
    assert np.array_equal(frame_statistic(frames, "event"), frames)
    assert np.array_equal(frame_statistic(frames, "mean"), frames)
    for name in ("background", "spread"):
        assert np.array_equal(frame_statistic(frames, name), np.tile(statistics_of(frames, (name,))[name], (7, 1)))
    alone = frames[:1]
    assert not frame_statistic(alone, "deviation").any()
    assert not frame_statistic(alone, "direction").any()


def test_the_spread_by_hand() -> None:
    scores = np.array([[0.0], [0.1], [0.21], [0.3], [0.9]], np.float32)
    *order, s0, s1, s2, s3, s4, s5, s6, s7 = spread_over_frames(scores)[:, 0]
    assert order == pytest.approx([0.302, 0.21, 0.0, 0.9, 0.04, 0.66], abs=1e-6)
    assert (s0, s1, s2, s3, s4, s5, s6, s7) == pytest.approx((0.2, 0, 0, 0.2, 0.4, 0, 0.2, 0), abs=1e-6)
    alone = dict(zip(FRAME_STATISTICS, spread_over_frames(scores[:1])[:, 0].tolist(), strict=True))
    assert alone == {**dict.fromkeys(FRAME_STATISTICS, 0.0), "step0": 1.0}


def made_up(
    n_clips: int, statistic: str = "max"
) -> tuple[LabelTable, list[Predictions], list[Predictions], NDArray[np.int64]]:
    """Two heads that know nothing of `lion`, which one statistic over the frames of the first shows."""
    rng = np.random.default_rng(1)
    values = (rng.random((n_clips, 2)) < (0.4, 0.3)).astype(np.uint8)
    ids = tuple(f"c{row:04d}" for row in range(n_clips))
    labels = LabelTable(ids=ids, classes=("hog", "lion"), values=values)
    oof = [
        Predictions(
            ids=ids,
            classes=labels.classes,
            probabilities=rng.uniform(0.2, 0.4, values.shape),
            provenance={"model": name},
        )
        for name in ("a", "b")
    ]
    spread = rng.uniform(0.1, 0.2, (len(FRAME_STATISTICS), n_clips, 2)).astype(np.float32)
    spread[FRAME_STATISTICS.index(statistic), :, 1] = 0.1 + 0.8 * values[:, 1]
    return labels, oof, to_predictions("a", ids, labels.classes, spread), values


@pytest.mark.parametrize(
    ("method", "statistic"),
    [
        ("xgboost", "max"),
        ("xgboost", "step6"),
        ("lightgbm", "median"),
        pytest.param("network", "p90", marks=pytest.mark.slow),
    ],
)
def test_a_stacker_finds_what_only_frames_show(method: str, statistic: str) -> None:
    if method != "network":
        pytest.importorskip(method)
    labels, oof, layers, values = made_up(300, statistic)
    folds = assign_folds(values, None, 3, 0, ids=labels.ids)
    data = blend_data(oof, labels, folds, {"a": layers})
    plain, framed = (data.cross_fit(find_blender(name)).probabilities for name in (method, f"{method}+frames"))
    assert mean_log_loss(values[:, 1:], framed[:, 1:]) < 0.3 * mean_log_loss(values[:, 1:], plain[:, 1:])
    blend = Blend.from_json(json.loads(json.dumps(data.fit(find_blender(f"{method}+frames")).to_json())))
    assert blend.frame_models == ("a",)
    with pytest.raises(BlendError, match=r"another version fitted it .* run `heads train --frame-scores`"):
        Blend.from_json({**blend.to_json(), "frame_statistics": FRAME_STATISTICS[:6]})
    said = blend.apply([*reversed(layers), *oof]).column("lion")
    assert said[values[:, 1] == 1].min() > said[values[:, 1] == 0].max()
    with pytest.raises(BlendError, match="needs the predictions of 'a@mean', 'a@median'"):
        blend.apply(oof)
    with pytest.raises(BlendError, match="the run has none; run `heads train` again with --frame-scores"):
        blend_data(oof, labels, folds).cross_fit(find_blender(f"{method}+frames"))


def test_trees_see_every_statistic_of_a_framed_model_and_nothing_of_others() -> None:
    labels, oof, layers, values = made_up(40)
    folds = assign_folds(values, None, 2, 0, ids=labels.ids)
    data = blend_data(oof, labels, folds, {"a": layers})
    assert data.frames is not None
    wide = np.concatenate([data.stack, data.frames])
    plain, framed = XGBoost()._inputs(data.stack, 1), XGBoost(takes_frames=True)._inputs(wide, 1)
    assert np.array_equal(framed[:, : plain.shape[1]], plain)
    expected = np.stack([each.column("lion") for each in layers], axis=1)
    assert framed[:, plain.shape[1] :] == pytest.approx(np.log(expected / (1 - expected)), abs=1e-5)


def test_a_table_survives_the_disk(tmp_path: Path) -> None:
    labels, _, layers, _ = made_up(5)
    fold = np.arange(5)
    layers = to_predictions("a", labels.ids, labels.classes, np.stack([each.probabilities for each in layers]), fold)
    frame_statistics.write(tmp_path / "a.npz", layers)
    again = frame_statistics.read(tmp_path / "a.npz", "a")
    assert [each.model for each in again] == [layer_name("a", name) for name in FRAME_STATISTICS]
    for one, other in zip(layers, again, strict=True):
        assert (one.ids, one.classes) == (other.ids, other.classes)
        assert np.array_equal(one.probabilities, other.probabilities)
        assert np.array_equal(one.fold, other.fold)
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(PredictionError, match="not a table of frame scores"):
        frame_statistics.read(tmp_path / "b.npz", "b")
    frame_statistics.write(tmp_path / "old.npz", layers[:6])
    with pytest.raises(PredictionError, match="6 statistics of frame scores, expected 14: another version made it"):
        frame_statistics.read(tmp_path / "old.npz", "a")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with scores of single frames, which were asked for when its heads were there already."""
    folder = tmp_path_factory.mktemp("frames")
    labels = make_truth()
    make_store(folder / "store", labels, failed=(4,))
    table = pd.DataFrame({"filename": clip_ids(90), "blank": labels[:, 0], "deer": labels[:, 1]})
    table.insert(1, "site", sites_of(clip_ids(90)))
    table.iloc[:80].to_csv(folder / "labels.csv", index=False)
    recipe = {"folds": 3, "heads": [SMALL, {**SMALL, "kind": "deviation", "statistics": ["deviation"], "queries": 0}]}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    words = ["train", "--store", "store", "--labels", "labels.csv", "--recipe", "recipe.yaml", "--run", "run"]
    for further in ([], ["--frame-scores"]):
        paths = [str(folder / word) if place % 2 == 0 and place else word for place, word in enumerate(words)]
        done = CliRunner().invoke(app, [*paths, *further], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert RunDirectory(folder / "run").has_frames(HEADS[0]) == bool(further)
        for name in HEADS:
            told = [line for line in done.output.splitlines() if line.startswith(f"{name}: single frames")]
            assert told == [f"{name}: single frames of clip {number} of 79" for number in (1, 79) if further]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_frames_that_show_the_animal_score_higher_and_out_of_fold(folder: Path, head: str) -> None:
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    reader, labels, folds = store.reader(made_key()), run.read_labels(), run.read_folds()
    layers = {each.model: each for each in run.read_frames(head)}
    over_time = scores_over_time(run, store, head, labels.ids)
    models = [keras.saving.load_model(run.model_path(head, fold), compile=False) for fold in range(folds.n_folds)]
    shown, quiet = [], []
    for clip_id, fold in zip(labels.ids, folds.of(labels.ids).tolist(), strict=True):
        features, _ = reader.batch(reader.index_of([clip_id]))
        frames, scores = features[0].astype(np.float32), over_time[clip_id].probabilities
        assert over_time[clip_id].times_s.tolist() == list(range(len(frames)))
        inputs = {"deviation": np.maximum(frames - np.median(frames, axis=0), 0)}
        if head == HEADS[0]:
            inputs = {"features": frames[:, None], "mask": np.ones((len(frames), 1), bool)}
            inputs["change"] = frames - frames.min(axis=0)
        np.testing.assert_allclose(scores, keras.ops.convert_to_numpy(models[fold](inputs)), atol=1e-5)
        highest = layers[layer_name(head, "max")].select([clip_id]).probabilities[0]
        np.testing.assert_allclose(highest, scores.max(axis=0), atol=1e-6)
        if labels.select([clip_id]).values[0, 1]:
            here = frames[:, 3] > 1.5
            shown += scores[here, 1].tolist()
            quiet += scores[~here, 1].tolist()
    assert np.mean(shown) > np.mean(quiet) + 0.2


@pytest.mark.slow
def test_a_strip_shows_the_strongest_species_over_time(folder: Path) -> None:
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    deer = [clip_id for clip_id, shown in zip(clip_ids(90), make_truth()[:, 1], strict=True) if shown][5]
    write_indexed_clip(folder / "videos" / deer, 12, 1.0)
    [strip] = StripMaker(run, store, ClipFiles(store.clips(), folder / "videos"), [HEADS[1]]).make([deer]).values()
    scores = scores_over_time(run, store, HEADS[1], [deer])[deer]
    said = scores.probabilities[:, 1]
    assert len(strip.frames) == min(len(said), 6)
    assert f"deer, at most {said.max():.2f} at {scores.times_s[said.argmax()]:.1f} s" in strip.species
    assert "blank" not in strip.species
    assert strip.species.count("<polyline") == 1
    assert 'aria-label="What counted over time. deviation-made (contribution): highest at' in strip.line


@pytest.mark.slow
def test_of_a_labelled_clip_only_the_model_that_has_not_seen_it_is_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    folds, loaded = run.read_folds(), list[str]()
    load = keras.saving.load_model

    def watched(path: Path, **settings: object) -> keras.Model:
        loaded.append(Path(path).name)
        return load(path, **settings)

    monkeypatch.setattr("keras.saving.load_model", watched)
    own = [clip_id for clip_id, fold in zip(folds.ids, folds.fold.tolist(), strict=True) if fold == 1][:3]
    alone = scores_over_time(run, store, HEADS[1], own)
    assert loaded == ["fold1.keras"]
    others = make_store(tmp_path, make_truth()[:2], ids=["new.mp4", own[0]])
    loaded.clear()
    both = scores_over_time(run, others, HEADS[1], ["new.mp4", own[0]])
    assert sorted(loaded) == ["fold0.keras", "fold1.keras", "fold2.keras"]
    assert set(both) == {"new.mp4", own[0]}
    together = scores_over_time(run, store, HEADS[1], [*own, folds.ids[0]])
    np.testing.assert_allclose(together[own[0]].probabilities, alone[own[0]].probabilities, atol=1e-6)


@pytest.mark.slow
def test_new_clips_are_blended_with_what_their_frames_say(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    new = clip_ids(90)[80:]
    blend_run(run, "xgboost+frames", most_clips_for_trees=0)
    blend = Blend.from_json(run.read_blend())
    assert blend.frame_models == HEADS
    said = predict_run(run, store, new).predictions
    others = make_store(tmp_path, make_truth()[:1], ids=["another.mp4"])
    again = predict_run(run, others).predictions.probabilities
    assert again == pytest.approx(by_hand(run, others, blend, "another.mp4"), abs=1e-6)
    shown = make_truth()[80:, 1] == 1
    assert said.column("deer")[shown].mean() > said.column("deer")[~shown].mean() + 0.3
    assert "xgboost+frames" in run.read_metrics()["blends"]


def by_hand(run: RunDirectory, store: FeatureStore, blend: Blend, clip_id: str) -> NDArray[np.float64]:
    """The mean over folds of the blend of each fold's heads and of what they say of the frames."""
    reader = store.reader(made_key())
    frames = reader.batch(reader.index_of([clip_id]))[0][0].astype(np.float32)
    risen = np.maximum(frames - np.median(frames, axis=0), 0)
    each_as_clip = {"features": frames[:, None], "mask": np.ones((len(frames), 1), bool)}
    asked = {
        HEADS[0]: (
            {"features": frames[None], "mask": np.ones((1, len(frames)), bool), "change": np.ptp(frames, axis=0)[None]},
            {**each_as_clip, "change": frames - frames.min(axis=0)},
        ),
        HEADS[1]: ({"deviation": risen.max(axis=0)[None]}, {"deviation": risen}),
    }
    blended = []
    for fold in range(3):
        given = []
        for head, (clip, singles) in asked.items():
            model = keras.saving.load_model(run.model_path(head, fold), compile=False)
            whole, parts = (keras.ops.convert_to_numpy(model(inputs)) for inputs in (clip, singles))
            given.append(
                Predictions(ids=(clip_id,), classes=blend.classes, probabilities=whole, provenance={"model": head})
            )
            given += to_predictions(head, [clip_id], blend.classes, spread_over_frames(parts)[:, None])
        blended.append(blend.apply(given).probabilities)
    return np.mean(blended, axis=0)


def make_truth() -> NDArray[np.uint8]:
    deer = np.random.default_rng(3).integers(0, 2, 90).astype(np.uint8)
    return np.stack([1 - deer, deer], axis=1)


@pytest.mark.slow
def test_a_head_that_is_trained_again_loses_what_its_old_frames_said(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    run.oof_path(HEADS[1]).unlink()
    words = ["--store", folder / "store", "--labels", folder / "labels.csv", "--recipe", folder / "recipe.yaml"]
    done = CliRunner().invoke(app, ["train", *map(str, words), "--run", str(run.path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert [run.has_frames(name) for name in HEADS] == [True, False]
