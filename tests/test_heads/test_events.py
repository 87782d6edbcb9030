"""When clips were taken, which of them are one event, and what comes of it: folds, scores, columns."""

import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import made_key
from typer.testing import CliRunner

from heads.cli import app
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions, read_csv
from heads.data.reading.capture_times import TimeSource, capture_times, on_one_clock, parse_time
from heads.data.splitting.events import (
    FUTURE,
    PAST,
    find_events,
    folds_of_events,
    labels_of_events,
    parse_gap,
    past_and_future,
    predictions_of_events,
)
from heads.data.splitting.folds import Folds
from heads.errors import FoldError, LabelError
from heads.report import write_report
from heads.run import RunDirectory
from heads.workflows.answers.predict import predict_run
from heads.workflows.timing import Timing, timing_of
from store import ClipFacts, ClipFeatures, FeatureStore, Status

START = datetime(2024, 3, 1, 5, 6, 7)
NO_FACTS = pd.DataFrame({"recorded_at": pd.Series(dtype=str)})


def minutes(*offsets: float) -> list[datetime]:
    return [START + timedelta(minutes=offset) for offset in offsets]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30min", 1800), ("90s", 90), ("1.5 h", 5400), ("2d", 172800), (" 10 sec ", 10)]
)
def test_a_gap_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_gap(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["30", "min", "-5min", "0s", "5 years", ""])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(LabelError, match=r"--event-gap .*such as 30min"):
        parse_gap(text)


def test_clips_of_a_place_that_follow_each_other_are_one_event() -> None:
    times = dict(zip(["a/1", "a/2", "a/3", "a/4", "b/1", "c/1"], minutes(0, 30, 61, 91, 31, 31), strict=True))
    events = find_events(times, {"a/1": "pond", "a/2": "pond", "a/3": "pond", "a/4": "pond"}, timedelta(minutes=30))
    assert events == {
        "a/1": "pond 2024-03-01 05:06:07",
        "a/2": "pond 2024-03-01 05:06:07",
        "a/3": "pond 2024-03-01 06:07:07",
        "a/4": "pond 2024-03-01 06:07:07",
        "b/1": "b 2024-03-01 05:37:07",
        "c/1": "c 2024-03-01 05:37:07",
    }


def test_the_order_of_clips_decides_nothing() -> None:
    times = dict(zip("abcd", minutes(0, 3, 40, 41), strict=True))
    turned = dict(reversed(times.items()))
    assert find_events(times, {}, timedelta(minutes=5)) == find_events(turned, {}, timedelta(minutes=5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01T05:06:07", START),
        ("2024-03-01 05:06", START.replace(second=0)),
        ("2024:03:01 05:06:07", START),
        ("2024-03-01T05:06:07.000000Z", START.replace(tzinfo=UTC)),
        ("2024-03-01 05:06:07+02:00", START.replace(tzinfo=timezone(timedelta(hours=2)))),
        ("2024-03-01", None),
        ("01/03/2024 05:06:07", None),
        ("", None),
    ],
)
def test_a_time_has_a_date_in_an_order_that_cannot_be_mistaken(text: str, expected: datetime | None) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("pattern", "clip", "expected"),
    [
        ("%Y%m%d_%H%M%S", "pond/CAM1_20240301_050607.mp4", START),
        ("%Y-%m-%d/*_%H%M%S", "2024-03-01/cam_7_050607.avi", START),
        ("%d%b%y %I.%M.%S %p", "01Mar24 05.06.07 AM.avi", START),
        ("%Y%j%H%M", "x2024061 0506/y20240610506.mp4", START.replace(second=0)),
        ("%Y%m%d_%H%M%S", "20230101_000000/CAM1_20240301_050607.mp4", START),  # a folder's name counts less
        ("%Y%m%d_%H%M%S", "CAM1_20241301_050607.mp4", None),  # a month 13
        ("%Y%m%d_%H%M%S", "120240301_050607.mp4", None),  # digits of a longer number
    ],
)
def test_a_pattern_finds_the_time_in_a_path(pattern: str, clip: str, expected: datetime | None) -> None:
    found = capture_times([clip, "20240301_050607 2024-03-01/a_050607 01Mar24 05.06.07 AM 20240610506"], NO_FACTS,
                          TimeSource(pattern=pattern))  # fmt: skip
    assert found.stated.get(clip) == expected


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("%Y%m%d", "expected year, month, day, hour and minute"),
        ("%H%M%S", "expected year"),
        ("%Q", "'%Q' is no part of a time"),
        ("%Y%m%d%", "'%' is no part|expected year"),
        ("%Y%m%d%H%M%M", "each once"),
    ],
)
def test_a_pattern_that_says_no_time_is_refused(pattern: str, match: str) -> None:
    if pattern.endswith("%"):
        pattern = "%Y%"
    with pytest.raises(LabelError, match=match):
        capture_times(["a"], NO_FACTS, TimeSource(pattern=pattern))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "filename,captured\na.mp4,2024-03-01 05:06:07\nb.mp4,\n",
        "filename;Date;Time;site\na.mp4;2024-03-01;05:06:07;x\nb.mp4;;;y\n",
        "File Path,DateTimeOriginal\n/mnt/d/x/a.mp4,2024:03:01 05:06:07\n/mnt/d/x/b.mp4,NA\n",
    ],
)
def test_a_table_tells_times(tmp_path: Path, text: str) -> None:
    found = capture_times(["x/a.mp4", "x/b.mp4"], NO_FACTS, TimeSource(table=write(tmp_path / "t.csv", text)))
    assert found.stated == {"x/a.mp4": START}
    assert found.notes[-1] == "t.csv: 1 of 2 clips have no time, such as 'x/b.mp4'"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("filename,site\na.mp4,s\n", "no column of times, found filename, site; name it 'captured'"),
        ("filename,captured\na.mp4,03/04/2024 05:06\n", r"line 2, clip 'a.mp4': '03/04/2024 05:06' is no time; write"),
        ("filename,captured\nb.mp4,2024-03-01 05:06:07\n", "no time of any of the 1 clips, such as 'a.mp4'"),
        ("filename,captured\na.mp4,2024-03-01 05:06\na.mp4,2024-03-01 05:07\n", "stands already in line 2"),
    ],
)
def test_a_table_that_tells_no_times_is_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(LabelError, match=match):
        capture_times(["a.mp4"], NO_FACTS, TimeSource(table=write(tmp_path / "t.csv", text)))


