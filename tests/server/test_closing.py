"""The end of a server: what clients and handlers learn of it, what is left over, and a new beginning."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable

import pytest

from socketeer import Disconnected, Server, Socket
from socketeer.engine.polling import Polling
from socketeer.engine.session import Session
from socketeer.engine.websocket import Probe, WebSocket
from socketeer.multiplex.server import ServerConnection
from socketeer.transports.picows import Wire
from socketeer.transports.portable import PortableWire
from tests.server.conftest import Served
from tests.support.ports import free_port
from tests.support.raw import Client
from tests.support.serving import serving
from tests.wire.peers import PollingPeer, WebSocketPeer, eventually

Serve = Callable[[Server], Served]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_everybody_is_told(serve: Serve, transport: str) -> None:
    io = Server()
    io.of("/chat")
    reasons: list[tuple[str, str]] = []
    for name in ("/", "/chat"):
        io.of(name).event("disconnect")(lambda socket, reason: reasons.append((socket.nsp.name, reason)))
    served = serve(io)
    client = served.connect(transport=transport)
    client.join()
    client.join("/chat")
    served.run(io.close())
    assert sorted(reasons) == [("/", "server shutting down"), ("/chat", "server shutting down")]
    client.closed()
    assert served.call(lambda: (dict(io.engine.sessions), dict(io.sockets.sockets))) == ({}, {})


def test_a_second_call_is_harmless(serve: Serve) -> None:
    io = Server()
    reasons: list[str] = []
    io.event("disconnect")(lambda socket, reason: reasons.append(reason))
    served = serve(io)
    client = served.join()
    served.run(io.close())
    served.run(io.close())

    async def both() -> None:
        await asyncio.gather(io.close(), io.close())

    served.run(both())
    assert reasons == ["server shutting down"]
    client.closed()


def test_a_server_that_never_served_can_be_closed() -> None:
    asyncio.run(Server().close())


def test_what_was_emitted_before_the_end_still_arrives(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    clients = [served.join(transport=transport) for transport in ("websocket", "polling")]

    @io.event("disconnect")
    def too_late(socket: Socket) -> None:
        socket.emit("too late")

    async def end() -> None:
        io.emit("last words", b"\1")
        await io.close()

    ending = asyncio.run_coroutine_threadsafe(end(), served.running.loop)
    for client in reversed(clients):  # the one that polls has to come within a second
        assert client.event() == ["last words", b"\1"]
        client.closed()
    ending.result(20)


def test_a_client_that_does_not_go_is_left(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    silent = PollingPeer(served.port)  # never polls again
    silent.send("40")
    stuck = served.join()  # never answers the close frame
    started = time.monotonic()
    served.run(io.close())
    assert time.monotonic() - started < 10
    assert served.call(lambda: dict(io.engine.sessions)) == {}
    stuck.closed()


@pytest.mark.parametrize("stubborn", [False, True])
def test_handlers_may_finish_within_reason(serve: Serve, stubborn: bool) -> None:
    io = Server()
    seen: list[str] = []

    @io.event
    async def work(socket: Socket) -> None:
        try:
            await asyncio.sleep(60 if stubborn else 0.2)
            seen.append("finished")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    @io.event
    async def disconnect(socket: Socket, reason: str) -> None:
        await asyncio.sleep(0.01)
        seen.append(reason)

    served = serve(io)
    client = served.join()
    client.emit("work")
    assert client.silent()
    started = time.monotonic()
    served.run(io.close())
    assert time.monotonic() - started < 10
    assert sorted(seen) == ["cancelled" if stubborn else "finished", "server shutting down"]


def test_a_handler_may_close_the_server(serve: Serve) -> None:
    io = Server()
    done: queue.Queue[str] = queue.Queue()

    @io.event
    async def stop(socket: Socket) -> None:
        await io.close()
        done.put("closed")

    client = serve(io).join()
    client.emit("stop")
    assert done.get(timeout=20) == "closed"
    client.closed()


def test_nobody_comes_in_while_it_closes(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    served.join()
    served.run(io.close())
    with pytest.raises(Exception, match=r"400|Bad request|503"):
        Client(served.port)


def test_a_socket_that_is_still_in_the_middleware_is_let_go(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    entered: queue.Queue[None] = queue.Queue()

    @io.use
    async def slow(socket: Socket) -> None:
        entered.put(None)
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("let go")

    io.on("connection", lambda socket: seen.append("connection"))
    served = serve(io)
    client = served.connect()
    client.ask()
    entered.get(timeout=20)
    served.run(io.close())
    assert seen == ["let go"]


def test_a_thread_may_go_on_emitting(lane: str) -> None:
    io = Server()
    stop = threading.Event()
    failures: list[BaseException] = []
    sockets: list[Socket] = []
    io.on("connection", sockets.append)

    def emit() -> None:
        try:
            while not stop.wait(0.001):
                io.emit("x", 1)
                for socket in sockets:
                    socket.emit("y")
                    socket.join("room")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=emit)
    with serving(io, lane) as running:
        client = Client(running.port)
        client.join()
        thread.start()
        assert client.event() == ["x", 1]
    client.close()
    stop.wait(0.05)
    assert thread.is_alive(), failures
    stop.set()
    thread.join(5)
    assert failures == []


# Again.


def test_the_same_server_may_serve_again(lane: str) -> None:
    io = Server()
    reasons: list[str] = []
    io.event("echo")(lambda socket, value: value)
    io.event("disconnect")(lambda socket, reason: reasons.append(reason))
    for n in range(3):
        with serving(io, lane) as running:
            for transport in ("websocket", "polling"):
                client = Client(running.port, transport=transport)
                client.join()
                assert client.call("echo", n) == [n]
                client.close()
            client = Client(running.port)
            client.join()
            running.run(io.close())
            client.closed()
            client.close()
    assert len(reasons) == 9


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_a_server_that_was_not_closed_may_serve_again_too(lane: str, lifespan: str) -> None:
    io = Server(ping_interval=0.1, ping_timeout=5)
    io.event("echo")(lambda socket, value: value)
    for n in range(3):
        with serving(io, lane, lifespan=lifespan) as running:
            client = Client(running.port)
            client.join()
            assert client.call("echo", n) == [n]
            assert client.websocket.receive() == "2", "no heartbeat in the new event loop"
        client.close()


def test_a_server_that_was_closed_serves_again_without_a_lifespan(lane: str) -> None:
    io = Server()
    for _ in range(2):
        with serving(io, lane, lifespan="off") as running:
            client = Client(running.port)
            client.join()
            running.run(io.close())
            client.close()


def test_serve_ends_with_close_and_can_be_called_again() -> None:
    io = Server()
    io.event("echo")(lambda socket, value: value)

    async def main(port: int) -> None:
        serving = asyncio.create_task(io.serve(port))
        await _listening(port)
        await asyncio.to_thread(_visit, port)
        await io.close()
        await asyncio.wait_for(serving, 20)
        again = asyncio.create_task(io.serve(port))
        await _listening(port)
        await asyncio.to_thread(_visit, port)
        await io.close()
        await asyncio.wait_for(again, 20)

    asyncio.run(main(free_port()))


def test_serve_ends_with_its_task() -> None:
    io = Server()
    reasons: list[str] = []
    io.event("echo")(lambda socket, value: value)
    io.event("disconnect")(lambda socket, reason: reasons.append(reason))

    async def main(port: int) -> Client:
        serving = asyncio.create_task(io.serve(port))
        await _listening(port)
        client = await asyncio.to_thread(Client, port)
        await asyncio.to_thread(client.join)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 20)
        assert reasons == ["server shutting down"]
        assert io.engine.sessions == {}
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return client

    client = asyncio.run(main(free_port()))
    client.closed()
    client.close()


async def _listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise AssertionError("the server does not listen")


def _visit(port: int) -> None:
    client = Client(port)
    client.join()
    assert client.call("echo", 1) == [1]
    client.close()


# What is left over.

KEPT = (Socket, Session, ServerConnection, Polling, WebSocket, Probe, Wire, PortableWire, asyncio.Task)


def count() -> Counter[str]:
    """Count what is alive of everything that belongs to one client."""
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if issubclass(type(each), KEPT))


def come_and_go(served: Served, transport: str, end: str) -> None:
    if transport == "upgraded":
        peer = PollingPeer(served.port)
        peer.send("40")
        peer.poll()
        websocket = WebSocketPeer(served.port, peer.upgrade_target)
        websocket.send("2probe")
        websocket.receive()
        websocket.send("5")
        websocket.send('42["x"]')
        if end == "violation":
            websocket.send("?")
            websocket.closed()
        websocket.close()
        return
    client = Client(served.port, transport=transport)
    id = client.join()
    client.emit("x")
    if end == "violation":
        client.send("9")
    elif end == "server":
        served.call(lambda: served.io.sockets.sockets[id].disconnect(close=True))
    if end != "client":
        client.closed()
    client.close()


@pytest.mark.parametrize("transport", ["websocket", "polling", "upgraded"])
@pytest.mark.parametrize("end", ["client", "server", "violation"])
def test_nothing_is_kept_of_clients_that_left(serve: Serve, transport: str, end: str) -> None:
    io = Server()

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        socket.join(["a", "b"])
        socket.data["self"] = socket
        socket.emit("question", ack=lambda *args: socket.emit("thanks"))
        socket.timeout(30).emit("question", ack=lambda *args: None)
        io.timeout(30).emit("question", ack=lambda *args: None)

        @socket.on("x")
        async def handler() -> str:
            with contextlib.suppress(Disconnected):
                await socket.timeout(30).emit_with_ack("question")
            return socket.id

        await asyncio.sleep(0)

    if transport == "upgraded" and end == "server":
        end = "client"  # which is the same from here on
    served = serve(io)
    come_and_go(served, transport, end)
    eventually(lambda: not io.engine.sessions)
    served.settle()
    before = served.call(count)
    for _ in range(5):
        come_and_go(served, transport, end)
    eventually(lambda: not io.engine.sessions)
    eventually(lambda: not served.call(count) - before)
    assert not io.sockets.sockets
    assert served.call(lambda: vars(io.sockets.adapter)["rooms"]) == {}


def test_the_timers_of_clients_that_left_are_stopped(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    for transport in ("websocket", "polling"):
        for end in ("client", "violation"):
            come_and_go(served, transport, end)
    eventually(lambda: not io.engine.sessions)
    # A closing handshake that nobody waits for any more, and the like, may still be on the wheel for seconds.
    waiting = served.call(lambda: [timer for slot in io.driver.wheel._slots.values() for timer in slot])
    soon = served.call(io.driver.wheel.clock) + 45
    assert [timer for timer in waiting if timer.due > soon] == []


def test_a_server_is_freed_with_everything_it_had() -> None:
    def live() -> weakref.ref[Server]:
        io = Server()
        io.event("echo")(lambda socket, value: value)
        with serving(io) as running:
            client = Client(running.port)
            client.join()
            assert client.call("echo", 1) == [1]
            running.run(io.close())
            client.close()
        return weakref.ref(io)

    reference = live()
    gc.collect()
    assert reference() is None


def test_a_client_that_waits_costs_one_timer_and_no_task(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    served.join()
    served.settle()

    def tasks() -> int:
        return len(asyncio.all_tasks())

    before = served.call(tasks)
    clients = [served.join() for _ in range(10)]
    served.settle()
    more = served.call(tasks) - before
    assert more in (0, 10 * 3)  # on the fast lane none; on the other one uvicorn's task, and one for each direction
    assert len(clients) == 10
