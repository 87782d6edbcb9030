"""Clips that are seen against each other, from the command to the store: the same bits however a run came about."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving import FPS, HEIGHT, WIDTH, as_pixels, clip, overlap, walk
from PIL import Image

from featurize.background.settings import background_settings
from featurize.commands.progress import print_summary, summary_facts
from featurize.commands.run import write_previews
from featurize.decoding.key_frames import decode_key_frames
from featurize.demo.scenes import write_video
from featurize.errors import MachineError
from featurize.pipeline.extract import extract
from featurize.pipeline.request import Request, plan_request
from featurize.pipeline.summary import Progress, Summary
from featurize.views.sampling import Sampling
from store import FeatureStore
from store.maintenance.verify import verify_store

RESTING = (96.0, 30.0, 24.0)
SAMPLING = Sampling(fps=2)
# One worker draws and looks at the clips for all tests here.
pytestmark = pytest.mark.xdist_group("trap")


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera's seven clips, in one of which an animal lies; and one clip of another place."""
    folder = tmp_path_factory.mktemp("trap")
    for number in range(6):
        write_video(folder / f"empty {number}.mp4", frames(seed=number, gain=0.75 + 0.05 * number), fps=FPS)
    write_video(folder / "resting.mp4", frames(lambda _: RESTING, seed=9), fps=FPS)
    write_video(folder / "other place.mp4", iter(as_pixels(clip(walk(), seed=4))), fps=FPS)
    return folder


def frames(*paths: Any, seed: int, gain: float = 1.0) -> Iterator[np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 2, (60, HEIGHT, WIDTH, 3))
    return iter(as_pixels((gain * clip(*paths) + noise).astype(np.float32)))


def request_for(clips: Path, *views: str, limit: int | None = None) -> Request:
    return Request(
        videos=[clips],
        backbones=["phash"],
        offline=True,
        views=views or ("animal",),
        sampling=SAMPLING,
        workers=2,
        limit=limit,
    )


def featurized(clips: Path, root: Path, *views: str, limit: int | None = None) -> tuple[FeatureStore, Summary]:
    store = FeatureStore.open(root, create=True)
    plan = plan_request(request_for(clips, *views, limit=limit), store, lambda _: None)
    return store, extract(plan, store, workers=2, clips_per_part=2)


def content_of(store: FeatureStore, source: str = "phash+animal") -> dict[str, tuple[bytes, bytes, bytes]]:
    """Features, boxes and energies of each clip, by the fingerprint of its content."""
    reader = FeatureStore.open(store.root).reader(store.find(source))
    rows = [reader.row(place) for place in range(len(reader))]
    return {
        row.fingerprint: (
            row.features.tobytes(),
            row.per_frame["box"].tobytes(),
            row.per_frame["motion_energy"].tobytes(),
        )
        for row in rows
    }


@pytest.fixture(scope="module")
def undisturbed(trap: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, Summary]:
    """All clips under three views, in one run; to be read only."""
    return featurized(trap, tmp_path_factory.mktemp("undisturbed") / "store", "whole", "motion", "animal")


def test_an_animal_at_rest_is_cut_out_and_three_views_share_one_decode(
    undisturbed: tuple[FeatureStore, Summary],
) -> None:
    store, summary = undisturbed
    assert (summary.done, summary.uncompared) == (8, 1)
    reader = store.reader(store.find("phash+animal"))
    resting = reader.row(reader.ids.index("resting.mp4"))
    for box in resting.per_frame["box"]:
        assert overlap(tuple(box), RESTING) > 0.3
    assert (resting.per_frame["motion_energy"] > 0).all()
    empty = reader.row(reader.ids.index("empty 2.mp4"))
    np.testing.assert_array_equal(empty.per_frame["box"], [[0, 0, 1, 1]] * len(empty.times_s))
    motion = store.reader(store.find("phash+motion"))
    blind = motion.row(motion.ids.index("resting.mp4"))
    np.testing.assert_array_equal(blind.per_frame["box"], [[0, 0, 1, 1]] * len(blind.times_s))
    other = reader.row(reader.ids.index("other place.mp4"))
    np.testing.assert_array_equal(
        other.per_frame["box"], motion.row(motion.ids.index("other place.mp4")).per_frame["box"]
    )


