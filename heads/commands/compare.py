"""What `heads compare` does, once its words are parsed."""

import math
from pathlib import Path

from rich.table import Table

from heads.errors import RunError
from heads.report import Comparison, compare_runs, comparison_json, render_comparison, sentences_on
from heads.run import RunDirectory
from store.console import print_json, stdout_console
from store.errors import StoreWriteError
from store.files import write_text


def compare(first: Path, second: Path, *, out: Path | None, as_json: bool) -> None:
    """Print how two runs differ on the clips that they share, and write a page of it if asked.

    Raises:
        RunError: a run is not blended, they share nothing, or the page cannot be written.
    """
    if out is not None and (out.suffix.lower() not in (".html", ".htm") or not out.parent.is_dir()):
        raise RunError(f"{out}: the page is HTML, in a folder that is there; name such a file with --out")
    found = compare_runs(RunDirectory(first), RunDirectory(second))
    if out is not None:
        try:
            write_text(out, render_comparison(found))
        except (OSError, StoreWriteError) as error:
            raise RunError(f"{out}: could not be written ({error}); name another file with --out") from error
    if as_json:
        print_json(comparison_json(found))
        return
    print_comparison(found)
    if out is not None:
        print(out)


def print_comparison(found: Comparison) -> None:
    """Print how two runs differ: a row a class, then sentences."""
    console = stdout_console()
    table = Table(box=None, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in ("clips", found.first, found.second, "change", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for each in found.differences:
        interval = "" if math.isnan(each.low) else f"{each.low:+.4f} to {each.high:+.4f}"
        numbers = (str(each.clips), f"{each.first:.4f}", f"{each.second:.4f}", f"{each.change:+.4f}", interval)
        table.add_row(each.name or "all", *numbers, each.verdict)
    console.print(table)
    for sentence in sentences_on(found):
        console.print(sentence, soft_wrap=True)
