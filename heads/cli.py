"""The `heads` command: cached features into trained heads, blends, a report and predictions."""

from functools import partial

import typer

from heads.commands.options import (
    Add,
    AddedMapping,
    AddNew,
    Agreement,
    AllowMissing,
    Also,
    BlendClasses,
    ClassesList,
    ClassName,
    ClassTable,
    Clip,
    CompareMetadata,
    CompareSplits,
    ComparisonPage,
    Corrections,
    DecisionsFile,
    DecisionsPath,
    Deployments,
    Deterministic,
    DryRun,
    Epochs,
    EventGap,
    Explain,
    ExportOut,
    ExportRun,
    ExportStore,
    Features,
    Findings,
    FirstRun,
    Format,
    FrameScores,
    GivenLabels,
    HeadName,
    Host,
    IdMap,
    Info,
    Json,
    Labels,
    LabelsOut,
    LeaveOutCopies,
    Like,
    LikeClip,
    Machine,
    Mapping,
    Method,
    NewRun,
    NoMetadata,
    OnlyNew,
    OtherSites,
    Out,
    Package,
    Packed,
    PackedOut,
    PackedStore,
    PictureStore,
    Port,
    Precision,
    Project,
    QueueCount,
    QueueLabels,
    QueueOut,
    QueueRun,
    QueueSeed,
    QueueSites,
    Ray,
    RayCpus,
    RayInsecure,
    Recall,
    RecipePath,
    RetrainOut,
    RetrainRun,
    ReviewClips,
    ReviewLabels,
    ReviewRun,
    Rollup,
    Run,
    RunOrPacked,
    SecondRun,
    Seed,
    SimilarClips,
    SimilarCount,
    SimilarOut,
    SitePattern,
    Sites,
    SitesOut,
    SoftLabels,
    Split,
    Store,
    Strategy,
    Template,
    TensorBoard,
    Threshold,
    TimePattern,
    Times,
    TimeZone,
    Unlabelled,
    UnpackedOut,
    User,
    Verbose,
    Videos,
    WriteMapping,
)
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
    soft_labels: SoftLabels = None,
    agreement: Agreement = None,
    features: Features = None,
    leave_out_copies: LeaveOutCopies = False,
    seed: Seed = None,
    epochs: Epochs = None,
    deterministic: Deterministic = False,
    ray: Ray = None,
    ray_cpus: RayCpus = 1,
    ray_insecure: RayInsecure = False,
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
    if soft_labels is None and agreement is not None:
        raise typer.BadParameter("--agreement goes with --soft-labels")
    if soft_labels is not None and compare_splits:
        raise typer.BadParameter("--compare-splits deals other folds than the run of --soft-labels has; leave one out")
    if ray is None and (ray_insecure or ray_cpus != 1):
        raise typer.BadParameter("--ray-cpus and --ray-insecure go with --ray")
    from heads.workflows.training.ahead import keras_alone

    with native_chatter(shown=verbose), keras_alone():
        from heads.commands import train as command_train
        from heads.data.reading.capture_times import read_source
        from heads.workflows.training.on_cluster import Cluster

    command_train.train(
        store,
        labels,
        run_folder,
        like=like,
        recipe_path=recipe,
        sites=sites,
        site_pattern=site_pattern,
        allow_missing=allow_missing,
        unlabelled=unlabelled or soft_labels is not None,
        soft_labels=soft_labels,
        agreement=agreement,
        features=features or (),
        corrections=corrections or (),
        leave_out_copies=leave_out_copies,
        seed=seed,
        epochs=epochs,
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
        cluster=None if ray is None else Cluster(address=ray, cpus=ray_cpus, insecure=ray_insecure),
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
    from heads.workflows.answers.external import import_predictions
    from heads.workflows.blend import blend_run

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
        note=partial(stderr_console().print, highlight=False, soft_wrap=True),
        class_table=classes,
        rollup=rollup,
    )
    if as_json:
        print_json(rows)
        return
    print_leaderboard(rows)
    stderr_console().print(
        f"next: heads report --run {run_folder} --store STORE, where STORE is the path of the store it was trained on",
        highlight=False,
        soft_wrap=True,
    )


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
    from heads.workflows.training.ahead import load_ahead

    if (store / "features").is_dir() and (run_folder is None or run_folder.is_dir()):  # else there is nothing to train
        load_ahead()
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
    from heads.workflows.training.ahead import keras_alone

    with native_chatter(shown=verbose), keras_alone():
        from heads.commands import predict as command_predict
        from heads.data.reading.capture_times import read_source
        from heads.workflows.answers.packing import opened_run
        from heads.workflows.exports.registry import ExportOptions

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
def pack(
    run_folder: ExportRun,
    out: PackedOut,
    classes: ClassTable = None,
    store: PackedStore = None,
    as_json: Json = False,
) -> None:
    """Write what prediction needs of a blended run into one file: no label, and no clip's name but with --store."""
    with native_chatter(shown=False):
        from heads.commands import packing

    packing.pack(run_folder, out, classes=classes, store_root=store, as_json=as_json)


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
    from heads.workflows.training.ahead import keras_alone

    with native_chatter(shown=verbose), keras_alone():
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
