"""The `featurize` command: video clips into a feature store."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from featurize.backbones.detectors import DETECTORS
from featurize.backbones.registry import is_backbone
from featurize.remote.root import places
from featurize.remote.scratch import DEFAULT_SCRATCH_GB
from featurize.views.registry import DEFAULT_VIEW, VIEWS
from store.console import run, show_log, stderr_console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
weights_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_EXIT_SOME_FAILED = 3
_FRAMES = "What is looked at"
_NETWORKS = "Networks"
_WORK = "Clips and work"
_INSTEAD = "Instead of keeping features"


class Runtime(StrEnum):
    """What runs the networks."""

    auto = "auto"
    tensorflow = "tensorflow"
    openvino = "openvino"


class Device(StrEnum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Precision(StrEnum):
    """What networks compute in."""

    f32 = "f32"
    bf16 = "bf16"
    f16 = "f16"
    int8 = "int8"


class StorePrecision(StrEnum):
    """What features are stored as."""

    float16 = "float16"
    int8 = "int8"


class Choose(StrEnum):
    """Which frames make up --frames."""

    even = "even"
    motion = "motion"


if TYPE_CHECKING:
    View = str
else:
    View = StrEnum("View", {name: name for name in VIEWS})
_DEFAULT_VIEWS = [View(DEFAULT_VIEW)]


def main() -> None:
    """Entry point of the `featurize` command."""
    run(app)


Videos = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="VIDEOS...", help="Folders of clips (searched in depth), or single files; paths, or URLs (s3://...)."
    ),
]
Store = Annotated[Path | None, typer.Option(help="Folder of the feature store; made if it is missing.")]
Backbones = Annotated[
    list[str] | None,
    typer.Option(
        "--backbone",
        metavar="NAME",
        help="Network to run: a name, hub:URL_OR_FOLDER, keras:FILE.keras, onnx:FILE.onnx, timm:NAME; again for more.",
    ),
]
ForRun = Annotated[
    Path | None,
    typer.Option(
        "--for",
        metavar="RUN",
        help="Make what this run of `heads train` reads, instead of naming backbones, views and frames.",
        show_default="no run",
    ),
]
Taps = Annotated[
    str | None,
    typer.Option(
        metavar="TAP,TAP",
        help="Of hub:HANDLE, keras:FILE, onnx:FILE or timm:NAME: what to keep.",
        rich_help_panel=_NETWORKS,
    ),
]
PixelRule = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        help="Of onnx:FILE, what its pixels are: imagenet, clip, unit (0 to 1), signed (-1 to 1) or raw (0 to 255).",
        show_default="what the YAML file beside it says",
        rich_help_panel=_NETWORKS,
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH|NAME=PATH",
        help="Weights file; with several backbones, NAME=PATH for each.",
        rich_help_panel=_NETWORKS,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download weights.", rich_help_panel=_NETWORKS)]
InputPx = Annotated[
    int | None,
    typer.Option(help="Nominal side of the networks' input.", show_default="each one's", rich_help_panel=_NETWORKS),
]
Resize = Annotated[
    str | None,
    typer.Option(
        help="equal_area (keeps the shape), squash, centre_crop or letterbox.",
        show_default="equal_area",
        rich_help_panel=_NETWORKS,
    ),
]
Views = Annotated[
    list[View],
    typer.Option(
        "--view",
        help="whole frames, squares around what moves, around animals at rest too, or around what a detector finds; "
        "give it again for more.",
        rich_help_panel=_FRAMES,
    ),
]
Fps = Annotated[
    float | None,
    typer.Option(help="Frames a second.", show_default="none", rich_help_panel=_FRAMES),
]
FramesPerClip = Annotated[
    int | None,
    typer.Option(
        help="Frames a clip, instead of --fps.",
        show_default="as the store has it, else 8 by motion",
        rich_help_panel=_FRAMES,
    ),
]
MaxFrames = Annotated[
    int, typer.Option(help="With --fps: a clip that would give more is sampled more thinly.", rich_help_panel=_FRAMES)
]
ChooseBy = Annotated[
    Choose, typer.Option(help="With --frames: evenly spaced, or those that carry most motion.", rich_help_panel=_FRAMES)
]
Sites = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.csv",
        help="With --view animal or detector: CSV of filename, site, deployment: clips of one deployment are compared "
        "with each other, and no others.",
        show_default="pictures tell",
        rich_help_panel=_FRAMES,
    ),
]
Preview = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write a contact sheet a clip, with the boxes of the --view (motion if none), and stop.",
        rich_help_panel=_INSTEAD,
    ),
]
Triage = Annotated[
    bool,
    typer.Option(
        "--triage",
        help="Say of each clip whether it is blank, before any label exists, in the table of --out, and stop.",
        rich_help_panel=_INSTEAD,
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE.csv", help="With --triage: the table to write.", rich_help_panel=_INSTEAD)
]
RuntimeChoice = Annotated[
    Runtime, typer.Option(help="auto: OpenVINO on a CPU, TensorFlow on a GPU.", rich_help_panel=_NETWORKS)
]
DeviceChoice = Annotated[
    Device, typer.Option(help="auto: a GPU that TensorFlow sees, else the CPU.", rich_help_panel=_NETWORKS)
]
PrecisionChoice = Annotated[
    Precision | None,
    typer.Option(
        help="What networks compute in. bf16 needs a processor that has it, f16 a GPU; int8 quantises a network once a "
        "store.",
        show_default="f32",
        rich_help_panel=_NETWORKS,
    ),
]
StorePrecisionChoice = Annotated[
    StorePrecision | None,
    typer.Option(
        help="What features are stored as. int8 rounds each to a byte: half of the disk.",
        show_default="float16",
        rich_help_panel=_NETWORKS,
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Decoding threads.", show_default="processors", rich_help_panel=_WORK)
]
ClipsPerPart = Annotated[
    int, typer.Option(min=1, help="Clips after which a part is committed, at the latest.", rich_help_panel=_WORK)
]
Limit = Annotated[int | None, typer.Option(min=0, help="Do at most so many clips.", rich_help_panel=_WORK)]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do the I-th of N shares of the clips: on N machines, into one store, or one each for `store merge`.",
        show_default="all clips",
        rich_help_panel=_WORK,
    ),
]
ClipsFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With one URL: a text file that names the clips below it, one a line, instead of what it lists.",
        show_default="all clips",
        rich_help_panel=_WORK,
    ),
]
ScratchGb = Annotated[
    float,
    typer.Option(
        help="With URLs: most GB of fetched clips in the folder for temporary files at any time.",
        rich_help_panel=_WORK,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Do it on a cluster of Ray's: HOST:PORT, or local for one that is made here. Needs `trapline[ray]`.",
        show_default="this process does it",
        rich_help_panel=_WORK,
    ),
]
RayCpus = Annotated[int, typer.Option(min=1, help="With --ray: processors a worker.", rich_help_panel=_WORK)]
RayInsecure = Annotated[
    bool,
    typer.Option("--ray-insecure", help="With --ray: join a cluster that asks for no token.", rich_help_panel=_WORK),
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Do clips again that failed before or broke part way.", rich_help_panel=_WORK),
]
Relink = Annotated[
    bool | None,
    typer.Option(
        "--relink/--no-relink",
        help="First recognise clips that only moved, by their content; or compute them again.",
        show_default="stop and ask where clips moved",
        rich_help_panel=_WORK,
    ),
]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="Clips of another folder or memory card take the place of stored ones of the same names.",
        show_default="stop where contents differ",
        rich_help_panel=_WORK,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done and what it costs; keep nothing.", rich_help_panel=_INSTEAD),
]
ListBackbones = Annotated[
    bool, typer.Option("--list-backbones", help="List the networks there are.", rich_help_panel=_INSTEAD)
]
Measure = Annotated[
    bool,
    typer.Option(
        "--measure",
        help="With --list-backbones: frames a second here, by precision, of each --backbone or all.",
        rich_help_panel=_INSTEAD,
    ),
]
ListTaps = Annotated[
    bool, typer.Option("--list-taps", help="List what each --backbone can be tapped at.", rich_help_panel=_INSTEAD)
]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Let the libraries talk, and show tracebacks of clips.")]


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAMES...", help="A detector, timm:NAME, or a network of --list-backbones.", show_default=False
    ),
]


@weights_app.command()
def fetch(
    names: Names = None,
    weights: Weights = None,
    offline: Offline = False,
    input_px: InputPx = None,
    as_json: Json = False,
) -> None:
    """Fetch weights, and make files of networks.

    `megadetector_lite` fetches the weights of the detector behind `--view detector`, `timm:NAME` makes the file of a
    network of timm, by PyTorch, and the name of a network of --list-backbones writes it, with its weights, as the file
    that heads of kind `finetuned` tune.
    """
    from featurize.commands.weights import fetch_all

    if not names:
        raise typer.BadParameter(
            f"name the network that is wanted: {', '.join(DETECTORS)}, timm:NAME, or one of --list-backbones"
        )
    fetch_all(names, weights or (), input_px=input_px, offline=offline, as_json=as_json)


class _OrWeights(TyperCommand):
    """`featurize`, and the help of `featurize weights`, which is that of another command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        if args[:1] == ["weights"] and "--help" in args:
            get_command(weights_app).main(["--help"], prog_name=f"{ctx.command_path} weights")
        return super().parse_args(ctx, args)


