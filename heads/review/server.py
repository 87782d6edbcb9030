"""Serving the review page to a browser on this machine."""

import socket
from collections.abc import Callable

import uvicorn

from heads.errors import ReviewError
from heads.review.app import Review
from heads.review.connections import LimitedProtocol
from heads.review.guard import LOOPBACK_NAMES, Guard, Keys, is_loopback

_KEEP_ALIVE_S = 30


def serve(review: Review, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until the user stops it.

    Args:
        review: what is served.
        host: name or address to listen on.
        port: number to listen on; 0 for one that is free.
        say: called with the address to open, and with what the user should know.

    Raises:
        ReviewError: nothing can be served there.
    """
    listening = _listen(host, port)
    port = int(listening.getsockname()[1])
    local = is_loopback(host)
    shown = f"[{host}]" if ":" in host else host if local or host != "0.0.0.0" else socket.gethostname()
    base = f"http://{shown}:{port}/"
    keys = Keys(port, lambda token: say(f"for another browser: {base}?token={token}"))
    names = LOOPBACK_NAMES if local else {*LOOPBACK_NAMES, host, socket.gethostname(), socket.getfqdn()}
    guard = Guard(review.app, keys, names, any_address=not local)
    if not local:
        say(
            f"{host} can be reached by others: what goes over the network is not encrypted, and whoever reads it can "
            "decide in your name"
        )
    say(f"open {base}?token={keys.token}")
    config = uvicorn.Config(
        guard,
        http=LimitedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ReviewError(
            f"nothing can listen on {host}, port {port} ({error.strerror or error}); name another with --port"
        ) from error
    return listening
