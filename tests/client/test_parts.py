"""The parts of the client that need no network: pauses, URLs, cookies, offsets, options."""

from __future__ import annotations

import inspect
import math
import random
import ssl
import string
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from socketeer import MSGPACK, Manager, UsageError, connect
from socketeer.client.address import Cookies, read_url, timestamp
from socketeer.client.backoff import Backoff
from socketeer.client.recovery import Recovery
from socketeer.options.client import (
    ClientDeflate,
    ConnectOptions,
    ManagerKeywords,
    ManagerOptions,
    SocketKeywords,
    SocketOptions,
    TransportOptions,
)

NOW = 1_790_000_000.0

# Pauses


def test_pauses_double_up_to_the_limit() -> None:
    backoff = Backoff(1.0, 5.0, 0.0, lambda: 0.9)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.attempts == 5
    backoff.reset()
    assert (backoff.attempts, backoff.next()) == (0, 1)


def test_pauses_stay_numbers() -> None:
    backoff = Backoff(1e-9, 1e9, 0.5, lambda: 1.0)
    assert all(0 < backoff.next() <= 1e9 for _ in range(5000))
    assert Backoff(0.0, 0.0, 1.0, lambda: 1.0).next() == 0
    assert Backoff(1e300, 1e300, 1.0, lambda: 0.0).next() == 0


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0])
def test_chance_makes_pauses_shorter_or_longer(factor: float) -> None:
    chance = random.Random(1)
    for attempt, pause in enumerate([1.0, 2.0, 4.0]):
        pauses = []
        for _ in range(200):
            backoff = Backoff(1.0, 100.0, factor, chance.random)
            backoff.attempts = attempt
            pauses.append(backoff.next())
        assert pause * (1 - factor) <= min(pauses) < pause * (1 - factor * 0.9)
        assert pause * (1 + factor * 0.9) < max(pauses) <= pause * (1 + factor)


# URLs


@pytest.mark.parametrize(
    ("url", "polling", "websocket", "namespace"),
    [
        ("http://h", "http://h/p?a=1", "ws://h/p?a=1", "/"),
        ("https://h/", "https://h/p?a=1", "wss://h/p?a=1", "/"),
        ("ws://h:80/x", "http://h/p?a=1", "ws://h/p?a=1", "/x"),
        ("wss://h:443/x/y/", "https://h/p?a=1", "wss://h/p?a=1", "/x/y/"),
        ("http://h:443", "http://h:443/p?a=1", "ws://h:443/p?a=1", "/"),
        ("https://H.example:8443/%C3%A9%20x#no", "https://h.example:8443/p?a=1", "wss://h.example:8443/p?a=1", "/é x"),
        ("http://[::1]:3000/x", "http://[::1]:3000/p?a=1", "ws://[::1]:3000/p?a=1", "/x"),
        ("http://[::1]", "http://[::1]/p?a=1", "ws://[::1]/p?a=1", "/"),
    ],
)
def test_urls(url: str, polling: str, websocket: str, namespace: str) -> None:
    address = read_url(url)
    assert address.url("polling", "/p?a=1") == polling
    assert address.url("websocket", "/p?a=1") == websocket
    assert address.namespace == namespace
    assert (address.query, address.authorization) == ((), None)


def test_the_query_and_the_user() -> None:
    address = read_url("http://u%3A:p%40@h/x?a=b%20c&d=&a=2#frag")
    assert address.query == (("a", "b c"), ("d", ""), ("a", "2"))
    assert address.authorization == "Basic dTo6cEA="


