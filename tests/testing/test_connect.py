"""The real client, connected in memory: it does what it does over a network, and long times pass at once."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from fastapi import FastAPI

from socketeer import (
    AckTimeout,
    ClientSocket,
    ConnectionRefused,
    Disconnected,
    Server,
    Socket,
    TransportError,
)
from socketeer.testing import AsgiNetwork, connect, run
from tests.testing.test_network import now

WAYS: dict[str, dict[str, Any]] = {
    "upgrade": {},
    "websocket": {"transports": ["websocket"]},
    "polling": {"transports": ["polling"]},
    "eio 3": {"eio": 3, "transports": ["websocket"]},
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return each way to connect."""
    return WAYS[request.param]


def make_server(**options: Any) -> Server:
    """Make a server with an event for each direction, and a namespace with a door."""
    io = Server(**options)

    @io.event
    def add(socket: Socket, *numbers: int) -> int:
        return sum(numbers)

    @io.event
    async def ask(socket: Socket, question: bytes) -> Any:
        return await socket.emit_with_ack("question", question)

    @io.event
    async def sleep(socket: Socket, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @io.of("/private").use
    def check(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "secret":
            raise ConnectionRefused("not you", data={"status": 401})

    return io


def test_events_and_acknowledgements_in_both_directions(way: dict[str, Any]) -> None:
    io = make_server()

    async def main() -> None:
        async with connect(io, **way) as alice, connect(io, **way) as bob:
            assert alice.id != bob.id
            sums = await asyncio.gather(alice.emit_with_ack("add", 1, 2), bob.emit_with_ack("add", 3))
            assert list(sums) == [3, 3]
            alice.on("question", lambda question: b"answer to " + question)
            assert await alice.emit_with_ack("ask", b"\x00") == b"answer to \x00"
            for number in range(50):
                io.to(bob.id or "").emit("number", number)
            received = [await bob.receive() for _ in range(50)]
            assert [(one.event, one.args) for one in received] == [("number", [number]) for number in range(50)]

    run(main())


def test_a_namespace_with_auth_and_a_query(way: dict[str, Any]) -> None:
    io = make_server()
    seen: list[Any] = []

    @io.of("/private").on("connection")
    def connected(socket: Socket) -> None:
        handshake = socket.handshake
        seen.append((handshake.query["from"], handshake.headers["host"], handshake.headers["x-mine"]))
        socket.on("disconnect", seen.append)

    async def main() -> None:
        with pytest.raises(ConnectionRefused):
            async with connect(io, "/private", auth={"token": "guess"}, **way):
                pass
        headers = {"X-Mine": "here"}
        async with connect(
            io, "http://chat.example/private?from=test", auth={"token": "secret"}, extra_headers=headers, **way
        ) as socket:
            assert socket.nsp == "/private"
        await asyncio.sleep(1)

    run(main())
    assert seen == [("test", "chat.example", "here"), "client namespace disconnect"]


def test_heartbeats_and_timeouts_of_any_length(way: dict[str, Any]) -> None:
    io = make_server()

    async def main() -> None:
        async with connect(io, **way) as socket:
            begin = now()
            assert await socket.emit_with_ack("sleep", 1800) == 1800
            assert now() - begin == pytest.approx(1800, abs=0.2)
            with pytest.raises(AckTimeout):
                await socket.timeout(10).emit_with_ack("sleep", 11)
            assert now() - begin == pytest.approx(1810, abs=0.2)
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=60)

    run(main())


def test_a_silent_network_is_noticed_by_both_sides_and_the_client_comes_back(way: dict[str, Any]) -> None:
    io = make_server()
    events: list[tuple[str, float]] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: events.append((f"server: {reason}", now())))

    async def main() -> None:
        async with AsgiNetwork(io) as network, connect(network, randomization_factor=0, **way) as socket:
            socket.on("disconnect", lambda reason: events.append((reason, now())))
            socket.on("connect", lambda: events.append(("connect", now())))
            socket.io.on("reconnect_attempt", lambda number: events.append((f"attempt {number}", now())))
            await asyncio.sleep(30)
            network.hold()
            await socket.disconnected
            network.resume()
            network.down()
            await asyncio.sleep(20)
            network.up()
            socket.emit("add", 1)  # waits for the connection
            while socket.disconnected:
                await asyncio.sleep(0.1)

    run(main())
    lost = next(time for name, time in events if name == "ping timeout")
    assert 45 < lost <= 70.2
    assert any(name == "server: ping timeout" and abs(time - lost) <= 25.2 for name, time in events) or way.get("eio")
    attempts = [round(time - lost, 1) for name, time in events if name.startswith("attempt")]
    assert attempts == [1, 3, 7, 12, 17, 22]
    assert events[-3][0] == "connect"


