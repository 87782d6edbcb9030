"""A log of decisions keeps every key press, whoever writes beside, and whatever happens to the writer."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heads.data.decisions import (
    Decision,
    DecisionLog,
    Decisions,
    State,
    Why,
    decide_labels,
    default_log,
    is_decision_log,
    read_decisions,
)
from heads.data.labels import LabelTable
from heads.data.reading.corrections import correct_labels
from heads.errors import DecisionError, LabelError

LABELS = LabelTable(
    ids=("a.mp4", "b.mp4", "c.mp4"), classes=("blank", "hog"), values=np.array([[1, 0], [0, 1], [0, 1]], np.uint8)
)
_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from heads.data.decisions import Decision, DecisionLog, State
log = DecisionLog(Path(sys.argv[1]))
number = 0
while True:
    log.append([Decision(clip_id=f"{number}.mp4", state=State.LABELLED, after=("hög",), user=sys.argv[2])])
    number += 1
    print(number, flush=True)
"""


def said(clip_id: str, *after: str, state: State = State.LABELLED, user: str = "ann", undoes: str = "") -> Decision:
    return Decision(clip_id=clip_id, state=state, after=after, user=user, undoes=undoes)


def standing(*log: Decision) -> dict[str, tuple[str, ...]]:
    return {clip_id: each.after for clip_id, each in Decisions(log=log).standing.items()}


def test_a_decision_comes_back_as_it_was_written(tmp_path: Path) -> None:
    decision = Decision(
        clip_id="Taï/ß \u2028.mp4",
        state=State.LABELLED,
        after=("hog", "größe"),
        before=(),
        user="änn",
        seen={"hog": 0.25},
        why=Why(strategy="doubt", reason="0.48 for hog", is_random=True),
        undoes="",
    )
    log = DecisionLog(tmp_path / "deep" / "log.jsonl")
    log.append([decision])
    log.append([said("b.mp4"), said("c.mp4", state=State.UNSURE)])
    found = log.read()
    assert found.log[0] == decision
    assert [each.clip_id for each in found.log] == ["Taï/ß \u2028.mp4", "b.mp4", "c.mp4"]
    assert found.notes == ()
    assert is_decision_log(log.path)


def test_a_log_that_is_not_there_yet_says_nothing(tmp_path: Path) -> None:
    assert read_decisions(tmp_path / "none.jsonl") == Decisions()


def test_the_last_word_on_a_clip_counts_and_undo_and_redo_have_no_end() -> None:
    first, second = said("a.mp4", "hog"), said("a.mp4", "lion")
    assert standing(first, second) == {"a.mp4": ("lion",)}
    undo = said("a.mp4", "hog", undoes=second.id)
    assert standing(first, second, undo) == {"a.mp4": ("hog",)}
    undo_first = said("a.mp4", state=State.UNDECIDED, undoes=first.id)
    assert standing(first, second, undo, undo_first) == {}
    redo_first = said("a.mp4", "hog", undoes=undo_first.id)
    assert standing(first, second, undo, undo_first, redo_first) == {"a.mp4": ("hog",)}
    redo = said("a.mp4", "lion", undoes=undo.id)
    assert standing(first, second, undo, undo_first, redo_first, redo) == {"a.mp4": ("lion",)}
    again = said("a.mp4", "hog", undoes=redo.id)
    assert standing(first, second, undo, undo_first, redo_first, redo, again) == {"a.mp4": ("hog",)}


def test_what_can_be_taken_back_and_done_again_is_read_from_the_log() -> None:
    log: list[Decision] = []

    def tell() -> tuple[list[str], list[str]]:
        found = Decisions(log=tuple(log))
        return [each.clip_id for each in found.to_take_back("ann")], [each.clip_id for each in found.to_do_again("ann")]

    def undo() -> None:
        log.extend(said(each.clip_id, undoes=each.id) for each in Decisions(log=tuple(log)).to_take_back("ann"))

    def redo() -> None:
        log.extend(said(each.clip_id, undoes=each.id) for each in Decisions(log=tuple(log)).to_do_again("ann"))

    log += [said("a.mp4"), said("x.mp4", user="bob"), said("b.mp4"), said("c.mp4")]
    log[2:] = [replace(each, action="event") for each in log[2:]]
    assert tell() == (["b.mp4", "c.mp4"], [])
    log += [replace(said(each.clip_id, undoes=each.id), action="undo") for each in log[2:]]
    assert tell() == (["a.mp4"], ["b.mp4", "c.mp4"])
    undo()
    assert tell() == ([], ["a.mp4"])
    redo()
    assert tell() == (["a.mp4"], ["b.mp4", "c.mp4"])
    undo()
    redo()
    log += [replace(said(each.clip_id, undoes=each.id), action="redo") for each in log[4:6]]
    assert tell() == (["b.mp4", "c.mp4"], [])
    assert [*standing(*log)] == ["a.mp4", "x.mp4", "b.mp4", "c.mp4"]
    undo()
    log.append(said("d.mp4"))
    assert tell() == (["d.mp4"], [])


