"""The WebSocket client of the load: precomputed frames on a bare TCP connection.

What comes back is compared with the one answer that is due before anything is parsed, because a client library spends
as much on a message, and more on opening a connection, as the fastest servers, and would be what is measured.
"""

import asyncio
import socket
import struct
from base64 import b64encode
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from time import perf_counter_ns
from typing import cast

from bench.load import wire
from bench.load.meter import LoadError, Tally

_CONNECTING_AT_ONCE = 64
_PER_ADDRESS = 10_000  # the kernel has some 28,000 ports for connections of one address
_HEAD_LIMIT = 4096
_PONG = wire.frame(wire.TEXT, wire.PONG)
_JOIN = wire.frame(wire.TEXT, wire.CONNECT)
_LEAVE = wire.frame(wire.CLOSE, b"\x03\xe8")
_UPGRADE = b"\r\n".join(
    (
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + b64encode(b"sixteen bytes ok"),
        b"\r\n",
    )
)
_RESET = struct.pack("ii", 1, 0)


class Client(asyncio.Protocol):
    """One connection in the main namespace: it answers pings, and fails the run by whatever nobody asked for."""

    __slots__ = ("_buffer", "_expected", "_upgraded", "answer", "gone", "ready", "tally", "transport")

    def __init__(self, tally: Tally, answer: bytes = b"") -> None:
        loop = asyncio.get_running_loop()
        self.tally = tally
        self.answer = answer
        self.ready: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport
        self._expected = b""
        self._buffer = bytearray()
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.tally.connections.add(self)
        self.transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        if data == self._expected and not self._buffer:
            self.on_answers(1)
        else:
            self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tally.connections.discard(self)
        if self.gone is None:
            self._fail("the server closed a connection")
        elif not self.gone.done():  # who waited for it may have been called off
            self.gone.set_result(None)

    def on_answers(self, count: int) -> None:
        """Handle answers that came whole and at once."""
        raise NotImplementedError

    def on_packet(self, opcode: int, packet: bytes) -> None:
        """Handle what is not on the measured path: the handshakes and the heartbeat."""
        if packet == wire.PING:
            self.pong()
        elif packet.startswith(wire.OPEN):
            self.transport.write(_JOIN)
        elif packet.startswith(wire.CONNECTED) and not self.ready.done():
            self.expect(self.answer)
            self.ready.set_result(None)
        elif opcode == wire.CLOSE:
            self.transport.close()
        elif opcode == wire.WS_PING:
            self.transport.write(wire.frame(wire.WS_PONG, packet))
        else:
            self._fail(f"unexpected packet {packet[:80]!r}")

    def pong(self) -> None:
        """Answer a heartbeat."""
        self.transport.write(_PONG)

    def expect(self, answer: bytes) -> None:
        """Say what comes back from now on."""
        self._expected = answer

    async def leave(self) -> None:
        """Close the connection as the protocol has it, and wait for its end."""
        self.gone = asyncio.get_running_loop().create_future()
        self.transport.write(_LEAVE)
        await self.gone

    def leave_no_port(self) -> None:
        """Let the connection end by a reset whenever it ends: the kernel keeps the port of another for a minute."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def reset(self) -> None:
        """End the connection without a word, as a machine does that is switched off."""
        if not self.transport.is_closing():
            self.leave_no_port()
            self.gone = asyncio.get_running_loop().create_future()
            self.transport.abort()

    def _receive(self, data: bytes) -> None:
        buffer, answers = self._buffer, 0
        buffer += data
        if not self._upgraded and not self._upgrade():
            return
        while buffer:
            expected = self._expected
            if expected and buffer.startswith(expected):
                del buffer[: len(expected)]
                answers += 1
            elif expected.startswith(buffer) or (taken := wire.take_frame(buffer)) is None:
                break  # the rest is on its way
            else:
                self.on_packet(*taken)
        if answers:
            self.on_answers(answers)

    def _upgrade(self) -> bool:
        head, end, _ = self._buffer.partition(b"\r\n\r\n")
        if end and head.startswith(b"HTTP/1.1 101 "):
            del self._buffer[: len(head) + len(end)]
            self._upgraded = True
        elif end or len(head) > _HEAD_LIMIT:
            self._fail(f"no upgrade: {bytes(head[:80])!r}")
        return self._upgraded

    def _fail(self, reason: str) -> None:
        self.tally.fail(reason)
        if not self.ready.done():
            self.ready.set_exception(LoadError(f"{reason}, during the handshake"))
        self.transport.abort()


class EchoClient(Client):
    """A closed loop: whenever an answer comes, the request goes out again."""

    __slots__ = ("_request", "_sent")

    def __init__(self, tally: Tally, exchange: wire.Exchange) -> None:
        super().__init__(tally, exchange.answer)
        self._request = exchange.request
        self._sent = deque[int]()

    def start(self, in_flight: int) -> None:
        """Send the first requests."""
        self._sent.extend([perf_counter_ns()] * in_flight)
        self.transport.write(self._request * in_flight)

    def on_answers(self, count: int) -> None:
        now = perf_counter_ns()
        sent, tally = self._sent, self.tally
        for _ in range(count):
            tally.latencies.add(now - sent.popleft())
            sent.append(now)
        tally.count += count
        if not tally.stopping:
            self.transport.write(self._request if count == 1 else self._request * count)


class RecoverableClient(EchoClient):
    """The same where answers carry an offset that nobody can foretell: they are compared up to it."""

    __slots__ = ("_start",)

    def __init__(self, tally: Tally, exchange: wire.Exchange) -> None:
        super().__init__(tally, exchange)
        packet = wire.take_frame(bytearray(exchange.answer))
        assert packet is not None
        self._start = packet[1].removesuffix(b"]") + b',"'

    def on_packet(self, opcode: int, packet: bytes) -> None:
        if packet.startswith(self._start):
            self.on_answers(1)
        else:
            super().on_packet(opcode, packet)

    def expect(self, answer: bytes) -> None:
        """Leave nothing to compare whole."""


class PacedClient(Client):
    """Messages at planned times, whether or not the answers keep up: their latency counts from the plan."""

    __slots__ = ("_request", "planned")

    def __init__(self, tally: Tally, exchange: wire.Exchange) -> None:
        super().__init__(tally, exchange.answer)
        self._request = exchange.request
        self.planned = deque[int]()

    def send(self, planned: int) -> None:
        """Send what was to be sent at ``planned``, in nanoseconds."""
        self.planned.append(planned)
        self.transport.write(self._request)

    def on_answers(self, count: int) -> None:
        now = perf_counter_ns()
        for _ in range(count):
            self.tally.latencies.add(now - self.planned.popleft())
        self.tally.count += count


class AskingClient(Client):
    """A client that asks for one thing at a time and waits until it is acknowledged."""

    __slots__ = ("_asked",)

    def __init__(self, tally: Tally, answer: bytes = b"") -> None:
        super().__init__(tally, answer)
        self._asked: asyncio.Future[None] | None = None

    async def ask(self, exchange: wire.Exchange) -> None:
        """Send the request and wait for the acknowledgement."""
        self._asked = asyncio.get_running_loop().create_future()
        self.expect(exchange.answer)
        self.transport.write(exchange.request)
        await self._asked
        self._asked = None
        self.expect(self.answer)

    async def collect(self) -> None:
        """Have the server collect its garbage, twice: the first pass may leave what only its finalisers free."""
        for _ in range(2):
            await self.ask(wire.COLLECT)

    def on_answers(self, count: int) -> None:
        if self._asked is not None:
            self._asked.set_result(None)

    def _fail(self, reason: str) -> None:
        super()._fail(reason)
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(LoadError(reason))


async def connect(port: int, client: Client, address: str = "127.0.0.1") -> None:
    """Connect a client by WebSocket, from an address of this machine, and join the main namespace."""
    local = None if address == "127.0.0.1" else (address, 0)
    await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port, local_addr=local)
    await client.ready


async def connect_all(port: int, clients: Sequence[Client], at_once: int = _CONNECTING_AT_ONCE) -> None:
    """Connect many clients, so many at once."""
    waiting = iter(enumerate(clients))

    async def worker() -> None:
        for number, client in waiting:
            await connect(port, client, f"127.0.0.{1 + number // _PER_ADDRESS}")
            client.leave_no_port()

    await gather(worker() for _ in range(min(at_once, len(clients))))


async def gather(workers: Iterable[Coroutine[None, None, None]]) -> None:
    """Run workers side by side; the first failure ends them all and is raised."""
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
