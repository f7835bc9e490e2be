"""Requests of the polling transport to servers that are nothing but sockets, in each kind of event loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from socketeer.client.real_network import SocketNetwork
from socketeer.options.client import ManagerOptions
from tests.client.scripted import read_request, response
from tests.client.servers import Peer
from tests.client.stepping import LOOPS, eventually_alone, open_sockets

__all__ = ["UNTIL_END", "Site", "ask", "chunked", "client", "in_each_loop", "pieces"]

UNTIL_END: dict[str, bytes] = {
    "1.0": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    "no word of it": b"HTTP/1.1 200 OK\r\n\r\n",
}
"""Heads of responses whose bodies end with the connection."""


def in_each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in each kind of event loop, where no socket may be left, and no failure go unseen."""

    async def check(arguments: dict[str, Any], failures: list[str]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(str(context)))
        before = open_sockets()
        async with asyncio.timeout(10):
            await test(**arguments)
        await eventually_alone(before)

    @pytest.mark.parametrize("loop_name", LOOPS)
    @functools.wraps(test)
    def run(loop_name: str, **arguments: Any) -> None:
        failures: list[str] = []
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(check(arguments, failures))
        assert not failures

    signature = inspect.signature(test)
    own = inspect.Parameter("loop_name", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), own])
    each: Callable[..., None] = run
    return each


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[SocketNetwork]:
    """Be the network of a client."""
    network = SocketNetwork(ManagerOptions(**options))
    try:
        yield network
    finally:
        await network.release()


async def ask(
    network: SocketNetwork, peer: Peer, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Make a request, a POST if there is a body, and give the body of the response."""
    method = "GET" if body is None else "POST"
    return (await network.request(method, f"{peer.url}/", headers or {}, body or b"")).body


class Site:
    """Answer each request with the number of its connection; ``first`` is what the first connection says instead."""

    def __init__(self, first: bytes | None = None) -> None:
        self.connections = 0
        self.requests = 0
        self.open = 0
        self._first = first

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until the client closes it."""
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while True:
                await read_request(reader)
                self.requests += 1
                answer = self._first if number == 1 else None
                writer.write(response(str(number)) if answer is None else answer)
        finally:
            self.open -= 1


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def chunked(data: bytes, size: int) -> bytes:
    """Write a response in chunks."""
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(data, size)]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"
