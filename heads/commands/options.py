"""The options of the `heads` commands, each once: what it is called, what it says, and among which others it stands."""

from pathlib import Path
from typing import Annotated

import typer

_LABELS = "Labels and sites"
_TIMES = "Times and events"
_TRAINING = "How it is trained"
_MORE = "What else to find out"
_FORMATS = "Files for other programs"

Store = Annotated[Path, typer.Option(help="Folder of the feature store.")]
NewRun = Annotated[Path, typer.Option("--run", help="Folder of the run; made if it is missing.")]
Run = Annotated[Path, typer.Option("--run", help="Folder of the run, as `heads train` made it.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV or Excel: filename and a 0/1 column a class, or rows of filepath,label; or another program's labels.",
        show_default="must be given, but with --like",
        rich_help_panel=_LABELS,
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Take recipe and labels of this earlier run, as far as they are not given."),
]
Corrections = Annotated[
    list[Path] | None,
    typer.Option(
        help="CSV of filename,correct, as the report's lists have it: labels to replace; may be given again.",
        rich_help_panel=_LABELS,
    ),
]
Mapping = Annotated[
    Path | None,
    typer.Option(
        help="CSV of theirs,class: the class that each name in the labels means; `heads labels` drafts one.",
        show_default="names are classes",
        rich_help_panel=_LABELS,
    ),
]
AddedMapping = Annotated[
    Path | None,
    typer.Option(
        "--mapping",
        help="CSV of theirs,class: the class that each name in a JSON of --add means.",
        show_default="classes by their own names",
        rich_help_panel=_LABELS,
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
Machine = Annotated[
    bool, typer.Option("--machine", help="Take what a machine said for labels too.", rich_help_panel=_LABELS)
]
RecipePath = Annotated[
    Path | None, typer.Option(help="YAML recipe.", show_default="the built-in default", rich_help_panel=_TRAINING)
]
Sites = Annotated[
    Path | None, typer.Option(help="CSV of filename,site: clips of one site stay in one fold.", rich_help_panel=_LABELS)
]
IdMap = Annotated[
    list[str] | None,
    typer.Option(
        "--id-map",
        help="FROM=TO: what ids of the tables begin with, and what instead; '*' is any text. May be given again.",
        show_default="ids are matched by the ends of their paths",
        rich_help_panel=_LABELS,
    ),
]
SitePattern = Annotated[
    str | None, typer.Option(help="Regular expression that finds the site in a clip's path.", rich_help_panel=_LABELS)
]
AllowMissing = Annotated[
    bool,
    typer.Option(
        "--allow-missing", help="Leave out labelled clips that the store does not hold.", rich_help_panel=_LABELS
    ),
]
Unlabelled = Annotated[
    bool,
    typer.Option(
        "--unlabelled",
        help="Learn from the store's clips without labels too, but for held-out sites.",
        rich_help_panel=_LABELS,
    ),
]
SoftLabels = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Learn from clips without labels as the heads of this run say where they agree, not by own guesses.",
        rich_help_panel=_LABELS,
    ),
]
Agreement = Annotated[
    float | None,
    typer.Option(
        help="Heads agree on a clip if their squared deviations from the mean add up to less.",
        show_default="0.1",
        rich_help_panel=_LABELS,
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME|SETTING=VALUE",
        help="Which features of the store to read, such as fps=3, or a name that `store ls` shows; may be given again.",
        show_default="all",
        rich_help_panel=_TRAINING,
    ),
]
LeaveOutCopies = Annotated[
    bool,
    typer.Option(
        "--leave-out-copies",
        help="Keep copies of a clip at one site, instead of joining all sites of it.",
        rich_help_panel=_LABELS,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Random seed of folds, weights, dropout and order.", show_default="the recipe's", rich_help_panel=_TRAINING
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The most epochs that a head is trained for: a recipe of hours, tried in minutes.",
        show_default="the recipe's",
        rich_help_panel=_TRAINING,
    ),
]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="The same bits for the same seed, always.", rich_help_panel=_TRAINING)
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Train heads on a cluster of Ray's: HOST:PORT, or local for one that is made here. Needs "
        "`trapline[ray]`, and store, labels and run where all nodes see them.",
        show_default="this process trains them",
        rich_help_panel=_MORE,
    ),
]
RayCpus = Annotated[int, typer.Option(min=1, help="With --ray: processors a head.", rich_help_panel=_MORE)]
RayInsecure = Annotated[
    bool,
    typer.Option("--ray-insecure", help="With --ray: join a cluster that asks for no token.", rich_help_panel=_MORE),
]
NoMetadata = Annotated[
    bool,
    typer.Option("--no-metadata", help="Leave clip facts (frame size, light, motion) out.", rich_help_panel=_TRAINING),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard event files into the run too.", rich_help_panel=_MORE)
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say how long it would take, by a few epochs on a few clips.", rich_help_panel=_MORE
    ),
]
CompareSplits = Annotated[
    bool,
    typer.Option(
        "--compare-splits", help="Train on random folds too: by how much they flatter.", rich_help_panel=_MORE
    ),
]
FrameScores = Annotated[
    bool,
    typer.Option(
        "--frame-scores",
        help="Score single frames too, for the +frames blenders; also of a finished run.",
        rich_help_panel=_MORE,
    ),
]
CompareMetadata = Annotated[
    bool,
    typer.Option(
        "--compare-metadata", help="Train with and without clip facts: what they are worth.", rich_help_panel=_MORE
    ),
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
Method = Annotated[str | None, typer.Option(help="Blender to keep.", show_default="the lowest nested log loss")]
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
Out = Annotated[Path, typer.Option(help="File to write: CSV, or by its ending .parquet or .xlsx.")]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="wide (our table, by the ending of --out), long, megadetector, camtrap-dp (a folder), or timelapse.",
        rich_help_panel=_FORMATS,
    ),
]
ClassTable = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        help="CSV of class, scientificName, taxonRank, taxonID, vernacularName: what --format calls classes.",
        show_default="their own names",
        rich_help_panel=_FORMATS,
    ),
]
Deployments = Annotated[
    Path | None,
    typer.Option(
        help="CSV of a Camtrap DP package's deployments, whose names are the sites.",
        show_default="none",
        rich_help_panel=_FORMATS,
    ),
]
Project = Annotated[
    Path | None,
    typer.Option(
        help="JSON of a Camtrap DP package's contributors and project.", show_default="none", rich_help_panel=_FORMATS
    ),
]
Package = Annotated[
    Path | None,
    typer.Option(
        help="Camtrap DP package to whose observations these are added, in a new folder.",
        show_default="none",
        rich_help_panel=_FORMATS,
    ),
]
TimeZone = Annotated[
    str | None,
    typer.Option(
        help="Zone of capture times that tell none: Europe/Berlin, +02:00.", show_default="none", rich_help_panel=_TIMES
    ),
]
Times = Annotated[
    Path | None,
    typer.Option(
        help="CSV of filename,captured: when clips were taken.",
        show_default="as their files say",
        rich_help_panel=_TIMES,
    ),
]
TimePattern = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="How date and time stand in clips' paths: %Y%m%d_%H%M%S; a * is any text.",
        show_default="as their files say",
        rich_help_panel=_TIMES,
    ),
]
EventGap = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Clips of a site that begin within this time of each other are one event: 30min, 90s, 2h.",
        show_default="no events",
        rich_help_panel=_TIMES,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="time|given",
        help="time: score the future of each site too, by models of its past; given: folds are the labels' own split.",
        show_default="folds keep sites whole",
        rich_help_panel=_TIMES,
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
    typer.Option(
        "--labels",
        help="Labels to begin with, as `heads train` takes them.",
        show_default="the run's",
        rich_help_panel=_LABELS,
    ),
]
ClassesList = Annotated[
    Path | None,
    typer.Option(
        help="Text file of classes to choose from, one a line.", show_default="the labels'", rich_help_panel=_LABELS
    ),
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
        rich_help_panel=_FORMATS,
    ),
]
RunOrPacked = Annotated[Path, typer.Option("--run", help="Folder of the run, or a file that `heads pack` made of one.")]
Packed = Annotated[Path, typer.Argument(metavar="FILE", help="File that `heads pack` made.")]
PackedOut = Annotated[Path, typer.Argument(metavar="FILE", help="File to write; its name ends in .trapline.")]
PackedStore = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Feature store that the run was trained on: networks that were quantised for it go along, and with them "
        "the names of the clips that they were fitted to.",
        show_default="none go along",
    ),
]
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
    typer.Option(
        "--labels",
        help="Labels that are known, in any form.",
        show_default="the run's, if there is one",
        rich_help_panel=_LABELS,
    ),
]
DecisionsFile = Annotated[
    Path | None,
    typer.Option("--decisions", help="Log of what people decided.", show_default="STORE.decisions.jsonl"),
]
QueueSites = Annotated[
    Path | None,
    typer.Option("--sites", help="CSV of filename,site.", show_default="the run's", rich_help_panel=_LABELS),
]
QueueSeed = Annotated[int, typer.Option("--seed", help="Of what is left to chance, but for clips drawn by chance.")]
SimilarClips = Annotated[list[str], typer.Argument(metavar="CLIP...", help="Ids of clips of the store.")]
SimilarCount = Annotated[int, typer.Option("--count", min=1, help="How many clips to find.")]
SimilarOut = Annotated[Path | None, typer.Option("--out", help="Table to write.", show_default="none")]
OtherSites = Annotated[bool, typer.Option("--other-sites", help="Leave out clips of the same sites.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Let the libraries talk.")]
