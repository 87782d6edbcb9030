"""FeatureStore: a directory of immutable parts, and what can be asked of it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from store.access.index import FeatureIndex, PartCache, build_index
from store.access.reader import FeatureReader
from store.access.writer import PartWriter, facts_writer, feature_writer
from store.cache import cache_folder
from store.errors import StoreNotFoundError
from store.format.background_part import background_folder, encode_backgrounds, load_background_part
from store.format.classifier_file import CLASSIFIER, Classifier, read_classifier, write_classifier
from store.format.clip_part import ClipPart, load_clip_part
from store.format.columns import STATUS_CODES
from store.format.commit import commit_part
from store.format.feature_part import FeaturePart, load_feature_part
from store.format.layout import SPEC, key_folders, make_folder, read_spec, things_in_the_way, write_spec
from store.format.part_names import list_parts, new_part_name
from store.ids import name_a_few
from store.key import FeatureKey, distinguish
from store.records import ClipFacts, ClipFeatures, SeenAgainst, Status

if TYPE_CHECKING:
    import pandas as pd

CLIPS_PER_PART = 256
MAX_SECONDS = 60.0
_WORTH_A_RETRY = [STATUS_CODES[Status.FAILED], STATUS_CODES[Status.PARTIAL]]


@dataclass(frozen=True, kw_only=True)
class KeyInfo:
    """What a store holds under one key.

    Attributes:
        clips: clips with a row.
        frames: frames of these.
        bytes: size of the part files.
        parts: number of part files.
        statuses: number of clips by status; every status is there.
        superseded: rows that no longer count.

    Example:
        for key in store.keys():
            print(key.source, store.info(key).clips, store.info(key).statuses)
    """

    clips: int
    frames: int
    bytes: int
    parts: int
    statuses: Mapping[Status, int]
    superseded: int


class FeatureStore:
    """A store at a directory; open it with `FeatureStore.open`.

    Example:
        >>> import tempfile
        >>> store = FeatureStore.open(tempfile.mkdtemp(), create=True)
        >>> store.keys(), len(store.clips())
        ([], 0)
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._features: dict[str, PartCache[FeaturePart]] = {}
        self._clips: PartCache[ClipPart] = PartCache(root / "clips", load_clip_part)
        self._clip_table: tuple[list[Path], pd.DataFrame] | None = None

    @classmethod
    def open(cls, root: Path | str, create: bool = False) -> "FeatureStore":
        """The store at `root`; with `create`, an empty one is made if there is none.

        Raises:
            StoreNotFoundError: there is no store there, and `create` is not set; or there is a file, or a folder of
                other things.
        """
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(root)) and not Path(root).exists():
            raise StoreNotFoundError(
                f"{root}: a store lies on a disk of this machine, since its files are mapped and locked; name a local "
                "folder (clips may lie behind a URL), and copy or `store merge` the store from there"
            )
        root = Path(root)
        if root.is_file():
            raise StoreNotFoundError(
                f"{root}: is a file, and a store is a folder; name a new folder, or one of a store"
            )
        if create:
            others = things_in_the_way(root)
            if others:
                raise StoreNotFoundError(
                    f"{root}: is no store, and holds other things ({name_a_few(others)}); name a new folder, an "
                    "empty one, or one of a store"
                )
            make_folder(root / "features")
            make_folder(root / "clips")
        elif not (root / "features").is_dir() and not (root / "clips").is_dir():
            raise StoreNotFoundError(
                f"{root}: there is no store here (expected folders `features` and `clips`); "
                "check --store, or make one with `featurize`"
            )
        return cls(root)

    def keys(self) -> list[FeatureKey]:
        """The keys of the store, by folder name.

        Raises:
            CorruptPartError: a key's spec.json is damaged.
        """
        return [read_spec(folder) for folder in key_folders(self.root)]

    def find(self, source: str, among: Sequence[FeatureKey] | None = None) -> FeatureKey:
        """The one key that `source` means: a key's source name, or its folder name or the beginning of it.

        Args:
            source: the name.
            among: the keys that may be meant; all of the store if None.

        Raises:
            StoreNotFoundError: none or several fit; they are named, and what tells them apart.
        """
        fits = self.meant(source, among)
        if len(fits) == 1:
            return fits[0]
        if fits:
            told = distinguish(fits)
            names = ", ".join(f"{key.folder} ({told[key.folder]})" for key in fits)
            raise StoreNotFoundError(
                f"{self.root}: {source!r} may mean {names}; give the folder name of one of them (to `heads train` by "
                f"--features, which takes settings too: --features '{told[fits[0].folder]}')"
            )
        names = ", ".join(f"{key.source} ({key.folder})" for key in self.keys()) or "none"
        raise StoreNotFoundError(
            f"{self.root}: there are no features {source!r}; there are: {names}; featurize it first"
        )

    def meant(self, source: str, among: Sequence[FeatureKey] | None = None) -> list[FeatureKey]:
        """The keys that `source` may mean, as `find` reads it; none if it means nothing here."""
        keys = self.keys() if among is None else among
        return (
            [key for key in keys if key.folder == source]
            or [key for key in keys if key.source == source]
            or [key for key in keys if source and key.folder.startswith(source)]
        )

    def info(self, key: FeatureKey) -> KeyInfo:
        """What the store holds under `key`."""
        index = self.index(key)
        rows = sum(len(part.clip_ids) for part in index.parts)
        counts = Counter(index.statuses)
        return KeyInfo(
            clips=len(index.ids),
            frames=int(index.lengths.sum()),
            bytes=sum(part.size_bytes for part in index.parts),
            parts=len(index.parts),
            statuses={status: counts[status] for status in Status},
            superseded=rows - len(index.ids),
        )

    def missing(self, key: FeatureKey, clips: Mapping[str, str], *, retry_failed: bool = False) -> list[str]:
        """Which of `clips` (fingerprint by id) have no row of that content, in the order given.

        Failed and partial rows count as present unless `retry_failed`: either may have been the machine's fault.
        """
        index = self.index(key)
        usable = ~np.isin(index.codes, _WORTH_A_RETRY) if retry_failed else np.ones(len(index.ids), dtype=bool)
        present = {
            clip_id: fingerprint
            for clip_id, fingerprint, counts in zip(index.ids, index.fingerprints, usable.tolist(), strict=True)
            if counts
        }
        return [clip_id for clip_id, fingerprint in clips.items() if present.get(clip_id) != fingerprint]

    def writer(
        self, key: FeatureKey, *, clips_per_part: int = CLIPS_PER_PART, max_seconds: float = MAX_SECONDS
    ) -> PartWriter[ClipFeatures]:
        """A writer of features of `key`; use it in a `with` statement.

        Args:
            key: what the features are; its folder is made if it is new.
            clips_per_part: rows after which a part is committed.
            max_seconds: seconds after which a part is committed, looked at when a row is added.
        """
        folder = self.make_folder_of(key)
        return feature_writer(folder, key, clips_per_part=clips_per_part, max_seconds=max_seconds)

    def clip_writer(
        self, *, clips_per_part: int = CLIPS_PER_PART, max_seconds: float = MAX_SECONDS
    ) -> PartWriter[ClipFacts]:
        """A writer of clip facts; use it in a `with` statement."""
        make_folder(self.root / "clips")
        return facts_writer(self.root / "clips", clips_per_part=clips_per_part, max_seconds=max_seconds)

    def clips(self) -> "pd.DataFrame":
        """The clip table: one row a clip, indexed by `clip_id` (sorted), a column a field of ClipFacts."""
        from store.access.clip_table import clip_table

        parts = self.clip_parts()
        paths = [part.path for part in parts]
        known = self._clip_table  # parts never change, so that the same ones are the same table
        if known is None or known[0] != paths:
            known = self._clip_table = paths, clip_table(parts)
        return known[1].copy(deep=False)

    def clip_parts(self) -> list[ClipPart]:
        """The parts of the clip table, oldest first."""
        return self._clips.parts()

    def backgrounds(self, settings: Mapping[str, Any]) -> dict[str, SeenAgainst]:
        """What clips are seen against, by fingerprint; of several rows of one clip the oldest counts, for ever.

        Args:
            settings: what decides about it.
        """
        folder = background_folder(self.root, settings)
        found: dict[str, SeenAgainst] = {}
        for name in list_parts(folder):
            for row in load_background_part(folder / name):
                found.setdefault(row.fingerprint, row)
        return found

    def add_backgrounds(self, settings: Mapping[str, Any], rows: Sequence[SeenAgainst]) -> None:
        """Write down, as one part, what some clips are seen against.

        Raises:
            StoreWriteError: the disk refused; nothing was written.
        """
        folder = background_folder(self.root, settings)
        make_folder(folder)
        commit_part(folder / new_part_name(folder), encode_backgrounds(settings, rows))

    def has_classifier(self, key: FeatureKey) -> bool:
        """Whether it is kept what the network of `key` itself takes frames for."""
        return (self.folder(key) / CLASSIFIER).exists()

    def add_classifier(self, key: FeatureKey, classifier: Classifier) -> None:
        """Keep what the network of `key` itself takes frames for, beside its features.

        Raises:
            StoreWriteError: the disk refused; nothing was written.
        """
        write_classifier(self.make_folder_of(key), classifier)

    def reader(self, key: FeatureKey) -> FeatureReader:
        """A reader of the features of `key`, as they are now.

        Raises:
            StoreNotFoundError: the store has nothing under this key.
        """
        if not self.folder(key).is_dir():
            raise StoreNotFoundError(f"{self.root}: there are no features {key.folder}; featurize them first")
        return FeatureReader(
            key,
            self.index(key),
            lambda: self.index(key),
            cache_folder(self.root, key.digest),
            lambda: read_classifier(self.folder(key)),
        )

    def index(self, key: FeatureKey) -> FeatureIndex:
        """Which rows count under `key`, and where they are, as of now."""
        cache = self._features.get(key.folder)
        if cache is None:
            cache = self._features[key.folder] = PartCache(self.folder(key), lambda path: load_feature_part(path, key))
        return build_index(cache.parts())

    def folder(self, key: FeatureKey) -> Path:
        """The folder of `key`'s parts."""
        return self.root / "features" / key.folder

    def make_folder_of(self, key: FeatureKey) -> Path:
        """The folder of `key`'s parts, which is made, and says what the key is, if it is new.

        Raises:
            StoreWriteError: the disk refused.
        """
        folder = self.folder(key)
        if not (folder / SPEC).exists():
            make_folder(folder)
            write_spec(folder, key)
        return folder
