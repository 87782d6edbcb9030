"""What `heads train` does, once its words are parsed."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from heads.commands.estimate import show_forecast
from heads.commands.progress_bar import Done, done_epoch, steps_shown
from heads.commands.tensorboard import EventFiles
from heads.data.history import Epoch
from heads.errors import StoppedError
from heads.explain.scoring import heads_to_score, score_frames
from heads.recipe import Recipe, load_recipe
from heads.run import RunDirectory
from heads.workflows.compare_metadata import compare_metadata as score_the_other_way
from heads.workflows.compare_splits import compare_splits as score_on_random_folds
from heads.workflows.resolve import resolve_heads
from heads.workflows.train import Trained, train_run
from store import FeatureStore
from store.config import parse_settings
from store.console import print_json, stderr_console, stdout_console

_STOPPED = 130


def train(
    store_root: Path,
    labels_path: Path,
    run_folder: Path,
    *,
    recipe_path: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    allow_missing: bool,
    unlabelled: bool,
    seed: int | None,
    deterministic: bool,
    no_metadata: bool,
    tensorboard: bool,
    frame_scores: bool,
    compare_splits: bool,
    compare_metadata: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a run, showing progress, and print one line a head."""
    if deterministic:
        be_deterministic()
    recipe = adapt(load_recipe(recipe_path), seed=seed, no_metadata=no_metadata)
    if dry_run:
        show_forecast(
            FeatureStore.open(store_root),
            labels_path,
            recipe,
            sites=sites,
            site_pattern=site_pattern,
            allow_missing=allow_missing,
            unlabelled=unlabelled,
            as_json=as_json,
        )
        return
    store, run, console = FeatureStore.open(store_root), RunDirectory(run_folder), stderr_console()
    run.remove_leftovers()
    kept, further = run.head_names(), compare_splits + compare_metadata
    epochs = sum(
        (further + (head.name not in kept)) * (head.config.passes + unlabelled * head.config.pseudo_epochs)
        for head in resolve_heads(recipe, store).heads
    )
    events = EventFiles(run) if tensorboard else None
    try:
        with steps_shown(console, epochs) as tell:

            def show(name: str, epoch: Epoch) -> None:
                tell(done_epoch(name, epoch))

            def report(name: str, epoch: Epoch) -> None:
                show(name, epoch)
                if events is not None:
                    events(name, epoch)

            trained = train_run(
                store,
                labels_path,
                run,
                recipe,
                sites=sites,
                site_pattern=site_pattern,
                allow_missing=allow_missing,
                unlabelled=unlabelled,
                report=report,
                note=lambda sentence: console.print(sentence, highlight=False, soft_wrap=True),
            )
            same: dict[str, Any] = {"unlabelled": unlabelled, "report": show}
            splits = score_on_random_folds(store, run, recipe, **same) if compare_splits else []
            worth = score_the_other_way(store, run, recipe, **same) if compare_metadata else []
        if frame_scores:
            asked = heads_to_score(run)
            with steps_shown(console, len(asked) * len(run.read_folds().ids)) as tell:
                score_frames(run, store, asked, lambda name, *done: tell(Done(name, *done)))
    except StoppedError as stopped:
        console.print(str(stopped), highlight=False, soft_wrap=True)
        raise typer.Exit(_STOPPED) from stopped
    if sites is None and site_pattern is None and run.read_labels().sites is None:
        console.print(
            "no sites were given, so clips of one camera stand on both sides of a split and every score flatters: "
            "give --sites or --site-pattern"
        )
    if as_json:
        print_json([asdict(head) for head in trained])
        return
    _print_trained(trained, run_folder)
    if splits:
        _print_scores(splits, "by site", "random", "gap")
        print("a random split has clips of one camera on both sides: the gap flatters")
    if compare_metadata and not worth:
        print("no head of the recipe takes clip facts, so there is nothing to compare")
    if worth:
        _print_scores(worth, "with", "without", "gain")
        print("with and without metadata: the gain is what clip facts take off the log loss")


def be_deterministic() -> None:
    """Make TensorFlow give the same bits for the same seed on one machine, at some cost in speed."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def adapt(recipe: Recipe, *, seed: int | None, no_metadata: bool) -> Recipe:
    """The recipe with what was asked for on the command line.

    Raises:
        ConfigError: the seed is out of range.
    """
    if seed is not None:
        recipe = parse_settings({**recipe.model_dump(mode="json"), "seed": seed}, Recipe, "--seed")
    if no_metadata:
        heads = tuple(head.model_copy(update={"metadata": ()}) for head in recipe.heads)
        recipe = recipe.model_copy(update={"heads": heads})
    return recipe


def _print_trained(trained: list[Trained], run_folder: Path) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("head")
    table.add_column("log loss", justify="right")
    table.add_column("seconds", justify="right")
    for head in trained:
        table.add_row(head.name, f"{head.mean_log_loss:.4f}", "kept" if head.resumed else f"{head.seconds:.1f}")
    console = stdout_console()
    console.print(table)
    console.print(f"run: {run_folder}", soft_wrap=True)


def _print_scores(rows: list[dict[str, Any]], *names: str) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("head")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row["head"], *(f"{row[name.replace(' ', '_')]:.4f}" for name in names))
    stdout_console().print(table)
