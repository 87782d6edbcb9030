"""Answers in other programs' formats: valid by these programs' rules, and the same labels when they are read again."""

import csv
import io
import json
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import foreign_rules
import made_store
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from heads.cli import app
from heads.data.coarser import Coarser
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.reading.capture_times import parse_zone, times_of_files
from heads.data.reading.class_table import Taxon, own_taxon, read_class_table
from heads.data.reading.formats.detector_results import read_results
from heads.data.reading.label_formats import read_labels
from heads.data.splitting.folds import assign_folds
from heads.errors import LabelError, PredictionError
from heads.run import BLEND, RunDirectory
from heads.workflows.answers.external import import_predictions
from heads.workflows.answers.predict import NewPredictions, Origin
from heads.workflows.blend import blend_run
from heads.workflows.exports.answers import Answers, Moment, moments_of
from heads.workflows.exports.camtrap_dp import OBSERVATION_COLUMNS, CamtrapDp
from heads.workflows.exports.megadetector import MegaDetectorJson, results
from heads.workflows.exports.tables import LongCsv, TimelapseReady
from store import ClipFacts, ClipFeatures, FeatureStore, Status
from store.key import FeatureKey

CLASSES = ("blank", "fox", "roe | deer", "human")
IDS = ("s1/a.mp4", "s1/b, with comma.avi", "s2/c.mp4", "s2/Taï é.mp4", "s2/e.jpg", "s2/f.mp4")
SAID: tuple[tuple[str, ...], ...] = (("fox", "roe | deer"), ("blank",), (), ("human",), ("fox",), ())
DEPLOYMENTS = (
    "deploymentID,locationName,latitude,longitude,deploymentStart,deploymentEnd,Notes\n"
    "d1,s1,1.5,2.5,2024-01-01T00:00:00Z,2024-02-01T00:00:00Z,x\n"
    "d2,s2,1.6,2.6,2024-01-01T00:00:00+02:00,2024-01-15T00:00:00+02:00,\n"
    "d3,s2,1.6,2.6,2024-01-15T00:00:01+02:00,2024-02-01T00:00:00+02:00,\n"
)
PROJECT = {
    "contributors": [{"title": "Ann", "role": "contact"}],
    "project": {
        "title": "Forest",
        "samplingDesign": "systematicRandom",
        "captureMethod": ["activityDetection"],
        "individualAnimals": False,
    },
}


def answers(**changed: Any) -> Answers:
    probabilities = np.array(
        [
            *([0.01, 0.9, 0.75, 0.0], [0.97, 0.01, 0.02, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 0.1, 0.0, 1.0]),
            *([0.1, 0.8, 0.1, 0.0], [0.25, 0.5, 0.125, 0.125]),
        ]
    )
    status = (Status.OK, Status.OK, Status.SHORT, Status.OK, Status.OK, Status.FAILED)
    origin = (Origin.OUT_OF_FOLD, *[Origin.NEW] * 4, Origin.GUESSED)
    facts = pd.DataFrame(
        {
            "fps": [25.0, float("nan"), 30.0, 25.0, float("nan"), float("nan")],
            "duration_s": [15.5, 9.0, float("nan"), 10.0, float("nan"), float("nan")],
            "recorded_at": [
                *("2024-01-10T10:00:00.5Z", "2024-01-11T10:00:00", "2024-01-12 08:00:00+02:00"),
                *("2024-01-20T10:00:00Z", "2024:01:21 08:00:00", "2024-01-22T10:00:00Z"),
            ],
        },
        index=list(IDS),
    )
    new = NewPredictions(
        predictions=Predictions(ids=IDS, classes=CLASSES, probabilities=probabilities), status=status, origin=origin
    )
    found = Answers(
        new=new,
        said=SAID,
        taxa={name: own_taxon(name) for name in CLASSES}
        | {"fox": Taxon(scientific_name="Vulpes vulpes", rank="species")},
        by="Trapline 0.1.0, run r",
        made=datetime(2024, 6, 1, 12, tzinfo=UTC),
        reasons={"s2/f.mp4": "moov atom not found"},
        facts=facts,
        times=times_of_files(IDS, facts),
        moments={"s1/a.mp4": Moment(times_s=(0.0, 1.0, 2.0), at_s=1.0, box=(0.25, 0.5, 0.5, 0.25))},
        sites={clip_id: clip_id.split("/")[0] for clip_id in IDS},
        zone=parse_zone("+02:00"),
    )
    return replace(found, **changed)


