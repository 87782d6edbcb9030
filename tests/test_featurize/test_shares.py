"""A plan in shares: what a cluster's runner sends out, and that nothing depends on it."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexed_clips import write_indexed_clip
from tiny_backbone import tiny_source

from featurize.backbones.runner import RuntimeName
from featurize.commands.run import featurize_folder
from featurize.errors import SettingsError
from featurize.pipeline.discover import Clip, survey
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import Plan, make_plan
from featurize.pipeline.request import Request
from featurize.pipeline.summary import Progress, Summary
from featurize.pipeline.work import WORK_RUNNERS
from featurize.views.sampling import Sampling
from store import FeatureStore, Status

SAMPLING = Sampling(fps=2)
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), unique=True, max_size=40)


def plan_of(names: list[str]) -> Plan:
    clips = [Clip(clip_id=name, path=Path("gone"), size_bytes=1, mtime_ns=1) for name in names]
    return make_plan(clips, [tiny_source()], SAMPLING, None)


def ids(plan: Plan) -> list[str]:
    return [task.clip.clip_id for task in plan.tasks]


@given(NAMES, st.integers(1, 5))
@settings(max_examples=60)
def test_every_clip_is_in_one_share_and_stays_there_when_others_come_and_go(names: list[str], count: int) -> None:
    plan = plan_of(names)
    shares = [plan.share(index, count) for index in range(count)]
    assert sorted(name for share in shares for name in ids(share)) == sorted(names)
    assert sum(share.clips for share in shares) == plan.clips
    fewer = [plan_of(names[::2]).share(index, count) for index in range(count)]
    for share, smaller in zip(shares, fewer, strict=True):
        assert set(ids(smaller)) == set(ids(share)) & set(names[::2])


def test_shares_divide_whatever_a_plan_knows_of_clips_and_folders() -> None:
    names = [f"{number}.mp4" for number in range(60)]
    plan = replace(
        plan_of(names[:20]).limited(10),
        done=dict.fromkeys(names[20:40], Status.FAILED),
        unreached=tuple((name, "gone") for name in names[40:]),
        unlisted=tuple((f"card {number}", "closed") for number in range(20)),
        passed_over={f".{number}": number + 1 for number in range(20)},
    )
    shares = [plan.share(index, 3) for index in range(3)]
    merged = Summary.merged([Summary.of(share, Progress()) for share in shares])
    whole = Summary.of(plan, Progress())
    times = {"seconds": 0.0, "working_s": 0.0}
    assert (whole.clips, whole.skipped, whole.left, whole.failed_before) == (60, 20, 10, 20)
    assert replace(merged, **times) == replace(
        whole, **times, unreached=tuple(sorted(whole.unreached)), unlisted=tuple(sorted(whole.unlisted))
    )
    assert all(0 < share.clips < 60 and share.unlisted and share.left for share in shares)


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_a_share_that_there_is_not_is_refused(index: int, count: int) -> None:
    with pytest.raises(SettingsError, match=f"share {index} of {count} does not exist"):
        plan_of(["a.mp4"]).share(index, count)


def test_shares_that_run_side_by_side_take_as_long_as_the_longest() -> None:
    part = Summary.of(plan_of(["a.mp4"]), Progress(frames=3, wait_s=1.0))
    both = Summary.merged([replace(part, seconds=4.0, working_s=4.0), replace(part, seconds=6.0, working_s=6.0)])
    assert (both.frames, both.seconds, both.working_s, both.wait_s) == (6, 6.0, 10.0, 2.0)


def two_processes(
    plan: Plan,
    store: FeatureStore,
    *,
    runtime: RuntimeName,
    workers: int | None,
    clips_per_part: int,
    on_clip: Callable[[Progress], None],
) -> Summary:
    """A toy: half of the plan in each of two processes, which tell nothing until they are done."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        halves = [
            pool.submit(
                extract,
                plan.share(index, 2),
                FeatureStore.open(store.root),
                runtime=runtime,
                workers=workers,
                clips_per_part=clips_per_part,
            )
            for index in range(2)
        ]
        return Summary.merged([half.result() for half in halves])


@pytest.mark.parametrize("backbone", ["phash", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)])
def test_a_runner_that_is_added_to_the_table_gives_the_same_bits(
    backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    for index in range(9):
        write_indexed_clip(tmp_path / "clips" / f"{index}.mp4", 3 + index, fps=2)
    (tmp_path / "clips" / "bad.mp4").touch()
    monkeypatch.setitem(WORK_RUNNERS, "two", two_processes)
    request = Request(
        videos=[tmp_path / "clips"],
        backbones=[backbone],
        offline=True,
        views=["whole", "motion"],
        sampling=SAMPLING,
        runtime="tensorflow",
        workers=1,
        clips_per_part=2,
    )
    assert featurize_folder(request, tmp_path / "one", as_json=True) == 1
    assert featurize_folder(replace(request, work_runner="two"), tmp_path / "two", as_json=True) == 1
    one, two = FeatureStore.open(tmp_path / "one"), FeatureStore.open(tmp_path / "two")
    assert one.keys() == two.keys()
    assert len(one.keys()) == 2
    for key in one.keys():
        of_one, of_two = one.reader(key), two.reader(key)
        assert of_one.ids == of_two.ids
        for row in range(len(of_one.ids)):
            assert of_one.row(row).features.tobytes() == of_two.row(row).features.tobytes()
    assert one.clips().equals(two.clips())
    with pytest.raises(SettingsError, match="work runner 'three' is unknown, expected one of in_process, ray, two"):
        featurize_folder(replace(request, work_runner="three"), tmp_path / "three", as_json=True)
    assert len(survey([tmp_path / "clips"]).clips) == len(one.clips())
