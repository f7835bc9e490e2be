"""Run an ASGI application under a real uvicorn, in a thread of the test process.

Each server has an event loop of its own and a free port of 127.0.0.1. A "lane" is the class that uvicorn hands
WebSockets to: ours, or uvicorn's own, over which a Server is an ASGI application like any other.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import uvicorn
import uvloop

__all__ = ["LANES", "WEBSOCKET_CLASSES", "Running", "serving", "wait_for_port"]

P = ParamSpec("P")
T = TypeVar("T")

WEBSOCKET_CLASSES: dict[str, str] = {
    "fast": "socketeer.transports.uvicorn:WebSocketProtocol",
    "portable": "websockets-sansio",
}
HTTP_CLASSES: dict[str, str] = {"fast": "socketeer.transports.uvicorn:HttpProtocol", "portable": "httptools"}
LANES: tuple[str, ...] = tuple(WEBSOCKET_CLASSES)
PATIENCE = 30.0
# What uvicorn's WebSocket class says whenever an upgrade is refused with a response of its own.
NOISE = frozenset(
    {"ASGI callable returned without completing handshake.", "Invalid UTF-8 sequence received from client."}
)


def wait_for_port(port: int) -> None:
    """Wait until something listens on a port of 127.0.0.1, half a minute at the most."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


class Running:
    """Hold a server that runs in a thread of its own."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.failures: list[str] = []
        self.loop.set_exception_handler(self._note)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop and wait for its result, half a minute at the most."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the server's thread and wait for its result, half a minute at the most."""
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

        def invoke() -> None:
            try:
                outcome.set_result(function(*args, **kwargs))
            except Exception as error:
                outcome.set_exception(error)

        self.loop.call_soon_threadsafe(invoke)
        return outcome.result(PATIENCE)

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")
        loop.default_exception_handler(context)


class _Server(uvicorn.Server):
    """Tell the starting thread when the server listens, and stop without delay."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.listening.set_result(None)

    async def main_loop(self) -> None:
        """Tick until the server is to stop: uvicorn would notice with the next tick, a tenth of a second later."""
        ticking = asyncio.create_task(super().main_loop())
        ticking.add_done_callback(lambda _: self.stopping.set())
        await self.stopping.wait()
        ticking.cancel()
        await asyncio.wait((ticking,))


class _Collector(logging.Handler):
    """Collect what uvicorn reports as errors in one thread: there may be other servers, whose tests expect them."""

    def __init__(self, failures: list[str], thread: threading.Thread) -> None:
        super().__init__(logging.ERROR)
        self._failures = failures
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread.ident and record.getMessage() not in NOISE:
            self._failures.append(self.format(record))


@contextmanager
def serving(app: Any, lane: str = "fast", **uvicorn_options: Any) -> Iterator[Running]:
    """Serve ``app`` until the block ends; ``uvicorn_options`` override those of ``uvicorn.Config``.

    An exception that reached the event loop or uvicorn unhandled while the server ran is an ``AssertionError`` at the
    end.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        **{
            "ws": WEBSOCKET_CLASSES[lane],
            "http": HTTP_CLASSES[lane],
            "log_level": "warning",
            "log_config": None,  # the records reach pytest, which shows them with a failed test
            "lifespan": "auto",
            "timeout_graceful_shutdown": 5,
            **uvicorn_options,
        },
    )
    config.load()
    server = _Server(config)
    running = Running(listener.getsockname()[1], "https" if config.is_ssl else "http")
    thread = threading.Thread(target=_run, args=(server, running.loop, listener), name="server under test", daemon=True)
    errors = logging.getLogger("uvicorn.error")
    collector = _Collector(running.failures, thread)
    errors.addHandler(collector)
    thread.start()
    try:
        server.listening.result(PATIENCE)
        yield running
    finally:
        server.should_exit = True
        with suppress(RuntimeError):  # it has stopped already
            running.loop.call_soon_threadsafe(server.stopping.set)
        thread.join(PATIENCE)
        errors.removeHandler(collector)
        listener.close()
    assert not thread.is_alive(), "the server did not stop"
    assert not running.failures, "unhandled in the server: " + "\n".join(running.failures)


def _run(server: _Server, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(server.serve(sockets=[listener]))
    except BaseException as error:
        if server.listening.done():
            raise
        server.listening.set_exception(error)
    else:
        if not server.listening.done():
            server.listening.set_exception(RuntimeError("the server ended before it listened"))
