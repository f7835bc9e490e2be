"""Nothing is left of a client in programs that cancel tasks at any point, end at any point, or are interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from socketeer import ClientSocket, Server, Socket, connect
from socketeer.exceptions import AckTimeout, Disconnected, TransportError
from tests.client.servers import TRANSPORTS, eventually
from tests.client.stepping import (
    LOOPS,
    Stepping,
    connections_to,
    eventually_alone,
    open_sockets,
    sweep,
    watching,
)
from tests.support.backend import ROOT, ServerProcess
from tests.support.certificate import make_certificate
from tests.support.proxy import proxying
from tests.support.serving import Running, serving

PATIENCE = 10.0
PING = 0.5


@pytest.fixture(scope="module")
def io() -> Server:
    """Return the server's application."""
    io = Server(ping_interval=PING, ping_timeout=PING, max_http_buffer_size=10_000_000)

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


def steps_of(loop_name: str, transport: str) -> dict[str, int]:
    """Say which steps to try: with polling, where there are many, every other one on either event loop."""
    if transport == "websocket":
        return {"first": 1, "stride": 1}
    return {"first": 1 + list(LOOPS).index(loop_name), "stride": len(LOOPS)}


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

    assert sweep(loop_name, program, **steps_of(loop_name, transport)) > 20
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

    assert sweep(loop_name, program, **steps_of(loop_name, transport)) > 20
    check_that_all_are_gone(io, server)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_the_program_ends_at_any_step_of_tls(transport: str, io: Server, tmp_path: Path) -> None:
    """On uvloop a connection that is given up within the handshake of TLS may complain of itself."""

    async def program(loop: Stepping, steps: int) -> bool:
        end = asyncio.Event()
        socket = connect(secure.url, transports=TRANSPORTS[transport], ssl=False)
        answer, ending = asyncio.create_task(socket.emit_with_ack("back", 1)), asyncio.create_task(end.wait())
        loop.act_after(steps, end.set)
        await asyncio.wait([answer, ending], return_when=asyncio.FIRST_COMPLETED)
        return answer.done()

    cert, key = make_certificate(tmp_path)
    with serving(io, ssl_certfile=cert, ssl_keyfile=key) as secure:
        assert sweep("asyncio", program) > 5


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_everything_is_cancelled_at_any_step(transport: str, io: Server, server: Running) -> None:
    """The client gets up again from whatever it did."""

    async def program(loop: Stepping, steps: int) -> bool:
        before = open_sockets()
        this = asyncio.current_task()
        socket = begin(server.url, transport)
        task = asyncio.create_task(use(socket, transport))
        cancelled = asyncio.Event()

        def cancel_all() -> None:
            for other in asyncio.all_tasks() - {this}:
                other.cancel()
            cancelled.set()

        loop.act_after(steps, cancel_all)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        elif socket.active:  # else it was the auth function that was cancelled
            async with asyncio.timeout(PATIENCE):
                await cancelled.wait()
                with contextlib.suppress(Disconnected):  # where it is yet to notice what was cancelled
                    await socket.emit_with_ack("back", 3)
                assert await socket.emit_with_ack("back", 4) == 4
        socket.disconnect()
        await eventually_alone(before)
        return not task.cancelled()

    assert sweep("asyncio", program, stride=2) > 10
    check_that_all_are_gone(io, server)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_one_of_two_that_share_a_connection_is_cancelled(transport: str, io: Server, server: Running) -> None:
    async def visit(path: str) -> None:
        async with begin(server.url + path, transport) as socket:
            for number in range(3):
                assert await socket.timeout(PATIENCE).emit_with_ack("back", number) == number

    async def program(loop: Stepping, steps: int) -> bool:
        before = open_sockets()
        one, other = asyncio.create_task(visit("/")), asyncio.create_task(visit("/other"))
        loop.act_after(steps, one.cancel)
        await asyncio.wait([one, other])
        other.result()
        await eventually_alone(before)
        return not one.cancelled()

    assert sweep("asyncio", program, stride=2) > 10
    check_that_all_are_gone(io, server)


def test_who_is_cancelled_does_not_wait_for_those_it_shares_a_connection_with() -> None:
    async def visit(url: str) -> None:
        async with connect(url, transports=["websocket"]):
            pass

    async def main(url: str) -> None:
        before = open_sockets()
        tasks = [asyncio.create_task(visit(url + path)) for path in ("/", "/other")]
        await eventually(lambda: len(open_sockets() - before) == 1)  # nobody answers it
        for task in tasks:
            task.cancel()
            await asyncio.wait([task], timeout=1)
            assert task.cancelled()
        await eventually_alone(before)

    with sockets.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(main(f"http://127.0.0.1:{listener.getsockname()[1]}"))


# -- timeouts


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_timeouts(transport: str, server: Running) -> None:
    async def main() -> None:
        before = open_sockets()
        async with begin(server.url, transport) as socket:
            for call in (
                lambda: socket.emit_with_ack("never"),
                socket.receive,
                socket.__anext__,
                lambda: socket.wait_disconnected(),
            ):
                for _ in range(3):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await call()
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    await socket.receive(timeout=0)
            with pytest.raises(AckTimeout):
                await socket.timeout(0.01).emit_with_ack("never")
            assert not socket._acks
            assert socket.inbox.waiters + socket._disconnect_waiters == []
            assert await socket.emit_with_ack("back", "still here") == "still here"
        await eventually_alone(before)

    with watching() as aftermath:
        asyncio.run(main())
    assert aftermath.faults == []


