"""Predictions from outside: on equal terms, and suspected where they are too good."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from numpy.typing import NDArray
from typer.testing import CliRunner

from heads.cli import app
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import assign_folds
from heads.errors import PredictError, PredictionError
from heads.run import RunDirectory
from heads.workflows.answers.external import import_predictions
from heads.workflows.answers.predict import predict_run
from heads.workflows.blend import blend_run
from store import FeatureStore

N_CLIPS, N_LABELLED = 90, 84
CLASSES = ("blank", "deer")


def seen(values: NDArray[np.uint8], skill: float, seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(0, 1.2, values.shape)
    return 1 / (1 + np.exp(-(skill * (2.0 * values - 1) + noise)))


@pytest.fixture
def truth() -> NDArray[np.uint8]:
    deer = np.random.default_rng(0).integers(0, 2, N_CLIPS).astype(np.uint8)
    return np.stack([1 - deer, deer], axis=1)


@pytest.fixture
def run(tmp_path: Path, truth: NDArray[np.uint8]) -> RunDirectory:
    """A run with one head of its own."""
    ids = clip_ids(N_CLIPS)[:N_LABELLED]
    labels = LabelTable(ids=tuple(ids), classes=CLASSES, values=truth[:N_LABELLED], sites=tuple(sites_of(ids)))
    folds = assign_folds(labels.values, labels.sites, 3, 0, ids=ids)
    run = RunDirectory(tmp_path / "run")
    run.write_labels(labels)
    run.write_folds(folds)
    own = Predictions(ids=labels.ids, classes=CLASSES, probabilities=seen(labels.values, 1.2, 1), fold=folds.fold)
    run.write_oof("own", own)
    return run


def table(values: NDArray[np.float64], ids: list[str], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=list(CLASSES))
    frame.insert(0, "filepath", ids)
    return frame.assign(**columns)


def save(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def test_a_model_from_outside_is_blended_like_any_other(
    tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]
) -> None:
    shuffled = table(seen(truth, 1.2, 2), clip_ids(N_CLIPS), status="ok").sample(frac=1, random_state=0)
    added = import_predictions(run, save(tmp_path / "zamba.csv", shuffled))
    assert (added.name, added.n_clips, added.n_new, added.warnings) == ("zamba", N_LABELLED, N_CLIPS - N_LABELLED, ())
    scores = {row["name"]: row["mean_log_loss"] for row in blend_run(run, "mean_of_logits", most_clips_for_trees=0)}
    assert scores["mean_of_logits"] < min(scores["own"], scores["zamba"])
    assert run.read_blend()["models"] == ["own", "zamba"]


def test_new_clips_take_the_outside_models_answers(tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]) -> None:
    run.oof_path("own").unlink()
    ids, store = clip_ids(N_CLIPS), make_store(tmp_path / "store", truth)
    said = {name: seen(truth, 1.5, seed) for seed, name in enumerate(("one", "two"))}
    import_predictions(run, save(tmp_path / "one.csv", table(said["one"], ids)))
    import_predictions(run, save(tmp_path / "two.csv", table(said["two"][:-2], ids[:-2])))
    blend_run(run, "mean", most_clips_for_trees=0)
    with pytest.raises(PredictError, match=r"'two', which was brought in and says nothing of 2 clips"):
        predict_run(run, FeatureStore.open(store.root), ids)
    further = save(tmp_path / "two.csv", table(said["two"][-2:], ids[-2:]))
    options = {"--run": run.path, "--store": store.root, "--add": further, "--out": tmp_path / "new.csv"}
    words = [str(word) for option in options.items() for word in option]
    done = CliRunner().invoke(app, ["predict", *words], catch_exceptions=False)
    assert done.exit_code == 0
    written = pd.read_csv(tmp_path / "new.csv").set_index("clip_id").loc[ids]
    assert written[list(CLASSES)].to_numpy() == pytest.approx((said["one"] + said["two"]) / 2)


def test_predictions_that_saw_the_answers_are_flagged(
    tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]
) -> None:
    values, ids = truth[:N_LABELLED], clip_ids(N_CLIPS)[:N_LABELLED]
    leaky, fold = seen(values, 1.2, 3), run.read_folds().fold
    leaky[fold == 1] = np.where(values[fold == 1] == 1, 0.98, 0.02)
    [warning] = import_predictions(run, save(tmp_path / "leaky.csv", table(leaky, ids))).warnings
    assert warning.startswith("in fold 1 its log loss is below a third")
    blend_run(run, most_clips_for_trees=0)
    done = CliRunner().invoke(app, ["report", "--run", str(run.path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Leaky was brought in from outside; in fold 1" in run.report_path.read_text(encoding="utf-8")


def test_a_perfect_file_is_flagged_where_there_is_nothing_beside_it(
    tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]
) -> None:
    run.oof_path("own").unlink()
    ids = clip_ids(N_CLIPS)[:N_LABELLED]
    perfect = np.where(truth[:N_LABELLED] == 1, 0.9, 0.1)
    [warning] = import_predictions(run, save(tmp_path / "perfect.csv", table(perfect, ids))).warnings
    assert "mean average precision is 1.000" in warning


def test_folds_that_split_sites_are_flagged(tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]) -> None:
    ids = clip_ids(N_CLIPS)[:N_LABELLED]
    frame = table(seen(truth[:N_LABELLED], 1.0, 4), ids, fold=np.arange(N_LABELLED) // 6 % 2)
    [warning] = import_predictions(run, save(tmp_path / "split.csv", frame)).warnings
    assert "its folds split 6 of 6 sites" in warning


def test_wrong_files_get_one_sentence(tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]) -> None:
    ids, said = clip_ids(N_CLIPS), seen(truth, 1.0, 5)
    with pytest.raises(PredictionError, match=r"x.csv: 84 of the run's 84 clips are missing.*'a/"):
        import_predictions(run, save(tmp_path / "x.csv", table(said, [f"a/{row}.mp4" for row in range(N_CLIPS)])))
    with pytest.raises(PredictionError, match="class 'dear' is not in labels"):
        import_predictions(run, save(tmp_path / "x.csv", table(said, ids).rename(columns={"deer": "dear"})))
    with pytest.raises(PredictionError, match=r"class 'blank' is 2.0, expected a probability"):
        import_predictions(run, save(tmp_path / "x.csv", table(said, ids).assign(blank=2.0)))
    run.write_head("own", {})
    with pytest.raises(PredictionError, match="the run has a head 'own' of its own"):
        import_predictions(run, save(tmp_path / "own.csv", table(said, ids)))
    with pytest.raises(PredictionError, match="a model cannot be called 'blend', the run's own blend is; rename the"):
        import_predictions(run, save(tmp_path / "blend.csv", table(said, ids)))
    assert run.head_names() == ("own",)


def heads(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_table_of_a_spreadsheet_elsewhere_is_taken_for_the_same_clips_and_classes(
    tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]
) -> None:
    """Semicolons, decimal commas, other names of columns, absolute paths in capitals, in blending and predicting."""
    run.oof_path("own").unlink()
    ids, store, said = clip_ids(N_CLIPS), make_store(tmp_path / "store", truth), seen(truth, 1.5, 0)
    elsewhere = [f"E:\\cards\\{clip_id.upper()}" for clip_id in ids]
    frame = table(said, elsewhere).rename(columns={"filepath": "File Name", "blank": "Empty"}).assign(**{"": ""})
    frame.to_csv(tmp_path / "other.csv", sep=";", decimal=",", index=False)
    output = heads("blend", "--run", run.path, "--add", tmp_path / "other.csv", "--method", "mean")
    assert f"added other: {N_LABELLED} clips of the run out of fold, {N_CLIPS - N_LABELLED} others" in output
    assert "is taken for 'site 0/000.mp4' (always: 'E:/cards/' before the path" in output
    oof = run.read_oof("other")
    assert (oof.ids, oof.classes) == (tuple(ids[:N_LABELLED]), CLASSES)
    assert oof.probabilities == pytest.approx(said[:N_LABELLED])
    template = pd.DataFrame({"filename": [f"/mnt/{ids[row]}" for row in (88, 3, 86)], "None": "", "deer": ""})
    template.to_csv(tmp_path / "template.csv", index=False)
    words = ("predict", "--run", run.path, "--store", store.root, "--out", tmp_path / "out.csv")
    output = heads(*words, "--template", tmp_path / "template.csv")
    assert "template.csv: 3 of 3 clip ids are not spelt as the clips are" in output
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written) == ["filename", "None", "deer"]
    assert written["filename"].tolist() == template["filename"].tolist()
    assert written[["None", "deer"]].to_numpy()[[0, 2]] == pytest.approx(said[[88, 86]])


def test_a_rule_says_which_clips_of_the_run_a_file_means(
    tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]
) -> None:
    ids = [clip_id.replace("site ", "S") for clip_id in clip_ids(N_CLIPS)]
    path = save(tmp_path / "other.csv", table(seen(truth, 1.2, 2), ids))
    with pytest.raises(
        PredictionError, match=r"84 clips are missing, .* does not know, such as 'S0/000.mp4'.*--id-map"
    ):
        import_predictions(run, path)
    heads("blend", "--run", run.path, "--add", path, "--id-map", "S*=site *", "--method", "mean")
    assert run.read_oof("other").ids == tuple(clip_ids(N_CLIPS)[:N_LABELLED])
    done = CliRunner().invoke(app, ["blend", "--run", str(run.path), "--add", str(path), "--id-map", "x=y"])
    assert "it fits none of the 90 ids of other.csv, such as 'S0/000.mp4'" in str(done.exception)


def test_a_clip_and_its_copies_that_the_run_does_not_hold_have_one_answer(
    tmp_path: Path, run: RunDirectory, truth: NDArray[np.uint8]
) -> None:
    run.oof_path("own").unlink()
    ids, said = clip_ids(N_CLIPS), seen(truth, 1.5, 0)
    store = make_store(tmp_path / "store", truth, copies=(3, 86, 88))
    folds = run.read_folds()
    run.write_folds(folds, store.clips().loc[list(folds.ids), "fingerprint"].tolist())
    import_predictions(run, save(tmp_path / "other.csv", table(said, ids)))
    blend_run(run, "mean", most_clips_for_trees=0)
    new = predict_run(run, store, [ids[row] for row in (88, 3, 86, 87)])
    scored = run.read_oof("blend").select([ids[3]]).only(CLASSES).probabilities
    assert new.predictions.only(CLASSES).probabilities[:3] == pytest.approx(np.tile(scored, (3, 1)))
    assert [origin.value for origin in new.origin] == ["out of fold"] * 3 + ["new"]
