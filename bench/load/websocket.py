"""WebSocket clients of the load: connect, then keep messages in flight from inside picows' callback."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from time import perf_counter_ns

import picows

from bench.load import wire
from bench.load.meter import LoadError, Tally

TEXT = picows.WSMsgType.TEXT
_CONNECTING_AT_ONCE = 32


class Client(picows.WSListener):
    """One connection in the main namespace: it answers pings, and gives every other packet to ``on_packet``."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.transport: picows.WSTransport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is TEXT:
            self.on_packet(frame.get_payload_as_bytes())
        elif frame.msg_type is picows.WSMsgType.CLOSE:
            self.on_close()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.on_close()

    def on_close(self) -> None:
        """Count the end of the connection as a failure of the run."""
        self.tally.fail("the server closed a connection")
        if not self.ready.done():
            self.ready.set_exception(LoadError("the server closed a connection during the handshake"))

    def on_packet(self, packet: bytes) -> None:
        """Handle what is not on the measured path: the handshakes and the heartbeat."""
        if packet == wire.PING:
            self.send(wire.PONG)
        elif packet.startswith(wire.CONNECTED):
            self.ready.set_result(None)
        elif packet.startswith(wire.OPEN):
            self.send(wire.CONNECT)
        else:
            self.tally.fail(f"unexpected packet {packet[:80]!r}")

    def send(self, packet: bytes) -> None:
        """Send one packet as a text frame."""
        self.transport.send(TEXT, packet)


class EchoClient(Client):
    """A closed loop: whenever the answer comes, the request goes out again."""

    def __init__(self, tally: Tally, request: bytes, answer: bytes) -> None:
        super().__init__(tally)
        self._request = request
        self._answer = answer
        self._sent = deque[int]()

    def ask(self) -> None:
        """Send the request."""
        self._sent.append(perf_counter_ns())
        self.transport.send(TEXT, self._request)

    def on_packet(self, packet: bytes) -> None:
        if packet == self._answer:
            self.tally.count += 1
            self.tally.latencies.add(perf_counter_ns() - self._sent.popleft())
            self.ask()
        else:
            super().on_packet(packet)


class Audience:
    """The clients of a broadcast: once all of them have a message, the next one is asked for."""

    def __init__(self, tally: Tally, packet: bytes) -> None:
        self.tally = tally
        self.packet = packet
        self.clients: list[AudienceClient] = []
        self._due = 0
        self._sent = 0

    def trigger(self) -> None:
        """Ask for one more broadcast."""
        self._sent = perf_counter_ns()
        self.clients[0].send(self.packet)

    def received(self) -> None:
        """Count one delivery."""
        self.tally.count += 1
        self.tally.latencies.add(perf_counter_ns() - self._sent)
        self._due += 1
        if self._due == len(self.clients):
            self._due = 0
            self.trigger()


class AudienceClient(Client):
    """One recipient of the broadcasts."""

    def __init__(self, audience: Audience) -> None:
        super().__init__(audience.tally)
        self._audience = audience

    def on_packet(self, packet: bytes) -> None:
        if packet == self._audience.packet:
            self._audience.received()
        else:
            super().on_packet(packet)


class ControlClient(Client):
    """A client that asks the server to collect its garbage and waits until it is done."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally)
        self._collected: asyncio.Future[None] | None = None

    async def collect(self) -> None:
        """Have the server collect twice: the first pass may leave what only its finalisers free."""
        for _ in range(2):
            self._collected = asyncio.get_running_loop().create_future()
            self.send(wire.COLLECT)
            await self._collected

    def on_packet(self, packet: bytes) -> None:
        if packet == wire.COLLECTED and self._collected is not None:
            self._collected.set_result(None)
        else:
            super().on_packet(packet)


async def connect(port: int, client: Client) -> None:
    """Connect a client by WebSocket and join the main namespace."""
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    await picows.ws_connect(lambda: client, url, read_buffer_init_size=1024)
    await client.ready


async def connect_all(port: int, clients: Iterable[Client]) -> None:
    """Connect many clients, a bounded number at once."""
    waiting = iter(clients)

    async def worker() -> None:
        for client in waiting:
            await connect(port, client)

    await gather(worker() for _ in range(_CONNECTING_AT_ONCE))


async def gather(workers: Iterable[Coroutine[None, None, None]]) -> None:
    """Run workers side by side; the first failure ends them all and is raised."""
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
