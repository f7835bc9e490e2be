"""The proxies that the tests of the client put between it and servers do what those rely on."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import httpx2
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.support.http_proxy import http_proxying
from tests.support.node_server import NodeServer, node_server
from tests.support.proxy import Faults, Proxy, proxying

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def server() -> Iterator[NodeServer]:
    """Return a server."""
    with node_server(4) as running:
        yield running


class Sink:
    """Take connections on a port of its own and count what comes on each; answer nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.counts: queue.Queue[int] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                self.counts.put(self._count(taken))

    def _count(self, taken: socket.socket) -> int:
        count = 0
        with taken, suppress(ConnectionResetError):
            while data := taken.recv(65536):
                count += len(data)
        return count

    def close(self) -> None:
        """End the thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Return a sink."""
    with closing(Sink()) as running:
        yield running


def lifetime(proxy: Proxy, data: bytes = b"") -> float:
    """Connect, send ``data`` and wait until the proxy ends the connection, or a second; return how long it took."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection, suppress(OSError):
        connection.settimeout(1)
        connection.sendall(data)
        while connection.recv(65536):
            pass
    return time.monotonic() - started


def test_a_share_of_the_connections_is_cut(server: NodeServer) -> None:
    def outcomes(seed: int) -> list[bool]:
        proxy.disturb(Faults(seed, share=0.5))
        return [works(proxy.port) for _ in range(16)]

    with proxying(server.port) as proxy:
        first = outcomes(1)
        assert proxy.accidents == first.count(False)
        assert 3 < proxy.accidents < 13
        assert outcomes(1) == first
        assert outcomes(2) != first
        proxy.disturb(None)
        assert works(proxy.port)


def works(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        try:
            connection.request("GET", POLLING)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def test_connections_are_cut_after_so_many_bytes(sink: Sink) -> None:
    with proxying(sink.port) as proxy:
        proxy.disturb(Faults(1, after_bytes=(1000, 2000)))
        for _ in range(8):
            assert lifetime(proxy, b"x" * 5000) < 0.9
        assert proxy.accidents == 8
    counts = [sink.counts.get(timeout=20) for _ in range(8)]
    # What had passed may be lost on the way when a connection is reset.
    assert all(count <= 2000 for count in counts)
    assert len({count for count in counts if count >= 1000}) > 1


def test_connections_are_cut_after_a_while(sink: Sink) -> None:
    with proxying(sink.port) as proxy:
        proxy.disturb(Faults(1, after_seconds=(0.1, 0.15)))
        for _ in range(3):
            assert 0.09 < lifetime(proxy) < 0.9
        assert proxy.accidents == 3


def test_forwarding_and_tunnels(server: NodeServer) -> None:
    with http_proxying() as proxy:
        with httpx2.Client(proxy=proxy.url) as client:
            id = json.loads(client.get(server.url + POLLING).text[1:])["sid"]
            assert client.post(f"{server.url}{POLLING}&sid={id}", content="40").text == "ok"
            assert client.get(f"{server.url}{POLLING}&sid={id}").text.startswith('40{"sid":')
            assert client.get(f"http://127.0.0.1:1{POLLING}").status_code == 502
        assert [(passage.method, passage.status) for passage in proxy.passages] == [
            ("GET", 200),
            ("POST", 200),
            ("GET", 200),
            ("GET", 502),
        ]
        assert proxy.passages[1].target == f"{server.url}{POLLING}&sid={id}"
        assert proxy.passages[1].sent == 2
        with connect(f"ws://127.0.0.1:{server.port}{WEBSOCKET}", proxy=proxy.url) as websocket:
            websocket.recv(5)
            websocket.send("40")
            assert str(websocket.recv(5)).startswith('40{"sid":')
            proxy.cut()
            with pytest.raises(ConnectionClosedError):
                websocket.recv(5)
        tunnel = proxy.passages[4]
        assert (tunnel.method, tunnel.target, tunnel.status) == ("CONNECT", f"127.0.0.1:{server.port}", 200)
        assert tunnel.received > 200


def test_a_proxy_with_a_password(server: NodeServer) -> None:
    with http_proxying(("me", "p:ss@word")) as proxy:
        with httpx2.Client(proxy=proxy.url) as client:
            assert client.get(server.url + POLLING).status_code == 200
        with httpx2.Client(proxy=proxy.bare_url) as client:
            assert client.post(server.url + POLLING, content="40").status_code == 407
            assert client.get(server.url + POLLING).status_code == 407
        assert [passage.status for passage in proxy.passages] == [200, 407, 407]
