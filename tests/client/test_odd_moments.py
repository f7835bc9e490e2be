"""Calls at moments that few programs choose: in a handler of a failure, while an answer is due, during an upgrade."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ClientSocket, ConnectionRefused, Disconnected, Manager, Server, Socket, TransportError, UsageError
from socketeer import connect as connect_for_real
from socketeer.testing import AsgiNetwork, connect, run
from tests.client.scripted_app import Scripted, Visitor
from tests.client.servers import Peer, in_loop

OWN_EVENTS = ("connect", "connect_error", "disconnect")
JOINED = '0{"sid":"a"}'


def now() -> float:
    return asyncio.get_running_loop().time()


def told(socket: ClientSocket) -> list[Any]:
    """Collect what a socket is told of its connection."""
    log: list[Any] = []
    for event in OWN_EVENTS:
        socket.on(event, lambda *args, event=event: log.append((event, *args[:1])))
    return log


async def listen(visitor: Visitor) -> None:
    """Let a client in, and listen to it until it is gone."""
    await visitor.hear()
    await visitor.say(JOINED)
    await listen_on(visitor)


async def listen_on(visitor: Visitor) -> None:
    while await visitor.hear() is not None:
        pass


# Connecting in a handler, and closing in one


@pytest.mark.parametrize(
    ("event", "reconnection"),
    [
        *((event, on) for event in ("connect_error", "error", "disconnect", "close") for on in (False, True)),
        ("reconnect_failed", True),
    ],
)
def test_a_handler_may_connect_again(event: str, reconnection: bool) -> None:
    async def main() -> None:
        network = AsgiNetwork(Server())
        made = event in ("disconnect", "close")
        if not made:
            network.down()
        socket = connect(network, reconnection=reconnection, reconnection_delay=5, reconnection_attempts=1)
        log = told(socket)
        if made:
            await socket

        def again(*_: object) -> None:
            network.up()
            (socket.connect if event in OWN_EVENTS else socket.io.open)()

        (socket if event in OWN_EVENTS else socket.io).once(event, again)
        network.drop()
        await asyncio.sleep(20 if event == "reconnect_failed" else 1)
        for _ in range(2):
            assert (socket.connected, socket.active, socket.io.ready_state) == (True, True, "open")
            await asyncio.sleep(60)
        assert log.count(("connect",)) == 1 + made
        socket.disconnect()

    run(main())


@pytest.mark.parametrize("moment", ["between attempts", "error", "reconnect_attempt", "reconnect_error"])
def test_closing_the_manager_ends_every_wait(moment: str) -> None:
    async def iterate(socket: ClientSocket) -> None:
        async for _ in socket:
            pytest.fail("an event from nowhere")
        raise Disconnected

    async def main() -> None:
        network = AsgiNetwork(Server())
        network.down()
        socket = connect(network, reconnection_delay=5)
        waits = [asyncio.ensure_future(wait) for wait in (socket._wait_connected(), socket.receive(), iterate(socket))]
        if moment == "between attempts":
            await asyncio.sleep(1)
            assert socket.io.waits
            socket.io.close()
        else:
            socket.io.on(moment, lambda _: socket.io.close())
        async with asyncio.timeout(30):
            errors = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(error) for error in errors] == [TransportError, Disconnected, Disconnected]
        assert (socket.active, socket.io.ready_state, socket.io.waits) == (False, "closed", False)
        network.up()
        await asyncio.sleep(60)
        assert not socket.connected

    run(main())


@pytest.mark.parametrize("act", ["disconnect", "close the manager"])
@pytest.mark.parametrize("moment", ["upgrading", "paused, and the upgrade fails"])
def test_closing_during_an_upgrade_ends_soon(moment: str, act: str) -> None:
    io, noted = Server(), []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: noted.append((reason, now())))

    async def main() -> None:
        socket = connect(io, transports=["polling", "websocket"], reconnection=False)
        end = socket.disconnect if act == "disconnect" else socket.io.close
        reached = asyncio.Event()

        def upgrading(transport: Any) -> None:
            reached.set()
            if moment == "upgrading":
                end()
            else:
                asyncio.get_running_loop().call_later(0.01, end)
                asyncio.get_running_loop().call_later(0.02, transport._wire.drop)

        socket.io.on("open", lambda: socket.io.engine and socket.io.engine.on("upgrading", upgrading))
        await socket
        await reached.wait()
        assert await socket.disconnected == ("io client disconnect" if act == "disconnect" else "forced close")
        assert socket.io.ready_state == "closed"
        await socket.io.wait_closed()
        assert now() < 1

    run(main())
    ((reason, when),) = noted
    assert reason in ("client namespace disconnect", "transport close")
    assert when < 1


# Joining a namespace


@pytest.mark.parametrize("refuse_old", [False, True])
def test_new_credentials_reach_the_server_while_the_answer_to_the_old_ones_is_due(refuse_old: bool) -> None:
    io, seen = Server(), []

    @io.of("/slow").use
    async def check(socket: Socket) -> None:
        await asyncio.sleep(1)
        seen.append(socket.handshake.auth["token"])
        if refuse_old and seen[-1] == "old":
            raise ConnectionRefused("old")

    async def main() -> None:
        async with connect(io) as other:
            socket = other.io.socket("/slow", auth={"token": "old"})
            log = told(socket)
            await asyncio.sleep(0.5)
            socket.disconnect()
            socket.auth = {"token": "new"}
            await socket.connect()
            assert (seen, log) == (["old", "new"], [("connect",)])
            await asyncio.sleep(60)
            assert socket.connected
            assert [each.id for each in await io.of("/slow").fetch_sockets()] == [socket.id]
            socket.disconnect()

    run(main())


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@in_loop
async def test_leaving_one_namespace_and_joining_it_at_once_leaves_the_others_alone(
    modern: Peer, transport: str
) -> None:
    async with modern.open("", transport) as other:
        log = told(other)
        socket = await other.io.socket("/echo")
        for number in range(3):
            await socket.disconnect().connect()
            assert await socket.emit_with_ack("echo", number) == number
        await asyncio.sleep(0.1)
        assert (log, other.connected, socket.connected) == ([], True, True)
        socket.disconnect()


@pytest.mark.parametrize("reconnection", [False, True])
@pytest.mark.parametrize("answer", ["closed", "DISCONNECT"])
def test_an_end_before_the_answer_is_told(answer: str, reconnection: bool) -> None:
    async def begin(visitor: Visitor) -> None:
        await visitor.hear()
        if len(server.visitors) > 1:
            await visitor.say(JOINED)
            await listen_on(visitor)
        elif answer == "DISCONNECT":
            await visitor.say("1")
            await listen_on(visitor)

    async def main() -> None:
        socket = connect(server, reconnection=reconnection)
        log = told(socket)
        await asyncio.sleep(60)
        back = reconnection and answer == "closed"
        assert socket.transport == ("websocket" if back else None)
        assert [event for event, *_ in log] == ["connect_error", "connect"][: 1 + back]
        assert isinstance(log[0][1], TransportError)
        assert (socket.connected, socket.active) == (back, back)
        socket.disconnect()

    server = Scripted(begin)
    run(main())


def test_a_second_answer_changes_nothing() -> None:
    async def begin(visitor: Visitor) -> None:
        await visitor.hear()
        await visitor.say(JOINED, '0{"sid":"b"}', '4{"message":"no"}', '2["news"]')
        await listen_on(visitor)

    async def main() -> None:
        async with connect(Scripted(begin)) as socket:
            log = told(socket)
            assert await socket.receive() == ("news", [])
            await asyncio.sleep(60)
            assert (socket.id, socket.connected, log) == ("a", True, [])

    run(main())


@pytest.mark.parametrize("retries", [0, 1])
def test_disconnecting_in_a_handler_of_an_early_event(retries: int) -> None:
    async def begin(visitor: Visitor) -> None:
        await visitor.hear()
        await visitor.say('2["early"]' if len(server.visitors) == 1 else '2["later"]', JOINED)
        while (text := await visitor.hear()) is not None:
            if text.startswith("20"):
                await visitor.say("30[]")

    async def main() -> None:
        socket = connect(server, retries=retries)
        log = told(socket)
        socket.emit("before")

        @socket.on("early")
        def early() -> None:
            socket.disconnect()
            socket.emit("after")

        await asyncio.sleep(60)
        assert [*log, socket.connected, socket.active] == [("disconnect", "io client disconnect"), False, False]
        await socket.connect()
        await asyncio.sleep(1)
        first, second = (visitor.heard for visitor in server.visitors)
        if retries:  # of which one at a time is under way, once a socket is connected
            assert (first, second) == (["0", "1"], ["0", '20["before"]', '21["after"]'])
        else:
            assert (first, second) == (["0", '2["before"]', "1"], ["0", '2["after"]'])
        socket.disconnect()

    server = Scripted(begin)
    run(main())


def test_the_main_namespace_of_an_open_connection_to_an_older_server() -> None:
    async def main() -> None:
        io = Server()
        io.of("/admin")
        async with connect(io, "/admin", eio=3) as admin:
            await asyncio.sleep(1)
            socket = admin.io.socket("/")
            log = told(socket)
            assert not socket.connected
            await socket
            await asyncio.sleep(1)
            assert (log, socket.connected) == ([("connect",)], True)
            socket.disconnect()

    run(main())


@in_loop
async def test_who_one_is_must_be_the_same_for_a_connection_to_be_shared() -> None:
    def made(user: str, query: str, number: int) -> Manager:
        return connect_for_real(f"http://{user}127.0.0.1:9/{number}{query}", auto_connect=False).io

    first = made("alice:a@", "?token=A", 0)
    assert made("alice:a@", "?token=A", 1) is first
    others = [("bob:a@", "?token=A"), ("alice:b@", "?token=A"), ("", "?token=A"), ("alice:a@", "?token=B")]
    others += [("alice:a@", ""), ("alice:a@", "?token=A&more=1")]
    for number, (user, query) in enumerate(others, 2):
        assert made(user, query, number) is not first, (user, query)


# What is sent when


def test_an_answer_that_is_late_is_not_sent_on_the_next_connection() -> None:
    async def begin(visitor: Visitor) -> None:
        await visitor.hear()
        await visitor.say(JOINED, '20["question"]', '21["another"]')
        await listen_on(visitor)

    async def main() -> None:
        network, gate = AsgiNetwork(server), asyncio.Event()
        asked: list[str] = []
        socket = connect(network)

        @socket.on("another")
        async def another() -> str:
            asked.append(text := "in time" if asked else "late")
            await gate.wait()
            return text

        async with socket:
            answers = [(await socket.receive()).ack]
            network.drop()
            answers.append((await socket.receive()).ack)
            for ack, text in zip(answers, ["late", "in time"], strict=True):
                assert ack is not None
                ack(text)
            gate.set()
            await asyncio.sleep(1)
        first, second = (visitor.heard for visitor in server.visitors)
        assert (asked, first) == (["late", "in time"], ["0"])
        assert second == ["0", '30["in time"]', '31["in time"]', "1"]

    server = Scripted(begin)
    run(main())


@pytest.mark.parametrize("late_ping", [False, True])
def test_what_is_emitted_while_the_heartbeat_is_overdue(late_ping: bool) -> None:
    async def main() -> None:
        async with connect(server, reconnection_delay=0.1) as socket:
            socket.on("go", lambda: socket.emit("n", 2))
            loop: Any = asyncio.get_running_loop()
            loop._now += 3  # something has kept the event loop busy
            if late_ping:
                await server.visitors[0].say("!2", '2["go"]')
            socket.emit("n", 1)
            if not late_ping:
                socket.emit("n", 2)
            assert await socket.disconnected == "ping timeout"
            socket.emit("n", 3)
            await socket
            socket.emit("n", 4)
            await asyncio.sleep(0.1)
        first, second = (visitor.heard for visitor in server.visitors)
        assert [text for text in first if "n" in text] == []
        assert second == ["0", *(f'2["n",{number}]' for number in (1, 2, 3, 4)), "1"]

    server = Scripted(listen, interval=1, patience=1)
    run(main())


def test_an_acknowledgement_of_what_was_emitted_while_the_heartbeat_was_overdue() -> None:
    async def main() -> None:
        io = Server()
        io.event("echo")(lambda socket, value: value)
        async with connect(io) as socket:
            id = socket.id
            loop: Any = asyncio.get_running_loop()
            loop._now += 46
            assert await asyncio.gather(*(socket.emit_with_ack("echo", number) for number in range(3))) == [0, 1, 2]
            assert socket.id != id

    run(main())


def test_events_count_for_an_answer_to_a_heartbeat_where_the_client_asks() -> None:
    async def begin(visitor: Visitor) -> None:
        await visitor.say("0")
        for _ in range(25):
            await visitor.say('2["tick"]')
            await asyncio.sleep(0.4)
        await listen_on(visitor)

    async def main() -> None:
        async with connect(Scripted(begin, interval=1, patience=0.5), eio=3, reconnection=False) as socket:
            assert await socket.disconnected == "ping timeout"
            assert now() == pytest.approx(10.8, abs=1)

    run(main())


# What waits


def test_the_most_events_that_wait_with_retries_while_connected() -> None:
    async def main() -> None:
        got: list[Any] = []
        io = Server()
        io.event("fast")(lambda socket, number: got.append(number))
        io.event("slow")(lambda socket, number, *, ack: None)  # which never answers
        async with connect(io, retries=1, ack_timeout=1000, max_buffered_emits=3) as socket:
            for number in range(1 + 3):  # one is under way
                socket.emit("slow", number)
            with pytest.raises(UsageError, match="max_buffered_emits"):
                socket.emit("slow", 4)
            socket.volatile.emit("fast", "not at once")
            await asyncio.sleep(1)
            socket.volatile.emit("fast", 5)
            await asyncio.sleep(1)
            assert got == [5]
            socket.disconnect()  # else the end of the block would wait for answers

    run(main())


def test_the_most_events_that_wait_offline() -> None:
    async def main() -> None:
        got: list[Any] = []
        io = Server()
        io.event("n")(lambda socket, number: got.append(number))
        socket = connect(io, max_buffered_emits=3, auto_connect=False)
        for number in range(3):
            socket.emit("n", number)
        with pytest.raises(UsageError, match="max_buffered_emits"):
            socket.emit("n", 3)
        socket.volatile.emit("n", "dropped")
        async with socket:
            await asyncio.sleep(1)
            assert got == [0, 1, 2]
            socket.emit("n", 4)

    run(main())


def test_a_volatile_question_without_a_connection_has_no_answer() -> None:
    async def main() -> None:
        socket = connect(Server(), auto_connect=False)
        with pytest.raises(Disconnected):
            await socket.volatile.emit_with_ack("echo", 1)
        assert now() < 0.1

    run(main())


def time_of_ends(count: int, cancel: bool) -> float:
    """Give the CPU time that it takes to end so many waits for acknowledgements while there is no connection."""

    async def main() -> float:
        network = AsgiNetwork(Server())
        network.down()
        socket = connect(network, max_buffered_emits=count, reconnection_delay=100)
        await asyncio.sleep(1)
        ended: list[Any] = []
        if cancel:
            tasks = [asyncio.ensure_future(socket.emit_with_ack("n", number)) for number in range(count)]
        else:
            for number in range(count):
                socket.timeout(1).emit("n", number, ack=ended.append)
        await asyncio.sleep(0)
        assert len(socket._buffer) == count
        began = time.process_time()
        if cancel:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        else:
            await asyncio.sleep(2)
            assert len(ended) == count
        took = time.process_time() - began
        assert not socket._buffer
        socket.disconnect()
        return took

    return run(main())


@pytest.mark.parametrize("cancel", [False, True])
def test_ending_many_waits_takes_no_quadratic_time(cancel: bool) -> None:
    few = min(time_of_ends(1000, cancel) for _ in range(2))
    # Quadratic time would be 64 times as long, each time; a busy machine is only now and then.
    assert any(time_of_ends(8000, cancel) < 24 * few for _ in range(3))


def test_events_that_a_catch_all_has_taken_are_not_kept() -> None:
    async def main() -> None:
        io, got = Server(), []
        async with connect(io) as socket:
            socket.on_any(lambda *args: got.append(args))
            io.emit("news", 1)
            await asyncio.sleep(1)
            assert got == [("news", 1)]
            with pytest.raises(TimeoutError):
                await socket.receive(1)
            io.emit("news", 2)
            assert await socket.receive(1) == ("news", [2])

    run(main())


# Mistakes


def test_a_handler_that_cannot_decode_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        io = Server()
        async with connect(io) as socket:
            socket.on("news", lambda data: data.decode())
            io.emit("news", b"\xff")
            await asyncio.sleep(1)

    run(main())
    (record,) = [record for record in caplog.records if record.name == "socketeer.client"]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[0] is UnicodeDecodeError


@pytest.mark.parametrize("make", [connect_for_real, Manager])
@pytest.mark.parametrize("comma", [",", "%2C"])
def test_a_namespace_with_a_comma(make: Callable[[str], Any], comma: str) -> None:
    with pytest.raises(UsageError, match="comma"):
        make(f"http://127.0.0.1:9/a{comma}b")
    with pytest.raises(UsageError, match="comma"):
        Manager("http://127.0.0.1:9").socket("/a,b")


def test_what_is_no_function_cannot_be_called_back() -> None:
    refused: list[str] = []

    def refuse(emit: Any) -> None:
        with pytest.raises(TypeError, match="ack= takes a function, not 3"):
            emit("event", ack=3)
        refused.append(emit)

    async def main() -> None:
        io = Server()

        @io.on("connection")
        def connected(peer: Socket) -> None:
            refuse(peer.emit)
            refuse(peer.timeout(1).emit)
            refuse(io.emit)

        async with connect(io) as socket:
            refuse(socket.emit)
            refuse(socket.timeout(1).emit)

    run(main())
    assert len(refused) == 5