@pytest.fixture
def given_tables(tmp_path: Path) -> CamtrapDp:
    (tmp_path / "deployments.csv").write_text(DEPLOYMENTS)
    (tmp_path / "project.json").write_text(json.dumps(PROJECT))
    return CamtrapDp(deployments=tmp_path / "deployments.csv", project=tmp_path / "project.json")


@pytest.fixture
def standard(real_data: Path) -> Path:
    pytest.importorskip("frictionless")
    return real_data / "camtrap_dp_example"


def labels_of(path: Path, **options: Any) -> dict[str, set[str]]:
    labels = read_labels(path, **options).labels
    return {
        clip_id: {name for name, value in zip(labels.classes, row, strict=True) if value}
        for clip_id, row in zip(labels.ids, labels.values.tolist(), strict=True)
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_results_obey_megadetectors_rules_and_failed_clips_are_not_blank() -> None:
    content = results(answers())
    assert foreign_rules.broken_rules(content) == []
    items = {item["file"]: item for item in content["images"]}
    assert items["s2/f.mp4"] == {
        "file": "s2/f.mp4",
        "detections": None,
        "failure": "moov atom not found",
        "frame_rate": -1.0,
        "frames_processed": [],
    }
    assert items["s1/b, with comma.avi"]["detections"] == []
    [fox, deer] = items["s1/a.mp4"]["detections"]
    assert fox == {
        "category": "1",
        "conf": 0.9,
        "bbox": [0.25, 0.5, 0.5, 0.25],
        "classifications": [["0", 0.9]],
        "frame_number": 25,
    }
    assert items["s1/a.mp4"]["frames_processed"] == [0, 25, 50]
    assert deer["classifications"] == [["1", 0.75]]
    assert items["s2/Taï é.mp4"]["detections"][0]["category"] == "2"
    assert "frame_rate" not in items["s2/e.jpg"]
    assert content["info"]["trapline"]["origin"] == {"out of fold": ["s1/a.mp4"], "learned by guesses": ["s2/f.mp4"]}
    assert type(items["s2/Taï é.mp4"]["detections"][0]["conf"]) is float


def test_the_detector_of_a_view_gives_its_box_and_its_own_confidence(tmp_path: Path) -> None:
    """The surest of the boxes that a store has of a clip: of its detector if that found any, else of what moves."""
    store = FeatureStore.open(tmp_path / "store", create=True)
    times, whole = np.array([0.0, 0.0, 1.0]), [0, 0, 1, 1]
    moving = {"motion_energy": np.array([0.1, 0.2, 0.4]), "box": np.array([whole, whole, [0.5, 0.5, 1, 1]])}
    found = {
        "motion_energy": np.array([0.3, 0.75, 0.0]),
        "box": np.array([[0, 0, 0.5, 0.5], [0.1, 0, 0.6, 0.5], whole]),
        "detector_box": np.array([[0.1, 0.1, 0.3, 0.3], [0.25, 0.125, 0.5, 0.375], [0, 0, 0, 0]]),
        "detector_confidence": np.array([0.3, 0.75, 0.0]),
    }
    unsure = {**found, "detector_confidence": np.array([0.1, 0.15, 0.0])}
    for view, of_clips in (("a", (moving, moving)), ("b", (found, unsure)), ("c", (moving, moving))):
        key = FeatureKey(
            backbone="x",
            weights_sha256="0" * 64,
            taps=(("a", 1),),
            input_px=8,
            resize="r",
            preprocessing="none",
            view={"name": view},
            sampling={"mode": "fps"},
        )
        with store.writer(key) as writer:
            for clip_id, numbers in zip(IDS[:2], of_clips, strict=True):
                per_frame = {name: values.astype(np.float32) for name, values in numbers.items()}
                writer.add(
                    ClipFeatures(
                        clip_id=clip_id,
                        fingerprint=clip_id[-1] * 32,
                        status=Status.OK,
                        reason="",
                        times_s=times,
                        features=np.ones((3, 1), np.float32),
                        per_frame=per_frame,
                    )
                )
    moments = moments_of(store, IDS[:2])
    assert moments[IDS[0]] == Moment(times_s=(0.0, 1.0), at_s=0.0, box=(0.25, 0.125, 0.25, 0.25), confidence=0.75)
    assert moments[IDS[1]] == Moment(times_s=(0.0, 1.0), at_s=1.0, box=(0.5, 0.5, 0.5, 0.5))
    content = results(answers(moments=moments))
    assert foreign_rules.broken_rules(content) == []
    assert content["images"][0]["detections"] == [
        {
            "category": "1",
            "conf": 0.75,
            "bbox": [0.25, 0.125, 0.25, 0.25],
            "classifications": [["0", 0.9], ["1", 0.75]],
            "frame_number": 0,
        }
    ]


@pytest.mark.filterwarnings("default")
def test_megadetectors_own_validator_finds_nothing_wrong(tmp_path: Path) -> None:
    """Where megadetector-utils and jsonpickle are installed, which nothing else here needs."""
    pytest.importorskip("jsonpickle")
    theirs = pytest.importorskip("megadetector.postprocessing.validate_batch_results")
    MegaDetectorJson().write(tmp_path / "md.json", answers())
    found = theirs.validate_batch_results(str(tmp_path / "md.json"))["validation_results"]
    assert (found["errors"], found["warnings"]) == ([], [])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"detections": None}, "no detections without a failure"),
        ({"failure": "x"}, "detections with a failure"),
        ({"frame_rate": 0}, "frame_rate 0"),
        ({"frames_processed": None}, "frames_processed None"),
        ({"file": "/a.mp4"}, "backslash or absolute"),
    ],
)
def test_the_rules_are_broken_by_what_breaks_them(change: dict[str, Any], rule: str) -> None:
    content = results(answers())
    content["images"][0] |= change
    assert any(rule in found for found in foreign_rules.broken_rules(content))
    content = results(answers())
    content["images"][0]["detections"][0] |= {"conf": 1, "frame_number": 1.5, "bbox": [0, 0, 2, 1], "category": "9"}
    assert len(foreign_rules.broken_rules(content)) == 4


