"""JSON of MegaDetector and SpeciesNet as predictions of a run's classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_store import clip_ids, make_store, sites_of
from typer.testing import CliRunner

from heads.cli import app
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.reading.formats.detector_results import SurestBox, read_boxes, read_results
from heads.data.reading.mapping import ClassMapping
from heads.data.splitting.folds import assign_folds
from heads.errors import PredictionError
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from heads.workflows.exports.answers import LEAST_CONFIDENCE

CLASSES = ("blank", "roe deer", "human", "fox")
RED_FOX = "uuid;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"


def detection(category: str, conf: float, *classifications: tuple[str, float], **more: Any) -> dict[str, Any]:
    found = {"category": category, "conf": conf, "bbox": [0.1, 0.1, 0.2, 0.2], **more}
    return found | ({"classifications": [list(pair) for pair in classifications]} if classifications else {})


def megadetector(*images: dict[str, Any]) -> dict[str, Any]:
    return {
        "info": {"format_version": "1.6"},
        "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
        "classification_categories": {"0": "Roe Deer", "1": "canis"},
        "images": list(images),
    }


def written(tmp_path: Path, content: object, name: str = "md.json") -> Path:
    (tmp_path / name).write_text(json.dumps(content))
    return tmp_path / name


def rows(said: Predictions) -> dict[str, list[float]]:
    return {
        clip: [round(each, 6) for each in row] for clip, row in zip(said.ids, said.probabilities.tolist(), strict=True)
    }


def test_a_clip_has_its_surest_detection_and_what_no_detection_is_sure_of_is_blank(tmp_path: Path) -> None:
    deer = detection("1", 0.8, ("0", 0.5), ("1", 0.4), frame_number=3)
    path = written(
        tmp_path,
        megadetector(
            {"file": "s1\\a.mp4", "detections": [deer, detection("1", 0.9, ("0", 0.2)), detection("2", 0.3)]},
            {"file": "s1/b.mp4", "detections": []},
            {"file": "s1/c.mp4", "detections": None, "failure": "cannot be opened"},
        ),
    )
    said, notes = read_results(path, CLASSES)
    assert said.classes == ("blank", "roe deer", "human")
    assert rows(said) == {"s1/a.mp4": [0.1, 0.4, 0.3], "s1/b.mp4": [1, 0, 0], "s1/c.mp4": [0.55, 0.2, 0.15]}
    assert notes == (
        "md.json: read as results of MegaDetector, which tell 'blank', 'roe deer', 'human'",
        "md.json: 1 file failed, given the mean of the others, not blank",
        "md.json: 'canis', 'vehicle' are no classes of the run and do not count",
    )


def test_frames_of_a_video_and_files_of_old_versions_are_read(tmp_path: Path) -> None:
    frames = [
        {"file": f"s1/a.MP4/frame00000{n}.jpg", "max_detection_conf": conf, "detections": [detection("1", conf)]}
        for n, conf in enumerate([0.2, 0.7])
    ]
    old = {
        "info": {},
        "detection_categories": {"1": "animal"},
        "images": [*frames, {"file": "b.mp4", "detections": []}],
    }
    assert rows(read_results(written(tmp_path, old), ("blank", "fox"))[0]) == {"s1/a.MP4": [0.3], "b.mp4": [1]}


def test_a_mapping_says_what_the_names_of_results_mean(tmp_path: Path) -> None:
    path = written(tmp_path, megadetector({"file": "a", "detections": [detection("1", 1.0, ("1", 0.5))]}))
    mapping = ClassMapping(name="m.csv", classes_of={"canis": ("fox",), "person": ()})
    said, _ = read_results(path, CLASSES, mapping=mapping)
    assert (said.classes, rows(said)) == (("blank", "roe deer", "fox"), {"a": [0, 0, 0.5]})


def test_speciesnet_names_species_by_common_and_scientific_names(tmp_path: Path) -> None:
    content = {
        "predictions": [
            {
                "filepath": "a.mp4",
                "classifications": {"classes": [RED_FOX, BLANK], "scores": [0.75, 0.125]},
                "detections": [{"category": "2", "label": "human", "conf": 0.5, "bbox": [0, 0, 1, 1]}],
            },
            {"filepath": "b.mp4", "detections": []},
            {"filepath": "c.mp4", "failures": ["CLASSIFIER", "DETECTOR"]},
        ]
    }
    for name in ("Red fox", "Vulpes vulpes"):
        said, _ = read_results(written(tmp_path, content), ("blank", name, "human"))
        assert rows(said) == {"a.mp4": [0.125, 0.75, 0.5], "b.mp4": [1, 0, 0], "c.mp4": [0.5625, 0.375, 0.25]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            megadetector({"file": "a", "detections": [detection("1", 7)]}),
            "images[0].detections[0]: 'conf' is 7, expected",
        ),
        (megadetector({"file": 3, "detections": []}), "images[0]: 'file' is 3, expected the path of a file"),
        (megadetector({"file": "a", "detections": [detection("1", 1, ("0", None))]}), "probability is None, expected"),
        (megadetector({"file": "a", "failure": "x", "detections": None}), "all of its 1 files failed"),
        (megadetector(), "it has results of no file"),
        ({"images": []}, "neither results of MegaDetector nor of SpeciesNet"),
    ],
)
def test_what_is_wrong_with_results_names_file_place_and_field(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(PredictionError) as raised:
        read_results(written(tmp_path, content), CLASSES)
    assert said in str(raised.value)
    assert str(raised.value).startswith("md.json")


def test_results_that_name_no_class_of_the_run_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, megadetector({"file": "a", "detections": []}))
    with pytest.raises(PredictionError, match=r"names .*'canis'.* none of which is a class of the run \('lynx'\)"):
        read_results(path, ("lynx",))


VALUES = st.recursive(
    st.sampled_from(["a.mp4", "1", "0", "", "x;y;z;a;b;c;d"])
    | st.none()
    | st.booleans()
    | st.floats()
    | st.integers(0, 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["1", "classes", "scores"]), inner),
    max_leaves=4,
)
BOXES = st.lists(
    st.fixed_dictionaries({"category": st.sampled_from(["1", "2"]), "conf": st.floats(0, 1) | VALUES}) | VALUES,
    max_size=2,
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {"file": st.just("a.mp4") | VALUES, "filepath": st.just("a.mp4") | VALUES, "detections": BOXES | VALUES},
        optional={"failure": VALUES, "classifications": VALUES},
    )
    | VALUES,
    max_size=3,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=ITEMS, categories=VALUES, key=st.sampled_from(["images", "predictions"]))
def test_results_give_predictions_or_one_sentence(tmp_path: Path, items: object, categories: object, key: str) -> None:
    content = {
        key: items,
        "detection_categories": {"1": "animal", "2": "person"},
        "classification_categories": categories,
    }
    said, message = None, ""
    try:
        said, _ = read_results(written(tmp_path, content), CLASSES)
    except PredictionError as error:
        message = str(error)
    if said is None:
        assert message.startswith("md.json")
        return
    assert said.probabilities.shape == (len(said.ids), len(said.classes))


def test_the_surest_box_of_each_file_is_kept(tmp_path: Path) -> None:
    images = [
        {
            "file": "a.mp4",
            "frame_rate": 10,
            "detections": [
                detection("1", 0.3, frame_number=5),
                detection("2", 0.9, bbox=[0.5, 0.25, 0.6, 0.5], frame_number=12),
            ],
        },
        {"file": "b.mp4", "detections": []},
        {"file": "c.jpg", "detections": [detection("1", 0.8, bbox=None), detection("1", 0.7, bbox=[0, 0, "x", 1])]},
        {"file": "d.jpg", "detections": [detection("1", 0.8)]},
    ]
    found = read_boxes(written(tmp_path, megadetector(*images)))
    assert set(found) == {"a.mp4", "d.jpg"}
    assert found["a.mp4"] == SurestBox(box=(0.5, 0.25, 0.5, 0.5), confidence=0.9, time_s=1.2)
    assert found["d.jpg"].time_s is None
    species = {"predictions": [{"filepath": "x/a.jpg", "detections": [detection("1", 0.4)]}]}
    assert found["d.jpg"].box == read_boxes(written(tmp_path, species))["x/a.jpg"].box


def test_results_are_blended_and_asked_for_again_of_new_clips(tmp_path: Path) -> None:
    n_clips, n_labelled = 90, 84
    deer = np.random.default_rng(0).integers(0, 2, n_clips).astype(np.uint8)
    truth = np.stack([1 - deer, deer], axis=1)
    ids, store = clip_ids(n_clips), make_store(tmp_path / "store", truth, failed=(89,))
    labels = LabelTable(
        ids=tuple(ids[:n_labelled]),
        classes=("blank", "deer"),
        values=truth[:n_labelled],
        sites=tuple(sites_of(ids[:n_labelled])),
    )
    run = RunDirectory(tmp_path / "run")
    run.write_labels(labels)
    run.write_folds(assign_folds(labels.values, labels.sites, 3, 0, ids=labels.ids))

    def results(some: range) -> dict[str, Any]:
        noise = np.random.default_rng(1).uniform(0.2, 0.8, n_clips)
        confs = np.where(deer == 1, 0.3 + 0.7 * noise, 0.7 * noise).tolist()
        images = [{"file": f"/mnt/{ids[row]}", "detections": [detection("1", confs[row], ("0", 1.0))]} for row in some]
        return megadetector(*images) | {"classification_categories": {"0": "Deer"}}

    path = written(tmp_path, results(range(n_labelled)))
    done = CliRunner().invoke(app, ["blend", "--run", str(run.path), "--add", str(path)], catch_exceptions=False)
    assert "added md: 84 clips of the run out of fold, 0 others" in done.stderr
    assert "md.json: read as results of MegaDetector, which tell 'blank', 'deer'" in done.stderr
    blend_run(run, "mean", most_clips_for_trees=0)
    assert run.read_added_facts("md")["file"] == "md.json"
    written(tmp_path, results(range(n_labelled, n_clips)))
    words = ["predict", "--run", run.path, "--store", store.root, "--out", tmp_path / "out.csv", "--add", path]
    CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert (tmp_path / "out.csv").read_text().count(",new,") == n_clips - n_labelled
    assert "\nsite 5/089.mp4,failed,new," in (tmp_path / "out.csv").read_text()
    words = [
        *words[:5],
        "--out",
        tmp_path / "out.json",
        "--add",
        path,
        "--format",
        "megadetector",
        "--threshold",
        "0.5",
    ]
    CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    told = {item["file"]: item["detections"] for item in json.loads((tmp_path / "out.json").read_text())["images"]}
    surest = {clip_id: box.confidence >= LEAST_CONFIDENCE for clip_id, box in read_boxes(path).items()}
    assert len(surest) == n_clips - n_labelled
    assert told.pop("site 5/089.mp4") is None
    for row, clip_id in enumerate(ids[:-1]):  # those of the run's clips were kept in it
        sure = surest[f"/mnt/{clip_id}"] if row >= n_labelled else results(range(row, row + 1))["images"][0][
            "detections"][0]["conf"] >= LEAST_CONFIDENCE  # fmt: skip
        assert all((each["bbox"] == [0.1, 0.1, 0.2, 0.2]) == sure for each in told[clip_id]), (sure, told[clip_id])
