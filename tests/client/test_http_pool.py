"""When the polling transport uses a connection again, and how it leaves those that it keeps."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest

from socketeer import TransportError
from socketeer.client import http_pool
from socketeer.client.real_network import SocketNetwork
from socketeer.options.client import ManagerOptions
from tests.client.requesting import UNTIL_END, Site, ask, chunked, client, in_each_loop
from tests.client.scripted import listening, read_request, response
from tests.client.servers import Peer, eventually
from tests.client.stepping import LOOPS, connections_to, watching
from tests.support.certificate import make_certificate

# When a connection is used again

LAST: dict[str, bytes] = {
    "two responses": response("1") * 2,
    "a byte more": response("1") + b"H",
    "a part of another head": response("1") + b"HTTP/1.1 200 OK\r\nContent-Le",
    "another head": response("1") + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
    "an announcement": response("1") + b"HTTP/1.1 100 Continue\r\n\r\n",
    "garbage": response("1") + b"garbage",
    "chunks and more": chunked(b"1", 1) + b"1\r\n2\r\n0\r\n\r\n",
    "a body of 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n1",
    "close": response("1", "200 OK", "Connection: close"),
    "close, in a list": response("1", "200 OK", "Connection: x, CLOSE"),
    "1.0": response("1").replace(b"/1.1", b"/1.0"),
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "101 and more": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + response("9"),
    "101 without an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 1\r\n\r\n1",
}


@pytest.mark.parametrize("name", LAST)
@in_each_loop
async def test_the_last_response_of_a_connection(name: str) -> None:
    site = Site(LAST[name])
    async with listening(site.serve) as peer, client() as network:
        assert await ask(network, peer) == (b"" if name.startswith(("101", "a body of 204")) else b"1")
        assert [await ask(network, peer) for _ in range(2)] == [b"2", b"2"]
        await eventually(lambda: site.open == 1)


@in_each_loop
async def test_connections_are_shared() -> None:
    site = Site()
    async with listening(site.serve) as peer, client() as one:
        for body in (None, b"", b"x" * 100, b"x" * 1_000_000):
            assert await ask(one, peer, body) == b"1"
        async with client(max_http_buffer_size=5) as other:
            assert await ask(other, peer) == b"1"
            answers = await asyncio.gather(*(ask(network, peer) for network in (one, one, other)))
            assert sorted(answers) == [b"1", b"2", b"3"]
            assert await ask(other, peer) in answers
        assert (await ask(one, peer) in answers, site.open) == (True, 3)
    await eventually(lambda: site.open == 0)
    assert site.requests == 10


@in_each_loop
async def test_connections_of_another_kind_are_not_shared() -> None:
    site = Site()
    async with listening(site.serve) as peer, client() as network, client(proxy=peer.url) as behind:
        assert await ask(network, peer) == b"1"
        assert await ask(network, Peer("", "", 4, peer.port, host="localhost")) == b"2"
        assert await ask(behind, peer) == b"3"
        assert await ask(behind, Peer("", "", 4, 1, host="elsewhere.example")) == b"3"  # the proxy is the same
        async with client(proxy=peer.url.replace("//", "//me:secret@")) as named:
            assert await ask(named, peer) == b"4"
        assert await ask(network, peer) == b"1"


class Certificate:
    """Hold a certificate: as a server, and as clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self._cert, key = make_certificate(folder)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self._cert, key)

    def trust(self) -> ssl.SSLContext:
        """Make a context that trusts it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self._cert)
        return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for 127.0.0.1."""
    return Certificate(tmp_path_factory.mktemp("certificate"))


@in_each_loop
async def test_connections_over_tls(certificate: Certificate) -> None:
    site = Site()
    context = certificate.trust()
    async with listening(site.serve, tls=certificate.server) as peer, client(ssl=context) as network:
        for body in (None, b"x" * 100, b"x" * 1_000_000):
            assert await ask(network, peer, body) == b"1"
        async with client(ssl=context) as other, client(ssl=certificate.trust()) as stranger:
            assert await ask(other, peer) == b"1"
            assert await ask(stranger, peer) == b"2"
    await eventually(lambda: site.open == 0)
    for data in (UNTIL_END["1.0"] + b"all of it", response("all of it")[:-1]):

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes = data) -> None:
            await read_request(reader)
            writer.write(data)

        async with listening(serve, tls=certificate.server) as peer, client(ssl=context) as network:
            if data.endswith(b"t"):
                assert await ask(network, peer) == b"all of it"
            else:
                with pytest.raises(TransportError, match="closed before"):
                    await ask(network, peer)


