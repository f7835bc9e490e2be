"""The options of a server: their defaults, and that whatever is wrong is refused by name."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from socketeer import Server
from socketeer.options import ConnectionStateRecovery, Cookie, HttpCompression, PerMessageDeflate, ServerOptions

DEFAULTS: dict[str, Any] = {
    "path": "/socket.io",
    "transports": ("polling", "websocket"),
    "allow_upgrades": True,
    "allow_eio3": True,
    "ping_interval": 25.0,
    "ping_timeout": 20.0,
    "upgrade_timeout": 10.0,
    "connect_timeout": 45.0,
    "close_timeout": 30.0,
    "ack_timeout": 10.0,
    "attachment_timeout": 60.0,
    "max_http_buffer_size": 1_000_000,
    "max_header_bytes": 16_384,
    "max_attachments": 10,
    "max_packet_bytes": 10_000_000,
    "max_fragments": 1024,
    "max_buffered_bytes": 16_000_000,
    "max_waiting_events": 1000,
    "max_queued_events": 10_000,
    "max_namespaces": 1000,
    "cors": None,
    "allow_request": None,
    "cookie": None,
    "http_compression": HttpCompression(),
    "per_message_deflate": None,
    "initial_packet": None,
    "add_trailing_slash": True,
    "serve_client": True,
    "adapter": None,
    "parser": None,
    "connection_state_recovery": None,
    "cleanup_empty_child_namespaces": True,
    "event_concurrency": "concurrent",
}
RECORDS: dict[str, type[Any]] = {
    "connection_state_recovery": ConnectionStateRecovery,
    "cookie": Cookie,
    "http_compression": HttpCompression,
    "per_message_deflate": PerMessageDeflate,
}
FLAGS = [name for name, value in DEFAULTS.items() if isinstance(value, bool)]
TIMES = [name for name, value in DEFAULTS.items() if isinstance(value, float)]
COUNTS = [name for name, value in DEFAULTS.items() if type(value) is int]


def test_the_defaults() -> None:
    options = ServerOptions()
    assert {field.name: getattr(options, field.name) for field in dataclasses.fields(options)} == DEFAULTS
    assert ServerOptions.from_keywords({}) == ServerOptions()


def test_every_option_has_its_documentation() -> None:
    source = inspect.getsource(ServerOptions)
    for name in DEFAULTS:
        line = next(line for line in source.splitlines() if line.startswith(f"    {name}: "))
        following = source.partition(line)[2].lstrip("\n").splitlines()[0]
        assert following.startswith('    """'), name


def test_options_are_settled() -> None:
    options = ServerOptions.from_keywords({"path": "/x"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.path = "/y"  # type: ignore[misc]


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_may_be_given(name: str) -> None:
    assert ServerOptions.from_keywords({name: DEFAULTS[name]}) == ServerOptions()


# Flags, times, counts


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag(name: str) -> None:
    assert getattr(ServerOptions.from_keywords({name: False}), name) is False
    assert getattr(ServerOptions.from_keywords({name: True}), name) is True


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [None, 0, 1, "yes", "", [], {}])
def test_a_wrong_flag(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"option '{name}' takes True or False, not "):
        ServerOptions.from_keywords({name: value})


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("value", [0.001, 1, 30.5, 10**6])
def test_a_time(name: str, value: float) -> None:
    kept = getattr(ServerOptions.from_keywords({name: value}), name)
    assert kept == value
    assert type(kept) is float


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("value", [None, "25", True, False, [1], 1j, b"1"])
def test_a_time_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"option '{name}' takes a number of seconds, not "):
        ServerOptions.from_keywords({name: value})


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "value", [0, 0.0, -0.0, -1, -0.5, float("inf"), float("-inf"), float("nan"), 10**400, -(10**400)]
)
def test_a_time_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"option '{name}' must be more than 0 seconds and finite, not "):
        ServerOptions.from_keywords({name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [1, 7, 10**12])
def test_a_count(name: str, value: int) -> None:
    assert getattr(ServerOptions.from_keywords({name: value}), name) == value


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [None, "1", 1.0, True, False, [1], float("inf")])
def test_a_count_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"option '{name}' takes a whole number, not "):
        ServerOptions.from_keywords({name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [-1, 0, -(10**12)])
def test_a_count_out_of_range(name: str, value: int) -> None:
    if (name, value) == ("max_attachments", 0):
        assert ServerOptions.from_keywords({name: 0}).max_attachments == 0  # none at all is a fair limit
        return
    least = 0 if name == "max_attachments" else 1
    with pytest.raises(ValueError, match=f"option '{name}' must be at least {least}, not {value}"):
        ServerOptions.from_keywords({name: value})


# The others


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/socket.io", "/socket.io"),
        ("/socket.io/", "/socket.io"),
        ("socket.io", "/socket.io"),
        ("/my/own/path/", "/my/own/path"),
        ("/a-b_c.~1", "/a-b_c.~1"),
    ],
)
def test_a_path(value: str, path: str) -> None:
    assert ServerOptions.from_keywords({"path": value}).path == path


