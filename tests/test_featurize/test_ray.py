"""Featurizing on a real cluster of Ray's: whatever dies, the store is that of a run in one process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from indexed_clips import indexed_frames, write_indexed_clip
from ray_home import ray_home
from ray_toys import toy_source

from featurize.backbones.registry import find_backbone
from featurize.backbones.weights import locate_weights
from featurize.demo.scenes import write_video
from featurize.errors import MachineError
from featurize.pipeline.cluster.ray_runner import Patience, run_on_ray
from featurize.pipeline.discover import survey
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import Plan, make_plan
from featurize.pipeline.source import make_source
from featurize.pipeline.summary import Progress, Summary
from featurize.views.sampling import Sampling
from store import FeatureStore, Status
from store.cluster import import_ray

# It is not imported yet: it reads its environment when it is.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]
SAMPLING = Sampling(fps=2)
SOURCES = [
    toy_source(),
    toy_source("motion"),
    make_source(find_backbone("phash"), locate_weights(find_backbone("phash")), "animal"),
    make_source(find_backbone("frames"), locate_weights(find_backbone("frames"))),
    make_source(find_backbone("log_mel"), locate_weights(find_backbone("log_mel"))),
]
POISON = "07 white.mp4"


@pytest.fixture(scope="module")
def surroundings() -> Iterator[Path]:
    with ray_home() as home:
        yield home


@pytest.fixture(scope="module")
def cluster(surroundings: Path) -> Iterator[Any]:
    """A head that does no work, and two nodes of one processor each."""
    import_ray()
    from ray.cluster_utils import Cluster

    made = Cluster()
    head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": str(surroundings / "ray")}
    made.add_node(**head, object_store_memory=80 * 2**20)
    for _ in range(2):
        add_node(made)
    yield made
    made.shutdown()


def add_node(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of all lengths and two shapes, one that cannot be decoded, and one that ends whoever looks at it."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(18):
        if number % 3:
            write_indexed_clip(folder / f"{number:02}.mp4", 3 + number, fps=2)
        else:
            write_video(folder / f"{number:02}.mp4", indexed_frames(5 + number, 48, 64), fps=2)
    (folder / "broken.mp4").write_bytes(b"no clip")
    return folder


@pytest.fixture(scope="module")
def serial(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    store = FeatureStore.open(tmp_path_factory.mktemp("serial") / "store", create=True)
    extract(plan_of(clips, store), store, workers=1)
    return store


def plan_of(folder: Path, store: FeatureStore) -> Plan:
    return make_plan(survey([folder]).clips, SOURCES, SAMPLING, store)


def on_cluster(
    cluster: Any, clips: Path, root: Path, on_clip: Callable[[Progress], None] = lambda _: None, **settings: Any
) -> tuple[FeatureStore, Summary]:
    store = FeatureStore.open(root, create=True)
    warned: list[str] = []
    settings = {"clips_per_part": 3, "address": cluster.address, "on_warning": warned.append, **settings}
    plan = plan_of(clips, store)
    return store, run_on_ray(plan, store, runtime="auto", workers=1, on_clip=on_clip, **settings)


def require_same(one: FeatureStore, other: FeatureStore) -> None:
    """Features, times, boxes, statuses and facts are the same bits."""
    one, other = FeatureStore.open(one.root), FeatureStore.open(other.root)
    assert one.keys() == other.keys() != []
    for key in one.keys():
        left, right = one.reader(key), other.reader(key)
        assert left.ids == right.ids
        for place in range(len(left.ids)):
            a, b = left.row(place), right.row(place)
            assert (a.clip_id, a.fingerprint, a.status, a.reason) == (b.clip_id, b.fingerprint, b.status, b.reason)
            assert a.features.tobytes() == b.features.tobytes()
            assert tuple(a.pictures) == tuple(b.pictures)
            assert a.times_s.tobytes() == b.times_s.tobytes()
            assert {name: each.tobytes() for name, each in a.per_frame.items()} == {
                name: each.tobytes() for name, each in b.per_frame.items()
            }
    assert one.clips().equals(other.clips())


def workers() -> list[psutil.Process]:
    return [
        each for each in psutil.process_iter(["cmdline"]) if "ray::RayWorker" in " ".join(each.info["cmdline"] or ())
    ]


def test_a_cluster_fills_a_store_as_one_process_does(
    cluster: Any, clips: Path, serial: FeatureStore, tmp_path: Path
) -> None:
    store, summary = on_cluster(cluster, clips, tmp_path / "store")
    require_same(store, serial)
    assert summary.statuses[Status.OK] == 18
    assert [clip_id for clip_id, _ in summary.failures] == ["broken.mp4"]


def test_a_worker_that_is_killed_takes_no_clip_with_it(
    cluster: Any, clips: Path, serial: FeatureStore, tmp_path: Path
) -> None:
    killed = []

    def kill_one(progress: Progress) -> None:
        if progress.clips == 4:
            killed.append(workers()[0])
            killed[0].kill()

    store, summary = on_cluster(cluster, clips, tmp_path / "store", kill_one)
    assert len(killed) == 1
    require_same(store, serial)
    assert summary.decoded == 19


def test_a_clip_that_ends_its_worker_fails_and_no_other(
    cluster: Any, clips: Path, serial: FeatureStore, tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    write_video(folder / POISON, (np.full((48, 64, 3), 255, np.uint8) for _ in range(6)), fps=2)
    store, summary = on_cluster(cluster, folder, tmp_path / "store")
    reasons = dict(summary.failures)
    assert set(reasons) == {"broken.mp4", POISON}
    assert "ended the process that decoded it 2 times, with nothing else in it" in reasons[POISON]
    for key in store.keys():
        mine, other = store.reader(key), serial.reader(key)
        assert set(mine.ids) - set(other.ids) == {POISON}
        row = mine.row(mine.index_of([POISON])[0])
        assert (row.status, len(row.times_s)) == (Status.FAILED, 0)
        for clip_id in other.ids:
            a, b = mine.row(mine.index_of([clip_id])[0]), other.row(other.index_of([clip_id])[0])
            assert (a.status, a.features.tobytes()) == (b.status, b.features.tobytes())
    assert plan_of(folder, store).tasks == ()


def test_a_run_whose_process_is_killed_is_gone_on_with(
    cluster: Any, clips: Path, serial: FeatureStore, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace; from test_ray import on_cluster;"
        "on_cluster(SimpleNamespace(address=sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), clips_per_part=1)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, cluster.address, str(clips), str(tmp_path / "store")],
        cwd=Path(__file__).parent,
        stderr=subprocess.DEVNULL,
    )
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and len(list((tmp_path / "store").rglob("*.h5"))) < 9:
        assert driver.poll() is None
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    begun = len(FeatureStore.open(tmp_path / "store").clips())
    assert 0 < begun < 19
    store, summary = on_cluster(cluster, clips, tmp_path / "store")
    require_same(store, serial)
    assert 0 < summary.decoded < 19


def test_clips_of_a_node_that_is_lost_are_done_elsewhere(
    cluster: Any, clips: Path, serial: FeatureStore, tmp_path: Path
) -> None:
    lost = []

    def lose_one(progress: Progress) -> None:
        if progress.clips == 4:
            lost.append(cluster.remove_node(sorted(cluster.worker_nodes, key=str)[0], allow_graceful=False))

    store, summary = on_cluster(cluster, clips, tmp_path / "store", lose_one)
    assert len(lost) == 1
    require_same(store, serial)
    assert summary.decoded == 19


def test_a_run_that_nobody_is_left_to_work_for_says_so_and_keeps_what_is_done(
    cluster: Any, clips: Path, tmp_path: Path
) -> None:
    def lose_all(progress: Progress) -> None:
        if progress.clips == 4:
            for node in list(cluster.worker_nodes):
                cluster.remove_node(node, allow_graceful=False)

    with pytest.raises(MachineError, match=r"no worker is left .*run the same command again"):
        on_cluster(cluster, clips, tmp_path / "store", lose_all, patience=Patience(unavailable_s=1, nobody_s=3))
    assert len(FeatureStore.open(tmp_path / "store").clips()) >= 4
