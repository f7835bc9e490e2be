"""What of polling only a browser does: scripts and forms for requests (JSONP), and bodies that it decompresses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.chromium import Browser, Page
from tests.support.app import create
from tests.support.driver import CLIENTS
from tests.support.node import NODE_MODULES
from tests.support.serving import serving

WITH_JSONP = [client for client in CLIENTS if client != "client4"]  # which has given it up
TEXTS = [
    "plain",
    'quotes " \' ` and \\ backslashes \\\\ \\" </script><!--',
    "line\nfeed \r\n and \u2028 \u2029 \x00 \x7f",
    "written \\n twice \\\\n thrice \\\\\\n",
    "é 本 🦊 + % & = %41 a b",
    "",
]
SCRIPT = """
const connect = (url, options) => new Promise((resolve, reject) => {
  const socket = io(url, { transports: ["polling"], forceNew: true, reconnection: false, ...options });
  socket.on("connect", () => resolve(socket));
  socket.on("connect_error", (error) => reject(new Error("connect_error: " + error)));
  socket.on("error", (error) => reject(new Error("error: " + error)));
  setTimeout(() => reject(new Error("no connection")), 8000);
});
const echo = (socket, ...args) => new Promise((resolve) => {
  socket.once("echo", (...answer) => resolve(answer));
  socket.emit("echo", ...args);
});
async function talk(url, texts) {
  const socket = await connect(url, { forceJSONP: true });
  const results = { echoed: await echo(socket, ...texts), one: [] };
  for (const text of texts) results.one.push(...(await echo(socket, { [text]: [text] })));
  const [binary] = await echo(socket, new Uint8Array([0, 255, 10, 13, 92, 110]).buffer);
  results.binary = [...new Uint8Array(binary)];
  const many = new Promise((resolve) => {
    const got = [];
    socket.on("many", (i) => got.push(i) === 100 && resolve(got));
  });
  socket.emit("many", 100);
  results.many = await many;
  results.transport = socket.io.engine.transport.name;
  const gone = new Promise((resolve) => socket.once("disconnect", resolve));
  socket.emit("kick", true);
  results.gone = await gone;
  return results;
}
async function talkMuch() {
  const socket = await connect("/");
  const [answer] = await echo(socket, "much ".repeat(20000) + "é");
  socket.close();
  const sizes = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/socket.io/?"));
  return { answer, sizes: sizes.map((entry) => [entry.encodedBodySize, entry.decodedBodySize]) };
}
"""


class Site:
    """Serve a page for each client beside the server, and note what its polling is answered with."""

    def __init__(self, **options: Any) -> None:
        self.answers: list[tuple[str, int, dict[bytes, bytes]]] = []
        self._app = create(**options).attach(self._page)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start" and scope["path"] == "/socket.io/":
                self.answers.append((scope["method"], message["status"], dict(message["headers"])))
            await send(message)

        await self._app(scope, receive, note if scope["type"] == "http" else send)

    async def _page(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        client = scope["path"].strip("/")
        body = b""
        if client in CLIENTS:
            library = (NODE_MODULES / client / "dist/socket.io.js").read_text("utf-8")
            body = f"<!doctype html><meta charset=utf-8><script>{library}</script><script>{SCRIPT}</script>".encode()
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200 if body else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def talk(page: Page, url: str) -> Any:
    # A text is passed as the codes of its units, for some of it is not fit for the source of a script.
    texts = [[ord(character) for character in text] for text in TEXTS]
    return page.value(f"talk({url!r}, {texts}.map((codes) => String.fromCodePoint(...codes)))")


@pytest.mark.parametrize("client", WITH_JSONP)
def test_the_official_clients_talk_over_jsonp(browser: Browser, lane: str, client: str) -> None:
    site = Site()
    with serving(site, lane) as running:
        page = browser.open(f"{running.url}/{client}")
        results = talk(page, running.url)
        assert page.log["errors"] == []
        requests = [entry for entry in page.log["requests"] if "/socket.io/?" in entry["url"]]
        browser.close_pages()
    assert results == {
        "echoed": TEXTS,
        "one": [{text: [text]} for text in TEXTS],
        "binary": [0, 255, 10, 13, 92, 110],
        "many": list(range(100)),
        "transport": "polling",
        "gone": "io server disconnect",
    }
    assert {entry["method"] for entry in requests} == {"GET", "POST"}
    assert all("&j=0" in entry["url"] for entry in requests)
    late = sorted(method for method, status, _ in site.answers if status == 400)
    assert late in ([], ["GET"], ["POST"], ["GET", "POST"])  # once the session is over the client may do either
    kinds = {(method, headers[b"content-type"]) for method, status, headers in site.answers if status != 400}
    assert kinds == {("GET", b"text/javascript; charset=UTF-8"), ("POST", b"text/html")}


@pytest.mark.parametrize("client", ["client2", "client3"])
def test_jsonp_across_origins_is_for_those_that_are_allowed(browser: Browser, client: str) -> None:
    with serving(Site()) as pages:
        with serving(Site(cors=pages.url)) as friend:
            results = talk(browser.open(f"{pages.url}/{client}"), friend.url)
            browser.close_pages()
        assert results["echoed"] == TEXTS
        site = Site()
        with serving(site) as stranger:
            page = browser.open(f"{pages.url}/{client}")
            outcome = page.value(f"connect({stranger.url!r}, {{ forceJSONP: true }}).catch((error) => String(error))")
            assert "connect_error" in outcome
            assert [headers[b"content-type"] for _, _, headers in site.answers] == [b"application/json"]
            # Nor does a page get in that hides where it is.
            page.value(
                "new Promise((resolve) => { const script = document.createElement('script');"
                "script.referrerPolicy = 'no-referrer'; script.onerror = () => resolve('refused');"
                f"script.src = '{stranger.url}/socket.io/?EIO=3&transport=polling&j=0';"
                "document.head.append(script); })"
            )
            assert [headers[b"content-type"] for _, _, headers in site.answers] == [b"application/json"] * 2
            browser.close_pages()


def test_chromium_decompresses_what_the_official_client_is_sent(browser: Browser, lane: str) -> None:
    site = Site()
    with serving(site, lane) as running:
        results = browser.open(f"{running.url}/client4").value("talkMuch()")
        browser.close_pages()
    assert results["answer"] == "much " * 20000 + "é"
    codings = [headers.get(b"content-encoding") for method, _, headers in site.answers if method == "GET"]
    assert codings.count(b"gzip") == 1  # the handshake and its like are too small
    (compressed,) = [sizes for sizes in results["sizes"] if sizes[0] != sizes[1]]
    assert compressed[0] < 1000
    assert compressed[1] > 100_000
