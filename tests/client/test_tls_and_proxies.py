"""Certificates of both sides, and HTTP proxies in between, over each transport."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from socketeer import TransportError
from tests.client.app import create
from tests.client.scripted import listening
from tests.client.servers import Peer, in_loop
from tests.support.certificate import make_certificate
from tests.support.http_proxy import HttpProxy, http_proxying
from tests.support.node_server import node_server
from tests.support.serving import serving

EITHER = pytest.mark.parametrize("transport", ["polling", "websocket"])


class Certificates:
    """Hold the certificates of a server and of a client, as files."""

    def __init__(self, folder: Path) -> None:
        for name in ("server", "client"):
            (folder / name).mkdir()
        self.cert, self.key = make_certificate(folder / "server")
        self.client_cert, self.client_key = make_certificate(folder / "client")

    def context(self, *, client: bool = False) -> ssl.SSLContext:
        """Make a context that trusts the server, and may show the client's certificate."""
        context = ssl.create_default_context(cafile=self.cert)
        if client:
            context.load_cert_chain(self.client_cert, self.client_key)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return certificates that nobody else trusts."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["node4", "node2", "fast"])
def secure(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Peer]:
    """Return a server with a certificate."""
    with ExitStack() as stack:
        port = serve(stack, request.param, certificates, ask=False)
        yield Peer(request.param, request.param, 3 if request.param == "node2" else 4, port, "https")


