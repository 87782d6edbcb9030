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
    """Train light heads on cached features, blend them, and show what each adds.

    Words such as head, fold, out of fold and blend are explained at the end of every report, and in docs/glossary.md.
    """


Store = Annotated[Path, typer.Option(help="Folder of the feature store.")]
NewRun = Annotated[Path, typer.Option("--run", help="Folder of the run; made if it is missing.")]
Run = Annotated[Path, typer.Option("--run", help="Folder of the run, as `heads train` made it.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV: filename and a 0/1 column a class, or rows of filepath,label; or another program's labels.",
        show_default="must be given, but with --like",
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Take recipe and labels of this earlier run, as far as they are not given."),
]
Corrections = Annotated[
    list[Path] | None,
    typer.Option(help="CSV of filename,correct, as the report's lists have it: labels to replace; may be given again."),
]
Mapping = Annotated[
    Path | None,
    typer.Option(
        help="CSV of theirs,class: the class that each name in the labels means; `heads labels` drafts one.",
        show_default="names are classes",
    ),
]
AddedMapping = Annotated[
    Path | None,
    typer.Option(
        "--mapping",
        help="CSV of theirs,class: the class that each name in a JSON of --add means.",
        show_default="classes by their own names",
    ),
]
GivenLabels = Annotated[
    Path,
    typer.Argument(metavar="IN", help="File or folder of labels: ours, or another program's."),
]
LabelsOut = Annotated[Path | None, typer.Option("--out", help="CSV to write the labels to.", show_default="none")]
SitesOut = Annotated[
    Path | None,
    typer.Option(help="CSV to write the site of each clip to, labelled or not.", show_default="none"),
]
WriteMapping = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="New CSV of the names that there are, to be filled in.", show_default="none"),
]
Machine = Annotated[bool, typer.Option("--machine", help="Take what a machine said for labels too.")]
RecipePath = Annotated[Path | None, typer.Option(help="YAML recipe.", show_default="the built-in default")]
Sites = Annotated[Path | None, typer.Option(help="CSV of filename,site: clips of one site stay in one fold.")]
IdMap = Annotated[
    list[str] | None,
    typer.Option(
        "--id-map",
        help="FROM=TO: what ids of the tables begin with, and what instead; '*' is any text. May be given again.",
        show_default="ids are matched by the ends of their paths",
    ),
]
SitePattern = Annotated[str | None, typer.Option(help="Regular expression that finds the site in a clip's path.")]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Leave out labelled clips that the store does not hold.")
]
Unlabelled = Annotated[
    bool,
    typer.Option("--unlabelled", help="Learn from the store's clips without labels too, but for held-out sites."),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME|SETTING=VALUE",
        help="Which features of the store to read, such as fps=3, or a name that `store ls` shows; may be given again.",
        show_default="all",
    ),
]
LeaveOutCopies = Annotated[
    bool,
    typer.Option("--leave-out-copies", help="Keep copies of a clip at one site, instead of joining all sites of it."),
]
Seed = Annotated[
    int | None, typer.Option(help="Random seed of folds, weights, dropout and order.", show_default="the recipe's")
]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="The same bits for the same seed, always.")]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave clip facts (frame size, light, motion) out.")]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard event files into the run too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how long it would take, by a few epochs on a few clips.")]
CompareSplits = Annotated[
    bool, typer.Option("--compare-splits", help="Train on random folds too: by how much they flatter.")
]
FrameScores = Annotated[
    bool,
    typer.Option("--frame-scores", help="Score single frames too, for the +frames blenders; also of a finished run."),
]
CompareMetadata = Annotated[
    bool, typer.Option("--compare-metadata", help="Train with and without clip facts: what they are worth.")
]
FirstRun = Annotated[Path, typer.Argument(metavar="RUN_A", help="Folder of the run as it was.")]
SecondRun = Annotated[Path, typer.Argument(metavar="RUN_B", help="Folder of the other run, whose labels count.")]
ComparisonPage = Annotated[
    Path | None, typer.Option("--out", help="HTML file to write it to as well.", show_default="no page")
]
Clip = Annotated[str, typer.Option(help="Id of the clip: its path below the folder that was featurized.")]
HeadName = Annotated[str | None, typer.Option(help="One head of the run.", show_default="all")]
PictureStore = Annotated[
    Path | None,
    typer.Option("--store", help="Feature store of the clips, to show them in pictures.", show_default="no pictures"),
]
Videos = Annotated[
    Path | None, typer.Option(help="Folder of the clips, if it has moved.", show_default="where they were featurized")
]
Add = Annotated[
    list[Path] | None,
    typer.Option(
        "--add",
        help="Another model's predictions, out of fold: CSV, or JSON of MegaDetector or SpeciesNet; NAME.csv is NAME.",
    ),
]
AddNew = Annotated[
    list[Path] | None,
    typer.Option("--add", help="CSV or JSON: what model NAME, added to the blend as NAME.csv, says of these clips."),
]
Method = Annotated[str | None, typer.Option(help="Blender to keep.", show_default="the simplest as good as the best")]
Also = Annotated[
    list[str] | None, typer.Option(help="Blender to score too, such as network, or lightgbm on a large table.")
]
Precision = Annotated[
    list[float] | None,
    typer.Option(
        help="Precision that a threshold of the report must reach, 0 to 1; may be given again.",
        show_default="0.8 0.9 0.95",
    ),
]
Recall = Annotated[
    list[float] | None,
    typer.Option(
        help="Recall that a threshold of the report must reach, 0 to 1; may be given again.",
        show_default="0.8 0.9 0.95",
    ),
]
Rollup = Annotated[
    float,
    typer.Option(help="Precision that a genus or family must keep where no species is sure, 0 to 1."),
]
BlendClasses = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        metavar="TABLE",
        help="CSV of class, scientificName, genus, family: kept, to say these where no species is sure.",
        show_default="the one given before",
    ),
]
Out = Annotated[Path, typer.Option(help="File to write: CSV, or Parquet if it ends in .parquet.")]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="wide (our table, by the ending of --out), long, megadetector, camtrap-dp (a folder), or timelapse.",
    ),
]
ClassTable = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        help="CSV of class, scientificName, taxonRank, taxonID, vernacularName: what --format calls classes.",
        show_default="their own names",
    ),
]
Deployments = Annotated[
    Path | None,
    typer.Option(help="CSV of a Camtrap DP package's deployments, whose names are the sites.", show_default="none"),
]
Project = Annotated[
    Path | None, typer.Option(help="JSON of a Camtrap DP package's contributors and project.", show_default="none")
]
Package = Annotated[
    Path | None,
    typer.Option(
        help="Camtrap DP package to whose observations these are added, in a new folder.", show_default="none"
    ),
]
TimeZone = Annotated[
    str | None,
    typer.Option(help="Zone of capture times that tell none: Europe/Berlin, +02:00.", show_default="none"),
]
Times = Annotated[
    Path | None,
    typer.Option(help="CSV of filename,captured: when clips were taken.", show_default="as their files say"),
]
TimePattern = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="How date and time stand in clips' paths: %Y%m%d_%H%M%S; a * is any text.",
        show_default="as their files say",
    ),
]
EventGap = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Clips of a site that begin within this time of each other are one event: 30min, 90s, 2h.",
        show_default="no events",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="time|given",
        help="time: score the future of each site too, by models of its past; given: folds are the labels' own split.",
        show_default="folds keep sites whole",
    ),
]
ReviewRun = Annotated[
    Path | None,
    typer.Option(
        "--run", help="Folder of a run, whose labels and answers are shown.", show_default="none: label from nothing"
    ),
]
DecisionsPath = Annotated[
    Path | None,
    typer.Option(
        "--decisions",
        metavar="FILE",
        help="Log of what was decided, which only grows.",
        show_default="STORE.decisions.jsonl beside the store",
    ),
]
ReviewClips = Annotated[
    Path | None, typer.Option("--clips", help="Folder of the clips.", show_default="where they were featurized")
]
ReviewLabels = Annotated[
    Path | None,
    typer.Option("--labels", help="Labels to begin with, as `heads train` takes them.", show_default="the run's"),
]
ClassesList = Annotated[
    Path | None, typer.Option(help="Text file of classes to choose from, one a line.", show_default="the labels'")
]
User = Annotated[str | None, typer.Option(help="Whose decisions they are.", show_default="who is logged in")]
Host = Annotated[
    str, typer.Option(help="Address to listen on; others than this machine can reach any but the default.")
]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 for one that is free.", min=0, max=65535)]
RetrainRun = Annotated[
    Path | None,
    typer.Option(
        "--run",
        help="Folder of the run whose recipe, labels and folds are taken.",
        show_default="none: what was decided alone",
    ),
]
RetrainOut = Annotated[
    Path | None, typer.Option("--out", help="Folder of the new run.", show_default="RUN.r2, RUN.r3 and so on")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Probability from which on --format says that a class is there, 0 to 1.",
        show_default="what the report calls usable alone",
    ),
]
RunOrPacked = Annotated[Path, typer.Option("--run", help="Folder of the run, or a file that `heads pack` made of one.")]
Packed = Annotated[Path, typer.Argument(metavar="FILE", help="File that `heads pack` made.")]
PackedOut = Annotated[Path, typer.Argument(metavar="FILE", help="File to write; its name ends in .trapline.")]
UnpackedOut = Annotated[
    Path | None, typer.Option("--out", help="New folder to unpack it into.", show_default="only say what it is")
]
Info = Annotated[bool, typer.Option("--info", help="Only say what it is, which is the default without --out.")]
ExportRun = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a blended run.")]
ExportOut = Annotated[Path, typer.Option("--out", help="File to write, or new folder for camtrap-dp.")]
ExportStore = Annotated[
    Path | None,
    typer.Option("--store", help="Feature store of the clips: frame rates, times.", show_default="none"),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Add the three moments of each clip that its answer came from.")
]
OnlyNew = Annotated[
    bool,
    typer.Option("--only-new", help="Leave out clips that the run learned from: write answers for new ones alone."),
]
Findings = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Table for people too: species said to be there, sure or to be checked, site and time.",
        show_default="none",
    ),
]
Template = Annotated[Path | None, typer.Option(help="CSV whose clips and columns to write, in its order.")]
QueueRun = Annotated[
    Path | None,
    typer.Option("--run", help="Blended run whose models are asked.", show_default="none: label from nothing"),
]
Strategy = Annotated[
    str,
    typer.Option(
        help="next, doubt, suspects, blanks, class, neighbours or random; docs/queues.md says what each does."
    ),
]
QueueCount = Annotated[int, typer.Option("--count", min=1, help="How many clips, at most.")]
QueueOut = Annotated[
    Path | None,
    typer.Option("--out", help="Table of the clips to write, with the reason of each.", show_default="none"),
]
ClassName = Annotated[
    str | None, typer.Option("--class", help="The class that --strategy class goes through.", show_default="none")
]
LikeClip = Annotated[
    str | None, typer.Option("--clip", help="The clip that --strategy neighbours looks for.", show_default="none")
]
QueueLabels = Annotated[
    Path | None,
    typer.Option("--labels", help="Labels that are known, in any form.", show_default="the run's, if there is one"),
]
DecisionsFile = Annotated[
    Path | None,
    typer.Option("--decisions", help="Log of what people decided.", show_default="STORE.decisions.jsonl"),
]
QueueSites = Annotated[Path | None, typer.Option("--sites", help="CSV of filename,site.", show_default="the run's")]
QueueSeed = Annotated[int, typer.Option("--seed", help="Of what is left to chance, but for clips drawn by chance.")]
SimilarClips = Annotated[list[str], typer.Argument(metavar="CLIP...", help="Ids of clips of the store.")]
SimilarCount = Annotated[int, typer.Option("--count", min=1, help="How many clips to find.")]
SimilarOut = Annotated[Path | None, typer.Option("--out", help="Table to write.", show_default="none")]
OtherSites = Annotated[bool, typer.Option("--other-sites", help="Leave out clips of the same sites.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Let the libraries talk.")]


