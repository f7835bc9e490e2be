"""What is emitted while there is no connection, what gets lost with one, and what is sent again or comes again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from socketeer import AckTimeout, ClientSocket, Disconnected, UsageError
from tests.client.servers import MODERN, ONCE, Farm, Peer, cut, eventually, in_loop
from tests.support.proxy import Proxy, proxying


@pytest.fixture(params=ONCE)
def server(request: pytest.FixtureRequest, farm: Farm) -> Peer:
    """Return each kind of server once."""
    return farm.peer(request.param)


async def numbers(socket: ClientSocket, count: int) -> list[Any]:
    """Give the first arguments of as many events."""
    return [(await socket.receive(5)).args[0] for _ in range(count)]


# Before there is a connection, and while it is lost


@in_loop
async def test_what_is_emitted_waits_for_the_connection(server: Peer, transport: str) -> None:
    socket = server.connect("", transport)
    answers: list[Any] = []
    socket.on("connect", lambda: socket.emit("echo", 4))
    socket.emit("echo", 1)
    socket.emit("echo", "x", ack=answers.append)
    socket.emit("echo", 2, b"2")
    later = asyncio.create_task(socket.emit_with_ack("echo", "y"))
    await asyncio.sleep(0)
    socket.send(3)
    socket.volatile.emit("echo", "dropped")
    async with socket:
        assert await numbers(socket, 3) == [1, 2, 4]
        assert (answers, await later) == (["x"], "y")


@in_loop
async def test_what_is_emitted_while_away_comes_once_and_in_order(server: Peer, transport: str) -> None:
    with proxying(server.port) as proxy:
        async with server.open("", transport, port=proxy.port) as socket:
            echo = await socket.io.socket("/echo")
            proxy.refuse()
            proxy.cut()
            await socket.disconnected
            answers: list[Any] = []
            for number in range(50):
                (echo if number % 5 == 0 else socket).emit("echo", number)
                socket.emit("echo", number, ack=answers.append)
                socket.volatile.emit("echo", "dropped")
                await asyncio.sleep(0)
            proxy.accept()
            await asyncio.gather(socket, echo)
            assert await numbers(socket, 40) == [number for number in range(50) if number % 5]
            assert await numbers(echo, 10) == list(range(0, 50, 5))
            assert answers == list(range(50))
            assert await socket.emit_with_ack("echo", "the last") == "the last"
            echo.disconnect()


@in_loop
async def test_order_is_kept_by_those_who_emit_when_it_comes_back(server: Peer) -> None:
    socket = server.connect("/early", "websocket")
    socket.on("early", lambda *_: socket.emit("echo", 2))
    socket.on("connect", lambda: socket.emit("echo", 3))
    socket.emit("echo", 1)
    async with socket:
        assert await numbers(socket, 3) == [1, 2, 3]


@in_loop
async def test_acknowledgements_that_are_lost(server: Peer, transport: str) -> None:
    with proxying(server.port) as proxy:
        async with server.open("", transport, port=proxy.port) as socket:
            calls: list[tuple[Any, ...]] = []
            socket.emit("never", ack=lambda *args: calls.append(args))
            socket.timeout(5).emit("never", ack=lambda *args: calls.append(args))
            waiting = asyncio.create_task(socket.emit_with_ack("never"))
            await socket.emit_with_ack("echo")
            await cut(proxy, socket)
            with pytest.raises(Disconnected, match="the socket has been disconnected"):
                await waiting
            assert [(type(error), *rest) for error, *rest in calls] == [(Disconnected,)]


@in_loop
async def test_what_is_given_up_while_away_is_not_sent(server: Peer) -> None:
    with proxying(server.port) as proxy:
        async with server.open("", "websocket", port=proxy.port) as socket:
            proxy.refuse()
            proxy.cut()
            await socket.disconnected
            kept = socket.timeout(5).emit_with_ack("echo", "kept")
            calls: list[Any] = []
            socket.timeout(0.02).emit("record", f"late {server.name}", ack=lambda *args: calls.append(args))
            with pytest.raises(AckTimeout):
                await socket.timeout(0.02).emit_with_ack("record", f"late {server.name}")
            cancelled = asyncio.create_task(socket.emit_with_ack("record", f"cancelled {server.name}"))
            await asyncio.sleep(0)
            cancelled.cancel()
            proxy.accept()
            assert await kept == "kept"
            assert [type(error) for (error,) in calls] == [AckTimeout]
            recorded: Any = await socket.emit_with_ack("recorded")
            assert not {f"late {server.name}", f"cancelled {server.name}"} & set(map(str, recorded))


@in_loop
async def test_a_bound_for_what_waits(ours: Peer) -> None:
    socket = ours.connect("", "websocket", max_buffered_emits=3)
    for number in range(3):
        socket.emit("echo", number)
    with pytest.raises(UsageError, match="max_buffered_emits"):
        socket.emit("echo", 3)
    with pytest.raises(UsageError, match="max_buffered_emits"):
        await socket.emit_with_ack("echo", 3)
    socket.volatile.emit("echo", "does not wait")
    async with socket:
        assert await numbers(socket, 3) == [0, 1, 2]
        for number in range(9):
            socket.emit("echo", number)
        assert await numbers(socket, 9) == list(range(9))
    async with ours.open("", "websocket", max_buffered_emits=2, retries=1) as socket:
        for number in range(3):
            socket.emit("echo", number)  # the first one is under way
        with pytest.raises(UsageError, match="max_buffered_emits"):
            socket.emit("echo", 3)
        await eventually(lambda: not len(socket.retries or ()))
        assert await socket.emit_with_ack("echo", 4) == 4


# Volatile


@in_loop
async def test_volatile_events_leave_at_once_or_never(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        await socket.emit_with_ack("echo")
        await asyncio.sleep(0.01)
        socket.volatile.emit("echo", 1)
        socket.volatile.emit("echo", "behind another one")
        socket.emit("echo", 2)
        assert await numbers(socket, 2) == [1, 2]
        await asyncio.sleep(0.01)
        socket.emit("echo", 3)
        socket.volatile.emit("echo", "behind an event", b"and all of it")
        socket.emit("echo", 4)
        assert await numbers(socket, 2) == [3, 4]
        await asyncio.sleep(0.01)
        socket.volatile.emit("echo", 5, b"5")
        assert await socket.receive(5) == ("echo", [5, b"5"])
        socket.emit("echo", 6)
        with pytest.raises(Disconnected, match="volatile and could not leave at once"):  # there will be no answer
            await socket.volatile.emit_with_ack("echo", "behind an event")
        assert await numbers(socket, 1) == [6]


# Sent again until it is acknowledged


@in_loop
async def test_retries(server: Peer) -> None:
    async with server.open("", "websocket", retries=2, ack_timeout=0.2) as socket:
        key = f"key of {server.name}"
        order: list[Any] = []

        def done(error: Exception | None, *args: Any) -> None:
            order.append(args if error is None else type(error))

        socket.emit("fail n times", f"{key} a", 1, ack=done)
        socket.emit("fail n times", f"{key} b", 9, ack=done)
        socket.emit("record", key)
        socket.emit("echo", 1, 2, ack=done)
        assert await socket.emit_with_ack("echo", 3) == 3
        assert order == [(2,), AckTimeout, (1, 2)]
        recorded: Any = await socket.emit_with_ack("recorded")
        assert recorded.count(key) >= 1  # again, where a busy machine was too slow
        assert await socket.emit_with_ack("fail n times", f"{key} b", 0) == 4
        with pytest.raises(AckTimeout):
            await socket.timeout(0.02).emit_with_ack("never")
        with contextlib.suppress(Disconnected):  # it is dropped where something else is on its way
            assert await socket.volatile.timeout(5).emit_with_ack("echo", 4) == 4


@in_loop
async def test_retries_outlive_a_connection(server: Peer) -> None:
    with proxying(server.port) as proxy:
        async with server.open("", "websocket", port=proxy.port, retries=2, ack_timeout=5.0) as socket:
            answers: list[Any] = []
            socket.emit("late", 60, "a", ack=lambda *args: answers.append(args))
            socket.emit("echo", "b", ack=lambda *args: answers.append(args))
            await asyncio.sleep(0.02)
            for _ in range(3):  # which counts for nothing
                proxy.cut()
                await socket.disconnected
                await socket
            await eventually(lambda: len(answers) == 2)
            assert answers == [(None, "a"), (None, "b")]


@in_loop
async def test_with_retries_a_block_ends_when_all_is_acknowledged(server: Peer) -> None:
    with proxying(server.port) as proxy:
        marks = [f"{proxy.port} {number}" for number in range(5)]
        async with server.open("", "websocket", port=proxy.port, retries=2, ack_timeout=5.0) as socket:
            socket.emit("late", 50)
            for mark in marks:
                socket.emit("record", mark)
            await asyncio.sleep(0.01)
            proxy.cut()
    async with server.open() as other:
        recorded: Any = await other.emit_with_ack("recorded")
    assert list(dict.fromkeys(mark for mark in recorded if mark in marks)) == marks


@pytest.mark.parametrize("way", ["disconnect", "put out", "error", "timeout"])
@in_loop
async def test_with_retries_a_block_may_end_before_all_is_acknowledged(ours: Peer, way: str) -> None:
    with contextlib.suppress(TimeoutError, KeyError):
        async with asyncio.timeout(20) as limit:
            async with ours.open("", "websocket", retries=2, ack_timeout=20.0) as socket:
                socket.emit("bye" if way == "put out" else "never")
                socket.emit("never")
                if way == "disconnect":
                    socket.disconnect()
                elif way == "error":
                    raise KeyError
                elif way == "timeout":
                    limit.reschedule(asyncio.get_running_loop().time() + 0.1)
    assert (socket.active, socket.connected) == (False, False)
    assert socket.retries is not None
    assert len(socket.retries) == 2


@in_loop
async def test_an_event_that_is_never_acknowledged_is_told_of(ours: Peer, caplog: pytest.LogCaptureFixture) -> None:
    async with ours.open("", "websocket", retries=1, ack_timeout=0.02) as socket:
        socket.emit("never", 1)
        assert await socket.timeout(5).emit_with_ack("echo", 1) == 1
    assert "'never' was not acknowledged, 2 times" in caplog.text


@in_loop
async def test_the_time_of_acknowledgements_without_retries(ours: Peer) -> None:
    async with ours.open("", "websocket", ack_timeout=0.2) as socket:
        calls: list[tuple[Any, ...]] = []
        socket.emit("never", ack=lambda *args: calls.append(args))
        socket.emit("echo", 1, ack=lambda *args: calls.append(args))
        with pytest.raises(AckTimeout):
            await socket.emit_with_ack("never")
        assert await socket.timeout(5).emit_with_ack("late", 220, "patience") == "patience"
        assert calls[0] == (None, 1)
        assert [type(error) for error, *_ in calls] == [type(None), AckTimeout]


# Recovery


@pytest.fixture(scope="module")
def recovering() -> Iterator[Farm]:
    """Return servers that recover connections."""
    farm = Farm(connectionStateRecovery={})
    yield farm
    farm.close()


@pytest.fixture(params=MODERN)
def away(request: pytest.FixtureRequest, recovering: Farm) -> Iterator[tuple[Peer, Proxy]]:
    """Return each kind of server that recovers connections, behind a proxy."""
    peer = recovering.peer(request.param)
    with proxying(peer.port) as proxy:
        yield peer, proxy


@in_loop
async def test_what_was_missed_comes_after_all(away: tuple[Peer, Proxy], transport: str) -> None:
    peer, proxy = away
    async with peer.open("", transport, port=proxy.port) as socket, peer.open("", "websocket") as other:
        assert socket.recovered is False
        id, told = socket.id, f"told {transport} {socket.id}"
        order: list[Any] = []
        socket.on("connect", lambda: order.append(("connect", socket.recovered)))
        socket.on(told, lambda *args: order.append(args))
        await socket.emit_with_ack("join", told)
        other.emit("room emit", told, told, 1, "2", b"3")
        await eventually(lambda: order)
        assert order == [(1, "2", b"3")], "the offset is nobody's business"
        for turn in range(2):
            order.clear()
            await asyncio.sleep(0.05)  # until a GET waits: between two of them there is nothing to break
            proxy.refuse()
            proxy.cut()
            await socket.disconnected
            await asyncio.sleep(0.05)  # until the server has noticed, too
            for number in range(3):
                other.emit("room emit", told, told, number, f"{turn}", b"\0")
                other.emit("room emit", told, told)
            socket.emit("echo", turn)
            await other.emit_with_ack("echo")
            proxy.accept()
            await socket
            await eventually(lambda: len(order) == 7)
            missed = [entry for number in range(3) for entry in ((number, f"{turn}", b"\0"), ())]
            # Our server says first that the client is in.
            assert order == [("connect", True), *missed] if peer.ours else [*missed, ("connect", True)]
            assert (socket.id, socket.recovered) == (id, True)
            assert await numbers(socket, 1) == [turn]
        assert await socket.emit_with_ack("rooms") == [told]
        assert (await socket.emit_with_ack("handshake"))["recovered"] is True
        if peer.ours:  # Node's server lets itself be asked a second time for what it has given out
            socket.disconnect()
            await socket.connect()
            assert (socket.id != id, socket.recovered) == (True, False)


@in_loop
async def test_there_is_nothing_to_recover(modern: Peer) -> None:
    with proxying(modern.port) as proxy:
        async with modern.open("", "websocket", port=proxy.port) as socket:
            id = socket.id
            socket.emit("echo", "a", "b")
            assert (await socket.receive(5)).args == ["a", "b"]
            proxy.cut()
            await socket.disconnected
            await socket
            assert (socket.id != id, socket.recovered) == (True, False)
            socket.emit("echo", "1760000000000-0")
            assert (await socket.receive(5)).args == ["1760000000000-0"]


@pytest.mark.parametrize("name", MODERN)
@in_loop
async def test_another_server_knows_nothing_of_it(recovering: Farm, farm: Farm, name: str) -> None:
    first = recovering.peer(name)
    with proxying(first.port) as proxy:
        async with first.open("", "websocket", port=proxy.port) as socket:
            socket.emit("echo", 1)
            assert (await socket.receive(5)).args == [1]
            id = socket.id
            proxy._target = recovering.peer(MODERN[MODERN.index(name) - 1]).port
            proxy.cut()
            await socket.disconnected
            await socket
            assert (socket.id != id, socket.recovered) == (True, False)
            socket.emit("echo", 2, "3")
            assert (await socket.receive(5)).args == [2, "3"]
