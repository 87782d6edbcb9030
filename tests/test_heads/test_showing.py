"""Progress, as a terminal and a log get it."""

import io
import re

import pytest
from rich.console import Console

import heads.workflows.progress_bar
from heads.data.history import Epoch
from heads.workflows.progress_bar import Done, done_epoch, steps_shown

NAME = "deviation-a_network_with_a_long_name+motion"


def clip(number: int) -> Done:
    return Done(NAME, f"{NAME}: single frames of clip {number} of 3", number, 3)


def epoch(head: str, number: int) -> Done:
    told = Epoch(number=number, epochs=20, losses=(0.2, 0.4), rates=(0.1, 0.1), unlabelled=False, seconds=5.0)
    return done_epoch(head, told)


def shown(steps: list[Done], *, total: int, terminal: bool, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, markup=False)
    with steps_shown(console, total) as tell:
        for each in steps:
            tell(each)
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_a_narrow_terminal_keeps_the_count_and_the_time_left() -> None:
    last = shown([clip(number) for number in (1, 2, 3)], total=6, terminal=True).splitlines()[-1]
    assert last.startswith(NAME[:30])
    assert re.search(r" 3/6 [-:0-9]+ left$", last.rstrip())


def test_a_bar_leaves_out_what_was_done_before() -> None:
    resumed, fresh = ([epoch(name, each) for each in range(first, 21)] for name, first in (("old", 13), ("new", 1)))
    said = shown([*resumed, *fresh], total=40, terminal=True, width=120)
    assert "new: epoch 20 of 20, loss 0.3000" in said
    assert "28/28" in said


def test_a_log_gets_the_first_and_the_last_step() -> None:
    steps = [clip(number) for number in (1, 2, 3)]
    assert shown(steps, total=6, terminal=False).splitlines() == [
        f"{NAME}: single frames of clip {number} of 3" for number in (1, 3)
    ]


def test_a_log_gets_a_line_now_and_then_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def later() -> float:
        now[0] += 7.0
        return now[0]

    monkeypatch.setattr(heads.workflows.progress_bar.time, "monotonic", later)
    said = shown([epoch("attention-made", number) for number in range(1, 21)], total=20, terminal=False)
    assert said.splitlines() == [
        "attention-made: epoch 1 of 20, loss 0.3000, 0:01:35 left",
        "attention-made: epoch 6 of 20, loss 0.3000, 0:01:38 left",
        "attention-made: epoch 11 of 20, loss 0.3000, 0:01:03 left",
        "attention-made: epoch 16 of 20, loss 0.3000, 0:00:28 left",
        "attention-made: epoch 20 of 20, loss 0.3000",
    ]
