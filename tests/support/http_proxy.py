"""An HTTP proxy as companies have them: opens tunnels (CONNECT), forwards plain requests, may ask for a password.

A request that is forwarded is the last one on its connection: both sides are told so.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tests.support.proxy import LoopThread

__all__ = ["HttpProxy", "Passage", "http_proxying"]

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]

CHUNK = 65536
HOP_BY_HOP = frozenset({"connection", "proxy-connection", "proxy-authorization", "keep-alive"})


@dataclass
class Passage:
    """Record one request to the proxy: ``target`` is ``host:port`` of a tunnel, else a URL; ``status`` its answer.

    ``sent`` and ``received`` are the bytes that passed after it, as the client sees them: of a request that is
    forwarded its body, and the answer without its first line.
    """

    method: str
    target: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0
    received: int = 0


class HttpProxy(LoopThread):
    """Listen on a port of 127.0.0.1; to be used from any thread.

    ``url`` is what a client is to be given, with the ``credentials`` (user, password) if there are any; ``bare_url`` is
    without them.
    """

    def __init__(self, credentials: tuple[str, str] | None = None) -> None:
        super().__init__("http proxy")
        self._expected = None if credentials is None else _basic(*credentials)
        self._passages: list[Passage] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server = self._call(asyncio.start_server, self._take, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.bare_url = f"http://127.0.0.1:{self.port}"
        user = "" if credentials is None else ":".join(quote(part, safe="") for part in credentials) + "@"
        self.url = f"http://{user}127.0.0.1:{self.port}"

    @property
    def passages(self) -> list[Passage]:
        """Give what was asked of the proxy so far, in order."""
        return list(self._passages)

    def cut(self) -> None:
        """End every connection that goes through the proxy."""
        self._call(self._cut)

    def close(self) -> None:
        """End every connection and the proxy's thread."""
        self._call(self._server.close)
        self._call(self._cut)
        self._stop()

    # In the proxy's thread

    async def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.sleep(0)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            # Until the client goes: after 407 it may show its password on the same connection.
            while await self._answer(reader, writer):
                pass

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether another may follow."""
        passage = _parse(await reader.readuntil(b"\r\n\r\n"))
        self._passages.append(passage)
        if self._expected is not None and passage.headers.get("proxy-authorization") != self._expected:
            await reader.readexactly(int(passage.headers.get("content-length", 0)))
            await _refuse(
                writer, passage, 407, "Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="tests"'
            )
            return True
        try:
            far_reader, far_writer = await asyncio.open_connection(*_address(passage))
        except OSError:
            await _refuse(writer, passage, 502, "Bad Gateway")
            return False
        async with _closing(far_writer):
            await _begin(passage, writer, far_writer)
            await _carry(passage, (reader, writer), (far_reader, far_writer))
        return False


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection at the end of the block, at once where that is cancelled; what breaks it ends the block."""
    try:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            yield
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _parse(head: bytes) -> Passage:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    pairs = [line.split(":", 1) for line in lines]
    return Passage(method, target, {name.strip().lower(): value.strip() for name, value in pairs})


def _address(passage: Passage) -> tuple[str, int]:
    parts = urlsplit(f"//{passage.target}" if passage.method == "CONNECT" else passage.target)
    return parts.hostname or "", parts.port or 80


async def _refuse(writer: asyncio.StreamWriter, passage: Passage, status: int, phrase: str, *headers: str) -> None:
    passage.status = status
    lines = [f"HTTP/1.1 {status} {phrase}", *headers, "Content-Length: 0", "", ""]
    writer.write("\r\n".join(lines).encode())
    await writer.drain()


async def _begin(passage: Passage, writer: asyncio.StreamWriter, far_writer: asyncio.StreamWriter) -> None:
    """Tell the client that its tunnel is open, or hand the head of its request on."""
    if passage.method == "CONNECT":
        passage.status = 200
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return
    parts = urlsplit(passage.target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {name: value for name, value in passage.headers.items() if name not in HOP_BY_HOP}
    headers["connection"] = "upgrade" if "upgrade" in headers else "close"
    lines = [f"{passage.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    far_writer.write("\r\n".join(lines).encode("latin-1"))


async def _carry(passage: Passage, near: Ends, far: Ends) -> None:
    """Copy what comes from either side to the other until one of them has no more."""

    async def send() -> None:
        while data := await near[0].read(CHUNK):
            passage.sent += len(data)
            far[1].write(data)
            await far[1].drain()

    async def receive() -> None:
        if passage.method != "CONNECT":
            line = await far[0].readline()
            passage.status = int(line.split()[1]) if line else 502
            near[1].write(line)
        while data := await far[0].read(CHUNK):
            passage.received += len(data)
            near[1].write(data)
            await near[1].drain()

    ways = [asyncio.create_task(send()), asyncio.create_task(receive())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


@contextmanager
def http_proxying(credentials: tuple[str, str] | None = None) -> Iterator[HttpProxy]:
    """Run a proxy, one that asks for ``credentials`` if there are any, until the block ends."""
    proxy = HttpProxy(credentials)
    try:
        yield proxy
    finally:
        proxy.close()
