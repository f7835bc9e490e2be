"""What a manager does when its connection is lost or cannot be made, and what it tells of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from socketeer import ClientSocket, Disconnected, Manager, TransportError, UsageError
from socketeer.client import HttpResponse
from socketeer.engine.websocket import Limits, Sink, Wire
from socketeer.testing import run
from tests.client.servers import Peer, cut, eventually, in_loop
from tests.support.proxy import Proxy, proxying

MANAGER_EVENTS = ("open", "error", "close", "reconnect_attempt", "reconnect", "reconnect_error", "reconnect_failed")
SOCKET_EVENTS = ("connect", "connect_error", "disconnect")


def told(socket: ClientSocket) -> list[tuple[Any, ...]]:
    """Collect the events of a socket and its manager, errors as their classes."""
    log: list[tuple[Any, ...]] = []

    def listener(event: str) -> Callable[..., None]:
        return lambda *args: log.append((event, *(type(arg) if isinstance(arg, Exception) else arg for arg in args)))

    for event in MANAGER_EVENTS:
        socket.io.on(event, listener(event))
    for event in SOCKET_EVENTS:
        socket.on(event, listener(event))
    return log


@pytest.fixture
def gate(modern: Peer) -> Iterator[tuple[Peer, Proxy]]:
    """Return a server, and a proxy in front of it."""
    with proxying(modern.port) as proxy:
        yield modern, proxy


@in_loop
async def test_the_events_of_a_loss_and_of_a_return(gate: tuple[Peer, Proxy], transport: str) -> None:
    peer, proxy = gate
    async with peer.open("", transport, port=proxy.port, randomization_factor=0) as socket:
        log = told(socket)
        proxy.refuse()
        proxy.cut()
        assert await socket.disconnected in ("transport close", "transport error")
        assert (socket.connected, socket.active, socket.id, bool(socket.disconnected)) == (False, True, None, True)
        await eventually(lambda: ("reconnect_attempt", 2) in log)
        proxy.accept()
        await socket
        again = next(number for event, *args in log if event == "reconnect" for number in args)
        reason, description = log[0][1:]
        expected: list[tuple[Any, ...]] = [("close", reason, description), ("disconnect", reason, description)]
        for number in range(1, again):
            failed = [(event, TransportError) for event in ("error", "connect_error", "reconnect_error")]
            expected += [("reconnect_attempt", number), *failed]
        assert log == [*expected, ("reconnect_attempt", again), ("open",), ("reconnect", again), ("connect",)]
        assert again >= 2
        assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_the_first_connection_is_tried_again(gate: tuple[Peer, Proxy]) -> None:
    peer, proxy = gate
    proxy.refuse()
    socket = peer.connect("", port=proxy.port)
    log = told(socket)
    await eventually(lambda: ("reconnect_attempt", 2) in log)
    proxy.accept()
    async with socket:
        assert log[:3] == [("error", TransportError), ("connect_error", TransportError), ("reconnect_attempt", 1)]
        assert log[-2:] == [("reconnect", log[-2][1]), ("connect",)]
        log.clear()
        proxy.cut()
        await socket.disconnected
        await socket
        assert ("reconnect_attempt", 1) in log


@pytest.mark.parametrize("attempts", [0, 1, 3])
@in_loop
async def test_a_number_of_attempts(attempts: int) -> None:
    socket = Peer("", "", 4, 1).connect("", reconnection_attempts=attempts)
    log = told(socket)
    for _ in range(2):  # connect() begins all over again
        with pytest.raises(TransportError, match="GET failed"):
            await socket
        assert not socket.active
        failed = [("error", TransportError), ("connect_error", TransportError)]
        expected: list[tuple[Any, ...]] = [*failed]
        for number in range(1, attempts + 1):
            expected += [("reconnect_attempt", number), *failed]
            expected += [("reconnect_error", TransportError)] if number < attempts else []
        expected += [("reconnect_failed",), *([("reconnect_error", TransportError)] if attempts else [])]
        assert log == expected
        log.clear()
        await asyncio.sleep(0.03)
        assert (log, socket.io.ready_state) == ([], "closed")
        socket.connect()


@in_loop
async def test_without_reconnection(gate: tuple[Peer, Proxy]) -> None:
    peer, proxy = gate
    proxy.refuse()
    socket = peer.connect("", port=proxy.port, reconnection=False)
    log = told(socket)
    with pytest.raises(TransportError, match="GET failed"):
        await socket
    assert log == [("error", TransportError), ("connect_error", TransportError)]
    proxy.accept()
    async with socket:
        assert await socket.emit_with_ack("echo", 1) == 1
        proxy.cut()
        await socket.disconnected
        assert not socket.active
        with pytest.raises(Disconnected, match="the connection was lost: transport"):
            await socket.receive(5)
        await socket
        assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_disconnecting_ends_the_attempts(gate: tuple[Peer, Proxy]) -> None:
    peer, proxy = gate
    for end in ("disconnect", "close", "in a listener"):
        async with peer.open("", "websocket", port=proxy.port) as socket:
            log = told(socket)
            proxy.refuse()
            if end == "in a listener":
                socket.io.on("reconnect_attempt", lambda _: socket.disconnect())
            proxy.cut()
            await socket.disconnected
            if end == "disconnect":
                socket.disconnect()
            elif end == "close":
                socket.io.close()
            else:
                await eventually(lambda: not socket.active)
            count = len(log)
            await asyncio.sleep(0.05)
            assert len(log) == count, log[count:]
            assert socket.io.ready_state == "closed"
            proxy.accept()
            socket.io.off("reconnect_attempt")
            await socket.connect()
            assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_every_namespace_comes_back(server: Peer, transport: str) -> None:
    with proxying(server.port) as proxy:
        async with server.open("", transport, port=proxy.port) as socket:
            echo = await socket.io.socket("/echo")
            left = await socket.io.socket("/dynamic-1")
            left.disconnect()
            before = socket.id
            await cut(proxy, socket, reset=True)
            await asyncio.gather(socket, echo)
            assert not left.active
            assert socket.id != before
            assert [await each.emit_with_ack("echo", 1) for each in (socket, echo)] == [1, 1]


@in_loop
async def test_listening_to_a_manager(ours: Peer) -> None:
    manager = Manager(ours.url, transports=["websocket"])
    opened: list[str] = []
    manager.once("open", lambda: opened.append("once"))

    @manager.on("open")
    async def later() -> None:
        opened.append("decorated")

    manager.once("open")(lambda: opened.append("once, decorated"))
    assert len(manager.listeners("open")) == 3
    manager.off("open", later)
    manager.on("close", lambda reason, description: opened.append(reason))
    await eventually(lambda: manager.ready_state == "open")
    assert opened == ["once", "once, decorated"]
    manager.close()
    await manager.wait_closed()
    assert opened[2:] == ["forced close"]
    manager.off("close")
    manager.off()
    assert manager.listeners("close") == []
    with pytest.raises(UsageError, match="'opened'"):
        manager.on("opened", print)


@in_loop
async def test_packets_and_pings_are_shown(server: Peer, transport: str) -> None:
    socket = server.connect("", transport)
    packets: list[Any] = []
    socket.io.on("packet", packets.append)
    async with socket:
        socket.emit("echo", 1, b"2")
        assert (await socket.receive(5)).args == [1, b"2"]
        await socket.emit_with_ack("echo", 3)
        assert [(packet.type.name, packet.namespace, packet.id) for packet in packets] == [
            ("CONNECT", "/", None),
            ("EVENT", "/", None),
            ("ACK", "/", 0),
        ]
        assert [packet.data for packet in packets[1:]] == [["echo", 1, b"2"], [3]]


# When the attempts are made, on virtual time


class Unreachable:
    """Be a network without a server: refuse, or say nothing at all."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        self.times: list[float] = []

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        self.times.append(asyncio.get_running_loop().time())
        if self.silent:
            await asyncio.sleep(1000)
        raise TransportError("unreachable")

    async def websocket(
        self, url: str, headers: Any, limits: Limits, begin: Callable[[Wire], Sink], protocols: Sequence[str] = ()
    ) -> Sequence[tuple[str, str]]:
        await self.request("GET", url, headers, b"")
        return ()

    async def release(self) -> None: ...

    def drop(self) -> None: ...


