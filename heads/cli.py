"""The `heads` command: cached features into trained heads, blends, a report and predictions."""

from pathlib import Path
from typing import Annotated

import typer

from store.console import native_chatter, print_json, run, stderr_console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


def main() -> None:
    """Entry point of the `heads` command."""
    run(app)


@app.callback()
def heads() -> None:
    """Train light heads on cached features, blend them, and show what each adds."""


Store = Annotated[Path, typer.Option(help="Folder of the feature store.")]
Run = Annotated[Path, typer.Option("--run", help="Folder of the run; made if it is missing.")]
Labels = Annotated[Path, typer.Option(help="CSV: filename and a column a class, or filepath,label rows.")]
RecipePath = Annotated[Path | None, typer.Option(help="YAML recipe.", show_default="the built-in default")]
Sites = Annotated[Path | None, typer.Option(help="CSV filename,site: clips of one site stay in one fold.")]
SitePattern = Annotated[str | None, typer.Option(help="Regular expression that finds the site in a clip's path.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Leave out labelled clips without features.")]
Unlabelled = Annotated[bool, typer.Option("--unlabelled", help="Learn from the store's clips without labels too.")]
Seed = Annotated[int | None, typer.Option(help="Of weights, dropout, order and folds.", show_default="the recipe's")]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="The same bits for the same seed, always.")]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave clip facts out.")]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard event files into the run too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how long it would take, by trying on a few clips.")]
CompareSplits = Annotated[
    bool, typer.Option("--compare-splits", help="Score on random folds too: what keeping sites whole costs.")
]
FrameScores = Annotated[
    bool, typer.Option("--frame-scores", help="Keep what heads say of single frames, for stackers; a finished run too.")
]
CompareMetadata = Annotated[
    bool, typer.Option("--compare-metadata", help="Score with and without clip facts: what they are worth.")
]
Clip = Annotated[str, typer.Option(help="Id of the clip: its path below the folder that was featurized.")]
HeadName = Annotated[str | None, typer.Option(help="One head of the run.", show_default="all")]
PictureStore = Annotated[
    Path | None, typer.Option("--store", help="Feature store: shows clips in pictures.", show_default="no pictures")
]
Videos = Annotated[Path | None, typer.Option(help="Folder of the clips.", show_default="where they were featurized")]
Add = Annotated[
    list[Path] | None,
    typer.Option("--add", help="CSV of a foreign model's out-of-fold predictions; NAME.csv becomes model NAME."),
]
AddNew = Annotated[
    list[Path] | None,
    typer.Option("--add", help="CSV: what a foreign model of the blend, NAME.csv, says of the clips."),
]
Method = Annotated[str | None, typer.Option(help="Blender to keep.", show_default="best nested score")]
Also = Annotated[list[str] | None, typer.Option(help="Blender to score too: network, or lightgbm on a large table.")]
Precision = Annotated[
    list[float] | None,
    typer.Option(help="Share of finds that must be right, for the report's thresholds.", show_default="0.8 0.9 0.95"),
]
Recall = Annotated[
    list[float] | None,
    typer.Option(help="Share of clips that must be found, likewise.", show_default="0.8 0.9 0.95"),
]
Out = Annotated[Path, typer.Option(help="File to write: CSV, or Parquet if it ends in .parquet.")]
Explain = Annotated[bool, typer.Option("--explain", help="Add the moments of each clip that its answer came from.")]
Template = Annotated[Path | None, typer.Option(help="CSV whose rows and columns to keep, in their order.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Let the libraries talk.")]


@app.command()
def train(
    store: Store,
    labels: Labels,
    run_folder: Run,
    recipe: RecipePath = None,
    sites: Sites = None,
    site_pattern: SitePattern = None,
    allow_missing: AllowMissing = False,
    unlabelled: Unlabelled = False,
    seed: Seed = None,
    deterministic: Deterministic = False,
    no_metadata: NoMetadata = False,
    tensorboard: TensorBoard = False,
    compare_splits: CompareSplits = False,
    frame_scores: FrameScores = False,
    compare_metadata: CompareMetadata = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train the recipe's heads over folds; what a stopped run has finished is kept."""
    with native_chatter(shown=verbose):
        from heads import command_train

    command_train.train(
        store,
        labels,
        run_folder,
        recipe_path=recipe,
        sites=sites,
        site_pattern=site_pattern,
        allow_missing=allow_missing,
        unlabelled=unlabelled,
        seed=seed,
        deterministic=deterministic,
        no_metadata=no_metadata,
        tensorboard=tensorboard,
        frame_scores=frame_scores,
        compare_splits=compare_splits,
        compare_metadata=compare_metadata,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command()
def blend(
    run_folder: Run,
    add: Add = None,
    method: Method = None,
    also: Also = None,
    precision: Precision = None,
    recall: Recall = None,
    as_json: Json = False,
) -> None:
    """Blend the heads' out-of-fold predictions and print the leaderboard."""
    from heads.added import add_predictions
    from heads.leaderboard import blend_run
    from heads.printing import print_added, print_leaderboard
    from heads.run import RunDirectory
    from heads.thresholds import WANTED

    directory = RunDirectory(run_folder)
    for path in add or ():
        print_added(add_predictions(directory, path))
    rows = blend_run(
        directory,
        method,
        also=also or (),
        precision=precision or WANTED,
        recall=recall or WANTED,
        note=stderr_console().print,
    )
    print_json(rows) if as_json else print_leaderboard(rows)


@app.command()
def report(run_folder: Run, store: PictureStore = None, videos: Videos = None, verbose: Verbose = False) -> None:
    """Write report.html into the run: one page that needs no network."""
    from heads import command_report

    command_report.report(run_folder, store, videos, verbose=verbose)


@app.command()
def predict(
    run_folder: Run,
    store: Store,
    out: Out,
    template: Template = None,
    add: AddNew = None,
    explain: Explain = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Give probabilities for a store's clips by the run's blend; a clip that failed gets the training prior."""
    with native_chatter(shown=verbose):
        from heads import command_predict

    command_predict.predict(
        run_folder, store, out, template_path=template, added=add or (), explain=explain, as_json=as_json
    )


@app.command()
def attend(
    run_folder: Run,
    store: Store,
    clip: Clip,
    head: HeadName = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show which frames of a clip the heads' answers came from."""
    with native_chatter(shown=verbose):
        from heads import command_attend

    command_attend.show(run_folder, store, clip, head=head, as_json=as_json)
