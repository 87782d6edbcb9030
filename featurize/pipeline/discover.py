"""Finds the clips below the folders (or among the files) that a person names.

Folders that are really there are walked first, all of them. Then come links to folders, of which only those add clips
that lead out of what was walked: a link changes nothing about the ids of clips that are found without it.
"""

import heapq
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from featurize.decoding.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from featurize.errors import SourceError
from featurize.remote.listing import RemoteFile, list_remote
from featurize.remote.root import Remote
from store.errors import DuplicateClipError
from store.ids import clip_id_from_path, name_a_few, normalise_clip_id, spelt_out, writable

_SUFFIXES_SHOWN = 8


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class Clip:
    """A file that is going to be decoded.

    Attributes:
        clip_id: its path relative to the root that was named.
        path: where it is.
        size_bytes: file size.
        mtime_ns: modification time in nanoseconds.
        remote: the file behind a URL, if it lies elsewhere; at `path` is nothing then.
    """

    clip_id: str
    path: Path
    size_bytes: int
    mtime_ns: int
    remote: RemoteFile | None = None

    @property
    def place(self) -> str:
        """Where it is, for people and for the clip table: a full path, or a URL that holds no secret."""
        return writable(str(self.path.absolute())) if self.remote is None else self.remote.shown

    def on_disk(self, *, tries: int | None = None) -> AbstractContextManager[Path]:
        """Where it can be read, for as long as this is entered; a remote clip is fetched, which may be tried so often.

        Raises:
            UnreachableError: it cannot be fetched.
        """
        return nullcontext(self.path) if self.remote is None else self.remote.on_disk(tries=tries)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found below the folders that were named.

    Attributes:
        clips: the clips, sorted by id.
        unlisted: (folder, reason) of each folder below them that could not be looked into.
        passed_over: how many files are no clips, going by their suffix; by suffix, hidden ones left out.
    """

    clips: tuple[Clip, ...]
    unlisted: tuple[tuple[str, str], ...]
    passed_over: Mapping[str, int]


def survey(roots: Sequence[Path | Remote], stored: Callable[[], Iterable[str]] = tuple) -> Found:
    """All clips below `roots`, sorted by id, and the folders that cannot be listed; a root may also be a single file.

    Hidden files and folders (their name starts with a dot) are passed over: cameras and operating systems leave
    half-files like `._IMG_0001.AVI` there.

    Args:
        roots: folders, or single files.
        stored: gives the ids that the store knows; of several links to one folder, the clips keep the ids that they
            have there. It is asked only if there are such links.

    Raises:
        SourceError: a root does not exist or cannot be read, or there is no clip below one of them.
        DuplicateClipError: two roots give the same id.
    """
    walk = _Walk()
    folders = [root for root in roots if isinstance(root, Path)]
    for folder in folders:
        _require_readable(folder)
    found: list[tuple[Clip, Path | Remote]] = [
        (_describe(path, root), root) for path, root in walk.clips_below(folders, stored)
    ]
    reasons = [
        (writable(str(error.filename)), f"the folder cannot be listed: {error.strerror}") for error in walk.unlisted
    ]
    for root in roots:
        if isinstance(root, Remote):
            listed = list_remote(root)
            found += [(_elsewhere(file), root) for file in listed.files]
            reasons += listed.unlisted
            walk.passed_over.update(listed.suffixes)
    clips = [clip for clip, _ in found]
    empty = set(roots) - {root for _, root in found}
    if empty and clips:
        raise SourceError(
            f"{name_a_few(sorted(map(str, empty)))}: no clip found there, though the other folders that "
            "were named hold some; leave it out, or correct it (a path that holds spaces needs quotes)"
        )
    if not clips:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))
        where = f"; {len(reasons)} folders could not be listed" if reasons else ""
        where += f"; passed over: {name_suffixes(walk.passed_over)}" if walk.passed_over else ""
        raise SourceError(
            f"{name_a_few(map(str, roots))}: no clip found there, expected files that end in {suffixes}{where}"
        )
    clips = _told_apart(clips, [root for _, root in found])
    return Found(clips=tuple(clips), unlisted=tuple(sorted(reasons)), passed_over=dict(walk.passed_over))


def _told_apart(clips: Sequence[Clip], roots: Sequence[Path | Remote]) -> list[Clip]:
    """The clips, sorted by id. Of files whose names look the same and differ only in how letters are composed, one has
    the plain id, that which is composed if there is one; in the ids of others these letters are spelt out.

    Raises:
        DuplicateClipError: two folders that were named give the same id.
    """
    if len({clip.clip_id for clip in clips}) == len(clips):
        return sorted(clips, key=lambda clip: clip.clip_id)
    of_id: dict[tuple[str, Path | Remote], list[Clip]] = {}
    for clip, root in zip(clips, roots, strict=True):
        of_id.setdefault((clip.clip_id, root), []).append(clip)
    told = []
    for (clip_id, root), twins in of_id.items():
        twins.sort(key=lambda clip: (not clip.path.as_posix().endswith(clip_id), clip.path))
        told += [twins[0], *(_spell_out(clip, root) for clip in twins[1:])]
    told.sort(key=lambda clip: clip.clip_id)
    for one, other in pairwise(told):
        if one.clip_id == other.clip_id:
            raise DuplicateClipError(
                f"'{_shown(one)}' and '{_shown(other)}' would both be called '{one.clip_id}'; name one folder that "
                "holds both, so that their ids differ, or rename one of the files"
            )
    return told


def _shown(clip: Clip) -> str:
    return str(clip.path) if clip.remote is None else clip.place


def _elsewhere(file: RemoteFile) -> Clip:
    """The clip that is a file behind a URL."""
    return Clip(
        clip_id=normalise_clip_id(writable(file.name)),
        path=Path(file.shown if not file.root.is_http else f"{file.root}/{file.name}"),
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        remote=file,
    )


def _spell_out(clip: Clip, root: Path | Remote) -> Clip:
    """The clip under an id that tells how the letters of its path are composed."""
    if isinstance(root, Remote):
        assert clip.remote is not None
        return replace(clip, clip_id=normalise_clip_id(spelt_out(clip.remote.name)))
    top = root.parent if root.is_file() else root
    return replace(clip, clip_id=normalise_clip_id(spelt_out(clip.path.relative_to(top).as_posix())))


def name_suffixes(counts: Mapping[str, int]) -> str:
    """How many files there are of which suffix, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count} {suffix or 'without a suffix'}" for suffix, count in ordered[:_SUFFIXES_SHOWN]]
    rest = sum(count for _, count in ordered[_SUFFIXES_SHOWN:])
    return ", ".join([*shown, f"{rest} others"] if rest else shown)


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


