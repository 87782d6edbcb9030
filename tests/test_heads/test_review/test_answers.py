"""What the page is told of clips, and what comes of what it says."""

import json
import struct
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from indexed_clips import index_of
from PIL import Image
from reviewed import Visitor, draw_collection, serving

from heads.data.decisions import State, read_decisions
from heads.data.reading.capture_times import TimeSource
from heads.review.collection import key_of

IDS = [f"site {index % 6}/{index:03d}.mp4" for index in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    draw_collection(folder, 12)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Visitor]:
    (folder / "decisions.jsonl").unlink(missing_ok=True)
    with serving(folder, labels=folder / "labels.csv") as visitor:
        yield visitor.enter()


def decision(*ids: str, action: str = "a1", user: str = "ann", **more: Any) -> dict[str, Any]:
    said = {"action": action, "user": user, "clips": [key_of(each) for each in ids], "state": "labelled", "classes": []}
    return {**said, **more}


def unpacked(body: bytes) -> dict[int, bytes]:
    found, start = {}, 0
    while start < len(body):
        place, size = struct.unpack(">II", body[start : start + 8])
        found[place] = body[start + 8 : start + 8 + size]
        start += 8 + size
    return found


def test_the_frames_are_those_that_networks_saw(server: Visitor) -> None:
    key = key_of(IDS[3])
    told = server.json(f"/clip/{key}")
    status, _, body = server.ask(f"/clip/{key}/frames")
    assert status == 200
    frames = unpacked(body)
    assert sorted(frames) == list(range(len(told["moments"])))
    assert len(frames) >= 3
    for place, moment in enumerate(told["moments"]):
        frame = np.asarray(Image.open(BytesIO(frames[place])).convert("RGB"))
        assert index_of(frame) == moment["t"]
        assert moment["boxes"] == [[0.25, 0.25, 0.75, 0.75]]
    assert told["moments"][-1]["energy"] == 1.0
    picture = np.asarray(Image.open(BytesIO(server.ask(f"/clip/{key}/picture.jpg")[2])).convert("RGB"))
    assert index_of(picture) == told["moments"][-1]["t"]  # in which most moves


def test_a_film_can_be_had_in_pieces(server: Visitor, folder: Path) -> None:
    key, whole = key_of(IDS[0]), (folder / "one.mp4").read_bytes()
    status, headers, body = server.ask(f"/clip/{key}/film")
    assert (status, body, headers["content-type"], headers["accept-ranges"]) == (200, whole, "video/mp4", "bytes")
    status, headers, body = server.ask(f"/clip/{key}/film", headers={"Range": "bytes=100-199"})
    assert (status, body) == (206, whole[100:200])
    assert headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert server.ask(f"/clip/{key}/film", headers={"Range": f"bytes={len(whole)}-"})[0] == 416
    assert server.ask(f"/clip/{key}/film?as=flv")[0] == 400


def test_decisions_are_written_with_all_that_was_known(server: Visitor, folder: Path) -> None:
    why = [{"strategy": "doubt", "reason": "0.5", "random": True}]
    told = server.json("/api/decide", decision(IDS[0], classes=["hog", " hog ", "Blank", "lion"], why=why))
    assert (told["clips"][0]["label"], told["clips"][0]["state"], told["decided"]) == (["hog", "lion"], "labelled", 1)
    (kept,) = read_decisions(folder / "decisions.jsonl").log
    table = dict(
        zip(*[line.split(",")[:2] for line in (folder / "labels.csv").read_text().splitlines()[:2]], strict=True)
    )
    assert (kept.clip_id, kept.after, kept.user, kept.why.strategy, kept.why.is_random) == (
        table["filename"], ("hog", "lion"), "ann", "doubt", True,
    )  # fmt: skip
    assert kept.before is not None
    assert kept.time.endswith("+00:00")
    assert server.json("/api/start")["classes"] == ["deer", "hog", "lion"]
    assert server.ask("/api/labels.csv")[2].decode().splitlines() == ["filename,deer,hog,lion", f"{IDS[0]},0,1,1"]


def test_what_is_sent_twice_counts_once(server: Visitor, folder: Path) -> None:
    for _ in range(2):
        server.json("/api/decide", decision(IDS[0], IDS[1]))
    assert len(read_decisions(folder / "decisions.jsonl").log) == 2


def test_undo_and_redo_survive_a_new_server_and_are_ones_own(server: Visitor, folder: Path) -> None:
    server.json("/api/decide", decision(IDS[0], classes=["hog"]))
    server.json("/api/decide", decision(IDS[0], IDS[1], action="a2", classes=["deer"]))
    server.json("/api/decide", decision(IDS[2], action="a3", user="bob"))
    with serving(folder, labels=folder / "labels.csv") as again:
        again.enter()
        back = again.json("/api/undo", {"user": "ann"})
        assert [each["id"] for each in back["clips"]] == IDS[:2]
        assert (back["clips"][0]["label"], back["clips"][1]["state"], back["decided"]) == (["hog"], None, 2)
        assert again.json("/api/undo", {"user": "ann"})["decided"] == 1
        assert again.json("/api/undo", {"user": "ann"})["clips"] == []
        again.json("/api/redo", {"user": "ann"})
        forth = again.json("/api/redo", {"user": "ann"})
        assert [each["label"] for each in forth["clips"]] == [["deer"], ["deer"]]
        assert again.json("/api/redo", {"user": "ann"})["clips"] == []
    assert server.json("/api/start")["decided"] == 3


