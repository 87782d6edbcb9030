"""What machines are compared by before they work on one store, and what is refused."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openvino
import openvino.opset13
import pytest
from indexed_clips import write_indexed_clip
from ray_toys import toy_source
from typer.testing import CliRunner

import featurize
from featurize.backbones.registry import find_backbone
from featurize.backbones.weights import Weights, locate_weights
from featurize.cli import app
from featurize.errors import MachineError, SettingsError, WeightsError
from featurize.pipeline.clips.clip_worker import Assignment, ClipWorker, WorkOrder, failed_outcome, weights_here
from featurize.pipeline.clips.lanes import FrameLane
from featurize.pipeline.clips.prefetch import DecodedTask
from featurize.pipeline.cluster.node import NodeFacts, describe_node
from featurize.pipeline.cluster.ray_cluster import Node, compare_nodes
from featurize.pipeline.discover import survey
from featurize.pipeline.places.backgrounds import Backgrounds
from featurize.runtime.precision import compile_settings
from featurize.views.sampling import Sampling
from store import SeenAgainst, Status
from store.errors import ClusterError

ORDER = WorkOrder(
    sources=(toy_source(), toy_source("motion")), sampling=Sampling(fps=2), runtime="auto", device="cpu", threads=1
)
NODE = Node(node_id="0", name="barn (10.0.0.2)", workers=1)


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


def answering(facts: NodeFacts | Exception) -> Any:
    """Ray, as far as asking one node goes."""

    def get(_: object, timeout: float) -> NodeFacts:
        assert timeout > 0
        if isinstance(facts, Exception):
            raise facts
        return facts

    task = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *_: "answer"))
    return SimpleNamespace(
        remote=lambda **_: lambda _function: task,
        get=get,
        exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError),
    )


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurize.pipeline.cluster.ray_cluster.on_node", lambda node: node.node_id)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_indexed_clip(tmp_path / "clips" / "a.mp4", 4, fps=2)


def compare(there: NodeFacts | Exception, clip: Path, *, secure: bool = False) -> list[str]:
    warned: list[str] = []
    compare_nodes(answering(there), [NODE], ORDER, [clip], warned.append, secure=secure)
    return warned


def like_here(clip: Path, **changes: Any) -> NodeFacts:
    return replace(describe_node(ORDER, [clip]), reports=False, **changes)


def other_version(facts: NodeFacts) -> NodeFacts:
    return replace(facts, versions=(("Trapline", "9.9.9"), *facts.versions[1:]))


def test_a_node_like_this_machine_is_taken_without_a_word(clip: Path) -> None:
    assert compare(like_here(clip), clip) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            other_version,
            r"node barn \(10.0.0.2\) cannot work with this machine: it has Trapline 9.9.9, and this machine",
        ),
        (lambda facts: replace(facts, lacking="lite9: weights are others"), "lite9: weights are others; install the"),
        (lambda facts: replace(facts, readable=(False,)), r"node barn .* sees none of 1 clip that were tried, such as"),
        (lambda facts: replace(facts, token=False), r"node barn .* asks nobody for a token"),
    ],
)
def test_a_node_that_must_not_work_is_named(clip: Path, change: Callable[[NodeFacts], NodeFacts], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        compare(change(like_here(clip, token=True)), clip, secure=True)


def test_a_node_without_trapline_is_named(clip: Path) -> None:
    error = RayTaskError("traceback\nModuleNotFoundError: No module named 'featurize'")
    with pytest.raises(SettingsError, match=r"node barn .*No module named 'featurize'\); install it there"):
        compare(error, clip)


def test_what_may_matter_is_said(clip: Path) -> None:
    said = compare(like_here(clip, instructions="x86_64 avx"), clip)
    assert len(said) == 1
    assert "another kind of processor (x86_64 avx; here" in said[0]
    assert "usage statistics" in compare(replace(like_here(clip), reports=True), clip)[0]
    assert "does not answer (gone)" in compare(RayError("gone"), clip)[0]


def test_weights_are_found_where_a_machine_has_them_and_others_refused(tmp_path: Path) -> None:
    lite = find_backbone("efficientnet_lite0")
    here = locate_weights(lite)
    assert weights_here(lite, Weights(path=Path("/elsewhere/weights.h5"), sha256=here.sha256)) == here
    with pytest.raises(WeightsError, match=r"efficientnet_lite0: there is no weights file /elsewhere/mine.h5"):
        weights_here(lite, Weights(path=Path("/elsewhere/mine.h5"), sha256="0" * 64))
    (tmp_path / "mine.h5").write_bytes(b"others")
    with pytest.raises(WeightsError, match=r"the sha256 of its weights is .*, expected 000000000000"):
        weights_here(lite, Weights(path=tmp_path / "mine.h5", sha256="0" * 64))


def test_a_worker_gives_clips_once_their_batch_is_full_and_the_rest_at_the_end(tmp_path: Path) -> None:
    for number in range(5):
        write_indexed_clip(tmp_path / "clips" / f"{number}.mp4", 7, fps=2)
    worker = ClipWorker(ORDER)
    worker.start()
    came = [
        [each.account.clip_id for each in worker.take(Assignment(clip=clip, sources=(0, 1), known=False))]
        for clip in survey([tmp_path / "clips"]).clips
    ]
    assert [len(each) for each in came] != [1] * 5
    assert sorted(sum(came, [each.account.clip_id for each in worker.finish()])) == [f"{n}.mp4" for n in range(5)]


def test_a_worker_whose_networks_break_says_so_at_the_latest_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(lane: FrameLane, decoded: DecodedTask) -> None:
        raise MachineError("no memory is left")

    write_indexed_clip(tmp_path / "clips" / "a.mp4", 5, fps=2)
    (clip,) = survey([tmp_path / "clips"]).clips
    worker = ClipWorker(ORDER)
    worker.start()
    monkeypatch.setattr(FrameLane, "push", broken)
    with pytest.raises(MachineError, match="no memory is left"):
        worker.take_alone(Assignment(clip=clip, sources=(0, 1), known=False))


def test_a_clip_that_is_sent_twice_comes_whole(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 5, fps=2)
    (clip,) = survey([tmp_path / "clips"]).clips
    worker, assignment = ClipWorker(ORDER), Assignment(clip=clip, sources=(0, 1), known=False)
    worker.start()
    assert worker.take(assignment) == []
    came = [*worker.take(assignment), *worker.finish()]
    assert came
    assert all(sorted(place for place, _ in each.rows) == [0, 1] for each in came)


def test_a_clip_is_sent_with_what_it_is_seen_against_and_no_more() -> None:
    def row(name: str, *others: str) -> SeenAgainst:
        return SeenAgainst(
            clip_id=name,
            fingerprint=name,
            infrared=False,
            picture=np.zeros((4, 6), np.uint8),
            others=others,
            shifts=np.zeros((len(others), 2), np.float32),
            digest="",
        )

    rows = {name: row(name, *others) for name, *others in (("a", "b", "c"), ("b", "a"), ("c",), ("d", "a"))}
    known = Backgrounds(rows, {"a.mp4": "a", "c.mp4": "c", "new.mp4": "x"})
    assert set(known.about("a.mp4").rows) == {"a", "b", "c"}
    assert set(known.about("c.mp4").rows) == {"c"}
    assert known.about("new.mp4").rows == known.about("unknown.mp4").rows == {}


def test_a_clip_that_could_be_done_nowhere_has_a_row_in_every_source(clip: Path) -> None:
    found = survey([clip.parent]).clips[0]
    outcome = failed_outcome(Assignment(clip=found, sources=(0, 1), known=False), ORDER, "ended its process")
    assert outcome.account.facts.fingerprint
    assert [(place, row.status, row.reason, len(row.features)) for place, row in outcome.rows] == [
        (0, Status.FAILED, "ended its process", 0),
        (1, Status.FAILED, "ended its process", 0),
    ]


def test_networks_take_as_many_threads_as_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAPLINE_THREADS", raising=False)
    assert "INFERENCE_NUM_THREADS" not in compile_settings("f32")
    monkeypatch.setenv("TRAPLINE_THREADS", "3")
    assert compile_settings("f32")["INFERENCE_NUM_THREADS"] == "3"
    monkeypatch.setenv("TRAPLINE_THREADS", "all")
    with pytest.raises(SettingsError, match="TRAPLINE_THREADS=all: expected a number of threads"):
        compile_settings("f32")


def test_networks_of_two_processes_do_not_share_a_processor() -> None:
    core, ops = openvino.Core(), openvino.opset13
    picture = ops.parameter([1, 8], np.float32)
    network = openvino.Model([ops.relu(picture)], [picture])
    made = core.compile_model(network, "CPU", compile_settings("f32"))
    stream = io.BytesIO()
    made.export_model(stream)
    loaded = core.import_model(io.BytesIO(stream.getvalue()), "CPU", compile_settings("f32"))
    assert not made.get_property("ENABLE_CPU_PINNING")
    assert not loaded.get_property("ENABLE_CPU_PINNING")


def test_a_cluster_is_joined_with_a_token_only(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    settings = {"address": "127.0.0.1:6379"}
    with pytest.raises(ClusterError, match=r"there is no token at .*--ray-insecure where nobody else"):
        featurize.run(
            clip,
            tmp_path / "store",
            backbones="phash",
            fps=2,
            work_runner="ray",
            runner_settings=settings,
            progress=False,
        )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ray-insecure"], "go with --ray"),
        (["--ray", "local", "--dry-run"], "look at clips on this machine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], told: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path), "--store", str(tmp_path / "s"), "--backbone", "phash", *words])
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("│", "").split())
