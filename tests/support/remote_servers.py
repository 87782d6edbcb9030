"""Servers of this machine that hold clips for others: over HTTP, with faults, and in S3's protocol."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

# Long enough for what was sent to be taken before the connection ends: a client that sees both at once takes neither.
_SEEN_S = 1.0


class Served:
    """A folder behind an address of this machine.

    Attributes:
        url: the address.
        faults: by the name of a file, what goes wrong: "cut" or "503" (as often as `times` says), "slow", "silent",
            "short" and "long" (another length than was listed), "refused".
        times: how often "cut" and "503" happen to each file.
        asked: how often content was asked for, by (name, whether for a part of it).
        ranges: whether the server can begin within a file.
        password: of the user "me", None where all may read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.faults: dict[str, str] = {}
        self.times = 2
        self.asked: Counter[tuple[str, bool]] = Counter()
        self.tries: Counter[str] = Counter()
        self.ranges = True
        self.heads = True
        self.password: str | None = None
        self.slow_s = 0.05
        self.silent = threading.Event()


@contextmanager
def served(folder: Path, *, as_s3: bool = False) -> Iterator[Served]:
    """Serve `folder` for as long as this is entered."""
    what = Served(folder)

    class Handler(_S3Handler if as_s3 else _Handler):  # type: ignore[misc]
        told = what

    with running(what, Handler):
        yield what


@contextmanager
def running(what: Served, handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[None]:
    """Let `handler` answer at the address that `what` is given, for as long as this is entered."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    what.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        what.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    told: Served
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self._answer(is_head=True)

    def do_GET(self) -> None:
        self._answer(is_head=False)

    @property
    def _path(self) -> Path:
        return self.told.folder / unquote(urlsplit(self.path).path).strip("/")

    def _answer(self, *, is_head: bool) -> None:
        told, path = self.told, self._path
        if told.password is not None and "Basic" not in self.headers.get("Authorization", ""):
            return self._send(401, b"")
        if path.is_dir():
            return self._list(path)
        fault = told.faults.get(path.name, "")
        if not path.is_file():
            return self._send(404, b"")
        if fault == "refused":
            return self._send(403, b"")
        if is_head and not told.heads:
            return self._send(405, b"")
        self._content(path, fault, is_head=is_head)
        return None

    def _content(self, path: Path, fault: str, *, is_head: bool) -> None:
        told, content = self.told, path.read_bytes()
        etag = f'"{md5(content, usedforsecurity=False).hexdigest()}"'
        start, asked = 0, self.headers.get("Range", "")
        end = len(content)
        is_same = self.headers.get("If-Range", etag) == etag and self.headers.get("If-Match", etag) == etag
        is_part = bool(asked) and told.ranges and is_same
        if is_part:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1 if last else end, end)
        if not is_head:
            told.asked[path.name, is_part] += 1
            told.tries[path.name] += 1
            if fault == "503" and told.tries[path.name] <= told.times:
                return self._send(503, b"")
        body = content[start:end]
        if not is_head and fault == "short":
            body = body[: len(body) // 2]
        if not is_head and fault == "long":
            body += b"more"
        self.send_response(206 if is_part else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        if is_part:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        if is_head:
            return None
        if fault == "cut" and told.tries[path.name] <= told.times:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(_SEEN_S)
            self.close_connection = True
            return None
        if fault == "silent":
            self.wfile.write(body[:10])
            self.wfile.flush()
            told.silent.wait(30)
            self.close_connection = True
            return None
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked was killed
            for at in range(0, len(body), 1 + len(body) // 10):
                self.wfile.write(body[at : at + 1 + len(body) // 10])
                if fault == "slow":
                    time.sleep(told.slow_s)
        return None

    def _list(self, folder: Path) -> None:
        names = [f"{each.name}/" if each.is_dir() else each.name for each in sorted(folder.iterdir())]
        links = "".join(f'<a href="{link}">a</a>\n' for link in ["../", "?C=N;O=D", *map(quote, names)])
        self._send(200, f"<html><body>{links}</body></html>".encode(), "text/html")

    def _send(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _S3Handler(_Handler):
    """Listings (ListObjectsV2, two keys a page) and objects of buckets, which are the folders of the first level."""

    def _answer(self, *, is_head: bool) -> None:
        if "AWS4-HMAC-SHA256" not in self.headers.get("Authorization", ""):
            return self._send(403, _S3_ERROR.format("AccessDenied").encode(), "application/xml")
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if "list-type" in query:
            return self._list_objects(query)
        if not self._path.is_file():
            return self._send(404, _S3_ERROR.format("NoSuchKey").encode(), "application/xml")
        self._content(self._path, self.told.faults.get(self._path.name, ""), is_head=is_head)
        return None

    def _list_objects(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        bucket = self._path
        if not bucket.is_dir():
            return self._send(404, _S3_ERROR.format("NoSuchBucket").encode(), "application/xml")
        keys = sorted(path.relative_to(bucket).as_posix() for path in bucket.rglob("*") if path.is_file())
        keys = [key for key in keys if key.startswith(prefix)]
        folders = set()
        if delimiter:
            folders = {f"{prefix}{key[len(prefix) :].partition('/')[0]}/" for key in keys if "/" in key[len(prefix) :]}
            keys = [key for key in keys if "/" not in key[len(prefix) :]]
        start = int(query.get("continuation-token", "0"))
        most = min(int(query.get("max-keys", "1000")), 2)
        page, more = keys[start : start + most], start + most < len(keys)
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{(bucket / key).stat().st_size}</Size>"
            f'<ETag>"{md5((bucket / key).read_bytes(), usedforsecurity=False).hexdigest()}"</ETag>'
            f"<LastModified>2024-05-01T10:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        rows += "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders))
        token = f"<NextContinuationToken>{start + most}</NextContinuationToken>" if more else ""
        xml = (
            f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )
        return self._send(200, xml.encode(), "application/xml")


_S3_ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'
