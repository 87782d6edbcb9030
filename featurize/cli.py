"""The `featurize` command: video clips into a feature store."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from store.console import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_EXIT_SOME_FAILED = 3


class Runtime(StrEnum):
    """What runs the networks."""

    auto = "auto"
    tensorflow = "tensorflow"
    openvino = "openvino"


def main() -> None:
    """Entry point of the `featurize` command."""
    run(app)


Videos = Annotated[
    list[Path] | None,
    typer.Argument(metavar="VIDEOS...", help="Folders of clips (searched in depth), or single files."),
]
Store = Annotated[Path | None, typer.Option(help="Folder of the feature store; made if it is missing.")]
Backbones = Annotated[list[str] | None, typer.Option("--backbone", help="Network to run; give it again for more.")]
Views = Annotated[list[str], typer.Option("--view", help="What part of a frame it sees; give it again for more.")]
Fps = Annotated[float | None, typer.Option(help="Frames a second.", show_default="3")]
FramesPerClip = Annotated[int | None, typer.Option(help="Frames a clip, evenly spaced, instead of --fps.")]
MaxFrames = Annotated[int, typer.Option(help="With --fps: a clip that would give more is sampled more thinly.")]
RuntimeChoice = Annotated[Runtime, typer.Option(help="auto: OpenVINO on a CPU, TensorFlow on a GPU.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Decoding threads.", show_default="processors")]
ClipsPerPart = Annotated[int, typer.Option(min=1, help="Clips after which a part is committed, at the latest.")]
Limit = Annotated[int | None, typer.Option(min=0, help="Do at most so many clips.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Do clips again that failed before.")]
Relink = Annotated[bool, typer.Option("--relink", help="First recognise clips that only moved, by their content.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it costs; keep nothing.")]
ListBackbones = Annotated[bool, typer.Option("--list-backbones", help="List the networks there are.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Let the libraries talk.")]


@app.command(no_args_is_help=True)
def featurize(
    videos: Videos = None,
    store: Store = None,
    backbone: Backbones = None,
    view: Views = ["whole"],  # noqa: B006 (Typer copies it)
    fps: Fps = None,
    frames: FramesPerClip = None,
    max_frames: MaxFrames = 180,
    runtime: RuntimeChoice = Runtime.auto,
    workers: Workers = None,
    limit: Limit = None,
    clips_per_part: ClipsPerPart = 256,
    retry_failed: RetryFailed = False,
    relink: Relink = False,
    dry_run: DryRun = False,
    list_backbones: ListBackbones = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run pretrained networks over clips once, and cache their features.

    The same command again continues: what is done is skipped. Exit code 3 means that all went well but some clips
    could not be decoded; they are listed with their reasons.
    """
    if list_backbones:
        from featurize import listing

        listing.list_backbones(as_json=as_json)
        return
    if not videos or store is None or not backbone:
        raise typer.BadParameter("name the clips, and give --backbone and --store")
    from featurize import command
    from featurize.sampling import Sampling

    request = command.Request(
        videos=videos,
        root=store,
        backbones=backbone,
        views=view,
        sampling=Sampling(fps=3.0 if fps is None and frames is None else fps, frames=frames, max_frames=max_frames),
        runtime=runtime.value,
        workers=workers,
        limit=limit,
        retry_failed=retry_failed,
        clips_per_part=clips_per_part,
        relink=relink,
        verbose=verbose,
    )
    if dry_run:
        command.dry_run(request, as_json=as_json)
    elif command.featurize_folder(request, as_json=as_json):
        raise typer.Exit(_EXIT_SOME_FAILED)
