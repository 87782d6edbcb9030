"""The folders of a store and what names them: keys and their spec.json."""

import json
from pathlib import Path

from store.errors import CorruptPartError, StoreReadError, StoreWriteError
from store.format.commit import commit_bytes
from store.format.part_names import list_parts, names_in
from store.key import FeatureKey
from store.portable import sync_folder

SPEC = "spec.json"
# What systems put in any folder; they hide their other things by a dot.
_OF_SYSTEMS = frozenset({"lost+found", "System Volume Information", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini"})


def write_spec(folder: Path, key: FeatureKey) -> None:
    """Write the spec.json of `key` into its folder.

    Raises:
        StoreWriteError: the disk refused.
    """
    commit_bytes(folder / SPEC, json.dumps(key.to_json(), indent=2, ensure_ascii=False).encode())


def key_folders(root: Path) -> list[Path]:
    """The folders of keys in the store at `root`; one that a dead writer left with nothing in it is none."""
    folders = sorted(entry for entry in (root / "features").glob("*") if entry.is_dir())
    return [folder for folder in folders if (folder / SPEC).exists() or list_parts(folder)]


def things_in_the_way(root: Path) -> list[str]:
    """The names of what lies in the folder `root` if no store was begun there, but for what is hidden, sorted.

    A folder `clips` makes a store only by its parts: what else has that name may hold somebody's videos.

    Raises:
        StoreReadError: the machine refused to list it.
    """
    clips = root / "clips"
    if not root.is_dir() or (root / "features").is_dir() or (clips.is_dir() and list_parts(clips)):
        return []
    return sorted(name for name in names_in(root) if not name.startswith(".") and name not in _OF_SYSTEMS)


def make_folder(path: Path) -> None:
    """Make `path` and the folders above it, durably.

    Raises:
        StoreWriteError: the disk refused.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreWriteError(
            f"{path}: could not be made ({error.strerror}); restore access, then try again"
        ) from error


def read_spec(folder: Path) -> FeatureKey:
    """The key of a key's folder, from its spec.json.

    Raises:
        CorruptPartError: spec.json is missing, damaged, or belongs to another folder.
    """
    path = folder / SPEC
    try:
        key = FeatureKey.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise CorruptPartError(f"{path}: is missing; run `store repair`") from error
    except OSError as error:
        raise StoreReadError(f"{path}: could not be read ({error.strerror}); restore access and try again") from error
    except (ValueError, CorruptPartError) as error:
        raise CorruptPartError(f"{path}: is damaged ({error}); run `store repair`") from error
    if key.folder != folder.name:
        raise CorruptPartError(f"{path}: describes {key.folder}, expected {folder.name}; run `store repair`")
    return key
