"""Sweeping: which keys no recipe wants, and what nothing that is kept comes from or goes by; and removing them."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from store.cache import bytes_of, cached_files, remove_files, useless_files
from store.errors import ConfigError, StoreNotFoundError, StoreWriteError
from store.featurestore import FeatureStore
from store.format.background_part import BACKGROUNDS, background_folder, background_part_of
from store.format.network_file import chosen_network, find_network, list_networks, network_folder
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
        orphans: folders of backgrounds and files of quantised networks that no features go back to but those of `keys`.
        cache_bytes: size of the whole cache.
        useless_bytes: size of `files`.
    """

    keys: list[FeatureKey]
    files: list[Path]
    orphans: list[Path]
    cache_bytes: int
    useless_bytes: int

    @property
    def is_worth_it(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.keys or self.files or self.orphans)


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
    gone = {key.folder for key in unwanted}
    kept = [key for key in store.keys() if key.folder not in gone]
    files = useless_files(store.root, {key.folder for key in kept}, unused_days)
    return Sweep(
        keys=unwanted,
        files=files,
        orphans=orphans(store, kept),
        cache_bytes=bytes_of(cached_files(store.root)),
        useless_bytes=bytes_of(files),
    )


def orphans(store: FeatureStore, kept: Iterable[FeatureKey]) -> list[Path]:
    """Folders of backgrounds and files of quantised networks that none of the `kept` keys goes back to."""
    keys = list(kept)
    seen_against = {key_backgrounds(store, key) for key in keys}
    folders = [folder for folder in sorted((store.root / BACKGROUNDS).glob("*/")) if folder not in seen_against]
    networks = network_folder(store.root)
    ran = {find_network(networks, key.quantised) for key in keys if key.quantised}
    chosen = {path: chosen_network(networks, path.stem) for path in networks.glob("*.json")}
    files = [path for path in list_networks(networks) if path.suffix == ".zip" and path not in ran]
    files += [path for path, sha256 in chosen.items() if find_network(networks, sha256 or "-") in (None, *files)]
    return [*folders, *files]


def key_backgrounds(store: FeatureStore, key: FeatureKey) -> Path | None:
    """The folder of what the clips of a key were seen against; None under views that compare no clips."""
    settings = background_part_of(key.view)
    return background_folder(store.root, settings) if settings else None


def compared_keys(store: FeatureStore) -> list[FeatureKey]:
    """The keys whose views compare clips with others of their camera."""
    return [key for key in store.keys() if key_backgrounds(store, key) is not None]


def forget_backgrounds(store: FeatureStore) -> list[FeatureKey]:
    """Remove what clips are seen against, and the features of views that go by it: these keys.

    The features go first: whoever is interrupted in between has lost them, and nothing that is there is wrong.

    Raises:
        StoreWriteError: the disk refused.
    """
    keys = compared_keys(store)
    for key in keys:
        remove_key(store, key)
    for folder in sorted((store.root / BACKGROUNDS).glob("*/")):
        _remove(store, folder)
    return keys


def carry_out(store: FeatureStore, plan: Sweep) -> int:
    """Remove what `plan` names; how many bytes of the cache went.

    Raises:
        StoreWriteError: the disk refused.
    """
    for key in plan.keys:
        remove_key(store, key)
    for path in plan.orphans:
        _remove(store, path)
    return remove_files(store.root, plan.files)


def remove_key(store: FeatureStore, key: FeatureKey) -> None:
    """Delete all parts of `key`; first the folder is renamed, so that a half-deleted one is never read.

    What an earlier removal left when it was interrupted goes too.

    Raises:
        StoreWriteError: the disk refused.
    """
    _remove(store, store.folder(key))


def _remove(store: FeatureStore, folder: Path) -> None:
    doomed = store.root / f"{_DOOMED}{folder.name}"
    try:
        for leftover in store.root.glob(f"{_DOOMED}*"):
            _delete(leftover)
        folder.replace(doomed)
        sync_folder(folder.parent)
        _delete(doomed)
    except OSError as error:
        raise StoreWriteError(f"{folder}: could not be removed ({error}); restore access and try again") from error


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


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
