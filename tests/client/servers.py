"""The servers that a client meets, and the event loop that a test of it runs in."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec

from socketeer import ClientSocket, connect
from tests.client.app import create
from tests.support.node_server import node_server
from tests.support.proxy import Proxy
from tests.support.serving import serving

__all__ = ["MODERN", "ONCE", "PEERS", "TRANSPORTS", "Farm", "Peer", "cut", "eventually", "in_loop", "lose", "running"]

P = ParamSpec("P")

PATIENCE = 30.0
TRANSPORTS: dict[str, list[str]] = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
KINDS: dict[str, tuple[str, Literal[3, 4]]] = {
    "node 4": ("node4", 4),
    "node 2": ("node2", 3),
    "fast": ("fast", 4),
    "fast, eio 3": ("fast", 3),
    "portable": ("portable", 4),
    "portable, eio 3": ("portable", 3),
}
PEERS = tuple(KINDS)
ONCE = ("node 4", "node 2", "fast", "portable, eio 3")
"""Each kind once, and each revision twice: for what hardly depends on them."""
MODERN = tuple(name for name, (_, eio) in KINDS.items() if eio == 4)
LARGEST = 3_000_000
"""The largest message that the servers take: 1 MB in base64 is more than their default."""


@dataclass(frozen=True)
class Peer:
    """Be a server as a client meets it."""

    name: str
    kind: str
    eio: Literal[3, 4]
    port: int
    scheme: str = "http"
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Give the URL of the main namespace."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def modern(self) -> bool:
        """Tell whether it speaks the revision of 3.x and 4.x."""
        return self.eio == 4

    @property
    def ours(self) -> bool:
        """Tell whether it is our own server."""
        return not self.kind.startswith("node")

    def connect(self, namespace: str = "", transport: str | None = None, **options: Any) -> ClientSocket:
        """Connect over a transport, or with the defaults; reconnections do not make a test wait."""
        if transport is not None:
            options["transports"] = TRANSPORTS[transport]
        port = options.pop("port", self.port)
        url = f"{self.scheme}://{self.host}:{port}{namespace}"
        return connect(url, **{"eio": self.eio, "reconnection_delay": 0.01, **options})

    @asynccontextmanager
    async def open(
        self, namespace: str = "", transport: str | None = None, **options: Any
    ) -> AsyncIterator[ClientSocket]:
        """Be connected; by ``upgrade`` when that is over."""
        async with self.connect(namespace, transport, **options) as socket:
            if transport == "upgrade":
                await eventually(lambda: socket.transport == "websocket")
            yield socket


def options_of(kind: str, **options: Any) -> dict[str, Any]:
    """Give the options of a server, which are those of Node's, in the words of its kind; times are milliseconds."""
    if kind.startswith("node"):
        return {"maxHttpBufferSize": LARGEST, **options}
    seconds = {"pingInterval": "ping_interval", "pingTimeout": "ping_timeout", "upgradeTimeout": "upgrade_timeout"}
    ours = {"maxHttpBufferSize": "max_http_buffer_size", "connectionStateRecovery": "connection_state_recovery"}
    given: dict[str, Any] = {"max_http_buffer_size": LARGEST}
    for name, value in options.items():
        if name in seconds:
            given[seconds[name]] = value / 1000
        else:
            given[ours.get(name, name)] = value
    return given


@contextmanager
def running(name: str, **options: Any) -> Iterator[Peer]:
    """Run a server with options of its own until the block ends."""
    kind, eio = KINDS[name]
    given = options_of(kind, **options)
    with node_server(int(kind[-1]), **given) if kind.startswith("node") else serving(create(**given), kind) as server:
        yield Peer(name, kind, eio, server.port)


class Farm:
    """Run each kind of server, with the same options, from when it is first asked for."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._stack = ExitStack()
        self._ports: dict[str, int] = {}

    def peer(self, name: str) -> Peer:
        """Give a server."""
        kind, eio = KINDS[name]
        if kind not in self._ports:
            self._ports[kind] = self._stack.enter_context(running(name, **self._options)).port
        return Peer(name, kind, eio, self._ports[kind])

    def close(self) -> None:
        """Stop all of them."""
        self._stack.close()


async def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds; ``what`` says of what."""
    end = time.monotonic() + PATIENCE / 2
    while not condition():
        assert time.monotonic() < end, f"it never came to be: {what}"
        await asyncio.sleep(0.002)


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in an event loop of its own, where nothing may be left of the client, and no failure go unseen."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(_checked(test(*args, **kwargs)))

    return run


async def _checked(body: Coroutine[Any, Any, None]) -> None:
    failures: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(str(context)))
    async with asyncio.timeout(PATIENCE):
        await body
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    if rest:
        _, late = await asyncio.wait(rest, timeout=2)
        assert not late, f"tasks are left: {late}"
    assert not failures, "\n".join(failures)


async def cut(proxy: Proxy, socket: ClientSocket, *, reset: bool = False) -> str:
    """Cut what goes through a proxy until the client has noticed, and give the reason: between two polls it cannot."""
    lost = asyncio.create_task(socket.wait_disconnected())
    while not lost.done():
        proxy.cut(reset=reset)
        await asyncio.wait([lost], timeout=0.05)
    return await lost


def lose(socket: ClientSocket) -> None:
    """Lose the WebSocket of a client."""
    engine: Any = socket.io.engine
    engine.transport._wire.abort()
