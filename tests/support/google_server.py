"""A server of this machine that speaks as Google's buckets do, by the emulator, with keys, pages and faults."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from remote_servers import Served, running


@contextmanager
def google_served(folder: Path) -> Iterator[Served]:
    """Serve the folders in `folder` as buckets for as long as this is entered; its password is a token."""
    what, storage = Served(folder), Storage(use_memory_fs=True)

    class Handler(_GoogleHandler):
        told = what

    with running(what, partial(Handler, storage)):
        for bucket in folder.iterdir():
            create_bucket(bucket.name, storage)
            for path in filter(Path.is_file, bucket.rglob("*")):
                put_object(what, bucket.name, path.relative_to(bucket).as_posix(), path.read_bytes())
        yield what


def put_object(server: Served, bucket: str, key: str, content: bytes) -> None:
    """Make an object, or another version of it."""
    address = f"{server.url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
    with urlopen(Request(address, data=content, headers={"Content-Type": "video/mp4"})) as answer:
        answer.read()


def write_key_file(path: Path, server: Served) -> Path:
    """The key file of an account that gets its tokens of `server`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    facts = {
        "type": "service_account",
        "client_email": "reader@project.example",
        "private_key": key.private_bytes(*form).decode(),
        "token_uri": f"{server.url}/token",
    }
    path.write_text(json.dumps(facts))
    return path


class _GoogleHandler(RequestHandler, BaseHTTPRequestHandler):
    """The emulator's answers; it knows no tokens, and lists everything at once."""

    told: Served

    def do_POST(self) -> None:
        if self.path == "/token":
            return self._send(200, {"access_token": self.told.password, "expires_in": 3600, "token_type": "Bearer"})
        super().do_POST()
        return None

    def do_GET(self) -> None:
        told, at = self.told, urlsplit(self.path)
        if told.password is not None and self.headers.get("Authorization") != f"Bearer {told.password}":
            return self._send(401, _error(401, "Anonymous caller does not have storage.objects.list access"))
        name = unquote(at.path).rpartition("/")[2]
        query = {key: values[0] for key, values in parse_qs(at.query).items()}
        answer = self._emulated()
        if query.get("alt") == "media":
            return self._content(name, query, answer)
        if at.path.endswith("/o") and answer.startswith(b"HTTP/1.0 200"):
            return self._send(200, _page(json.loads(answer.partition(b"\r\n\r\n")[2]), query))
        self._write(answer)
        return None

    def _content(self, name: str, query: dict[str, str], answer: bytes) -> None:
        told, fault = self.told, self.told.faults.get(name, "")
        told.tries[name] += 1
        told.asked[name, not self.headers.get("Range", "bytes=0-").startswith("bytes=0-")] += 1
        fails = told.tries[name] <= told.times
        if fault == "refused":
            return self._send(403, _error(403, "reader@project.example does not have storage.objects.get access"))
        if fault == "503" and fails:
            return self._send(503, _error(503, "backend"))
        if fault == "silent" and fails:
            self.close_connection = told.silent.wait(30)
            return None
        bucket, _, key = unquote(urlsplit(self.path).path).partition("/b/")[2].partition("/o/")
        if query.get("generation", "") not in ("", self.storage.get_file_obj(bucket, key)["generation"]):
            return self._send(404, _error(404, "No such object"))
        if fault == "cut" and fails:
            head, _, body = answer.partition(b"\r\n\r\n")
            self._write(head + b"\r\n\r\n" + body[: len(body) // 2])
            time.sleep(0.1)
            return None
        self._write(answer)
        return None

    def _emulated(self) -> bytes:
        out, self.wfile = self.wfile, BytesIO()
        try:
            super().do_GET()
            return self.wfile.getvalue()
        finally:
            self.wfile = out

    def _send(self, status: int, facts: dict[str, Any]) -> None:
        body = json.dumps(facts).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with suppress(BrokenPipeError, ConnectionResetError):
            self.end_headers()
        self._write(body)

    def _write(self, content: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(content)


def _page(listed: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Two of the objects that are listed, and where the next ones begin."""
    start, items = int(query.get("pageToken", "0")), listed.get("items", [])
    more = {"nextPageToken": str(start + 2)} if start + 2 < len(items) else {}
    return {**listed, "items": items[start : start + 2], **more}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
