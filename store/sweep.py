"""Sweeping: which keys no recipe wants, and removing them."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from store.commit import sync_folder
from store.errors import ConfigError, StoreWriteError
from store.featurestore import FeatureStore
from store.key import FeatureKey

_EVERY_SOURCE = "each"
_DOOMED = ".removed-"


def wanted_sources(recipes: Iterable[Path]) -> set[str]:
    """The source names under every `sources` setting of the recipes; "each" stands for all.

    Raises:
        ConfigError: a recipe cannot be read or names no sources.
    """
    wanted: set[str] = set()
    for path in recipes:
        try:
            settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as YAML ({error}); name a recipe") from error
        found = set(_sources(settings))
        if not found:
            raise ConfigError(f"{path}: has no `sources` setting, so everything would be removed; name a recipe")
        wanted |= found
    return wanted


def unwanted_keys(store: FeatureStore, wanted: Iterable[str]) -> list[FeatureKey]:
    """The keys of the store that none of `wanted` (source names, or whole folder names) means."""
    names = set(wanted)
    if _EVERY_SOURCE in names:
        return []
    keys = store.keys()
    return [key for key in keys if key.source not in names and key.folder not in names]


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


def _sources(settings: Any) -> Iterator[str]:
    if isinstance(settings, dict):
        for name, value in settings.items():
            if name == "sources":
                yield from [value] if isinstance(value, str) else [str(each) for each in value]
            else:
                yield from _sources(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _sources(value)
