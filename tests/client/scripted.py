"""Servers that say to a client what a test tells them to: packets, responses or bytes, right ones or wrong ones."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.client.servers import Peer

__all__ = [
    "Closed",
    "Frames",
    "Request",
    "Talk",
    "accepting",
    "handshake",
    "listening",
    "read_request",
    "response",
    "scripted",
]

SEPARATOR = "\x1e"
TEXT, BINARY, CLOSE = 1, 2, 8


class Closed(Exception):
    """The client has closed its WebSocket, or its session."""


class Request(NamedTuple):
    """Hold a request of the client."""

    method: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


def handshake(**fields: Any) -> str:
    """Give the first packet of a session."""
    usual = {"sid": "the-sid", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}
    return "0" + json.dumps({**usual, **fields})


def response(body: str | bytes = "", status: str = "200 OK", *headers: str) -> bytes:
    """Write a response."""
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read a request."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, target, _ = first.split(" ")
    query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    return Request(method, query, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def accepting(request: Request, *headers: str) -> bytes:
    """Write the answer that opens a WebSocket."""
    key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = b64encode(sha1(key.encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", *headers, "", ""]).encode()


class Frames:
    """Be the server's end of a WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Write bytes that may be no frame at all."""
        self._writer.write(data)

    def send(self, data: str | bytes) -> None:
        """Send a message."""
        content = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
        size = len(content)
        length = (
            bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65536 else b"\x7f" + size.to_bytes(8)
        )
        self.write(bytes([0x80 | (TEXT if isinstance(data, str) else BINARY)]) + length + content)

    async def receive(self) -> str | bytes:
        """Give the next message."""
        while True:
            kind, length = await self._reader.readexactly(2)
            size = length & 127
            if size >= 126:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
            mask = await self._reader.readexactly(4)
            masked = await self._reader.readexactly(size)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))
            if kind & 15 == CLOSE:
                raise Closed(data)
            if kind & 15 in (TEXT, BINARY):
                return data.decode() if kind & 15 == TEXT else data


class Talk:
    """Be the server's end of one session, over polling or a WebSocket."""

    def __init__(self, websocket: Frames | None) -> None:
        self.websocket = websocket
        self.posts: list[bytes] = []
        self.gets = 0
        self.probes: asyncio.Queue[Frames] = asyncio.Queue()
        self.deaf = False
        """Whether POSTs are left without an answer."""
        self._came: asyncio.Queue[str] = asyncio.Queue()
        self._fetched: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, *packets: str | bytes) -> None:
        """Send packets of Engine.IO as they are: each in a frame, or all of them as one payload."""
        if self.websocket is None:
            texts = [packet if isinstance(packet, str) else "b" + b64encode(packet).decode() for packet in packets]
            self.respond(response(SEPARATOR.join(texts)))
        else:
            for packet in packets:
                self.websocket.send(packet)

    def respond(self, answer: bytes | None) -> None:
        """Answer a GET; None cuts its connection."""
        self._fetched.put_nowait(answer)

    async def receive(self) -> str | bytes:
        """Give the next packet from the client."""
        if self.websocket is not None:
            return await self.websocket.receive()
        packet = await self._came.get()
        if packet == "1":
            raise Closed
        return packet

    async def join(self, **fields: Any) -> None:
        """Answer to a client that joins the main namespace."""
        self.send(handshake(**fields))
        assert await self.receive() == "40"
        self.send('40{"sid":"the-id"}')

    async def serve(self, request: Request) -> bytes | None:
        """Answer a request of polling."""
        if request.method == "GET":
            self.gets += 1
            return await self._fetched.get()
        self.posts.append(request.body)
        for packet in request.body.decode("utf-8", "surrogatepass").split(SEPARATOR):
            self._came.put_nowait(packet)
            if packet == "1":
                self.respond(response("6"))
        while self.deaf:
            await asyncio.sleep(0.01)
        return response("ok")


Script = Callable[[Talk], Awaitable[None]]


@asynccontextmanager
async def scripted(script: Script, *, refusal: bytes = b"") -> AsyncIterator[Peer]:
    """Run a server that plays ``script`` with each session; what the script raises fails the test.

    ``refusal`` answers requests for WebSockets.
    """
    polling: list[Talk] = []
    players: list[asyncio.Task[None]] = []
    failures: list[BaseException] = []

    async def play(talk: Talk) -> None:
        try:
            with suppress(Closed, OSError, asyncio.IncompleteReadError):
                await script(talk)
        except Exception as error:
            failures.append(error)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            if request.query["transport"] == "websocket" and refusal:
                writer.write(refusal)
                return
            if request.query["transport"] == "websocket":
                writer.write(accepting(request))
                frames = Frames(reader, writer)
                if "sid" in request.query:
                    polling[-1].probes.put_nowait(frames)
                    await asyncio.sleep(10)
                await play(Talk(frames))
                return
            if "sid" not in request.query:
                polling.append(Talk(None))
                players.append(asyncio.create_task(play(polling[-1])))
            answer = await polling[-1].serve(request)
            if answer is None:
                return
            writer.write(answer)

    try:
        async with listening(serve) as peer:
            yield peer
    finally:
        for player in players:
            player.cancel()
        await asyncio.gather(*players, return_exceptions=True)
    assert not failures, failures


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Peer]:
    """Run a server that is nothing but bytes, below TLS if there is a context."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await serve(reader, writer)
                await writer.drain()
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The system takes no more than this for a server that does not read.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        tasks.add(asyncio.create_task(run(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    try:
        yield Peer("scripted", "scripted", 4, server.sockets[0].getsockname()[1], scheme)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
