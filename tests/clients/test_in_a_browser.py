"""The official clients where most of them run: in a browser, whose polling takes binary bodies and Blobs.

Node.js has no such requests, so 1.x and 2.x send base64 there; only here they use the binary payloads of Engine.IO 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import Browser, chromium
from tests.support.app import create
from tests.support.driver import CLIENTS, TRANSPORTS
from tests.support.node import NODE_MODULES
from tests.support.serving import LANES, serving

OCTETS = b"application/octet-stream"
ALL_BYTES = list(range(256))
SCRIPT = """
const next = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const bytes = async (value) => {
  if (value instanceof Blob) value = await value.arrayBuffer();
  if (value instanceof ArrayBuffer) return [...new Uint8Array(value)];
  if (Array.isArray(value)) return Promise.all(value.map(bytes));
  return value;
};
async function run(transports) {
  const socket = io({ transports, forceNew: true, reconnection: false });
  const lost = new Promise((_, reject) => socket.once("disconnect", (why) => reject(new Error(why))));
  const check = async () => {
    await next(socket, "connect");
    const engine = socket.io.engine;
    if (engine.transport.name !== transports.at(-1)) await next(engine, "upgrade");
    const echo = async (...args) => {
      const answer = next(socket, "echo");
      socket.emit("echo", ...args);
      return Promise.all((await answer).map(bytes));
    };
    const ask = (...args) => new Promise((resolve) => socket.emit(...args, (...answer) => resolve(answer)));
    const all = new Uint8Array(Array.from({ length: 256 }, (_, i) => i)).buffer;
    const large = new Uint8Array(200000).map((_, i) => i * 7).buffer;
    const many = new Promise((resolve) => {
      const got = [];
      socket.on("many", (i) => got.push(i) === 200 && resolve(got));
    });
    const results = {
      text: await echo("é 🦊", { 日: ["本"] }),
      binary: await echo(all),
      mixed: await echo("é 🦊", [new ArrayBuffer(0), new Blob(["blob"])], all),
      described: await ask("describe", all, "🦊"),
      codes: await ask("code points", "é🦊"),
      large: (await echo(large, "€".repeat(60000))).map((part) => [part.length, part[3], part.at(-1)]),
      acked: await Promise.all((await ask("give back", all, 1)).map(bytes)),
    };
    socket.emit("many", 200);
    results.many = await many;
    results.transport = engine.transport.name;
    socket.off("disconnect");
    socket.disconnect();
    return results;
  };
  return Promise.race([check(), lost]);
}
"""


class Site:
    """Serve a page for each client beside the server, and note the content types of polling bodies."""

    def __init__(self) -> None:
        self.types: set[tuple[str, bytes]] = set()
        self._app = create().attach(self._page)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.types.update(("answer", value) for name, value in message["headers"] if name == b"content-type")
            await send(message)

        if scope["type"] == "http":
            self.types.update(("request", value) for name, value in scope["headers"] if name == b"content-type")
            await self._app(scope, receive, note)
        else:
            await self._app(scope, receive, send)

    async def _page(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        client = scope["path"].strip("/")
        body = b""
        if client in CLIENTS:
            library = (NODE_MODULES / client / "dist/socket.io.js").read_text("utf-8")
            page = f"<!doctype html><meta charset=utf-8><script>{library}</script><script>{SCRIPT}</script>"
            body = page.encode()
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200 if body else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a Chromium for the tests of this module."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module", params=LANES)
def site(request: pytest.FixtureRequest) -> Iterator[tuple[Site, str]]:
    """Return a site and its URL."""
    site = Site()
    with serving(site, request.param) as running:
        yield site, running.url


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_client_in_a_browser(browser: Browser, site: tuple[Site, str], client: str, transport: str) -> None:
    """Exchange text and binary of every size, both ways."""
    server, url = site
    server.types.clear()
    transports = ["polling", "websocket"] if transport == "upgrade" else [transport]
    page = browser.open(f"{url}/{client}")
    try:
        results = page.value(f"run({transports})")
        assert page.log["errors"] == []
    finally:
        page.close()
    assert results == {
        "text": ["é 🦊", {"日": ["本"]}],
        "binary": [ALL_BYTES],
        "mixed": ["é 🦊", [[], list(b"blob")], ALL_BYTES],
        "described": [["bytes 256", "string"]],
        "codes": [[0xE9, 0x1F98A]],
        "large": [[200000, 21, 199999 * 7 % 256], [60000, "€", "€"]],
        "acked": [ALL_BYTES, 1],
        "many": list(range(200)),
        "transport": transports[-1],
    }
    if transport == "polling":
        old = CLIENTS[client] < 3
        assert (("answer", OCTETS) in server.types, ("request", OCTETS) in server.types) == (old, old)