@pytest.mark.parametrize("value", ["", "/", "//", "/a b", "/a?b", "/a#b", "/é", "/a\nb", "/a\x00", "/a\t", "/a%20b"])
def test_a_path_that_no_request_could_have(value: str) -> None:
    with pytest.raises(ValueError, match=r"option 'path' must be a URL path such as '/socket\.io', not "):
        ServerOptions.from_keywords({"path": value})


@pytest.mark.parametrize("value", [None, b"/socket.io", 5, True, ["/socket.io"]])
def test_a_path_of_a_wrong_type(value: Any) -> None:
    with pytest.raises(TypeError, match="option 'path' takes a str, not "):
        ServerOptions.from_keywords({"path": value})


@pytest.mark.parametrize(
    ("value", "transports"),
    [
        (["polling"], ("polling",)),
        (("websocket",), ("websocket",)),
        (["websocket", "polling"], ("websocket", "polling")),
        (["polling", "polling", "websocket"], ("polling", "websocket")),
    ],
)
def test_transports(value: Any, transports: tuple[str, ...]) -> None:
    assert ServerOptions.from_keywords({"transports": value}).transports == transports


@pytest.mark.parametrize("value", [None, "polling", "websocket", {"polling"}, 5, {"polling": True}, iter(["polling"])])
def test_transports_of_a_wrong_type(value: Any) -> None:
    with pytest.raises(TypeError, match="option 'transports' takes a list of transports, not "):
        ServerOptions.from_keywords({"transports": value})


@pytest.mark.parametrize(
    "value", [["webtransport"], ["polling", "flash"], ["Polling"], [None], [["polling"]], b"polling"]
)
def test_unknown_transports(value: Any) -> None:
    with pytest.raises(ValueError, match="option 'transports' knows polling, websocket, not "):
        ServerOptions.from_keywords({"transports": value})


@pytest.mark.parametrize("value", [[], ()])
def test_no_transports(value: Any) -> None:
    with pytest.raises(ValueError, match="option 'transports' needs at least one transport"):
        ServerOptions.from_keywords({"transports": value})


@pytest.mark.parametrize(("value", "error"), [(5, TypeError), ("example.com", ValueError), ([None], TypeError)])
def test_cors_is_checked_when_the_server_is_made(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="option 'cors'"):
        Server(cors=value)


# Records, hooks and words


@pytest.mark.parametrize(("name", "record"), RECORDS.items())
def test_a_record_may_be_given_in_several_ways(name: str, record: type[Any]) -> None:
    """Take it whole, as a mapping, as True for its defaults and as False or None for nothing."""

    def kept(value: Any) -> Any:
        return getattr(ServerOptions.from_keywords({name: value}), name)

    values: dict[str, dict[str, Any]] = {
        "connection_state_recovery": {"max_disconnection_duration": 2, "skip_middlewares": False},
        "cookie": {"name": "lb", "same_site": "none", "secure": True},
        "http_compression": {"threshold": 0},
        "per_message_deflate": {"threshold": 0, "window_bits": 9},
    }
    changed = values[name]
    assert kept(True) == record()
    assert kept(False) is kept(None) is None
    assert kept({}) == record()
    assert kept(changed) == record(**changed) != record()
    whole = record(**changed)
    assert kept(whole) is whole
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(whole, next(iter(changed)), None)


