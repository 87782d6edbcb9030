"""Strips out of real clips whose frames' grey level says which frame they are."""

import io
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from indexed_clips import index_of, write_indexed_clip
from made_store import DIM, made_key
from PIL import Image
from typer.testing import CliRunner

from heads.cli import app
from heads.errors import RunError
from heads.report import render_report, write_report
from heads.report import strips as strips_module
from heads.report.figures.timeline import Line, legend, time_line
from heads.report.files import ClipFiles
from heads.report.strips import StripMaker
from heads.run import RunDirectory
from store import ClipFacts, ClipFeatures, FeatureStore, Status

MakeRun = Callable[..., RunDirectory]
N_FRAMES, FPS = 24, 8.0
BUSY = 13  # the frame that moves most


def clip_facts(clip_id: str, path: Path) -> ClipFacts:
    return ClipFacts(
        clip_id=clip_id, path=str(path), size_bytes=1, mtime_ns=1, fingerprint="", status=Status.OK, reason=""
    )


def make_store(root: Path, ids: list[str], videos: Path) -> FeatureStore:
    store = FeatureStore.open(root, create=True)
    energy = np.full(N_FRAMES, 0.1, np.float32)
    energy[BUSY] = 1.0
    box = np.tile(np.array([0.25, 0.5, 0.75, 1.0], np.float32), (N_FRAMES, 1))
    box[4] = (0, 0, 1, 1)  # nothing in particular moves
    with store.clip_writer() as facts, store.writer(made_key()) as writer:
        for clip_id in ids:
            path = videos / clip_id
            facts.add(clip_facts(clip_id, path))
            writer.add(
                ClipFeatures(
                    clip_id=clip_id,
                    fingerprint="",
                    status=Status.OK,
                    reason="",
                    times_s=np.arange(N_FRAMES) / FPS,
                    features=np.zeros((N_FRAMES, DIM), np.float32),
                    per_frame={"motion_energy": energy, "box": box},
                )
            )
    return store


def copy_to(folder: Path, ids: list[str]) -> None:
    """One and the same clip under many names."""
    first, *others = [folder / clip_id for clip_id in ids]
    write_indexed_clip(first, N_FRAMES, FPS)
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(first)


def shown(picture: str) -> int:
    jpeg = b64decode(picture.removeprefix("data:image/jpeg;base64,"))
    return index_of(np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")))


def test_a_strip_shows_the_frames_that_count_with_their_boxes(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "videos" / "a.mp4", N_FRAMES, FPS)
    store = make_store(tmp_path / "store", ["a.mp4", "gone.mp4"], tmp_path / "videos")
    made = StripMaker(RunDirectory(tmp_path / "run"), store, ClipFiles(store.clips(), None), []).make(
        ["a.mp4", "gone.mp4", "stranger.mp4"]
    )
    frames = made["a.mp4"].frames
    places = [round(frame.time_s * FPS) for frame in frames]
    assert places == [0, 4, 8, BUSY, 16, 20]
    assert [shown(frame.picture) for frame in frames] == places
    assert [frame.looked_at for frame in frames] == [place == BUSY for place in places]
    assert [frame.boxes for frame in frames[:2]] == [((0.25, 0.5, 0.75, 1.0),), ()]
    assert "motion: highest at 1.6 s" in made["a.mp4"].line
    assert "gone.mp4" in made["gone.mp4"].problem
    assert "no frames" in made["stranger.mp4"].problem


def test_where_two_things_move_a_moment_stands_once(tmp_path: Path) -> None:
    """As the motion view stores it: a row a box, two rows for the frame at 1 s."""
    write_indexed_clip(tmp_path / "a.mp4", N_FRAMES, FPS)
    key = replace(made_key(), view={"name": "motion"})
    store = FeatureStore.open(tmp_path / "store", create=True)
    boxes = np.array([(0, 0, 1, 1), (0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1), (0, 0, 1, 1)], np.float32)
    with store.clip_writer() as facts, store.writer(key) as writer:
        facts.add(clip_facts("a.mp4", tmp_path / "a.mp4"))
        writer.add(
            ClipFeatures(
                clip_id="a.mp4",
                fingerprint="",
                status=Status.OK,
                reason="",
                times_s=np.array([0.0, 1.0, 1.0, 2.0]),
                features=np.zeros((4, DIM), np.float32),
                per_frame={"motion_energy": np.array([0.1, 0.2, 0.8, 0.0], np.float32), "box": boxes},
            )
        )
    [strip] = (
        StripMaker(RunDirectory(tmp_path / "run"), store, ClipFiles(store.clips(), None), []).make(["a.mp4"]).values()
    )
    assert [frame.time_s for frame in strip.frames] == [0.0, 1.0, 2.0]
    assert strip.frames[1].boxes == ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0))
    assert 'points="0.0,33.8 300.0,4.0 600.0,38.0"' in strip.line


