"""Nobody speaks to the review server but the browser that was let in, and it gives nothing away but clips."""

import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from reviewed import Visitor, draw_collection, serving

from heads.review import connections
from heads.review.collection import key_of
from heads.review.guard import MOST_BODY_BYTES, Guard, Keys, is_loopback

CLIP = key_of("site 0/000.mp4")
ADDRESSES = (
    *("/", "/review.js", "/review.css", "/favicon.ico", "/api/start", "/api/queue", "/api/news", "/api/labels.csv"),
    *(f"/clip/{CLIP}{rest}" for rest in ("", "/event", "/frames", "/spoke", "/picture.jpg", "/film", "/film?as=h264")),
    "/no/such/thing",
)
DECISION = {"action": "a1", "user": "ann", "clips": [CLIP], "state": "unsure", "classes": [], "why": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guarded")
    draw_collection(folder, 6)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Visitor]:
    with serving(folder) as visitor:
        yield visitor.enter()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "",
        "127.0.0.1@evil.example",
        "127.0.0.1 evil.example",
        "[::1].evil.example",
        "127.0.0.1:80:80",
        "127.0.0.1:eighty",
        "127.0.0.2",
        "192.168.0.1",
    ],
)
def test_a_foreign_host_is_refused_everywhere_even_with_cookie_and_token(server: Visitor, host: str) -> None:
    for address in (*ADDRESSES, f"/?token={server.token}"):
        status, _, body = server.ask(address, host=host)
        assert (status, body) == (421, b"This server answers to its own name only.")
    assert server.ask("/api/decide", DECISION, host=host, headers={"Origin": f"http://{host}"})[0] == 421


def test_two_hosts_are_none(server: Visitor) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        own = f"127.0.0.1:{server.port}"
        raw.sendall(f"GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\nCookie: {server.cookie}\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 4\d\d", raw.recv(100))


@pytest.mark.parametrize("host", ["localhost:{}", "LOCALHOST:{}", "127.0.0.1:{}", "[::1]:{}", "127.0.0.1"])
def test_this_machines_own_names_are_taken(server: Visitor, host: str) -> None:
    assert server.ask("/api/start", host=host.format(server.port))[0] == 200


def test_nothing_is_given_without_the_cookie(server: Visitor) -> None:
    name = server.cookie.partition("=")[0]
    for cookie in ("", f"{name}=", f"{name}=guess", "other=1", server.cookie[:-1], server.cookie.replace("=", "x=")):
        stranger = replace(server, cookie=cookie)
        for address in ADDRESSES:
            status, headers, body = stranger.ask(address)
            assert status == 403, address
            assert b"Open the address that `heads review` printed" in body
            assert "set-cookie" not in headers
        assert stranger.ask("/api/decide", DECISION)[0] == 403


def test_a_token_lets_one_browser_in_and_the_next_is_printed(folder: Path) -> None:
    with serving(folder) as visitor:
        assert visitor.ask("/?token=guess")[0] == 403
        first = visitor.token
        status, headers, body = visitor.ask(f"/?token={first}")
        assert status == 200
        assert re.fullmatch(
            r"trapline_review_\d+=[\w-]{43}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict", headers["set-cookie"]
        )
        assert first.encode() not in body
        assert visitor.ask(f"/?token={first}")[0] == 403
        assert len(visitor.addresses) == 2
        assert visitor.token != first
        visitor.enter()
        assert visitor.ask("/")[0] == 200
        assert visitor.ask(f"/?token={first}")[0] == 200  # who is in already may use it again
        assert len(visitor.addresses) == 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": ""}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Length": str(MOST_BODY_BYTES + 1)}, 413),
        ({"Content-Length": str(10**9)}, 413),
    ],
)
def test_writes_come_from_our_own_page_and_are_small(
    server: Visitor, folder: Path, headers: dict[str, str], status: int
) -> None:
    assert server.ask("/api/decide", DECISION, headers=headers)[0] == status
    assert not (folder / "decisions.jsonl").exists()


def test_a_write_without_an_origin_is_refused(server: Visitor) -> None:
    body = json.dumps(DECISION).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        head = f"POST /api/decide HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {server.cookie}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert raw.recv(100).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(server: Visitor, method: str) -> None:
    assert server.ask("/api/decide", method=method)[0] == 405


