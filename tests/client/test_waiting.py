"""The ways in which a program waits for the client: to be connected, for events, for the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from socketeer import ClientSocket, ConnectionRefused, Disconnected, TransportError, UsageError, connect
from tests.client.servers import Peer, eventually, in_loop, lose


def task(awaitable: Any) -> asyncio.Task[Any]:
    """Await something in a task."""

    async def wait() -> Any:
        return await awaitable

    return asyncio.create_task(wait())


# To be connected


@in_loop
async def test_a_block_is_connected_and_leaves(ours: Peer) -> None:
    socket = ours.connect("", "websocket")
    assert (socket.connected, socket.active, socket.id, socket.transport) == (False, True, None, None)
    assert repr(socket) == "<ClientSocket not connected of />"
    async with socket as same:
        assert same is socket
        assert (socket.connected, socket.active, socket.transport) == (True, True, "websocket")
        assert repr(socket) == f"<ClientSocket {socket.id} of />"
        assert repr(socket.io) == f"<Manager of {ours.url}, open>"
        async with socket.io.socket("/echo") as other:
            assert other.connected
        assert not other.active
        assert await socket is socket
    assert (socket.connected, socket.active, socket.io.ready_state) == (False, False, "closed")
    with pytest.raises(ZeroDivisionError):
        async with socket:
            1 / 0  # noqa: B018
    assert not socket.active


@in_loop
async def test_a_block_can_be_entered_again(ours: Peer) -> None:
    async with ours.open("", "websocket") as other:
        for socket in (other.io.socket("/echo"), ours.connect("", "websocket")):
            for _ in range(2):
                async with socket:
                    assert await socket.emit_with_ack("echo", 1) == 1
            await socket
            socket.emit("bye")
            await socket.disconnected
            async with socket:
                assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_many_wait_for_one_connection(ours: Peer) -> None:
    socket = ours.connect("", "websocket")
    assert set(await asyncio.gather(socket, socket, socket)) == {socket}
    socket.disconnect()
    waiting = [task(socket.connect()), task(socket)]
    await asyncio.sleep(0)
    socket.disconnect()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert str(result) == "io client disconnect"
    await socket.io.wait_closed()


@in_loop
async def test_a_block_that_does_not_connect(ours: Peer) -> None:
    with pytest.raises(ConnectionRefused):
        async with ours.connect("/refused", "websocket"):
            pytest.fail("it was let in")
    with pytest.raises(TransportError):
        async with connect("http://127.0.0.1:1", reconnection=False):
            pytest.fail("it was let in")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), ours.connect("/slow", "websocket", auth={"ms": 5000}):
            pytest.fail("it was let in")
    with pytest.raises(TransportError):
        async with connect("http://127.0.0.1:1", reconnection_attempts=1, reconnection_delay=0):
            pytest.fail("it was let in")


@in_loop
async def test_connecting_without_being_told_to_is_an_option(ours: Peer) -> None:
    socket = ours.connect("", "websocket", auto_connect=False)
    connected: list[str] = []
    socket.once("connect", lambda: connected.append("once"))
    socket.on("connect", lambda: connected.append("on"))
    await asyncio.sleep(0.02)
    assert (socket.active, socket.io.ready_state) == (False, "closed")
    socket.emit("echo", 1)
    async with socket:
        assert (await socket.receive(5)).args == [1]
        assert socket.connect() is socket.open() is socket
        lose(socket)
        await socket.disconnected
        await socket
        assert connected == ["once", "on", "on"]


# For events


@in_loop
async def test_events_one_by_one(server: Peer, transport: str) -> None:
    async with server.open("/?greet=1", transport) as socket:
        handled: list[Any] = []
        socket.on("binary", lambda *args: handled.append(args))
        seen: list[Any] = []
        async for event, args in socket:
            seen.append((event, args))
            if event == "greeting":
                for number in range(3):
                    socket.emit("echo", number)
                    socket.emit("binary", number)
            if args == [2]:
                socket.emit("bye")
        assert seen == [("greeting", [1, {"a": "b"}, b"\1\2\3"]), *(("echo", [number]) for number in range(3))]
        assert handled == [(0,), (1,), (2,)]
        async for received in socket:
            pytest.fail(f"{received} after the end")


@in_loop
async def test_events_go_on_after_a_reconnection(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:
        socket.emit("echo", 1)
        socket.emit("late", 30)
        received = [await socket.receive(5)]
        waiting = task(socket.receive())
        await asyncio.sleep(0)
        lose(socket)
        await socket.disconnected
        socket.emit("echo", 2)
        received.append(await waiting)
        assert [each.args for each in received] == [[1], [2]]
        assert (received[0].event, received[0].ack) == ("echo", None)


@in_loop
async def test_waiting_for_an_event_ends(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:
        with pytest.raises(TimeoutError):
            await socket.receive(0.02)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0)
        waiting = [task(socket.receive()) for _ in range(3)]
        iteration = task(anext(socket))
        await asyncio.sleep(0)
        waiting[0].cancel()
        socket.emit("echo", 1)
        assert (await waiting[1]).args == [1]
        socket.disconnect()
        with pytest.raises(Disconnected, match="io client disconnect"):
            await waiting[2]
        with pytest.raises(StopAsyncIteration):
            await iteration
        with pytest.raises(Disconnected):
            await socket.receive(5)


@in_loop
async def test_events_that_came_are_given_after_the_end(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:
        for number in range(3):
            socket.emit("echo", number)
        await socket.emit_with_ack("echo")
        socket.disconnect()
        assert [args async for _, args in socket] == [[0], [1], [2]]


@in_loop
async def test_before_anybody_asks_only_the_latest_events_wait(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:
        socket.emit("flood", 1010, 1)
        await socket.emit_with_ack("echo")
        assert [(await socket.receive(5)).args[0] for _ in range(1000)] == list(range(10, 1010))


@in_loop
async def test_more_events_than_may_wait(ours: Peer) -> None:
    async with ours.open("", "websocket", max_waiting_events=3) as socket:
        for count in (3, 4):
            with pytest.raises(TimeoutError):
                await socket.receive(0)
            socket.emit("flood", count, 1)
            await socket.emit_with_ack("echo")
            assert [(await socket.receive(5)).args[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(UsageError, match="more than max_waiting_events"):
            await socket.receive(5)
        socket.emit("echo", 1)
        assert (await socket.receive(5)).args == [1]


# For the end


@in_loop
async def test_waiting_for_the_end(ours: Peer) -> None:
    socket = ours.connect("", "websocket")
    assert bool(socket.disconnected)
    early = task(socket.disconnected)
    async with socket:
        assert not socket.disconnected
        waiting = [task(socket.disconnected) for _ in range(2)]
        cancelled = task(socket.disconnected)
        await asyncio.sleep(0)
        cancelled.cancel()
        lose(socket)
        assert [await each for each in (early, *waiting)] == ["transport close"] * 3
        assert await socket.disconnected == "transport close", "it has been, and is not yet back"
        await socket
        assert not socket.disconnected
        again = task(socket.disconnected)
        await asyncio.sleep(0)
        assert not again.done()
    assert await again == await socket.disconnected == "io client disconnect"
    refused = ours.connect("/refused", "websocket")
    assert "not today" in await refused.disconnected


# The other event loop


def test_on_uvloop(server: Peer) -> None:
    async def use(socket: ClientSocket) -> None:
        async with socket:
            assert await socket.emit_with_ack("echo", b"1" * 100_000) == b"1" * 100_000
            await eventually(lambda: socket.transport == "websocket")
            socket.emit("flood", 100, 1000)
            assert [(await socket.receive(5)).args[0] for _ in range(100)] == list(range(100))
            lose(socket)
            await socket.disconnected
            await socket
            assert await socket.emit_with_ack("echo", 1) == 1

    async def main() -> None:
        await use(server.connect(""))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
