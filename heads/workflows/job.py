"""A training job: what is trained on what, prepared once for training, for estimates and for comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.decisions import is_decision_log, read_decisions
from heads.data.features.readers import Reader
from heads.data.labels import LabelTable
from heads.data.matching import IdRule
from heads.data.mix import stands_for
from heads.data.reading.capture_times import (
    NO_TIMES,
    CaptureTimes,
    TimeSource,
    capture_times,
    on_one_clock,
    parse_zone,
)
from heads.data.reading.corrections import correct_labels
from heads.data.reading.mapping import read_mapping
from heads.data.reading.sites import labels_and_sites
from heads.data.splitting.events import USUAL_GAP, find_events, past_and_future
from heads.data.splitting.folds import Folds, balance_table, torn_clips
from heads.data.splitting.splits import NO_CLIPS, Unlabelled, assign_clip_folds, find_copies, given_folds
from heads.errors import LabelError, TrainError
from heads.recipe import Recipe
from heads.run import RunDirectory
from heads.trainers.members import most_learned
from heads.trainers.schedule import scale_length
from heads.workflows.eligibility import find_unlabelled, labels_with_frames, trainable_heads
from heads.workflows.resolve import HeadSpec, resolve_heads
from store import FeatureReader, FeatureStore
from store.config import parse_settings
from store.ids import counted, name_a_few

_FEWEST_CLIPS = 30
_NO_SITES = (
    "no sites were given, so clips of one camera stand on both sides of a split and every score flatters: give --sites "
    "or --site-pattern"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingJob:
    """What is trained on what.

    Attributes:
        store: the cached features.
        recipe: what is asked for.
        heads: what that comes to on the store and the labels.
        readers: of the features that the recipe names, by folder name.
        facts: the clip table.
        labels: the labelled clips that have frames.
        set_aside: those that are not ok under some source: clip_id, source, status, reason.
        folds: of the labelled clips.
        unlabelled: clips without labels to learn from; none if they were not asked for.
        learns_unlabelled: whether they were asked for.
        sites: the site of each clip, labelled or not, as far as it is known.
        times: when each clip was taken, if that was asked for, as far as known.
        events: the event of each clip that is in one; empty if events were not asked for.
        timed_by: how these were found out.
        weights: (N,) how many clips each labelled one stands for, where labels were chosen; one each if None.
        features: which features of the store may be read, as they were asked for; any if empty.
        notes: what the user should know before anything is trained, a sentence each.
    """

    store: FeatureStore
    recipe: Recipe
    heads: Sequence[HeadSpec]
    readers: Mapping[str, FeatureReader]
    facts: pd.DataFrame
    labels: LabelTable
    set_aside: pd.DataFrame
    folds: Folds
    unlabelled: Unlabelled
    learns_unlabelled: bool
    sites: Mapping[str, str]
    times: Mapping[str, datetime] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    timed_by: TimeSource = NO_TIMES
    features: tuple[str, ...]
    notes: tuple[str, ...]
    weights: NDArray[np.float64] | None = None

    def reader(self, head: HeadSpec) -> Reader:
        """What a head reads."""
        return head.reader(self.readers)

    def labels_of(self, head: HeadSpec) -> LabelTable:
        """The labels of the classes that a head tells apart."""
        return self.labels.only(head.config.classes) if head.config.classes else self.labels

    def epochs(self, head: HeadSpec) -> int:
        """How many epochs training a head takes, with those on clips without labels."""
        config = scale_length(head.config, most_learned(self.folds.fold))
        return config.passes + self.learns_unlabelled * config.pseudo_epochs

    def with_recipe(self, recipe: Recipe) -> "TrainingJob":
        """The same clips and folds under another recipe of as many folds and the same seed."""
        resolved = resolve_heads(recipe, self.store, self.labels.classes, self.features)
        heads, notes = trainable_heads(resolved.heads, self.readers, self.labels, self.folds)
        return replace(self, recipe=recipe, heads=heads, notes=(*resolved.notes, *notes))

    def without_sites(self) -> "TrainingJob":
        """The same clips on folds that do not keep sites whole; copies of one clip still stay together."""
        labels = replace(self.labels, sites=None)
        folds, unlabelled = assign_clip_folds(
            labels, self.facts, self.recipe.folds, self.recipe.seed, self.unlabelled.ids, None, events=self.events
        )
        heads, notes = trainable_heads(self.heads, self.readers, labels, folds)
        return replace(self, labels=labels, folds=folds, unlabelled=unlabelled, heads=heads, notes=tuple(notes))

    def as_collected(self) -> "TrainingJob":
        """The same clips, each counting so that still and moving ones do as they are shared among all of the store.

        For labels that were chosen rather than drawn. Where it is not known what moves, all clips count alike.
        """
        shares = self.facts["motion_share"]
        own, everyone = shares.loc[list(self.labels.ids)].to_numpy(np.float64), shares.to_numpy(np.float64)
        if np.isnan(own).any() or np.isnan(everyone).all():
            return self
        moves = own > 0
        if moves.all() or not moves.any():
            return self
        weights = stands_for(moves, everyone[~np.isnan(everyone)] > 0)
        note = (
            "labels were chosen rather than drawn, so a clip in which something moves counts as "
            f"{weights[moves][0]:.2f} and one in which nothing does as {weights[~moves][0]:.2f}, as in the store"
        )
        return replace(self, weights=weights, notes=(*self.notes, note))

    def by_time(self) -> "TrainingJob":
        """The clips whose time is known on two folds, the past and the future of each place, and no others.

        Raises:
            FoldError: there is no future to score.
            LabelError: times cannot be compared.
        """
        times = on_one_clock(self.times, parse_zone(self.timed_by.zone))
        events = self.events or find_events(times, self.labels.known_sites, USUAL_GAP)
        folds = past_and_future(self.labels, times, events, self.facts)
        labels = self.labels.select(folds.ids)
        heads, notes = trainable_heads(self.heads, self.readers, labels, folds)
        kept = {*folds.ids}
        rows = [row for row, clip_id in enumerate(self.labels.ids) if clip_id in kept]
        without = len(self.labels.ids) - len(folds.ids)
        lost = [f"{counted(without, 'clip')} of no known time: neither of the past nor of the future"] * bool(without)
        return replace(
            self,
            labels=labels,
            weights=None if self.weights is None else self.weights[rows],
            folds=folds,
            unlabelled=NO_CLIPS,
            learns_unlabelled=False,
            heads=heads,
            notes=(*lost, *notes),
        )


def read_job(
    store: FeatureStore,
    labels: Path,
    recipe: Recipe,
    *,
    sites: Path | None = None,
    site_pattern: str | None = None,
    allow_missing: bool = False,
    unlabelled: bool = False,
    features: Sequence[str] = (),
    corrections: Sequence[Path] = (),
    leave_out_copies: bool = False,
    id_map: Sequence[IdRule] = (),
    mapping: Path | None = None,
    times: TimeSource = NO_TIMES,
    given_split: bool = False,
    before: Folds | None = None,
) -> TrainingJob:
    """Prepare training from files.

    Args:
        store: the cached features.
        labels: the label table.
        recipe: what is trained.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in the clip id, instead.
        allow_missing: leave out labelled clips that the store does not hold, instead of refusing.
        unlabelled: learn from the store's clips without labels too, where the recipe says how.
        features: names and settings of the features to read, as `choose_keys` takes them; all if empty.
        corrections: tables of what clips really show, or logs of what was decided of them.
        leave_out_copies: keep copies of a clip at one site only, instead of joining the sites.
        id_map: how ids of the tables become the store's, where that is not to be found out.
        mapping: a table of the class of each name in the label table; None to take names as they are.
        times: where capture times come from, and how clips make events, if that is wanted.
        given_split: take the parts of the label table's column `split` for folds.
        before: folds of an earlier run, in which its clips stay.

    Raises:
        LabelError: a table or the pattern is not what it should be.
        TrainError: nothing can be trained.
        UnknownClipError: a labelled clip is not in the store, or has no site.
    """
    found = labels_and_sites(
        labels,
        store.clips().index,
        sites=sites,
        site_pattern=site_pattern,
        id_map=id_map,
        allow_missing=allow_missing,
        mapping=None if mapping is None else read_mapping(mapping),
    )
    corrected, corrected_notes = correct_labels(
        found.labels, corrections, id_map, known=store.clips().index if corrections else (), sites=found.sites
    )
    timed = CaptureTimes(stated={}, notes=())
    if times.is_given:
        timed = capture_times(store.clips().index, store.clips(), times, id_map)
    job = prepare_job(
        store,
        corrected,
        recipe,
        sites=found.sites,
        allow_missing=allow_missing,
        unlabelled=unlabelled,
        features=features,
        leave_out_copies=leave_out_copies,
        times=timed.stated,
        timed_by=times,
        parts=found.parts if given_split else None,
        before=before,
    )
    if found.parts and not given_split:
        ignored = (
            f"{labels.name}: its column 'split' does not count, folds are dealt anew by site (--split given takes it)"
        )
        job = replace(job, notes=(ignored, *job.notes))
    if any(is_decision_log(path) and read_decisions(path).are_chosen for path in corrections):
        job = job.as_collected()
    return replace(job, notes=(*found.notes, *timed.notes, *corrected_notes, *job.notes))


def prepare_job(
    store: FeatureStore,
    labels: LabelTable,
    recipe: Recipe,
    *,
    sites: Mapping[str, str] | None = None,
    allow_missing: bool = False,
    unlabelled: bool = False,
    features: Sequence[str] = (),
    leave_out_copies: bool = False,
    times: Mapping[str, datetime] | None = None,
    timed_by: TimeSource = NO_TIMES,
    parts: Mapping[str, str] | None = None,
    before: Folds | None = None,
) -> TrainingJob:
    """Prepare training on labels that have been read; `sites` are those of clips without labels, as far as known.

    Where sites are not known, folds keep events whole, if `timed_by` asks for these. With `parts`, the part of
    somebody's own split that each clip is in, these are the folds.

    Copies of a clip at several sites join these into one group, since a model would else be scored on what it learned
    from. With `leave_out_copies` they stay at one site and are neither learned from nor scored at the others.

    Clips that are in the folds `before` stay in theirs. A new one that belongs to clips of several of these, as a copy
    does of a clip that was labelled at two sites by mistake, is left out.

    Raises:
        FoldError: the sites are too few, or copies join too many of them.
        LabelError: there is nothing to tell apart.
        TrainError: nothing can be trained.
        UnknownClipError: a labelled clip is not in the store.
    """
    resolved = resolve_heads(recipe, store, labels.classes, features)
    stated, events = dict(times or {}), dict[str, str]()
    if timed_by.event_gap is not None:
        clock = on_one_clock(stated, parse_zone(timed_by.zone))
        events = find_events(clock, {**(sites or {}), **labels.known_sites}, timed_by.event_gap)
    notes = [*_told_of_groups(labels, events), *resolved.notes]
    readers = {key.folder: store.reader(key) for head in resolved.heads for key in head.keys}
    facts, site_of = store.clips(), dict(sites or {})
    usable, set_aside = labels_with_frames(labels, readers, allow_missing=allow_missing)
    notes += classes_on_every_clip(usable)
    others: tuple[str, ...] = ()
    if unlabelled:
        others, lost = find_unlabelled(labels, readers, site_of)
        notes += lost
    copies = find_copies(usable, facts, others, site_of, events)
    if copies.rows and copies.have_sites and leave_out_copies:
        going = copies.surplus()
        notes.append(_left_out_copies(going))
        usable = usable.select([clip_id for clip_id in usable.ids if clip_id not in going])
        others = tuple(clip_id for clip_id in others if clip_id not in going)
        copies = find_copies(usable, facts, others, site_of, events)
    elif copies.rows and copies.have_sites:
        notes.append(f"{copies.said()}; --leave-out-copies keeps the sites apart and such clips at one of them")
    torn = [] if before is None else torn_clips(before, copies.joined[: len(usable.ids)], usable.ids)
    if torn:
        notes.append(
            f"{counted(len(torn), 'clip', 'are')} left out: copies, or of the site, of clips that stand in several "
            f"folds, such as '{torn[0]}'; train a run from nothing to learn from them"
        )
        usable = usable.select([clip_id for clip_id in usable.ids if clip_id not in set(torn)])
        copies = find_copies(usable, facts, others, site_of, events)
    if parts is None:
        folds, extra = assign_clip_folds(
            usable, facts, recipe.folds, recipe.seed, others, site_of, copies, events, before
        )
    elif unlabelled:
        raise TrainError(
            "--unlabelled learns from sites of other folds, which a given split does not tell; leave it out"
        )
    else:
        (folds, said), extra = given_folds(usable, parts, facts), NO_CLIPS
        recipe = recipe.model_copy(update={"folds": folds.n_folds})
        notes += said
    if len(usable.ids) < _FEWEST_CLIPS:
        notes.append(
            f"{len(usable.ids)} labelled clips are too few to learn from, and to be scored on: what follows shows that "
            "everything runs, and nothing else; label a few hundred, 20 of each species that matters"
        )
    notes += rare_classes(usable, folds)
    if unlabelled and not any(head.config.pseudo_epochs for head in resolved.heads):
        notes.append(
            "no head of the recipe has `pseudo_epochs`, so clips without labels are not learned from; give one that "
            "does, such as configs/third_place.yaml"
        )
    heads, unsighted = trainable_heads(resolved.heads, readers, usable, folds)
    return TrainingJob(
        store=store,
        recipe=recipe,
        heads=heads,
        readers=readers,
        facts=facts,
        labels=usable,
        set_aside=set_aside,
        folds=folds,
        unlabelled=extra,
        learns_unlabelled=unlabelled,
        sites=site_of,
        times=stated,
        events=events,
        timed_by=timed_by,
        features=tuple(features),
        notes=(*notes, *unsighted),
    )


def _told_of_groups(labels: LabelTable, events: Mapping[str, str]) -> list[str]:
    """A sentence on what stays together, unless that is sites alone."""
    own = [events[clip_id] for clip_id in labels.ids if clip_id in events]
    told = f"{len(own)} labelled clips make {len(set(own))} events, which folds keep whole"
    if labels.sites is not None:
        return [told] * bool(own)
    return [f"{told}; {_NO_SITES}"] if own else [_NO_SITES]


def _left_out_copies(going: Mapping[str, str]) -> str:
    """The sentence on clips that are left out, by the copies of them that stay."""
    clip_id, kept = next(iter(going.items()))
    return (
        f"{counted(len(going), 'clip', 'are')} left out, neither learned from nor scored, since other sites have "
        f"copies that stay, such as '{clip_id}' of '{kept}'"
    )


def classes_on_every_clip(labels: LabelTable) -> list[str]:
    """A sentence on the classes that every clip shows.

    Raises:
        LabelError: there is no class that some clips show and others do not, so that there is nothing to learn.
    """
    counts, total = labels.values.sum(axis=0, dtype=int), len(labels.ids)
    everywhere = [name for name, count in zip(labels.classes, counts.tolist(), strict=True) if count == total]
    if not ((counts > 0) & (counts < total)).any():
        raise LabelError(
            f"{labels.origin}: each of the {total} clips that can be learned from shows {name_a_few(everywhere)} and "
            "nothing else, so that there is nothing to tell apart; label clips that show something else too"
        )
    if not everywhere:
        return []
    return [
        f"{labels.origin}: every clip shows {name_a_few(everywhere)}, so that heads cannot learn what it looks like "
        "and will say that it is on every clip"
    ]


def rare_classes(labels: LabelTable, folds: Folds) -> list[str]:
    """A sentence on the classes that some fold cannot score, and one on those that some fold cannot learn."""
    table = balance_table(labels.values, folds, labels.classes)
    rare = table.index[table["rare"] & (table["untrained_folds"] == 0)]
    untrained = table.index[table["untrained_folds"] > 0]
    sentences = []
    if len(rare):
        where = "in fewer clips" if labels.sites is None else "at fewer sites"
        sentences.append(
            f"{name_a_few(rare)}: seen {where} than there are folds, so that some fold has no clip to score"
        )
    if len(untrained):
        sentences.append(f"{name_a_few(untrained)}: all clips stand in one fold, whose model never sees the class")
    return sentences


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The outcome of training one head: its name, its out-of-fold mean log loss, its training time in seconds, and
    whether it stood in the run already.
    """

    name: str
    mean_log_loss: float
    seconds: float
    resumed: bool


def run_recipe(run: RunDirectory) -> Recipe:
    """The recipe that a run was begun with; a setting that it could not name yet has its default.

    Raises:
        ConfigError: what the run holds is no recipe.
        RunError: the run holds none.
    """
    return parse_settings(run.read_config()["recipe"], Recipe, f"{run.config_path}: recipe")