def test_probabilities_come_back_out_of_results(tmp_path: Path) -> None:
    MegaDetectorJson().write(tmp_path / "md.json", answers())
    said, _ = read_results(tmp_path / "md.json", CLASSES)
    given = answers().new.predictions
    for name in ("fox", "roe | deer", "human"):
        expected = np.where(given.column(name) >= 0.05, given.column(name), 0)
        assert said.column(name)[:5] == pytest.approx(expected[:5])


def test_the_long_table_has_every_answer_and_none_of_a_failed_clip(tmp_path: Path) -> None:
    LongCsv().write(tmp_path / "long.csv", answers())
    table = pd.read_csv(tmp_path / "long.csv")
    wide = table.pivot_table(index="clip_id", columns="class", values="probability")
    given = answers().new.predictions
    assert set(wide.index) == set(IDS[:5])
    for name in CLASSES:
        assert wide.loc[list(IDS[:5]), name].tolist() == pytest.approx(given.column(name)[:5].tolist())
    there = table[table["said"] == 1].groupby("clip_id")["class"].apply(set).to_dict()
    assert there == {clip_id: set(said) for clip_id, said in zip(IDS, SAID, strict=True) if said}
    assert dict(zip(table["clip_id"], table["origin"], strict=True))["s1/a.mp4"] == "out of fold"
    assert set(table.loc[table["status"] == "failed", "clip_id"]) == {"s2/f.mp4"}
    assert set(table.loc[table["class"] == "fox", "scientificName"]) == {"Vulpes vulpes"}


SHOWN = {clip_id: set(said) for clip_id, said in zip(IDS, SAID, strict=True) if said}


def test_labels_come_back_out_of_a_table_for_timelapse(tmp_path: Path) -> None:
    TimelapseReady().write(tmp_path / "t.csv", answers())
    assert labels_of(tmp_path / "t.csv") == SHOWN
    rows = read_rows(tmp_path / "t.csv")
    assert (rows[0]["RelativePath"], rows[0]["File"], rows[0]["Species"]) == ("s1", "a.mp4", "fox")
    assert [row["Species"] for row in rows if row["File"] in ("c.mp4", "f.mp4")] == ["Unknown", ""]
    assert [row["Status"] for row in rows if row["File"] == "f.mp4"] == ["failed"]


