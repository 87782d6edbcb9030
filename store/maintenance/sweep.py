"""Sweeping: which keys no recipe wants, and what of the cache nobody misses; and removing them."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from store.cache import bytes_of, cached_files, remove_files, useless_files
from store.errors import ConfigError, StoreNotFoundError, StoreWriteError
from store.featurestore import FeatureStore
from store.key import FeatureKey
from store.portable import sync_folder

_EVERY_SOURCE = "each"
_DOOMED = ".removed-"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What can go from a store.

    Attributes:
        keys: features that nobody wants.
        files: of the cache, that nobody misses.
        cache_bytes: size of the whole cache.
        useless_bytes: size of `files`.
    """

    keys: list[FeatureKey]
    files: list[Path]
    cache_bytes: int
    useless_bytes: int

    @property
    def is_worth_it(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.keys or self.files)


def wanted_sources(recipes: Iterable[Path]) -> set[str]:
    """The names of the sources that the recipes want, as they are written there; "each" stands for all.

    A head that names no sources wants each, and so does a recipe without heads. What a head leaves out by `without` or
    `view` is wanted all the same: features that are kept in vain can be removed later. Of the `config.yaml` of a run,
    it is the features that its heads read.

    Raises:
        ConfigError: a file cannot be read, or is no recipe.
    """
    return {name for path in recipes for name in _names_in(path)}


def unwanted_keys(store: FeatureStore, wanted: Iterable[str]) -> list[FeatureKey]:
    """The keys of the store that none of `wanted` may mean; names are read as `FeatureStore.find` reads them.

    Raises:
        StoreNotFoundError: a name means nothing here, so nobody knows what it was to keep.
    """
    names = set(wanted)
    kept = {key.folder for name in names - {_EVERY_SOURCE} for key in _meant(store, name)}
    return [] if _EVERY_SOURCE in names else [key for key in store.keys() if key.folder not in kept]


def plan_sweep(store: FeatureStore, wanted: Iterable[str], unused_days: float) -> Sweep:
    """What can go: `unwanted_keys`, and what of the cache comes from these or was not used for so many days.

    Raises:
        StoreNotFoundError: one of `wanted` means nothing here.
    """
    unwanted = unwanted_keys(store, wanted)
    kept = {key.folder for key in store.keys()} - {key.folder for key in unwanted}
    files = useless_files(store.root, kept, unused_days)
    return Sweep(
        keys=unwanted, files=files, cache_bytes=bytes_of(cached_files(store.root)), useless_bytes=bytes_of(files)
    )


def carry_out(store: FeatureStore, plan: Sweep) -> int:
    """Remove what `plan` names; how many bytes of the cache went.

    Raises:
        StoreWriteError: the disk refused.
    """
    for key in plan.keys:
        remove_key(store, key)
    return remove_files(store.root, plan.files)


def remove_key(store: FeatureStore, key: FeatureKey) -> None:
    """Delete all parts of `key`; first the folder is renamed, so that a half-deleted one is never read.

    What an earlier removal left when it was interrupted goes too.

    Raises:
        StoreWriteError: the disk refused.
    """
    folder = store.folder(key)
    doomed = store.root / f"{_DOOMED}{folder.name}"
    try:
        for leftover in store.root.glob(f"{_DOOMED}*"):
            shutil.rmtree(leftover)
        folder.replace(doomed)
        sync_folder(folder.parent)
        shutil.rmtree(doomed)
    except OSError as error:
        raise StoreWriteError(f"{folder}: could not be removed ({error}); restore access and try again") from error


def _meant(store: FeatureStore, name: str) -> list[FeatureKey]:
    keys = store.meant(name)
    if not keys:
        held = ", ".join(f"{key.source} ({key.folder})" for key in store.keys()) or "none"
        raise StoreNotFoundError(
            f"{store.root}: {name!r} is to be kept, but there are no such features, there are: {held}; nothing is "
            "removed: correct the name"
        )
    return keys


def _names_in(path: Path) -> list[str]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError) as error:  # YAML has dates, which may be those of no calendar
        told = " ".join(str(error).split())
        raise ConfigError(f"{path}: cannot be read as YAML ({told}); name a recipe") from error
    if settings is None:
        return [_EVERY_SOURCE]
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, received {settings!r}; name a recipe")
    if "recipe" in settings:
        return _names_in_run(settings.get("sources"), path)
    heads = settings.get("heads") or [{}]
    if not isinstance(heads, list) or not all(isinstance(head, dict) for head in heads):
        raise ConfigError(f"{path}: heads: expected a list of heads, received {heads!r}; name a recipe")
    return [name for head in heads for name in _names_in_head(head.get("sources"), path)]


def _names_in_head(sources: Any, path: Path) -> list[str]:
    if sources is None:
        return [_EVERY_SOURCE]
    if isinstance(sources, str):
        return [sources]
    if not isinstance(sources, list) or not sources or not all(isinstance(name, str) for name in sources):
        raise ConfigError(f"{path}: sources: expected `each` or a list of names, received {sources!r}; correct it")
    return sources


def _names_in_run(sources: Any, path: Path) -> list[str]:
    if not isinstance(sources, dict) or not sources:
        raise ConfigError(f"{path}: sources: expected the folders that each head reads, received {sources!r}")
    return [name for folders in sources.values() for name in _names_in_head(folders, path)]
