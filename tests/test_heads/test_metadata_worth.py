"""What clip facts are worth, on a store where they say everything and the features nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, sites_of
from typer.testing import CliRunner

from heads.cli import app
from heads.report.render import render_report
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from store import ClipFacts, ClipFeatures, FeatureStore, Status

pytestmark = pytest.mark.slow

RECIPE = """
folds: 3
heads:
  - &head {kind: deviation, name: blind, statistics: [mean], queries: 0, metadata: [], dense_units: [], dropout: 0.0,
     metadata_units: [], epochs: 30, batch_clips: 16, learning_rate: 0.05, schedule: cosine}
  - {<<: *head, name: told, metadata: [brightness_mean, size_bytes]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deer come at dusk: how bright a clip is says whether there is one."""
    folder, rng, ids = tmp_path_factory.mktemp("worth"), np.random.default_rng(0), clip_ids(90)
    deer = rng.integers(0, 2, 90)
    store = FeatureStore.open(folder / "store", create=True)
    with store.clip_writer() as facts, store.writer(made_key()) as writer:
        for place, clip_id in enumerate(ids):
            known = {"clip_id": clip_id, "fingerprint": str(place), "status": Status.OK, "reason": ""}
            light = 0.7 - 0.4 * deer[place] + rng.normal(0, 0.05)
            rest = {"path": "", "size_bytes": 1, "mtime_ns": 0, "width": 1, "height": 1}
            facts.add(ClipFacts(**known, **rest, brightness_mean=light))
            frames = rng.normal(0, 0.1, (4, 6)).astype(np.float32)
            writer.add(ClipFeatures(**known, times_s=np.arange(4.0), features=frames))
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": 1 - deer, "deer": deer})
    table.to_csv(folder / "labels.csv", index=False)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def train(folder: Path, run: str, *further: str, recipe: str = "recipe.yaml") -> str:
    files = {"--store": "store", "--labels": "labels.csv", "--recipe": recipe, "--run": run}
    words = [word for option, name in files.items() for word in (option, str(folder / name))]
    done = CliRunner().invoke(app, ["train", *words, *further], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_one_command_scores_every_head_both_ways_and_the_report_shows_it(folder: Path) -> None:
    said = train(folder, "run", "--compare-metadata")
    assert "with and without metadata" in said
    run = RunDirectory(folder / "run")
    rows = {row["head"]: row for row in json.loads((run.path / "metadata.json").read_text())["heads"]}
    assert {name: row["uses"] for name, row in rows.items()} == {"blind-made": False, "told-made": True}
    for row in rows.values():
        assert row["with"] < 0.4 < 0.6 < row["without"]
        assert row["gain"] == pytest.approx(row["without"] - row["with"])
        assert (row["folds_better"], row["folds"]) == (3, 3)
    own = run.read_oof("told-made").select(run.read_labels().ids)
    other = RunDirectory(run.path / "other_metadata")
    assert other.read_head("told-made")["settings"]["metadata"] == []
    assert other.read_folds().fold.tolist() == run.read_folds().fold.tolist()
    assert np.abs(own.probabilities - other.read_oof("told-made").select(own.ids).probabilities).max() > 0.3
    blend_run(run, "mean", most_clips_for_trees=0)
    page = render_report(run).html
    assert "Metadata: with and without" in page
    assert f"{rows['told-made']['without']:.4f}" in page
    assert "3 of 3" in page


def test_a_run_without_the_comparison_does_not_show_it(folder: Path) -> None:
    train(folder, "plain", "--no-metadata")
    run = RunDirectory(folder / "plain")
    assert run.read_head("told-made")["settings"]["metadata"] == []
    blend_run(run, "mean", most_clips_for_trees=0)
    assert "Metadata: with and without" not in render_report(run).html


def test_heads_that_never_see_clip_facts_are_not_compared(folder: Path) -> None:
    (folder / "fitted.yaml").write_text("{folds: 3, heads: [{kind: discriminant, statistics: [mean]}]}")
    said = train(folder, "fitted", "--compare-metadata", recipe="fitted.yaml")
    assert "no head of the recipe takes clip facts" in said
