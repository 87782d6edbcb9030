"""A full temporary folder stops a run; it is no fault of a clip."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from indexed_clips import write_indexed_clip
from tiny_backbone import tiny_source

from featurize.decoding.decode import decode
from featurize.decoding.ffmpeg import FrameStream
from featurize.decoding.scratch import require_space
from featurize.errors import ScratchSpaceError
from featurize.pipeline.discover import survey
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import make_plan
from featurize.pipeline.summary import Progress
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import FeatureStore

FULL = Path("/dev/full")
SPEC = ViewSpec(canvas=Canvas(px=64), view="motion")
SENTENCE = r"^\S+: no space is left for temporary files; free some, or set TMPDIR"

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def fill_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make the low-resolution copy go to a device that is always full."""

    def full_folder(**_: Any) -> Any:
        folder = tempfile.TemporaryDirectory(dir=tmp_path)
        (Path(folder.name) / "low.ppm").symlink_to(FULL)
        return folder

    monkeypatch.setattr("featurize.decoding.video.tempfile", type("Full", (), {"TemporaryDirectory": full_folder}))


def test_a_decoder_that_finds_no_space_is_no_partial_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_indexed_clip(tmp_path / "a.mp4", 20, fps=10)
    fill_the_folder(monkeypatch, tmp_path)
    with pytest.raises(ScratchSpaceError, match=SENTENCE):
        decode(path, Sampling(fps=5), [SPEC])


def test_frames_that_find_no_space_to_wait_in_are_no_fault_of_the_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_indexed_clip(tmp_path / "a.mp4", 20, fps=10)
    monkeypatch.setattr("featurize.views.spool._MOST_BYTES_IN_MEMORY", 0)
    monkeypatch.setattr("featurize.views.spool.TemporaryFile", lambda: FULL.open("r+b"))
    with pytest.raises(ScratchSpaceError, match=SENTENCE):
        decode(path, Sampling(fps=5), [SPEC])


def test_a_log_that_could_not_be_written_tells(tmp_path: Path) -> None:
    whole = FrameStream(log="[showinfo@sampled @ 0x1] [info] n:   0 pts:      0 pts_time:0       duration:  1\n")
    require_space(whole, 1)
    with pytest.raises(ScratchSpaceError, match=SENTENCE):
        require_space(whole, 2)
    with pytest.raises(ScratchSpaceError, match=SENTENCE):
        require_space(FrameStream(return_code=228, log=whole.log), 1)


def test_a_run_that_finds_no_space_stops_and_keeps_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(8):
        write_indexed_clip(tmp_path / "clips" / f"{index}.mp4", 20, fps=10)
    store, source, sampling = FeatureStore.open(tmp_path / "store", create=True), tiny_source(), Sampling(fps=5)

    def run_full(progress: Progress) -> None:
        if progress.clips == 3:
            fill_the_folder(monkeypatch, tmp_path)

    plan = make_plan(survey([tmp_path / "clips"]).clips, [source], sampling, store)
    with pytest.raises(ScratchSpaceError):
        extract(plan, store, runtime="tensorflow", workers=1, clips_per_part=1, on_clip=run_full)
    reader = store.reader(source.key(sampling))
    assert 1 <= len(reader) < 8
    assert set(reader.status) == {"ok"}
    assert set(store.clips()["status"]) == {"ok"}
