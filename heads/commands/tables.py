"""What the `heads` commands print for a person."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from heads.blending.selection import AUTO
from heads.workflows.answers.external import ImportedPredictions
from heads.workflows.job import Trained
from store.console import stdout_console
from store.ids import counted


def print_leaderboard(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the leaderboard to stdout, best first; the blend that is kept has a star."""
    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")  # a name that is cut off may be that of two models
    table.add_column("kind")
    for name in ("log loss", "fold spread", "mAP", "macro F1"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = [_number(row[name]) for name in ("mean_log_loss", "fold_spread", "map", "macro_f1")]
        table.add_row(row["name"] + (" *" if row["chosen"] else ""), row["kind"], *numbers)
    console = stdout_console()
    console.print(table)
    if any(row["kind"] == "choice" for row in rows):
        console.print(f"{AUTO}: each fold by the blend that would be kept (*) if that fold were not known")


def print_added(added: ImportedPredictions) -> None:
    """Say on stderr what was brought in, and what speaks against it."""
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    console.print(f"added {added.name}: {counted(added.n_clips, 'clip')} of the run out of fold, {added.n_new} others")
    for sentence in added.notes:
        console.print(sentence)
    for warning in added.warnings:
        console.print(f"warning: {added.file}: {warning}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def print_trained(trained: list[Trained], run_folder: Path) -> None:
    """Print a line a head, and where the run is."""
    table = Table(box=None, pad_edge=False)
    table.add_column("head")
    table.add_column("log loss", justify="right")
    table.add_column("seconds", justify="right")
    for head in trained:
        table.add_row(head.name, f"{head.mean_log_loss:.4f}", "kept" if head.resumed else f"{head.seconds:.1f}")
    console = stdout_console()
    console.print(table)
    console.print(f"run: {run_folder}", soft_wrap=True)
