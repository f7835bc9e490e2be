"""What the polling transport makes of responses, whatever parts they come in, and what its requests say."""

from __future__ import annotations

import asyncio
import gzip
import random
import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from socketeer import TransportError, connect
from socketeer.client.http import HttpConnection
from socketeer.client.network import HttpResponse
from tests.client.requesting import UNTIL_END, Site, ask, chunked, client, in_each_loop, pieces
from tests.client.scripted import Frames, accepting, handshake, listening, read_request, response
from tests.client.servers import Peer, eventually, in_loop

MOST_HEAD = 65_536


class Pipe(asyncio.Transport):
    """Be a connection that takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


async def read(*parts: bytes, end: bool = False, most: int = 1000) -> tuple[HttpResponse, bool]:
    """Give the response that comes in these parts, and whether its connection can be used again."""
    connection = HttpConnection(lambda _: None)
    connection.connection_made(Pipe())
    request = asyncio.create_task(connection.request(b"GET", b"", most))
    await asyncio.sleep(0)
    for part in parts:
        connection.data_received(part)
    if end:
        connection.eof_received()
        connection.connection_lost(None)
    return await request, connection.reusable


def encoded(body: bytes, coding: str = "gzip") -> bytes:
    return response(body, "200 OK", f"Content-Encoding: {coding}")


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


# Bodies

WITH_END: dict[str, tuple[bytes, bytes]] = {
    "a length": (response("hello"), b"hello"),
    "nothing": (response(""), b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "a chunk": (chunked(b"hello", 5), b"hello"),
    "chunks of one byte": (chunked(b"hello", 1), b"hello"),
    "no chunk": (chunked(b"", 1), b""),
    "extensions and trailers": (
        chunked(b"", 1)[:-5] + b'2;a=b;c="d;e"\r\nhe\r\n00003\r\nllo\r\n0;f\r\nX: y\r\nContent-Encoding: gzip\r\n\r\n',
        b"hello",
    ),
    "announced": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Encoding: br\r\n\r\n" + response("hello"),
        b"hello",
    ),
    "announced with a body": (b"HTTP/1.1 150 ?\r\nContent-Length: 2\r\n\r\nab" + response("hello"), b"hello"),
    "gzip": (encoded(gzip.compress(b"hello")), b"hello"),
    "no phrase, odd headers": (b"HTTP/1.1 200\r\nA:\r\nB:\xe9\xff\r\ncontent-LENGTH: 05 \r\n\r\nhello", b"hello"),
}


@pytest.mark.parametrize("name", WITH_END)
@in_loop
async def test_bodies_in_any_parts(name: str) -> None:
    data, body = WITH_END[name]
    for at in range(len(data)):
        got, reusable = await read(data[:at], data[at:])
        assert (got.body, reusable) == (body, True), at
        with pytest.raises(TransportError, match="closed before the response was complete"):
            await read(data[:at], end=True)
    got, reusable = await read(*pieces(data, 1))
    assert (got.body, reusable) == (body, True)


@pytest.mark.parametrize("name", UNTIL_END)
@in_loop
async def test_bodies_until_the_end_of_the_connection(name: str) -> None:
    head = UNTIL_END[name]
    for body in (b"hello", b""):
        data = head + body
        for at in range(len(data)):
            got, reusable = await read(data[:at], data[at:], end=True)
            assert (got.status, got.body, reusable) == (200, body, False)
    for at in range(len(head)):
        with pytest.raises(TransportError, match="closed before the response was complete"):
            await read(data[:at], end=True)


@in_loop
async def test_the_end_of_an_idle_connection_is_known_at_once() -> None:
    connection = HttpConnection(lambda _: None)
    connection.connection_made(Pipe())
    request = asyncio.create_task(connection.request(b"GET", b"", 1))
    await asyncio.sleep(0)
    connection.data_received(response("1"))
    await request
    assert connection.reusable
    connection.eof_received()
    assert not connection.reusable, "somebody may take it before it is closed"


@in_each_loop
async def test_bodies_over_sockets() -> None:
    body = random.Random(1).randbytes(300_000)
    answers = [
        (response(body), 65_536),
        (chunked(body, 10_000), 5_000),
        (chunked(body[:2000], 1), 64),
        *((head + body, 100_000) for head in UNTIL_END.values()),
        (encoded(gzip.compress(body)), 10_000),
    ]
    left = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await read_request(reader)).method == "GET":
            answer, size = next(left)
            for piece in pieces(answer, size):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if answer.startswith(tuple(UNTIL_END.values())):
                return

    async with listening(serve) as peer, client() as network:
        for answer, size in answers:
            assert await ask(network, peer) == (body[:2000] if size == 64 else body), answer[:100]


@in_each_loop
async def test_the_end_of_a_response_does_not_wait_for_the_request() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.write_eof()
        await left.wait()

    for head in UNTIL_END.values():
        answer, left = head + b"go away", asyncio.Event()
        async with listening(serve) as peer, client() as network:
            assert await ask(network, peer, b"x" * 8_000_000) == b"go away"
            answer = response("go away")[:-1]
            with pytest.raises(TransportError, match="closed before the response was complete"):
                await ask(network, peer, b"x" * 8_000_000)
            left.set()


# Encodings

TEXT = b"to and fro " * 50


@in_loop
async def test_encodings() -> None:
    for coding, body in {
        "gzip": gzip.compress(TEXT),
        "X-GZIP \t": gzip.compress(TEXT),
        "deflate": zlib.compress(TEXT),
        "Deflate": deflated(TEXT),
        "identity": TEXT,
    }.items():
        got, reusable = await read(encoded(body, coding))
        assert (got.body, reusable) == (TEXT, True), coding
        got, _ = await read(encoded(b"", coding))
        assert got.body == b"", coding
    for head in UNTIL_END.values():
        data = head[:-2] + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(TEXT)
        got, _ = await read(data, end=True)
        assert got.body == TEXT
        with pytest.raises(TransportError, match="cannot be decompressed"):
            await read(data[:-1], end=True)


@in_loop
async def test_encodings_that_are_wrong() -> None:
    packed = gzip.compress(TEXT)
    for body in (
        *(packed[:size] for size in range(1, len(packed))),
        packed[:-8] + b"\0" + packed[-7:],  # another checksum
        packed + packed,  # whose second half would be lost
        packed + b"more",
        *(zlib.compress(TEXT)[:size] for size in (1, 2, 10, -1)),
        *(deflated(TEXT)[:size] for size in (1, 10, -1)),
        TEXT,
    ):
        with pytest.raises(TransportError, match="cannot be decompressed"):
            await read(encoded(body))
    for coding in ("br", "gzip, gzip", "x" * 500):
        with pytest.raises(TransportError, match=f"not asked for: {coding[:100]}$"):
            await read(encoded(packed, coding))
    for transfer in ("gzip", "gzip, chunked", "chunked, gzip"):
        with pytest.raises(TransportError, match="transfer encoding that was not asked for"):
            await read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n0\r\n\r\n" % transfer.encode(), end=True)


# Limits


@in_each_loop
async def test_the_largest_body() -> None:
    limit = 100_000
    shapes: dict[str, Callable[[bytes], bytes]] = {
        "a length": response,
        "chunks": lambda body: chunked(body, 7_000),
        "until the end": lambda body: UNTIL_END["1.0"] + body,
        "gzip": lambda body: encoded(gzip.compress(body)),
        "zlib": lambda body: encoded(zlib.compress(body), "deflate"),
        "deflate": lambda body: encoded(deflated(body), "deflate"),
        "a bomb": lambda body: encoded(gzip.compress(body + bytes(50 * (len(body) - limit) * limit))),
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(answer)
            if answer.startswith(UNTIL_END["1.0"]):
                return

    async with listening(serve) as peer, client(max_http_buffer_size=limit) as network:
        for name, shape in shapes.items():
            answer = shape(b"x" * limit)
            assert await ask(network, peer) == b"x" * limit, name
            answer = shape(b"x" * (limit + 1))
            with pytest.raises(TransportError, match="more than max_http_buffer_size"):
                await ask(network, peer)


def head_of(size: int) -> bytes:
    """Give a head of so many bytes, for a body of one."""
    begin, end = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: ", b"\r\n\r\n"
    return begin + b"x" * (size - len(begin) - len(end)) + end


@in_loop
async def test_the_largest_head() -> None:
    announced = b"HTTP/1.1 100 Continue\r\n\r\n"
    for data in (head_of(MOST_HEAD), announced * 1000 + head_of(MOST_HEAD - 1000 * len(announced))):
        for size in (MOST_HEAD + 1, MOST_HEAD, MOST_HEAD - 1, 40_000, 1000):
            got, reusable = await read(*pieces(data + b"1", size))
            assert (got.body, reusable) == (b"1", True), size
            with pytest.raises(TransportError, match="headers of more than 65,536 bytes"):
                await read(*pieces(data.replace(b"X: ", b"X: x") + b"1", size))
    got, _ = await read(head_of(MOST_HEAD - 4).replace(b": 1", b": 70000") + b"1" * 70_000, most=70_000)
    assert got.body == b"1" * 70_000


@in_loop
async def test_what_comes_without_an_end_and_is_no_body() -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0"
    for begin, more in (
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (start + b"\r\n", b"X: y\r\n"),
        (start + b"\r\nX:", b"y"),
        (start + b";a=", b"b"),
    ):
        with pytest.raises(TransportError, match="headers of more than 65,536 bytes"):
            await read(begin, *[more * (2000 // len(more))] * 33)
        with pytest.raises(TransportError, match="closed before"):
            await read(begin, *[more * (2000 // len(more))] * 32, end=True)


# No responses


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: -5",
        b"Content-Length: 5, 5",
        b"Content-Length: 99999999999999999999",
        b"Content-Length:",
        b"X: a\r\n b: c",
        b"X : a",
        b"X: a\0b",
        b"X: a\rb",
        b": a",
        b"no header",
    ],
)
@in_each_loop
async def test_heads_that_no_server_may_send(head: bytes) -> None:
    site = Site(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nhello")
    async with listening(site.serve) as peer, client() as network:
        with pytest.raises(TransportError, match="no HTTP response"):
            await ask(network, peer)
        assert await ask(network, peer) == b"2"


# What requests say


async def heads(*requests: tuple[bytes | None, dict[str, str]]) -> tuple[int, list[str]]:
    """Give the heads of requests as a server gets them, and its port."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
            length = re.search(r"\r\nContent-Length: (\d+)\r\n", seen[-1])
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(response(""))

    async with listening(serve) as peer, client() as network:
        for body, headers in requests:
            await ask(network, peer, body, headers)
    return peer.port, seen