def test_a_whole_package_is_valid_and_its_labels_come_back(
    tmp_path: Path, given_tables: CamtrapDp, standard: Path
) -> None:
    notes = given_tables.write(tmp_path / "out", answers())
    assert foreign_rules.package_errors(tmp_path / "out", standard) == []
    assert labels_of(tmp_path / "out", machine=True) == {k: {n.replace("|", "/") for n in v} for k, v in SHOWN.items()}
    assert any("'roe | deer': no scientificName is known" in note for note in notes)
    assert any("'Notes' are no columns of the standard" in note for note in notes)
    with pytest.raises(
        LabelError, match="has a label; left out: 6 observations by a machine, 1 unclassified observation"
    ):
        read_labels(tmp_path / "out")


def test_what_breaks_a_package_is_found(tmp_path: Path, given_tables: CamtrapDp, standard: Path) -> None:
    given_tables.write(tmp_path / "out", answers())
    path = tmp_path / "out" / "observations.csv"
    for right, wrong, said in (
        ("0.970000", "1.2", "classificationProbability"),
        ("2024-01-10T10:00:15Z", "2024-01-10T10:00:15", "eventEnd"),
        (",unknown,", ",nothing,", "observationType"),
    ):
        text = path.read_text()
        path.write_text(text.replace(right, wrong))
        assert any(said in error for error in foreign_rules.package_errors(tmp_path / "out", standard)), said
        path.write_text(text)
    descriptor = json.loads((tmp_path / "out" / "datapackage.json").read_text())
    descriptor["project"]["samplingDesign"] = "by chance"
    (tmp_path / "out" / "datapackage.json").write_text(json.dumps(descriptor))
    [error] = foreign_rules.package_errors(tmp_path / "out", standard)
    assert error.startswith("project/samplingDesign: 'by chance'")


def test_events_and_genera_are_told_as_the_standard_tells_them(
    tmp_path: Path, given_tables: CamtrapDp, standard: Path
) -> None:
    found = answers()
    event = ("s1 night", "s1 night", "", "s2 day", "s2 day", "")
    coarser = Coarser(rank="genus", name="Vulpes", classes=("fox", CLASSES[2]), threshold=0.5)
    told = replace(found, new=replace(found.new, event=event), said=((coarser.label,), *found.said[1:]))
    given_tables.write(tmp_path / "out", told.with_coarser([coarser]))
    assert foreign_rules.package_errors(tmp_path / "out", standard) == []
    media = {row["mediaID"]: row["filePath"] for row in read_rows(tmp_path / "out" / "media.csv")}
    rows = read_rows(tmp_path / "out" / "observations.csv")
    spans = {media[row["mediaID"]]: (row["eventID"], row["eventStart"], row["eventEnd"]) for row in rows}
    assert spans["s1/a.mp4"] == spans["s1/b, with comma.avi"]
    assert spans["s1/a.mp4"] == ("s1 night", "2024-01-10T10:00:00Z", "2024-01-11T08:00:09Z")
    assert spans["s2/c.mp4"][0] in {row["mediaID"] for row in rows}  # its own
    assert (rows[0]["scientificName"], rows[0]["observationTags"]) == ("Vulpes", "origin:out of fold | status:ok")
    assert float(rows[0]["classificationProbability"]) == 1.0
    taxa = json.loads((tmp_path / "out" / "datapackage.json").read_text())["taxonomic"]
    assert {"scientificName": "Vulpes", "taxonRank": "genus"} in taxa


