"""From a store and a label table to a run directory with trained heads."""

import importlib.metadata
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from heads.data.folds import Folds, balance_table
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.sites import labels_and_sites
from heads.data.splits import Unlabelled, deal_clips
from heads.errors import StoppedError, TrainError
from heads.evaluation.metrics import mean_log_loss
from heads.features.readers import Reader
from heads.features.statistics_cache import clip_marks
from heads.recipe import Recipe
from heads.run import CONFIG_VERSION, RunDirectory
from heads.trainers.checkpoint import Progress
from heads.trainers.cross_validation import OutOfFold, train_heads
from heads.workflows.eligibility import find_unlabelled, sighted_heads, usable_labels
from heads.workflows.resolve import NamedHead, resolve_heads
from store import FeatureReader, FeatureStore
from store.config import parse_settings
from store.digest import settings_digest
from store.files import atomic_path
from store.ids import name_a_few

_LIBRARIES = ("trapline", "keras", "tensorflow", "numpy", "pandas", "scikit-learn")
_SHARED = {
    "sources": "other sources",
    "labels_sha256": "other labels",
    "folds_sha256": "other folds",
    "unlabelled_sha256": "other clips without labels",
    "features_sha256": "other features of the same clips (files have changed, or were decoded again)",
}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What is told about a finished head: its name, its out-of-fold mean log loss, its training time in seconds, and
    whether it stood in the run already.
    """

    name: str
    mean_log_loss: float
    seconds: float
    resumed: bool


def train_run(
    store: FeatureStore,
    labels_path: Path,
    run: RunDirectory,
    recipe: Recipe,
    *,
    sites: Path | None = None,
    site_pattern: str | None = None,
    allow_missing: bool = False,
    unlabelled: bool = False,
    report: Callable[[str, Epoch], None] = lambda _name, _epoch: None,
    note: Callable[[str], None] = lambda _: None,
) -> list[Trained]:
    """Train every head of `recipe` over folds, and write the run directory.

    A head that the run already holds is not trained again, and one that was stopped goes on after its last epoch.

    Args:
        store: the cached features.
        labels_path: the label table.
        run: where everything is written.
        recipe: what is trained.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in the clip id, instead.
        allow_missing: leave out labelled clips that the store does not hold, instead of refusing.
        unlabelled: learn from the store's clips without labels too, where the recipe says how.
        report: called after every epoch with the head's name.
        note: called with sentences for the user.

    Returns:
        One entry a head, in the recipe's order.

    Raises:
        TrainError: the run was made with other settings, labels or features, or nothing can be trained.
        UnknownClipError: a labelled clip is not in the store.
        StoppedError: Ctrl-C was pressed; the last epoch was finished and saved.
    """
    labels, site_of = labels_and_sites(labels_path, store.clips().index, sites=sites, site_pattern=site_pattern)
    return train_on(
        store,
        labels,
        run,
        recipe,
        allow_missing=allow_missing,
        unlabelled=unlabelled,
        sites=site_of,
        report=report,
        note=note,
    )


def train_on(
    store: FeatureStore,
    labels: LabelTable,
    run: RunDirectory,
    recipe: Recipe,
    *,
    allow_missing: bool = False,
    unlabelled: bool = False,
    sites: Mapping[str, str] | None = None,
    report: Callable[[str, Epoch], None] = lambda _name, _epoch: None,
    note: Callable[[str], None] = lambda _: None,
) -> list[Trained]:
    """What `train_run` does, on labels that have been read; `sites` are those of clips without labels, as far as they
    are known.
    """
    resolved = resolve_heads(recipe, store, labels.classes)
    for sentence in resolved.notes:
        note(sentence)
    readers = {key.folder: store.reader(key) for head in resolved.heads for key in head.keys}
    facts = store.clips()
    usable, set_aside = usable_labels(labels, readers, allow_missing=allow_missing)
    others = find_unlabelled(labels, readers, sites or {}, note) if unlabelled else ()
    folds, extra = deal_clips(usable, facts, recipe.folds, recipe.seed, others, sites)
    for sentence in rare_classes(usable, folds):
        note(sentence)
    if unlabelled and not any(head.config.pseudo_epochs for head in resolved.heads):
        note("the recipe has no pseudo_epochs, so the clips without labels are not used")
    heads = sighted_heads(resolved.heads, readers, usable, folds, note)
    _begin(run, recipe, heads, readers, facts, usable, folds, set_aside, extra)
    if unlabelled:
        run.write_unlabelled(extra.ids, extra.fold, sites or {})
    stopping, done = threading.Event(), []
    _require_own_names(run, heads)
    for head in heads:
        resumed = head.name in run.head_names()
        if not resumed:
            _train_one(run, head, head.reader(readers), facts, usable, folds, recipe.seed, extra, report, stopping)
        known = usable if not head.config.classes else usable.only(head.config.classes)
        loss = mean_log_loss(known.values, run.read_oof(head.name).select(usable.ids).probabilities)
        seconds = float(run.read_head(head.name)["seconds"])
        done.append(Trained(name=head.name, mean_log_loss=loss, seconds=seconds, resumed=resumed))
        if stopping.is_set():
            raise StoppedError(
                f"stopped after head {head.name}, which is finished; the same command goes on from there"
            )
    return done


def _require_own_names(run: RunDirectory, heads: Sequence[NamedHead]) -> None:
    for head in heads:
        if run.is_added(head.name):
            raise TrainError(
                f"{run.path}: a model called '{head.name}' was brought in with --add, and the recipe has a head of "
                f"that name; give the head a `name` of its own, or delete {run.added_path(head.name).parent} and "
                f"{run.oof_path(head.name)}"
            )


def rare_classes(labels: LabelTable, folds: Folds) -> list[str]:
    """A sentence on the classes that some fold cannot score, and one on those that some fold cannot learn."""
    table = balance_table(labels.values, folds, labels.classes)
    rare = table.index[table["rare"] & (table["untrained_folds"] == 0)]
    untrained = table.index[table["untrained_folds"] > 0]
    sentences = []
    if len(rare):
        sentences.append(
            f"{name_a_few(rare)}: seen at fewer sites than there are folds, so that some fold has no clip to score"
        )
    if len(untrained):
        sentences.append(f"{name_a_few(untrained)}: all clips stand in one fold, whose model never sees the class")
    return sentences


def _begin(
    run: RunDirectory,
    recipe: Recipe,
    heads: Sequence[NamedHead],
    readers: Mapping[str, FeatureReader],
    facts: pd.DataFrame,
    labels: LabelTable,
    folds: Folds,
    set_aside: pd.DataFrame,
    unlabelled: Unlabelled,
) -> None:
    """Write what the heads are going to share, or make sure that the run was begun with just the same."""
    config = {
        "version": CONFIG_VERSION,
        "recipe": recipe.model_dump(mode="json"),
        "sources": {head.name: [key.folder for key in head.keys] for head in heads},
        "labels_sha256": settings_digest([labels.ids, labels.classes, labels.values.tolist()]),
        "folds_sha256": settings_digest([folds.ids, folds.fold.tolist()]),
        "unlabelled_sha256": settings_digest([unlabelled.ids, unlabelled.fold.tolist()]),
        "features_sha256": _features_digest(readers, (*labels.ids, *unlabelled.ids)),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    if run.config_path.exists():
        _require_same(run, recipe, config)
        return
    run.write_labels(labels)
    run.write_folds(folds, facts.loc[list(folds.ids), "fingerprint"].tolist())
    run.write_balance(balance_table(labels.values, folds, labels.classes))
    run.write_clips(set_aside)
    run.write_config(config)


def _features_digest(readers: Mapping[str, FeatureReader], ids: Sequence[str]) -> str:
    """What tells the features of these clips from those of the same clips after their files have changed."""
    marks = {folder: clip_marks(reader, reader.index_of(ids)).tobytes().hex() for folder, reader in readers.items()}
    return settings_digest(sorted(marks.items()))


def _require_same(run: RunDirectory, recipe: Recipe, config: Mapping[str, Any]) -> None:
    """Make sure that a run was begun with just this; a setting that its recipe could not name yet has its default."""
    before = run.read_config()
    if parse_settings(before["recipe"], Recipe, f"{run.config_path}: recipe").model_dump() != recipe.model_dump():
        raise TrainError(_begun_with(run, "another recipe"))
    for part, named in _SHARED.items():
        if before.get(part) != config[part]:
            raise TrainError(_begun_with(run, named))


def _begun_with(run: RunDirectory, named: str) -> str:
    return f"{run.path}: this run was begun with {named}; name a new folder with --run, or delete this one"


def _train_one(
    run: RunDirectory,
    head: NamedHead,
    reader: Reader,
    facts: pd.DataFrame,
    labels: LabelTable,
    folds: Folds,
    seed: int,
    unlabelled: Unlabelled,
    report: Callable[[str, Epoch], None],
    stopping: threading.Event,
) -> None:
    """Train one head and write it; its out-of-fold table comes last, since that is what says that it is whole."""
    run.frames_path(head.name).unlink(missing_ok=True)  # they would be those of another training
    known = labels if not head.config.classes else labels.only(head.config.classes)
    trained: OutOfFold = train_heads(
        reader,
        facts,
        known,
        folds,
        head.config,
        name=head.name,
        seed=seed,
        unlabelled=unlabelled,
        progress=Progress(path=run.state_path(head.name), log=partial(run.write_epochs, head.name)),
        stopping=stopping,
        report=lambda epoch: report(head.name, epoch),
    )
    for number, part in enumerate(trained.folds):
        path = run.model_path(head.name, number)
        with atomic_path(path) as temporary:
            part.model.save(temporary)
    run.write_epochs(head.name, trained.epochs)
    run.write_head(head.name, _facts_of(head, known, trained))
    run.write_oof(head.name, trained.predictions)
    run.state_path(head.name).unlink(missing_ok=True)


def _facts_of(head: NamedHead, labels: LabelTable, trained: OutOfFold) -> dict[str, Any]:
    judgements = [None if part.judgement is None else asdict(part.judgement) for part in trained.folds]
    return {
        "sources": [key.to_json() for key in head.keys],
        "settings": head.config.model_dump(mode="json"),
        "classes": list(labels.classes),
        "metadata": [part.metadata.model_dump(mode="json") for part in trained.folds],
        "prior": [part.prior.tolist() for part in trained.folds],
        "losses": [part.losses for part in trained.folds],
        "pseudo_labels": judgements if any(judgements) else None,
        "parameters": int(trained.folds[0].model.count_params()),
        "seconds": round(sum(epoch.seconds for epoch in trained.epochs), 2),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
