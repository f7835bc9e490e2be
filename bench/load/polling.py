"""HTTP long-polling clients of the load, each with two kept connections as a browser has: one polls, one posts."""

import asyncio
from time import perf_counter_ns
from typing import cast

import httptools

from bench.load import wire
from bench.load.meter import LoadError, Tally

_SEPARATOR = b"\x1e"


class Channel(asyncio.Protocol):
    """One kept HTTP/1.1 connection with one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body (called by the parser)."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Settle the request (called by the parser)."""
        answer, body, status = self._answer, b"".join(self._body), self._parser.get_status_code()
        self._body.clear()
        if answer is None or answer.done():
            return
        if status == 200:
            answer.set_result(body)
        else:
            answer.set_exception(LoadError(f"HTTP {status}: {body[:80]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LoadError("the server closed a kept HTTP connection"))

    def exchange(self, request: bytes) -> asyncio.Future[bytes]:
        """Send a request and return what will hold the body of its answer, which has to be a 200."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()


class PollingClient:
    """One polling session that echoes: the answer comes by the poll that was waiting for it."""

    def __init__(self, tally: Tally, port: int, packet: bytes) -> None:
        self._tally = tally
        self._port = port
        self._packet = packet
        self._head = f"Host: 127.0.0.1:{port}\r\nAccept: */*\r\n".encode()
        self._target = b"/socket.io/?EIO=4&transport=polling"
        self._poller: Channel
        self._poster: Channel
        self._exchange: tuple[bytes, bytes]

    async def open(self) -> None:
        """Shake hands and join the main namespace."""
        loop = asyncio.get_running_loop()
        _, self._poller = await loop.create_connection(Channel, "127.0.0.1", self._port)
        _, self._poster = await loop.create_connection(Channel, "127.0.0.1", self._port)
        self._tally.connections.add(self)
        opened = await self._poller.exchange(self._get())
        self._target += b"&sid=" + opened.partition(b'"sid":"')[2].partition(b'"')[0]
        await self._poster.exchange(self._post(wire.CONNECT))
        connected = False
        while not connected:  # some servers ping at once
            packets = await self._received(self._poller.exchange(self._get()))
            connected = any(packet.startswith(wire.CONNECTED) for packet in packets)
            if not connected and packets != [wire.PING]:
                raise LoadError(f"unexpected packets {packets[:3]!r}")
        self._exchange = self._get(), self._post(self._packet)

    async def run(self) -> None:
        """Echo until the run is over."""
        while not self._tally.stopping:
            await self.echo()
        self._poller.close()
        self._poster.close()

    def reset(self) -> None:
        """End both connections at once."""
        self._tally.connections.discard(self)
        self._poller.abort()
        self._poster.abort()

    async def echo(self) -> None:
        """Send one event and wait until it is back."""
        get, post = self._exchange
        sent = perf_counter_ns()
        poll = self._poller.exchange(get)
        await self._poster.exchange(post)
        while self._packet not in await self._received(poll):
            poll = self._poller.exchange(get)
        self._tally.count += 1
        self._tally.latencies.add(perf_counter_ns() - sent)

    async def _received(self, poll: asyncio.Future[bytes]) -> list[bytes]:
        """Return the packets that a poll brings, once a ping among them is answered."""
        packets = (await poll).split(_SEPARATOR)
        if wire.PING in packets:
            await self._poster.exchange(self._post(wire.PONG))
        return packets

    def _get(self) -> bytes:
        return b"GET %b HTTP/1.1\r\n%b\r\n" % (self._target, self._head)

    def _post(self, payload: bytes) -> bytes:
        entity = b"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b" % (len(payload), payload)
        return b"POST %b HTTP/1.1\r\n%b%b" % (self._target, self._head, entity)
