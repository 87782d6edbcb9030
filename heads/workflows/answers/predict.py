"""A finished run applied to clips of a store: every fold model of every head, then the blend.

What a run learned from is answered as it was scored: by models, and by a blend, that have not seen the clip.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from heads.blending.blend import Around, Blend
from heads.data.features.readers import Reader, ids_with_frames
from heads.data.frame_statistics import FRAME_STATISTICS, for_one_frame, to_predictions
from heads.data.matching import match_clips
from heads.data.nearby import nearby
from heads.data.predictions import EVENT_COLUMN, ID_COLUMN, ORIGIN_COLUMN, STATUS_COLUMN, Predictions
from heads.errors import PredictError
from heads.models.explain.frame_scores import frame_spread
from heads.models.known_clips import KnownClips, known_clips
from heads.models.missing_features import featurize_command
from heads.models.trained_head import TrainedHead, require_features
from heads.run import BLEND, RunDirectory
from heads.workflows.answers.external import added_predictions
from heads.workflows.timing import Timing, clock_in, timing_of
from store import FeatureStore, Status
from store.ids import counted, name_a_few


class Origin(StrEnum):
    """Whose answer a clip got.

    NEW: that of all folds' models, none of which learned from it. OUT_OF_FOLD: the run learned from this clip, or from
    a copy of it, so it has the answer of the models that did not. GUESSED: the run was given the clip without a label,
    at no site that any fold holds, so that the models of every fold may have learned from it by their own guesses.
    """

    NEW = "new"
    OUT_OF_FOLD = "out of fold"
    GUESSED = "learned by guesses"


@dataclass(frozen=True, kw_only=True, eq=False)
class NewPredictions:
    """What a run says of clips.

    Attributes:
        predictions: blended probabilities, one row a clip.
        status: (N) how decoding went: FAILED if no source has frames, then it has the training prior; PARTIAL if some
            have none; else the worst over the sources.
        origin: (N) whether the run learned from the clip.
        event: (N) the event of each clip, "" where its time is not known; empty if nobody asked for events.
        notes: what the user should know, a sentence each.
    """

    predictions: Predictions
    status: tuple[Status, ...]
    origin: tuple[Origin, ...]
    event: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def with_events(self, events: Mapping[str, str]) -> "NewPredictions":
        """The same with the event of each clip; no events at all if there are none."""
        named = tuple(events.get(clip_id, "") for clip_id in self.predictions.ids) if events else ()
        return replace(self, event=named)

    def only(self, origin: Origin) -> "NewPredictions":
        """The answers of this origin alone.

        Raises:
            PredictError: there is none.
        """
        kept = [place for place, each in enumerate(self.origin) if each is origin]
        if not kept:
            raise PredictError(
                f"none of the {len(self.origin)} clips is {origin.value} to the run; leave --only-new out"
            )
        return NewPredictions(
            predictions=self.predictions.select([self.predictions.ids[place] for place in kept]),
            status=tuple(self.status[place] for place in kept),
            origin=tuple(self.origin[place] for place in kept),
            event=tuple(self.event[place] for place in kept) if self.event else (),
            notes=self.notes,
        )

    def to_frame(self) -> pd.DataFrame:
        """A row a clip: `clip_id`, `status`, `origin`, `event` if events are known, and each class's probability."""
        frame = pd.DataFrame(self.predictions.probabilities, columns=list(self.predictions.classes))
        frame.insert(0, ID_COLUMN, list(self.predictions.ids))
        frame.insert(1, STATUS_COLUMN, [status.value for status in self.status])
        # A class may be called so in runs of before the columns were there.
        column = ORIGIN_COLUMN if ORIGIN_COLUMN not in frame else f"{ORIGIN_COLUMN} of the answer"
        frame.insert(2, column, [origin.value for origin in self.origin])
        if self.event:
            column = EVENT_COLUMN if EVENT_COLUMN not in frame else f"{EVENT_COLUMN} of the clip"
            frame.insert(3, column, list(self.event))
        return frame


