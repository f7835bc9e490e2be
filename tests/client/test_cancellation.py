"""Nothing is left of a client in programs that cancel tasks at any point, end at any point, or are interrupted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from socketeer import ClientSocket, Server, Socket, connect
from tests.client.servers import TRANSPORTS
from tests.client.stepping import LOOPS, Stepping, eventually_alone, open_sockets, sweep
from tests.support.serving import Running, serving

PATIENCE = 5.0
PING = 0.5


@pytest.fixture(scope="module")
def io() -> Server:
    """Return the server's application."""
    io = Server(ping_interval=PING, ping_timeout=PING)

    for namespace in (io.sockets, io.of("/other")):

        @namespace.event
        def back(socket: Socket, *args: Any) -> Any:
            return args

        @namespace.event
        def echo(socket: Socket, *args: Any) -> None:
            socket.emit("echo", *args)

        @namespace.event
        def never(socket: Socket, ack: Any) -> None: ...

    @io.event
    def cut(socket: Socket) -> None:
        socket.conn.close()

    return io


@pytest.fixture(scope="module")
def server(io: Server) -> Iterator[Running]:
    """Return our own server."""
    with serving(io) as running:
        yield running


def check_that_all_are_gone(io: Server, server: Running) -> None:
    """Wait until the server has no clients: one that got no answer to its handshake cannot say that it leaves."""
    end = time.monotonic() + 2 * PING + PATIENCE
    while count := server.call(lambda: io.engine.clients_count):
        assert time.monotonic() < end, f"{count} clients are left"
        time.sleep(0.01)


async def slow_auth() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"token": "secret"}


def begin(url: str, transport: str) -> ClientSocket:
    return connect(url, transports=TRANSPORTS[transport], reconnection_delay=0.001, auth=slow_auth)


async def use(socket: ClientSocket, transport: str) -> None:
    """Use whatever may wait: for the upgrade, acknowledgements, events, a disconnection, the connection after it."""
    async with asyncio.timeout(PATIENCE):
        if transport == "upgrade" and socket.transport == "polling":
            upgraded = asyncio.Event()
            assert socket.io.engine is not None
            socket.io.engine.on("upgrade", lambda transport: upgraded.set())
            await upgraded.wait()
        assert await socket.timeout(PATIENCE).emit_with_ack("back", 1) == 1
        socket.emit("echo", 2)
        async for event, args in socket:
            assert (event, args) == ("echo", [2])
            break
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.001)
        answered = asyncio.Event()

        @socket.once("echo")
        async def echo(data: bytes) -> None:
            await asyncio.sleep(0)
            answered.set()

        socket.emit("echo", b"3")
        await answered.wait()
        socket.emit("cut")
        assert await socket.disconnected == "transport close"
        await socket
        assert await socket.emit_with_ack("back", "x") == "x"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("loop_name", LOOPS)
def test_a_task_is_cancelled_at_any_step(loop_name: str, transport: str, io: Server, server: Running) -> None:
    async def visit() -> None:
        async with begin(server.url, transport) as socket:
            await use(socket, transport)

    async def program(loop: Stepping, steps: int) -> bool:
        before = open_sockets()
        task = asyncio.create_task(visit())
        loop.act_after(steps, task.cancel)
        await asyncio.wait([task])
        await eventually_alone(before)
        if not task.cancelled():
            task.result()
        return not task.cancelled()

    assert sweep(loop_name, program) > 20
    check_that_all_are_gone(io, server)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("loop_name", LOOPS)
def test_the_program_ends_at_any_step(loop_name: str, transport: str, io: Server, server: Running) -> None:
    """``asyncio.run`` ends, and nobody has closed the socket."""

    async def visit() -> None:
        socket = begin(server.url, transport)
        await socket
        await use(socket, transport)

    async def program(loop: Stepping, steps: int) -> bool:
        end = asyncio.Event()
        visiting, ending = asyncio.create_task(visit()), asyncio.create_task(end.wait())
        loop.act_after(steps, end.set)
        await asyncio.wait([visiting, ending], return_when=asyncio.FIRST_COMPLETED)
        if visiting.done():
            visiting.result()
        return visiting.done()

    assert sweep(loop_name, program) > 20
    check_that_all_are_gone(io, server)