def test_a_table_and_a_pattern_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="both say when"):
        capture_times(["a.mp4"], NO_FACTS, TimeSource(table=tmp_path / "t.csv", pattern="%Y%m%d_%H%M"))


def test_times_with_and_without_a_zone_need_one_to_be_compared() -> None:
    stated = {"a": START.replace(tzinfo=UTC), "b": START}
    with pytest.raises(LabelError, match=r"'a' has a time with a zone .* and 'b' one without .*--time-zone"):
        on_one_clock(stated, None)
    assert on_one_clock(stated, timezone(timedelta(hours=2))) == {"a": START + timedelta(hours=2), "b": START}
    assert on_one_clock({"a": stated["a"]}, None) == {"a": START}


CLASSES = ("blank", "deer", "fox")
LABELS = LabelTable(
    ids=("a", "b", "c", "d", "e"),
    classes=CLASSES,
    values=np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]], np.uint8),
)
EVENTS = {"a": "one", "b": "one", "c": "two", "d": "three", "e": "three"}


def test_an_event_shows_what_any_of_its_clips_shows_and_is_blank_if_all_are() -> None:
    found = labels_of_events(LABELS, EVENTS)
    assert found.ids == ("one", "two", "three")
    assert found.values.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_an_event_is_as_probable_as_its_most_probable_clip_and_blank_as_its_least() -> None:
    said = Predictions(
        ids=LABELS.ids,
        classes=CLASSES,
        probabilities=[[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.5, 0.1, 0.3], [0.4, 0.2, 0.1]],
        fold=np.array([0, 0, 1, 1, 1]),
    )
    found = predictions_of_events(said, EVENTS)
    assert found.ids == ("one", "two", "three")
    assert found.probabilities.tolist() == [[0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.4, 0.2, 0.3]]
    folds = Folds(ids=LABELS.ids, fold=np.array([0, 0, 1, 1, 1]), groups=("p", "p", "q", "r", "r"), n_folds=2)
    of_events = folds_of_events(folds, EVENTS)
    assert (of_events.fold.tolist(), of_events.groups) == ([0, 1, 1], ("p", "q", "r"))


def facts_of(ids: list[str], **columns: list[str]) -> pd.DataFrame:
    plain = {"fingerprint": [f"f{clip_id}" for clip_id in ids], "image_hash": [""] * len(ids)}
    numbers = dict.fromkeys(("brightness_mean", "brightness_std", "motion_mean"), [float("nan")] * len(ids))
    return pd.DataFrame({**plain, **numbers, **columns}, index=ids)


