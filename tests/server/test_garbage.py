"""A client that has gone leaves nothing to the garbage collector: it would stop the server to find it."""

from __future__ import annotations

import asyncio
import gc

from socketeer import Server, Socket
from socketeer.engine.http import Request
from socketeer.engine.session import Session
from socketeer.engine.websocket import DEAF, WebSocket
from socketeer.multiplex.server import ServerConnection
from socketeer.protocol.revisions import REVISION_5
from tests.support.virtual import RecordingWire

KINDS = (Session, WebSocket, ServerConnection, Socket, RecordingWire)


def _count() -> int:
    return sum(isinstance(thing, KINDS) for thing in gc.get_objects())


def test_a_client_that_has_gone_leaves_no_cycle() -> None:
    async def visit() -> None:
        io = Server()
        io.driver.bind()
        left: list[str] = []

        @io.event
        def disconnect(socket: Socket, reason: str) -> None:
            left.append(reason)

        gc.collect()
        gc.disable()
        try:
            before = _count()
            wire = RecordingWire()
            io.engine.open_websocket(Request("GET", "/", {}, {}), REVISION_5, wire)
            wire.sink.receive_text(b"40")
            wire.sink.receive_text(b'42["hello"]')
            assert _count() == before + len(KINDS)
            sink, wire.sink = wire.sink, DEAF  # as every wire does that is gone
            sink.end("transport close")
            assert left == ["transport close"]
            del wire, sink
            assert _count() == before
        finally:
            gc.enable()

    asyncio.run(visit())
