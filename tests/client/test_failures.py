"""Servers that crash and networks that break: the client gets back by itself, and with ``retries`` nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from socketeer import ClientSocket, ConnectionRefused, Disconnected, connect
from tests.client.recording import Restartable, read, restartable
from tests.client.servers import KINDS, TRANSPORTS, Peer, eventually, in_loop
from tests.support.proxy import Faults, Proxy, proxying

BEAT = {"pingInterval": 200, "pingTimeout": 400}
QUICK: dict[str, Any] = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.05, "timeout": 0.5}


@dataclass(frozen=True)
class Crashing:
    """Be a server that can crash."""

    eio: Literal[3, 4]
    record: Path
    process: Restartable

    def connect(self, transport: str, **options: Any) -> ClientSocket:
        """Connect, with reconnections that do not make a test wait."""
        port = options.pop("port", self.process.port)
        url = f"http://127.0.0.1:{port}"
        return connect(url, **{"eio": self.eio, "transports": TRANSPORTS[transport], **QUICK, **options})

    def recorded(self, tag: str) -> list[Any]:
        """Give what was recorded by one test."""
        return [value["n"] for value in read(self.record) if value["tag"] == tag]


@pytest.fixture(scope="module", params=["node 4", "node 2", "fast"])
def crashing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashing]:
    """Return each kind of server, in a process of its own."""
    record = tmp_path_factory.mktemp("crashing") / "record"
    with restartable(request.param, record, **BEAT) as process:
        yield Crashing(KINDS[request.param][1], record, process)


def told(socket: ClientSocket) -> list[str]:
    """Collect the names of the manager's events."""
    log: list[str] = []
    for event in ("open", "close", "reconnect_attempt", "reconnect_error", "reconnect"):
        socket.io.on(event, lambda *args, event=event: log.append(event))
    return log


@in_loop
async def test_a_server_crashes_and_comes_back(crashing: Crashing, transport: str) -> None:
    tag = f"crash {transport}"
    async with crashing.connect(transport) as socket:
        echo = await socket.io.socket("/echo")
        await eventually(lambda: socket.transport == TRANSPORTS[transport][-1])
        log, ids = told(socket), (socket.id, echo.id)
        unanswered = asyncio.ensure_future(socket.emit_with_ack("never"))
        await socket.emit_with_ack("echo")

        await asyncio.to_thread(crashing.process.kill)
        assert await socket.disconnected == ("transport error" if transport == "polling" else "transport close")
        assert (echo.connected, echo.active, socket.active) == (False, True, True)
        with pytest.raises(Disconnected):
            await unanswered
        for number in range(5):
            for each in (socket, echo):
                each.emit("record", {"tag": tag + each.nsp, "n": number})
        socket.volatile.emit("record", {"tag": tag + "/", "n": "volatile"})
        later = asyncio.ensure_future(socket.emit_with_ack("echo", "later"))
        await eventually(lambda: log.count("reconnect_error") >= 2)

        await asyncio.to_thread(crashing.process.restart)
        await socket
        await echo
        assert await later == "later"
        assert await echo.emit_with_ack("echo", b"1") == b"1"
        assert crashing.recorded(tag + "/") == crashing.recorded(tag + "/echo") == list(range(5))
        assert {socket.id, echo.id}.isdisjoint(ids)
        assert not socket.recovered
        attempts = log.count("reconnect_attempt")
        failures = ["reconnect_attempt", "reconnect_error"] * (attempts - 1)
        assert log == ["close", *failures, "reconnect_attempt", "open", "reconnect"]
        await eventually(lambda: socket.transport == TRANSPORTS[transport][-1])
        echo.disconnect()


async def torment(crashing: Crashing, proxy: Proxy, chance: random.Random) -> None:
    """Do everything to a connection that can happen to it, one after the other."""

    async def crash() -> None:
        await asyncio.to_thread(crashing.process.kill)
        await asyncio.to_thread(crashing.process.restart)

    async def hold() -> None:
        proxy.hold()
        await asyncio.sleep((BEAT["pingInterval"] + BEAT["pingTimeout"]) / 1000 + 0.1)
        proxy.release()

    async def refuse() -> None:
        proxy.refuse()
        proxy.cut(reset=chance.random() < 0.5)
        await asyncio.sleep(0.1)
        proxy.accept()

    async def cut() -> None:
        for _ in range(3):
            proxy.cut(reset=chance.random() < 0.5)
            await asyncio.sleep(chance.uniform(0, 0.05))

    steps = [crash, hold, refuse, cut]
    chance.shuffle(steps)
    for step in steps:
        await asyncio.sleep(chance.uniform(0.05, 0.2))
        await step()


