"""Consoles: what is written into a file or a pipe is not cut to the width of a terminal; one way to say a size."""

import pytest
from rich.table import Table

from store.console import human_bytes, stdout_console


def test_a_row_of_a_table_is_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", "kind", box=None)
    table.add_row("deviation-[network]+" + "x" * 200, "head")
    stdout_console().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "[network]+" + "x" * 200 in lines[1]


def test_rows_of_tables_end_where_they_have_been_said_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", "what it is", box=None)
    table.add_row("a", "")
    table.add_row("longer  name", "b")
    stdout_console().print(table)
    said = capsys.readouterr().out
    assert said.splitlines() == [" name          what it is", " a", " longer  name  b"]
    assert said.endswith("b\n")


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1024, "1.0 kB"),
        (999_960, "1.0 MB"),
        (1.5e9, "1.5 GB"),
        (2e12, "2.0 TB"),
        (3e15, "3.0 PB"),
    ],
)
def test_sizes_are_told_in_decimal_units(size: float, told: str) -> None:
    assert human_bytes(size) == told
