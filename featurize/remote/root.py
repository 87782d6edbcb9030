"""What a person names by a URL, without what is secret about it wherever it is shown or kept."""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from featurize.errors import SettingsError
from featurize.remote.scratch import DEFAULT_SCRATCH_GB, Scratch

CONNECT_S = 30.0
SILENCE_S = 60.0
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_HTTP = frozenset({"http", "https"})
_LOCAL = frozenset({"file", "local"})
_SFTP = frozenset({"sftp", "ssh"})
_S3 = frozenset({"s3", "s3a"})
_GOOGLE = frozenset({"gs", "gcs"})
_REVIVING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A folder or a file behind a URL.

    Attributes:
        url: as it was named, secrets included; never shown.
        only: paths below it, or URLs, of the files that are meant; everything below it if None.
        scratch: where files of it are put while they are needed.
        silence_s: seconds without a byte after which a server is given up.
        tries: how often a file is asked for.
        first_pause_s: seconds before the second try; each further pause is twice as long.
    """

    url: str = field(repr=False)
    only: tuple[str, ...] | None = None
    scratch: Scratch = field(compare=False, repr=False)
    silence_s: float = SILENCE_S
    tries: int = 6
    first_pause_s: float = 1.0

    def __str__(self) -> str:
        return bare(self.url)

    @property
    def scheme(self) -> str:
        """The protocol."""
        return urlsplit(self.url).scheme.lower()

    @property
    def is_http(self) -> bool:
        """Whether it is spoken to by HTTP, where folders are pages that link to files."""
        return self.scheme in _HTTP

    @property
    def access(self) -> str:
        """What gives access to it: where credentials are looked for."""
        if self.scheme in _GOOGLE:
            return (
                "by `gcloud auth application-default login`, or a key file that the variable "
                "GOOGLE_APPLICATION_CREDENTIALS names"
            )
        if self.scheme in _S3:
            return "by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true for public ones"
        if self.scheme in _SFTP:
            return "by an SSH agent, and the server in ~/.ssh/known_hosts"
        return (
            "by user and password in the URL, or ~/.netrc" if self.is_http else "as the library of the protocol has it"
        )

    def connect(self) -> tuple[Any, str]:
        """The file system behind the URL, which fsspec keeps, and the path there.

        Raises:
            SettingsError: the protocol is unknown, or what speaks it is not installed.
        """
        try:
            import fsspec
        except ImportError as error:
            raise _lacking(self) from error
        if self.scheme in _LOCAL or "::" in self.url:
            raise SettingsError(f"{self}: name a folder of this machine by its path, and any other by one plain URL")
        if self.scheme not in fsspec.available_protocols():
            raise SettingsError(f"{self}: the protocol {self.scheme}:// is unknown, expected s3, gs, https or sftp")
        try:
            if self.scheme in _GOOGLE:
                from featurize.remote.google_buckets import GoogleBuckets

                return GoogleBuckets(**self._options()), str(GoogleBuckets._strip_protocol(self.url))
            files, path = fsspec.core.url_to_fs(self.url, **self._options())
        except ImportError as error:
            raise _lacking(self) from error
        if self.scheme in _SFTP:
            self._revive(files)
        return files, str(path)

    def _revive(self, files: Any) -> None:
        """Connect anew over SFTP if the one connection, which fsspec keeps, is dead."""
        with _REVIVING:
            transport = files.client.get_transport()
            if transport is None or not transport.is_active():
                files._connect()
            files.ftp.get_channel().settimeout(self.silence_s)

    def _options(self) -> dict[str, Any]:
        if self.is_http or self.scheme in _GOOGLE:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=self.silence_s)
            if self.scheme in _GOOGLE:
                # A listing that is kept would be searched from its start for each clip, and be as old as the run.
                told = {"requests_timeout": timeout, "use_listings_cache": False}
                return {**told, "session_kwargs": {"trust_env": True}}
            headers = {"Accept-Encoding": "identity"}  # so that lengths are those of the files
            return {"client_kwargs": {"timeout": timeout, "trust_env": True, "headers": headers}}
        if self.scheme in _S3:
            return {"config_kwargs": {"connect_timeout": CONNECT_S, "read_timeout": self.silence_s}}
        if self.scheme in _SFTP:
            from featurize.remote.host_keys import KnownHosts

            return {"host_key_policy": KnownHosts(), "timeout": CONNECT_S}
        return {}


def is_url(word: object) -> bool:
    """Whether a word names something behind a URL, and no file of this machine."""
    return isinstance(word, str) and _URL.match(word) is not None


def bare(url: str) -> str:
    """A URL without user, password, query and fragment: as it may be shown and kept."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def places(
    words: Sequence[str | Path], *, scratch_gb: float = DEFAULT_SCRATCH_GB, only: Path | None = None
) -> list[Path | Remote]:
    """What is named: paths of this machine, and URLs.

    Args:
        words: as a person gives them.
        scratch_gb: how much of the disk may hold fetched clips at any time.
        only: a text file that names the clips below the one URL that is given, one a line.

    Raises:
        SettingsError: there is no such file, or it stands beside something other than one URL.
    """
    scratch = Scratch(scratch_gb)
    named = None if only is None else _lines(only)
    if named is not None and (len(words) != 1 or not is_url(words[0])):
        raise SettingsError(f"--clips-from {only}: names clips below one URL; give that URL alone beside it")
    return [Remote(url=str(word), only=named, scratch=scratch) if is_url(word) else Path(word) for word in words]


def _lines(path: Path) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"--clips-from {path}: cannot be read ({error}); expected a text file with one clip a line"
        ) from error
    found = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not found:
        raise SettingsError(f"--clips-from {path}: names no clip, expected one a line")
    return found


def _lacking(root: Remote) -> SettingsError:
    return SettingsError(
        f"{root}: clips behind {root.scheme}:// need further packages: pip install 'trapline[remote]', or mount the "
        "folder and name where it is mounted"
    )
