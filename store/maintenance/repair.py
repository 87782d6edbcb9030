"""Repairing: damaged files are set aside, never deleted, so that the next run redoes just what they held."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from store.errors import CorruptPartError, StoreWriteError
from store.featurestore import FeatureStore
from store.files import remove_abandoned
from store.format.background_part import BACKGROUNDS
from store.format.commit import commit_bytes
from store.format.layout import SPEC, make_folder, write_spec
from store.format.part_names import list_parts
from store.maintenance.verify import Problem, part_key, verify_store
from store.portable import sync_folder

QUARANTINE = "quarantine"


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What repairing did.

    Attributes:
        quarantined: (from, to, why) of files that were set aside.
        restored: spec files that were written again from what the parts say.
        removed: temporary files of dead writers.
        unresolved: problems that need a person, such as a file that may not be read.
    """

    quarantined: list[tuple[Path, Path, str]]
    restored: list[Path]
    removed: list[Path]
    unresolved: list[Problem]


def repair_store(store: FeatureStore, progress: Callable[[Path], None] = lambda path: None) -> Repair:
    """Verify the store and set aside what is damaged; whatever it held is missing afterwards and will be redone.

    Raises:
        StoreWriteError: a file could not be moved.
    """
    problems = verify_store(store.root, progress).problems
    damaged = [problem for problem in problems if problem.damaged]
    quarantined = [
        (problem.path, _set_aside(store.root, problem), problem.problem) for problem in damaged if problem.path.exists()
    ]
    folders = [problem.path.parent for problem in damaged if problem.path.name == SPEC]
    restored = [path for path in map(_restore_spec, folders) if path is not None]
    folders_of = [folder for kind in ("features", BACKGROUNDS) for folder in sorted((store.root / kind).glob("*/"))]
    everywhere = [store.root / "clips", *folders_of]
    return Repair(
        quarantined=quarantined,
        restored=restored,
        removed=[path for folder in everywhere for path in remove_abandoned(folder)],
        unresolved=[problem for problem in problems if not problem.damaged],
    )


def _set_aside(root: Path, problem: Problem) -> Path:
    """Move a damaged file to the same place below `quarantine/`, with a note of what is wrong beside it."""
    target = root / QUARANTINE / problem.path.relative_to(root)
    make_folder(target.parent)
    commit_bytes(target.with_name(target.name + ".txt"), f"{problem.problem}\n".encode())
    try:
        problem.path.replace(target)
        sync_folder(target.parent)
        sync_folder(problem.path.parent)
    except OSError as error:
        raise StoreWriteError(f"{problem.path}: could not be moved to {target} ({error}); restore access") from error
    return target


def _restore_spec(folder: Path) -> Path | None:
    """Write the folder's spec.json from the first of its parts that belongs there; None if none does."""
    for name in list_parts(folder):
        try:
            key = part_key(folder / name)
        except CorruptPartError:
            continue  # it would have been set aside, had it been readable when the store was verified
        if key.folder == folder.name:
            write_spec(folder, key)
            return folder / SPEC
    return None
