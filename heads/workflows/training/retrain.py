"""Training again after people have decided more: an earlier run's recipe on its labels and what was decided since.

Clips keep their folds, so that no model learns from what another is scored on, and the scores of both runs can be held
against each other.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from heads.data.decisions import Decisions, State, decide_labels, label_row, new_classes
from heads.data.history import Epoch
from heads.data.labels import BLANK, LabelTable
from heads.errors import TrainError
from heads.recipe import Recipe, load_recipe
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from heads.workflows.job import Trained, TrainingJob, prepare_job, run_recipe
from heads.workflows.timing import source_of, timing_of
from heads.workflows.training.side_by_side import train_side_by_side
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
) -> TrainingJob:
    """What is trained on what after some decisions.

    Args:
        store: the cached features.
        before: the run whose recipe, labels and folds are taken; None before the first.
        decisions: what was decided.
        labels: in place of the earlier run's; none but what was decided if there is no run either.
        recipe: in place of the earlier run's; the built-in one if there is none.
        sites: of clips, beside those that the earlier run knows.

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
        timed_by=source_of(before),
    )
    if decisions.are_chosen:
        job = job.as_collected()
    return replace(job, notes=(*notes, *job.notes))


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """A run that is to be trained again, in words that processes can tell each other.

    Attributes:
        store: folder of the store.
        before: folder of the run whose recipe, labels and folds are taken; None before the first.
        after: folder of the new run.
        decisions: what was decided.
        labels: in place of the earlier run's, or before any.
        sites: of clips, beside those that the earlier run knows.
    """

    store: Path
    before: Path | None
    after: Path
    decisions: Decisions
    labels: LabelTable | None = None
    sites: Mapping[str, str] = field(default_factory=dict)

    def job(self) -> TrainingJob:
        """What is trained on what; see `retrain_job`."""
        return retrain_job(
            FeatureStore.open(self.store),
            None if self.before is None else RunDirectory(self.before),
            self.decisions,
            labels=self.labels,
            sites=self.sites,
        )


class Watcher(Protocol):
    """Hears how training again goes."""

    def note(self, sentence: str) -> None:
        """Something that the user should know."""

    def epoch(self, head: str, epoch: Epoch) -> None:
        """An epoch of the head called `head` is over."""

    def blending(self) -> None:
        """All heads are trained."""


def retrain(order: Order, watcher: Watcher, job: TrainingJob | None = None) -> list[Trained]:
    """Train a run again, heads side by side in as many processes as are worth it, and blend them as they were blended.

    Args:
        order: the run that is to be trained again.
        watcher: hears how it goes.
        job: what the order comes to, where that is known.

    Returns:
        One entry a head, in the recipe's order.

    Raises:
        TrainError: nothing can be trained, the run was begun with something else, or a process was ended.
        StoppedError: the user asked to stop; what is finished is kept.
    """
    job = order.job() if job is None else job
    for sentence in job.notes:
        watcher.note(sentence)
    names = [head.name for head in job.heads]
    loading = threading.Thread(target=_load_calibration, daemon=True)

    def tell(head: str, epoch: Epoch) -> None:
        if epoch.number == epoch.epochs and loading.ident is None:
            loading.start()
        watcher.epoch(head, epoch)

    trained = train_side_by_side(order.job, RunDirectory(order.after), names, tell)
    lost = [name for name in names if name not in trained]
    if lost:
        raise TrainError(
            f"{order.after}: the process that trained {lost[0]} was ended, perhaps for want of memory; "
            f"`heads retrain --out {order.after}` goes on from what is finished"
        )
    watcher.blending()
    method = None if order.before is None else str(RunDirectory(order.before).read_metrics()["chosen"])
    blend_run(RunDirectory(order.after), method, most_clips_for_trees=_NO_SMALL_TREES)
    return [trained[name] for name in names]


def _load_calibration() -> None:
    """Load what calibration takes a second to load; a processor is free once a head is trained."""
    import sklearn.isotonic  # noqa: F401


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
