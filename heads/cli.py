"""The `heads` command: cached features into trained heads, blends, a report and predictions."""

from pathlib import Path
from typing import Annotated

import typer

from store.console import native_chatter, print_json, run

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
Method = Annotated[str | None, typer.Option(help="Blender to keep.", show_default="best nested score")]
Out = Annotated[Path, typer.Option(help="CSV file to write.")]
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
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train the recipe's heads over folds; what a stopped run has finished is kept."""
    with native_chatter(shown=verbose):
        from heads import command

    command.train(
        store,
        labels,
        run_folder,
        recipe_path=recipe,
        sites=sites,
        site_pattern=site_pattern,
        allow_missing=allow_missing,
        as_json=as_json,
    )


@app.command()
def blend(run_folder: Run, method: Method = None, as_json: Json = False) -> None:
    """Blend the heads' out-of-fold predictions and print the leaderboard."""
    from heads.leaderboard import blend_run
    from heads.printing import print_leaderboard
    from heads.run import RunDirectory

    rows = blend_run(RunDirectory(run_folder), method)
    print_json(rows) if as_json else print_leaderboard(rows)


@app.command()
def report(run_folder: Run) -> None:
    """Write report.html into the run: one page that needs no network."""
    from heads.report import render_report
    from heads.run import RunDirectory

    directory = RunDirectory(run_folder)
    directory.write_report(render_report(directory))
    print(directory.report_path)


@app.command()
def predict(
    run_folder: Run,
    store: Store,
    out: Out,
    template: Template = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Give probabilities for a store's clips by the run's blend; a clip that failed gets the training prior."""
    with native_chatter(shown=verbose):
        from heads import command

    command.predict(run_folder, store, out, template_path=template, as_json=as_json)