@app.command(cls=_OrWeights, no_args_is_help=True)
def featurize(
    videos: Videos = None,
    store: Store = None,
    backbone: Backbones = None,
    for_run: ForRun = None,
    taps: Taps = None,
    preprocessing: PixelRule = None,
    weights: Weights = None,
    offline: Offline = False,
    input_px: InputPx = None,
    resize: Resize = None,
    view: Views = _DEFAULT_VIEWS,
    fps: Fps = None,
    frames: FramesPerClip = None,
    choose: ChooseBy = Choose.even,
    max_frames: MaxFrames = 180,
    sites: Sites = None,
    runtime: RuntimeChoice = Runtime.auto,
    device: DeviceChoice = Device.auto,
    precision: PrecisionChoice = None,
    store_precision: StorePrecisionChoice = None,
    workers: Workers = None,
    limit: Limit = None,
    shard: Shard = None,
    clips_from: ClipsFrom = None,
    scratch_gb: ScratchGb = DEFAULT_SCRATCH_GB,
    ray: Ray = None,
    ray_cpus: RayCpus = 1,
    ray_insecure: RayInsecure = False,
    clips_per_part: ClipsPerPart = 256,
    retry_failed: RetryFailed = False,
    relink: Relink = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    preview: Preview = None,
    triage: Triage = False,
    out: Out = None,
    list_backbones: ListBackbones = False,
    measure: Measure = False,
    list_taps: ListTaps = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run pretrained networks over clips once, and cache their features.

    The same command again continues: what is done is skipped. Exit code 3 means that all went well but some clips
    could not be decoded or reached; they are listed with their reasons.

    `featurize weights NAME` fetches weights and makes files of networks; see `featurize weights --help`.
    """
    if verbose:
        show_log()
    if measure:
        if not list_backbones:
            raise typer.BadParameter("--measure goes with --list-backbones")
        from featurize.commands import measure as measuring

        measuring.print_speeds(backbone or (), offline=offline, as_json=as_json)
        return
    if list_backbones:
        from featurize.commands import backbones as listing

        listing.list_backbones(as_json=as_json)
        return
    if list_taps:
        if not backbone:
            raise typer.BadParameter("give --backbone, whose taps are to be listed")
        from featurize.commands import run as command

        command.list_taps(backbone, offline=offline, verbose=verbose, as_json=as_json)
        return
    if not videos:
        raise typer.BadParameter("name the folders of clips")
    if videos[0] == "weights" and (not Path("weights").exists() or _are_networks(videos[1:])):
        fetch(videos[1:], weights, offline=offline, input_px=input_px, as_json=as_json)
        return
    if ray is None and (ray_insecure or ray_cpus != 1):
        raise typer.BadParameter("--ray-cpus and --ray-insecure go with --ray")
    if ray is not None and (triage or dry_run or preview):
        raise typer.BadParameter("--triage, --dry-run and --preview look at clips on this machine; leave --ray out")
    named = places(videos, scratch_gb=scratch_gb, only=clips_from)
    if triage != (out is not None):
        raise typer.BadParameter("--triage and --out FILE.csv go together: give both, or neither")
    if out is not None:
        if backbone or for_run or dry_run or (fps, frames, shard, preview) != (None, None, None, None):
            raise typer.BadParameter(
                "--triage looks at clips in its own way; leave --backbone, --for, --fps, --frames, --shard, "
                "--dry-run and --preview out"
            )
        from featurize.commands.triage import write_triage

        if write_triage(
            named,
            out,
            store=store,
            workers=workers,
            limit=limit,
            retry_failed=retry_failed,
            as_json=as_json,
            sites=sites,
        ):
            raise typer.Exit(_EXIT_SOME_FAILED)
        return
    if preview is None and store is None:
        raise typer.BadParameter("give --store, the folder to keep features in")
    if preview is None and not (backbone or for_run):
        raise typer.BadParameter(
            "give --backbone, such as efficientnet_lite0 (--list-backbones names them all), or --for with a run"
        )
    if for_run is not None and any(
        each is not None for each in (fps, frames, input_px, resize, precision, store_precision)
    ):
        raise typer.BadParameter("--for takes such settings from the run; leave --fps, --precision and the like out")
    from featurize.commands import run as command
    from featurize.pipeline.for_run import choose_sampling
    from featurize.pipeline.request import Request
    from featurize.pipeline.work import IN_PROCESS, RAY
    from featurize.views.sampling import USUAL, sampling_options

    sampling = choose_sampling(fps, frames, max_frames, choose.value, None if for_run else store, backbone or ())
    if (fps, frames) == (None, None) and sampling != USUAL:
        stderr_console().print(f"frames as the store has them: {sampling_options(sampling.to_json())}", soft_wrap=True)
    if preview is not None:
        if command.write_previews(
            named,
            sampling,
            preview,
            views=[str(each) for each in view],
            store=store,
            workers=workers,
            limit=limit,
            as_json=as_json,
            sites=sites,
        ):
            raise typer.Exit(_EXIT_SOME_FAILED)
        return

    request = Request(
        videos=named,
        backbones=backbone or (),
        taps=taps,
        preprocessing=preprocessing,
        weights=weights or (),
        offline=offline,
        input_px=input_px,
        resize=resize,
        views=[str(each) for each in view],
        sites=sites,
        sampling=sampling,
        runtime=runtime.value,
        device=device.value,
        precision=(precision or Precision.f32).value,
        store_precision=(store_precision or StorePrecision.float16).value,
        workers=workers,
        limit=limit,
        shard=None if shard is None else _shard(shard),
        retry_failed=retry_failed,
        clips_per_part=clips_per_part,
        relink=relink,
        replace=replace,
        work_runner=IN_PROCESS if ray is None else RAY,
        runner_settings={} if ray is None else {"address": ray, "cpus": ray_cpus, "insecure": ray_insecure},
        verbose=verbose,
    )
    requests = [request] if for_run is None else command.requests_for(for_run, request)
    lost = 0
    for each in requests:
        if dry_run:
            command.dry_run(each, store or Path(), as_json=as_json)
        else:
            lost += command.featurize_folder(each, store or Path(), as_json=as_json)
    if lost:
        raise typer.Exit(_EXIT_SOME_FAILED)


def _are_networks(names: list[str]) -> bool:
    return bool(names) and all(name in DETECTORS or is_backbone(name) or name.startswith("timm:") for name in names)


def _shard(word: str) -> tuple[int, int]:
    """The share that `I/N` means, counted from 0.

    Raises:
        BadParameter: it means none.
    """
    index, _, count = word.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise typer.BadParameter(f"--shard {word}: expected I/N with I from 1 to N, such as 3/16")
    return int(index) - 1, int(count)
