"""The way of frames through batches and networks into the store."""

import errno
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexed_clips import write_indexed_clip
from numpy.typing import NDArray
from tiny_backbone import tiny_backbone, tiny_source

from featurize.backbones.runner import BATCH_FRAMES
from featurize.backbones.weights import RANDOM_WEIGHTS
from featurize.decoding.decode import decode
from featurize.decoding.decoded import DecodedClip
from featurize.decoding.ffmpeg import Probe
from featurize.demo.scenes import write_video
from featurize.errors import MachineError
from featurize.motion.image_facts import ImageFacts
from featurize.pipeline.discover import survey
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import make_plan
from featurize.pipeline.source import FeatureSource
from featurize.pipeline.summary import Progress, Summary
from featurize.runtime.batching import FrameBatcher
from featurize.runtime.extractor import build_extractor
from featurize.runtime.runners import choose_runtime, make_runner
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import ClipFacts, FeatureStore, Status

SAMPLING = Sampling(fps=2)


def describe(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A network whose feature is the frame's first pixel."""
    assert batch.shape[0] == BATCH_FRAMES
    return batch[:, 0, 0, :1].astype(np.float32)


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([8, 16])), max_size=30))
@settings(max_examples=60, deadline=None)
def test_every_clip_comes_out_once_with_its_own_frames(clips: list[tuple[int, int]]) -> None:
    batcher: FrameBatcher[int] = FrameBatcher(describe, 1)
    finished: list[tuple[int, NDArray[np.float32]]] = []
    for number, (length, side) in enumerate(clips):
        frames = np.zeros((length, side, side, 3), np.uint8)
        frames[:, 0, 0, 0] = (number * 7 + np.arange(length)) % 256
        finished += batcher.add(number, frames)
    finished += batcher.flush()
    assert sorted(number for number, _ in finished) == list(range(len(clips)))
    for number, features in finished:
        np.testing.assert_array_equal(features[:, 0], (number * 7 + np.arange(clips[number][0])) % 256)


def test_a_rare_picture_size_is_not_held_back_for_ever() -> None:
    batcher: FrameBatcher[int] = FrameBatcher(describe, 1)
    assert not list(batcher.add(-1, np.zeros((1, 4, 4, 3), np.uint8)))
    out = [token for number in range(100) for token, _ in batcher.add(number, np.zeros((4, 8, 8, 3), np.uint8))]
    assert -1 in out


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for index in range(7):
        write_indexed_clip(folder / f"{index}.mp4", 3 + 2 * index, fps=2)
    (folder / "bad.mp4").write_bytes(b"")
    return folder


def run(clips: Path, root: Path, sources: list[FeatureSource], **settings: object) -> tuple[FeatureStore, Summary]:
    store = FeatureStore.open(root, create=True)
    plan = make_plan(survey([clips]).clips, sources, SAMPLING, store)
    return store, extract(plan, store, runtime="tensorflow", **settings)  # type: ignore[arg-type]


def features(store: FeatureStore, source: FeatureSource) -> Iterator[tuple[str, Status, bytes]]:
    reader = store.reader(source.key(SAMPLING))
    for place, clip_id in enumerate(reader.ids):
        batch, _ = reader.batch([place])
        yield clip_id, reader.status[place], batch.tobytes()


def test_features_are_the_network_s_and_facts_come_along(clips: Path, tmp_path: Path) -> None:
    source = tiny_source()
    store, progress = run(clips, tmp_path, [source])
    assert progress.statuses == {Status.OK: 7, Status.SHORT: 0, Status.PARTIAL: 0, Status.FAILED: 1}
    assert progress.failures == (("bad.mp4", "the file is empty (0 bytes)"),)
    reader = store.reader(source.key(SAMPLING))
    assert reader.lengths.tolist() == [3, 5, 7, 9, 11, 13, 15, 0]
    np.testing.assert_allclose(reader.times(3), np.arange(9) / 2, atol=1e-3)
    table = store.clips()
    assert table.loc["3.mp4", "width"] == 64
    assert table.loc["3.mp4", "duration_s"] == pytest.approx(4.5)
    assert table.loc["3.mp4", "bit_rate"] == pytest.approx((clips / "3.mp4").stat().st_size * 8 / 4.5)
    assert table.loc["bad.mp4", "status"] == "failed"
    assert np.isnan(table.loc["bad.mp4", "brightness_mean"])


