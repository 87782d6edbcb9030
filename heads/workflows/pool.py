"""The pool that queues are made of: what a store, a run and a log of decisions say of each clip."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.decisions import Decisions, decide_labels, default_log, read_decisions
from heads.data.labels import BLANK, LabelTable
from heads.data.matching import IdRule
from heads.data.predictions import Predictions
from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.data.splitting.duplicates import ImageSummary, copies_across
from heads.data.splitting.events import USUAL_GAP
from heads.evaluation.collection import CollectionScore
from heads.evaluation.review import classes_known
from heads.run import BLEND, RunDirectory
from heads.selection.embedding import choose_key, embed
from heads.selection.pool import Pool
from heads.selection.sample import collection_score, drawn_by_chance
from heads.workflows.resolve import choose_keys
from heads.workflows.timing import Timing, timing_of
from store import FeatureReader, FeatureStore
from store.cache import mark_used, prepare_cache
from store.files import atomic_path

if TYPE_CHECKING:
    from heads.workflows.answers.predict import NewPredictions

_NO_DECISIONS = Decisions()


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownLabels:
    """What is known of clips before anybody is asked again.

    Attributes:
        labels: of the labelled clips, as decisions have them.
        sites: of clips, as far as they are known.
        notes: what became of the decisions, a sentence each.
    """

    labels: LabelTable
    sites: Mapping[str, str]
    notes: tuple[str, ...] = ()


def known_labels(
    known: Sequence[str],
    run: RunDirectory | None,
    decisions: Decisions = _NO_DECISIONS,
    *,
    labels: LabelTable | None = None,
    sites: Mapping[str, str] | None = None,
) -> KnownLabels:
    """The labels that a run learned from, or that are given, with what was decided since.

    Args:
        known: the clips that there are.
        run: a run, whose labels and sites count where none are given.
        decisions: what people decided.
        labels: a label table.
        sites: of clips.
    """
    base = labels
    if base is None and run is not None:
        base = run.read_labels()
    if base is None:
        base = LabelTable(ids=(), classes=(BLANK,), values=np.zeros((0, 1), np.uint8))
    own = dict(run.read_unlabelled_sites()) if run is not None else {}
    own |= (run.read_labels().known_sites if run is not None else {}) | base.known_sites | dict(sites or {})
    bare = replace(base, sites=None)
    if not decisions.log:
        return KnownLabels(labels=bare, sites=own)
    decided, notes = decide_labels(bare, decisions, "decisions", known, own)
    return KnownLabels(labels=decided, sites=own, notes=tuple(notes))


def read_pool(
    store: FeatureStore,
    *,
    run: RunDirectory | None = None,
    decisions: Decisions = _NO_DECISIONS,
    labels: LabelTable | None = None,
    sites: Mapping[str, str] | None = None,
    timing: Timing | None = None,
    timed_by: TimeSource = NO_TIMES,
    id_map: Sequence[IdRule] = (),
    features: Sequence[str] = (),
) -> Pool:
    """The clips of a store that have frames, and what is known of each.

    Args:
        store: holds the clips.
        run: a blended run, whose answers are asked; None before the first.
        decisions: what people decided.
        labels: a label table, in place of the run's.
        sites: of clips; those of the run if None.
        timing: when clips were taken, as far as known; None to find out by `timed_by`.
        timed_by: how it is told when clips were taken; as the run was, else as their files say, if nothing is said.
        id_map: how ids of a table of times become clips'.
        features: which features clips are compared by, as `--features` names them; the best for it if empty.

    Raises:
        SelectionError: the store holds no features.
        RunError: the run is not blended.
        PredictError: the store lacks features of the run's kind.
    """
    facts, reader = store.clips(), store.reader(choose_key(store, choose_keys(store, features)))
    found = known_labels(facts.index.tolist(), run, decisions, labels=labels, sites=sites)
    pool = _told(reader, facts, found, decisions)
    embedding = embed(reader, found.sites)
    said = None if run is None else cached_answers(run, store)
    if timing is None:
        timing = timing_of(run, pool.ids, facts, found.sites, timed_by, id_map, usual_gap=USUAL_GAP)
    return replace(
        pool,
        embedding=np.asarray(embedding.vectors)[reader.index_of(pool.ids)],
        copies=copy_numbers(facts, pool.ids),
        times=_aligned_times(pool.ids, timing.clock),
        gap=timing.gap or USUAL_GAP,
        probabilities=None if said is None else _aligned(said, pool),
        known=None if run is None else _known(run, pool.ids, pool.classes),
    )


def score_whole(run: RunDirectory, store: FeatureStore, log: Path | None = None) -> CollectionScore | None:
    """What a run would score on all clips of a store, by those that chance drew; None before there are enough.

    Only clips that were drawn are asked about.

    Args:
        run: blended.
        store: its clips are the collection.
        log: of decisions; the one beside the store if None.

    Raises:
        DecisionError: the log cannot be read.
        PredictError: the store lacks features of the run's kind.
    """
    decisions = read_decisions(default_log(store.root) if log is None else log)
    if not decisions.log:
        return None
    facts, reader = store.clips(), store.reader(choose_key(store))
    pool = _told(reader, facts, known_labels(facts.index.tolist(), run, decisions), decisions)
    rows = drawn_by_chance(pool)
    asked = [pool.ids[row] for row in rows[pool.labelled[rows]].tolist()]
    if not asked:
        return None
    oof = run.read_oof(BLEND)
    scored = {*oof.ids}
    fresh = [clip_id for clip_id in asked if clip_id not in scored]
    said = oof.select([clip_id for clip_id in asked if clip_id in scored])
    if fresh:
        new = _ask(run, store, fresh).predictions.only(said.classes)
        said = replace(
            said,
            ids=(*said.ids, *new.ids),
            probabilities=np.concatenate([said.probabilities, new.probabilities]),
            fold=None,
        )
    return collection_score(replace(pool, probabilities=_aligned(said, pool)))


def _told(reader: FeatureReader, facts: pd.DataFrame, found: KnownLabels, decisions: Decisions) -> Pool:
    """The clips of a reader that have frames, and what people said of them."""
    there = {*facts.index}
    ids = tuple(
        clip_id for clip_id, length in zip(reader.ids, reader.lengths, strict=True) if length > 0 and clip_id in there
    )
    values, labelled = _rows(found.labels, ids)
    standing = decisions.standing
    drawn = {each.clip_id for each in decisions.counting if each.why.is_random}
    return replace(
        Pool.of(ids, classes=found.labels.classes, sites=[found.sites.get(clip_id, "") for clip_id in ids]),
        moves=~(facts.loc[list(ids), "motion_share"].to_numpy(np.float64) <= 0),  # not known: it may
        labels=values,
        labelled=labelled,
        reviewed=np.array([clip_id in standing for clip_id in ids], bool),
        drawn=np.array([clip_id in drawn for clip_id in ids], bool),
    )


def _ask(run: RunDirectory, store: FeatureStore, ids: Sequence[str] | None = None) -> "NewPredictions":
    """Ask the models about clips."""
    from heads.workflows.answers.predict import (
        predict_run,  # brings TensorFlow, which takes seconds and is seldom needed
    )

    return predict_run(run, store, ids)


def _aligned_times(ids: Sequence[str], times: Mapping[str, datetime]) -> NDArray[np.datetime64] | None:
    """(N,) datetime64[s] when clips were taken, NaT where that is not known; None where none is."""
    return np.array([times.get(clip_id, "NaT") for clip_id in ids], "datetime64[s]") if times else None


def copy_numbers(facts: pd.DataFrame, ids: Sequence[str]) -> NDArray[np.int64]:
    """(N,) a number shared by clips that are copies of each other, by contents or looks."""
    found = np.arange(len(ids))
    fingerprints = facts.loc[list(ids), "fingerprint"].tolist()
    for rows in copies_across(ids, fingerprints, ImageSummary.from_clip_table(facts, ids)):
        found[list(rows)] = rows[0]
    return found


def cached_answers(run: RunDirectory, store: FeatureStore) -> Predictions:
    """What a run says of all clips of a store, kept in the store's cache until run or clips change."""
    readers = [store.reader(key) for key in store.keys()]
    folder, path = readers[0].cache, readers[0].cache / f"answers-{_mark(run, store, readers)}.npz"
    try:
        with np.load(path, allow_pickle=False) as held:
            answers = Predictions(
                ids=tuple(held["ids"].tolist()),
                classes=tuple(held["classes"].tolist()),
                probabilities=held["probabilities"],
            )
        mark_used(path)
        return answers
    except (OSError, ValueError, EOFError, KeyError):
        answers = _ask(run, store).predictions
    try:
        prepare_cache(folder, [key for reader in readers for key in reader.key_folders])
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                ids=np.array(answers.ids, dtype=str),
                classes=np.array(answers.classes, dtype=str),
                probabilities=answers.probabilities,
            )
    except OSError:
        pass  # a store that cannot be written to: asked each time
    return answers


