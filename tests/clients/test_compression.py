"""permessage-deflate between the server and the official clients, looked at from the middle of the connection.

The fast lane only: other web servers agree upon compression by themselves.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.browser.chromium import chromium
from tests.support.driver import CLIENTS
from tests.support.node import NODE_MODULES, run_node
from tests.support.serving import serving

SIZE = 30_000
TEXT = "'some text ' + 'x'.repeat(30000 - 10)"
CONVERSATION = """
async function talk(io, url, transports, steps) {
  const socket = io(url, { transports, forceNew: true, reconnection: false, perMessageDeflate: { threshold: 1024 } });
  const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (value) => resolve(value)));
  await next(socket, "connect");
  if (socket.io.engine.transport.name !== "websocket") await next(socket.io.engine, "upgrade");
  const ask = (event, value) => {
    const answer = next(socket, "answer");
    socket.emit(event, value);
    return answer;
  };
  const text = TEXT;
  const answers = [];
  for (const event of steps) answers.push((await ask(event, event === "echo" ? text : text.length)) === text);
  const rejoinder = await ask("bytes", 30000);
  answers.push(rejoinder.byteLength ?? rejoinder.length);
  socket.disconnect();
  return answers;
}
""".replace("TEXT", TEXT)


class Tap:
    """Pass connections on to a port, and keep what goes each way."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.up: list[bytearray] = []
        self.down: list[bytearray] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, function: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=function, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [near, far]
            self.up.append(bytearray())
            self.down.append(bytearray())
            self._start(self._pass, near, far, self.up[-1])
            self._start(self._pass, far, near, self.down[-1])

    def _pass(self, source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what is open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads.pop(0).join(5)
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in [self._listener, *self._sockets]:
            each.close()

    def websocket(self) -> tuple[str, int, int]:
        """Give the answered extensions of the WebSocket, and the bytes that went up and down on it."""
        for up, down in zip(self.up, self.down, strict=True):
            head, _, rest = bytes(down).partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 101"):
                match = re.search(rb"(?im)^sec-websocket-extensions: (.*?)\r?$", head)
                return match[1].decode() if match else "", len(up), len(rest)
        raise AssertionError("no WebSocket was opened")


def build(client: str, **options: Any) -> Any:
    """Build a server with a page for a browser."""
    io = Server(**options)

    @io.event
    def echo(socket: Socket, text: str) -> None:
        socket.emit("answer", text)

    @io.event
    def plain(socket: Socket, size: int) -> None:
        socket.compress(False).emit("answer", "some text " + "x" * (size - 10))

    @io.event
    def everyone(socket: Socket, size: int) -> None:
        io.emit("answer", "some text " + "x" * (size - 10))

    @io.event("bytes")
    def send_bytes(socket: Socket, size: int) -> None:
        socket.emit("answer", bytes(size))

    async def page(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            library = (NODE_MODULES / client / "dist/socket.io.js").read_text("utf-8")
            body = (
                f"<!doctype html><meta charset=utf-8><script>{library}</script><script>{CONVERSATION}</script>".encode()
            )
            headers = [(b"content-type", b"text/html; charset=utf-8")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return io.attach(page)


@contextmanager
def tapped(client: str = "client4", **options: Any) -> Iterator[Tap]:
    """Serve behind a tap."""
    with ExitStack() as stack:
        running = stack.enter_context(serving(build(client, **options)))
        tap = Tap(running.port)
        stack.callback(tap.close)
        yield tap


def in_node(client: str, port: int, transports: list[str], steps: list[str]) -> list[Any]:
    """Have a client in Node.js talk to the server."""
    script = (
        f"{CONVERSATION}\n"
        f"talk(require({client!r}), 'http://127.0.0.1:{port}', {json.dumps(transports)}, {json.dumps(steps)})\n"
        "  .then((answers) => { console.log(JSON.stringify(answers)); process.exit(0); });\n"
    )
    done = run_node(script)
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def in_chromium(client: str, port: int, transports: list[str], steps: list[str]) -> list[Any]:
    """Have a client in a browser talk to the server."""
    with chromium() as browser:
        page = browser.open(f"http://127.0.0.1:{port}/")
        answers: list[Any] = page.value(f"talk(io, location.origin, {json.dumps(transports)}, {json.dumps(steps)})")
        assert page.log["errors"] == []
    return answers


AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]], ids=["websocket", "upgrade"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_in_node(client: str, transports: list[str]) -> None:
    with tapped(per_message_deflate=True) as tap:
        assert in_node(client, tap.port, transports, ["echo", "everyone"]) == [True, True, SIZE]
        extensions, up, down = tap.websocket()
    assert extensions == AGREED
    assert up < 2_000, "30,000 bytes from the client"
    assert down < 2_000, "90,000 bytes from the server"


def test_a_client_in_chromium() -> None:
    with tapped(per_message_deflate=True) as tap:
        assert in_chromium("client4", tap.port, ["websocket"], ["echo", "everyone"]) == [True, True, SIZE]
        extensions, up, down = tap.websocket()
    assert extensions == AGREED
    assert up < 3_000
    assert down < 2_000


def test_contexts_are_kept_where_the_options_say_so() -> None:
    options = {"server_no_context_takeover": False, "client_no_context_takeover": False, "window_bits": 13}
    with tapped(per_message_deflate=options) as tap:
        assert in_node("client4", tap.port, ["websocket"], ["echo"] * 5) == [True] * 5 + [SIZE]
        extensions, up, down = tap.websocket()
    assert extensions == "permessage-deflate; server_max_window_bits=13"
    assert max(up, down) < 2_000


def test_compression_can_be_switched_off_for_a_message() -> None:
    with tapped(per_message_deflate=True) as tap:
        assert in_node("client4", tap.port, ["websocket"], ["echo", "plain", "plain"]) == [True] * 3 + [SIZE]
        extensions, _, down = tap.websocket()
    assert extensions == AGREED
    assert 2 * SIZE < down < 2 * SIZE + 2_000


def test_it_is_off_by_default() -> None:
    with tapped() as tap:
        assert in_node("client4", tap.port, ["websocket"], ["echo"]) == [True, SIZE]
        extensions, up, down = tap.websocket()
    assert extensions == ""
    assert up > SIZE
    assert down > 2 * SIZE
