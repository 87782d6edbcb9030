"""What `heads train` does, once its words are parsed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from heads.commands.estimate import show_estimate
from heads.commands.tables import print_trained
from heads.commands.tensorboard import EventFiles
from heads.data.matching import parse_id_map
from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.errors import EXIT_STOPPED, StoppedError
from heads.models.explain.scoring import heads_to_score, score_frames
from heads.recipe import Recipe, adapt, load_recipe
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob, read_job, run_recipe
from heads.workflows.progress_bar import StepListener, steps_shown
from heads.workflows.training.agreement import LIMIT, with_soft_labels
from heads.workflows.training.compare_metadata import compare_metadata as score_the_other_way
from heads.workflows.training.compare_splits import compare_splits as score_on_random_folds
from heads.workflows.training.compare_splits import compare_time as score_on_the_future
from heads.workflows.training.on_cluster import Cluster, train_on_cluster
from heads.workflows.training.train import be_deterministic, epochs_left
from heads.workflows.training.train import train as train_heads
from store import FeatureStore
from store.console import print_json, stderr_console, stdout_console


def train(
    store_root: Path,
    labels_path: Path | None,
    run_folder: Path,
    *,
    like: Path | None,
    recipe_path: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    allow_missing: bool,
    unlabelled: bool,
    features: Sequence[str],
    corrections: Sequence[Path],
    leave_out_copies: bool,
    seed: int | None,
    epochs: int | None,
    deterministic: bool,
    no_metadata: bool,
    tensorboard: bool,
    frame_scores: bool,
    compare_splits: bool,
    compare_metadata: bool,
    dry_run: bool,
    as_json: bool,
    id_map: Sequence[str] = (),
    mapping: Path | None = None,
    timed_by: TimeSource = NO_TIMES,
    split: str | None = None,
    soft_labels: Path | None = None,
    agreement: float | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Train a run, showing progress, and print one line a head."""
    split_time, limit = split == "time", LIMIT if agreement is None else agreement
    if deterministic:
        be_deterministic()
    given = run_recipe(RunDirectory(like)) if like is not None and recipe_path is None else load_recipe(recipe_path)
    recipe = adapt(given, seed=seed, no_metadata=no_metadata, epochs=epochs)
    store, run, console = FeatureStore.open(store_root), RunDirectory(run_folder), stderr_console()
    earlier = RunDirectory(run_folder if run.folds_path.is_file() else like) if like and labels_path is None else None
    folds = None if earlier is None else earlier.read_folds()
    labelled = labels_path or RunDirectory(like or run_folder).labels_path
    settings: dict[str, Any] = {
        "sites": sites,
        "site_pattern": site_pattern,
        "allow_missing": allow_missing,
        "unlabelled": unlabelled,
        "features": features,
        "corrections": corrections,
        "leave_out_copies": leave_out_copies,
        "id_map": parse_id_map(id_map),
        "mapping": mapping,
        "times": replace(timed_by, needed=split_time),
        "given_split": split == "given",
        # Corrected labels of the same clips are to be held against the run they were of.
        "before": folds if folds is not None and folds.n_folds == recipe.folds and seed is None else None,
    }
    job = read_job(store, labelled, recipe, **settings)
    if dry_run:
        show_estimate(job, as_json=as_json)
        return
    if soft_labels is not None:
        job = with_soft_labels(job, RunDirectory(soft_labels), limit)
    say = partial(console.print, highlight=False, soft_wrap=True)
    steps = epochs_left(job, run, comparisons=compare_splits + compare_metadata + split_time)
    events = EventFiles(run) if tensorboard else None
    try:
        with steps_shown(console, steps) as show:
            listener = StepListener(say, show, events)
            if cluster is None:
                trained = train_heads(job, run, listener)
            else:
                paths = store_root.absolute(), labelled.absolute()
                told = None if soft_labels is None else (soft_labels.absolute(), limit)
                again = partial(_read_again, *paths, recipe, _anywhere(settings), told, deterministic=deterministic)
                trained = train_on_cluster(job, again, run, listener, cluster)
            splits = score_on_random_folds(job, run, StepListener(say, show)) if compare_splits else []
            later = score_on_the_future(job, run, StepListener(say, show)) if split_time else []
            worth = score_the_other_way(job, run, StepListener(say, show)) if compare_metadata else []
        if frame_scores:
            asked = heads_to_score(run)
            with steps_shown(console, len(asked) * len(run.read_folds().ids)) as show:
                score_frames(run, store, asked, StepListener(say, show).scored)
    except StoppedError as stopped:
        say(str(stopped))
        raise typer.Exit(EXIT_STOPPED) from stopped
    if as_json:
        print_json([asdict(head) for head in trained])
        return
    print_trained(trained, run_folder)
    say(f"next: heads blend --run {run_folder}")
    if splits:
        _print_scores(splits, "by site", "random", "gap")
        print("a random split has clips of one camera on both sides: the gap flatters")
    if later:
        _print_scores(later, "by site", "by time", "gap")
        print(
            f"{later[0]['clips']} clips, the latest of each place, by models that saw its past and nothing else than "
            "the past (by time), or nothing of it (by site): a gap above 0 is what knowing the place helps"
        )
    if compare_metadata and not worth:
        print("no head of the recipe takes clip facts, so there is nothing to compare")
    if worth:
        _print_scores(worth, "with", "without", "gain")
        print("with and without metadata: the gain is what clip facts take off the log loss")


def _read_again(
    store: Path,
    labels: Path,
    recipe: Recipe,
    settings: Mapping[str, Any],
    told: tuple[Path, float] | None,
    *,
    deterministic: bool,
) -> TrainingJob:
    """The job of a command, on another machine; `told` are the run and the limit of its soft labels."""
    if deterministic:
        be_deterministic()
    job = read_job(FeatureStore.open(store), labels, recipe, **settings)
    return job if told is None else with_soft_labels(job, RunDirectory(told[0]), told[1])


def _anywhere(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `read_job` in which all paths are absolute, as processes with other folders need them."""
    times: TimeSource = settings["times"]
    return {
        **settings,
        "sites": _absolute(settings["sites"]),
        "mapping": _absolute(settings["mapping"]),
        "corrections": [path.absolute() for path in settings["corrections"]],
        "times": replace(times, table=_absolute(times.table)),
    }


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _print_scores(rows: list[dict[str, Any]], *names: str) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("head")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row["head"], *(f"{row[name.replace(' ', '_')]:.4f}" for name in names))
    stdout_console().print(table)
