"""Merging: the parts of several stores in one, as if one machine had made them all.

A part never changes, has a name of its own in the world, and says all that is needed to read it: so it is linked or
copied as it is, and a merge that was stopped goes on where it was.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from store.errors import StoreRequestError, StoreWriteError
from store.featurestore import FeatureStore
from store.files import atomic_path
from store.format.classifier_file import CLASSIFIER
from store.format.layout import make_folder
from store.format.network_file import list_networks, network_folder
from store.format.part_names import list_parts
from store.ids import counted, name_a_few
from store.key import FeatureKey
from store.portable import sync_folder


@dataclass(frozen=True, kw_only=True)
class Merge:
    """What merging did.

    Attributes:
        parts: parts that were linked or copied.
        present: parts that were there already.
        clips: clips that the merged store knows now.
        bytes: size of the parts that were copied; those that were linked take no room of their own.
    """

    parts: int
    present: int
    clips: int
    bytes: int


def merge_stores(sources: Sequence[FeatureStore], into: FeatureStore, *, copy: bool = False) -> Merge:
    """Put the parts of `sources` into a store, which may hold some already; the sources stay as they are.

    Args:
        sources: the stores to merge.
        into: the store to merge into.
        copy: copy the files, instead of hard links to them, which need one disk; where these are not to be had, files
            are copied anyway.

    Raises:
        StoreRequestError: stores know different contents under one clip id, or keep the same features in different
            number formats; or a store is to go into itself.
        CorruptPartError: a part is damaged.
        StoreWriteError: the disk refused; what was merged stays, and the same call goes on from there.
    """
    if any(source.root.resolve() == into.root.resolve() for source in sources):
        raise StoreRequestError(f"{into.root}: a store cannot be merged into itself; name another with --into")
    _require_one_content_each([into, *sources])
    _require_alike_stored([into, *sources])
    counts = {True: 0, False: 0}
    copied = 0
    # Facts go before features: a clip whose facts are missing is done again.
    for here, there in [*_clip_folders(sources, into), *_key_folders(sources, into)]:
        present = set(list_parts(there))
        for name in list_parts(here):
            counts[name in present] += 1
            if name not in present:
                copied += _place(here / name, there / name, copy=copy)
        if (here / CLASSIFIER).exists() and not (there / CLASSIFIER).exists():
            copied += _place(here / CLASSIFIER, there / CLASSIFIER, copy=copy)
        try:
            sync_folder(there)
        except OSError as error:
            raise StoreWriteError(f"{there}: could not be synchronised ({error}); restore access") from error
    copied += sum(_add_networks(network_folder(source.root), network_folder(into.root), copy) for source in sources)
    return Merge(parts=counts[False], present=counts[True], clips=len(into.clips()), bytes=copied)


def _require_one_content_each(stores: Sequence[FeatureStore]) -> None:
    """Raise StoreRequestError, naming clips and stores, if two stores know different contents of one clip id."""
    seen: dict[str, tuple[str, Path]] = {}
    apart: list[str] = []
    pair: tuple[Path, Path] | None = None
    for store in stores:
        table = store.clips()
        for clip_id, fingerprint in table["fingerprint"][table["fingerprint"] != ""].items():
            before, root = seen.setdefault(str(clip_id), (str(fingerprint), store.root))
            if before != fingerprint:
                apart.append(str(clip_id))
                pair = pair or (root, store.root)
    if pair is not None:
        raise StoreRequestError(
            f"{pair[0]} and {pair[1]}: {counted(len(apart), 'name')} of clips with different contents: "
            f"{name_a_few(apart)}; featurize them from folders that give them different names, or merge only "
            "one of these stores"
        )


def _require_alike_stored(stores: Sequence[FeatureStore]) -> None:
    """Raise StoreRequestError if two stores have the same features in different number formats: each of these would be
    of a part of the clips only.
    """
    seen: dict[str, tuple[dict[str, FeatureKey], Path]] = {}
    for store in stores:
        own: dict[str, dict[str, FeatureKey]] = {}
        for key in store.keys():
            own.setdefault(replace(key, dtype="").digest, {})[key.dtype] = key
        for digest, formats in own.items():
            before, root = seen.setdefault(digest, (formats, store.root))
            if set(before) != set(formats):
                one, other = (" and ".join(key.folder for key in each.values()) for each in (before, formats))
                raise StoreRequestError(
                    f"{root} holds {next(iter(before.values())).source} as {' and '.join(before)} ({one}), and "
                    f"{store.root} as {' and '.join(formats)} ({other}): no clip would have both; featurize one of "
                    "them anew with the --store-precision of the other, or merge only one of these stores"
                )


def _clip_folders(sources: Sequence[FeatureStore], into: FeatureStore) -> Iterator[tuple[Path, Path]]:
    make_folder(into.root / "clips")
    for source in sources:
        yield source.root / "clips", into.root / "clips"


def _key_folders(sources: Sequence[FeatureStore], into: FeatureStore) -> Iterator[tuple[Path, Path]]:
    for source in sources:
        for key in source.keys():
            yield source.folder(key), into.make_folder_of(key)


def _add_networks(here: Path, there: Path, copy: bool) -> int:
    """Put the quantised networks of one store into another, where those it has stay: how many bytes were copied."""
    found = list_networks(here)
    if not found:
        return 0
    make_folder(there)
    return sum(_place(path, there / path.name, copy=copy) for path in found if not (there / path.name).exists())


def _place(source: Path, target: Path, *, copy: bool) -> int:
    """Link `source` as `target`, or copy it, whole or not at all: how many bytes were copied."""
    if not copy:
        with contextlib.suppress(OSError, NotImplementedError):
            os.link(source, target)
            return 0
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        return target.stat().st_size
    except OSError as error:
        raise StoreWriteError(
            f"{target}: could not be written ({error.strerror or error}); make space or restore access, then run the "
            "same command again: what was merged stays"
        ) from error
