"""What `heads retrain` does, once its words are parsed."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import typer

from heads.commands.compare import print_comparison
from heads.commands.tables import print_trained
from heads.data.decisions import default_log, read_decisions
from heads.data.matching import parse_id_map
from heads.data.reading.sites import places_of
from heads.errors import EXIT_STOPPED, RunError, StoppedError
from heads.report import compare_runs, comparison_json
from heads.run import RunDirectory
from heads.workflows.progress_bar import StepListener, steps_shown
from heads.workflows.run_names import first_folder, next_folder
from heads.workflows.training.retrain import Order
from heads.workflows.training.retrain import retrain as train_again
from store import FeatureStore
from store.console import print_json, stderr_console


def retrain(
    store_root: Path,
    before: Path | None,
    *,
    decisions: Path | None,
    out: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    id_map: Sequence[str],
    as_json: bool,
) -> None:
    """Train again with what was decided since a run, blend, and say what that changed.

    Raises:
        RunError: `before` is not blended, or `out` is that run.
    """
    store = FeatureStore.open(store_root)
    after = out or (first_folder(store_root) if before is None else next_folder(before))
    if before is not None and after.absolute() == before.absolute():
        raise RunError(f"{after}: this is the run that is to be trained again; name another folder with --out")
    decided = read_decisions(default_log(store_root) if decisions is None else decisions)
    told, notes = places_of(store.clips().index, sites=sites, site_pattern=site_pattern, id_map=parse_id_map(id_map))
    order = Order(store=store_root, before=before, after=after, decisions=decided, sites=told)
    console = stderr_console()
    say = partial(console.print, highlight=False, soft_wrap=True)
    for sentence in (*decided.notes, *notes):
        say(sentence)
    job = order.job()
    try:
        with steps_shown(console, sum(job.epochs(head) for head in job.heads)) as show:
            trained = train_again(order, _Watcher(say, show), job)
    except StoppedError as stopped:
        say(str(stopped))
        raise typer.Exit(EXIT_STOPPED) from stopped
    found = None if before is None else compare_runs(RunDirectory(before), RunDirectory(after))
    if as_json:
        heads = [asdict(head) for head in trained]
        print_json({"run": str(after), "heads": heads, "changed": None if found is None else comparison_json(found)})
        return
    print_trained(trained, after)
    if found is not None:
        print_comparison(found)


class _Watcher(StepListener):
    """Shows epochs as steps of a bar."""

    def blending(self) -> None:
        """What is left takes seconds."""