@in_loop
async def test_the_heads_of_requests() -> None:
    port, (get, empty, post) = await heads((None, {}), (b"", {}), (b"\0" * 1000, {"X-É": "ü", "Accept-": "x"}))
    host = f"Host: 127.0.0.1:{port}\r\n"
    rest = "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: socketeer\r\n"
    assert get == f"GET / HTTP/1.1\r\n{host}{rest}\r\n"
    assert empty == f"POST / HTTP/1.1\r\n{host}{rest}Content-Length: 0\r\n\r\n"
    assert post == f"POST / HTTP/1.1\r\n{host}X-É: ü\r\nAccept-: x\r\n{rest}Content-Length: 1000\r\n\r\n"


@in_loop
async def test_the_users_headers_win() -> None:
    for change in (str.lower, str.upper, str.title):
        own = {change(name): "mine" for name in ("Host", "Accept", "Accept-Encoding", "User-Agent")}
        _, (head,) = await heads((b"", own))
        lines = "".join(f"{name}: mine\r\n" for name in own)
        assert head == f"POST / HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n"
    port, (head,) = await heads((None, {"user-AGENT": "mine"}))
    lines = f"Host: 127.0.0.1:{port}\r\nuser-AGENT: mine\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    assert head == f"GET / HTTP/1.1\r\n{lines}\r\n"


