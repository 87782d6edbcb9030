"""Progress, as a terminal and a log get it."""

import io
import re

from rich.console import Console

from heads.showing import Done, steps_shown

NAME = "deviation-a_network_with_a_long_name+motion"


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=terminal, markup=False)
    with steps_shown(console, 6) as tell:
        for number in (1, 2, 3):
            tell(Done(f"{NAME}: single frames of clip {number} of 3", number, 3))
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_a_narrow_terminal_keeps_the_count_and_the_time_left() -> None:
    last = shown(terminal=True).splitlines()[-1]
    assert last.startswith(NAME[:30])
    assert re.search(r" 3/6 [-:0-9]+ left$", last.rstrip())


def test_a_log_gets_the_first_and_the_last_step() -> None:
    assert shown(terminal=False).splitlines() == [f"{NAME}: single frames of clip {number} of 3" for number in (1, 3)]
