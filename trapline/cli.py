"""The `trapline` command: the demo, and a look at the machine."""

from pathlib import Path
from typing import Annotated

import typer

from store.console import print_json, run

app = typer.Typer(
    help="Try Trapline out, and see what it finds on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the `trapline` command."""
    run(app)


Folder = Annotated[Path, typer.Argument(help="Where clips, store and run go; made if it is missing.")]
Clips = Annotated[
    Path | None, typer.Option(help="Folder of your own clips, instead of drawn ones.", show_default="240 drawn clips")
]
Labels = Annotated[Path | None, typer.Option(help="Their labels: CSV, as `heads train` takes them.")]
Sites = Annotated[Path | None, typer.Option(help="Their sites: CSV of filename,site.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Scratch = Annotated[Path, typer.Option(help="Folder on the disk that is to be measured.")]


@app.command()
def demo(folder: Folder = Path("demo"), clips: Clips = None, labels: Labels = None, sites: Sites = None) -> None:
    """Go the whole way, from clips to a report, in a few minutes; the same command again goes on where it was."""
    if clips is not None and labels is None:
        raise typer.BadParameter("clips of your own need their labels: --labels FILE")
    from trapline.demo import run_demo

    run_demo(folder, clips=clips, labels=labels, sites=sites)


@app.command()
def doctor(folder: Scratch = Path(), as_json: Json = False) -> None:
    """Say what this machine has (Python, ffmpeg, runtimes, weights, disk); exit code 1 if something is wrong."""
    from trapline.doctor import examine, print_findings

    found = examine(folder)
    if as_json:
        print_json([each.to_json() for each in found])
    else:
        print_findings(found)
    if any(each.is_wrong for each in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