def test_observations_say_what_machines_say(tmp_path: Path, given_tables: CamtrapDp) -> None:
    given_tables.write(tmp_path / "out", answers())
    media = {row["mediaID"]: row["filePath"] for row in read_rows(tmp_path / "out" / "media.csv")}
    rows = read_rows(tmp_path / "out" / "observations.csv")
    told = [
        (media[row["mediaID"]], row["observationType"], row["scientificName"], row["classificationProbability"])
        for row in rows
    ]
    assert told == [
        ("s1/a.mp4", "animal", "Vulpes vulpes", "0.900000"),
        ("s1/a.mp4", "animal", "", "0.750000"),
        ("s1/b, with comma.avi", "blank", "", "0.970000"),
        ("s2/c.mp4", "unknown", "", ""),
        ("s2/Taï é.mp4", "human", "Homo sapiens", "1.000000"),
        ("s2/e.jpg", "animal", "Vulpes vulpes", "0.800000"),
        ("s2/f.mp4", "unclassified", "", ""),
    ]
    failed = rows[-1]
    assert (failed["classificationMethod"], failed["observationComments"]) == ("", "moov atom not found")
    assert failed["observationTags"] == "origin:learned by guesses | status:failed"
    assert rows[0]["observationTags"] == "class:fox | origin:out of fold | status:ok"
    assert (rows[0]["eventStart"], rows[0]["eventEnd"]) == ("2024-01-10T10:00:00Z", "2024-01-10T10:00:15Z")
    assert [row["deploymentID"] for row in rows] == ["d1", "d1", "d1", "d2", "d3", "d3", "d3"]
    times = [row["timestamp"] for row in read_rows(tmp_path / "out" / "media.csv")]
    assert (times[1], times[4]) == ("2024-01-11T08:00:00Z", "2024-01-21T06:00:00Z")


def test_clips_without_time_place_or_an_allowed_path_are_told_and_left_out(
    tmp_path: Path, given_tables: CamtrapDp
) -> None:
    found = answers()
    facts = found.facts.copy()
    facts.loc["s1/a.mp4", "recorded_at"] = ""
    facts.loc["s2/c.mp4", "recorded_at"] = "2025-01-01T00:00:00Z"
    ids = (*IDS[:3], "s2/e..jpg", "s2/e.xyz", "s2/f.mp4")
    facts.index = pd.Index(ids)
    predictions = replace(found.new.predictions, ids=ids)
    changed = answers(
        new=replace(found.new, predictions=predictions),
        facts=facts,
        times=times_of_files(ids, facts),
        sites=dict.fromkeys(ids, "s2") | {IDS[1]: "s1"},
    )
    notes = given_tables.write(tmp_path / "out", changed)
    for reason, clip in (
        ("no capture time is known (--times or --time-pattern tells it)", "s1/a.mp4"),
        ("no deployment of --deployments covers its site and time", "s2/c.mp4"),
        ("a path that the standard does not allow", "s2/e..jpg"),
        ("no known media type", "s2/e.xyz"),
    ):
        assert f"1 clip left out of the package, {reason}: '{clip}'" in notes
    assert len(read_rows(tmp_path / "out" / "media.csv")) == 2


def test_a_clock_without_a_zone_needs_one(tmp_path: Path, given_tables: CamtrapDp) -> None:
    with pytest.raises(PredictionError, match=r"of which no zone is known.*--time-zone"):
        given_tables.write(tmp_path / "out", answers(zone=None))
    assert not (tmp_path / "out").exists()
    with pytest.raises(LabelError, match="--time-zone 'Mars'"):
        parse_zone("Mars")


def test_a_package_gets_observations_and_every_other_byte_stays(
    tmp_path: Path, given_tables: CamtrapDp, standard: Path
) -> None:
    given_tables.write(tmp_path / "mine", answers())
    before = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    merge = CamtrapDp(package=tmp_path / "mine")
    notes = merge.write(tmp_path / "merged", answers(by="Trapline 0.1.0, run other"))
    again = CamtrapDp(package=tmp_path / "merged")
    again.write(tmp_path / "twice", answers(by="Trapline 0.1.0, run other"))
    assert "7 observations of 6 files added to 7 that were there" in notes
    for name in ("merged", "twice"):
        after = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        assert after.keys() == before.keys()
        assert {key: value for key, value in after.items() if key != "observations.csv"} == {
            key: value for key, value in before.items() if key != "observations.csv"
        }
        assert after["observations.csv"].startswith(before["observations.csv"])
        assert foreign_rules.package_errors(tmp_path / name, standard) == []
    ids = [row["observationID"] for row in read_rows(tmp_path / "twice" / "observations.csv")]
    assert len(ids) == len(set(ids)) == 21
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == before
    with pytest.raises(PredictionError, match="is there already; name a new folder"):
        merge.write(tmp_path / "merged", answers())


