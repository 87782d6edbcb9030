"""Views from the clip to the store: what is cut out, what is chosen, and that company changes nothing."""

import inspect
import json
import re
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from moving import FPS, as_pixels, clip, scene, walk
from PIL import Image
from tiny_backbone import tiny_source

from featurize.commands.progress import summary_facts
from featurize.decoding.decode import decode
from featurize.decoding.pictures.ppm import ppm_frames_alike
from featurize.demo.scenes import write_video
from featurize.errors import SourceError
from featurize.motion import boxes, energy, stabilise
from featurize.motion.keyframes import choose_by_motion
from featurize.motion.lowres import LowresFrames
from featurize.pipeline.discover import survey
from featurize.pipeline.extract import extract
from featurize.pipeline.glance.preview import write_previews
from featurize.pipeline.plan import make_plan
from featurize.pipeline.source import FeatureSource
from featurize.views.crops import ViewSpec
from featurize.views.registry import view_settings
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import FeatureStore, Status
from store.maintenance.verify import verify_store

CLOSER = ViewSpec(canvas=Canvas(px=64), view="motion")
PATH = walk()


@pytest.fixture(scope="module")
def walking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 640 x 360 clip in which a bright square walks through."""
    folder = tmp_path_factory.mktemp("walking")
    frames = [cv2.resize(frame, (640, 360), interpolation=cv2.INTER_CUBIC) for frame in as_pixels(clip(PATH))]
    write_video(folder / "walk.mp4", iter(frames), fps=FPS)
    return folder


def test_crops_show_the_mover_in_full_resolution_and_rest_frames_are_whole(walking: Path) -> None:
    frames = decode(walking / "walk.mp4", Sampling(fps=4), [CLOSER])
    pictures = frames.crops[CLOSER]
    boxes = pictures.per_frame["box"]
    closer = (boxes != [0, 0, 1, 1]).any(axis=1)
    there = np.array([PATH(round(time * FPS)) is not None for time in pictures.times_s])
    assert np.mean(closer == there) > 0.9
    assert len(boxes) == len(pictures.times_s) == sum(len(places) for places, _ in pictures.by_size)
    bright = {
        int(place): (picture > 200).all(axis=-1).mean()
        for places, pixels in pictures.by_size
        for place, picture in zip(places, pixels, strict=True)
    }
    assert min(bright[place] for place in np.flatnonzero(closer & there)) > 0.2
    assert np.all(pictures.per_frame["motion_energy"][closer] > 0)
    assert np.all(pictures.per_frame["motion_confidence"][closer] > 0.5)


def test_a_view_does_not_depend_on_other_views_and_sizes(walking: Path) -> None:
    path, other = walking / "walk.mp4", ViewSpec(canvas=Canvas(px=96), view="whole")
    alone = decode(path, Sampling(fps=4), [CLOSER]).crops[CLOSER]
    together = decode(path, Sampling(fps=4), [other, CLOSER]).crops[CLOSER]
    for (places, pixels), (other_places, other_pixels) in zip(alone.by_size, together.by_size, strict=True):
        np.testing.assert_array_equal(places, other_places)
        np.testing.assert_array_equal(pixels, other_pixels)


def test_both_views_go_into_the_store_under_keys_of_their_own(walking: Path, tmp_path: Path) -> None:
    tiny = tiny_source()
    closer = FeatureSource(backbone=tiny.backbone, canvas=tiny.canvas, view="motion")
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "still.jpg")
    clips, sampling = survey([walking, tmp_path / "still.jpg"]).clips, Sampling(fps=4)
    both, alone = (FeatureStore.open(tmp_path / name, create=True) for name in ("both", "alone"))
    plan = make_plan(clips, [tiny, closer], sampling, both)
    progress = extract(plan, both)
    assert summary_facts(progress, "both")["seen_whole"] == 1
    extract(make_plan(clips, [closer], sampling, alone), alone)
    keys = {key.source: key for key in both.keys()}
    assert set(keys) == {tiny.backbone.name, f"{tiny.backbone.name}+motion"}
    reader, single = both.reader(keys[f"{tiny.backbone.name}+motion"]), alone.reader(closer.key(sampling))
    for index, clip_id in enumerate(reader.ids):
        row, expected = reader.row(index), single.row(single.index_of([clip_id])[0])
        np.testing.assert_array_equal(row.features, expected.features)
        np.testing.assert_array_equal(row.per_frame["box"], expected.per_frame["box"])
    still = reader.row(reader.index_of(["still.jpg"])[0])
    np.testing.assert_array_equal(still.per_frame["box"], [[0, 0, 1, 1]])
    assert verify_store(tmp_path / "both").problems == []
    facts = both.clips().loc["walk.mp4"]
    assert 0.2 < facts["motion_share"] < 0.6
    assert facts["motion_peak"] > 1


def test_frames_chosen_by_motion_show_the_event_and_some_of_the_rest(walking: Path) -> None:
    spec = ViewSpec(canvas=Canvas(px=64))
    frames = decode(walking / "walk.mp4", Sampling(frames=8, choose="motion"), [spec])
    assert frames.status is Status.OK
    assert len(frames.times_s) == len(frames.crops[spec].times_s) == 8
    assert np.all(np.diff(frames.times_s) > 0)
    there = np.array([PATH(round(time * FPS)) is not None for time in frames.times_s])
    assert there.sum() == 6


def test_a_clip_with_fewer_frames_than_are_to_be_chosen_is_short(walking: Path) -> None:
    frames = decode(walking / "walk.mp4", Sampling(frames=100, choose="motion"), [CLOSER])
    assert frames.status is Status.SHORT
    assert len(frames.times_s) == 60


@pytest.mark.parametrize("count", [1, 2, 5, 16, 40])
def test_choosing_takes_distinct_frames_in_order(count: int) -> None:
    rng = np.random.default_rng(count)
    for moved in (np.zeros(40), rng.random(40), np.where(rng.random(40) > 0.9, 1.0, 0.0), np.eye(40)[7]):
        chosen = choose_by_motion(moved.astype(np.float32), count)
        assert len(chosen) == count
        assert np.all(np.diff(chosen) > 0)
        assert moved.max() == 0 or moved[chosen].any()


def test_frames_are_dense_where_the_root_of_the_energy_is() -> None:
    energy = np.zeros(100, np.float32)
    energy[20:40], energy[70:80] = 1, 16
    chosen = choose_by_motion(energy, 16)
    assert sum(20 <= place < 40 for place in chosen) == 4
    assert sum(70 <= place < 80 for place in chosen) == 8
    assert sum(energy[place] == 0 for place in chosen) == 4


def test_contact_sheets_are_written_and_failures_are_named(walking: Path, tmp_path: Path) -> None:
    (tmp_path / "clips/deep").mkdir(parents=True)
    (tmp_path / "clips/deep/walk.mp4").write_bytes((walking / "walk.mp4").read_bytes())
    (tmp_path / "clips/empty.mp4").touch()
    lines: list[str] = []
    sampling = Sampling(fps=4)
    failures = write_previews(
        survey([tmp_path / "clips"]).clips, sampling, tmp_path / "sheets", workers=1, on_clip=lines.append
    )
    assert failures == [("empty.mp4", "the file is empty (0 bytes)")]
    assert any("empty.mp4: the file is empty" in line for line in lines)
    assert any("deep/walk.mp4: something moves in" in line for line in lines)
    with Image.open(tmp_path / "sheets/deep/walk.mp4.jpg") as sheet:
        colours = np.asarray(sheet.convert("RGB")).reshape(-1, 3).astype(int)
    assert np.count_nonzero(np.abs(colours - [255, 122, 0]).max(axis=1) < 40) > 500


def test_contact_sheets_that_cannot_be_written_get_one_sentence(walking: Path, tmp_path: Path) -> None:
    (tmp_path / "sheets").touch()
    with pytest.raises(SourceError, match=r"walk\.mp4\.jpg: the contact sheet cannot be written \(File exists\)"):
        write_previews(survey([walking]).clips, Sampling(fps=4), tmp_path / "sheets", workers=1, on_clip=lambda _: None)


@pytest.mark.parametrize("size", [(640, 340), (320, 170), (320, 178)])
def test_a_still_picture_of_any_size_has_no_motion_and_its_own_brightness(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """At some sizes the height of the low-resolution copy falls half way between two even numbers."""
    picture = cv2.resize(as_pixels(scene()[None])[0], size, interpolation=cv2.INTER_CUBIC)
    write_video(tmp_path / "still.mp4", iter([picture] * 24), fps=FPS)
    frames = decode(tmp_path / "still.mp4", Sampling(fps=4), [CLOSER])
    assert not frames.motion.cells.any()
    assert (frames.crops[CLOSER].per_frame["box"] == [0, 0, 1, 1]).all()
    assert frames.image_facts.motion_mean < 0.002
    assert frames.image_facts.brightness_mean == pytest.approx(LowresFrames(picture[None]).grey.mean() / 255, rel=0.02)
    assert frames.image_facts.brightness_std == pytest.approx(LowresFrames(picture[None]).grey.std() / 255, rel=0.1)


def test_low_resolution_frames_of_other_sizes_are_brought_to_the_first_one_s(tmp_path: Path) -> None:
    first, other = np.full((40, 60, 3), 90, np.uint8), np.full((20, 60, 3), 120, np.uint8)
    content = b"".join(b"P6\n%d %d\n255\n%b" % (*frame.shape[1::-1], frame.tobytes()) for frame in (first, other))
    (tmp_path / "low.ppm").write_bytes(content + content[:-1])
    low = ppm_frames_alike(tmp_path / "low.ppm")
    assert low.shape == (3, 40, 60, 3), "the last one was cut off"
    np.testing.assert_array_equal(low[:, 7, 7, 0], [90, 120, 90])
    assert len(ppm_frames_alike(tmp_path / "gone.ppm")) == 0


def constants(module: ModuleType) -> set[str]:
    """The upper-case names of numbers, single ones and rows of them, that are assigned in `module`."""
    assigned = re.findall(r"^([A-Z_]+)\b[^=\n]* = ", inspect.getsource(module), re.MULTILINE)
    return {name for name in assigned if isinstance(getattr(module, name), int | float | tuple)}


@pytest.mark.parametrize("module", [energy, stabilise, boxes])
def test_every_number_that_decides_about_motion_stands_in_the_keys_of_what_depends_on_it(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever number of the module is another one, the keys are others."""
    chosen = Sampling(frames=8, choose="motion")
    view, sampling = view_settings("motion"), chosen.to_json()
    assert len(constants(module)) >= 4
    for name in constants(module):
        with monkeypatch.context() as changed:
            changed.setattr(module, name, (0.123, 4.567) if isinstance(getattr(module, name), tuple) else 0.123)
            assert view_settings("motion") != view, name
            assert (chosen.to_json() != sampling) == (module is not boxes), name


def test_settings_of_motion_are_plain_json() -> None:
    for settings in (view_settings("motion"), Sampling(frames=8, choose="motion").to_json()):
        assert json.loads(json.dumps(settings)) == settings


def test_keys_of_whole_frames_know_nothing_of_motion() -> None:
    assert view_settings("whole") == {"name": "whole"}
    assert Sampling(fps=3).to_json() == {"mode": "fps", "fps": 3, "max_frames": 180}
    assert Sampling(frames=8).to_json() == {"mode": "frames", "frames": 8}
