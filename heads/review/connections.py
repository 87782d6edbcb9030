"""Connections that do nothing do not keep others out: where there are too many, the idlest goes."""

import asyncio
import itertools
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

MOST = 100
_FIRST_REQUEST_S = 15.0
_numbers = itertools.count()


class LimitedProtocol(H11Protocol):
    """One connection of at most `MOST`; one that asks nothing for a while is closed."""

    number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection on, and close the oldest of those that wait for nothing if there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self.number = next(_numbers)
        self.loop.call_later(_FIRST_REQUEST_S, self._close_if_silent)
        others = [each for each in self.connections if isinstance(each, LimitedProtocol) and each is not self]
        surplus = len(others) + 1 - MOST
        for each in sorted((each for each in others if each.is_idle), key=lambda each: each.number)[: max(surplus, 0)]:
            each.transport.close()
        if surplus > sum(each.is_idle for each in others):
            self.transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether no answer is being given."""
        cycle = self._asked
        return cycle is None or cycle.response_complete

    @property
    def _asked(self) -> RequestResponseCycle | None:
        """The last request; the parent says that there always is one, and has none before the first."""
        return cast("RequestResponseCycle | None", self.cycle)

    def _close_if_silent(self) -> None:
        if self._asked is None and not self.transport.is_closing():
            self.transport.close()
