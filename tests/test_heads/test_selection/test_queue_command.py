"""`heads queue` and `heads similar`, on a store and a run with a known answer."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, made_key, make_store, sites_of
from training import train_run
from typer.testing import CliRunner, Result

from heads.cli import app
from heads.data.decisions import Decision, DecisionLog, State, Why, default_log, read_decisions
from heads.data.reading.capture_times import TimeSource
from heads.errors import RunError, SelectionError
from heads.recipe import HeadConfig, Recipe
from heads.run import RunDirectory
from heads.selection.embedding import choose_key, embed, whiten
from heads.workflows.answers import predict as predicting
from heads.workflows.blend import blend_run
from heads.workflows.pool import read_pool, score_whole
from store import FeatureStore

CLIPS, LABELLED = 120, 80
RECIPE = Recipe(folds=3, heads=(HeadConfig(kind="discriminant", statistics=("event",)),))


def call(*words: object) -> Result:
    done = CliRunner().invoke(app, [*map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 120 clips, blank, deer or fox, and a run that learned from the first 80 of them."""
    folder = tmp_path_factory.mktemp("queue")
    shown = np.random.default_rng(3).integers(0, 3, CLIPS)
    labels = np.eye(3, dtype=np.uint8)[shown]
    store = make_store(folder / "store", labels, failed=(4,), boxes=True)
    table = pd.DataFrame(labels, columns=["blank", "deer", "fox"])
    table.insert(0, "filename", clip_ids(CLIPS))
    table.insert(1, "site", sites_of(clip_ids(CLIPS)))
    table.to_csv(folder / "truth.csv", index=False)
    table.iloc[:LABELLED].to_csv(folder / "labels.csv", index=False)
    train_run(store, folder / "labels.csv", RunDirectory(folder / "run"), RECIPE)
    blend_run(RunDirectory(folder / "run"))
    return folder


@pytest.fixture
def truth(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "truth.csv").set_index("filename")


def test_a_queue_is_a_table_with_a_reason_for_each_clip(folder: Path, tmp_path: Path) -> None:
    done = call(
        "queue", "--store", folder / "store", "--run", folder / "run", "--count", 20, "--out", tmp_path / "q.csv"
    )
    table = pd.read_csv(tmp_path / "q.csv", encoding="utf-8-sig")
    assert list(table) == ["clip_id", "site", "strategy", "is_random", "score", "reason"]
    assert len(table) == 20
    assert table["is_random"].sum() == (table["strategy"] == "random").sum() == 2
    fresh = set(clip_ids(CLIPS)[LABELLED:])
    assert set(table.loc[table["strategy"] != "suspect", "clip_id"]) <= fresh
    assert table["reason"].str.len().min() > 10
    assert table["clip_id"].is_unique
    assert "79 of 119 clips are labelled, 0 were looked at by a person" in done.stdout
    assert "to be expected among these:" in done.stdout


@pytest.mark.parametrize("strategy", ["next", "doubt", "suspects", "blanks", "random", "class", "neighbours"])
def test_every_strategy_speaks_json(folder: Path, strategy: str) -> None:
    about = {"class": ["--class", "deer"], "neighbours": ["--clip", "005.mp4"]}.get(strategy, [])
    done = call(
        "queue",
        "--store",
        folder / "store",
        "--run",
        folder / "run",
        "--strategy",
        strategy,
        "--json",
        "--count",
        6,
        *about,
    )
    found = json.loads(done.stdout)
    assert len(found["queue"]) <= 6
    assert all(set(each) == {"clip_id", "strategy", "reason", "is_random", "score"} for each in found["queue"])
    assert found["queue"] or strategy in ("doubt", "suspects")  # the models of this run know everything
    assert found["progress"]["labelled"] == 79
    assert ("doubt" in found) == (strategy == "doubt")


def test_before_the_first_run_clips_are_chosen_from_nothing(folder: Path) -> None:
    found = json.loads(call("queue", "--store", folder / "store", "--count", 10, "--json").stdout)
    assert {each["strategy"] for each in found["queue"]} == {"typical", "random"}
    assert found["expected"] == {}
    assert found["progress"]["labelled"] == 0
    assert "site 4/004.mp4" not in {each["clip_id"] for each in found["queue"]}  # it has no frames
    with pytest.raises(SelectionError, match="asks models, and there is no run"):
        call("queue", "--store", folder / "store", "--strategy", "doubt")


