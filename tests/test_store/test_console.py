"""Consoles: what is written into a file or a pipe is not cut to the width of a terminal."""

import pytest
from rich.table import Table

from store.console import stdout_console


def test_a_row_of_a_table_is_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", "kind", box=None)
    table.add_row("deviation-[network]+" + "x" * 200, "head")
    stdout_console().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "[network]+" + "x" * 200 in lines[1]
