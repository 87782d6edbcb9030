"""What is exported: answers of a run with all that other programs want to know of a clip beside them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heads.data.coarser import Coarser
from heads.data.labels import BLANK
from heads.data.predictions import Predictions
from heads.data.reading.class_table import Taxon
from heads.data.reading.formats.detector_results import SurestBox
from heads.errors import PredictionError
from heads.evaluation.verdicts import Say
from heads.run import BLEND, RunDirectory
from heads.workflows.answers.findings import said
from heads.workflows.answers.predict import NewPredictions, Origin
from store import FeatureReader, FeatureStore, Status

WHOLE_FRAME = (0.0, 0.0, 1.0, 1.0)
LEAST_CONFIDENCE = 0.2  # of a detector in a box: below it most are none


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The frames of a clip that were looked at, and where most moved.

    Attributes:
        times_s: of the frames.
        at_s: the time of the frame in which most moved, or of the middle one.
        box: left, top, width and height of what moved in it, shares of the frame; or of what the detector found there.
        confidence: of the detector in that box; None if no detector was asked about the clip, or found nothing.
    """

    times_s: tuple[float, ...]
    at_s: float
    box: tuple[float, float, float, float] = WHOLE_FRAME
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Answers to be exported.

    Attributes:
        new: probabilities, status and origin of each clip.
        said: for each clip the classes that it is said to show, BLANK alone if nothing; () if that cannot be said.
        reasons: why a clip is not ok.
        taxa: what each class is called elsewhere.
        facts: the store's clip table; no rows without a store.
        moments: of each clip that has frames in the store.
        sites: of each clip, as far as known.
        times: when each clip was taken, as far as known, with its zone if one is stated.
        by: who says so: the program with its version, and the run.
        made: when.
        zone: of times that tell none.
        coarser: those of the classes that are taxa of higher ranks, said where no species is sure.
    """

    new: NewPredictions
    said: Sequence[tuple[str, ...]]
    taxa: Mapping[str, Taxon]
    by: str
    made: datetime
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: pd.DataFrame = field(default_factory=pd.DataFrame)
    moments: Mapping[str, Moment] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, datetime] = field(default_factory=dict)
    zone: tzinfo | None = None
    coarser: frozenset[str] = frozenset()
    _columns: dict[str, Any] = field(default_factory=dict, repr=False)

    def rows(self) -> Iterator[tuple[str, Status, Origin, list[float], tuple[str, ...]]]:
        """Of each clip its id, status, origin, probabilities, and the classes that it is said to show."""
        new = self.new
        probabilities = new.predictions.probabilities.tolist()
        return zip(new.predictions.ids, new.status, new.origin, probabilities, self.said, strict=True)

    def with_coarser(self, taxa: Sequence[Coarser]) -> "Answers":
        """The same with taxa of higher ranks as further classes, each as probable as its own classes together."""
        if not taxa:
            return self
        known = self.new.predictions
        further = np.stack([taxon.summed(known.probabilities, known.classes) for taxon in taxa], axis=1)
        predictions = replace(
            known,
            classes=(*known.classes, *(taxon.label for taxon in taxa)),
            probabilities=np.hstack([known.probabilities, further]),
        )
        named = {taxon.label: Taxon(scientific_name=taxon.name, rank=taxon.rank) for taxon in taxa}
        new = replace(self.new, predictions=predictions)
        return replace(self, new=new, taxa={**self.taxa, **named}, coarser=frozenset(named))

    def fact(self, clip_id: str, name: str) -> float:
        """A number of the clip table, NaN if it is not known."""
        return float(self._column(name).get(clip_id, "nan"))

    def _column(self, name: str) -> dict[str, Any]:
        """A column of the clip table."""
        if name not in self._columns:
            known = name in self.facts
            self._columns[name] = dict(zip(map(str, self.facts.index), self.facts[name], strict=True)) if known else {}
        found: dict[str, Any] = self._columns[name]
        return found

    def recorded(self, clip_id: str) -> datetime | None:
        """When a clip was recorded, with its zone; None if that is not known.

        Raises:
            PredictionError: the time is known without a zone, and no zone is given.
        """
        found = self.times.get(clip_id)
        if found is None or found.tzinfo is not None:
            return found
        if self.zone is None:
            raise PredictionError(
                f"'{clip_id}' was recorded at {found}, of which no zone is known, as cameras' clocks have none; give "
                "the one that they were set to, such as --time-zone Africa/Abidjan or --time-zone +02:00"
            )
        return found.replace(tzinfo=self.zone)


def said_by_run(run: RunDirectory, new: NewPredictions, threshold: float | None) -> list[tuple[str, ...]]:
    """The classes that each clip is said to show: what the run is sure of, or what reaches one threshold.

    Args:
        run: blended.
        new: its answers.
        threshold: 0 to 1; None to take what the run's report calls usable alone, and blank clips that are sure to be.
    """
    if threshold is None:
        return [tuple(name for name, say in found if say is Say.SURE) for found in said(run, new)]
    found = []
    for status, row in zip(new.status, new.predictions.probabilities.tolist(), strict=True):
        there = [name for name, value in zip(new.predictions.classes, row, strict=True) if value >= threshold]
        species = tuple(name for name in there if name != BLANK)
        found.append(() if status is Status.FAILED else species or tuple(there))
    return found


def out_of_fold_answers(run: RunDirectory) -> NewPredictions:
    """The run's answers for the clips that it learned from, and the labelled ones that could not be decoded.

    The latter have the share of each class among the labels, and their status says so.

    Raises:
        RunError: the run is not blended.
    """
    blend = run.read_oof(BLEND)
    bad = run.read_clips()
    known, broken = set(blend.ids), bad.loc[bad["status"] == Status.FAILED.value, "clip_id"]
    failed = [name for name in dict.fromkeys(broken) if name not in known]
    worst: dict[str, Status] = {}
    for clip_id, status in zip(bad["clip_id"], bad["status"], strict=True):
        other = Status.PARTIAL if status == Status.FAILED.value else Status(status)
        worst[clip_id] = max(worst.get(clip_id, Status.OK), other, key=list(Status).index)
    share = run.read_labels().only(blend.classes).values.mean(axis=0)
    predictions = Predictions(
        ids=(*blend.ids, *failed),
        classes=blend.classes,
        probabilities=np.vstack([blend.probabilities, np.tile(share, (len(failed), 1))]),
        provenance=blend.provenance,
    )
    status = (*(worst.get(clip_id, Status.OK) for clip_id in blend.ids), *[Status.FAILED] * len(failed))
    origin = (*[Origin.OUT_OF_FOLD] * len(blend.ids), *[Origin.NEW] * len(failed))
    return NewPredictions(predictions=predictions, status=status, origin=origin)


def reasons_of(run: RunDirectory, store: FeatureStore | None) -> dict[str, str]:
    """Why clips are not ok, as far as the run or the store tell."""
    bad = run.read_clips()
    found = dict(zip(bad["clip_id"], bad["reason"], strict=True))
    if store is not None:
        clips = store.clips()
        found |= {str(clip_id): reason for clip_id, reason in clips["reason"].items() if reason}
        for key in store.keys():
            reader = store.reader(key)
            rows = zip(reader.ids, reader.status, reader.reasons, strict=True)
            found |= {clip_id: reason for clip_id, status, reason in rows if status is Status.FAILED and reason}
    return found


def moments_of(store: FeatureStore, ids: Sequence[str]) -> dict[str, Moment]:
    """The frames of each clip in the store, by a view that tells boxes if there is one.

    The box that a detector is surest of comes first, then that of the frame in which most moved.
    """
    found: dict[str, Moment] = {}
    for key in store.keys():
        reader = store.reader(key)
        place = {clip_id: row for row, clip_id in enumerate(reader.ids)}
        for clip_id in ids:
            row = place.get(clip_id)
            if row is None or not reader.lengths[row]:
                continue
            known = found.get(clip_id)
            seen = _detected(reader, row)
            if seen is None and (known is None or (known.box == WHOLE_FRAME and _tells_boxes(reader, row))):
                seen = _moved(reader, row)
            if seen is not None and (known is None or (seen.confidence or 0.0) >= (known.confidence or 0.0)):
                found[clip_id] = seen
    return found


def _detected(reader: FeatureReader, row: int) -> Moment | None:
    """The frames of a clip, and the box in which a detector is surest; None if it is sure of none."""
    boxes, sure = reader.per_frame("detector_box", row), reader.per_frame("detector_confidence", row)
    if boxes is None or sure is None or sure.max(initial=0) < LEAST_CONFIDENCE:
        return None
    times, at = reader.times(row), int(np.argmax(sure))
    return Moment(
        times_s=tuple(dict.fromkeys(times.tolist())),
        at_s=float(times[at]),
        box=_box(boxes[at].tolist()),
        confidence=min(1.0, float(sure[at])),
    )


def _tells_boxes(reader: FeatureReader, row: int) -> bool:
    return reader.per_frame("box", row) is not None


def _moved(reader: FeatureReader, row: int) -> Moment:
    """The frames of a clip, and the box in which most moved, if the view tells boxes."""
    boxes, energy, times = reader.per_frame("box", row), reader.per_frame("motion_energy", row), reader.times(row)
    at, box = len(times) // 2, WHOLE_FRAME
    if boxes is not None and len(boxes):
        at = int(np.argmax(energy)) if energy is not None and len(energy) else at
        box = _box(boxes[at].tolist())
    return Moment(times_s=tuple(dict.fromkeys(times.tolist())), at_s=float(times[at]), box=box)


def with_boxes(moments: Mapping[str, Moment], boxes: Mapping[str, SurestBox]) -> dict[str, Moment]:
    """The moments of clips with the boxes of detectors, where these were sure enough."""
    found = dict(moments)
    for clip_id, each in boxes.items():
        if each.confidence < LEAST_CONFIDENCE:
            continue
        known = found.get(clip_id)
        at = each.time_s if each.time_s is not None else known.at_s if known is not None else 0.0
        times = {at} if known is None else {*known.times_s, at}
        found[clip_id] = Moment(times_s=tuple(sorted(times)), at_s=at, box=each.box)
    return found


def _box(corners: Sequence[float]) -> tuple[float, float, float, float]:
    """Left, top, width and height of a box of left, top, right and bottom; the whole frame if it holds nothing."""
    left, top, right, bottom = (min(max(float(each), 0.0), 1.0) for each in corners)
    if right <= left or bottom <= top:
        return WHOLE_FRAME
    return round(left, 4), round(top, 4), round(right - left, 4), round(bottom - top, 4)


def told_by(run: RunDirectory) -> str:
    """Who answers: the program with its version, and the run."""
    return f"Trapline {version('trapline')}, run {run.path.resolve().name}"


def new_folder(path: Path) -> None:
    """Raise PredictionError unless a folder can be made at `path`, or is there and empty."""
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise PredictionError(f"{path}: is there already; name a new folder, since nothing is changed in place")
    if not path.parent.is_dir():
        raise PredictionError(f"{path}: there is no folder {path.parent}; make it, or name a folder in another")