@in_each_loop
async def test_connections_are_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert http_pool._KEPT == 4
    monkeypatch.setattr(http_pool, "_KEPT", 0.25)
    site = Site()
    async with listening(site.serve) as peer, client() as network:
        begin = time.monotonic()
        await asyncio.gather(ask(network, peer), ask(network, peer))
        await asyncio.sleep(0.05)
        assert await ask(network, peer) in (b"1", b"2")
        await eventually(lambda: site.open < 2)
        assert time.monotonic() - begin >= 0.25
        await eventually(lambda: site.open == 0)
        assert time.monotonic() - begin >= 0.3
        assert await ask(network, peer) == b"3"


@pytest.mark.parametrize(
    ("said", "pause", "kept"),
    [
        ("timeout=0", 0, False),
        ("timeout=1", 0, True),
        ("timeout=1, max=100", 0.85, False),
        ('max=1;Timeout = "1"', 0.85, False),
        ("timeout=2", 0.85, True),
        ("timeout=999999999999", 0.85, True),
        ("timeout=-1", 0, True),
        ("timeout", 0, True),
        ("xtimeout=0", 0, True),
    ],
)
@in_each_loop
async def test_connections_are_not_kept_for_longer_than_the_server_says(said: str, pause: float, kept: bool) -> None:
    site = Site(response("1", "200 OK", f"Keep-Alive: {said}"))
    async with listening(site.serve) as peer, client() as network:
        assert await ask(network, peer) == b"1"
        await asyncio.sleep(pause)
        assert await ask(network, peer) == (b"1" if kept else b"2")


@pytest.mark.parametrize("farewell", [b"", response("", "408 Request Timeout"), b"\n", None], ids=repr)
@in_each_loop
async def test_what_happens_to_an_idle_connection(farewell: bytes | None) -> None:
    site = Site()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if site.connections:
            await site.serve(reader, writer)
        site.connections += 1
        await read_request(reader)
        writer.write(response("1"))
        await idle.wait()
        if farewell:
            writer.write(farewell)
            assert await reader.read() == b""
        elif farewell is None:
            writer.transport.abort()

    async with listening(serve) as peer, client() as network:
        idle = asyncio.Event()
        assert await ask(network, peer) == b"1"
        idle.set()
        await eventually(lambda: not connections_to(peer.port))
        assert await ask(network, peer, b"again") == b"2"


@pytest.mark.parametrize("answered", [0, 1, 2])
@in_each_loop
async def test_no_request_is_sent_twice(answered: int) -> None:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append((await read_request(reader)).body)
            if len(requests) == answered + 1:
                return
            writer.write(response("ok"))

    async with listening(serve) as peer, client() as network:
        bodies = [b"%d" % number for number in range(answered + 2)]
        for body in bodies:
            if len(requests) == answered:
                with pytest.raises(TransportError, match="POST failed: the connection was closed before"):
                    await ask(network, peer, body)
            else:
                assert await ask(network, peer, body) == b"ok"
        assert requests == bodies


@in_each_loop
async def test_a_server_that_ends_each_connection_and_does_not_say_so() -> None:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await read_request(reader)).body)
        writer.write(response("ok"))
        writer.write_eof()  # which comes with the response, but the event loop reads it later
        await reader.read()

    async with listening(serve) as peer, client() as network:
        bodies = [b"%d" % number for number in range(5)]
        for body in bodies:
            assert await ask(network, peer, body) == b"ok"
        assert requests == bodies


@in_each_loop
async def test_a_connection_breaks_while_a_request_begins(certificate: Certificate) -> None:
    served: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        await Site().serve(reader, writer)

    for tls in (None, certificate.server):
        async with listening(serve, tls=tls) as peer, client(ssl=certificate.trust()) as network:
            for rounds in range(2, 10):  # what has been told of the end differs from round to round
                assert await ask(network, peer) == b"1"
                sock = served[-1].get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                served[-1].transport.abort()
                for _ in range(rounds):
                    await asyncio.sleep(0)
                assert await ask(network, peer, b"") == b"1", rounds


@pytest.mark.parametrize("farewell", [b"", b"H", None], ids=repr)
@pytest.mark.parametrize("request_line", ["GET /", "GET /?EIO=4&sid=1", "POST /"])
@in_each_loop
async def test_only_a_handshake_is_repeated(request_line: str, farewell: bytes | None) -> None:
    begun: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = not begun
        while True:
            await read_request(reader)
            begun.append(kept)
            if len(begun) == 2 or len(begun) > 3:
                break
            writer.write(response("ok"))
        if farewell is None:
            writer.transport.abort()
        else:
            writer.write(farewell)

    method, target = request_line.split()
    async with listening(serve) as peer, client() as network:
        assert await ask(network, peer) == b"ok"
        if method == "GET" and "sid" not in target and farewell != b"H":
            assert (await network.request(method, f"{peer.url}{target}", {}, b"")).body == b"ok"
            assert begun == [True, True, False]
            begun.append(False)  # the next one is not answered either, nor is the one that repeats it
        with pytest.raises(TransportError):
            await network.request(method, f"{peer.url}{target}", {}, b"")
        assert len(begun) in (2, 6)