def test_the_example_of_the_standard_gets_observations_and_stays_valid(tmp_path: Path, standard: Path) -> None:
    media = read_rows(standard / "media.csv")
    ids = tuple(row["fileName"] for row in media[:40] if row["filePublic"] == "true")
    values = np.tile([0.1, 0.9], (len(ids), 1))
    new = NewPredictions(
        predictions=Predictions(ids=ids, classes=("blank", "fox"), probabilities=values),
        status=(Status.OK,) * len(ids),
        origin=(Origin.NEW,) * len(ids),
    )
    found = replace(answers(), new=new, said=[("fox",)] * len(ids), facts=pd.DataFrame())
    with zipfile.ZipFile(tmp_path / "example.zip", "w") as archive:
        for path in standard.glob("*.csv"):
            archive.write(path, path.name)
        archive.write(standard / "datapackage.json", "datapackage.json")
    for source in (standard, tmp_path / "example.zip"):
        CamtrapDp(package=source).write(tmp_path / "out", found)
        assert foreign_rules.package_errors(tmp_path / "out", standard) == []
        rows = read_rows(tmp_path / "out" / "observations.csv")
        added = rows[549:]
        assert len(added) == len(ids)
        by_media = {row["mediaID"]: row["eventID"] for row in rows[:549] if row["mediaID"]}
        assert all(row["eventID"] == by_media[row["mediaID"]] for row in added if row["mediaID"] in by_media)
        original = (standard / "observations.csv").read_bytes()
        assert (tmp_path / "out" / "observations.csv").read_bytes().startswith(original)
        shutil.rmtree(tmp_path / "out")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=200)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        NAMES | st.sampled_from(["a,b", "a..b", "é", 'q"q', "~x", ".x"]), min_size=1, max_size=4, unique=True
    )
)
def test_names_of_any_letters_come_back(tmp_path: Path, names: list[str]) -> None:
    ids = tuple(dict.fromkeys(f"s1/{name.replace('/', '-').replace(chr(92), '-').strip()}.mp4" for name in names))
    new = NewPredictions(
        predictions=Predictions(ids=ids, classes=("blank", "fox"), probabilities=np.tile([0.1, 0.9], (len(ids), 1))),
        status=(Status.OK,) * len(ids),
        origin=(Origin.NEW,) * len(ids),
    )
    found = replace(answers(), new=new, said=[("fox",)] * len(ids), facts=pd.DataFrame(), moments={})
    assert foreign_rules.broken_rules(results(found)) == []
    MegaDetectorJson().write(tmp_path / "md.json", found)
    written = json.loads((tmp_path / "md.json").read_text(encoding="utf-8"))
    assert tuple(item["file"] for item in written["images"]) == ids
    for form, name in ((TimelapseReady(), "t.csv"), (LongCsv(), "l.csv")):
        form.write(tmp_path / name, found)
    assert [f"{row['RelativePath']}/{row['File']}" for row in read_rows(tmp_path / "t.csv")] == list(ids)
    assert tuple(dict.fromkeys(row["clip_id"] for row in read_rows(tmp_path / "l.csv"))) == ids


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class,rank\nfox,species\n", "expected columns 'class' and 'scientificName', found 'class', 'rank'"),
        ("class,scientificName,rank\nfox,Vulpes,kind\n", "line 2, class 'fox': the rank is 'kind', expected one of"),
        ("class,scientificName,observationType\nfox,V,plant\n", "line 2, class 'fox': the kind is 'plant'"),
        ("class,scientificName\nfox,V\nfox,W\n", "line 3: clip 'fox' stands already in line 2"),
    ],
)
def test_what_is_wrong_with_a_class_table_names_the_row(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(LabelError) as raised:
        read_class_table(tmp_path / "classes.csv", CLASSES)
    assert said in str(raised.value)


def test_a_class_table_names_taxa(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        "Class;Scientific Name;Rank;taxonID;Vernacular\nfox;Vulpes vulpes;Species;x:1;red fox\n"
    )
    taxa = read_class_table(tmp_path / "c.csv", CLASSES)
    known = {"rank": "species", "taxon_id": "x:1", "vernacular": "red fox", "higher": {"genus": "Vulpes"}}
    fox = Taxon(scientific_name="Vulpes vulpes", **known)
    assert taxa["fox"] == fox
    assert [taxa[name].kind for name in CLASSES] == ["blank", "animal", "animal", "human"]


def call(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "xml"], "--format xml: there is no such format; there are wide: our table; long: CSV"),
        (["--format", "camtrap-dp"], "a package needs --deployments FILE"),
        (["--format", "long", "--deployments", "d.csv"], "--deployments: only --format camtrap-dp has use for it"),
        (["--format", "megadetector"], "this format is one file; name it so that it ends in .json"),
        (["--format", "long", "--threshold", "2"], "--threshold 2.0: expected a probability from 0 to 1"),
    ],
)
def test_what_an_export_lacks_is_said_before_anything_is_done(tmp_path: Path, words: list[str], said: str) -> None:
    with pytest.raises(PredictionError) as raised:
        call("export", tmp_path / "no run", "--out", tmp_path / "out", *words)
    assert said in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_run_is_exported_out_of_fold_with_its_failed_clips(tmp_path: Path, make_run: Any) -> None:
    run = make_run(n_clips=120, heads=("attention-efficientnet_lite0",), n_sites=10)
    blend = run.read_oof(BLEND)
    done = call("export", run.path, "--out", tmp_path / "long.csv", "--format", "long", "--threshold", "0.5")
    assert "121 clips, answered by models that did not learn from them, 1 of which could not be decoded" in done.stdout
    table = pd.read_csv(tmp_path / "long.csv")
    assert set(table.loc[table["status"] == "ok", "origin"]) == {"out of fold"}
    assert table.loc[table["clip_id"] == "old/header only.mp4", "probability"].isna().all()
    said = table[(table["said"] == 1) & (table["class"] != "blank")]
    assert (said["probability"] >= 0.5).all()
    store = FeatureStore.open(tmp_path / "store", create=True)
    with store.clip_writer() as facts:
        for row, clip_id in enumerate(blend.ids):
            facts.add(
                ClipFacts(
                    clip_id=clip_id,
                    path="",
                    size_bytes=1,
                    mtime_ns=row,
                    fingerprint="",
                    status=Status.OK,
                    reason="",
                    fps=25.0,
                )
            )
    call("export", run.path, "--out", tmp_path / "md.json", "--format", "megadetector", "--store", store.root)
    content = json.loads((tmp_path / "md.json").read_text())
    assert foreign_rules.broken_rules(content) == []
    assert len(content["info"]["trapline"]["origin"]["out of fold"]) == 120
    with pytest.raises(PredictionError, match="what only the store knows, such as frame rates; give --store"):
        call("export", run.path, "--out", tmp_path / "x.json", "--format", "megadetector")