@pytest.mark.parametrize("how", ["drop", "down"])
def test_a_lost_connection(how: str, way: dict[str, Any]) -> None:
    io = make_server()

    async def main() -> None:
        network = AsgiNetwork(io)
        async with connect(network, **way) as one, connect(io, **way) as other:
            await asyncio.sleep(1)
            waiting = asyncio.create_task(one.emit_with_ack("sleep", 10))
            await asyncio.sleep(1)
            getattr(network, how)()
            assert await one.disconnected in ("transport close", "transport error")
            with pytest.raises(Disconnected):
                await waiting
            assert other.connected
            await asyncio.sleep(30)
            assert one.connected is (how == "drop")
            assert await other.emit_with_ack("add", 1) == 1

    run(main())


def test_nobody_there() -> None:
    async def main() -> None:
        network = AsgiNetwork(make_server())
        network.down()
        with pytest.raises(TransportError, match="connection refused"):
            async with connect(network, reconnection=False):
                pass
        network.up()
        network.hold()
        with pytest.raises(TransportError, match="timeout"):
            async with connect(network, reconnection=False):
                pass
        assert now() == 20.0

    run(main())


def test_an_application_around_a_mounted_server_in_ones_own_event_loop() -> None:
    app = FastAPI()
    app.mount("/live", make_server())

    async def main() -> None:
        async with connect(app, path="/live/socket.io") as socket:
            assert await socket.emit_with_ack("add", 1, 2) == 3

    asyncio.run(main())


def test_sockets_of_one_manager_share_a_connection() -> None:
    async def main() -> None:
        io = make_server()
        async with connect(io) as socket, socket.io.socket("/private", auth={"token": "secret"}) as private:
            assert private.io is socket.io
            assert len(io.engine.sessions) == 1

    run(main())


def test_the_program_can_be_cancelled_at_any_step(way: dict[str, Any]) -> None:
    """Nothing is left then but the application, which goes with the network."""
    failures: list[Any] = []

    async def program(network: AsgiNetwork) -> None:
        async with connect(network, **way) as socket:
            assert await socket.emit_with_ack("add", 1) == 1
            socket.emit("sleep", 5)
            await socket.timeout(1).emit_with_ack("add", 2)

    async def cancelled_at(step: int) -> bool:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append((step, context)))
        io = make_server()
        async with AsgiNetwork(io) as network:
            task = asyncio.create_task(program(network))
            for number in range(1, step + 1):
                await asyncio.sleep(0 if number % 30 else 0.2)  # an upgrade takes a moment
            done = task.done()
            task.cancel()
            await asyncio.wait((task,))
            await asyncio.sleep(80)  # the server may have opened a session that nobody learnt of
            assert not network._connections
            assert not network._tasks
            assert not io.engine.sessions
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return done

    steps = next(step for step in range(200) if run(cancelled_at(step)))
    assert steps > 10
    gc.collect()
    assert not failures


def test_a_socket_that_nobody_ends_goes_with_the_event_loop() -> None:
    io = make_server()
    left: list[str] = []

    async def main() -> ClientSocket:
        return await connect(io)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", left.append)

    run(main())
    assert len(left) == 1