@in_loop
async def test_a_small_request_leaves_in_one_piece() -> None:
    for size, count in ((0, 1), (1, 1), (65_536, 1), (65_537, 2)):
        connection, pipe = HttpConnection(lambda _: None), Pipe()
        connection.connection_made(pipe)
        request = asyncio.create_task(connection.request(b"head", b"x" * size, 1))
        await asyncio.sleep(0)
        connection.data_received(response("1"))
        await request
        assert (b"".join(pipe.written), len(pipe.written)) == (b"head" + b"x" * size, count)


@asynccontextmanager
async def first_requests(*answers: bytes) -> AsyncIterator[tuple[Peer, list[str]]]:
    """Answer the first requests, whatever connection they come over, and note their heads; the next one waits."""
    left = iter(answers)
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
            answer = next(left, None)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)

    async with listening(serve) as peer:
        yield peer, seen


@in_loop
async def test_names_that_are_not_ascii() -> None:
    async with first_requests(response("", "404 Not Found")) as (peer, seen):
        with pytest.raises(TransportError, match="404"):
            await connect(
                "http://BÜCHER.example:8080/näme",
                proxy=peer.url.replace("//", "//m%C3%A9:p%40ss@"),
                transports=["polling"],
                query={"ü": "a b\r\nX: y/?&#é"},
                timestamp_requests=False,
                reconnection=False,
            )
    target = "http://xn--bcher-kva.example:8080/socket.io/?%C3%BC=a+b%0D%0AX%3A+y%2F%3F%26%23%C3%A9"
    assert seen[0].startswith(f"GET {target}&EIO=4&transport=polling HTTP/1.1\r\nHost: xn--bcher-kva.example:8080\r\n")
    assert "Proxy-Authorization: Basic bcOpOnBAc3M=\r\n" in seen[0]