def test_others_are_heard_of(server: Visitor, folder: Path) -> None:
    before = server.json("/api/start")["log"]
    with serving(folder) as other:
        other.enter().json("/api/decide", decision(IDS[4], user="bob", classes=["hog"]))
    news = server.json(f"/api/news?since={before}")
    assert [(each["id"], each["by"], each["label"]) for each in news["clips"]] == [(IDS[4], "bob", ["hog"])]
    server.json("/api/decide", decision(IDS[4], action="a9", classes=["deer"]))
    (conflict,) = server.json("/api/queue?name=conflicts")["clips"]
    assert (conflict["id"], conflict["why"]["reason"]) == (IDS[4], "bob: hog; ann: deer")


def test_queues_leave_out_what_is_decided(server: Visitor) -> None:
    server.json("/api/decide", decision(IDS[0]))
    server.json("/api/decide", decision(IDS[6], action="a2", state="skipped"))
    server.json("/api/decide", decision(IDS[7], action="a3", state="unsure"))
    told = {name: [each["id"] for each in server.json(f"/api/queue?name={name}")["clips"]] for name in (
        "order", "random", "unsure", "decided",
    )}  # fmt: skip
    assert told["order"] == sorted({*IDS} - {IDS[0], IDS[6], IDS[7]})
    assert told["random"] == []  # what has a label is not drawn again
    assert told["unsure"] == [IDS[6], IDS[7]]
    assert told["decided"] == [IDS[7], IDS[6], IDS[0]]
    assert server.ask("/api/queue?name=nonsense")[0] == 400


def test_before_the_first_run_clips_are_drawn_that_have_no_label(folder: Path) -> None:
    (folder / "decisions.jsonl").unlink(missing_ok=True)
    with serving(folder) as server:
        server.enter()
        names = {each["name"]: each["about"] for each in server.json("/api/start")["queues"]}
        assert names == dict.fromkeys(("next", "random", "order", "unsure", "conflicts", "decided"), "")
        server.json("/api/decide", decision(IDS[0], classes=["hog"]))
        drawn = server.json("/api/queue?name=random")["clips"]
        assert sorted(each["id"] for each in drawn) == sorted(IDS[1:])
        assert all(each["why"]["random"] for each in drawn)
        assert {each["id"] for each in server.json("/api/queue?name=next&count=4")["clips"]} < {*IDS[1:]}
        alike = server.json(f"/clip/{key_of(IDS[0])}/alike")["clips"]
        assert {each["id"] for each in alike} == {*IDS[1:]}
        told = server.json(f"/api/progress?clips={drawn[0]['key']}")
        assert (told["decided"], told["last"], told["found_lately"]["hog"], told["curve"]) == (1, 1, 1, [])


def test_an_event_is_decided_at_once(folder: Path, tmp_path: Path) -> None:
    times = tmp_path / "times.csv"
    rows = [f"{each},2024-03-0{1 + place // 8} 12:{place % 8:02d}:00" for place, each in enumerate(IDS)]
    times.write_text("\n".join(["filename,captured", *rows]))
    (folder / "decisions.jsonl").unlink(missing_ok=True)
    with serving(folder, timed_by=TimeSource(table=times, event_gap=timedelta(minutes=10))) as server:
        server.enter()
        found = server.json(f"/clip/{key_of(IDS[0])}/event")["clips"]
        assert [each["id"] for each in found] == [IDS[0], IDS[6]]  # of one site, six minutes apart
        assert server.json("/api/decide", decision(*[each["id"] for each in found], classes=["hog"]))["decided"] == 2
        alone = server.json(f"/clip/{key_of(IDS[2])}/event")["clips"]
        assert [each["id"] for each in alone] == [IDS[2]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "eaten"},
        {"state": "undecided"},
        {"action": ""},
        {"action": "../x"},
        {"action": "a" * 65},
        {"user": " "},
        {"user": None},
        {"clips": []},
        {"clips": "abc"},
        {"clips": ["0" * 16]},
        {"clips": ["x"] * 501},
        {"classes": [3]},
        {"classes": ["x" * 121]},
        {"classes": None},
    ],
)
def test_what_makes_no_sense_is_refused_and_not_written(server: Visitor, folder: Path, wrong: dict[str, Any]) -> None:
    status, _, body = server.ask("/api/decide", decision(IDS[0], **wrong))
    assert status == 400
    assert json.loads(body)["error"]
    assert read_decisions(folder / "decisions.jsonl").log == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null"])
def test_what_is_no_json_is_refused(server: Visitor, body: bytes) -> None:
    assert server.ask("/api/decide", body)[0] == 400
    assert server.ask("/api/undo", body)[0] == 400


def test_a_clip_without_a_file_or_frames_says_so(folder: Path, server: Visitor) -> None:
    path = folder / "clips" / IDS[5]
    path.rename(path.with_suffix(".gone"))
    try:
        assert "name the folder of the clips with --clips" in server.json(f"/clip/{key_of(IDS[5])}")["problem"]
        assert server.ask(f"/clip/{key_of(IDS[5])}/frames")[0] == 400
    finally:
        path.with_suffix(".gone").rename(path)


def test_decisions_of_the_log_have_states_that_the_page_knows(server: Visitor) -> None:
    assert {each.value for each in State} == {"labelled", "unsure", "skipped", "undecided"}
    assert server.json("/api/start")["user"] == "ann"