@pytest.mark.parametrize("loop_name", LOOPS)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_server_that_never_answers(transport: str, loop_name: str) -> None:
    """Neither giving up nor the next attempts leave a connection open; nor does the end of the program."""

    async def main(url: str) -> None:
        before = open_sockets()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), connect(url, transports=[transport]):
                pass
        await eventually_alone(before)
        with pytest.raises(TransportError, match="timeout"):
            async with connect(url, transports=[transport], timeout=0.05, reconnection=False):
                pass
        await eventually_alone(before)
        retrying = connect(url, transports=[transport], timeout=0.02, reconnection_delay=0.001)
        errors: list[Exception] = []
        retrying.on("connect_error", errors.append)
        await eventually(lambda: len(errors) == 5)
        assert len(open_sockets() - before) <= 2

    before = open_sockets()
    with (
        sockets.create_server(("127.0.0.1", 0)) as listener,
        watching() as aftermath,
        asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner,
    ):
        runner.run(main(f"http://127.0.0.1:{listener.getsockname()[1]}"))
    assert aftermath.faults == []
    assert open_sockets() <= before


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_timeout_behind_a_network_that_lets_nothing_through(transport: str, server: Running) -> None:
    """Leaving has a second to do it in order."""

    async def main() -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), connect(proxy.url, transports=[transport]) as socket:
                proxy.hold()
                assert connections_to(proxy.port)
                await socket.emit_with_ack("back", "x" * 5_000_000)
        assert time.monotonic() - began < 8  # of the 10 that it may take in order
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        await eventually(lambda: not connections_to(proxy.port))

    with proxying(server.port) as proxy:
        asyncio.run(main())


# -- the end of the program


@pytest.mark.parametrize("loop_name", LOOPS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_program_ends_behind_a_network_that_does_not(transport: str, loop_name: str, server: Running) -> None:
    """The end does not wait for a server that cannot be reached, whatever there is to send."""

    async def main() -> None:
        socket = connect(proxy.url, transports=TRANSPORTS[transport])
        async with asyncio.timeout(PATIENCE):
            await socket
            proxy.hold()
            socket.emit("echo", "x" * 5_000_000)
            if transport != "polling":
                socket.disconnect()

    before = open_sockets()
    with proxying(server.port) as proxy:
        with watching() as aftermath:
            began = time.monotonic()
            with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
                runner.run(main())
            assert time.monotonic() - began < 8
        proxy.release()
    assert aftermath.faults == []
    end = time.monotonic() + PATIENCE
    while open_sockets() - before and time.monotonic() < end:
        time.sleep(0.01)
    assert open_sockets() <= before


def test_what_was_emitted_last_arrives(server: Running, io: Server) -> None:
    """Nobody closes the socket, and nothing waits for what was emitted to leave."""
    heard: list[Any] = []
    io.event("last words")(lambda socket, words: heard.append(words))

    async def main() -> None:
        socket = await connect(server.url, transports=["websocket"])
        socket.on("disconnect", lambda *reason: socket.connect())  # which is too late then
        socket.emit("last words", "x" * 1_000_000)
        socket.emit("last words", "y")

    with watching() as aftermath:
        asyncio.run(main())
    assert aftermath.faults == []
    end = time.monotonic() + PATIENCE
    while len(heard) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert [words[0] for words in heard] == ["x", "y"]


# -- interrupted

INTERRUPTED = """
import asyncio, sys
from socketeer import connect

async def stay(url, transport):
    async with connect(url, transports=[transport]) as socket:
        print("connected", socket.id, flush=True)
        await asyncio.sleep(60)

async def leave_it_open(url, transport):
    socket = connect(url, transports=[transport])
    await socket
    print("connected", socket.id, flush=True)
    async for event in socket:
        pass

way, url, transport = sys.argv[1:]
try:
    asyncio.run({"stay": stay, "leave it open": leave_it_open}[way](url, transport))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
"""A program as people write them; where it is interrupted it says so, and nothing else."""


@pytest.fixture(scope="module")
def process() -> Iterator[ServerProcess]:
    """Return our own server in a process of its own, which prints who is gone, and why."""
    process = ServerProcess("fast")
    yield process
    process.close()


@pytest.mark.parametrize("way", ["stay", "leave it open"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_program_is_interrupted(way: str, transport: str, process: ServerProcess) -> None:
    script = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", INTERRUPTED, way, process.url, transport],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert script.stdout is not None
        word, id = script.stdout.readline().split()
        assert word == "connected"
        script.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.line("gone", 20).startswith(f"{id} ")
        output, errors = script.communicate(timeout=20)
        assert time.monotonic() - began < PATIENCE
    finally:
        script.kill()
        script.wait()
    assert (output, errors, script.returncode) == ("interrupted\n", "", 0)