def test_features_are_stored_under_the_key_of_the_sampling_they_were_made_with(clips: Path, tmp_path: Path) -> None:
    source, store = tiny_source(), FeatureStore.open(tmp_path, create=True)
    plan = make_plan(survey([clips]).clips, [source], SAMPLING, store)
    other = replace(plan, sampling=Sampling(frames=2))
    extract(other, store, runtime="tensorflow")
    assert [key.sampling for key in store.keys()] == [{"mode": "frames", "frames": 2}]
    assert store.reader(source.key(Sampling(frames=2))).lengths.tolist() == [2] * 7 + [0]


def names_of(row: type) -> set[str]:
    return {field.name for field in fields(row)}


def test_every_fact_about_a_clip_is_filled_from_one_place() -> None:
    """From the file, the container or the picture: a fact that is added to a row needs somebody who finds it."""
    of_the_file = {"clip_id", "path", "size_bytes", "mtime_ns", "fingerprint", "status", "reason", "bit_rate"}
    of_the_container = names_of(Probe) - {"audio_start_s", "errors", "pixel_format", "track", "video_tracks"}
    parts = [of_the_file, of_the_container, names_of(ImageFacts)]
    assert sorted(name for part in parts for name in part) == sorted(names_of(ClipFacts))


def test_facts_stand_in_the_store_as_decoding_found_them(clips: Path, tmp_path: Path) -> None:
    store, _ = run(clips, tmp_path, [tiny_source()])
    row = store.clips().loc["4.mp4"]
    decoded = decode(clips / "4.mp4", SAMPLING, [])
    for found in (decoded.container, decoded.image_facts):
        for name in names_of(type(found)) & names_of(ClipFacts):
            assert row[name] == pytest.approx(getattr(found, name)), name
    assert row["codec"] == "h264"
    assert row["brightness_mean"] > 0.1


def test_a_backbone_s_features_do_not_depend_on_which_others_ran(clips: Path, tmp_path: Path) -> None:
    one, two = tiny_source("tiny"), tiny_source("other", px=96)
    together, _ = run(clips, tmp_path / "both", [one, two])
    for source in (one, two):
        alone, _ = run(clips, tmp_path / source.backbone.name, [source])
        assert list(features(alone, source)) == list(features(together, source))


def test_features_do_not_depend_on_order_or_companions(clips: Path, tmp_path: Path) -> None:
    source = tiny_source()
    everything = dict(enumerate(features(run(clips, tmp_path / "all", [source])[0], source)))
    single = tmp_path / "single"
    single.mkdir()
    (single / "4.mp4").write_bytes((clips / "4.mp4").read_bytes())
    assert list(features(run(single, tmp_path / "one", [source])[0], source)) == [everything[4]]


