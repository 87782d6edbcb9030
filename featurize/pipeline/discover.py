"""Finds the clips below the folders (or among the files) that a person names."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from featurize.decoding.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from featurize.errors import SourceError
from store.ids import clip_id_from_path, name_a_few, require_unique, writable


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A file that is going to be decoded.

    Attributes:
        clip_id: its path relative to the root that was named.
        path: where it is.
        size_bytes: file size.
        mtime_ns: modification time in nanoseconds.
    """

    clip_id: str
    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found below the folders that were named.

    Attributes:
        clips: the clips, sorted by id.
        unlisted: (folder, reason) of each folder below them that could not be looked into.
    """

    clips: tuple[Clip, ...]
    unlisted: tuple[tuple[str, str], ...]


def survey(roots: Sequence[Path]) -> Found:
    """All clips below `roots`, sorted by id, and the folders that cannot be listed; a root may also be a single file.

    Hidden files and folders (their name starts with a dot) are passed over: cameras and operating systems leave
    half-files like `._IMG_0001.AVI` there.

    Raises:
        SourceError: a root does not exist or cannot be read, or there is no clip below any of them.
        DuplicateClipError: two roots give the same id.
    """
    clips: list[Clip] = []
    unlisted: list[OSError] = []
    for root in roots:
        _require_readable(root)
        clips += [_describe(path, root) for path in _files(root, unlisted)]
    if not clips:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))
        where = f"; {len(unlisted)} folders could not be listed" if unlisted else ""
        raise SourceError(
            f"{name_a_few(map(str, roots))}: no clip found there, expected files that end in {suffixes}{where}"
        )
    clips.sort(key=lambda clip: clip.clip_id)
    require_unique([clip.clip_id for clip in clips], "the folders that were named")
    reasons = ((writable(str(error.filename)), f"the folder cannot be listed: {error.strerror}") for error in unlisted)
    return Found(clips=tuple(clips), unlisted=tuple(sorted(reasons)))


def _require_readable(root: Path) -> None:
    try:
        if not root.exists():
            raise SourceError(f"{root}: there is no such file or folder; name the folder that holds the clips")
        if not root.is_file():
            os.scandir(root).close()
    except OSError as error:
        raise SourceError(
            f"{root}: cannot be read ({error.strerror}); restore access, or name another folder that holds clips"
        ) from error


def _files(root: Path, unlisted: list[OSError]) -> Iterator[Path]:
    """The clips' files below `root`; the errors of folders that cannot be listed go to `unlisted`."""
    if root.is_file():
        yield root
        return
    seen = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=unlisted.append):
        seen.add(os.path.realpath(folder))
        # A link that leads back to a folder above it would be walked for ever.
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith(".") and os.path.realpath(Path(folder, name)) not in seen
        )
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
                yield path


def _describe(path: Path, root: Path) -> Clip:
    """The clip at `path`; one that cannot be stated (a dangling link) has size -1 and fails when it is decoded."""
    clip_id = clip_id_from_path(path, root.parent if root.is_file() else root)
    try:
        stat = path.stat()
    except OSError:
        return Clip(clip_id=clip_id, path=path, size_bytes=-1, mtime_ns=-1)
    return Clip(clip_id=clip_id, path=path, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
