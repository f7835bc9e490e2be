"""The load of a soak: everything that clients do, side by side, at bounded rates, for as long as it shall last."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bench.load import wire
from bench.load.client import Client, connect, connect_all, gather
from bench.load.meter import Tally
from bench.load.polling import PollingClient

DESCRIPTION = (
    "200 WebSocket clients with ten events a second each (echoes of 64 B, 1 KB and 1 KB binary, acknowledgements, "
    "events to rooms, joins and leaves), 10 polling clients with ten echoes a second, two broadcasts of 1 KB a second, "
    "four visitors that come and go all the time, half of them without a word, three readers that leave 8 MB unread "
    "for five seconds, again and again between the readings"
)

_TALKERS = 200
_POLLERS = 10
_PAUSE = 0.1
_BROADCAST_EVERY = 0.5
_VISITORS = 4
_SLOW_READERS = 3
_SLOW_FOR = 5.0
_SLOW_ECHOES = 128
_SMALL_BUFFER, _LARGE_BUFFER = 16_384, 4_000_000  # of the kernel: what does not fit stays with the server
_ROOMS = 100
_OBJECTS = wire.frame(wire.TEXT, b'421["objects"]')


class Guest(Client):
    """A client that takes whatever comes, and counts it."""

    __slots__ = ()

    def on_packet(self, opcode: int, packet: bytes) -> None:
        if opcode == wire.BINARY or (packet.startswith(b"4") and not packet.startswith(wire.CONNECTED)):
            self.tally.count += 1
        else:
            super().on_packet(opcode, packet)


class Inspector(Guest):
    """The client that asks the server how many objects it holds."""

    __slots__ = ("_told",)

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally)
        self._told: asyncio.Future[int] | None = None

    async def objects(self) -> int:
        """Return how many objects the server holds after a full collection."""
        self._told = asyncio.get_running_loop().create_future()
        self.transport.write(_OBJECTS)
        async with asyncio.timeout(10):
            return await self._told

    def on_packet(self, opcode: int, packet: bytes) -> None:
        if self._told is not None and packet.startswith(b"431["):
            self._told.set_result(int(packet[4:-1]))
            self._told = None
        else:
            super().on_packet(opcode, packet)


class Mixed:
    """All clients of a soak of the server at ``port``."""

    def __init__(self, port: int) -> None:
        self.tally = Tally()
        self.inspector = Inspector(self.tally)
        self._port = port
        self._talkers = [Guest(self.tally) for _ in range(_TALKERS)]
        self._pollers = [PollingClient(self.tally, port, wire.echo_packet(64)) for _ in range(_POLLERS)]
        self._echoes = [wire.echo(64, False), wire.echo(1024, False), wire.echo(1024, True), wire.ack(64, False)]
        self._large = wire.echo(65_536, False).request
        self._to_all = wire.broadcast(1024).request
        self._chance = random.Random(4)  # the same visits in every run
        self._may_leave_unread = asyncio.Event()
        self._may_leave_unread.set()
        self._unread = 0

    async def connect(self) -> None:
        """Connect the clients that stay."""
        await connect_all(self._port, [self.inspector, *self._talkers])
        for poller in self._pollers:
            await poller.open()

    async def run(self) -> None:
        """Let all clients do what they do until the run is over; raises ``LoadError`` if the server fails one."""
        workers = [self._talk(talker) for talker in self._talkers]
        workers += [self._repeat(poller.echo, _PAUSE) for poller in self._pollers]
        workers += [self._repeat(self._broadcast, _BROADCAST_EVERY)]
        workers += [self._repeat(self._visit) for _ in range(_VISITORS)]
        workers += [self._repeat(self._read_slowly) for _ in range(_SLOW_READERS)]
        await gather(workers)

    @asynccontextmanager
    async def nothing_unread(self) -> AsyncIterator[None]:
        """Keep the slow readers from leaving anything unread, so that the server holds nothing that is on its way."""
        self._may_leave_unread.clear()
        while self._unread:
            await asyncio.sleep(_PAUSE)
            self.tally.check()
        try:
            yield
        finally:
            self._may_leave_unread.set()

    async def _talk(self, talker: Guest) -> None:
        """Echo half of the time; else join two rooms, or leave them again, or send something to a room."""
        await asyncio.sleep(self._chance.uniform(0, _PAUSE))
        joined: list[str] = []
        while not self.tally.stopping:
            names = [f"room {self._chance.randrange(_ROOMS)}" for _ in range(2)]
            asked = self._chance.random()
            if asked < 0.5:
                request = self._chance.choice(self._echoes).request
            elif asked < 0.6:
                request = wire.frame(wire.TEXT, f'42["room","{names[0]}","hello"]'.encode())
            elif joined:
                request, joined = wire.membership("leave", joined).request, []
            else:
                request, joined = wire.membership("join", names).request, names
            talker.transport.write(request)
            await asyncio.sleep(_PAUSE)
            self.tally.check()

    async def _broadcast(self) -> None:
        self._talkers[0].transport.write(self._to_all)

    async def _repeat(self, action: Callable[[], Awaitable[None]], pause: float = 0.0) -> None:
        while not self.tally.stopping:
            await action()
            await asyncio.sleep(pause)

    async def _visit(self) -> None:
        """Connect, join, echo, and end."""
        guest = Guest(self.tally)
        await connect(self._port, guest)
        guest.transport.write(wire.membership("join", ["visitors"]).request + self._echoes[0].request)
        await asyncio.sleep(_PAUSE)
        if self._chance.random() < 0.5:
            await guest.leave()
        else:
            guest.reset()

    async def _read_slowly(self) -> None:
        """Ask for more than the kernel keeps, leave it unread for a while, then read it or vanish."""
        await self._may_leave_unread.wait()
        self._unread += 1
        try:
            await self._leave_unread()
        finally:
            self._unread -= 1

    async def _leave_unread(self) -> None:
        guest = Guest(self.tally)
        await connect(self._port, guest)
        connection = guest.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        guest.transport.pause_reading()
        guest.transport.write(self._large * _SLOW_ECHOES)
        await asyncio.sleep(_SLOW_FOR)
        if self._chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LARGE_BUFFER)
            guest.transport.resume_reading()
            await guest.leave()
        else:
            guest.reset()
