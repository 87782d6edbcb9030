"""Strips out of real clips whose frames' grey level says which frame they are."""

import io
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from indexed_clips import index_of, write_indexed_clip
from made_store import DIM, made_key
from PIL import Image
from typer.testing import CliRunner

from heads.cli import app
from heads.report import render_report
from heads.report import strips as strips_module
from heads.report.strips import StripMaker
from heads.run import RunDirectory
from store import ClipFacts, ClipFeatures, FeatureStore, Status

MakeRun = Callable[..., RunDirectory]
N_FRAMES, FPS = 24, 8.0
BUSY = 13  # the frame that moves most


def make_store(root: Path, ids: list[str], videos: Path) -> FeatureStore:
    store = FeatureStore.open(root, create=True)
    energy = np.full(N_FRAMES, 0.1, np.float32)
    energy[BUSY] = 1.0
    box = np.tile(np.array([0.25, 0.5, 0.75, 1.0], np.float32), (N_FRAMES, 1))
    box[4] = (0, 0, 1, 1)  # nothing in particular moves
    with store.clip_writer() as facts, store.writer(made_key()) as writer:
        for clip_id in ids:
            path = videos / clip_id
            facts.add(
                ClipFacts(
                    clip_id=clip_id,
                    path=str(path),
                    size_bytes=1,
                    mtime_ns=1,
                    fingerprint="",
                    status=Status.OK,
                    reason="",
                )
            )
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


def shown(picture: str) -> int:
    jpeg = b64decode(picture.removeprefix("data:image/jpeg;base64,"))
    return index_of(np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")))


def test_a_strip_shows_the_frames_that_count_with_their_boxes(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "videos" / "a.mp4", N_FRAMES, FPS)
    store = make_store(tmp_path / "store", ["a.mp4", "gone.mp4"], tmp_path / "videos")
    made = StripMaker(RunDirectory(tmp_path / "run"), store, None, []).make(["a.mp4", "gone.mp4", "stranger.mp4"])
    frames = made["a.mp4"].frames
    places = [round(frame.time_s * FPS) for frame in frames]
    assert places == [0, 4, 8, BUSY, 16, 20]
    assert [shown(frame.picture) for frame in frames] == places
    assert [frame.looked_at for frame in frames] == [place == BUSY for place in places]
    assert [frame.boxes for frame in frames[:2]] == [((0.25, 0.5, 0.75, 1.0),), ()]
    assert "motion: highest at 1.6 s" in made["a.mp4"].line
    assert "gone.mp4" in made["gone.mp4"].problem
    assert "no frames" in made["stranger.mp4"].problem


def test_pictures_end_where_the_page_would_grow_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips_module, "MOST_BYTES", 100)
    write_indexed_clip(tmp_path / "a.mp4", N_FRAMES, FPS)
    ids = ["a.mp4", *(f"gone {number}.mp4" for number in range(4))]
    made = StripMaker(RunDirectory(tmp_path / "run"), make_store(tmp_path / "store", ids, tmp_path), None, []).make(ids)
    assert made["a.mp4"].frames
    assert "too large" in made["gone 3.mp4"].problem


def test_the_report_holds_the_pictures_itself(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(n_clips=120)
    for name in run.head_names():
        run.head_path(name).unlink()
    ids = list(run.read_labels().ids)
    for clip_id in ids:
        path = tmp_path / "moved" / clip_id
        path.parent.mkdir(parents=True, exist_ok=True)
    write_indexed_clip(tmp_path / "one.mp4", N_FRAMES, FPS)
    for clip_id in ids:
        (tmp_path / "moved" / clip_id).hardlink_to(tmp_path / "one.mp4")
    store = make_store(tmp_path / "store", ids, Path("/nowhere"))
    page = render_report(run, store, tmp_path / "moved")
    assert page.count('<article class="clip">') >= 24
    assert page.count('<img src="data:image/jpeg;base64,') == 6 * page.count('<article class="clip">')
    assert '<article class="clip">' not in render_report(run)


def test_a_folder_of_videos_needs_a_store(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", "--run", str(tmp_path), "--videos", str(tmp_path)])
    assert "give --store too" in str(done.exception)