@in_loop
async def test_headers_that_would_break_a_request() -> None:
    async with first_requests() as (peer, seen):
        for headers in (
            {"Content-Length": "5"},
            {"transfer-encoding": "chunked"},
            {"X": "a\r\nY: b"},
            {"X\r\nY": "a"},
            {"X:": "a"},
            {"X": "a\0"},
        ):
            with pytest.raises(ValueError, match="header"):
                await connect(peer.url, transports=["polling"], extra_headers=headers, reconnection=False)
            with pytest.raises(ValueError, match="header"):
                await connect(peer.url, transports=["websocket"], extra_headers=headers, reconnection=False)
    assert seen == []


@in_loop
async def test_what_posts_say_of_their_content() -> None:
    async with first_requests(response(handshake())) as (peer, seen):
        socket = connect(peer.url, transports=["polling"], extra_headers={"content-TYPE": "x/y"}, reconnection=False)
        await eventually(lambda: len(seen) == 3)
        socket.disconnect()
    (post,) = (head.lower() for head in seen if head.startswith("POST"))
    assert re.findall("content-type: (.*)\r\n", post) == ["text/plain; charset=utf-8"]


@in_loop
async def test_cookies_come_back_byte_for_byte() -> None:
    cookie = "Set-Cookie: a=é€; Path=/"
    async with first_requests(response(handshake(), "200 OK", cookie)) as (peer, seen):
        socket = connect(peer.url, transports=["polling"], reconnection=False)
        await eventually(lambda: len(seen) == 3)
        socket.disconnect()
    assert all("\r\nCookie: a=é€\r\n" in head for head in seen[1:])


@in_loop
async def test_cookies_of_websockets_come_back_too() -> None:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        seen.append(request.headers.get("cookie", "").encode("latin-1").decode())
        writer.write(accepting(request, "Set-Cookie: a=é€"))
        Frames(reader, writer).send(handshake())
        await (reader.read() if seen[1:] else reader.read(1))

    async with listening(serve) as peer:
        socket = peer.connect("", "websocket", close_timeout=0.1)
        await eventually(lambda: len(seen) == 2)
        socket.disconnect()
    assert seen == ["", "a=é€"]