def test_new_clips_are_predicted_into_every_format(tmp_path: Path, given_tables: CamtrapDp) -> None:
    """By a run whose only model is one from outside, so that nothing needs training."""
    n_clips, n_labelled = 90, 84
    deer = np.random.default_rng(0).integers(0, 2, n_clips).astype(np.uint8)
    truth = np.stack([1 - deer, deer], axis=1)
    ids = made_store.clip_ids(n_clips)
    store = made_store.make_store(tmp_path / "store", truth, boxes=True)
    labels = LabelTable(
        ids=tuple(ids[:n_labelled]),
        classes=("blank", "deer"),
        values=truth[:n_labelled],
        sites=tuple(made_store.sites_of(ids[:n_labelled])),
    )
    run = RunDirectory(tmp_path / "run")
    run.write_labels(labels)
    run.write_folds(assign_folds(labels.values, labels.sites, 3, 0, ids=labels.ids))
    noise = np.random.default_rng(1).uniform(0, 0.4, n_clips)
    said = pd.DataFrame({"clip_id": ids, "blank": 1 - abs(deer - noise), "deer": abs(deer - noise)})
    said.to_csv(tmp_path / "other.csv", index=False)
    import_predictions(run, tmp_path / "other.csv")
    blend_run(run, "mean", most_clips_for_trees=0)
    words = ["predict", "--run", run.path, "--store", store.root, "--threshold", "0.5"]
    call(*words, "--format", "megadetector", "--out", tmp_path / "md.json")
    content = json.loads((tmp_path / "md.json").read_text())
    assert foreign_rules.broken_rules(content) == []
    items = {item["file"]: item for item in content["images"]}
    found = items[ids[int(np.flatnonzero(deer)[0])]]
    assert found["detections"][0]["bbox"] == [0.25, 0.25, 0.5, 0.5]
    last = found["frames_processed"][-1]
    assert found["detections"][0]["frame_number"] == last == 1000 * (len(found["frames_processed"]) - 1)
    assert len(content["info"]["trapline"]["origin"]["out of fold"]) == n_labelled
    call(*words, "--format", "timelapse", "--out", tmp_path / "t.csv")
    expected = {clip_id: {"deer"} if shown else {"blank"} for clip_id, shown in zip(ids, deer, strict=True)}
    assert labels_of(tmp_path / "t.csv") == expected
    package = write_media_package(tmp_path / "package", ids)
    done = call(*words, "--format", "camtrap-dp", "--package", package, "--out", tmp_path / "merged", "--json")
    assert json.loads(done.stdout)["origins"] == {"out of fold": n_labelled, "new": n_clips - n_labelled}
    assert labels_of(tmp_path / "merged", machine=True) == {f"cards/{name}": said for name, said in expected.items()}
    tables = ("--deployments", given_tables.deployments, "--project", given_tables.project)
    with pytest.raises(
        PredictionError, match=r"none of 90 clips can be in a package: no capture time is known .*: 'site 0/"
    ):
        call(*words, "--format", "camtrap-dp", *tables, "--out", tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def write_media_package(folder: Path, ids: list[str]) -> Path:
    """A package of clips that nobody has looked at yet."""
    folder.mkdir()
    names = ("deployments", "media", "observations")
    resources = [{"name": name, "path": f"{name}.csv"} for name in names]
    profile = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
    (folder / "datapackage.json").write_text(json.dumps({"profile": profile, "resources": resources}))
    (folder / "deployments.csv").write_text("deploymentID,latitude,longitude\nd1,1,2\n")
    rows = [f"m{row},d1,2024-01-10T10:00:00Z,cards/{clip_id},video/mp4\n" for row, clip_id in enumerate(ids)]
    (folder / "media.csv").write_text("mediaID,deploymentID,timestamp,filePath,fileMediatype\n" + "".join(rows))
    (folder / "observations.csv").write_text(",".join(OBSERVATION_COLUMNS))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("media.csv", "2024-01-10T10:00:00Z", "soon"), "media.csv, line 2: 'timestamp' is 'soon', expected a time"),
        (("media.csv", ".mp4,", "/z.mkv,"), "none of its 90 files, such as 'cards/site 0/000/z.mkv'"),
        (("observations.csv", ",classificationProbability", ""), "it has no column 'classificationProbability'"),
        (("observations.csv", "observationID,", ""), "there is no column 'observationID'"),
        (("datapackage.json", '"observations.csv"', '"../o.csv"'), "there is no file '../o.csv' in it"),
    ],
)
def test_a_package_that_nothing_can_be_added_to_says_why(
    tmp_path: Path, change: tuple[str, str, str], said: str
) -> None:
    ids = made_store.clip_ids(90)
    package = write_media_package(tmp_path / "package", ids)
    name, right, wrong = change
    (package / name).write_text((package / name).read_text().replace(right, wrong))
    new = NewPredictions(
        predictions=Predictions(ids=tuple(ids), classes=("blank", "fox"), probabilities=np.tile([0.1, 0.9], (90, 1))),
        status=(Status.OK,) * 90,
        origin=(Origin.NEW,) * 90,
    )
    found = replace(answers(), new=new, said=[("fox",)] * 90, facts=pd.DataFrame())
    with pytest.raises((LabelError, PredictionError)) as raised:
        CamtrapDp(package=package).write(tmp_path / "out", found)
    assert said in str(raised.value)
    assert not (tmp_path / "out").exists()