def test_the_future_is_the_latest_clips_of_each_place_and_no_event_is_split() -> None:
    ids = [f"p/{number}" for number in range(10)] + ["q/0", "q/1", "lost"]
    values = np.ones((len(ids), 1), np.uint8)
    labels = LabelTable(ids=tuple(ids), classes=("deer",), values=values)
    times = dict(zip(ids, minutes(*range(0, 600, 60), 5, 6), strict=False))
    times["p/7"] = times["p/6"] + timedelta(minutes=1)  # the cut would fall between these two
    events = find_events(times, {}, timedelta(minutes=30))
    folds = past_and_future(labels, times, events, facts_of(ids))
    side = dict(zip(folds.ids, folds.fold.tolist(), strict=True))
    assert [clip_id for clip_id in side if side[clip_id] == FUTURE] == ["p/8", "p/9"]
    assert side["q/1"] == PAST  # the place has a single event, which is learned from
    assert "lost" not in side
    copied = facts_of(ids, fingerprint=["same" if clip_id in ("p/0", "p/9") else clip_id for clip_id in ids])
    folds = past_and_future(labels, times, events, copied)
    assert [each for each, fold in zip(folds.ids, folds.fold.tolist(), strict=True) if fold == FUTURE] == ["p/8"]


def test_without_two_events_at_any_place_there_is_no_future() -> None:
    labels = LabelTable(ids=("p/1", "p/2"), classes=("deer",), values=np.ones((2, 1), np.uint8))
    times = dict(zip(labels.ids, minutes(0, 1), strict=True))
    with pytest.raises(FoldError, match="no future to score"):
        past_and_future(labels, times, find_events(times, {}, timedelta(minutes=5)), facts_of(["p/1", "p/2"]))


