"""One file from where it lies to this disk or through a digest: in pieces, again where the connection broke off."""

import hashlib
import random
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from featurize.decoding.scratch import scratch_space
from featurize.errors import FeaturizeError
from featurize.remote.root import Remote

_PIECE_BYTES = 2**22
_FINGERPRINT_BYTES = 16
_LONGEST_PAUSE_S = 60.0
_REFUSED = frozenset({401, 403, 407})
_NOT_THERE = frozenset({404, 410})
_ONCE_MORE = frozenset({408, 425, 429})  # beside those of 500 and above
_HOPELESS = {  # errors of libraries, and what comes from them, that trying again does not mend
    "NoCredentialsError": "no credentials are found",
    "PartialCredentialsError": "credentials are not whole",
    "ProfileNotFound": "there is no such profile of credentials",
    "SSOTokenLoadError": "the login has run out",
    "TokenRetrievalError": "the login has run out",
    "PasswordRequiredException": "the SSH key is locked by a password; unlock it by an SSH agent",
    "AuthenticationException": "access is refused",
    "BadHostKeyException": "the server's key is not the one in the file of known hosts",
    "UnknownHostKeyError": "the server's key stands in no file of known hosts",
}


class UnreachableError(Exception):
    """A file could not be had; the words are the reason, and hold no URL."""


class Sink(Protocol):
    """Takes the content of a file, and may be told to forget it and begin anew."""

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        ...

    def restart(self) -> None:
        """Forget what came."""
        ...


def fetch(
    root: Remote, path: str, size_bytes: int, target: Path, *, most_bytes: int, stop: Event, tries: int | None = None
) -> None:
    """Write the file at `path` behind `root` to `target`.

    Args:
        root: what was named.
        path: the file's, as its file system has it.
        size_bytes: its size as it was listed, -1 if nobody said.
        target: where it goes.
        most_bytes: more than this is not taken.
        stop: set when nobody wants the file any more.
        tries: how often it is asked for, as the root says if None.

    Raises:
        UnreachableError: it could not be had.
        ScratchSpaceError: the disk is full.
    """
    with scratch_space(), target.open("wb") as file:
        try:
            _receive(root, path, size_bytes, _FileSink(file), most_bytes, stop, tries or root.tries)
        except _DiskError as error:
            raise error.__cause__ or error from None


def remote_fingerprint(root: Remote, path: str, size_bytes: int) -> str:
    """The content fingerprint of a file, as `file_fingerprint` gives it, of which nothing is kept.

    Raises:
        UnreachableError: it could not be had.
    """
    sink = _DigestSink()
    _receive(root, path, size_bytes, sink, None, Event(), root.tries)
    return sink.digest.hexdigest()


def persist(action: Callable[[], Any], root: Remote, *, tries: int | None = None, stop: Event | None = None) -> Any:
    """What `action` gives; where it breaks for a reason that may pass, it is done again after a pause.

    Raises:
        UnreachableError: it breaks for another reason, or too often.
    """
    most, waits = tries or root.tries, stop or Event()
    for count in range(1, most + 1):
        try:
            return action()
        except (FeaturizeError, UnreachableError, _DiskError):
            raise
        except Exception as raised:  # noqa: BLE001  what may be raised differs from protocol to protocol
            error = _cause(raised)
            _require_hope(error, root)
            if count == most:
                raise UnreachableError(f"{_said_of(error, root)}, {most} times") from None
        pause = min(root.first_pause_s * 2 ** (count - 1), _LONGEST_PAUSE_S) * random.uniform(0.75, 1.25)
        if waits.wait(pause):
            raise UnreachableError("nobody waits for it any more")
    raise AssertionError


class _FileSink:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
        except OSError as error:
            raise _DiskError from error

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()


class _DigestSink:
    def __init__(self) -> None:
        self.restart()

    def write(self, piece: bytes) -> None:
        self.digest.update(piece)

    def restart(self) -> None:
        self.digest = hashlib.blake2b(digest_size=_FINGERPRINT_BYTES)


class _DiskError(Exception):
    """The disk here refused, and no server; the cause tells how."""


class _BrokenOffError(Exception):
    """A file ended before the length that was stated for it, or did not end there."""