def test_what_was_decided_is_not_asked_for_again(folder: Path, truth: pd.DataFrame, tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    words = ["queue", "--store", folder / "store", "--run", folder / "run", "--strategy", "random", "--json"]
    words += ["--decisions", log.path, "--count", 10]
    first = [each["clip_id"] for each in json.loads(call(*words).stdout)["queue"]]
    why = Why(strategy="random", reason="", is_random=True)
    log.append([Decision(clip_id=first[0], state=State.LABELLED, after=("wolf",), why=why)])
    log.append([Decision(clip_id=first[1], state=State.UNSURE, why=why)])
    again = json.loads(call(*words).stdout)
    assert [each["clip_id"] for each in again["queue"]][:8] == first[2:]
    assert again["progress"]["labelled"] == 80
    assert again["progress"]["reviewed"] == 2
    assert again["progress"]["found_lately"]["wolf"] == 1
    pool = read_pool(
        FeatureStore.open(folder / "store"), run=RunDirectory(folder / "run"), decisions=read_decisions(log.path)
    )
    assert pool.classes == ("blank", "deer", "fox", "wolf")
    assert [pool.ids[row] for row in np.flatnonzero(pool.drawn)] == sorted(first[:2])
    assert pool.probabilities is not None
    assert pool.probabilities[:, 3] == pytest.approx(1 / 80)  # nobody asked the models about it: its share


def test_decisions_lie_beside_the_store_unless_another_file_is_named(folder: Path) -> None:
    log = DecisionLog(default_log(folder / "store"))
    try:
        log.append([Decision(clip_id=clip_ids(CLIPS)[100], state=State.LABELLED, after=("fox",))])
        found = json.loads(call("queue", "--store", folder / "store", "--json").stdout)
        assert found["progress"]["labelled"] == 1
    finally:
        log.path.unlink()


def test_answers_are_asked_once_and_anew_for_another_blend(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    first = read_pool(store, run=run)
    real, asked = predicting.predict_run, []
    monkeypatch.setattr(predicting, "predict_run", lambda *given: asked.append(1) or real(*given))
    again = read_pool(store, run=run)
    assert not asked
    assert first.probabilities is not None
    assert again.probabilities == pytest.approx(first.probabilities, abs=0)
    before = run.blend_path.read_bytes()
    blend_run(run, "greedy_per_class")
    try:
        read_pool(store, run=run)
        assert asked
    finally:
        blend_run(run)
    assert run.blend_path.read_bytes() == before


def test_out_of_fold_answers_are_those_of_the_run(folder: Path) -> None:
    run = RunDirectory(folder / "run")
    pool = read_pool(FeatureStore.open(folder / "store"), run=run)
    oof = run.read_oof("blend")
    assert pool.probabilities is not None
    assert pool.probabilities[pool.rows_of(oof.ids)] == pytest.approx(oof.only(pool.classes).probabilities)
    assert set(pool.sites) == {f"site {number}" for number in range(6)} | {""}  # of those the run knows


def test_labels_may_come_from_a_table_before_the_first_run(folder: Path) -> None:
    words = ["queue", "--store", folder / "store", "--labels", folder / "labels.csv", "--json", "--count", 15]
    found = json.loads(call(*words).stdout)
    assert found["progress"]["labelled"] == 79
    assert {each["clip_id"] for each in found["queue"]} <= set(clip_ids(CLIPS)[LABELLED:])


def test_the_report_tells_of_the_whole_collection_by_what_chance_drew(
    folder: Path, truth: pd.DataFrame, tmp_path: Path
) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    words = ["--run", folder / "run", "--store", folder / "store", "--decisions", log.path]
    call("report", *words)
    run = RunDirectory(folder / "run")
    assert "The whole collection" not in run.report_path.read_text()
    why = Why(strategy="random", reason="", is_random=True)
    drawn = [
        each["clip_id"]
        for each in json.loads(call("queue", *words, "--strategy", "random", "--count", 24, "--json").stdout)["queue"]
    ]
    log.append(
        [
            Decision(
                clip_id=clip,
                state=State.LABELLED,
                after=tuple(truth.columns[1:][truth.loc[clip].iloc[1:] == 1]),
                why=why,
            )
            for clip in drawn[1:]
        ]
    )
    log.append([Decision(clip_id=drawn[0], state=State.SKIPPED, why=why)])
    found = json.loads(call("queue", *words, "--json").stdout)["collection"]
    assert found["clips"] == 119
    assert found["drawn"] == found["answered"] + 1 >= 24
    score = score_whole(run, FeatureStore.open(folder / "store"), log.path)
    assert score is not None
    assert score.drawn == found["drawn"]
    assert score.log_loss.value == pytest.approx(found["log_loss"]["value"], rel=1e-3)
    call("report", *words)
    page = run.report_path.read_text()
    assert f"Chance drew {score.drawn} of 119 clips, of which {score.answered} have a label." in page
    assert f"the mean log loss is {score.log_loss.value:.4f}" in page
    assert 'id="collection"' in page
    with pytest.raises(RunError, match="give --store too"):
        call("report", "--run", folder / "run", "--decisions", log.path)


def test_times_of_clips_part_doubt_by_week(folder: Path, tmp_path: Path) -> None:
    captured = pd.Timestamp("2026-03-02 08:00") + pd.to_timedelta(np.arange(CLIPS) * 5, unit="h")
    pd.DataFrame({"filename": clip_ids(CLIPS), "captured": captured.astype(str)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    store, run = FeatureStore.open(folder / "store"), RunDirectory(folder / "run")
    pool = read_pool(store, run=run, timed_by=TimeSource(table=tmp_path / "t.csv", event_gap=timedelta(minutes=10)))
    assert pool.times is not None
    assert pool.times[pool.rows_of([clip_ids(CLIPS)[1]])[0]] == np.datetime64("2026-03-02T13:00:00")
    assert len(set(pool.bursts.tolist())) == len(pool)
    words = ["queue", "--store", folder / "store", "--run", folder / "run", "--strategy", "doubt", "--json"]
    by_site = json.loads(call(*words).stdout)["doubt"]
    by_week = json.loads(call(*words, "--times", tmp_path / "t.csv").stdout)["doubt"]
    assert all(week["records"] > site["records"] for week, site in zip(by_week, by_site, strict=True))


def test_similar_clips_show_the_same(folder: Path, truth: pd.DataFrame, tmp_path: Path) -> None:
    clip = clip_ids(CLIPS)[7]
    words = ["similar", clip, "--store", folder / "store", "--count", 8]
    found = json.loads(call(*words, "--json").stdout)["similar"]
    kind = truth.loc[clip, ["blank", "deer", "fox"]].to_numpy(int)
    same = [np.array_equal(truth.loc[each["clip_id"], ["blank", "deer", "fox"]].to_numpy(int), kind) for each in found]
    assert sum(same) >= 6
    assert all(each["like"] == clip for each in found)
    assert clip not in {each["clip_id"] for each in found}
    called = call(*words, "--site-pattern", "^(site .)/", "--other-sites", "--out", tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv", encoding="utf-8-sig")
    assert clip.split("/")[0] not in set(table["site"])
    assert len(table) == 8
    assert table["clip_id"][0] in called.stdout


def test_an_embedding_is_kept_until_clips_or_sites_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore.open(folder / "store")
    reader = store.reader(choose_key(store))
    sites = dict(zip(clip_ids(CLIPS), sites_of(clip_ids(CLIPS)), strict=True))
    first = embed(reader, sites)
    made = []
    real = whiten
    monkeypatch.setattr("heads.selection.embedding.whiten", lambda *given: made.append(1) or real(*given))
    assert np.array_equal(embed(reader, sites).vectors, first.vectors)
    assert not made
    sites[clip_ids(CLIPS)[0]] = "elsewhere"
    assert not np.array_equal(embed(reader, sites).vectors, first.vectors)
    assert made == [1]
    lengths = np.linalg.norm(first.vectors, axis=1)
    assert lengths[reader.lengths == 0] == pytest.approx(0)
    assert lengths[reader.lengths > 0] == pytest.approx(1, abs=1e-5)


def test_features_to_compare_by_are_of_most_clips_and_of_what_moves(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", np.eye(3, dtype=np.uint8)[np.arange(12) % 3])
    assert choose_key(store).source == "made"
    with pytest.raises(SelectionError, match="there are no features"):
        choose_key(FeatureStore.open(tmp_path / "none", create=True))
    assert choose_key(store, [made_key("made"), made_key("other")]).source == "made"


def test_a_site_has_no_part_in_what_is_alike() -> None:
    rng = np.random.default_rng(0)
    animal, site = np.repeat([0, 1], 100), np.tile(np.arange(4), 50)
    values = rng.normal(0, 0.2, (200, 10)).astype(np.float32)
    values[np.arange(200), animal] += 2
    values[np.arange(200), 4 + site] += 6
    columns, seen = np.ones(10, bool), np.ones(200, bool)
    for sites, least, most in (([f"s{each}" for each in site], 0.95, 1.0), ([""] * 200, 0.0, 0.9)):
        vectors = whiten(values, columns, seen, sites)
        alike = vectors @ vectors.T
        np.fill_diagonal(alike, -1)
        nearest = alike.argsort(axis=1)[:, -40:]
        assert least <= (animal[nearest] == animal[:, None]).mean() <= most
