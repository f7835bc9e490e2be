"""Servers for the tests of the server's API, over each lane, and the clients that talk to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.support.raw import Client
from tests.support.serving import Running, serving

__all__ = ["Served"]


class Served:
    """Hold a server under test, and make clients for it."""

    def __init__(self, io: Server, running: Running) -> None:
        self.io = io
        self.running = running
        self.port = running.port
        self.call = running.call
        self.run = running.run
        self._clients: list[Client] = []

    def connect(self, **options: Any) -> Client:
        """Open a connection that has joined nothing."""
        client = Client(self.port, **options)
        self._clients.append(client)
        return client

    def join(self, namespace: str = "/", auth: Any = None, **options: Any) -> Client:
        """Open a connection that has joined a namespace."""
        client = self.connect(**options)
        client.join(namespace, auth)
        return client

    def member(self, namespace: str = "/", auth: Any = None, **options: Any) -> tuple[Client, Socket]:
        """Open a connection that has joined a namespace; give the server's socket too."""
        client = self.connect(**options)
        id = client.join(namespace, auth)
        return client, self.call(lambda: self.io.of(namespace).sockets[id])

    def settle(self) -> None:
        """Let the event loop go through what is ready, a few times."""
        for _ in range(5):
            self.call(lambda: None)

    def close_clients(self) -> None:
        """Close what the test left open."""
        while self._clients:
            self._clients.pop().close()


@pytest.fixture(autouse=True)
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test during which something was logged as a warning or worse, unless the test has cleared the log.

    What uvicorn has to say is for ``serving`` to judge.
    """
    yield
    records = [record for record in caplog.get_records("call") if not record.name.startswith("uvicorn")]
    assert [record.getMessage() for record in records if record.levelno >= logging.WARNING] == []


@pytest.fixture
def serve(lane: str) -> Iterator[Callable[[Server], Served]]:
    """Serve a server for as long as the test runs; it takes ``sync`` in the main namespace."""
    with ExitStack() as stack:

        def start(io: Server) -> Served:
            io.event("sync")(lambda socket: None)
            served = Served(io, stack.enter_context(serving(io, lane)))
            stack.callback(served.close_clients)
            return served

        yield start