def test_a_body_of_a_gigabyte_without_a_length_is_cut_off(server: Visitor) -> None:
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        head = (
            f"POST /api/decide HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:{server.port}\r\n"
        )
        more = f"Cookie: {server.cookie}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw.sendall((head + more).encode())
        piece = b"%x\r\n%s\r\n" % (1 << 16, bytes(1 << 16))
        try:
            while sent < 10**9:
                raw.sendall(piece)
                sent += 1 << 16
        except OSError:
            pass
    assert sent < 30_000_000
    assert server.ask("/api/start")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/clip/../../../../etc/passwd",
        "/clip/%2e%2e%2f%2e%2e%2fetc%2fpasswd/film",
        "/clip/..%5c..%5cwindows/film",
        "/clip//etc/passwd",
        "/clip/site%200%2F000.mp4/film",  # what a clip is really called
        "/clip/0000000000000000/film",
        "/clip/%00/frames",
        "//etc/passwd",
        "/../heads/cli.py",
        "/review.py",
        "/clip/",
        "/clip",
        "/api/",
    ],
)
def test_paths_lead_nowhere(server: Visitor, path: str) -> None:
    status, _, body = server.ask(path)
    assert status in (400, 404)
    assert b"root:" not in body
    assert b"site 0" not in body


def test_every_answer_says_what_the_page_may_do(server: Visitor) -> None:
    for address in ADDRESSES:
        for visitor in (server, replace(server, cookie="")):
            _, headers, _ = visitor.ask(address)
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers


def test_nothing_is_fetched_from_elsewhere_and_nothing_stands_in_the_page_itself(server: Visitor) -> None:
    texts = {path: server.ask(path)[2].decode() for path in ("/", "/review.js", "/review.css")}
    for path, text in texts.items():
        assert not re.search(r"https?:|//[a-z]+\.[a-z]", text), path
    assert not re.search(r"<style|<script(?! type=\"module\" src)|style=| on[a-z]+=|javascript:", texts["/"])
    assert '<h1 id="title">store</h1>' in texts["/"]


def test_two_hundred_open_connections_keep_nobody_out(server: Visitor) -> None:
    silent = []
    try:
        for number in range(200):
            each = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            each.sendall(b"GET / HT" if number % 2 else b"")
            silent.append(each)
        began = time.monotonic()
        assert server.ask("/api/start")[0] == 200
        assert time.monotonic() - began < 2
        closed = 0
        for each in silent:
            each.settimeout(0.01)
            try:
                closed += not each.recv(10)
            except TimeoutError:
                pass
            except OSError:
                closed += 1
        assert 100 <= closed < 200
    finally:
        for each in silent:
            each.close()


def test_a_connection_that_asks_nothing_is_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_FIRST_REQUEST_S", 0.2)
    with (
        serving(folder) as visitor,
        socket.create_connection(("127.0.0.1", visitor.port), timeout=10) as raw,
    ):
        raw.sendall(b"GET / HTTP/1.1\r\nHo")
        assert raw.recv(10) == b""


def test_a_link_out_of_the_clips_is_not_followed(tmp_path: Path) -> None:
    draw_collection(tmp_path, 3)
    secret = tmp_path / "secret.mp4"
    secret.write_bytes((tmp_path / "one.mp4").read_bytes())
    first, second = tmp_path / "clips" / "site 0" / "000.mp4", tmp_path / "clips" / "site 1" / "001.mp4"
    first.unlink()
    first.symlink_to(secret)
    second.rename(second.with_name("moved.mp4"))
    second.symlink_to(second.with_name("moved.mp4"))
    with serving(tmp_path) as visitor:
        visitor.enter()
        for rest in ("film", "film?as=h264", "frames", "picture.jpg"):
            status, _, body = visitor.ask(f"/clip/{CLIP}/{rest}")
            assert (status, b"link out of" in body) == (400, True)
        assert "link out of" in visitor.json(f"/clip/{CLIP}")["problem"]
        assert visitor.ask(f"/clip/{key_of('site 1/001.mp4')}/film")[0] == 200  # a link inside is


def test_a_server_that_listens_to_a_network_takes_numbers_and_its_own_names_only() -> None:
    guard = Guard(lambda *_: None, Keys(1), {"cam.local"}, any_address=True)  # type: ignore[arg-type,return-value]
    assert [guard.is_called([host]) for host in ("10.0.0.7:80", "[fe80::1]:80", "CAM.local", "evil.example")] == [
        True, True, True, False,
    ]  # fmt: skip
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "cam.local")] == [
        True, True, True, False, False,
    ]  # fmt: skip