def serve(stack: ExitStack, kind: str, files: Certificates, *, ask: bool) -> int:
    """Run a server with a certificate, which may ask for the client's; give its port."""
    if kind.startswith("node"):
        more: dict[str, Any] = {"ca": files.client_cert} if ask else {}
        return stack.enter_context(node_server(int(kind[-1]), cert=files.cert, key=files.key, **more)).port
    options: dict[str, Any] = {"ssl_certfile": files.cert, "ssl_keyfile": files.key}
    if ask:
        options |= {"ssl_ca_certs": files.client_cert, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return stack.enter_context(serving(create(), kind, **options)).port


# Certificates


@in_loop
async def test_a_certificate_that_is_trusted_or_not_looked_at(
    secure: Peer, certificates: Certificates, transport: str
) -> None:
    for verify in (False, certificates.context()):
        async with secure.open("", transport, ssl=verify) as socket:
            seen = await socket.emit_with_ack("handshake")
            assert seen["secure"] is True
            assert await socket.emit_with_ack("echo", b"1" * 100_000) == b"1" * 100_000


@EITHER
@in_loop
async def test_a_certificate_that_is_wrong(secure: Peer, certificates: Certificates, transport: str) -> None:
    with pytest.raises(TransportError, match=r"certificate verify failed: self.signed certificate"):
        await secure.connect("", transport, reconnection=False)
    context = certificates.context()
    context.check_hostname = True
    elsewhere = Peer("", "", secure.eio, secure.port, "https", "localhost")
    with pytest.raises(TransportError, match="certificate is not valid for 'localhost'"):
        await elsewhere.connect("", transport, ssl=context, reconnection=False)


@EITHER
@pytest.mark.parametrize("kind", ["node4", "fast"])
def test_a_certificate_of_the_client(kind: str, certificates: Certificates, transport: str) -> None:
    @in_loop
    async def check(peer: Peer) -> None:
        async with peer.open("", transport, ssl=certificates.context(client=True)) as socket:
            assert await socket.emit_with_ack("echo", 1) == 1
        with pytest.raises(
            TransportError, match=f"{'handshake|GET' if transport == 'polling' else 'WebSocket'} failed"
        ):
            await peer.connect("", transport, ssl=certificates.context(), reconnection=False)

    with ExitStack() as stack:
        check(Peer(kind, kind, 4, serve(stack, kind, certificates, ask=True), "https"))


@EITHER
@in_loop
async def test_tls_on_one_side_only(secure: Peer, ours: Peer, transport: str) -> None:
    for port, scheme in ((secure.port, "http"), (ours.port, "https")):
        with pytest.raises(TransportError, match=r"(GET|WebSocket) failed: \S+|HTTP 400"):
            await Peer("", "", secure.eio, port, scheme).connect("", transport, ssl=False, reconnection=False)


# Proxies


@pytest.fixture(params=[None, ("me", "p@ss:word %")], ids=["open", "with a password"])
def proxy(request: pytest.FixtureRequest) -> Iterator[HttpProxy]:
    """Return a proxy."""
    with http_proxying(request.param) as proxy:
        yield proxy


@in_loop
async def test_through_a_proxy(modern: Peer, proxy: HttpProxy, transport: str) -> None:
    async with modern.open("", transport, proxy=proxy.url) as socket:
        assert await socket.emit_with_ack("echo", b"1" * 100_000) == b"1" * 100_000
    asked = [(passage.method, passage.target) for passage in proxy.passages if passage.status == 200]
    assert ({"GET", "POST"} <= {method for method, _ in asked}) == (transport != "websocket")
    assert (("CONNECT", f"127.0.0.1:{modern.port}") in asked) == (transport != "polling")
    for method, target in asked:
        assert method == "CONNECT" or target.startswith(f"{modern.url}/socket.io/?EIO=4&transport=polling")
    assert proxy.passages[-1].headers.get("authorization") is None


@in_loop
async def test_through_a_proxy_in_tunnels(
    secure: Peer, certificates: Certificates, proxy: HttpProxy, transport: str
) -> None:
    async with secure.open("", transport, proxy=proxy.url, ssl=certificates.context()) as socket:
        assert await socket.emit_with_ack("echo", b"1" * 100_000) == b"1" * 100_000
    tunnels = {(each.method, each.target) for each in proxy.passages}
    assert tunnels == {("CONNECT", f"127.0.0.1:{secure.port}")}


@in_loop
async def test_a_proxy_for_one_transport(ours: Peer, proxy: HttpProxy) -> None:
    special = {"websocket": {"proxy": proxy.url}}
    async with ours.open("", "upgrade", transport_options=special) as socket:
        assert await socket.emit_with_ack("echo", 1) == 1
    assert {passage.method for passage in proxy.passages} == {"CONNECT"}


@EITHER
@in_loop
async def test_a_proxy_that_refuses(ours: Peer, transport: str) -> None:
    with http_proxying(("me", "secret")) as proxy:
        for url in (proxy.bare_url, proxy.url.replace("secret", "guess")):
            with pytest.raises(TransportError, match="407"):
                await ours.connect("", transport, proxy=url, reconnection=False)
    with http_proxying() as proxy, pytest.raises(TransportError, match="502"):
        await Peer("", "", 4, 1).connect("", transport, proxy=proxy.url, reconnection=False)
    with pytest.raises(TransportError, match=r"(GET|WebSocket) failed: .*[Cc]onnect"):
        await ours.connect("", transport, proxy="http://127.0.0.1:1", reconnection=False)


@in_loop
async def test_through_a_socks_proxy(modern: Peer, transport: str) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\5\0")  # RFC 1928: no password
        asked.append(await reader.readexactly(10))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int.from_bytes(asked[0][8:]))
        writer.write(b"\5\0\0\1" + bytes(6))
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()

    async with listening(serve) as proxy:
        url = proxy.url.replace("http", "socks5")
        async with modern.open("", transport, proxy=url) as socket:
            assert await socket.emit_with_ack("echo", b"1" * 100_000) == b"1" * 100_000
        assert set(asked) == {b"\5\1\0\1\x7f\0\0\1" + modern.port.to_bytes(2)}


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "ftp://127.0.0.1", "http://", "http://ü@h:1", 3128])
@in_loop
async def test_no_url_of_a_proxy(ours: Peer, proxy: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="'proxy'"):
        ours.connect("", proxy=proxy)