@in_each_loop
async def test_a_handshake_is_not_repeated_where_the_client_gives_up() -> None:
    begun = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        while True:
            await read_request(reader)
            begun += 1
            if begun == 1:
                writer.write(response("ok"))

    async with listening(serve) as peer, client() as network:
        assert await ask(network, peer) == b"ok"
        request = asyncio.create_task(ask(network, peer))
        await eventually(lambda: begun == 2)
        network.drop()
        with pytest.raises(TransportError, match="closed before the response was complete"):
            await request
        assert (begun, connections_to(peer.port)) == (2, 0)


@in_each_loop
async def test_an_answer_before_the_request_was_sent() -> None:
    site = Site()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if site.connections:
            await site.serve(reader, writer)
        site.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response("1"))
        await over.wait()

    async with listening(serve) as peer, client() as network:
        over = asyncio.Event()
        assert await ask(network, peer, b"x" * 8_000_000) == b"1"
        assert await ask(network, peer) == b"2"
        assert connections_to(peer.port) == 1
        over.set()


# Leaving


@in_each_loop
async def test_a_request_that_is_cancelled() -> None:
    came = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            request = await read_request(reader)
            if request.method == "GET":
                writer.write(UNTIL_END["1.0"] + b"never the end")
                came.set()
                await reader.read()
            writer.write(response("1"))

    async with listening(serve) as peer, client() as network:
        for first in (False, True):
            if first:
                assert await ask(network, peer, b"") == b"1"
            request = asyncio.create_task(ask(network, peer))
            await came.wait()
            assert connections_to(peer.port) == 1
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            await asyncio.sleep(0.01)
            assert connections_to(peer.port) == 0
            came.clear()


@in_each_loop
async def test_the_last_one_to_leave_closes_the_connections(certificate: Certificate) -> None:
    site = Site()
    for tls in (None, certificate.server):
        async with listening(site.serve, tls=tls) as peer, listening(site.serve) as plain:
            first = SocketNetwork(ManagerOptions(ssl=certificate.trust()))
            second = SocketNetwork(ManagerOptions())
            await asyncio.gather(*(ask(first, peer) for _ in range(3)))
            await ask(second, plain)
            await first.release()
            assert (connections_to(peer.port), connections_to(plain.port)) == (3, 1)
            await second.release()
            assert (connections_to(peer.port), connections_to(plain.port)) == (0, 0)
            request = asyncio.create_task(ask(first, peer))
            await eventually(functools.partial(connections_to, peer.port))
            await first.release()  # which waits for the request
            await request
            assert connections_to(peer.port) == 0


@pytest.mark.parametrize("answer", [UNTIL_END["1.0"] + b"a part", response("a part")[:-1], b""], ids=repr)
@in_each_loop
async def test_connections_that_are_dropped(answer: bytes) -> None:
    begun = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        await read_request(reader)
        writer.write(answer)
        begun += 1
        await reader.read()

    async with listening(serve) as peer, client() as network:
        requests = [asyncio.create_task(ask(network, peer)) for _ in range(2)]
        await eventually(lambda: begun == 2)
        await asyncio.sleep(0.01)
        network.drop()
        for request in requests:
            with pytest.raises(TransportError, match="closed before the response was complete"):
                await request
        assert connections_to(peer.port) == 0


@pytest.mark.parametrize("loop_name", LOOPS)
def test_nothing_complains(loop_name: str, certificate: Certificate) -> None:
    context = certificate.trust()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await read_request(reader)).method == "GET":
            writer.write(response("1"))
            await writer.drain()

    async def main() -> None:
        for tls in (None, certificate.server):
            async with listening(serve, tls=tls) as peer, client(ssl=context) as network:
                for body in (None, b"the end", None):
                    if body is None:
                        await ask(network, peer)
                    else:
                        with pytest.raises(TransportError):
                            await ask(network, peer, body)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await asyncio.gather(ask(network, peer), ask(network, peer))

    with watching() as aftermath, asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        runner.run(main())
    assert not aftermath.faults


# Proxies


@in_each_loop
async def test_a_proxy_that_leaves_as_soon_as_the_tunnel_is_open(certificate: Certificate) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    elsewhere = Peer("", "", 4, 443, "https", "elsewhere.example")
    async with listening(serve) as peer, client(proxy=peer.url, ssl=certificate.trust()) as network:
        with pytest.raises(TransportError, match="GET failed: "):
            await ask(network, elsewhere)


@in_each_loop
async def test_a_proxy_that_speaks_tls_gets_tls() -> None:
    begin: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begin.append(await reader.readexactly(1))

    async with listening(serve) as peer, client(proxy=peer.url.replace("http", "https")) as network:
        with pytest.raises(TransportError):
            await ask(network, peer)
    assert begin == [b"\x16"], "it is no handshake of TLS"
