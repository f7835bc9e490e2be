"""The seam between a client and the I/O; the real one is in :mod:`socketeer.client.real_network`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from socketeer.engine.websocket import Limits, Sink, Wire

__all__ = ["HttpResponse", "Network"]


class HttpResponse(NamedTuple):
    """Hold the response to a request; the names of ``headers`` are in lower case."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Give the value of a header; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")


class Network(Protocol):
    """Open the connections of one manager. URLs and headers are complete, with query and cookies."""

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Make an HTTP request. Raises ``TransportError`` where there is no response; cancelling closes it."""
        ...

    async def websocket(
        self,
        url: str,
        headers: Mapping[str, str],
        limits: Limits,
        begin: Callable[[Wire], Sink],
        protocols: Sequence[str] = (),
    ) -> Sequence[tuple[str, str]]:
        """Open a WebSocket, and give the headers of the answer.

        Once it is open ``begin`` gets its wire and gives the sink, before any frame is delivered. Raises
        ``TransportError``; cancelling closes what was opened.
        """
        ...

    async def release(self) -> None:
        """Close what is kept open for further requests; there may be some all the same."""
        ...

    def drop(self) -> None:
        """Lose every connection at once: the event loop ends."""
        ...
