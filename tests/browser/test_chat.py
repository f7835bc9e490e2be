"""People chat in the demo, each in a Chromium page of their own."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from socketeer.cli.demo.app import create_app, create_server
from tests.browser.chromium import Browser, Page
from tests.browser.demo import Demo, demo
from tests.support.serving import LANES, serving

TRANSPORTS = ("websocket", "polling", "polling,websocket")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


def png(width: int = 320, height: int = 200, colour: bytes = b"\xb9\x3a\x24") -> bytes:
    """Return a picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\x00" + colour * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def join(browser: Browser, url: str, name: str, **options: Any) -> Page:
    page = browser.open(url, **{"viewport": DESKTOP, **options})
    page.fill("#name", name)
    page.press("Enter")
    page.miss("#gate")
    return page


def say(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("Enter")


def bubble(text: str, *, own: bool = False, state: str = "") -> str:
    mark = ".own" if own else ":not(.own)"
    return f'.msg{mark}{f"[data-state={state}]" if state else ""} .text:text-is("{text}")'


def state_of(page: Page, text: str) -> Any:
    finder = f"[...document.querySelectorAll('.msg')].find((item) => item.textContent.includes({json.dumps(text)}))"
    return page.value(f"{finder}?.dataset.state ?? null")


def offer(page: Page, data: bytes, how: str, mime: str = "image/png") -> None:
    """Give the page a file as the person would: through the dialog, from the clipboard, or dropped."""
    page.offer(base64.b64encode(data).decode(), mime, how)


def is_quiet(*pages: Page, but: str = r"(?!)") -> None:
    """Check that no page had an error or a warning in its console but those that match ``but``."""
    for page in pages:
        log = page.log
        assert log["errors"] == []
        loud = [entry for entry in log["console"] if entry["type"] in ("error", "warning")]
        assert [f"{x['text']} {x['url']}" for x in loud if not re.fullmatch(but, f"{x['text']} {x['url']}")] == []


@pytest.fixture
def running() -> Iterator[Demo]:
    with demo() as process:
        yield process


@pytest.fixture
def url(request: pytest.FixtureRequest, browser: Browser) -> Iterator[str]:
    with serving(create_app(create_server()), getattr(request, "param", "fast")) as server:
        yield server.url
        browser.close_pages()  # before the server ends, which would wait for their requests


@pytest.mark.parametrize("url", LANES, indirect=True)
@pytest.mark.parametrize("transports", TRANSPORTS)
def test_two_people_chat(browser: Browser, url: str, transports: str) -> None:
    page_url = f"{url}/?transports={transports}"
    ada = join(browser, page_url, "Ada")
    grace = join(browser, page_url, "Grace")
    ada.see('#people li:has-text("Grace")')
    grace.see('#people li:has-text("Ada")')
    ada.see('#subtitle:has-text("with Grace")')

    grace.call("type", "#text", "Hello")
    ada.see('#typing:has-text("Grace is typing")')
    grace.press("Enter")
    ada.see(bubble("Hello"))
    ada.until("document.getElementById('typing').textContent === ''", 3)
    grace.see(bubble("Hello", own=True, state="received"))
    say(ada, "Grüße 🤺 <b>&amp;</b>")
    grace.see(bubble("Grüße 🤺 <b>&amp;</b>"))
    assert grace.value("document.querySelector('.log b') === null")

    expected = "WebSocket" if "websocket" in transports else "HTTP polling"
    ada.see(f'#link:has-text("{expected}")')
    sockets, requests = ada.log["sockets"], ada.log["requests"]
    engine = [request["url"] for request in requests if "/socket.io/?" in request["url"]]
    if "websocket" in transports:
        assert any("Hello" in frame for frame in sockets[0]["received"])
        assert any("&amp;" in frame for frame in sockets[0]["sent"])
    else:
        assert sockets == []
    assert any("transport=polling" in address for address in engine) == ("polling" in transports)
    is_quiet(ada, grace)


@pytest.mark.parametrize("url", LANES, indirect=True)
@pytest.mark.parametrize("transports", ["websocket", "polling"])
def test_an_image_goes_as_binary(browser: Browser, url: str, transports: str) -> None:
    ada = join(browser, f"{url}/?transports={transports}", "Ada")
    grace = join(browser, f"{url}/?transports={transports}", "Grace")
    ada.see('#people li:has-text("Grace")')
    for number, how in enumerate(("dialog", "paste", "drop"), 1):
        picture = png(100 + number, 60)
        offer(ada, picture, how)
        ada.see("#preview")
        ada.fill("#text", f"by {how}")
        ada.press("Enter")
        ada.miss("#preview")
        grace.until(f"document.querySelectorAll('.picture img').length === {number}")
        grace.until(f"[...document.querySelectorAll('.picture img')].at(-1).naturalWidth === {100 + number}")
        assert grace.value("[...document.querySelectorAll('.picture img')].at(-1).src").startswith("blob:")
        grace.see(bubble(f"by {how}"))
        ada.see(bubble(f"by {how}", own=True, state="received"))
    if transports == "websocket":
        assert any(re.fullmatch(r"<\d+ bytes>", frame) for frame in ada.log["sockets"][0]["sent"])
    late = join(browser, url, "Edsger")
    late.until(
        "[...document.querySelectorAll('.picture img')].map((image) => image.naturalWidth).join() === '101,102,103'"
    )
    is_quiet(ada, grace, late)


@pytest.mark.parametrize("url", LANES, indirect=True)
def test_an_image_of_the_largest_size_arrives_whole(browser: Browser, url: str) -> None:
    ada = join(browser, f"{url}/?transports=polling", "Ada")
    grace = join(browser, f"{url}/?transports=websocket", "Grace")
    ada.see('#people li:has-text("Grace")')
    picture = png()
    offer(ada, picture + bytes(2_000_000 - len(picture)), "dialog")
    ada.see("#preview")
    ada.press("Enter")
    grace.until("document.querySelector('.picture img')?.naturalWidth === 320")
    assert "<2000000 bytes>" in grace.log["sockets"][0]["received"]
    is_quiet(ada, grace)


def test_what_is_no_picture_or_too_large_is_refused_with_words(browser: Browser, url: str) -> None:
    ada = join(browser, url, "Ada")
    offer(ada, png() + bytes(2_000_000), "dialog")
    ada.see('#problem:has-text("An image may have 2 MB at most; this one has 2.1 MB.")')
    offer(ada, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drop", "image/svg+xml")
    ada.see('#problem:has-text("Only PNG, JPEG, GIF and WebP images can be sent.")')
    assert ada.value("document.getElementById('preview').hidden")
    offer(ada, b"GIF00 is no picture", "paste", "image/gif")
    ada.see("#preview")
    ada.press("Enter")
    ada.see('.msg[data-state=failed] .why:has-text("Not sent: Only PNG, JPEG, GIF and WebP images can be sent.")')
    is_quiet(ada)


def test_rooms_are_apart_and_count_what_is_unread(browser: Browser, url: str) -> None:
    ada, grace = join(browser, url, "Ada"), join(browser, url, "Grace")
    ada.fill("#room-input", "Engine Room")
    ada.press("Enter")
    ada.see('#title:text-is("engine-room")')
    say(ada, "down here")
    grace.see('#rooms button[data-room="engine-room"] .count:has-text("1")')
    say(grace, "one")
    say(grace, "two")
    ada.see('#rooms button[data-room="lobby"] .badge:has-text("2")')
    ada.until("document.title.startsWith('(2) engine-room')")
    assert ada.value("document.querySelector('.log').textContent.includes('one')") is False

    grace.click('#rooms button[data-room="engine-room"]')
    grace.see(bubble("down here"))
    assert grace.value("location.hash") == "#engine-room"
    for key, title in (("Alt+ArrowUp", "lobby"), ("Alt+ArrowDown", "engine-room")):
        grace.press(key)
        assert grace.value("document.getElementById('title').textContent") == title
    ada.click('#rooms button[data-room="lobby"]')
    ada.see(bubble("two"))
    ada.until("document.title.startsWith('lobby')")
    assert ada.value("document.querySelector('#rooms .badge')") is None

    grace.click("#leave")
    grace.see('#title:text-is("lobby")')
    ada.see('#rooms button[data-room="engine-room"] .count:has-text("1")')
    is_quiet(ada, grace)


def test_a_message_is_received_once_somebody_came_to_read_it(browser: Browser, url: str) -> None:
    ada = join(browser, url, "Ada")
    say(ada, "alone")
    ada.see(bubble("alone", own=True, state="sent"))
    grace = join(browser, url, "Grace")
    grace.see(bubble("alone"))
    ada.see(bubble("alone", own=True, state="received"))
    is_quiet(ada, grace)


def test_a_name_belongs_to_one_person(browser: Browser, url: str) -> None:
    ada = join(browser, url, "Ada")
    other = browser.open(url, viewport=DESKTOP)
    other.fill("#name", "ada")
    other.click("#go")
    other.see('#gate-error:has-text("ada is already here; choose another name.")')
    other.fill("#name", "Grace")
    other.click("#go")
    other.miss("#gate")
    ada.see('#people li:has-text("Grace")')
    ada.see('#link:has-text("WebSocket")')  # leaving in the middle of an upgrade is a warning in the console
    ada.call("reload")
    ada.see('#people li:has-text("Ada (you)")')  # the same window is the same person, without being asked
    assert ada.value("document.getElementById('gate').open") is False
    is_quiet(ada)
    # A client that is refused ends its connection, be the WebSocket that it has just begun open or not; and the request
    # that says so may overtake the poll that it sent just before, on another connection.
    ended = "WebSocket is closed before the connection is established."
    overtaken = r"Failed to load resource: the server responded with a status of 400 \(Bad Request\)"
    is_quiet(
        other,
        but=rf"WebSocket connection to 'ws:\S+&sid=\S+' failed: {re.escape(ended)} \S+"
        rf"|{overtaken} {re.escape(url)}/socket\.io/\?EIO=4&transport=polling\S+&sid=\S+",
    )


# What Chromium itself writes while nobody listens on the port: nothing that the page could prevent.
UNREACHABLE = (
    r"Failed to load resource: net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)"
    r" http://127\.0\.0\.1:{port}/socket\.io/\?EIO=4&transport=polling\S*"
    r"|WebSocket connection to 'ws://127\.0\.0\.1:{port}/socket\.io/\?EIO=4&transport=websocket\S*' failed: .*"
)


@pytest.mark.parametrize("transports", ["polling", "polling,websocket"])
def test_both_go_on_after_the_server_was_killed(browser: Browser, running: Demo, transports: str) -> None:
    url = f"{running.url}/?transports={transports}"
    ada, grace = join(browser, url, "Ada"), join(browser, url, "Grace")
    ada.fill("#room-input", "bridge")
    ada.press("Enter")
    grace.click('#rooms button[data-room="bridge"]')
    ada.see('#people li:has-text("Grace")')
    say(ada, "before")
    ada.see(bubble("before", own=True, state="received"))
    for page in (ada, grace):  # the upgrade may still be under way
        page.see(f'#link:has-text("{"WebSocket" if "websocket" in transports else "HTTP polling"}")')

    running.kill()
    for page in (ada, grace):
        page.see('#banner:has-text("The connection is lost")')
    say(ada, "first while away")
    say(ada, "second while away")
    offer(ada, png(77, 77), "paste")
    ada.see("#preview")
    ada.press("Enter")
    assert state_of(ada, "first while away") == "waiting"
    running.start()

    grace.value("document.getElementById('retry').click()")
    ada.see('#banner[data-kind=good]:has-text("Back online.")')
    for page in (ada, grace):
        page.see("#link[data-state=live]")
    ada.see(bubble("first while away", own=True, state="received"))
    ada.see(bubble("second while away", own=True, state="received"))
    ada.see(".msg.own[data-state=received] .picture")
    grace.until("document.querySelector('.picture img')?.naturalWidth === 77")
    say(grace, "after")
    ada.see(bubble("after"))
    texts = "[...document.querySelectorAll('.text')].map((text) => text.textContent).join('|')"
    for page in (ada, grace):
        assert page.value(texts) == "before|first while away|second while away|after"
        page.miss("#banner")
        assert page.value("document.querySelectorAll('#people li').length") == 2
    is_quiet(ada, grace, but=UNREACHABLE.format(port=running.port))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(browser: Browser, url: str, scheme: str) -> None:
    phone = join(browser, url, "Ada", viewport=PHONE, isMobile=True, hasTouch=True, colorScheme=scheme)
    other = join(browser, url, "A name of 20 letters")
    say(other, "w" * 300)
    say(other, "https://example.com/" + "long/" * 40)
    offer(other, png(1600, 200), "dialog")
    other.see("#preview")
    other.press("Enter")
    phone.until("document.querySelector('.picture img')?.naturalWidth === 1600")
    assert phone.value("document.documentElement.dataset.theme") == scheme
    fits = "['html', '#logs'].every((name) => document.querySelector(name).scrollWidth <= innerWidth)"
    assert phone.value(fits)
    phone.click("#open-side")
    phone.see('#rooms button[data-room="random"]')
    assert phone.value(fits)
    phone.click('#rooms button[data-room="random"]')
    phone.see('#title:text-is("random")')
    phone.until("getComputedStyle(document.getElementById('side')).visibility === 'hidden'")
    phone.click("#open-people")
    phone.see('#people li:has-text("Ada (you)")')
    phone.press("Escape")
    phone.until("getComputedStyle(document.getElementById('people-panel')).visibility === 'hidden'")
    small = (
        "[...document.querySelectorAll('button')].filter((b) => b.checkVisibility() && b.id !== 'shade')"
        ".filter((b) => Math.min(b.offsetWidth, b.offsetHeight) < 40).map((b) => b.id || b.textContent)"
    )
    assert phone.value(small) == []
    is_quiet(phone, other)


def test_every_control_has_a_name_and_the_keyboard_reaches_it(browser: Browser, url: str) -> None:
    ada = join(browser, url, "Ada")
    unnamed = (
        "[...document.querySelectorAll('button, input:not([hidden]), textarea')].filter((element) =>"
        " !(element.getAttribute('aria-label') || element.textContent.trim() || element.labels?.length))"
        ".map((element) => element.outerHTML)"
    )
    assert ada.value(unnamed) == []
    ada.click("#text")
    reached = set()
    for _ in range(14):
        ada.press("Tab")
        reached.add(ada.value("document.activeElement.id || document.activeElement.dataset.room || ''"))
    assert {"attach", "send", "logs", "lobby", "random", "room-input", "theme"} <= reached
    is_quiet(ada)


def test_the_page_loads_nothing_from_elsewhere(browser: Browser, url: str) -> None:
    ada = join(browser, url, "Ada")
    assert {
        request["url"] for request in ada.log["requests"] if not request["url"].startswith((f"{url}/", "data:"))
    } == set()
    is_quiet(ada)
