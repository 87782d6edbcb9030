"""What `heads train` and `heads predict` do, once their words are parsed."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from heads.fit import Epoch
from heads.output import read_template, write_predictions
from heads.predict import predict_run
from heads.recipe import load_recipe
from heads.run import RunDirectory
from heads.train import Trained, resolve_heads, train_run
from store import FeatureStore, Status
from store.console import print_json, stderr_console


def train(
    store_root: Path,
    labels_path: Path,
    run_folder: Path,
    *,
    recipe_path: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    allow_missing: bool,
    as_json: bool,
) -> None:
    """Train a run, showing progress, and print one line a head."""
    recipe = load_recipe(recipe_path)
    store = FeatureStore.open(store_root)
    console = stderr_console()
    epochs = sum(head.config.epochs * recipe.folds for head in resolve_heads(recipe, store))
    with _progress(console, epochs) as report:
        trained = train_run(
            store,
            labels_path,
            RunDirectory(run_folder),
            recipe,
            sites=sites,
            site_pattern=site_pattern,
            allow_missing=allow_missing,
            report=report,
        )
    if sites is None and site_pattern is None and RunDirectory(run_folder).read_labels().sites is None:
        console.print(
            "no sites were given, so clips of one camera stand on both sides of a split and every score flatters: "
            "give --sites or --site-pattern"
        )
    print_json([asdict(head) for head in trained]) if as_json else _print_trained(trained, run_folder)


@contextmanager
def _progress(console: Console, epochs: int) -> Iterator[Callable[[str, Epoch], None]]:
    """A function that shows progress: a live bar on a terminal, a line per fold elsewhere."""
    if not console.is_terminal:
        last: list[tuple[str, int]] = []

        def line(name: str, epoch: Epoch) -> None:
            if last != [(name, epoch.fold)]:
                last[:] = [(name, epoch.fold)]
                console.print(f"{name}: fold {epoch.fold + 1}", highlight=False)

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("heads", total=epochs)

        def advance(name: str, epoch: Epoch) -> None:
            text = f"{name} fold {epoch.fold + 1} epoch {epoch.epoch} loss {epoch.loss:.4f}"
            bar.update(task, advance=1, description=text)

        yield advance


def _print_trained(trained: list[Trained], run_folder: Path) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("head")
    table.add_column("log loss", justify="right")
    table.add_column("seconds", justify="right")
    for head in trained:
        table.add_row(head.name, f"{head.mean_log_loss:.4f}", "kept" if head.resumed else f"{head.seconds:.1f}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"run: {run_folder}", soft_wrap=True)


def predict(run_folder: Path, store_root: Path, out: Path, *, template_path: Path | None, as_json: bool) -> None:
    """Predict a store's clips, or those of a template, into a CSV file."""
    template = None if template_path is None else read_template(template_path)
    new = predict_run(
        RunDirectory(run_folder), FeatureStore.open(store_root), None if template is None else template.clip_ids()
    )
    write_predictions(out, new, template)
    counts = Counter(status.value for status in new.status)
    if as_json:
        print_json({"out": str(out), "clips": len(new.status), "statuses": dict(counts)})
        return
    print(f"{len(new.status)} clips predicted into {out}")
    failed = counts[Status.FAILED.value]
    if failed:
        stderr_console().print(f"{failed} of them could not be decoded and got the training prior: see column status")