def test_skipping_a_clip_takes_no_label_back() -> None:
    assert standing(said("a.mp4", "hog"), said("a.mp4", state=State.SKIPPED)) == {"a.mp4": ("hog",)}
    assert Decisions(log=(said("a.mp4", state=State.SKIPPED),)).standing["a.mp4"].state is State.SKIPPED


def test_taking_back_ones_own_word_leaves_that_of_another() -> None:
    mine, theirs = said("a.mp4", "hog"), said("a.mp4", "lion", user="bob")
    assert standing(mine, theirs, said("a.mp4", undoes=mine.id)) == {"a.mp4": ("lion",)}


def test_conflicts_are_those_of_last_words() -> None:
    log = [
        said("a.mp4", "hog"),
        said("a.mp4", "lion", user="bob"),
        said("b.mp4", "hog", "lion"),
        said("b.mp4", "lion", "hog", user="bob"),  # the same in another order
        said("c.mp4"),
        said("c.mp4", state=State.SKIPPED, user="bob"),  # has no opinion
        said("d.mp4"),
        said("d.mp4", state=State.UNSURE, user="bob"),
    ]
    conflicts = Decisions(log=tuple(log)).conflicts
    assert [(each.clip_id, [one.user for one in each.decisions]) for each in conflicts] == [
        ("a.mp4", ["ann", "bob"]),
        ("d.mp4", ["ann", "bob"]),
    ]
    assert [each.clip_id for each in Decisions(log=(*log, said("a.mp4", "lion"))).conflicts] == ["d.mp4"]


def test_a_log_is_read_on_from_where_it_was_left(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    assert log.read_on(0) == (Decisions(), 0)
    log.append([said("a.mp4", "hog")])
    first, place = log.read_on(0)
    assert (first, place) == (log.read(), log.size_bytes)
    again = said("b.mp4", "hog")
    log.append([again])
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-1])  # the end of the line is still to come
    assert log.read_on(place) == (Decisions(), place)
    log.path.write_bytes(whole)
    more, end = log.read_on(place)
    assert (more.log, end) == ((again,), len(whole))
    both = first.with_more(more)
    assert (both.log, [*both.standing]) == (log.read().log, ["a.mp4", "b.mp4"])
    assert both.with_more(more).log == both.log  # what comes twice counts once
    log.path.write_bytes(whole + b"nonsense\n")
    assert len(both.with_more(log.read_on(end)[0]).notes) == 1


def test_a_half_written_line_is_passed_over_and_the_next_one_is_whole(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    log.append([said("a.mp4", "hog"), said("b.mp4", "hog")])
    whole = log.path.read_bytes()
    for length in range(whole.index(b"\n") + 2, len(whole) - 1):
        log.path.write_bytes(whole[:length])
        assert [each.clip_id for each in log.read().log] == ["a.mp4"]
        assert log.read().notes == ("log.jsonl: 1 line is passed over for want of a decision (line 2)",)
        log.append([said("c.mp4", "hog")])
        assert [each.clip_id for each in log.read().log] == ["a.mp4", "c.mp4"]


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b"null",
        b'{"clip_id": "z.mp4"}',
        b'{"clip_id": "z.mp4", "state": "eaten"}',
        b'{"clip_id": "z.mp4", "state": "labelled", "after": "hog"}',
        b'{"clip_id": 3, "state": "labelled"}',
        b"\xff\xfe",
    ],
)
def test_lines_that_are_no_decisions_are_reported(tmp_path: Path, line: bytes) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    log.append([said("a.mp4", "hog")])
    log.path.write_bytes(log.path.read_bytes() + line + b"\n")
    log.append([said("b.mp4", "hog")])
    found = log.read()
    assert [each.clip_id for each in found.log] == ["a.mp4", "b.mp4"]
    assert found.notes == ("log.jsonl: 1 line is passed over for want of a decision (line 2)",)


def test_fields_of_later_versions_are_passed_over_and_missing_ones_have_defaults(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"clip_id": "a.mp4", "state": "unsure", "colour": "red", "why": {"mood": 1}}) + "\n")
    (found,) = read_decisions(path).log
    assert (found.clip_id, found.state, found.why, found.undoes) == ("a.mp4", State.UNSURE, Why(), "")


def test_what_was_sent_twice_counts_once(tmp_path: Path) -> None:
    log, decision = DecisionLog(tmp_path / "log.jsonl"), said("a.mp4", "hog")
    log.append([decision])
    log.append([decision])
    assert log.read().log == (decision,)


def test_two_writers_and_a_kill_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), user], stdout=subprocess.PIPE, text=True)
        for user in ("ann", "bob")
    ]
    said_so = []
    for writer in writers:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        said_so.append(20 + len([line for line in writer.stdout.read().split("\n")[:-1] if line]))
        writer.wait()
        writer.stdout.close()
    found = read_decisions(path)
    assert len(found.notes) <= 1
    for user, acknowledged in zip(("ann", "bob"), said_so, strict=True):
        kept = [each.clip_id for each in found.log if each.user == user]
        assert kept == [f"{number}.mp4" for number in range(len(kept))]
        assert acknowledged <= len(kept) <= acknowledged + 1