def _mark(run: RunDirectory, store: FeatureStore, readers: Sequence[FeatureReader]) -> str:
    """What tells these answers from those of another blend or of other clips, in hex."""
    parts = [part.path for reader in readers for part in reader.index.parts]
    parts += [part.path for part in store.clip_parts()]
    told = hashlib.blake2b(digest_size=12)
    told.update(run.oof_path(BLEND).read_bytes())
    told.update(run.blend_path.read_bytes())
    told.update("\0".join(f"{path.parent.name}/{path.name}" for path in parts).encode())
    return told.hexdigest()


def _rows(labels: LabelTable, ids: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The labels (N, C) of some clips, zeros for one without, and (N,) which have any."""
    place = {clip_id: row for row, clip_id in enumerate(labels.ids)}
    rows = np.array([place.get(clip_id, -1) for clip_id in ids], np.int64)
    labelled = rows >= 0
    values = np.zeros((len(ids), len(labels.classes)), np.uint8)
    values[labelled] = labels.values[rows[labelled]]
    return values, labelled


def _aligned(answers: Predictions, pool: Pool) -> NDArray[np.float64]:
    """The answers (N, C) for the clips of a pool; of a class or clip that the run knows nothing of, its share."""
    shares = pool.labels[pool.labelled].mean(axis=0) if pool.labelled.any() else np.zeros(len(pool.classes))
    found = np.tile(np.asarray(shares, np.float64), (len(pool), 1))
    place = {clip_id: row for row, clip_id in enumerate(answers.ids)}
    rows = np.array([place.get(clip_id, -1) for clip_id in pool.ids], np.int64)
    there = rows >= 0
    for column, name in enumerate(pool.classes):
        if name in answers.classes:
            found[there, column] = answers.column(name)[rows[there]]
    return found


def _known(run: RunDirectory, ids: Sequence[str], classes: Sequence[str]) -> NDArray[np.bool_]:
    """(N, C) whether the models that answered for a clip ever saw the class: for one not learned from, any fold's."""
    labels, folds = run.read_labels(), run.read_folds()
    own = classes_known(labels.select(folds.ids).values, folds.fold)
    place = {clip_id: row for row, clip_id in enumerate(folds.ids)}
    column_of = {name: column for column, name in enumerate(labels.classes)}
    ever = np.asarray(labels.values.any(axis=0), bool)
    found = np.zeros((len(ids), len(classes)), bool)
    for column, name in enumerate(classes):
        if name in column_of:
            theirs = column_of[name]
            found[:, column] = [own[place[clip_id], theirs] if clip_id in place else ever[theirs] for clip_id in ids]
    return found
