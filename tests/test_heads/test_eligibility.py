"""A clip that has frames under one source and none under another, as one without sound has: nothing of it is lost."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, make_store, sites_of
from numpy.typing import NDArray
from training import train_run
from typer.testing import CliRunner

from heads.cli import app
from heads.data.frame_statistics import FRAME_STATISTICS, ORDER
from heads.errors import TrainError
from heads.models.explain.scoring import heads_to_score, score_frames
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.workflows.answers.predict import Origin, predict_run
from heads.workflows.blend import blend_run
from heads.workflows.eligibility import trainable_heads
from heads.workflows.resolve import resolve_heads
from store import ClipFeatures, FeatureStore, Status

COUNT, BROKEN = 60, 7
IDS = clip_ids(COUNT)
LEAN = HeadConfig(kind="deviation", statistics=("deviation",), queries=0, dense_units=(), metadata=(), epochs=2)
RECIPE = Recipe(folds=3, heads=(LEAN, LEAN.model_copy(update={"joined": True, "name": "both"})))


def made_labels() -> NDArray[np.uint8]:
    return np.stack([np.arange(COUNT) % 2, 1 - np.arange(COUNT) % 2], axis=1).astype(np.uint8)


def made(root: Path, heard: Collection[int]) -> FeatureStore:
    """Clip `BROKEN` has no frames at all; under `sound` only the clips `heard` have some, the same as under `made`."""
    store = make_store(root, made_labels(), failed=(BROKEN,))
    reader = store.reader(made_key())
    with store.writer(made_key("sound")) as writer:
        for place, clip_id in enumerate(IDS):
            row = reader.row(int(reader.index_of([clip_id])[0]))
            silent = {"features": row.features[:0], "times_s": row.times_s[:0], "status": Status.FAILED}
            hidden = {} if place in heard else {**silent, "reason": "the clip has no sound"}
            writer.add(ClipFeatures(**{**vars(row), **hidden}))
    return store


def write_tables(folder: Path) -> tuple[Path, Path]:
    labels, sites = folder / "labels.csv", folder / "sites.csv"
    values = made_labels()
    pd.DataFrame({"filename": IDS, "blank": values[:, 0], "duiker": values[:, 1]}).to_csv(labels, index=False)
    pd.DataFrame({"filename": IDS, "site": sites_of(IDS)}).to_csv(sites, index=False)
    return labels, sites


def test_a_head_says_the_prior_of_what_it_cannot_see_and_the_others_go_on(tmp_path: Path) -> None:
    heard = set(range(0, COUNT, 7)) | {1, 2, 10, 16, 23} - {BROKEN}
    heard -= {BROKEN}
    store = made(tmp_path / "store", heard)
    labels, sites = write_tables(tmp_path)
    run, notes = RunDirectory(tmp_path / "run"), list[str]()
    train_run(store, labels, run, RECIPE, sites=sites, note=notes.append)
    assert [note for note in notes if note.startswith("head ")] == [
        f"head {name}: {COUNT - 1 - len(heard)} of {COUNT - 1} clips have nothing under {source}; it does not learn "
        "from them, and says of them how frequent each class is"
        for name, source in (("deviation-sound", "sound"), ("both", "made, sound"))
    ]
    assert set(run.read_labels().ids) == set(IDS) - {IDS[BROKEN]}
    folds, values = run.read_folds(), dict(zip(IDS, made_labels(), strict=True))
    silent = [clip_id for place, clip_id in enumerate(IDS) if place not in heard and place != BROKEN]
    for name in ("deviation-sound", "both"):
        oof, priors = run.read_oof(name), run.read_head(name)["prior"]
        assert oof.ids == run.read_labels().ids
        for number, prior in enumerate(priors):
            learned = [values[IDS[place]] for place in heard if folds.of([IDS[place]])[0] != number]
            np.testing.assert_allclose(prior, np.mean(learned, axis=0), rtol=1e-6)
        np.testing.assert_allclose(oof.select(silent).probabilities, [priors[own] for own in folds.of(silent)])
    assert len(np.unique(run.read_oof("deviation-made").probabilities[:, 0])) == COUNT - 1

    score_frames(run, store, heads_to_score(run))
    layers = run.read_frames("deviation-sound")
    assert len(layers) == len(FRAME_STATISTICS)
    told = run.read_oof("deviation-sound").select(silent).probabilities
    for each in layers[: len(ORDER)]:
        np.testing.assert_allclose(each.select(silent).probabilities, told, rtol=1e-5)
    steps = np.sum([each.select(silent).probabilities for each in layers[len(ORDER) :]], axis=0)
    np.testing.assert_array_equal(steps, 1.0)

    blend_run(run, "mean_of_logits", most_clips_for_trees=0)
    new = predict_run(run, store)
    assert new.origin.count(Origin.OUT_OF_FOLD) == COUNT - 1
    status = dict(zip(new.predictions.ids, new.status, strict=True))
    assert {clip_id for clip_id in IDS if status[clip_id] is Status.FAILED} == {IDS[BROKEN]}
    assert {clip_id for clip_id in IDS if status[clip_id] is Status.PARTIAL} == set(silent)
    assert {clip_id for clip_id in IDS if status[clip_id] is Status.OK} == {IDS[place] for place in heard}
    assert len(np.unique(new.predictions.select(silent).probabilities[:, 0])) == len(silent)


def test_a_head_without_clips_of_two_folds_is_left_out(tmp_path: Path) -> None:
    one_site = {place for place, clip_id in enumerate(IDS) if clip_id.startswith("site 2/")}
    store = made(tmp_path / "store", one_site)
    labels, sites = write_tables(tmp_path)
    run, notes = RunDirectory(tmp_path / "run"), list[str]()
    train_run(store, labels, run, RECIPE, sites=sites, note=notes.append)
    assert run.head_names() == ("deviation-made",)
    assert "head deviation-sound is left out: too few folds have clips with anything under sound" in notes
    alone = resolve_heads(Recipe(folds=3, heads=(LEAN.model_copy(update={"sources": ("sound",)}),)), store).heads
    readers = {key.folder: store.reader(key) for key in store.keys()}
    with pytest.raises(TrainError, match="no head has clips of enough folds to learn from"):
        trainable_heads(alone, readers, run.read_labels(), run.read_folds())


def test_a_forecast_speaks_of_the_clips_that_a_head_can_see(tmp_path: Path) -> None:
    made(tmp_path / "store", set(range(0, COUNT, 3)))
    labels, sites = write_tables(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "folds: 3\nheads:\n  - {kind: deviation, statistics: [deviation], queries: 0, metadata: [], epochs: 2}\n"
    )
    words = ["train", "--store", tmp_path / "store", "--labels", labels, "--sites", sites, "--recipe", recipe]
    said = CliRunner().invoke(app, [*map(str, words), "--run", str(tmp_path / "run"), "--dry-run"])
    assert said.exit_code == 0, said.output
    assert "deviation-sound: 39 of 59 clips have nothing under sound" in said.stderr
