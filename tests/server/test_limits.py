"""Limits that hold for clients of revision 4 too, which join namespaces in another way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.server.conftest import Served
from tests.wire.peers import WebSocketPeer, eventually

Serve = Callable[[Server], Served]


@contextmanager
def older_client(served: Served) -> Iterator[WebSocketPeer]:
    """Connect as clients 2.x do."""
    peer = WebSocketPeer(served.port, "/socket.io/?EIO=3&transport=websocket")
    try:
        peer.open()
        yield peer
    finally:
        peer.close()


@pytest.mark.parametrize("early", [True, False])
def test_so_many_namespaces_and_no_more(serve: Serve, early: bool) -> None:
    io = Server(max_namespaces=3)
    io.of(re.compile("^/room-"))
    gates: list[asyncio.Event] = []

    @io.use
    async def wait(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()

    served = serve(io)
    with older_client(served) as peer:
        eventually(lambda: gates)
        if early:
            for n in range(4):
                peer.send(f"40/room-{n}")
        served.call(lambda: gates[0].set())
        assert peer.receive() == "40"
        if not early:
            for n in range(4):
                peer.send(f"40/room-{n}")
        answers = [peer.receive() for _ in range(4)]
        assert sorted(str(answer) for answer in answers) == [
            "40/room-0,",
            "40/room-1,",
            '44/room-2,"Too many namespaces"',
            '44/room-3,"Too many namespaces"',
        ]
        assert served.call(lambda: set(io._namespaces)) == {"/", "/room-0", "/room-1"}
        peer.send("41/room-0,")
        peer.send("40/room-2")
        assert peer.receive() == "40/room-2,"


@pytest.mark.parametrize("excess", [0, 1])
def test_so_many_may_wait_for_the_main_namespace(serve: Serve, excess: int) -> None:
    io = Server(max_waiting_events=5, max_namespaces=10)
    for n in range(6):
        io.of(f"/{n}")
    gates: list[asyncio.Event] = []

    @io.use
    async def wait(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()

    served = serve(io)
    with older_client(served) as peer:
        eventually(lambda: gates)
        for n in range(5 + excess):
            peer.send(f"40/{n}")
        if excess:
            peer.closed()
            assert not io.of("/0").sockets
        else:
            eventually(lambda: served.call(lambda: len(next(iter(_connections(io)))._waiting)) == 5)
            served.call(lambda: gates[0].set())
            assert sorted(str(peer.receive()) for _ in range(6)) == sorted(["40", *[f"40/{n}," for n in range(5)]])
        served.call(lambda: gates[0].set())


def _connections(io: Server) -> list[Any]:
    return [session.receiver for session in io.engine.sessions.values()]