def test_what_clips_are_seen_against_is_in_the_store_and_verified(undisturbed: tuple[FeatureStore, Summary]) -> None:
    store, _ = undisturbed
    rows = {row.clip_id: row for row in store.backgrounds(background_settings()).values()}
    assert len(rows) == 8
    assert not rows["other place.mp4"].others
    names = {row.fingerprint: name for name, row in rows.items()}
    assert {names[other] for other in rows["resting.mp4"].others} == {f"empty {number}.mp4" for number in range(6)}
    assert len({row.digest for row in rows.values()}) == 8
    assert verify_store(store.root).problems == []


def test_features_do_not_depend_on_the_order_of_clips(
    trap: Path, undisturbed: tuple[FeatureStore, Summary], tmp_path: Path
) -> None:
    (tmp_path / "shuffled").mkdir()
    order = np.random.default_rng(2).permutation(8)
    for place, path in zip(order, sorted(trap.iterdir()), strict=True):
        (tmp_path / "shuffled" / f"{place}.mp4").symlink_to(path)
    shuffled, _ = featurized(tmp_path / "shuffled", tmp_path / "other")
    assert content_of(undisturbed[0]) == content_of(shuffled)


def test_features_do_not_depend_on_how_often_a_run_was_killed(
    trap: Path, undisturbed: tuple[FeatureStore, Summary], tmp_path: Path
) -> None:
    store = FeatureStore.open(tmp_path / "killed", create=True)

    def kill(progress: Progress) -> None:
        if progress.clips == 3:
            raise KeyboardInterrupt

    for _ in range(2):
        plan = plan_request(request_for(trap), store, lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            extract(plan, store, workers=1, clips_per_part=2, on_clip=kill)
    featurized(trap, store.root, limit=1)
    featurized(trap, store.root)
    assert content_of(store) == content_of(undisturbed[0])


def test_shares_of_a_plan_see_clips_against_all_that_were_named(
    trap: Path, undisturbed: tuple[FeatureStore, Summary], tmp_path: Path
) -> None:
    store = FeatureStore.open(tmp_path / "shares", create=True)
    plan = plan_request(request_for(trap), store, lambda _: None)
    for index in range(3):
        extract(plan.share(index, 3), store, workers=1)
    assert content_of(store) == content_of(undisturbed[0])


def test_clips_that_come_later_change_nothing_about_those_that_are_there(trap: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in [f"empty {number}.mp4" for number in range(5)]:
        (clips / name).symlink_to(trap / name)
    store, _ = featurized(clips, tmp_path / "store")
    settings = background_settings()
    before, contents = store.backgrounds(settings), content_of(store)
    for name in ("resting.mp4", "empty 5.mp4"):
        (clips / name).symlink_to(trap / name)
    featurized(clips, tmp_path / "store")
    after = store.backgrounds(settings)
    assert len(after) == 7
    assert {name: row.digest for name, row in after.items() if name in before} == {
        name: row.digest for name, row in before.items()
    }
    assert content_of(store).items() >= contents.items()
    (resting,) = [row for row in after.values() if row.clip_id == "resting.mp4"]
    assert len(resting.others) == 6


def test_the_outcome_says_how_many_clips_had_too_few_others(
    trap: Path,
    undisturbed: tuple[FeatureStore, Summary],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, summary = undisturbed
    facts = summary_facts(Summary.merged([summary, replace(summary, uncompared=2)]), "store")
    assert facts["without_background"] == 3
    print_summary(facts)
    assert "3 clips have too few others of the same framing" in " ".join(capsys.readouterr().out.split())
    print_summary(facts | {"done": 1, "without_background": 1, "without_sound": 1, "seen_whole_by": {"animal": 1}})
    said = " ".join(capsys.readouterr().out.split())
    for each in ("1 clip done (", "1 clip has too few others", "1 clip has no sound", "whole frames of 1 clip in"):
        assert each in said
    assert " 1 clips " not in f" {said}"  # which a rate, "4.21 clips/s", is not
    _, motion = featurized(trap, tmp_path / "other", "motion")
    assert motion.uncompared == 0
    assert not (tmp_path / "other/backgrounds").exists()


def test_a_sheet_shows_the_background_and_the_difference_and_writes_nothing_to_the_store(
    trap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FeatureStore.open(tmp_path / "store", create=True)
    settings: dict[str, Any] = {"workers": 2, "limit": None, "as_json": True}
    write_previews([trap], SAMPLING, tmp_path / "animal", views=["whole", "animal"], store=store.root, **settings)
    write_previews([trap], SAMPLING, tmp_path / "motion", views=["whole"], **settings)
    assert json.loads(capsys.readouterr().out.split("\n}\n")[0] + "\n}")["sheets"] == 8
    assert not (store.root / "backgrounds").exists()

    def orange(sheet: Path) -> int:
        with Image.open(sheet) as image:
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(int)[:-100], -1, 0)
        return int(np.count_nonzero((red > 180) & (green - blue > 50) & (red - green > 50)))

    assert orange(tmp_path / "animal/resting.mp4.jpg") > 500
    assert orange(tmp_path / "motion/resting.mp4.jpg") < 50
    with (
        Image.open(tmp_path / "animal/empty 1.mp4.jpg") as seen,
        Image.open(tmp_path / "animal/resting.mp4.jpg") as found,
    ):
        assert seen.size == found.size
        last = np.asarray(found.convert("L"))[-280:-100].max()
    assert last > 200


def test_stills_are_seen_against_each_other_too(trap: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(6):
        Image.fromarray(next(frames(seed=number))).save(photos / f"{number}.png")
    Image.fromarray(next(frames(lambda _: RESTING, seed=9))).save(photos / "resting.png")
    store, summary = featurized(photos, tmp_path / "store")
    assert summary.uncompared == 0
    reader = store.reader(store.find("phash+animal"))
    assert overlap(tuple(reader.row(reader.ids.index("resting.png")).per_frame["box"][0]), RESTING) > 0.3


@pytest.mark.parametrize("most_decoded_px", [0, 10**9], ids=["jumping", "from end to end"])
def test_key_frames_are_spread_over_the_clip(
    tmp_path: Path, most_decoded_px: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip that becomes brighter all the time, with a frame that stands by itself every second."""
    ramp = (np.full((HEIGHT, WIDTH, 3), 4 * index, np.uint8) for index in range(60))
    write_video(tmp_path / "ramp.mp4", ramp, fps=FPS, arguments=["-g", "8"])
    monkeypatch.setattr("featurize.decoding.key_frames.MOST_DECODED_PX", most_decoded_px)
    levels = decode_key_frames(tmp_path / "ramp.mp4").grey.mean(axis=(1, 2))
    assert len(levels) == 7
    assert np.all(np.diff(levels) > 10)
    assert levels[-1] - levels[0] > 150


def test_a_clip_with_one_frame_that_stands_by_itself_is_decoded_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = (np.full((HEIGHT, WIDTH, 3), 4 * index, np.uint8) for index in range(60))
    write_video(tmp_path / "ramp.mp4", ramp, fps=FPS, arguments=["-g", "1000", "-sc_threshold", "0"])
    monkeypatch.setattr("featurize.decoding.key_frames.MOST_DECODED_PX", 0)
    levels = decode_key_frames(tmp_path / "ramp.mp4").grey.mean(axis=(1, 2))
    assert len(levels) == 7
    assert levels[-1] - levels[0] > 150


@pytest.mark.parametrize("content", [b"", b"no clip at all"])
def test_a_file_that_cannot_be_decoded_has_no_key_frames_and_a_reason_later(
    trap: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/broken.mp4").write_bytes(content)
    for path in trap.iterdir():
        (tmp_path / "clips" / path.name).symlink_to(path)
    assert len(decode_key_frames(tmp_path / "clips/broken.mp4")) == 0
    store, summary = featurized(tmp_path / "clips", tmp_path / "store")
    assert [name for name, _ in summary.failures] == ["broken.mp4"]
    assert len(store.backgrounds(background_settings())) == 8


def test_a_machine_that_has_run_out_of_something_stops_the_first_look_at_clips(
    trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip that was not looked at for want of memory would be seen against nothing for ever."""

    def breaks(path: Path) -> None:
        raise MemoryError(path)

    monkeypatch.setattr("featurize.pipeline.places.backgrounds.decode_key_frames", breaks)
    with pytest.raises(MachineError, match="give the machine what it lacks"):
        featurized(trap, tmp_path / "store")
    assert not (tmp_path / "store/backgrounds").exists()
