"""From a store and a label table to a run directory with trained heads."""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from heads.errors import HeadsError
from heads.fit import Epoch, OutOfFold, train_heads
from heads.folds import Folds, assign_folds
from heads.joining import Looks, join_duplicates
from heads.labels import LabelTable, load_labels, sites_from_pattern
from heads.metrics import mean_log_loss
from heads.recipe import EACH_SOURCE, HeadConfig, Recipe, RecipeError
from heads.run import RunDirectory
from store import FeatureReader, FeatureStore, Status
from store.digest import settings_digest
from store.ids import name_a_few
from store.key import FeatureKey

_LIBRARIES = ("trapline", "keras", "tensorflow", "numpy", "pandas", "scikit-learn")


class TrainError(HeadsError, ValueError):
    """The store, the labels and the run do not fit together."""


@dataclass(frozen=True, kw_only=True)
class NamedHead:
    """A head of the recipe on one source of the store.

    Attributes:
        name: what it is called in the run.
        config: its settings.
        key: the features that it reads.
    """

    name: str
    config: HeadConfig
    key: FeatureKey


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
    report: Callable[[str, Epoch], None] = lambda _name, _epoch: None,
) -> list[Trained]:
    """Train every head of `recipe` over folds, and write the run directory.

    A head that the run already holds is not trained again, so that a run that was stopped goes on where it was.

    Args:
        store: the cached features.
        labels_path: the label table.
        run: where everything is written.
        recipe: what is trained.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in the clip id, instead.
        allow_missing: leave out labelled clips that the store does not hold, instead of refusing.
        report: called after every epoch with the head's name.

    Returns:
        One entry a head, in the recipe's order.

    Raises:
        TrainError: the run was made with other settings, labels or features, or nothing can be trained.
        UnknownClipError: a labelled clip is not in the store.
    """
    heads = resolve_heads(recipe, store)
    readers = {head.key.folder: store.reader(head.key) for head in heads}
    facts = store.clips()
    labels = load_labels(labels_path, sites=sites)
    if site_pattern is not None:
        labels = labels.with_sites(sites_from_pattern(labels.ids, site_pattern), "--site-pattern")
    usable, set_aside = _usable_labels(labels, readers, allow_missing=allow_missing)
    folds = _make_folds(usable, facts, recipe)
    _begin(run, recipe, heads, usable, folds, set_aside)
    done = []
    for head in heads:
        if head.name in run.head_names():
            seconds, resumed = float(run.read_head(head.name)["seconds"]), True
        else:
            seconds, resumed = (
                _train_one(run, head, readers[head.key.folder], facts, usable, folds, recipe.seed, report),
                False,
            )
        loss = mean_log_loss(usable.values, run.read_oof(head.name).select(usable.ids).probabilities)
        done.append(Trained(name=head.name, mean_log_loss=loss, seconds=seconds, resumed=resumed))
    return done


def resolve_heads(recipe: Recipe, store: FeatureStore) -> list[NamedHead]:
    """The heads of `recipe` on the sources that `store` holds.

    Raises:
        RecipeError: two heads would have the same name, or the store is empty.
        StoreNotFoundError: a named source is not there, or may mean several keys.
    """
    held = store.keys()
    sources = sorted({key.source for key in held})
    if not sources:
        raise RecipeError(f"{store.root}: the store holds no features; run `featurize` first")
    heads = []
    for config in recipe.heads:
        for source in sources if config.sources == EACH_SOURCE else config.sources:
            key = store.find(source)
            heads.append(NamedHead(name=f"{config.kind}-{key.source}", config=config, key=key))
    names = [head.name for head in heads]
    if len(set(names)) < len(names):
        raise RecipeError(f"the recipe trains {name_a_few(sorted(names))} more than once; name each source once a kind")
    return heads