@dataclass(order=True, frozen=True)
class _Link:
    """A link to a folder, in the order in which such links are followed.

    Attributes:
        is_new: whether the store knows no clip below it.
        height: minus how deep its folder lies, so that one does not take the clips of another that leads further in.
        path: where it is.
        root: below what it was found.
    """

    is_new: bool
    height: int
    path: Path
    root: Path


@dataclass
class _Walk:
    """A walk through folders that enters none by a link that it has been in.

    Attributes:
        unlisted: the errors of folders that cannot be listed.
        passed_over: how many files are no clips, by suffix.
    """

    unlisted: list[OSError] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    _entered: set[str] = field(default_factory=set)
    _links: list[tuple[Path, Path]] = field(default_factory=list)

    def clips_below(self, roots: Sequence[Path], stored: Callable[[], Iterable[str]]) -> Iterator[tuple[Path, Path]]:
        """Each clip's file with the root that it belongs to."""
        for root in roots:
            for path in [root] if root.is_file() else self._files(root, root):
                yield path, root
        ids: list[str] | None = None
        waiting: list[_Link] = []
        while self._links or waiting:
            if self._links and ids is None:
                ids = sorted(stored())
            for path, root in self._links:
                heapq.heappush(waiting, _Link(not _is_stored(path, root, ids or []), _height(path), path, root))
            self._links.clear()
            link = heapq.heappop(waiting)
            for path in self._files(link.path, link.root, by_link=True):
                yield path, link.root

    def _files(self, top: Path, root: Path, *, by_link: bool = False) -> Iterator[Path]:
        """The clips' files below the folder `top`; what links lead to is put off."""
        for folder, subfolders, names in os.walk(top, onerror=self.unlisted.append):
            real = os.path.realpath(folder)
            if by_link and real in self._entered:
                subfolders.clear()
                continue
            self._entered.add(real)
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            self._links += [(Path(folder, name), root) for name in subfolders if Path(folder, name).is_symlink()]
            for name in names:
                path = Path(folder, name)
                if name.startswith("."):
                    continue
                if path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
                    yield path
                else:
                    self.passed_over[path.suffix.lower()] += 1


def _is_stored(link: Path, root: Path, ids: Sequence[str]) -> bool:
    """Whether there is a clip below `link` among the sorted `ids`."""
    start = f"{clip_id_from_path(link, root)}/"
    place = bisect_left(ids, start)
    return place < len(ids) and ids[place].startswith(start)


def _height(link: Path) -> int:
    return -len(Path(os.path.realpath(link)).parts)


def _describe(path: Path, root: Path) -> Clip:
    """The clip at `path`; one that cannot be stated (a dangling link) has size -1 and fails when it is decoded."""
    clip_id = clip_id_from_path(path, root.parent if root.is_file() else root)
    try:
        stat = path.stat()
    except OSError:
        return Clip(clip_id=clip_id, path=path, size_bytes=-1, mtime_ns=-1)
    return Clip(clip_id=clip_id, path=path, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
