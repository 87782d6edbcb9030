"""What `heads attend` does, once its words are parsed."""

from pathlib import Path
from typing import Any

from rich.table import Table

from heads.errors import UnweighedError
from heads.models.explain.attribution import FrameWeights, trained_heads, weigh_frames
from heads.run import RunDirectory
from store import FeatureStore
from store.console import print_json, stderr_console, stdout_console

_BAR = 30


def show(run_folder: Path, store_root: Path, clip_id: str, *, head: str | None, as_json: bool) -> None:
    """Print the weight of each frame of a clip, with its time; of heads without weights, that they have none."""
    run, store = RunDirectory(run_folder), FeatureStore.open(store_root)
    found: list[FrameWeights] = []
    for name in [head] if head else trained_heads(run):
        try:
            found += weigh_frames(run, store, name, [clip_id])
        except UnweighedError as error:
            if head:
                raise
            stderr_console().print(str(error), highlight=False, soft_wrap=True)
    if as_json:
        print_json([as_plain(each) for each in found])
        return
    console = stdout_console()
    for each in found:
        console.print(f"{each.head}, by {each.by}, models of folds {', '.join(str(fold) for fold in each.folds)}")
        table = Table(box=None, pad_edge=False)
        table.add_column("time s", justify="right")
        table.add_column("weight", justify="right")
        table.add_column("")
        for time_s, weight in zip(each.times_s, each.weights, strict=True):
            table.add_row(f"{time_s:.2f}", f"{weight:.3f}", "#" * round(_BAR * weight / max(each.weights.max(), 1e-9)))
        console.print(table)


def as_plain(each: FrameWeights) -> dict[str, Any]:
    """A head's frame weights as JSON values."""
    return {
        "head": each.head,
        "clip_id": each.clip_id,
        "folds": list(each.folds),
        "by": each.by,
        "times_s": each.times_s.tolist(),
        "weights": each.weights.tolist(),
        "per_query": None if each.per_query is None else each.per_query.tolist(),
    }