def _receive(
    root: Remote, path: str, size_bytes: int, sink: Sink, most_bytes: int | None, stop: Event, tries: int
) -> None:
    """Send the file's content into `sink`; a try goes on where the last one broke off, if the content is the same."""
    have, version = 0, ""

    def go_on() -> None:
        nonlocal have, version
        files, _ = root.connect()
        pieces = _pieces_over_http if root.is_http else _pieces
        with closing(pieces(files, path, have, version)) as coming:
            start, version = next(coming)
            if start != have:
                sink.restart()
                have = 0
            for piece in coming:
                if stop.is_set():
                    raise UnreachableError("nobody waits for it any more")
                have += len(piece)
                if size_bytes < 0 and most_bytes is not None and have > most_bytes:
                    raise UnreachableError(
                        f"it is larger than the room for fetched clips, {most_bytes / 1e9:g} GB (--scratch-gb)"
                    )
                sink.write(piece)
                if have > size_bytes >= 0:
                    break
        if size_bytes >= 0 and have != size_bytes:
            came, more = have, have > size_bytes
            if more:
                sink.restart()
                have = 0
            raise _BrokenOffError(f"{came} bytes came{' and more' if more else ''}, expected {size_bytes}")

    persist(go_on, root, tries=tries, stop=stop)


def _pieces(files: Any, path: str, have: int, version: str) -> Generator[Any]:
    """(where it begins, which version of the file it is), and then pieces of bytes."""
    with files.open(path, "rb", block_size=_PIECE_BYTES, cache_type="none") as file:
        now = _version(getattr(file, "details", None) or {})
        start = have if have and version and now == version else 0
        yield start, now
        if start:
            file.seek(start)
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _pieces_over_http(files: Any, url: str, have: int, version: str) -> Generator[Any]:
    """The same of a server that may or may not be able to begin within a file, in one answer."""
    asked = {"Range": f"bytes={have}-", "If-Range": version} if have and version else {}
    file = files.open(url, "rb", block_size=0, size=1, **({"headers": asked} if asked else {}))
    with closing(file):
        headers = file.r.headers
        begins = headers.get("Content-Range", "").startswith(f"bytes {have}-") if file.r.status == 206 else False
        yield (have if begins else 0), _http_version(headers)
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _http_version(headers: Any) -> str:
    """What a server can be asked to go on with: a strong ETag, or the time of the last change."""
    etag = str(headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(headers.get("Last-Modified", ""))


def _version(details: dict[str, Any]) -> str:
    names = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "created")
    return next((str(details[name]) for name in names if details.get(name)), "")


def _require_hope(error: Exception, root: Remote) -> None:
    """Raise UnreachableError unless what went wrong may go right the next time."""
    status = _status(error)
    passing = status is None or status >= 500 or status in _ONCE_MORE
    hopeless = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError)
    if hopeless or _hopeless(error) or not passing:
        raise UnreachableError(_said_of(error, root)) from None


def _said_of(error: Exception, root: Remote) -> str:
    """What went wrong, in words that can hold no secret: what libraries say may hold the whole URL."""
    status = _status(error)
    if isinstance(error, FileNotFoundError) or status in _NOT_THERE:
        return "there is no such file"
    if isinstance(error, PermissionError) or status in _REFUSED:
        return "access is refused"
    if status is not None:
        return f"the server answers {status}"
    if isinstance(error, _BrokenOffError):
        return str(error)
    if said := _hopeless(error):
        return said
    if "timeout" in type(error).__name__.lower():
        return f"the server is silent for {root.silence_s:g} s"
    return f"the connection fails ({type(error).__name__})"


def _hopeless(error: Exception) -> str:
    """What is said of an error that trying again does not mend; "" of any other."""
    if type(error).__name__ == "SSHException" and "authentication methods" in str(error):  # neither key nor password
        return _HOPELESS["AuthenticationException"]
    return next((_HOPELESS[each.__name__] for each in type(error).__mro__ if each.__name__ in _HOPELESS), "")


def _cause(error: Exception) -> Exception:
    """What is behind it that a file is said not to be there, which may be a server that is busy."""
    cause = error.__cause__
    return cause if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) else error


def _status(error: Exception) -> int | None:
    """The HTTP status that an error tells of, if any."""
    told = getattr(error, "status", None) or getattr(error, "code", None)
    response = getattr(error, "response", None)
    if told is None and isinstance(response, dict):
        told = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return told if isinstance(told, int) and 400 <= told < 600 else None
