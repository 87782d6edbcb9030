"""Quantised networks in a store: files that never change, and which of them new clips are run through.

A network is `networks/NAME-<first 12 hex digits of its sha256>.zip`. What was asked for when it was made is digested to
an order, and `networks/NAME-<order>.json` says which network stands for that order in this store, from then on.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from store.digest import file_sha256
from store.errors import CorruptPartError, StoreReadError, StoreWriteError
from store.files import remove_abandoned, temporary_name
from store.format.layout import make_folder
from store.portable import sync_folder

FOLDER = "networks"
_DIGEST_CHARS = 12
_ENDING = ".zip"


def network_folder(root: Path) -> Path:
    """Where the store at `root` keeps its quantised networks."""
    return root / FOLDER


def list_networks(folder: Path) -> list[Path]:
    """The networks in a folder, and what says which of them stands for which order."""
    return [path for path in sorted(folder.glob("*")) if path.suffix in (_ENDING, ".json") and path.name[0] != "."]


def find_network(folder: Path, sha256: str) -> Path | None:
    """The network of that digest in a folder, None if there is none."""
    return next(iter(sorted(folder.glob(f"*-{sha256[:_DIGEST_CHARS]}{_ENDING}"))), None)


def chosen_network(folder: Path, order: str) -> str | None:
    """The sha256 of the network that stands for an order in a folder, None if none does yet.

    Args:
        folder: of networks.
        order: NAME and the digest of what was asked for.

    Raises:
        CorruptPartError: what says so is damaged.
        StoreReadError: it cannot be read.
    """
    path = folder / f"{order}.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreReadError(f"{path}: could not be read ({error.strerror}); restore access and try again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptPartError(
            f"{path}: does not say which network is meant ({error}); put a copy of it back, or remove it to have the "
            "network quantised anew, for features of their own"
        ) from error


def require_whole(path: Path) -> None:
    """Raise CorruptPartError unless a file of the folder of networks is what its name promises.

    Raises:
        StoreReadError: it cannot be read.
    """
    if path.suffix != _ENDING:
        chosen_network(path.parent, path.stem)
        return
    try:
        sha256 = file_sha256(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreReadError(f"{path}: could not be read ({error}); restore access and try again") from error
    if not path.stem.endswith(f"-{sha256[:_DIGEST_CHARS]}"):
        raise CorruptPartError(
            f"{path}: its bytes are not those that were written (sha256 {sha256[:12]}...); run `store repair`, and put "
            "a copy of it back"
        )


def add_network(folder: Path, name: str, write: Callable[[Path], object]) -> str:
    """Keep a network that `write` writes to the path it is given: its sha256. Nothing changes if it is there already.

    Raises:
        StoreWriteError: the disk refused; nothing was kept.
    """
    with _told_of(folder):
        make_folder(folder)
        remove_abandoned(folder)
        with _temporary(folder) as temporary:
            write(temporary)
            sha256 = file_sha256(temporary)
            target = folder / f"{name}-{sha256[:_DIGEST_CHARS]}{_ENDING}"
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            if not target.exists() or file_sha256(target) != sha256:
                temporary.replace(target)
                sync_folder(folder)
    return sha256


def choose_network(folder: Path, order: str, sha256: str) -> str:
    """Let a network stand for an order, unless one does already: the sha256 of the one that does from now on.

    Raises:
        StoreWriteError: the disk refused.
    """
    path = folder / f"{order}.json"
    with _told_of(folder), _temporary(folder) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({"sha256": sha256}, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename it fails where another process was first
        except FileExistsError:
            pass
        except (OSError, NotImplementedError):  # no hard links here
            if not path.exists():
                temporary.replace(path)
        sync_folder(folder)
    return chosen_network(folder, order) or sha256


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    path = folder / temporary_name()
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreWriteError):
            raise
        raise StoreWriteError(
            f"{folder}: a quantised network could not be written there ({error.strerror or error}); make space or "
            "restore access, then try again"
        ) from error
