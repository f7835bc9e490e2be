"""Every time option of the server and the client, by default and otherwise, on virtual time: to the timers' tick."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import nullcontext
from itertools import accumulate
from typing import Any

import pytest

from socketeer import AckTimeout, Server, Socket, TransportError
from socketeer.engine.conn import Conn
from socketeer.engine.timers import TICK
from socketeer.testing import AsgiNetwork, Clients, connect, run
from tests.testing.test_network import EIO, HTTP, WS, Peer, now

Options = Mapping[str, Any]
Ends = list[tuple[str, Any]]

CLOSE = 0.1
"""How near to a limit everything is still in order."""
WAYS: dict[str, dict[str, Any]] = {
    "websocket": {},
    "polling": {"transports": ["polling"]},
    "older client": {"eio": 3},
}


def exactly(seconds: float) -> Any:
    return pytest.approx(seconds, abs=TICK)


def note_ends(io: Server) -> Ends:
    """Note why and when the connections of a server end."""
    ends: Ends = []

    @io.engine.on("connection")
    def connected(conn: Conn) -> None:
        conn.on("close", lambda reason, description: ends.append((reason, now())))

    return ends


# -- heartbeats


HEARTBEATS: list[tuple[Options, float]] = [({}, 45), ({"ping_interval": 3, "ping_timeout": 1.5}, 4.5)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("options", "silence"), HEARTBEATS)
def test_ping_interval_and_ping_timeout_end_a_silent_connection(
    socketeer_client: Clients, options: Options, silence: float, way: str
) -> None:
    io = Server(**options)
    ends = note_ends(io)
    network = AsgiNetwork(io)
    socket = socketeer_client(network, reconnection=False, **WAYS[way])
    network.hold()
    assert socket.wait_disconnected() == "ping timeout"
    assert socketeer_client.time == exactly(silence)
    socketeer_client.advance(CLOSE)
    assert ends == [("ping timeout", exactly(silence))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("options", "silence"), HEARTBEATS)
def test_an_answer_that_is_late_but_in_time_saves_it(
    socketeer_client: Clients, options: Options, silence: float, way: str
) -> None:
    io = Server(**options)
    ends = note_ends(io)
    network = AsgiNetwork(io)
    socket = socketeer_client(network, reconnection=False, **WAYS[way])
    for _ in range(3):
        network.hold()
        socketeer_client.advance(silence - CLOSE)
        network.resume()
    socketeer_client.advance(10 * silence)
    assert socket.connected
    assert ends == []


@pytest.mark.parametrize(("options", "interval"), [({}, 25), ({"ping_interval": 3}, 3)])
def test_ping_interval_is_the_time_between_two_pings(
    socketeer_client: Clients, options: Options, interval: float
) -> None:
    socket, pings = socketeer_client(Server(**options)), []
    socket.io.on("ping", lambda: pings.append(socketeer_client.time))
    socketeer_client.advance(3.5 * interval)
    assert pings == [exactly(number * interval) for number in (1, 2, 3)]


# -- limits of the server


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("options", "seconds"), [({}, 45), ({"connect_timeout": 3}, 3)])
def test_connect_timeout_ends_a_connection_that_joins_nothing(options: Options, seconds: float, late: bool) -> None:
    async def auth() -> None:
        await asyncio.sleep(seconds + (CLOSE if late else -CLOSE))

    async def main() -> None:
        io = Server(**options)
        ends = note_ends(io)
        with pytest.raises(TransportError, match="lost") if late else nullcontext():
            async with connect(io, auth=auth, reconnection=False):
                await asyncio.sleep(seconds)
                assert ends == []
        await asyncio.sleep(CLOSE)
        if late:
            assert ends == [("forced close", exactly(seconds))]

    run(main())


@pytest.mark.parametrize("way", [*WAYS, "upgrade"])
@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_who_has_joined_or_upgraded_has_no_time_limit_any_more(
    socketeer_client: Clients, namespace: str, way: str
) -> None:
    io = Server(connect_timeout=3, upgrade_timeout=3)
    io.of("/chat")
    options = {"transports": ["polling", "websocket"], "upgrade_timeout": 3} if way == "upgrade" else WAYS[way]
    socket = socketeer_client(io, namespace, reconnection=False, **options)
    socketeer_client.advance(100)
    assert socket.connected
    assert socket.transport == ("polling" if way == "polling" else "websocket")


async def open_polling(network: AsgiNetwork) -> tuple[str, str]:
    """Open a session by hand, which fetches nothing; give its id and the URL of its requests."""
    opened = await network.request("GET", f"{HTTP}{EIO}polling", {}, b"")
    id = json.loads(opened.body[1:])["sid"]
    return id, f"{HTTP}{EIO}polling&sid={id}"


@pytest.mark.parametrize(("options", "seconds"), [({}, 10), ({"upgrade_timeout": 3}, 3)])
def test_upgrade_timeout_ends_an_unfinished_upgrade_alone(options: Options, seconds: float) -> None:
    async def main() -> None:
        io = Server(**options)
        network = AsgiNetwork(io)
        id, _ = await open_polling(network)
        peer = await Peer(network).open(f"{WS}{EIO}websocket&sid={id}")
        peer.wire.send_text(b"2probe")
        assert await peer.next() == "3probe"
        assert await peer.next() == ("transport close", None)
        assert now() == exactly(seconds)
        assert id in io.engine.sessions

    run(main())


@pytest.mark.parametrize(("options", "seconds"), [({}, 30), ({"close_timeout": 3}, 3)])
def test_close_timeout_is_how_long_last_packets_wait_for_a_poll(options: Options, seconds: float) -> None:
    async def main() -> None:
        io = Server(**options)
        ends = note_ends(io)
        network = AsgiNetwork(io)
        for fetched in (False, True):
            _, url = await open_polling(network)
            await network.request("POST", url, {}, b"40")
            await network.request("GET", url, {}, b"")
            begin = now()
            io.disconnect_sockets(close=True)
            await asyncio.sleep(seconds - CLOSE)
            for _ in range(2 * fetched):
                await network.request("GET", url, {}, b"")
            await asyncio.sleep(1)
            assert ends.pop() == ("forced close", exactly(begin + seconds - CLOSE * fetched))

    run(main())


@pytest.mark.parametrize(("options", "seconds"), [({}, 60), ({"attachment_timeout": 3}, 3)])
def test_attachment_timeout_of_the_server(options: Options, seconds: float) -> None:
    async def main() -> None:
        io = Server(**options)
        ends = note_ends(io)
        peer = Peer(AsgiNetwork(io))
        await peer.join()
        peer.wire.send_text(b'451-["picture",{"_placeholder":true,"num":0}]')
        while await peer.next() == "2":
            peer.wire.send_text(b"3")
        assert ends == [("parse error", exactly(seconds))]

    run(main())


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("recovery", "seconds"), [(True, 120), ({"max_disconnection_duration": 10}, 10)])
def test_max_disconnection_duration(socketeer_client: Clients, recovery: Any, seconds: float, late: bool) -> None:
    io = Server(connection_state_recovery=recovery)
    io.on("connection", lambda socket: socket.emit("hello"))
    network = AsgiNetwork(io)
    socket = socketeer_client(network, reconnection=False)
    assert socket.receive().event == "hello"
    network.drop()
    io.emit("missed")
    socketeer_client.advance(seconds + (CLOSE if late else -CLOSE))
    socket.connect()
    assert socket.recovered is not late
    assert socket.receive().event == ("hello" if late else "missed")


# -- acknowledgements


@pytest.mark.parametrize(
    ("options", "limited", "seconds"),
    [
        ({}, lambda io: io, 10),
        ({"ack_timeout": 3}, lambda io: io, 3),
        ({"ack_timeout": 3}, lambda io: io.timeout(7), 7),
    ],
)
def test_ack_timeout_of_broadcasts(socketeer_client: Clients, options: Options, limited: Any, seconds: float) -> None:
    io = Server(**options)
    socketeer_client(io)  # says nothing
    socketeer_client(io).on("vote", lambda: "yes")
    io_or_operator, calls = limited(io), []
    io_or_operator.emit("vote", ack=lambda *args: calls.append((args, now())))
    with pytest.raises(AckTimeout) as caught:
        socketeer_client.run(io_or_operator.emit_with_ack("vote"))
    assert caught.value.responses == ["yes"]
    (error, answers), called = calls.pop()
    assert (type(error), answers) == (AckTimeout, ["yes"])
    assert (called, socketeer_client.time) == (exactly(seconds), exactly(seconds))


def test_a_socket_waits_for_an_acknowledgement_as_long_as_timeout_says() -> None:
    async def main() -> None:
        io = Server(ack_timeout=3)  # which is of broadcasts
        async with connect(io) as client:
            (socket,) = io.sockets.sockets.values()
            with pytest.raises(AckTimeout):
                await socket.timeout(7).emit_with_ack("vote")
            assert now() == exactly(7)
            client.on("vote", slowly)
            assert await socket.emit_with_ack("vote") == "yes"
            assert now() == exactly(3007)

    async def slowly() -> str:
        await asyncio.sleep(3000)
        return "yes"

    run(main())


@pytest.mark.parametrize(
    ("options", "timeout", "tries"),
    [
        ({"ack_timeout": 3}, None, 1),
        ({"ack_timeout": 3}, 7, 1),
        ({"retries": 2}, None, 3),
        ({"retries": 2, "ack_timeout": 3}, None, 3),
        ({"retries": 1}, 7, 2),
    ],
)
def test_ack_timeout_and_retries_of_the_client(
    socketeer_client: Clients, options: Any, timeout: float | None, tries: int
) -> None:
    came: list[float] = []
    io = Server()

    @io.event
    def save(socket: Socket, ack: Any) -> None:
        came.append(now())

    socket = socketeer_client(io, **options)
    with pytest.raises(AckTimeout):
        (socket if timeout is None else socket.timeout(timeout)).emit_with_ack("save")
    each = timeout or options.get("ack_timeout", 10)
    assert came == [exactly(number * each) for number in range(tries)]
    assert socketeer_client.time == exactly(tries * each)


def test_without_these_the_client_waits_for_ever(socketeer_client: Clients) -> None:
    io = Server()

    @io.event
    async def brew(socket: Socket) -> str:
        await asyncio.sleep(3000)
        return "tea"

    assert socketeer_client(io).emit_with_ack("brew") == "tea"
    assert socketeer_client.time == 3000


# -- reconnection


@pytest.mark.parametrize(
    ("options", "pauses"),
    [
        ({}, [1, 2, 4, 5, 5, 5]),
        ({"reconnection_delay": 0.5}, [0.5, 1, 2, 4, 5, 5]),
        ({"reconnection_delay": 3, "reconnection_delay_max": 20}, [3, 6, 12, 20, 20]),
        ({"reconnection_attempts": 3}, [1, 2, 4]),
    ],
)
def test_reconnection_delay_and_its_limit(socketeer_client: Clients, options: Any, pauses: list[float]) -> None:
    network, begun = AsgiNetwork(Server()), []
    socket = socketeer_client(network, randomization_factor=0, **options)
    socket.io.on("reconnect_attempt", lambda number: begun.append(socketeer_client.time))
    for _ in range(2):  # a connection begins anew
        begin = socketeer_client.time
        network.down()
        socketeer_client.advance(sum(pauses) + CLOSE)
        assert begun == [exactly(begin + time) for time in accumulate(pauses)]
        network.up()
        socket.connect()
        begun.clear()


@pytest.mark.parametrize(("options", "factor"), [({}, 0.5), ({"randomization_factor": 0.1}, 0.1)])
def test_randomization_factor(options: Any, factor: float) -> None:
    async def main() -> None:
        network = AsgiNetwork(Server())
        network.down()
        begun: list[list[float]] = [[0.0] for _ in range(100)]
        for times in begun:
            socket = connect(network, **options)
            socket.io.on("reconnect_attempt", lambda number, times=times: times.append(now()))
        await asyncio.sleep(40)
        for number, delay in enumerate([1, 2, 4, 5, 5]):
            least, most = min(delay, 5) * (1 - factor), min(delay * (1 + factor), 5)
            pauses = [times[number + 1] - times[number] for times in begun]
            assert all(least - 2 * TICK <= pause <= most + 2 * TICK for pause in pauses)
            assert max(pauses) - min(pauses) >= 0.7 * (most - least)

    run(main())


# -- limits of the client


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize(("options", "seconds"), [({}, 20), ({"timeout": 3}, 3)])
def test_timeout_is_how_long_it_may_take_to_connect(
    socketeer_client: Clients, options: Any, seconds: float, transport: str
) -> None:
    network = AsgiNetwork(Server())
    network.hold()
    with pytest.raises(TransportError, match="timeout"):
        socketeer_client(network, transports=[transport], reconnection=False, **options)
    assert socketeer_client.time == exactly(seconds)


def test_without_a_timeout_connecting_takes_as_long_as_it_takes() -> None:
    async def main() -> None:
        network = AsgiNetwork(Server())
        network.hold()
        socket = connect(network, timeout=None)
        await asyncio.sleep(3000)
        assert socket.io.ready_state == "opening"
        network.resume()
        await socket
        assert now() == 3000

    run(main())


@pytest.mark.parametrize(
    "options", [{"request_timeout": 5}, {"transport_options": {"polling": {"request_timeout": 5}}}]
)
def test_request_timeout(socketeer_client: Clients, options: Any) -> None:
    network = AsgiNetwork(Server())
    other = socketeer_client(network, transports=["polling"])  # by default heartbeats are the limit
    socket = socketeer_client(network, transports=["polling"], reconnection=False, **options)
    assert socket.wait_disconnected() == "transport error"
    assert socketeer_client.time == exactly(5)
    network.hold()
    with pytest.raises(TransportError, match="no response to GET within request_timeout"):
        socket.connect()
    assert socketeer_client.time == exactly(10)
    network.resume()
    socketeer_client.advance(300)
    assert other.connected


@pytest.mark.parametrize(("options", "seconds"), [({}, 10), ({"upgrade_timeout": 3}, 3)])
def test_upgrade_timeout_of_the_client(socketeer_client: Clients, options: Any, seconds: float) -> None:
    given_up: list[float] = []

    class Deaf(AsgiNetwork):
        """Open no WebSocket."""

        async def websocket(self, *_: Any, **__: Any) -> Any:
            try:
                await asyncio.sleep(3600)
            finally:
                given_up.append(now())

    socket = socketeer_client(Deaf(Server()), transports=["polling", "websocket"], **options)
    socketeer_client.advance(100)
    assert given_up == [exactly(seconds)]
    assert (socket.connected, socket.transport) == (True, "polling")


@pytest.mark.parametrize(("options", "seconds"), [({}, 10), ({"close_timeout": 3}, 3)])
def test_close_timeout_of_the_client(socketeer_client: Clients, options: Any, seconds: float) -> None:
    network = AsgiNetwork(Server())
    socket = socketeer_client(network, transports=["polling"], **options)
    network.hold()
    socket.emit("goodbye")
    socket.disconnect()
    assert not socket.connected
    socket.io.wait_closed()
    assert socketeer_client.time == exactly(seconds)


@pytest.mark.parametrize(("options", "seconds"), [({}, 60), ({"attachment_timeout": 3}, 3)])
def test_attachment_timeout_of_the_client(socketeer_client: Clients, options: Any, seconds: float) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Promise an attachment that does not come."""
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        texts = [
            '0{"sid":"x","upgrades":[],"pingInterval":300000,"pingTimeout":20000}',
            '40{"sid":"y"}',
            '451-["picture",{"_placeholder":true,"num":0}]',
        ]
        for text in texts:
            await send({"type": "websocket.send", "text": text})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    socket = socketeer_client(app, reconnection=False, **options)
    assert socket.wait_disconnected() == "parse error"
    assert socketeer_client.time == exactly(seconds)


def test_waits_with_a_timeout_of_their_own(socketeer_client: Clients) -> None:
    socket = socketeer_client(Server())
    for number, wait in enumerate([socket.receive, socket.wait_disconnected], 1):
        with pytest.raises(TimeoutError):
            wait(timeout=7)
        assert socketeer_client.time == exactly(7 * number)