@app.command()
def train(
    store: Store,
    run_folder: NewRun,
    labels: Labels = None,
    like: Like = None,
    corrections: Corrections = None,
    mapping: Mapping = None,
    recipe: RecipePath = None,
    sites: Sites = None,
    site_pattern: SitePattern = None,
    id_map: IdMap = None,
    allow_missing: AllowMissing = False,
    unlabelled: Unlabelled = False,
    features: Features = None,
    leave_out_copies: LeaveOutCopies = False,
    seed: Seed = None,
    deterministic: Deterministic = False,
    no_metadata: NoMetadata = False,
    tensorboard: TensorBoard = False,
    compare_splits: CompareSplits = False,
    split: Split = None,
    times: Times = None,
    time_pattern: TimePattern = None,
    time_zone: TimeZone = None,
    event_gap: EventGap = None,
    frame_scores: FrameScores = False,
    compare_metadata: CompareMetadata = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train the recipe's heads over folds; what a stopped run has finished is kept."""
    if labels is None and like is None:
        raise typer.BadParameter("give --labels, or --like with an earlier run whose labels to take")
    if split not in (None, "time", "given"):
        raise typer.BadParameter(f"--split {split}: expected time or given")
    with native_chatter(shown=verbose):
        from heads.commands import train as command_train
        from heads.data.reading.capture_times import read_source

    command_train.train(
        store,
        labels,
        run_folder,
        like=like,
        recipe_path=recipe,
        sites=sites,
        site_pattern=site_pattern,
        allow_missing=allow_missing,
        unlabelled=unlabelled,
        features=features or (),
        corrections=corrections or (),
        leave_out_copies=leave_out_copies,
        seed=seed,
        deterministic=deterministic,
        no_metadata=no_metadata,
        tensorboard=tensorboard,
        frame_scores=frame_scores,
        compare_splits=compare_splits,
        compare_metadata=compare_metadata,
        dry_run=dry_run,
        as_json=as_json,
        id_map=id_map or (),
        mapping=mapping,
        timed_by=read_source(times, time_pattern, time_zone, event_gap),
        split=split,
    )


@app.command()
def labels(
    given: GivenLabels,
    out: LabelsOut = None,
    sites_out: SitesOut = None,
    mapping: Mapping = None,
    write_mapping: WriteMapping = None,
    machine: Machine = False,
    as_json: Json = False,
) -> None:
    """Read labels in any form, say what they hold, and write them as tables of ours."""
    from heads.commands import labels as command_labels

    command_labels.convert(
        given,
        out=out,
        sites_out=sites_out,
        mapping_path=mapping,
        draft=write_mapping,
        machine=machine,
        as_json=as_json,
    )


@app.command()
def blend(
    run_folder: Run,
    add: Add = None,
    mapping: AddedMapping = None,
    method: Method = None,
    also: Also = None,
    precision: Precision = None,
    recall: Recall = None,
    classes: BlendClasses = None,
    rollup: Rollup = 0.9,
    id_map: IdMap = None,
    as_json: Json = False,
) -> None:
    """Score every way to blend the heads' out-of-fold predictions, keep one, and print the leaderboard."""
    from heads.blending.blenders import known_blender
    from heads.blending.selection import AUTO
    from heads.commands.tables import print_added, print_leaderboard
    from heads.data.matching import parse_id_map
    from heads.data.reading.mapping import read_mapping
    from heads.evaluation.thresholds import WANTED
    from heads.run import RunDirectory
    from heads.workflows.blend import blend_run
    from heads.workflows.external import import_predictions

    named = {*(also or ()), method or AUTO} - {AUTO}
    if any(known_blender(name).needs_keras for name in named):
        with native_chatter(shown=False):
            import keras  # noqa: F401  TensorFlow talks when it is imported

    directory, rules = RunDirectory(run_folder), parse_id_map(id_map or ())
    for path in add or ():
        print_added(import_predictions(directory, path, rules, None if mapping is None else read_mapping(mapping)))
    rows = blend_run(
        directory,
        method,
        also=also or (),
        precision=precision or WANTED,
        recall=recall or WANTED,
        note=stderr_console().print,
        class_table=classes,
        rollup=rollup,
    )
    if as_json:
        print_json(rows)
        return
    print_leaderboard(rows)
    stderr_console().print(f"next: heads report --run {run_folder} --store STORE", highlight=False, soft_wrap=True)


@app.command()
def report(
    run_folder: Run,
    store: PictureStore = None,
    videos: Videos = None,
    decisions: DecisionsFile = None,
    verbose: Verbose = False,
) -> None:
    """Write report.html into a blended run: one page that needs no network."""
    from heads.commands import report as command_report

    command_report.report(run_folder, store, videos, verbose=verbose, decisions=decisions)


@app.command()
def review(
    store: Store,
    run_folder: ReviewRun = None,
    clips: ReviewClips = None,
    decisions: DecisionsPath = None,
    labels: ReviewLabels = None,
    classes_list: ClassesList = None,
    sites: Sites = None,
    site_pattern: SitePattern = None,
    id_map: IdMap = None,
    times: Times = None,
    time_pattern: TimePattern = None,
    time_zone: TimeZone = None,
    event_gap: EventGap = None,
    user: User = None,
    host: Host = "127.0.0.1",
    port: Port = 8017,
) -> None:
    """Look at clips in the browser and say what they show: a key a label, kept in a log beside the store."""
    from heads.commands import review as command_review
    from heads.data.reading.capture_times import read_source

    command_review.review(
        store,
        run_folder,
        clips=clips,
        decisions=decisions,
        labels=labels,
        classes_list=classes_list,
        sites=sites,
        site_pattern=site_pattern,
        id_map=id_map or (),
        timed_by=read_source(times, time_pattern, time_zone, event_gap),
        user=user,
        host=host,
        port=port,
    )


@app.command()
def retrain(
    store: Store,
    run_folder: RetrainRun = None,
    decisions: DecisionsPath = None,
    out: RetrainOut = None,
    sites: Sites = None,
    site_pattern: SitePattern = None,
    id_map: IdMap = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train and blend a run again with what was decided since, clips in the folds they were in; say what changed."""
    with native_chatter(shown=verbose):
        from heads.commands import retrain as command_retrain

    command_retrain.retrain(
        store,
        run_folder,
        decisions=decisions,
        out=out,
        sites=sites,
        site_pattern=site_pattern,
        id_map=id_map or (),
        as_json=as_json,
    )


@app.command()
def compare(first: FirstRun, second: SecondRun, out: ComparisonPage = None, as_json: Json = False) -> None:
    """Hold two blended runs against each other on the clips they share: what labels, networks or a recipe changed."""
    from heads.commands import compare as command_compare

    command_compare.compare(first, second, out=out, as_json=as_json)


@app.command()
def predict(
    run_folder: RunOrPacked,
    store: Store,
    out: Out,
    template: Template = None,
    add: AddNew = None,
    mapping: AddedMapping = None,
    explain: Explain = False,
    only_new: OnlyNew = False,
    findings: Findings = None,
    sites: Sites = None,
    site_pattern: SitePattern = None,
    id_map: IdMap = None,
    output_format: Format = "wide",
    classes: ClassTable = None,
    deployments: Deployments = None,
    project: Project = None,
    package: Package = None,
    times: Times = None,
    time_pattern: TimePattern = None,
    time_zone: TimeZone = None,
    event_gap: EventGap = None,
    threshold: Threshold = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Give probabilities for a store's clips by the run's blend; a clip that failed gets the training prior."""
    with native_chatter(shown=verbose):
        from heads.commands import predict as command_predict
        from heads.data.reading.capture_times import read_source
        from heads.workflows.exports.registry import ExportOptions
        from heads.workflows.packing import opened_run

    with opened_run(run_folder) as run:
        command_predict.predict(
            run,
            store,
            out,
            template_path=template,
            added=add or (),
            explain=explain,
            only_new=only_new,
            as_json=as_json,
            id_map=id_map or (),
            findings_path=findings,
            sites=sites,
            site_pattern=site_pattern,
            mapping_path=mapping,
            options=ExportOptions(
                format=output_format,
                classes=classes,
                deployments=deployments,
                project=project,
                package=package,
                time_zone=time_zone,
                threshold=threshold,
            ),
            timed_by=read_source(times, time_pattern, time_zone, event_gap),
        )


@app.command()
def export(
    run_folder: ExportRun,
    out: ExportOut,
    output_format: Format = "wide",
    store: ExportStore = None,
    classes: ClassTable = None,
    deployments: Deployments = None,
    project: Project = None,
    package: Package = None,
    sites: Sites = None,
    site_pattern: SitePattern = None,
    times: Times = None,
    time_pattern: TimePattern = None,
    time_zone: TimeZone = None,
    event_gap: EventGap = None,
    threshold: Threshold = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write what a run says of the clips that it learned from, out of fold, in the format of another program."""
    with native_chatter(shown=verbose):
        from heads.commands import export as command_export
        from heads.data.reading.capture_times import read_source
        from heads.workflows.exports.registry import ExportOptions

    command_export.export(
        run_folder,
        out,
        ExportOptions(
            format=output_format,
            classes=classes,
            deployments=deployments,
            project=project,
            package=package,
            time_zone=time_zone,
            threshold=threshold,
        ),
        store_root=store,
        sites=sites,
        site_pattern=site_pattern,
        as_json=as_json,
        timed_by=read_source(times, time_pattern, time_zone, event_gap),
    )


@app.command()
def pack(run_folder: ExportRun, out: PackedOut, classes: ClassTable = None, as_json: Json = False) -> None:
    """Write what prediction needs of a blended run into one file, without anything of the clips it learned from."""
    with native_chatter(shown=False):
        from heads.commands import packing

    packing.pack(run_folder, out, classes=classes, as_json=as_json)


@app.command()
def unpack(packed: Packed, out: UnpackedOut = None, info: Info = False, as_json: Json = False) -> None:
    """Say what a packed model is, and unpack it into a folder; `heads predict --run` takes the file as it is."""
    if info and out is not None:
        raise typer.BadParameter("--info only says what the file is; leave --out out")
    with native_chatter(shown=False):
        from heads.commands import packing

    packing.unpack_model(packed, out, as_json=as_json)


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
        from heads.commands import attend as command_attend

    command_attend.show(run_folder, store, clip, head=head, as_json=as_json)


@app.command()
def queue(
    store: Store,
    run_folder: QueueRun = None,
    strategy: Strategy = "next",
    count: QueueCount = 100,
    out: QueueOut = None,
    class_name: ClassName = None,
    clip: LikeClip = None,
    labels: QueueLabels = None,
    decisions: DecisionsFile = None,
    sites: QueueSites = None,
    site_pattern: SitePattern = None,
    times: Times = None,
    time_pattern: TimePattern = None,
    time_zone: TimeZone = None,
    event_gap: EventGap = None,
    id_map: IdMap = None,
    features: Features = None,
    seed: QueueSeed = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Choose the clips that a person should look at next, each with the reason, and say how far labelling has come."""
    with native_chatter(shown=verbose):
        from heads.commands import queue as command_queue
        from heads.data.reading.capture_times import read_source

    command_queue.queue(
        store,
        run_folder,
        strategy=strategy,
        count=count,
        out=out,
        class_name=class_name,
        clip=clip,
        labels=labels,
        decisions=decisions,
        sites=sites,
        site_pattern=site_pattern,
        id_map=id_map or (),
        features=features or (),
        seed=seed,
        as_json=as_json,
        timed_by=read_source(times, time_pattern, time_zone, event_gap),
        verbose=verbose,
    )


@app.command()
def similar(
    clips: SimilarClips,
    store: Store,
    count: SimilarCount = 20,
    run_folder: QueueRun = None,
    sites: QueueSites = None,
    site_pattern: SitePattern = None,
    other_sites: OtherSites = False,
    id_map: IdMap = None,
    features: Features = None,
    out: SimilarOut = None,
    as_json: Json = False,
) -> None:
    """Find the clips of a store that look most like some, wherever they were taken; exact, over all of them."""
    from heads.commands import similar as command_similar

    command_similar.similar(
        store,
        clips,
        count=count,
        run_folder=run_folder,
        sites=sites,
        site_pattern=site_pattern,
        other_sites=other_sites,
        id_map=id_map or (),
        features=features or (),
        out=out,
        as_json=as_json,
    )