@pytest.mark.parametrize(("name", "record"), RECORDS.items())
@pytest.mark.parametrize("value", [0, 1, 1.5, b"io", [], ("name", "io"), object, ServerOptions()])
def test_a_record_of_a_wrong_type(name: str, record: type[Any], value: Any) -> None:
    with pytest.raises(TypeError, match=f"option '{name}' takes True, False or a {record.__name__}, not "):
        ServerOptions.from_keywords({name: value})


def test_a_record_of_another_option_is_refused() -> None:
    with pytest.raises(TypeError, match="option 'per_message_deflate' takes True, False or a PerMessageDeflate, not "):
        ServerOptions.from_keywords({"per_message_deflate": HttpCompression()})


@pytest.mark.parametrize(
    ("name", "field", "meant"),
    [
        ("connection_state_recovery", "maxDisconnectionDuration", "max_disconnection_duration"),
        ("connection_state_recovery", "skipMiddlewares", "skip_middlewares"),
        ("cookie", "httpOnly", "http_only"),
        ("http_compression", "treshold", "threshold"),
        ("per_message_deflate", "serverNoContextTakeover", "server_no_context_takeover"),
    ],
)
def test_a_field_that_is_nearly_right(name: str, field: str, meant: str) -> None:
    with pytest.raises(TypeError) as caught:
        ServerOptions.from_keywords({name: {field: 1}})
    assert str(caught.value) == f"option '{name}' has no '{field}'; did you mean '{meant}'?"


@pytest.mark.parametrize("field", ["biscuit", 7, None])
def test_a_field_that_is_like_none(field: Any) -> None:
    with pytest.raises(TypeError) as caught:
        ServerOptions.from_keywords({"cookie": {field: 1}})
    assert str(caught.value) == f"option 'cookie' has no {field!r}"


@pytest.mark.parametrize(
    ("name", "field", "good", "bad"),
    [
        ("connection_state_recovery", "max_disconnection_duration", 0.001, 0),
        ("connection_state_recovery", "max_packets", 1, 0),
        ("connection_state_recovery", "max_bytes", 1, 0),
        ("http_compression", "threshold", 0, -1),
        ("http_compression", "level", 1, 0),
        ("http_compression", "level", 9, 10),
        ("per_message_deflate", "threshold", 0, -1),
        ("per_message_deflate", "level", 1, 0),
        ("per_message_deflate", "level", 9, 10),
        ("per_message_deflate", "window_bits", 9, 8),
        ("per_message_deflate", "window_bits", 15, 16),
    ],
)
def test_a_field_at_its_limit_and_one_past(name: str, field: str, good: Any, bad: Any) -> None:
    assert getattr(getattr(ServerOptions.from_keywords({name: {field: good}}), name), field) == good
    with pytest.raises(ValueError, match=rf"^option '{name}\.{field}' must be .*, not {bad}$"):
        ServerOptions.from_keywords({name: {field: bad}})


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (record, field.name)
        for record in RECORDS.values()
        if record is not Cookie
        for field in dataclasses.fields(record)
    ],
)
@pytest.mark.parametrize("value", ["1", None, [1], 1j])
def test_a_field_of_a_wrong_type(record: type[Any], field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^option '\w+\.{field}' takes .*, not "):
        record(**{field: value})


def test_a_cookie_may_be_given_by_its_name() -> None:
    assert ServerOptions.from_keywords({"cookie": "lb"}).cookie == Cookie(name="lb")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("name", "", ValueError),
        ("name", "a b", ValueError),
        ("name", "a=b", ValueError),
        ("name", "a;b", ValueError),
        ("name", "é", ValueError),
        ("name", "a\r\nx: y", ValueError),
        ("name", "a\n", ValueError),
        ("name", None, TypeError),
        ("path", "/; Domain=evil.example", ValueError),
        ("path", "/\r\nx: y", ValueError),
        ("path", "", ValueError),
        ("path", b"/", TypeError),
        ("domain", "evil.example\n", ValueError),
        ("domain", "exämple.com", ValueError),
        ("domain", 5, TypeError),
        ("same_site", "Lax", ValueError),
        ("same_site", "lax; x", ValueError),
        ("same_site", True, ValueError),
        ("secure", 1, TypeError),
        ("http_only", None, TypeError),
        ("max_age", -1, ValueError),
        ("max_age", 1.5, TypeError),
        ("max_age", "60", TypeError),
        ("max_age", True, TypeError),
    ],
)
def test_a_cookie_that_would_break_its_header(field: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"option 'cookie.{field}' "):
        Cookie(**{field: value})
    with pytest.raises(error, match=f"option 'cookie.{field}' "):
        ServerOptions.from_keywords({"cookie": {field: value}})


