"""The formats that `--format` names, and how answers get into one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from heads.data.reading.capture_times import parse_zone
from heads.data.reading.class_table import read_class_table
from heads.errors import PredictionError
from heads.evaluation.rollup import usable_taxa
from heads.run import RunDirectory
from heads.workflows.answers.external import boxes_of_detectors
from heads.workflows.answers.predict import NewPredictions
from heads.workflows.exports.answers import (
    Answers,
    moments_of,
    reasons_of,
    said_by_run,
    told_by,
    with_boxes,
)
from heads.workflows.exports.camtrap_dp import CamtrapDp
from heads.workflows.exports.megadetector import MegaDetectorJson
from heads.workflows.exports.tables import LongCsv, TimelapseReady
from heads.workflows.timing import Timing
from store import FeatureStore

WIDE = "wide"  # our own table, whose kind of file the ending of its name says: `heads.workflows.answers.output`


class ExportFormat(Protocol):
    """A format of another program.

    Attributes:
        about: what it is, for the sentence that lists the formats.
        needs_store: whether it tells of clips what only the store knows.
    """

    @property
    def about(self) -> str:
        """What it is, for the sentence that lists the formats."""

    @property
    def needs_store(self) -> bool:
        """Whether it tells of clips what only the store knows."""

    def require(self, path: Path) -> None:
        """Raise PredictionError unless it can be written at `path`."""

    def write(self, path: Path, answers: Answers) -> list[str]:
        """Write answers to `path`.

        Returns:
            What the user should know, a sentence each.

        Raises:
            TraplineError: something that it needs is missing or wrong; then nothing is written.
        """


EXPORT_FORMATS: Mapping[str, ExportFormat] = MappingProxyType(
    {
        "long": LongCsv(),
        "megadetector": MegaDetectorJson(),
        "camtrap-dp": CamtrapDp(),
        "timelapse": TimelapseReady(),
    }
)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What a user says of an export.

    Attributes:
        format: WIDE, or one of EXPORT_FORMATS.
        classes: a table of what classes are called elsewhere.
        deployments: of a Camtrap DP package.
        project: of a Camtrap DP package.
        package: an existing one to add to a copy of.
        time_zone: of capture times that tell none.
        threshold: from which probability on a class is said to be there; None for what the run is sure of.
    """

    format: str = WIDE
    classes: Path | None = None
    deployments: Path | None = None
    project: Path | None = None
    package: Path | None = None
    time_zone: str | None = None
    threshold: float | None = None

    def chosen(self) -> ExportFormat | None:
        """The format; None for WIDE.

        Raises:
            PredictionError: there is none of that name, or an option is given that it has no use for.
        """
        own = {"--deployments": self.deployments, "--project": self.project, "--package": self.package}
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise PredictionError(f"--threshold {self.threshold}: expected a probability from 0 to 1")
        parse_zone(self.time_zone)
        if self.format != WIDE and self.format not in EXPORT_FORMATS:
            known = "; ".join(f"{name}: {each.about}" for name, each in EXPORT_FORMATS.items())
            raise PredictionError(
                f"--format {self.format}: there is no such format; there are {WIDE}: our table; {known}"
            )
        found = None if self.format == WIDE else EXPORT_FORMATS[self.format]
        if isinstance(found, CamtrapDp):
            return replace(found, deployments=self.deployments, project=self.project, package=self.package)
        given = [name for name, value in own.items() if value is not None]
        if given:
            raise PredictionError(f"{given[0]}: only --format camtrap-dp has use for it; leave it out")
        return found


def export(
    path: Path,
    chosen: ExportFormat,
    options: ExportOptions,
    run: RunDirectory,
    store: FeatureStore | None,
    new: NewPredictions,
    sites: Mapping[str, str],
    timing: Timing,
    further: Sequence[Path] = (),
) -> Sequence[str]:
    """Write answers in a format, and give what the user should know, a sentence each.

    Args:
        path: file or folder to write.
        chosen: the format.
        options: what else the user said.
        run: whose answers these are.
        store: the clips' store; None if there is none.
        new: the answers.
        sites: of each clip, as far as known.
        timing: when clips were taken, as far as known.
        further: results of detectors beside those that were brought into the run, for their boxes.
    """
    if store is None and chosen.needs_store:
        raise PredictionError(
            f"--format {options.format} tells of clips what only the store knows, such as frame rates; give --store"
        )
    own = run.classes_path if run.classes_path.is_file() else None
    named = options.classes or own
    answers = Answers(
        new=new,
        said=said_by_run(run, new, options.threshold),
        taxa=read_class_table(named, new.predictions.classes),
        by=told_by(run),
        made=datetime.now(UTC).replace(microsecond=0),
        reasons=reasons_of(run, store),
        sites=sites,
        times=timing.stated,
        zone=parse_zone(options.time_zone),
    )
    if store is not None:
        answers = replace(answers, facts=store.clips())
        if isinstance(chosen, MegaDetectorJson):
            boxes = boxes_of_detectors(run, further, new.predictions.ids)
            answers = replace(answers, moments=with_boxes(moments_of(store, new.predictions.ids), boxes))
    if options.threshold is None:
        answers = answers.with_coarser(usable_taxa(run.read_metrics().get("rollup") or ()))
    return chosen.write(path, answers)
