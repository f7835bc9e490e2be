"""Why a connection ends, what is told of that, and the heartbeat that finds out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from socketeer import Disconnected
from tests.client.servers import ONCE, Farm, Peer, cut, eventually, in_loop
from tests.support.proxy import proxying

EITHER = pytest.mark.parametrize("transport", ["polling", "websocket"])
BEAT = 100
"""The interval of pings, in milliseconds."""


@pytest.fixture(scope="module")
def hasty() -> Iterator[Farm]:
    """Return servers whose heartbeats are quick."""
    farm = Farm(pingInterval=BEAT, pingTimeout=4 * BEAT)
    yield farm
    farm.close()


@pytest.fixture(params=ONCE)
def quick(request: pytest.FixtureRequest, hasty: Farm) -> Peer:
    """Return each kind of server, with quick heartbeats."""
    return hasty.peer(request.param)


@pytest.fixture(params=ONCE)
def server(request: pytest.FixtureRequest, farm: Farm) -> Peer:
    """Return each kind of server once."""
    return farm.peer(request.param)


# Ends that were asked for


@in_loop
async def test_the_server_puts_a_socket_out(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        echo = await server.connect("/echo", transport)
        log: list[Any] = []
        socket.on("disconnect", lambda *args: log.append(args))
        first = socket.id
        socket.emit("bye")
        assert await socket.disconnected == "io server disconnect"
        assert log == [("io server disconnect", None)]
        assert (socket.active, socket.connected, socket.id) == (False, False, None)
        assert await echo.emit_with_ack("echo", 1) == 1
        with pytest.raises(Disconnected, match="io server disconnect"):
            await socket.receive(5)
        await asyncio.sleep(0.03)
        assert not socket.active
        if server.kind != "node2":  # which does not let it in again on the same connection
            await socket.connect()
            assert await socket.emit_with_ack("echo", 2) == 2
            assert (socket.id != first) == server.modern
        echo.disconnect()


@in_loop
async def test_the_server_puts_a_client_out(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        echo = await server.connect("/echo", transport)
        socket.emit("bye all")
        assert set(await asyncio.gather(socket.disconnected, echo.disconnected)) == {"io server disconnect"}
        await eventually(lambda: socket.io.ready_state == "closed")
        await asyncio.sleep(0.03)
        assert (socket.active, echo.active, socket.io.ready_state) == (False, False, "closed")
        await asyncio.gather(socket.connect(), echo.connect())
        assert await echo.emit_with_ack("echo", 1) == 1
        echo.disconnect()


@in_loop
async def test_the_client_leaves(server: Peer, transport: str) -> None:
    async with server.open("/echo", "websocket", force_new=True) as observer:
        async with server.open("", transport) as socket:
            id = socket.id
            log: list[Any] = []
            socket.on("disconnect", lambda *args: log.append(args))
            waiting = asyncio.create_task(socket.wait_disconnected())
            await asyncio.sleep(0)
            socket.emit("record", f"last words of {id}")
            assert socket.disconnect() is socket
            assert (socket.connected, bool(socket.disconnected), socket.active) == (False, True, False)
            assert await waiting == await socket.disconnected == "io client disconnect"
            assert log == [("io client disconnect", None)]
            socket.disconnect()
        assert len(log) == 1
        assert socket.io.ready_state == "closed"
        assert await observer.emit_with_ack("gone", id) == "client namespace disconnect"
        recorded: Any = await observer.emit_with_ack("recorded")
        if server.ours or transport == "polling":  # Node's servers may forget what they read together with the end
            assert f"last words of {id}" in recorded


@in_loop
async def test_the_server_closes_the_connection(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        for args in [(), (4321,)] if transport == "websocket" else [()]:
            socket.emit("close", *args)
            assert await socket.disconnected == "transport close"
            await socket
        assert await socket.emit_with_ack("echo", 1) == 1


@pytest.mark.parametrize("reset", [False, True])
@in_loop
async def test_the_connection_breaks(server: Peer, transport: str, reset: bool) -> None:
    with proxying(server.port) as proxy:
        async with server.open("", transport, port=proxy.port) as socket:
            reason = await cut(proxy, socket, reset=reset)
            assert reason == ("transport error" if transport == "polling" else "transport close")
            await socket
            assert await socket.emit_with_ack("echo", 1) == 1


# Heartbeats


@EITHER
@in_loop
async def test_an_idle_connection_stays(quick: Peer, transport: str) -> None:
    async with quick.open("", transport) as socket:
        pings: list[float] = []
        socket.io.on("ping", lambda: pings.append(time.monotonic()))
        id = socket.id
        await eventually(lambda: len(pings) >= 3)
        assert (socket.connected, socket.id) == (True, id)
        assert await socket.emit_with_ack("echo", 1) == 1


@EITHER
@in_loop
async def test_a_silent_connection_ends(quick: Peer, transport: str) -> None:
    with proxying(quick.port) as proxy:
        async with quick.open("", transport, port=proxy.port, close_timeout=0.1) as socket:
            proxy.hold()
            assert await socket.disconnected == "ping timeout"
            proxy.release()
            await socket
            assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_a_server_that_is_silent_for_a_while_is_borne(quick: Peer) -> None:
    with proxying(quick.port) as proxy:
        async with quick.open("", "websocket", port=proxy.port) as socket:
            id = socket.id
            for _ in range(3):
                proxy.hold()
                await asyncio.sleep(BEAT / 2000)
                proxy.release()
                assert await socket.emit_with_ack("echo", 1) == 1
            assert socket.id == id