def test_a_cookie_at_the_limits_of_what_is_allowed() -> None:
    cookie = Cookie(name="!#$%&'*+-.^_`|~09AZaz", path="/ a~", domain=".example.com", same_site=None, max_age=0)
    assert ServerOptions(cookie=cookie).cookie is cookie


@pytest.mark.parametrize("value", ["polling", 5, True, {}])
def test_what_cannot_be_asked_is_no_allow_request(value: Any) -> None:
    with pytest.raises(TypeError, match="option 'allow_request' takes a callable, not "):
        ServerOptions.from_keywords({"allow_request": value})


@pytest.mark.parametrize("value", ["", "hello", b"", b"\x00\xff"])
def test_an_initial_packet(value: Any) -> None:
    assert ServerOptions.from_keywords({"initial_packet": value}).initial_packet == value


@pytest.mark.parametrize("value", [5, True, ["hello"], bytearray(b"x")])
def test_an_initial_packet_of_a_wrong_type(value: Any) -> None:
    with pytest.raises(TypeError, match="option 'initial_packet' takes a str or bytes, not "):
        ServerOptions.from_keywords({"initial_packet": value})


@pytest.mark.parametrize("value", ["concurrent", "ordered"])
def test_a_concurrency(value: str) -> None:
    assert ServerOptions.from_keywords({"event_concurrency": value}).event_concurrency == value


@pytest.mark.parametrize("value", ["parallel", "", "Ordered", None, True, [], 1])
def test_an_unknown_concurrency(value: Any) -> None:
    with pytest.raises(ValueError, match="option 'event_concurrency' knows concurrent, ordered, not "):
        ServerOptions.from_keywords({"event_concurrency": value})


# Names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pingInterval", "ping_interval"),
        ("pingTimeout", "ping_timeout"),
        ("ping_intervall", "ping_interval"),
        ("maxHttpBufferSize", "max_http_buffer_size"),
        ("upgradeTimeout", "upgrade_timeout"),
        ("connectTimeout", "connect_timeout"),
        ("allowEIO3", "allow_eio3"),
        ("allowUpgrades", "allow_upgrades"),
        ("serveClient", "serve_client"),
        ("transport", "transports"),
        ("Path", "path"),
    ],
)
def test_a_name_that_is_nearly_right(name: str, meant: str) -> None:
    with pytest.raises(TypeError) as caught:
        ServerOptions.from_keywords({name: 1})
    assert str(caught.value) == f"Server() has no option '{name}'; did you mean '{meant}'?"


@pytest.mark.parametrize("name", ["biscuit", "xyz", "", "__class__", "from_keywords"])
def test_a_name_that_is_like_none(name: str) -> None:
    with pytest.raises(TypeError) as caught:
        ServerOptions.from_keywords({name: 1})
    assert str(caught.value) == f"Server() has no option {name!r}"


def test_an_unknown_name_counts_more_than_a_wrong_value() -> None:
    with pytest.raises(TypeError, match="has no option 'pings'"):
        Server(ping_interval="x", pings=1)  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_server_takes_and_keeps_each_option(name: str) -> None:
    assert getattr(Server(**{name: DEFAULTS[name]}).options, name) == DEFAULTS[name]