@pytest.mark.parametrize(
    "url", ["h:3000", "//h", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://[h", ""]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        read_url(url)


def test_timestamps_are_all_different() -> None:
    assert len({timestamp() for _ in range(1000)}) == 1000


# Cookies


def kept(*headers: str, given: dict[str, str] | None = None, keep: bool = True) -> str | None:
    """Give what is sent after a response has set these cookies."""
    cookies = Cookies(given, "/socket.io", keep=keep)
    cookies.take([("content-type", "text/plain"), *(("Set-Cookie", header) for header in headers)])
    return cookies.header()


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ([], None),
        (["a=1"], "a=1"),
        (["a=1; Path=/; HttpOnly; Secure; SameSite=Lax; Domain=h", "b=2"], "a=1; b=2"),
        (["a=1", "a=2"], "a=2"),
        (["a= x = y ;Path=/socket.io"], "a=x = y"),
        (['a="quoted; not quite"'], 'a="quoted'),
        (["a="], "a="),
        (["=1", "novalue", "", ";", "; a=1"], None),
        (["a=1; path=/socket.io/", "b=2; PATH=/socket", "c=3; Path=/elsewhere", "d=4; Path=relative"], "a=1; d=4"),
        (["a=1; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "a=1"),
        (["a=1; Max-Age=0"], None),
        (["a=1; max-age=-5"], None),
        (["a=1; Max-Age=nonsense"], "a=1"),
        (["a=1; Max-Age=" + "9" * 400], "a=1"),
        (["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], None),
        (["a=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], None),
        (["a=1; Expires=nonsense", "b=2; Expires=Wed, 99 Foo 99999 99:99:99 GMT"], "a=1; b=2"),
        (["a=1; Expires=" + formatdate(time.time() + 1000, usegmt=True)], "a=1"),
        (["a=1", "a=; Max-Age=0"], None),
    ],
)
def test_cookies_that_are_set(headers: list[str], sent: str | None) -> None:
    cookies = Cookies(None, "/socket.io", keep=True)
    cookies.take([("content-type", "text/plain"), *(("Set-Cookie", header) for header in headers)])
    assert cookies.header() == sent


def test_cookies_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cookies = Cookies({"mine": "1"}, "/socket.io", keep=True)
    cookies.take([("set-cookie", "lb=2; Max-Age=60")])
    assert cookies.header() == "mine=1; lb=2"
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert cookies.header() == "mine=1"


def test_cookies_that_are_given() -> None:
    cookies = Cookies({"a": "1", "b": "2"}, "/p", keep=True)
    cookies.take([("set-cookie", "a=3")])
    assert cookies.header() == "a=3; b=2"
    cookies = Cookies({"a": "1"}, "/p", keep=False)
    cookies.take([("set-cookie", "a=3"), ("set-cookie", "b=4")])
    assert cookies.header() == "a=1"
    with pytest.raises(ValueError, match="Cookie"):
        connect("http://h", cookies={"a": "b\r\nX: y"}, auto_connect=False)


# Offsets


def taken(*events: list[Any], pid: str | None = "secret") -> tuple[list[list[Any]], dict[str, str]]:
    """Give what handlers get of events, and what the next CONNECT says."""
    recovery = Recovery()
    assert recovery.begin(pid) is False
    for args in events:
        recovery.take(args, NOW)
    return list(events), recovery.auth()


def yeast(seconds: float) -> str:
    """Write a time as Node's adapter does."""
    rest, text = int(seconds * 1000), ""
    while rest:
        rest, digit = divmod(rest, 64)
        text = (string.digits + string.ascii_uppercase + string.ascii_lowercase + "-_")[digit] + text
    return text


OFFSETS = {
    "ours": "Ab_-.1f",
    "Node's memory": yeast(NOW),
    "Node's memory, twice in a millisecond": yeast(NOW + 3600) + ".0",
    "a Redis stream": f"{int(NOW * 1000)}-0",
    "MongoDB": f"{int(NOW):08x}" + "0" * 16,
}


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=OFFSETS)
def test_offsets_are_taken_off(offset: str) -> None:
    events, auth = taken(
        ["news", 1, "two", offset], ["news", offset], ["volatile", "text"], ["volatile"], ["volatile", 1]
    )
    assert events == [["news", 1, "two"], ["news"], ["volatile", "text"], ["volatile"], ["volatile", 1]]
    assert auth == {"pid": "secret", "offset": offset}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "a longer text",
        "2024-01-01",
        "1234567890123-0",
        f"{int(NOW * 1000)}",
        "f" * 24,
        "0" * 24,
        "message",
        "deadbee",
    ],
)
def test_what_is_no_offset_is_given_to_handlers_and_back(text: str) -> None:
    events, auth = taken(["news", text])
    assert events == [["news", text]]
    assert auth == {"pid": "secret", "offset": text}, "it may be one of a kind that is not known"


def test_counted_offsets_have_one_mark() -> None:
    events, auth = taken(["a", "Ab_-.1"], ["b", "xyzw.2"], ["c", "Ab_-.a"])
    assert events == [["a"], ["b", "xyzw.2"], ["c"]]
    assert auth["offset"] == "Ab_-.a"


def test_a_new_secret_forgets_the_offset() -> None:
    recovery = Recovery()
    assert recovery.auth() == {}
    recovery.begin("one")
    assert recovery.auth() == {"pid": "one"}
    recovery.take(["a", "Ab_-.1"], NOW)
    assert recovery.begin("one") is True
    assert recovery.auth() == {"pid": "one", "offset": "Ab_-.1"}
    assert recovery.begin("two") is False
    assert recovery.auth() == {"pid": "two"}
    recovery.take(args := ["a", "wxyz.1"], NOW)
    assert args == ["a"]
    assert recovery.begin(None) is False
    assert recovery.auth() == {}


# Options

DEFAULTS: dict[str, Any] = {
    "path": "/socket.io",
    "transports": ("polling", "websocket"),
    "upgrade": True,
    "remember_upgrade": False,
    "try_all_transports": False,
    "query": None,
    "extra_headers": None,
    "cookies": None,
    "with_credentials": True,
    "force_base64": False,
    "timestamp_requests": None,
    "timestamp_param": "t",
    "add_trailing_slash": True,
    "protocols": (),
    "request_timeout": None,
    "ssl": True,
    "proxy": None,
    "per_message_deflate": None,
    "transport_options": None,
    "eio": 4,
    "parser": None,
    "reconnection": True,
    "reconnection_attempts": None,
    "reconnection_delay": 1.0,
    "reconnection_delay_max": 5.0,
    "randomization_factor": 0.5,
    "timeout": 20.0,
    "auto_connect": True,
    "upgrade_timeout": 10.0,
    "close_timeout": 10.0,
    "attachment_timeout": 60.0,
    "max_http_buffer_size": 100_000_000,
    "max_fragments": 10_000,
    "max_attachments": 10,
    "max_packet_bytes": 100_000_000,
    "max_buffered_bytes": 100_000_000,
    "network": None,
}
SOCKET_DEFAULTS: dict[str, Any] = {
    "auth": None,
    "retries": 0,
    "ack_timeout": None,
    "max_buffered_emits": 10_000,
    "max_waiting_events": 100_000,
}


def test_the_defaults() -> None:
    options = Manager("http://h").options
    assert {name: getattr(options, name) for name in ManagerOptions.__slots__} == DEFAULTS
    socket_options = connect("http://h", auto_connect=False).options
    assert {name: getattr(socket_options, name) for name in SocketOptions.__slots__} == SOCKET_DEFAULTS


def test_type_checkers_know_the_same_options() -> None:
    assert set(ManagerKeywords.__annotations__) == set(ManagerOptions.__slots__)
    assert set(SocketKeywords.__annotations__) == set(SocketOptions.__slots__)
    assert set(ConnectOptions.__annotations__) == {*DEFAULTS, *SOCKET_DEFAULTS, "force_new", "multiplex"}
    assert set(TransportOptions.__annotations__) < set(DEFAULTS)


def test_every_option_says_what_it_is_for() -> None:
    for record in (ManagerOptions, SocketOptions, ClientDeflate):
        source = inspect.getsource(record)
        for name in record.__slots__:
            assert f"\n    {name}: " in source
            assert source.partition(f"\n    {name}: ")[2].partition("\n")[2].lstrip().startswith('"""'), name


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_may_be_given(name: str) -> None:
    assert getattr(connect("http://h", **{name: DEFAULTS[name]}).io.options, name) == DEFAULTS[name]


FLAGS = [name for name, value in DEFAULTS.items() if isinstance(value, bool) and name != "ssl"]
COUNTS = [name for name, value in {**DEFAULTS, **SOCKET_DEFAULTS}.items() if type(value) is int and name != "eio"]
MAY_BE_NOTHING = ("max_attachments", "retries", "max_buffered_emits", "max_waiting_events")
TIMES = ["request_timeout", "timeout", "upgrade_timeout", "close_timeout", "attachment_timeout", "ack_timeout"]
DELAYS = ["reconnection_delay", "reconnection_delay_max"]
BAD: dict[str, list[Any]] = {
    **{name: [None, 1, "yes"] for name in (*FLAGS, "force_new", "multiplex")},
    **{name: [None, -1, 1.5, "1", True, *([] if name in MAY_BE_NOTHING else [0])] for name in COUNTS},
    **{name: [0, -1, math.inf, math.nan, "1", True, 10**400] for name in TIMES},
    **{name: [None, -1, math.inf, math.nan, "1", True, 10**400] for name in DELAYS},
    "path": [None, 1, "", "/", "a b", "/é", "a?b"],
    "transports": ["polling", [], ["carrier pigeon"], None, 1],
    "query": ["a=1", 1, [("a", 1)]],
    "extra_headers": ["a: 1", 1, [("a", 1)]],
    "cookies": ["a=1", {"a": 1}, {1: "a"}, dict],
    "timestamp_requests": [1, "yes"],
    "timestamp_param": [None, 1, ""],
    "protocols": ["one", 1, [1]],
    "ssl": [None, 1, "cert.pem"],
    "per_message_deflate": [1, "yes", {"level": 10}, {"level": 0}, {"threshold": -1}, {"levels": 1}],
    "transport_options": [1, {"carrier pigeon": {}}, {"polling": {"transports": []}}, {"polling": {"path": ""}}],
    "eio": [None, 2, 5, "4", True],
    "reconnection_attempts": [-1, 1.5, "3", True],
    "randomization_factor": [None, -0.1, 1.1, math.nan, "0.5", True],
    "network": [1, "real"],
    "auth": ["token", 1, ["token"]],
}


@pytest.mark.parametrize("name", BAD)
def test_values_that_are_wrong(name: str) -> None:
    for value in BAD[name]:
        with pytest.raises((TypeError, ValueError), match=name.replace("transport_options", "option")) as refused:
            connect("http://h", **{name: value})
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("name", "value", "settled"),
    [
        ("path", "a/b/", "/a/b"),
        ("transports", ["websocket", "websocket"], ("websocket",)),
        ("timeout", 3, 3.0),
        ("timeout", None, None),
        ("reconnection_delay", 0, 0.0),
        ("reconnection_attempts", math.inf, None),
        ("reconnection_attempts", 0, 0),
        ("randomization_factor", 1, 1.0),
        ("protocols", ["a", "b"], ("a", "b")),
        ("per_message_deflate", True, ClientDeflate()),
        ("per_message_deflate", False, None),
        ("per_message_deflate", {"level": 9}, ClientDeflate(level=9)),
        ("parser", MSGPACK, MSGPACK),
        ("eio", 3, 3),
    ],
)
def test_values_are_settled(name: str, value: Any, settled: Any) -> None:
    assert getattr(Manager("http://h", **{name: value}).options, name) == settled


def test_a_context_is_kept() -> None:
    context = ssl.create_default_context()
    assert Manager("http://h", ssl=context).options.ssl is context


CONNECT: Any = connect
MANAGER: Any = Manager


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CONNECT("http://h", transport=["websocket"]),
            "connect() has no option 'transport'; did you mean 'transports'?",
        ),
        (lambda: CONNECT("http://h", forceNew=True), "connect() has no option 'forceNew'; did you mean 'force_new'?"),
        (lambda: CONNECT("http://h", biscuit=1), "connect() has no option 'biscuit'"),
        (lambda: MANAGER("http://h", auth={}), "Manager() has no option 'auth': each of its sockets has"),
        (lambda: MANAGER("http://h").socket("/", timeout=1), "socket() has no option 'timeout': its manager has"),
        (lambda: MANAGER("http://h").socket("/", retry=1), "socket() has no option 'retry'; did you mean 'retries'?"),
        (
            lambda: CONNECT("http://h", transport_options={"polling": {"header": {}}}),
            "option 'transport_options' has no 'header'; did you mean 'extra_headers'?",
        ),
    ],
)
def test_names_that_are_wrong(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError) as refused:
        make()
    assert str(refused.value) == message


def test_options_of_a_transport() -> None:
    special: Any = {"polling": {"path": "p", "request_timeout": 5}, "websocket": {"proxy": "socks5://h:1"}}
    options = Manager("http://h", transport_options=special, force_base64=True).options
    polling, websocket = options.for_transport("polling"), options.for_transport("websocket")
    assert (polling.path, polling.request_timeout, polling.force_base64) == ("/p", 5.0, True)
    assert (websocket.path, websocket.proxy, websocket.force_base64) == ("/socket.io", "socks5://h:1", True)
    plain = Manager("http://h").options
    assert plain.for_transport("polling") is plain