@pytest.mark.parametrize(
    ("options", "pauses"),
    [
        ({}, [1, 2, 4, 5, 5, 5]),
        ({"reconnection_delay": 0.5, "reconnection_delay_max": 3}, [0.5, 1, 2, 3, 3]),
        ({"reconnection_delay": 10, "reconnection_delay_max": 5}, [5, 5]),
        ({"reconnection_delay": 0}, [0, 0, 0]),
    ],
)
def test_pauses_double(options: dict[str, Any], pauses: list[float]) -> None:
    network = Unreachable()

    async def main() -> None:
        manager = Manager(
            "http://nowhere",
            network=lambda _: network,
            randomization_factor=0,
            reconnection_attempts=len(pauses),
            **options,
        )
        with pytest.raises(TransportError, match="unreachable"):
            await manager.socket()

    run(main())
    times = network.times
    assert [after - before for before, after in pairwise(times)] == pytest.approx(pauses, abs=0.2)


def test_pauses_vary() -> None:
    network = Unreachable()

    async def main() -> None:
        manager = Manager("http://nowhere", network=lambda _: network, reconnection_delay=1, reconnection_delay_max=1.2)
        manager.socket()
        await asyncio.sleep(200)
        manager.close()

    run(main())
    pauses = [after - before for before, after in pairwise(network.times)]
    assert 160 < len(pauses) < 400
    assert 0.4 < min(pauses[:1] + pauses[1:]) <= max(pauses) < 1.4
    assert len({round(pause, 1) for pause in pauses}) > 1


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize(("timeout", "seconds"), [(20.0, 20), (3, 3), (None, 1000)])
def test_the_time_to_connect(transport: str, timeout: float | None, seconds: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        more: dict[str, Any] = {} if timeout == 20.0 else {"timeout": timeout}  # the default
        manager = Manager(
            "http://nowhere",
            network=lambda _: Unreachable(silent=True),
            transports=[transport],
            reconnection=False,
            **more,
        )
        with pytest.raises(TransportError, match=r"^(timeout|unreachable)$"):
            await manager.socket()
        assert loop.time() - begin == pytest.approx(seconds, abs=0.2)

    run(main())
