"""What a new view costs: a row in the table, and nothing else knows it."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving import FPS, as_pixels, clip, walk

from featurize.commands.run import featurize_folder
from featurize.decoding.decode import decode
from featurize.demo.scenes import write_video
from featurize.errors import SettingsError
from featurize.motion.boxes import Box
from featurize.motion.energy import NO_MOTION, Motion
from featurize.pipeline.request import Request
from featurize.views.crops import ViewSpec
from featurize.views.registry import VIEWS, find_view
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import FeatureStore


@dataclass(frozen=True)
class LeftPart:
    """A toy: the left part of every frame."""

    share: float = 0.5
    name: str = "left"
    crops: bool = True
    needs_whole_clip: bool = False
    needs_background: bool = False
    evens_contrast: bool = False
    needs_detector: str = ""

    def settings(self) -> dict[str, Any]:
        return {"left.share": self.share}

    def boxes(self, motion: Motion, index: int, aspect: float) -> list[Box]:
        return [Box(right=self.share, energy=float(motion.energy[index]) if len(motion.cells) else 0.0)]


@pytest.fixture(scope="module")
def walking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walking")
    write_video(folder / "walk.mp4", iter(as_pixels(clip(walk()))), fps=FPS)
    return folder


def test_a_view_that_is_added_to_the_table_is_featurized_under_a_key_of_its_own(
    walking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = Request(
        videos=[walking],
        backbones=["phash"],
        offline=True,
        views=["whole", "left"],
        sampling=Sampling(fps=4),
        workers=1,
    )
    with pytest.raises(SettingsError, match="view 'left' is unknown, expected one of whole, motion, animal, detector"):
        featurize_folder(request, tmp_path / "store", as_json=True)
    monkeypatch.setitem(VIEWS, "left", LeftPart())
    assert featurize_folder(request, tmp_path / "store", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["seen_whole_by"] == {}
    store = FeatureStore.open(tmp_path / "store")
    whole, left = store.find("phash"), store.find("phash+left")
    assert left.view == {"name": "left", "left.share": 0.5}
    assert left.digest != whole.digest
    row, other = store.reader(left).row(0), store.reader(whole).row(0)
    np.testing.assert_array_equal(row.times_s, other.times_s)
    np.testing.assert_array_equal(row.per_frame["box"], [[0, 0, 0.5, 1]] * len(row.times_s))
    np.testing.assert_array_equal(row.per_frame["motion_energy"], other.per_frame["motion_energy"])
    assert other.per_frame.keys() == {"motion_energy"}
    assert np.abs(row.features - other.features).max() > 0.1
    monkeypatch.setitem(VIEWS, "left", LeftPart(share=1.0))
    assert featurize_folder(request, tmp_path / "store", as_json=False) == 0
    assert "the left view showed whole frames of 1 clip in which it found nothing" in capsys.readouterr().out


@pytest.mark.parametrize("sampling", [Sampling(fps=4), Sampling(frames=6, choose="motion")], ids=["3/s", "by motion"])
@pytest.mark.parametrize("name", [*VIEWS, "left"])
def test_a_crop_is_the_part_of_the_frame_in_its_box(
    walking: Path, name: str, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether frames wait for the clip's end or not, each crop is cut from its own frame."""
    monkeypatch.setitem(VIEWS, "left", LeftPart())
    large, spec = Canvas(px=240, rule="squash"), ViewSpec(canvas=Canvas(px=32, rule="squash"), view=name)
    every = ViewSpec(canvas=large)
    decoded = decode(walking / "walk.mp4", sampling, [every, spec])
    ((_, frames),) = decoded.crops[every].by_size
    crops = decoded.crops[spec]
    boxes = crops.per_frame.get("box", np.array([[0, 0, 1, 1]] * len(crops.times_s)))
    ((_, pixels),) = crops.by_size
    for time, box, crop in zip(crops.times_s, boxes, pixels, strict=True):
        frame = frames[np.flatnonzero(decoded.times_s == time)[0]]
        left, top, right, bottom = np.round(box * 240).astype(int)
        expected = spec.canvas.fit(np.ascontiguousarray(frame[top:bottom, left:right]))
        assert np.abs(crop.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_keeps_what_the_table_promises(name: str) -> None:
    view = find_view(name)
    assert view.name == name
    assert json.loads(json.dumps(view.settings())) == view.settings()
    assert "name" not in view.settings()
    without = view.boxes(NO_MOTION, 0, 16 / 9)
    assert without
    moving = Motion(times_s=np.arange(2.0), cells=np.eye(20, dtype=np.float32)[None].repeat(2, axis=0))
    found = view.boxes(moving, 1, 16 / 9)
    if not view.needs_whole_clip:
        assert [replace(box, energy=0.0) for box in found] == without
    if not view.crops:
        assert all(box.covers_frame for box in [*found, *without])


def test_the_views_are_listed_without_a_library_of_numbers() -> None:
    check = "import sys; from featurize.views.registry import VIEWS; print(list(VIEWS)); "
    check += "print(sorted({'numpy', 'cv2', 'PIL', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['whole', 'motion', 'animal', 'detector']", "[]"]
