"""Which files lie below a URL, with their sizes and times."""

import contextlib
import html
import posixpath
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from featurize.decoding.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from featurize.errors import SourceError
from featurize.remote.root import Remote, bare, is_url
from featurize.remote.transfer import UnreachableError, fetch, persist, remote_fingerprint

_ASKING = 16
_UNKNOWN = -1
_LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class RemoteFile:
    """A file behind a URL.

    Attributes:
        root: what was named.
        path: where it is, as its file system has it; secrets may be in it.
        name: its path below the root, or its name if the root is itself.
        size_bytes: its size, -1 if nobody says.
        mtime_ns: when it was changed, in nanoseconds, -1 if nobody says.
    """

    root: Remote
    path: str
    name: str
    size_bytes: int
    mtime_ns: int

    def __repr__(self) -> str:
        return f"RemoteFile({self.shown})"

    @property
    def shown(self) -> str:
        """Its URL without what is secret."""
        if self.root.is_http:
            return bare(self.path)
        top = bare(self.root.url).rstrip("/")
        return top if top.endswith(f"/{self.name}") and is_clip(top) else f"{top}/{self.name}"

    def fingerprint(self) -> str:
        """The fingerprint of its content.

        Raises:
            UnreachableError: it cannot be had.
        """
        return remote_fingerprint(self.root, self.path, self.size_bytes)

    @contextmanager
    def on_disk(self, *, tries: int | None = None) -> Iterator[Path]:
        """A copy on this disk, which is gone afterwards.

        Raises:
            UnreachableError: it cannot be had.
            ScratchSpaceError: the disk is full.
            SettingsError: it is larger than the scratch.
        """
        place = self.root.scratch.ask(self.size_bytes)
        stop = Event()
        try:
            path = place.take(PurePosixPath(self.name).suffix)
            assert path is not None
            fetch(self.root, self.path, self.size_bytes, path, most_bytes=place.size_bytes, stop=stop, tries=tries)
            yield path
        finally:
            place.leave()


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What lies below a URL.

    Attributes:
        files: the clips.
        unlisted: (folder, reason) of each folder below it that could not be listed.
        suffixes: of the files that are no clips.
    """

    files: tuple[RemoteFile, ...]
    unlisted: tuple[tuple[str, str], ...]
    suffixes: tuple[str, ...]


def list_remote(root: Remote) -> Listed:
    """The clips below `root`, which may also be a single file. Hidden files and folders are passed over.

    Raises:
        SourceError: it cannot be listed.
        SettingsError: its protocol is unknown, or what speaks it is not installed.
    """
    try:
        files, top = persist(root.connect, root)
        if root.only is not None:
            return _named(root, files, top)
        return _pages(root, files, top) if root.is_http else _below(root, top)
    except UnreachableError as error:
        raise SourceError(
            f"{root}: cannot be listed: {error}; check the address, and that this machine has access ({root.access}), "
            "and run the same command again"
        ) from None


def is_clip(path: str) -> bool:
    """Whether a file is a clip, going by its suffix."""
    return PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _named(root: Remote, files: Any, top: str) -> Listed:
    """The files that a list names: their sizes and times are asked for one by one."""
    assert root.only is not None
    above = top.partition("?")[0].rstrip("/") + "/"
    found = []
    for line in root.only:
        path, name = "", line.removeprefix("./")
        if is_url(line):
            path = line if root.is_http else str(files._strip_protocol(line))
            name = _name_below(path, above, is_http=root.is_http)
        if not name or ".." in name.split("/"):
            raise SourceError(f"{bare(line)}: does not lie below {root}; name a folder that holds all clips listed")
        found.append((path or above + (quote(name) if root.is_http else name), name))
    return _looked_up(root, files, found, (), ())


def _below(root: Remote, top: str) -> Listed:
    """What a store of objects or a file system holds below `top`."""
    unlisted: dict[str, str] = {}

    def note(error: Exception) -> None:
        if not isinstance(error, PermissionError):
            raise error
        named = str(getattr(error, "filename", None) or "a folder")
        unlisted[named] = "the folder cannot be listed: access is refused"

    def find() -> dict[str, dict[str, Any]]:
        unlisted.clear()
        files, _ = root.connect()
        # Those that speak HTTP fail as a whole; others walk, and would pass over what they cannot list.
        told = {} if getattr(files, "async_impl", False) else {"on_error": note}
        if not told:
            files.invalidate_cache()
        listed: dict[str, dict[str, Any]] = files.find(top, detail=True, **told)
        if not listed and not unlisted:
            files.ls(top)  # says that there is no such folder
        return listed

    found = persist(find, root)
    above = top.rstrip("/") + "/"
    clips, suffixes = [], []
    for path, facts in found.items():
        name = path.removeprefix(above) if path != top else posixpath.basename(path)
        if _is_hidden(name) or name.endswith("/"):
            continue
        if is_clip(path):
            clips.append(_file(root, path, name, facts))
        else:
            suffixes.append(PurePosixPath(path).suffix.lower())
    return Listed(files=tuple(clips), unlisted=tuple(unlisted.items()), suffixes=tuple(suffixes))


def _pages(root: Remote, files: Any, top: str) -> Listed:
    """What the pages of a server link to, folder by folder, each once."""
    if is_clip(urlsplit(top).path):
        return _looked_up(root, files, [(top, unquote(posixpath.basename(urlsplit(top).path)))], (), ())
    above, query = _folder(top), urlsplit(top).query
    waiting, seen = [above], {above}
    clips: dict[str, str] = {}
    unlisted, suffixes = [], []
    while waiting:
        folder = waiting.pop()
        address = f"{folder}?{query}" if query else folder
        try:
            page = persist(partial(files.cat_file, address), root)
        except UnreachableError as error:
            if folder == above:
                raise
            unlisted.append((bare(folder), f"the folder cannot be listed: {error}"))
            continue
        for link in _links(folder, page):
            name = _name_below(link, above, is_http=True)
            if not name or _is_hidden(name) or link in seen:
                continue
            seen.add(link)
            if link.endswith("/"):
                waiting.append(link)
            elif is_clip(name):
                clips[f"{link}?{query}" if query else link] = name
            else:
                suffixes.append(PurePosixPath(name).suffix.lower())
    return _looked_up(root, files, list(clips.items()), tuple(unlisted), tuple(suffixes))


def _folder(url: str) -> str:
    """The address of a folder without its query; of a page such as `index.html`, of the folder that it lies in."""
    plain = url.partition("?")[0].partition("#")[0]
    if posixpath.splitext(urlsplit(plain).path)[1].lower() in (".html", ".htm"):
        plain = posixpath.dirname(plain)
    return plain.rstrip("/") + "/"


def _links(folder: str, page: bytes) -> list[str]:
    """The full addresses that the page of `folder` links to; links that only sort the page lead to the page itself."""
    top, found = urlsplit(folder), set()
    for link in _LINK.findall(page.decode(errors="replace")):
        parts = urlsplit(urljoin(folder, html.unescape(link).strip()))
        is_here = parts.netloc.rpartition("@")[2] == top.netloc.rpartition("@")[2]
        found.add(urlunsplit((top.scheme, top.netloc if is_here else parts.netloc, parts.path, "", "")))
    return sorted(found)


def _name_below(path: str, above: str, *, is_http: bool) -> str:
    """The path of a file below the folder `above`, "" if it does not lie there."""
    if not is_http:
        return path.removeprefix(above) if path.startswith(above) else ""
    at, top = urlsplit(path), urlsplit(above)
    hosts = {part.netloc.rpartition("@")[2] for part in (at, top)}
    below = unquote(at.path).removeprefix(unquote(top.path))
    name = below if len(hosts) == 1 and unquote(at.path).startswith(unquote(top.path)) else ""
    return "" if ".." in name.split("/") else name


def _looked_up(
    root: Remote,
    files: Any,
    found: list[tuple[str, str]],
    unlisted: tuple[tuple[str, str], ...],
    suffixes: tuple[str, ...],
) -> Listed:
    """The (path, name) of clips, with sizes and times as their server tells them; fetching will say what is wrong."""

    def look_up(path: str, name: str) -> RemoteFile:
        try:
            facts = persist(lambda: files.info(path), root)
        except UnreachableError:
            facts = {}
        return _file(root, path, name, facts)

    with ThreadPoolExecutor(_ASKING, thread_name_prefix="list") as pool:
        clips = list(pool.map(lambda each: look_up(*each), found))
    return Listed(files=tuple(clips), unlisted=unlisted, suffixes=suffixes)


def _file(root: Remote, path: str, name: str, facts: dict[str, Any]) -> RemoteFile:
    size = facts.get("size")
    return RemoteFile(
        root=root,
        path=path,
        name=name,
        size_bytes=_UNKNOWN if size is None else int(size),
        mtime_ns=_mtime_ns(facts),
    )


def _mtime_ns(facts: dict[str, Any]) -> int:
    """When a file was changed, by whatever its protocol calls that; -1 if it says nothing."""
    names = ("LastModified", "Last-Modified", "mtime", "updated", "last_modified", "created")
    told = next((facts[name] for name in names if facts.get(name)), None)
    with contextlib.suppress(ValueError, TypeError):
        if isinstance(told, str):
            told = parsedate_to_datetime(told) if "," in told else datetime.fromisoformat(told)
        if isinstance(told, datetime):
            told = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
        if told is not None:
            return round(float(told) * 1000) * 1_000_000
    return _UNKNOWN