def test_what_was_done_before_an_error_is_kept(clips: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.clips == 5:
            raise KeyboardInterrupt

    source = tiny_source()
    with pytest.raises(KeyboardInterrupt):
        run(clips, tmp_path, [source], on_clip=stop)
    kept = FeatureStore.open(tmp_path).reader(source.key(SAMPLING)).ids
    assert 1 <= len(kept) <= 5
    store, progress = run(clips, tmp_path, [source])
    assert progress.decoded == 8 - len(kept)
    undisturbed, _ = run(clips, tmp_path / "again", [source])
    assert list(features(store, source)) == list(features(undisturbed, source))


def test_the_runtimes_agree_and_are_blind_to_a_frame_s_place() -> None:
    extractor = build_extractor(tiny_backbone(), RANDOM_WEIGHTS)
    pixels = np.random.default_rng(0).integers(0, 255, (BATCH_FRAMES, 48, 64, 3), np.uint8)
    turned = np.roll(pixels, 5, axis=0)
    outcomes = {}
    for runtime in ("tensorflow", "openvino"):
        run_batch = make_runner(extractor, runtime)  # type: ignore[arg-type]
        outcomes[runtime] = run_batch(pixels)
        np.testing.assert_array_equal(run_batch(turned), np.roll(outcomes[runtime], 5, axis=0))
    np.testing.assert_allclose(outcomes["openvino"], outcomes["tensorflow"], rtol=1e-3, atol=1e-5)


def test_auto_is_a_runtime_that_is_there() -> None:
    assert choose_runtime("auto") in ("openvino", "tensorflow")
    assert choose_runtime("tensorflow") == "tensorflow"


def test_a_name_that_is_not_utf_8_is_written_with_its_bytes_in_hex(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    plain = write_indexed_clip(tmp_path / "plain.mp4", 4, fps=4)
    try:
        (clips / os.fsdecode(b"caf\xe9.mp4")).write_bytes(plain.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    store, sampling = FeatureStore.open(tmp_path / "store", create=True), Sampling(fps=2)
    plan = make_plan(survey([clips]).clips, [tiny_source()], sampling, store)
    assert extract(plan, store).statuses[Status.OK] == 1
    assert store.clips().index.tolist() == ["caf%E9.mp4"]
    assert not make_plan(survey([clips]).clips, [tiny_source()], sampling, store).tasks


def test_a_clip_of_twelve_and_a_half_seconds_at_eight_frames_a_second_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, (np.full((48, 64, 3), 60 + index, np.uint8) for index in range(100)), fps=8)
    frames = decode(path, Sampling(fps=8), [ViewSpec(canvas=Canvas(px=64))])
    assert frames.status is Status.OK
    assert len(frames.motion.cells) == 100


def test_a_clip_over_which_decoding_breaks_is_failed_and_the_run_goes_on(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(path: Path, *arguments: object, **named: object) -> DecodedClip:
        if path.name == "3.mp4":
            raise IndexError("index 100 is out of bounds")
        return decode(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("featurize.pipeline.clips.prefetch.decode", breaks)
    with caplog.at_level("INFO", "featurize"):
        store, progress = run(clips, tmp_path / "store", [tiny_source()])
    assert dict(progress.failures).keys() == {"3.mp4", "bad.mp4"}
    assert "IndexError (index 100 is out of bounds)" in dict(progress.failures)["3.mp4"]
    assert "3.mp4" in caplog.text
    assert "Traceback" in caplog.text
    (key,) = store.keys()
    reader = store.reader(key)
    assert [reader.status[row] for row in reader.index_of(["2.mp4", "3.mp4", "4.mp4"])] == [
        Status.OK,
        Status.FAILED,
        Status.OK,
    ]
    monkeypatch.undo()
    plan = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store, retry_failed=True)
    extract(plan, store, runtime="tensorflow")
    assert store.clips().loc["3.mp4", "status"] == Status.OK


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (MemoryError("Unable to allocate 2.5 GiB"), "Unable to allocate 2.5 GiB"),
        (MemoryError(), "out of memory"),
    ],
)
def test_a_machine_that_has_run_out_of_something_stops_the_run_instead_of_failing_every_clip(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def breaks(*_: object, **_named: object) -> DecodedClip:
        raise error

    monkeypatch.setattr("featurize.pipeline.clips.prefetch.decode", breaks)
    with pytest.raises(MachineError, match=rf"clip '.*\.mp4': {told}; .* run the same command again"):
        run(clips, tmp_path / "store", [tiny_source()])
    assert len(FeatureStore.open(tmp_path / "store").clips()) == 0


def test_features_that_the_store_refuses_fail_their_clip_and_no_other(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny_source()

    def sees_nothing_in_dark_frames(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = np.ones((len(batch), source.backbone.dim), np.float32)
        features[batch.mean(axis=(1, 2, 3)) > 70] = np.nan
        return features

    monkeypatch.setattr("featurize.pipeline.clips.lanes.runner_of", lambda *_: sees_nothing_in_dark_frames)
    store, progress = run(clips, tmp_path / "store", [source])
    refused = {clip_id: reason for clip_id, reason in progress.failures if clip_id != "bad.mp4"}
    assert set(refused) == {"6.mp4"}
    assert "not finite" in refused["6.mp4"]
    reader = store.reader(store.keys()[0])
    assert reader.lengths[reader.index_of(["5.mp4", "6.mp4"])].tolist() == [13, 0]
