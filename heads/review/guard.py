"""Who may speak to the server: asked of every request, before anything else is done with it.

In this order: is it addressed to this machine (a web page elsewhere can have its own name point here), does the browser
hold the cookie that the one-time address gave it, does a write come from our own page, and is it of a sensible size.
"""

import asyncio
import hmac
import ipaddress
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY_BYTES = 1_000_000
_BODY_TIMEOUT_S = 20.0
_COOKIE_S = 30 * 86_400  # it opens this one server, which seldom runs as long; a browser that is closed comes back
_READS = ("GET", "HEAD")
_WRITES = ("POST",)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_ENTER = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">'
    '<title>Trapline review</title><p><a href="/">Go on to the clips</a></p></html>'
)
_NO_COOKIE = (
    "This browser is not known here. Open the address that `heads review` printed last; each address works once, and "
    "only for the server that printed it."
)


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this machine to itself."""
    address = _address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


class Keys:
    """The token of the address that was printed, good for one browser, and the cookie that it is exchanged for.

    Args:
        port: tells the cookies of two servers on one machine apart, which browsers do not.
        announce: called with each new token, once the one before was used.
    """

    def __init__(self, port: int, announce: Callable[[str], None] = lambda _token: None) -> None:
        self.cookie_name = f"trapline_review_{port}"
        self.token = secrets.token_urlsafe(24)
        self._cookie = secrets.token_urlsafe(32)
        self._announce, self._lock = announce, threading.Lock()

    def exchange(self, token: str) -> str | None:
        """The cookie for a token, which is no good from then on; None if it never was, or is no more."""
        with self._lock:
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                return None
            self.token = secrets.token_urlsafe(24)
        self._announce(self.token)
        return self._cookie

    def opens(self, cookie_header: str) -> bool:
        """Whether the cookies of a request hold ours."""
        pairs = (part.strip().partition("=") for part in cookie_header.split(";"))
        given = [value for name, _, value in pairs if name == self.cookie_name]
        return any(hmac.compare_digest(value.encode(), self._cookie.encode()) for value in given)


class Guard:
    """Lets only those requests through to an application that may.

    Args:
        app: the application.
        keys: token and cookie.
        hosts: names that the server may be called by.
        any_address: whether it may be called by any number too, as where it listens to a network.
    """

    def __init__(
        self, app: App, keys: Keys, hosts: Iterable[str] = LOOPBACK_NAMES, *, any_address: bool = False
    ) -> None:
        self._app, self._keys = app, keys
        self._hosts, self._any_address = frozenset(name.lower() for name in hosts), any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no sockets of another kind here
        headers = _headers(scope)
        send = _with_headers(send)
        if not self.is_called(headers.get("host", [])):
            await _answer(send, 421, "This server answers to its own name only.")
            return
        method = scope["method"]
        if (
            scope["path"] == "/"
            and method == "GET"
            and "token" in (query := parse_qs(scope["query_string"].decode("latin-1")))
        ):
            await self._enter(send, query["token"][0], headers)
            return
        if not self._keys.opens("; ".join(headers.get("cookie", []))):
            await _answer(send, 403, _NO_COOKIE)
            return
        if method not in _READS:
            refused = _refused_write(method, headers)
            if refused is not None:
                await _answer(send, *refused)
                return
            body = await _whole_body(receive)
            if body is None:
                await _answer(send, 413, f"More than {MOST_BODY_BYTES} bytes, or too slow.")
                return
            receive = _once(body, receive)
        await self._app(scope, receive, send)

    def is_called(self, given: list[str]) -> bool:
        """Whether the Host headers of a request are one, and name this server."""
        if len(given) != 1:
            return False
        host = _without_port(given[0])
        return host is not None and (host.lower() in self._hosts or (self._any_address and _address(host) is not None))

    async def _enter(self, send: Send, token: str, headers: dict[str, list[str]]) -> None:
        cookie = self._keys.exchange(token)
        if cookie is not None:
            # The page that follows comes by our own doing, so that a strict cookie goes with it wherever the address
            # was clicked.
            given = f"{self._keys.cookie_name}={cookie}; Path=/; Max-Age={_COOKIE_S}; HttpOnly; SameSite=Strict"
            await _answer(send, 200, _ENTER, "text/html", ((b"set-cookie", given.encode()),))
        elif self._keys.opens("; ".join(headers.get("cookie", []))):
            await _answer(send, 200, _ENTER, "text/html")
        else:
            await _answer(send, 403, _NO_COOKIE)


def _refused_write(method: str, headers: dict[str, list[str]]) -> tuple[int, str] | None:
    if method not in _WRITES:
        return 405, "This is not done here."
    origins = headers.get("origin", [])
    if len(origins) != 1 or urlsplit(origins[0]).netloc.lower() != headers["host"][0].lower():
        return 403, "Only the page of this server may write."
    if headers.get("content-type", [""])[0].partition(";")[0].strip().lower() != "application/json":
        return 415, "Only JSON is taken."
    length = headers.get("content-length", ["0"])[0]
    if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
        return 413, f"More than {MOST_BODY_BYTES} bytes."
    return None


async def _whole_body(receive: Receive) -> bytes | None:
    """What a request sends; None if it is too much, or does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > MOST_BODY_BYTES:
                    return None
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return None


def _once(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, and from then on what comes behind it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [*message.get("headers", ()), *HEADERS]
            if not any(name.lower() == b"cache-control" for name, _ in own):
                own.append((b"cache-control", b"no-store"))
            message = {**message, "headers": own}
        await send(message)

    return sending


async def _answer(
    send: Send, status: int, text: str, kind: str = "text/plain", more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    body = text.encode()
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    if status >= 400:
        headers.append((b"connection", b"close"))  # what else was going to be sent is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _without_port(host: str) -> str | None:
    """The name in a Host header; None if it is not one name with at most a port."""
    if not host or any(letter in host for letter in "/?#@\\, \t"):
        return None
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        return name if closed and (not port or _is_port(port.removeprefix(":"))) else None
    name, colon, port = host.partition(":")
    return name if not colon or _is_port(port) else None


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
