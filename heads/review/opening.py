"""From what a user names (a store, a run, tables) to what is reviewed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from heads.data.decisions import DecisionLog
from heads.data.labels import LabelTable
from heads.data.matching import IdRule
from heads.data.predictions import Predictions
from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.data.reading.sites import labels_and_sites, places_of
from heads.data.splitting.events import USUAL_GAP
from heads.data.tables import tidy
from heads.errors import ReviewError
from heads.review.collection import Collection, without_blank
from heads.review.desk import Desk
from heads.review.queues import Queues
from heads.review.spoke import Speaker
from heads.run import BLEND, RunDirectory
from heads.workflows.pool import cached_answers
from heads.workflows.timing import timing_of
from store import FeatureStore
from store.console import native_chatter

if TYPE_CHECKING:
    from heads.report import Comparison


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the user names.

    Attributes:
        store: the clips.
        decisions: the log.
        videos: the folder of the clips; None if they are where they were featurized.
        labels: a table of labels, instead of the run's.
        classes: further classes that can be chosen.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in a clip id, instead.
        id_map: how ids of the tables become clips'.
        timed_by: where capture times come from, and how clips make events.
    """

    store: FeatureStore
    decisions: Path
    videos: Path | None = None
    labels: Path | None = None
    classes: tuple[str, ...] = ()
    sites: Path | None = None
    site_pattern: str | None = None
    id_map: tuple[IdRule, ...] = ()
    timed_by: TimeSource = NO_TIMES


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A collection on the desk.

    Attributes:
        run: whose labels and answers are shown; None before the first.
        desk: clips and decisions.
        queues: which clips are shown.
        speaker: says which frames counted.
        notes: what the user should know, a sentence each.
        labels: the table that the user gave, if one stands in place of the run's labels.
        change: what the run changed against the one before it; None if it is the first that is looked at.
    """

    run: RunDirectory | None
    desk: Desk
    queues: Queues
    speaker: Speaker
    notes: tuple[str, ...] = field(default=())
    labels: LabelTable | None = None
    change: "Comparison | None" = None


def open_collection(sources: Sources, run: RunDirectory | None, before: RunDirectory | None = None) -> Opened:
    """Put a collection on the desk, as a run sees it, and what it changed against the run before.

    Raises:
        LabelError: a table or pattern is not what it should be.
        RunError: the run lacks a piece.
    """
    store, facts = sources.store, sources.store.clips()
    labels, places, notes = _labels_and_places(sources, run, facts)
    timing = timing_of(run, facts.index.tolist(), facts, places, sources.timed_by, sources.id_map, usual_gap=USUAL_GAP)
    own = () if labels is None else labels.classes
    collection = Collection(
        store=store,
        facts=facts,
        videos=sources.videos,
        classes=without_blank(tuple(dict.fromkeys((*own, *sources.classes)))),
        labels={} if labels is None else shown_classes(labels),
        sites=places,
        timing=timing,
        predictions=None if run is None or not run.blend_path.is_file() else _answers(run, store),
    )
    desk = Desk(collection, DecisionLog(sources.decisions))
    blended = run if collection.predictions is not None else None
    change = None if before is None or blended is None else _compare(before, blended)
    given = labels if blended is None or sources.labels is not None else None
    return Opened(
        run=run,
        desk=desk,
        queues=Queues(desk, blended, given, () if change is None else change.turned),
        speaker=Speaker(blended, store),
        notes=(*notes, *timing.notes, *desk.decisions.notes),
        labels=given,
        change=change,
    )


def _compare(before: RunDirectory, after: RunDirectory) -> "Comparison":
    from heads.report import compare_runs  # which brings matplotlib

    return compare_runs(before, after)


def _labels_and_places(
    sources: Sources, run: RunDirectory | None, facts: pd.DataFrame
) -> tuple[LabelTable | None, dict[str, str], tuple[str, ...]]:
    labels: LabelTable | None = None
    places: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    if run is not None:
        labels = run.read_labels()
        places = {**run.read_unlabelled_sites(), **labels.known_sites}
    if sources.labels is not None:
        found = labels_and_sites(
            sources.labels, facts.index, sites=None, site_pattern=None, id_map=sources.id_map, allow_missing=True
        )
        labels, notes = found.labels, found.notes
        places |= {**found.sites, **found.labels.known_sites}
    if sources.sites is not None or sources.site_pattern is not None:
        told, more = places_of(
            facts.index, sites=sources.sites, site_pattern=sources.site_pattern, id_map=sources.id_map
        )
        places, notes = {**places, **told}, (*notes, *more)
    return labels, places, notes


def _answers(run: RunDirectory, store: FeatureStore) -> Predictions:
    """What a run says of the clips of a store; models are asked only if there are clips that it does not know."""
    own = run.read_oof(BLEND)
    if {clip_id for key in store.keys() for clip_id in store.reader(key).ids} <= {*own.ids}:
        return own
    with native_chatter(shown=False):
        import heads.models.trained_head  # noqa: F401  TensorFlow talks when it is imported
    return cached_answers(run, store)


def shown_classes(labels: LabelTable) -> dict[str, tuple[str, ...]]:
    """The classes that each clip shows beside the one for clips that show nothing."""
    names = np.array(labels.classes, dtype=object)
    return {
        clip_id: without_blank(tuple(names[row == 1].tolist()))
        for clip_id, row in zip(labels.ids, labels.values, strict=True)
    }


def read_classes(path: Path) -> tuple[str, ...]:
    """The classes of a list, one a line.

    Raises:
        ReviewError: it cannot be read, or holds none.
    """
    try:
        lines: Sequence[str] = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ReviewError(f"{path}: not to be read as text ({error}); expected one class a line in UTF-8") from error
    names = tuple(dict.fromkeys(name for line in lines if (name := tidy(line))))
    if not names:
        raise ReviewError(f"{path}: there is no class in it; write one a line")
    return names