@in_loop
async def test_with_retries_nothing_is_lost_and_order_holds(crashing: Crashing, transport: str) -> None:
    """Connections also break by chance, after some bytes: within handshakes, bodies, frames."""
    chance = random.Random(f"{crashing.eio} {transport}")
    with proxying(crashing.process.port) as proxy:
        proxy.disturb(Faults(seed=chance.randrange(1000), share=0.1, after_bytes=(1, 20_000)))
        acknowledged: list[int] = []
        count = 0

        def acknowledge(number: int) -> Callable[..., None]:
            def done(error: Exception | None, *args: Any) -> None:
                assert error is None
                acknowledged.append(number)

            return done

        retries = {"retries": 10_000, "ack_timeout": 0.3}
        async with crashing.connect(transport, port=proxy.port, reconnection=True, **retries) as socket:
            log = told(socket)
            trouble = asyncio.ensure_future(torment(crashing, proxy, chance))
            while not trouble.done() or count < 100:
                record = {"tag": f"retries {transport}", "n": count, "padding": "x" * chance.choice((0, 10, 5000))}
                socket.emit("record", record, ack=acknowledge(count))
                count += 1
                await asyncio.sleep(chance.uniform(0, 0.02))
            await trouble
            proxy.disturb(None)
            await eventually(lambda: len(acknowledged) == count)
        assert acknowledged == list(range(count))
        assert list(dict.fromkeys(crashing.recorded(f"retries {transport}"))) == acknowledged
        assert log.count("reconnect") >= 3
        assert proxy.accidents > 0


@in_loop
async def test_who_was_let_in_may_be_refused_after_a_reconnection(server: Peer) -> None:
    tokens = iter(["secret", "secret", "forged"])
    with proxying(server.port) as proxy:
        async with server.open("", "websocket", port=proxy.port) as socket:
            admin = await socket.io.socket("/admin", auth=lambda: {"token": next(tokens)})
            errors: list[Exception] = []
            admin.on("connect_error", errors.append)
            proxy.cut()
            await admin.disconnected
            await asyncio.gather(socket, admin)
            proxy.cut()
            with pytest.raises(ConnectionRefused) as refusal:
                await admin.disconnected
                await admin
            assert errors == [refusal.value]
            assert refusal.value.data == {"code": 1}
            assert (admin.active, admin.connected) == (False, False)
            await socket
            admin.auth = {"token": "secret"}
            await admin.connect()
            assert await admin.emit_with_ack("echo", 1) == await socket.emit_with_ack("echo", 1) == 1
            admin.disconnect()


@pytest.mark.parametrize("name", ["node 4", "fast"])
def test_a_server_that_has_forgotten_who_was_there(name: str, tmp_path: Path) -> None:
    """Recovery works where only the connection was lost, and where the server was it begins anew."""

    @in_loop
    async def main(process: Restartable, proxy: Proxy) -> None:
        async def lose() -> None:
            """Be away while the server emits."""
            socket.emit("later", 50, "news", len(news))
            await socket.emit_with_ack("echo")
            proxy.refuse()
            proxy.cut()
            await socket.disconnected
            await asyncio.sleep(0.1)
            proxy.accept()
            await socket

        news: list[int] = []
        async with connect(proxy.url, transports=["websocket"], **QUICK) as socket:
            socket.on("news", news.append)
            socket.emit("later", 0, "news", 0)
            await eventually(lambda: news == [0])
            for _ in range(2):
                first = socket.id
                await lose()
                assert (socket.recovered, socket.id) == (True, first)
                await asyncio.to_thread(process.restart)
                await eventually(lambda: socket.connected and not socket.recovered)
                assert socket.id != first
                socket.emit("later", 0, "news", len(news))
                await eventually(lambda: len(news) in (3, 5))
        assert news == list(range(5))

    options: Any = {"connectionStateRecovery": {}}
    with restartable(name, tmp_path / "record", **options) as process, proxying(process.port) as proxy:
        main(process, proxy)