def predict_run(
    run: RunDirectory,
    store: FeatureStore,
    ids: Sequence[str] | None = None,
    added: Sequence[Predictions] = (),
    *,
    sites: Mapping[str, str] | None = None,
    timed: Callable[[Sequence[str]], Timing] | None = None,
) -> NewPredictions:
    """Predict clips of `store` by the blend of `run`.

    For each fold the heads' models of that fold predict and are blended; the folds' blends are averaged. A clip that
    the run learned from has its row of the run's out-of-fold table instead. Where the file may be another one by now
    (its fingerprint differs, or the run is older than its list of fingerprints), the blend of the fold that did not
    learn from the clip of that name answers alone, as it does for a clip without labels that was learned from.

    A clip that could not be decoded gets the share of each class among the training clips, and its status says so. A
    head says that share of a clip that has nothing under its own source, such as one without sound.

    A blend that takes what is said of the clips around a clip finds these among the clips that are asked for: those
    that are new, for a new one; for one that was learned from, those of its own fold.

    Args:
        run: trained and blended.
        store: holds the features that the run's heads read, under the same settings.
        ids: clips, in the order wanted; all of the store if None.
        added: predictions of models that were brought into the run, beside those that it holds of them.
        sites: the site of each clip, beside those that the run knows.
        timed: tells when clips were taken; by the run's own settings if None.

    Raises:
        PredictError: the store lacks features of the run's kind, or has no clip under all of them; or a model that was
            brought in does not say anything of a clip.
        UnknownClipError: a clip is not in the store.
    """
    blend = Blend.from_json(run.read_blend())
    outside = {name: added_predictions(run, name, added) for name in blend.models if run.is_added(name)}
    heads = [TrainedHead(run, store, name) for name in blend.models if name not in outside]
    require_features(heads, store, run)
    lacking: tuple[str, ...] = ()
    if ids is None:
        held = [set(head.reader.ids) for head in heads] or _told_of(outside.values(), store)
        ids = sorted(set.intersection(*held))
        lacking = _without_answer(set.union(*held) - {*ids}, run, store) if heads else ()
    if not ids:
        raise PredictError(
            f"{store.root}: no clip has the features of all heads of this run; featurize with all of its backbones"
        )
    status = _overall_status([head.reader for head in heads], ids) if heads else _stated(store, ids)
    decoded = [clip_id for clip_id, found in zip(ids, status, strict=True) if found is not Status.FAILED]
    per_head = [_predict_folds(head, decoded, with_frames=head.name in blend.frame_models) for head in heads if decoded]
    from_outside = [_answers(each, decoded, blend.classes) for each in outside.values()]
    by_fold = zip(*per_head, strict=True) if per_head else [()]
    per_fold = [[*(each for head in own for each in head), *from_outside] for own in by_fold]
    predictions = _always(ids, blend.classes, _prior(heads, blend.classes, run), blend.method)
    known = known_clips(run, store, ids)
    around: Around | None = None
    told: tuple[str, ...] = ()
    if blend.looks_around and decoded:
        places = {**run.read_labels().known_sites, **(sites or {})}
        timing = timed(decoded) if timed else timing_of(run, decoded, store.clips(), places)
        around, told = _around(blend, decoded, known, places, timing, run, store)
    if decoded:
        predictions = blend.apply_to_folds(per_fold, known.fold, around).over(predictions)
    blended = run.read_oof(BLEND)
    place = {clip_id: row for row, clip_id in enumerate(blended.ids)}
    scored = [clip_id for clip_id in decoded if known.scored_as.get(clip_id) in place]
    if scored:
        rows = [place[known.scored_as[clip_id]] for clip_id in scored]  # of copies, several are scored as one clip
        answers = blended.only(blend.classes).probabilities[rows]
        predictions = replace(predictions, ids=tuple(scored), probabilities=answers).over(predictions)
    origin = tuple(
        Origin.OUT_OF_FOLD if name in known.fold else Origin.GUESSED if name in known.guessed else Origin.NEW
        for name in ids
    )
    return NewPredictions(predictions=predictions, status=status, origin=origin, notes=(*lacking, *told))


def _without_answer(lacking: set[str], run: RunDirectory, store: FeatureStore) -> tuple[str, ...]:
    """The sentence on clips that have some of the features that the run reads and not all of them, if there are any."""
    if not lacking:
        return ()
    return (
        f"{counted(len(lacking), 'clip')} of the store without all of the features that the run reads got no answer, "
        f"such as {name_a_few(sorted(lacking))}; make the rest of them by: {featurize_command(run.named, store)}",
    )


def _around(
    blend: Blend,
    ids: Sequence[str],
    known: KnownClips,
    places: Mapping[str, str],
    timing: Timing,
    run: RunDirectory,
    store: FeatureStore,
) -> tuple[Around | None, tuple[str, ...]]:
    """Where clips stand among those of their place that the same models may be asked about, and what is to be said."""
    clock, notes = clock_in(timing, run) if blend.by_time else ({}, ())
    untimed = [clip_id for clip_id in ids if clip_id not in clock and clip_id not in known.fold]
    if blend.by_time and clock and untimed:
        notes = (
            *notes,
            f"nobody knows when {counted(len(untimed), 'new clip')} were taken, such as {name_a_few(untimed)}: what is "
            "said around tells nothing of these; give times with --times or --time-pattern",
        )
    if blend.by_time and not clock:
        return None, (
            *notes,
            "the blend takes what is said of the clips around a clip, and it is not known when these were taken: each "
            "is answered for by itself; give times with --times or --time-pattern",
        )
    marks = {str(name): str(mark) for name, mark in store.clips()["fingerprint"].items()}

    def side(clip_id: str) -> int:
        return -2 if clip_id in known.guessed else known.fold.get(clip_id, -1)

    return partial(nearby, sites=places, clock=clock, side=side, marks=marks), notes


