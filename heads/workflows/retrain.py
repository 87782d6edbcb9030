"""Training again after people have decided more: an earlier run's recipe on its labels and what was decided since.

Clips keep their folds, so that no model learns from what another is scored on, and the scores of both runs can be held
against each other.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np

from heads.data.decisions import Decisions, State, decide_labels, label_row, new_classes
from heads.data.labels import BLANK, LabelTable
from heads.data.listener import Listener
from heads.data.reading.capture_times import TimeSource
from heads.errors import TrainError
from heads.recipe import Recipe, load_recipe
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from heads.workflows.job import Trained, TrainingJob, prepare_job, run_recipe
from heads.workflows.timing import timing_of
from heads.workflows.train import train
from store import FeatureStore

_NO_SMALL_TREES = 0  # boosted trees take longer than all heads together, and are seldom kept


def retrain_job(
    store: FeatureStore,
    before: RunDirectory | None,
    decisions: Decisions,
    *,
    labels: LabelTable | None = None,
    recipe: Recipe | None = None,
    sites: Mapping[str, str] | None = None,
    from_nothing: bool = False,
) -> TrainingJob:
    """What is trained on what after some decisions.

    Args:
        store: the cached features.
        before: the run whose recipe, labels and folds are taken; None before the first.
        decisions: what was decided.
        labels: in place of the earlier run's; none but what was decided if there is no run either.
        recipe: in place of the earlier run's; the built-in one if there is none.
        sites: of clips, beside those that the earlier run knows.
        from_nothing: do not start from the earlier run's models.

    Raises:
        DecisionError: the labels have sites, and a clip that was decided has none.
        TrainError: nothing can be trained.
        UnknownClipError: a labelled clip is not in the store.
    """
    places = dict(sites or {})
    if before is not None:
        own = before.read_labels()
        places = {**before.read_unlabelled_sites(), **own.known_sites, **places}
        labels = own if labels is None else labels
        recipe = run_recipe(before) if recipe is None else recipe
    known = store.clips().index
    notes: list[str] = []
    if labels is None:
        decided = _decided_alone(decisions, {*known}, places)
    else:
        decided, notes = decide_labels(labels, decisions, "decisions", known, places)
    timing = None if before is None else timing_of(before, list(known), store.clips(), places)
    job = prepare_job(
        store,
        decided,
        load_recipe(None) if recipe is None else recipe,
        sites=places,
        allow_missing=True,
        before=None if before is None else before.read_folds(),
        times=None if timing is None else timing.stated,
        timed_by=_timed_by(before),
    )
    return replace(job, notes=(*notes, *job.notes), start=None if from_nothing else before)


def retrain(
    job: TrainingJob, run: RunDirectory, listener: Listener, blending: Callable[[], None] = lambda: None
) -> list[Trained]:
    """Train and blend what `retrain_job` made; `blending` is called between the two.

    Raises:
        TrainError: the run was begun with something else.
        StoppedError: the user asked to stop; what is finished is kept.
    """
    trained = train(job, run, listener)
    blending()
    blend_run(run, most_clips_for_trees=_NO_SMALL_TREES)
    return trained


def _decided_alone(decisions: Decisions, known: set[str], sites: Mapping[str, str]) -> LabelTable:
    """The labels that were decided, where there were none before."""
    labelled = [each for each in decisions.standing.values() if each.state is State.LABELLED and each.clip_id in known]
    if not labelled:
        raise TrainError("no clip of the store is labelled yet, so that there is nothing to learn; decide some first")
    classes = (BLANK, *new_classes(labelled, (BLANK,)))
    table = LabelTable(
        ids=tuple(each.clip_id for each in labelled),
        classes=classes,
        values=np.stack([label_row(each, classes) for each in labelled]),
        origin="decisions",
    )
    return table.with_sites(sites, "the table of sites") if sites else table


def _timed_by(before: RunDirectory | None) -> TimeSource:
    kept = {} if before is None else before.read_event_settings()
    gap_s = kept.get("event_gap_s")
    return TimeSource(
        pattern=kept.get("time_pattern"),
        zone=kept.get("time_zone"),
        event_gap=None if gap_s is None else timedelta(seconds=gap_s),
    )
