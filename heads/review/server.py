"""Serving the review page to a browser on this machine."""

import socket
from collections.abc import Callable

import uvicorn

from heads.errors import ReviewError
from heads.review.app import Review
from heads.review.connections import LimitedProtocol
from heads.review.guard import LOOPBACK_NAMES, Guard, Keys, is_loopback

_KEEP_ALIVE_S = 30
_FAREWELL_S = 2
_ANYWHERE = ("0.0.0.0", "::")


class ReviewServer:
    """Listens from the beginning, and answers once it runs.

    Args:
        review: what is served.
        host: name or address to listen on.
        port: number to listen on; 0 for one that is free.
        say: called with each address that lets one browser in, and with what the user should know.

    Attributes:
        address: the page's, without what lets a browser in.

    Raises:
        ReviewError: nothing can be served there.
    """

    def __init__(self, review: Review, *, host: str, port: int, say: Callable[[str], None]) -> None:
        self._listening = _listen(host, port)
        port = int(self._listening.getsockname()[1])
        local = is_loopback(host)
        shown = socket.gethostname() if host in _ANYWHERE else f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{port}/"
        keys = Keys(port, lambda token: say(f"for another browser: {self.address}?token={token}"))
        names = LOOPBACK_NAMES if local else {*LOOPBACK_NAMES, host, socket.gethostname(), socket.getfqdn()}
        guard = Guard(review.app, keys, names, any_address=not local)
        if not local:
            say(
                f"{host} can be reached by others: what goes over the network is not encrypted, and whoever reads it "
                "can decide in your name"
            )
        say(f"open {self.address}?token={keys.token}")
        self._server = uvicorn.Server(
            uvicorn.Config(
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
                timeout_graceful_shutdown=_FAREWELL_S,
            )
        )

    def run(self) -> None:
        """Answer until the user, or `stop`, ends it."""
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._listening.close()

    def stop(self) -> None:
        """End it, from another thread."""
        self._server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()  # who comes before the server runs waits for it
    except OSError as error:
        listening.close()
        raise ReviewError(
            f"nothing can listen on {host}, port {port} ({error.strerror or error}); name another with --port"
        ) from error
    return listening