def _always(ids: Sequence[str], classes: Sequence[str], prior: ArrayLike, model: str) -> Predictions:
    """The same probabilities (C,) for each of `ids`."""
    probabilities = np.tile(np.asarray(prior, np.float64), (len(ids), 1))
    return Predictions(ids=tuple(ids), classes=tuple(classes), probabilities=probabilities, provenance={"model": model})


def _overall_status(readers: Iterable[Reader], ids: Sequence[str]) -> tuple[Status, ...]:
    """How decoding went for each clip, over all readers."""
    order = list(Status)
    codes = np.array([[order.index(reader.status[place]) for place in reader.index_of(ids)] for reader in readers])
    worst, best = codes.max(axis=0), codes.min(axis=0)
    failed = order.index(Status.FAILED)
    overall = np.where((worst == failed) & (best < failed), order.index(Status.PARTIAL), worst)
    return tuple(order[code] for code in overall)


def _stated(store: FeatureStore, ids: Sequence[str]) -> tuple[Status, ...]:
    """How the decoding of each clip went, as the clip table says; OK for one that is not in it."""
    known = store.clips()["status"].to_dict()
    return tuple(Status(known.get(clip_id, Status.OK)) for clip_id in ids)


def _told_of(outside: Iterable[Predictions], store: FeatureStore) -> list[set[str]]:
    """The clips of a store that each of some tables tells of, however it spells them."""
    clips = [str(clip_id) for clip_id in store.clips().index]
    return [set(match_clips(each.ids, clips, each.where).clip_of.values()) for each in outside]


def _predict_folds(head: TrainedHead, everyone: Sequence[str], *, with_frames: bool) -> list[list[Predictions]]:
    """What each fold's model of one head says of some clips, which are read once for all folds.

    With `with_frames`, its tables of scores of single frames follow. Of clips that the head has no frames of, all of
    them say the share of each class among the fold's training clips.
    """
    ids, name, classes = ids_with_frames(head.reader, everyone), head.name, head.classes
    examples = head.examples(ids)
    spread = None
    if with_frames:
        models = [(fold, head.model(fold)) for fold in range(head.n_folds)]
        spread = frame_spread(models, examples, np.arange(len(ids)))
    if spread is not None and head.config.traits.frame_by_frame:  # such a head says of a clip what its frames say
        said = spread[:, FRAME_STATISTICS.index("mean")].astype(np.float64)
    else:
        said = head.predict(examples)
    found = [
        [Predictions(ids=tuple(ids), classes=classes, probabilities=each, provenance={"model": name})] for each in said
    ]
    if spread is not None:
        found = [[*own, *to_predictions(name, ids, classes, each)] for own, each in zip(found, spread, strict=True)]
    head.unload()
    unseen = [[_always(everyone, classes, prior, name)] for prior in head.prior]
    if with_frames:
        unseen = [[prior, *for_one_frame(prior)] for (prior,) in unseen]
    return [[each.over(prior) for each, prior in zip(*pair, strict=True)] for pair in zip(found, unseen, strict=True)]


def _answers(outside: Predictions, ids: Sequence[str], classes: Sequence[str]) -> Predictions:
    """What a model that was brought in says of `ids`, however its table spells them."""
    outside = outside.renamed(match_clips(outside.ids, ids, outside.where).clip_of, classes)
    missing = sorted(set(ids) - set(outside.ids))
    if missing:
        raise PredictError(
            f"the blend needs '{outside.model}', which was brought in and says nothing of "
            f"{counted(len(missing), 'clip')}, such as {name_a_few(missing)}; give its predictions of them "
            f"with --add {outside.model}.csv"
        )
    return outside.select(ids)


def _prior(heads: Sequence[TrainedHead], classes: Sequence[str], run: RunDirectory) -> NDArray[np.float64]:
    """The mean training prior of the first head that knows all of `classes`, in their order; else the labels' share."""
    for head in heads:
        if set(classes) <= set(head.classes):
            prior = head.prior.mean(axis=0)
            return np.array([prior[head.classes.index(name)] for name in classes])
    return run.class_shares(classes)