def test_lines_of_several_numbers_a_moment_by_hand() -> None:
    times, values = np.array([0.0, 1.0, 1.0, 3.0]), np.array([0.5, 0.2, 0.6, 0.1])
    highest, total = (Line.of_moments("a", times, values, each) for each in (np.maximum, np.add))
    assert highest.times_s.tolist() == total.times_s.tolist() == [0.0, 1.0, 3.0]
    assert highest.values == pytest.approx([0.5, 0.6, 0.1])
    assert total.values == pytest.approx([0.5, 0.8, 0.1])
    page = time_line("Species", [highest], [1.0], 1.0)
    assert 'points="0.0,21.0 200.0,17.6 600.0,34.6"' in page
    assert 'aria-label="Species. a: highest at 1.0 s."' in page
    assert (
        legend([Line(name="<b>", times_s=times[:1], values=values[:1])]).count("&lt;b&gt;, at most 0.50 at 0.0 s") == 1
    )
    assert time_line("Species", [], []) == legend([]) == ""


def test_pictures_end_where_the_page_would_grow_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips_module, "MOST_BYTES", 100)
    write_indexed_clip(tmp_path / "a.mp4", N_FRAMES, FPS)
    ids = ["a.mp4", *(f"gone {number}.mp4" for number in range(4))]
    store = make_store(tmp_path / "store", ids, tmp_path)
    made = StripMaker(RunDirectory(tmp_path / "run"), store, ClipFiles(store.clips(), None), []).make(ids)
    assert made["a.mp4"].frames
    assert "too large" in made["gone 3.mp4"].problem


def test_the_report_holds_the_pictures_itself(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(n_clips=120)
    for name in run.head_names():
        run.head_path(name).unlink()
    ids = list(run.read_labels().ids)
    copy_to(tmp_path / "moved", ids)
    store = make_store(tmp_path / "store", ids, Path("/nowhere"))
    page = render_report(run, store, tmp_path / "moved").html
    assert page.count('<article class="clip">') >= 24
    assert page.count('<img src="data:image/jpeg;base64,') == 6 * page.count('<article class="clip">')
    assert '<article class="clip">' not in render_report(run).html


def test_a_page_that_lost_its_pictures_does_not_replace_one_that_has_them(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(n_clips=120)
    for name in run.head_names():
        run.head_path(name).unlink()
    ids = list(run.read_labels().ids)
    copy_to(tmp_path / "videos", ids)
    store = make_store(tmp_path / "store", ids, tmp_path / "videos")
    assert write_report(run, store) == []
    first = run.report_path.read_text()
    assert f'href="{(tmp_path / "videos" / ids[0]).as_uri().rsplit("/", 1)[0]}' in first
    (tmp_path / "videos").rename(tmp_path / "moved")
    said = rf"report.html is kept.*No picture could be had of {tmp_path}/videos/.*--videos"
    with pytest.raises(RunError, match=said):
        write_report(run, store)
    with pytest.raises(RunError, match="The store holds no frames of it"):
        write_report(run, make_store(tmp_path / "other", ["stranger.mp4"], tmp_path / "moved"))
    assert run.report_path.read_text() == first
    done = CliRunner().invoke(app, ["report", "--run", str(run.path), "--store", str(store.root)])
    assert isinstance(done.exception, RunError)
    assert write_report(run, store, tmp_path / "moved") == []
    done = CliRunner().invoke(app, ["report", "--run", str(run.path)])
    assert f"{run.report_path} showed clips in pictures, and no longer does, for no store was given" in done.stderr
    assert "data:image/jpeg" not in run.report_path.read_text()
    assert write_report(run) == []
    (tmp_path / "moved" / ids[0]).unlink()
    run.report_path.unlink()
    notes = write_report(run, store)
    assert len(notes) == 1
    assert "clips are shown without pictures, for example" in notes[0]
    assert "data:image/jpeg" not in run.report_path.read_text()


def test_a_folder_of_videos_needs_a_store(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", "--run", str(tmp_path), "--videos", str(tmp_path)])
    assert "give --store too" in str(done.exception)