def _usable_labels(
    labels: LabelTable, readers: Mapping[str, FeatureReader], *, allow_missing: bool
) -> tuple[LabelTable, pd.DataFrame]:
    """The labelled clips that have frames under every key, and a table of those that are not OK somewhere."""
    known = set.intersection(*(set(reader.ids) for reader in readers.values()))
    if not allow_missing:
        labels.check_against(known)
    ids = [clip_id for clip_id in labels.ids if clip_id in known]
    if not ids:
        raise TrainError(
            f"{labels.origin}: none of the labelled clips is in the store; its paths must start where VIDEOS started"
        )
    failed: set[str] = set()
    rows = []
    for reader in readers.values():
        for place in reader.index_of(ids):
            status = reader.status[place]
            if status is not Status.OK:
                rows.append((reader.ids[place], reader.key.source, status.value, reader.reasons[place]))
            if reader.lengths[place] == 0:
                failed.add(reader.ids[place])
    usable = labels.select([clip_id for clip_id in ids if clip_id not in failed])
    return usable, pd.DataFrame(rows, columns=["clip_id", "source", "status", "reason"])


def _make_folds(labels: LabelTable, facts: pd.DataFrame, recipe: Recipe) -> Folds:
    """Folds that keep sites whole, and copies of one clip together."""
    fingerprints = facts.loc[list(labels.ids), "fingerprint"].tolist()
    groups = join_duplicates(labels.sites or labels.ids, fingerprints, Looks.from_clip_table(facts, labels.ids))
    return assign_folds(labels.values, groups, recipe.folds, recipe.seed, ids=labels.ids, classes=labels.classes)


def _begin(
    run: RunDirectory,
    recipe: Recipe,
    heads: Sequence[NamedHead],
    labels: LabelTable,
    folds: Folds,
    set_aside: pd.DataFrame,
) -> None:
    """Write what the heads are going to share, or make sure that the run was begun with just the same."""
    config = {
        "recipe": recipe.model_dump(mode="json"),
        "sources": {head.name: head.key.folder for head in heads},
        "labels_sha256": settings_digest([labels.ids, labels.classes, labels.values.tolist()]),
        "folds_sha256": settings_digest([folds.ids, folds.fold.tolist()]),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    if run.config_path.exists():
        _require_same(run, config)
        return
    run.write_labels(labels)
    run.write_folds(folds)
    run.write_clips(set_aside)
    run.write_config(config)


def _require_same(run: RunDirectory, config: Mapping[str, Any]) -> None:
    before = run.read_config()
    for part in ("recipe", "sources", "labels_sha256", "folds_sha256"):
        if before.get(part) != config[part]:
            raise TrainError(
                f"{run.path}: this run was begun with another {part.removesuffix('_sha256')}; "
                "name a new folder with --run, or delete this one"
            )


def _train_one(
    run: RunDirectory,
    head: NamedHead,
    reader: FeatureReader,
    facts: pd.DataFrame,
    labels: LabelTable,
    folds: Folds,
    seed: int,
    report: Callable[[str, Epoch], None],
) -> float:
    """Train one head and write it; its out-of-fold table comes last, since that is what says that it is whole."""
    trained: OutOfFold = train_heads(
        reader,
        facts,
        labels,
        folds,
        head.config,
        name=head.name,
        seed=seed,
        report=lambda epoch: report(head.name, epoch),
    )
    for number, part in enumerate(trained.folds):
        path = run.model_path(head.name, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        part.model.save(path)
    seconds = sum(part.seconds for part in trained.folds)
    run.write_head(
        head.name,
        {
            "source": head.key.to_json(),
            "settings": head.config.model_dump(mode="json"),
            "classes": list(labels.classes),
            "metadata": [part.metadata.model_dump(mode="json") for part in trained.folds],
            "prior": [part.prior.tolist() for part in trained.folds],
            "losses": [part.losses for part in trained.folds],
            "parameters": int(trained.folds[0].model.count_params()),
            "seconds": round(seconds, 2),
            "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
    )
    run.write_oof(head.name, trained.predictions)
    return seconds