def test_a_disk_that_refuses_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DecisionError, match=r"the decision could not be written .* name another file with --decisions"):
        DecisionLog(tmp_path).append([said("a.mp4", "hog")])
    with pytest.raises(DecisionError, match="cannot be read"):
        read_decisions(tmp_path)


def test_the_log_lies_beside_the_store() -> None:
    assert default_log(Path("/cards/2026.v1")) == Path("/cards/2026.v1.decisions.jsonl")


def test_labels_are_derived() -> None:
    log = [said("a.mp4", "hog"), said("b.mp4"), said("c.mp4", "lion", "hog"), said("d.mp4", state=State.UNSURE)]
    frame = Decisions(log=tuple(log)).labels()
    assert frame.to_dict("list") == {
        "filename": ["a.mp4", "b.mp4", "c.mp4"],
        "blank": [0, 1, 0],
        "hog": [1, 0, 1],
        "lion": [0, 0, 1],
    }
    assert [*Decisions(log=tuple(log)).labels(["lion", "Empty"])] == ["filename", "lion", "Empty", "hog"]
    assert Decisions(log=tuple(log)).labels(["lion", "Empty"])["Empty"].tolist() == [0, 1, 0]


def test_labels_with_decisions_in_place_of_them_and_beside_them() -> None:
    decisions = Decisions(
        log=(
            said("a.mp4", "hog", "lion"),
            said("b.mp4", "hog"),  # as it was
            said("c.mp4", state=State.UNSURE),
            said("d.mp4"),
            said("e.mp4", state=State.SKIPPED),
            said("f.mp4", "hog"),
        )
    )
    labels, notes = decide_labels(LABELS, decisions, "log.jsonl", ["d.mp4", "e.mp4"], {})
    assert (labels.ids, labels.classes) == (("a.mp4", "b.mp4", "d.mp4"), ("blank", "hog", "lion"))
    assert labels.values.tolist() == [[0, 1, 1], [0, 1, 0], [1, 0, 0]]
    assert notes == [
        "log.jsonl: 1 label corrected, 1 clip added, 1 left out as unsure",
        "log.jsonl: 'lion': new classes, which clips that nobody decided again are taken not to show",
        "log.jsonl: 1 clip that was decided is not in the store: 'f.mp4'",
    ]


def test_a_clip_that_was_decided_needs_a_site_where_labels_have_them() -> None:
    labels = LABELS.with_sites(dict.fromkeys(LABELS.ids, "s"), "sites.csv")
    decisions = Decisions(log=(said("d.mp4", "hog"),))
    kept, _ = decide_labels(labels, decisions, "log.jsonl", ["d.mp4"], {"d.mp4": "t"})
    assert kept.sites == ("s", "s", "s", "t")
    with pytest.raises(DecisionError, match=r"log.jsonl: 1 clip that was decided has no site: 'd.mp4'"):
        decide_labels(labels, decisions, "log.jsonl", ["d.mp4"], {})


def test_a_log_takes_the_place_of_a_table_of_corrections(tmp_path: Path) -> None:
    log, table = DecisionLog(tmp_path / "log.jsonl"), tmp_path / "checked.csv"
    log.append([said("a.mp4", "hog"), said("d.mp4", "hog")])
    table.write_text("filename,correct\nd.mp4,blank\n")
    labels, _ = correct_labels(LABELS, [log.path, table], known=["d.mp4"])
    assert labels.values.tolist() == [[0, 1], [0, 1], [0, 1], [1, 0]]
    with pytest.raises(LabelError, match="1 clip has no label to correct"):
        correct_labels(LABELS, [table, log.path], known=["d.mp4"])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ann", "bob"]), st.integers(0, 5)), max_size=14))
def test_reading_on_comes_to_the_same_as_reading_anew(steps: list[tuple[str, str, int]]) -> None:
    log: list[Decision] = []
    grown = Decisions()
    for clip_id, user, kind in steps:
        if kind < 4:
            state = (State.LABELLED, State.UNSURE, State.SKIPPED, State.LABELLED)[kind]
            new = [said(clip_id, *["hog"] * (kind == 0), state=state, user=user)]
        else:
            found = Decisions(log=tuple(log))
            taken = found.to_take_back(user) if kind == 4 else found.to_do_again(user)
            new = [said(each.clip_id, user=user, undoes=each.id) for each in taken]
        log += new
        grown = grown.with_more(Decisions(log=tuple(new)))
        anew = Decisions(log=tuple(log))
        assert [*grown.standing.items()] == [*anew.standing.items()]
        assert (grown.counting, grown.conflicts) == (anew.counting, anew.conflicts)