RECIPE = """
folds: 3
heads:
  - {kind: deviation, statistics: [mean], queries: 0, metadata: [], dense_units: [], dropout: 0.0, epochs: 40,
     batch_clips: 16, learning_rate: 0.05, schedule: cosine}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the colour of a clip tells its site, and nothing but the site tells whether there is a deer.

    Clips come in bursts of three, a minute apart; their files tell the time. Three more stand for new clips.
    """
    folder = tmp_path_factory.mktemp("events")
    rng = np.random.default_rng(0)
    ids = [f"site_{number % 6}/clip{number:02}.mp4" for number in range(90)]
    site = np.arange(90) % 6
    deer = np.isin(site, [0, 3, 4]).astype(int)
    store = FeatureStore.open(folder / "store", create=True)
    with store.clip_writer() as facts, store.writer(made_key()) as writer:
        for number, clip_id in enumerate([*ids, "site_0/new1.mp4", "site_0/new2.mp4", "elsewhere/new3.mp4"]):
            visit, within = divmod(number // 6, 3)
            taken = START + timedelta(days=visit, minutes=within) if number < 90 else START + timedelta(days=99)
            frames = rng.normal(0, 0.1, (4, 6)).astype(np.float32)
            frames[:, number % 6] += 3
            known = {"clip_id": clip_id, "fingerprint": str(number), "status": Status.OK, "reason": ""}
            facts.add(
                ClipFacts(**known, path="", size_bytes=1, mtime_ns=0, width=1, height=1, recorded_at=taken.isoformat())
            )
            writer.add(ClipFeatures(**known, times_s=np.arange(4.0), features=frames))
    table = pd.DataFrame({"filename": ids, "site": [f"s{each}" for each in site], "blank": 1 - deer, "deer": deer})
    table.to_csv(folder / "labels.csv", index=False)
    table.drop(columns="site").to_csv(folder / "no_sites.csv", index=False)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def heads(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(app, [word.replace("@", f"{folder}/") for word in words])
    assert done.exit_code == 0, done.output
    return done.output


TRAIN = ("train", "--store", "@store", "--recipe", "@recipe.yaml")


@pytest.fixture(scope="module")
def run(folder: Path) -> RunDirectory:
    """Trained on whole sites, with events and the future of each site."""
    told = heads(folder, *TRAIN, "--labels", "@labels.csv", "--run", "@run", "--event-gap", "30min", "--split", "time")
    assert "90 labelled clips make 30 events, which folds keep whole" in told
    assert "a gap above 0 is what knowing the place helps" in told
    heads(folder, "blend", "--run", "@run")
    return RunDirectory(folder / "run")


@pytest.mark.slow
def test_the_past_of_a_site_tells_what_other_sites_cannot(folder: Path, run: RunDirectory) -> None:
    (row,) = run.read_splits("time")
    assert (
        row["clips"] == 18
    )  # of 5 visits of 3 clips to each of 6 sites the last one: a cut at 70 % falls into the fourth
    assert row["by_time"] < 0.2
    assert row["by_site"] > 0.7
    assert row["gap"] == row["by_site"] - row["by_time"]
    assert run.read_splits() == []
    again = heads(
        folder, *TRAIN, "--labels", "@labels.csv", "--run", "@run", "--event-gap", "30min", "--compare-splits"
    )
    assert "a random split" in again
    assert run.read_splits("time") == [row]
    assert len(run.read_splits()) == 1


@pytest.mark.slow
def test_events_are_scored_written_and_shown(folder: Path, run: RunDirectory) -> None:
    scores = run.read_metrics()["events"]
    assert (scores["clips"], scores["events"]) == (90, 30)
    assert scores["by_event"]["mean_log_loss"] != scores["by_clip"]["mean_log_loss"]
    write_report(run)
    page = run.report_path.read_text(encoding="utf-8")
    assert "Clips, and events" in page
    assert "New sites, and the future of known ones: the latest 18 clips" in page
    heads(folder, "predict", "--run", "@run", "--store", "@store", "--out", "@p.csv", "--findings", "@f.csv")
    table = pd.read_csv(folder / "p.csv", dtype=str).set_index("clip_id")
    assert list(table.columns[:3]) == ["status", "origin", "event"]
    assert table.loc["site_0/clip00.mp4", "event"] == "s0 2024-03-01 05:06:07"
    assert table["event"].nunique() == 30 + 2
    assert (
        table.loc["site_0/new1.mp4", "event"] == table.loc["site_0/new2.mp4", "event"] == "site_0 2024-06-08 05:06:07"
    )
    assert "event" in pd.read_csv(folder / "f.csv").columns
    assert read_csv(folder / "p.csv").classes == ("blank", "deer")
    heads(folder, "export", "@run", "--format", "long", "--out", "@long.csv")
    assert set(pd.read_csv(folder / "long.csv")["event"]) == set(run.read_events().values())


@pytest.mark.slow
def test_settings_of_a_run_that_do_not_fit_new_clips_cost_their_events_and_nothing_else(
    folder: Path, run: RunDirectory
) -> None:
    told = (run.path / "events.json").read_text()
    facts = FeatureStore.open(folder / "store").clips()
    new = ["site_0/new1.mp4", "elsewhere/new3.mp4"]
    try:
        (run.path / "events.json").write_text(told.replace('"time_pattern": null', '"time_pattern": "%Y%m%d_%H%M%S"'))
        found = timing_of(run, new, facts, {})
        assert found.events == {}
        assert found.notes[0].startswith("events of clips are not told: --time-pattern: no time of any of the 2 clips")
        assert set(found.stated) == set(new)
        with pytest.raises(LabelError, match="no time of any"):
            timing_of(run, new, facts, {}, TimeSource(pattern="%Y%m%d_%H%M%S"))
        (run.path / "events.json").write_text(told)
        aware = facts.assign(recorded_at=[f"{each}Z" if each else each for each in facts["recorded_at"]])
        assert "give the zone" in timing_of(run, [*new, "site_0/clip00.mp4"], aware, {}).notes[0]
    finally:
        (run.path / "events.json").write_text(told)
    assert len(set(timing_of(run, new, facts, {}).events.values())) == 2


@pytest.mark.slow
def test_where_sites_are_not_known_folds_keep_events_whole(folder: Path) -> None:
    words = (*TRAIN, "--labels", "@no_sites.csv", "--event-gap", "30min")
    told = heads(folder, *words, "--run", "@run2", "--split", "time")
    assert "90 labelled clips make 30 events, which folds keep whole; no sites were given" in told.replace("\n", " ")
    run = RunDirectory(folder / "run2")
    folds = run.read_folds()
    events = run.read_events()
    pairs = {(events[clip_id], fold) for clip_id, fold in zip(folds.ids, folds.fold.tolist(), strict=True)}
    assert len(pairs) == 30
    assert folds.groups == tuple(events[clip_id] for clip_id in folds.ids)
    alone = heads(folder, *TRAIN, "--labels", "@no_sites.csv", "--run", "@run3")
    assert "make 30 events" not in alone
    assert len(set(RunDirectory(folder / "run3").read_folds().groups)) == 90


@pytest.mark.slow
def test_a_given_split_becomes_folds_only_when_asked(folder: Path) -> None:
    table = pd.read_csv(folder / "labels.csv")
    long = pd.DataFrame({"filepath": table["filename"], "label": np.where(table["deer"], "deer", "blank")})
    long["site"], place = table["site"], np.arange(len(table)) % 6
    long["split"] = np.array(["train", "val", "holdout"])[place // 2]
    long.to_csv(folder / "zamba.csv", index=False)
    told = " ".join(heads(folder, *TRAIN, "--labels", "@zamba.csv", "--run", "@zamba").split())
    assert "its column 'split' does not count, folds are dealt anew by site (--split given takes it)" in told
    told = " ".join(heads(folder, *TRAIN, "--labels", "@zamba.csv", "--run", "@given", "--split", "given").split())
    assert "folds are the parts of the column 'split': 'holdout', 'train', 'val'" in told
    assert "flatter" not in told
    folds = RunDirectory(folder / "given").read_folds()
    part = dict(zip(long["filepath"], long["split"], strict=True))
    assert {(part[clip_id], fold) for clip_id, fold in zip(folds.ids, folds.fold.tolist(), strict=True)} == {
        *(("holdout", 0), ("train", 1), ("val", 2))
    }
    long["split"] = np.where(np.arange(len(long)) < 45, "train", "val")
    long.to_csv(folder / "leaky.csv", index=False)
    told = " ".join(heads(folder, *TRAIN, "--labels", "@leaky.csv", "--run", "@leaky", "--split", "given").split())
    assert "6 sites are in several parts, such as 's0'" in told
    words = [word.replace("@", f"{folder}/") for word in (*TRAIN, "--labels", "@labels.csv", "--run", "@no")]
    done = CliRunner().invoke(app, [*words, "--split", "given"])
    assert isinstance(done.exception, FoldError)
    assert "has no column 'split' with two parts" in str(done.exception)


def test_bad_words_about_times_are_refused_at_once(folder: Path) -> None:
    for words, told in (
        (("--event-gap", "30"), "--event-gap '30'"),
        (("--split", "random"), "--split random"),
        (("--time-zone", "Mars"), "--time-zone 'Mars'"),
        (("--time-pattern", "%Y"), "--time-pattern '%Y'"),
    ):
        done = CliRunner().invoke(
            app,
            [word.replace("@", f"{folder}/") for word in (*TRAIN, "--labels", "@labels.csv", "--run", "@no", *words)],
        )
        assert done.exit_code != 0
        assert told in " ".join(f"{done.output} {done.exception}".split()).replace("│ ", "")
    assert not (folder / "no").exists()


@pytest.mark.slow
def test_new_clips_are_told_by_those_around_them_if_the_blend_takes_these(folder: Path, run: RunDirectory) -> None:
    shutil.copytree(run.path, folder / "near")
    heads(folder, "blend", "--run", "@near", "--method", "neighbours")
    near, store = RunDirectory(folder / "near"), FeatureStore.open(folder / "store")
    assert near.read_metrics()["chosen"] == "neighbours"
    assert {"neighbours", "neighbours-apart"} <= set(run.read_metrics()["blends"])
    spec = near.read_blend()
    half_way = [0.0, 0.0, 0.5, *[0.0] * 6]  # to those of the same minute
    spec["parameters"]["stacking"]["departures"] = [[0.0] * 2] * 2
    spec["parameters"] |= {"strength": 1.0, "departures": [half_way] * 2}
    near.write_blended(near.read_oof("blend"), spec, near.read_metrics())
    ids = ["site_0/new1.mp4", "site_0/new2.mp4", "elsewhere/new3.mp4"]
    both = predict_run(near, store, ids)
    alone = [predict_run(near, store, [clip_id]).predictions.probabilities[0] for clip_id in ids]
    said = both.predictions.probabilities
    assert both.notes == ()
    assert abs(said[0, 0] - said[1, 0]) < 0.1 * abs(alone[0][0] - alone[1][0])
    np.testing.assert_allclose(said[2], alone[2], rtol=1e-6)
    np.testing.assert_allclose(predict_run(near, store, ids[::-1]).predictions.probabilities, said[::-1], rtol=1e-12)
    known = predict_run(near, store, ["site_0/clip00.mp4", *ids]).predictions.probabilities
    np.testing.assert_allclose(known[1:], said, rtol=1e-6)  # what was learned from is no neighbour of what is new
    np.testing.assert_array_equal(known[0], near.read_oof("blend").select(["site_0/clip00.mp4"]).probabilities[0])
    untold = predict_run(near, store, ids, timed=lambda _: Timing())
    np.testing.assert_allclose(untold.predictions.probabilities, alone, rtol=1e-6)
    assert "not known when these were taken" in untold.notes[0]
    heads(folder, "pack", "@near", "@near.trapline")
    heads(folder, "predict", "--run", "@near.trapline", "--store", "@store", "--out", "@packed.csv", "--only-new")
    packed = pd.read_csv(folder / "packed.csv").set_index("clip_id").loc[ids, ["blank", "deer"]]
    np.testing.assert_allclose(packed.to_numpy(), said, atol=1e-6)
