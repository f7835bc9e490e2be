"""The origin policy: who may connect, what browsers are told, and that wrong options are refused by name."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.cors import Cors, OriginPolicy, is_malformed

APP = "https://app.example"


def policy(cors: Any = None) -> OriginPolicy:
    return OriginPolicy.from_option(cors)


def allowed(cors: Any, origin: str | None) -> bool:
    """Ask for a request to a host that no origin of these tests has."""
    return policy(cors).allows(origin, "server.example", True)


def told(cors: Any, origin: str | None) -> dict[str, str]:
    return as_dict(policy(cors).response_headers(origin))


def preflight(cors: Any, origin: str | None, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    return as_dict(policy(cors).preflight(origin, headers or {}))


def as_dict(headers: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    names = [name for name, _ in headers]
    assert len(names) == len(set(names)), f"a header was sent twice: {headers}"
    return {name.decode(): value.decode() for name, value in headers}


# Who may connect


@pytest.mark.parametrize("cors", [None, False, [], "*", APP])
def test_a_request_without_origin_is_not_checked(cors: Any) -> None:
    assert policy(cors).allows(None, None, False)


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://localhost:3000", "localhost:3000", False),
        ("http://example.com", "example.com", False),
        ("http://example.com", "example.com:80", False),
        ("http://example.com:80", "example.com", False),
        ("https://example.com", "example.com", True),
        ("https://example.com", "example.com:443", True),
        ("https://example.com:8443", "example.com:8443", True),
        ("https://Example.COM", "eXample.com", True),
        ("http://[::1]:3000", "[::1]:3000", False),
        ("http://[2001:DB8::1]", "[2001:db8::1]:80", False),
        # TLS ended at a proxy that kept the Host header.
        ("https://example.com", "example.com", False),
        ("https://example.com", "example.com:443", False),
        ("https://example.com:8443", "example.com:8443", False),
    ],
)
@pytest.mark.parametrize("cors", [None, False, "https://other.example", []])
def test_the_servers_own_origin_is_allowed(cors: Any, origin: str, host: str, secure: bool) -> None:
    assert policy(cors).allows(origin, host, secure)


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("https://evil.example", "example.com", True),
        ("http://example.com", "example.com", True),  # a page that came in the clear
        ("http://example.com:3001", "example.com:3000", False),
        ("http://example.com", "example.com:3000", False),
        ("https://example.com", "example.com:80", False),
        ("https://example.com.evil.example", "example.com", True),
        ("https://sub.example.com", "example.com", True),
        ("https://example.com@evil.example", "evil.example", True),
        ("https://evil.example/example.com", "example.com", True),
        ("https://example.com/", "example.com", True),  # no browser sends a path
        ("https://example.com:65536", "example.com:65536", True),
        ("https://example.com:", "example.com", True),
        ("https://", "", True),
        ("https://", ":443", True),
        ("https://*", "*", True),
        ("example.com", "example.com", True),
        ("chrome-extension://example.com", "example.com", True),
        ("file://", "", False),
        ("null", "null", False),
        ("null", None, False),
        ("", "", False),
        ("", "example.com", False),
        ("https://example.com", None, True),
        ("https://example.com", "", True),
        ("https://example.com", "example.com, evil.example", True),
        ("https://example.com https://evil.example", "example.com", True),
    ],
)
def test_every_other_origin_is_refused_by_default(origin: str, host: str | None, secure: bool) -> None:
    assert not policy(None).allows(origin, host, secure)


@pytest.mark.parametrize(
    ("cors", "origin", "expected"),
    [
        (APP, "https://app.example", True),
        (APP, "https://app.example:443", True),
        (APP, "HTTPS://APP.example", True),
        (APP, "http://app.example", False),
        (APP, "https://app.example:8443", False),
        (APP, "https://app.example.evil.example", False),
        (APP, "https://evilapp.example", False),
        (APP, "null", False),
        (APP + "/", "https://app.example", True),
        (APP + ":443", "https://app.example", True),
        ("http://App.Example:80/", "http://app.example", True),
        ("http://[::1]:8080", "http://[::1]:8080", True),
        ("null", "null", True),
        ("null", "https://app.example", False),
        ("file://", "file://", True),
        ("file://", "https://app.example", False),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("capacitor://localhost", "capacitor://localhost:1", False),
        ("chrome-extension://abc", "chrome-extension://abc", True),
        ("*", "https://anyone.example", True),
        ("*", "null", True),
        (True, "https://anyone.example", True),
        (False, "https://anyone.example", False),
        ([], "https://anyone.example", False),
        (["*"], "https://anyone.example", True),
        (["https://a.example", APP], "https://app.example", True),
        (("https://a.example", APP), "https://app.example", True),
        ({"https://a.example", APP}, "https://b.example", False),
        (re.compile(r"https://[a-z]+\.example"), "https://app.example", True),
        (re.compile(r"https://[a-z]+\.example"), "https://app.example.evil", False),
        (re.compile(r"https://[a-z]+\.example"), "xhttps://app.example", False),
        (["https://a.example", re.compile(r"https://b\d\.example")], "https://b7.example", True),
        (lambda origin: origin.endswith(".example"), "https://app.example", True),
        (lambda origin: origin.endswith(".example"), "https://app.test", False),
        (lambda origin: re.match("https://a", origin), "https://app.example", True),
        ([APP, lambda origin: origin == "https://x.test"], "https://x.test", True),
        (Cors(), "https://anyone.example", True),
        (Cors(APP), "https://anyone.example", False),
        (Cors([APP], credentials=True), "https://app.example", True),
    ],
)
def test_the_option_says_which_other_origins_may_connect(cors: Any, origin: str, expected: bool) -> None:
    assert allowed(cors, origin) is expected


@pytest.mark.parametrize("origin", ["https://a\r\nb", "https://a\x00", "https://a\x7f", "https://\xe9.example", "\t"])
@pytest.mark.parametrize("cors", [None, "*", True, Cors(credentials=True), re.compile("(?s:.*)"), lambda origin: True])
def test_a_malformed_origin_is_refused_by_every_rule_and_never_echoed(cors: Any, origin: str) -> None:
    assert is_malformed(origin)
    assert not policy(cors).allows(origin, "a", False)
    for headers in (told(cors, origin), preflight(cors, origin)):
        assert headers.get("access-control-allow-origin", "*") == "*"


@pytest.mark.parametrize("origin", ["null", "https://example.com", "file://", "", "https://a https://b"])
def test_what_browsers_send_is_not_malformed(origin: str) -> None:
    assert not is_malformed(origin)


def test_a_callable_that_fails_refuses_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(origin: str) -> bool:
        raise LookupError("no such tenant")

    assert not allowed(broken, APP)
    assert "no such tenant" in caplog.text


async def _asynchronous(origin: str) -> bool:
    return True


class _Later:
    def __await__(self) -> Generator[None, None, bool]:
        yield
        return True


@pytest.mark.parametrize("later", [_asynchronous, lambda origin: _Later()])
def test_a_callable_that_answers_later_refuses_and_says_so(later: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert not allowed(lambda origin: later(origin), APP)
    assert "awaitable" in caplog.text


@given(st.text(max_size=40), st.none() | st.text(max_size=40), st.booleans())
def test_no_text_makes_the_policy_raise(origin: str, host: str | None, secure: bool) -> None:
    for cors in (None, APP, Cors(credentials=True), re.compile("https://a+")):
        rule = policy(cors)
        rule.allows(origin, host, secure)
        rule.response_headers(origin)
        rule.preflight(origin, {"access-control-request-headers": origin})
        assert rule.refusal(origin).isprintable()


@given(st.from_regex(r"https?://[a-z0-9.-]{1,20}(:[0-9]{1,4})?", fullmatch=True))
def test_an_origin_is_its_own_servers_and_matches_itself_as_the_option(origin: str) -> None:
    scheme, host = origin.split("://")
    assert policy(None).allows(origin, host, scheme == "https")
    assert allowed(origin, origin)


# What browsers are told


@pytest.mark.parametrize("origin", [None, APP, "null"])
def test_without_the_option_there_is_no_cors_header(origin: str | None) -> None:
    assert told(None, origin) == {}
    assert preflight(None, origin, {"access-control-request-headers": "x-token"}) == {}


@pytest.mark.parametrize("origin", [None, APP])
def test_star_is_told_to_everybody(origin: str | None) -> None:
    assert told("*", origin) == {"access-control-allow-origin": "*"}


@pytest.mark.parametrize("cors", [APP, [APP], True, re.compile(".*"), lambda origin: True])
def test_an_allowed_origin_is_named_and_caches_are_told_that_it_matters(cors: Any) -> None:
    assert told(cors, APP) == {"access-control-allow-origin": APP, "vary": "Origin"}


@pytest.mark.parametrize("cors", [APP, False, [], Cors(APP, credentials=True, exposed_headers=["x-a"])])
@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
def test_nobody_else_is_named(cors: Any, origin: str | None) -> None:
    assert told(cors, origin) == {"vary": "Origin"}


def test_the_origin_is_named_as_the_browser_wrote_it() -> None:
    assert told(APP, "https://APP.example:443")["access-control-allow-origin"] == "https://APP.example:443"


@pytest.mark.parametrize("origin_option", ["*", True, [APP]])
def test_credentials_need_a_named_origin(origin_option: Any) -> None:
    assert told(Cors(origin_option, credentials=True), APP) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }


@pytest.mark.parametrize("exposed", [["x-a", "X-B"], ("x-a", "X-B"), "x-a, X-B"])
def test_exposed_headers_are_listed_in_answers_only(exposed: Any) -> None:
    cors = Cors("*", exposed_headers=exposed)
    assert told(cors, APP) == {"access-control-allow-origin": "*", "access-control-expose-headers": "x-a,X-B"}
    assert "access-control-expose-headers" not in preflight(cors, APP)


def test_a_preflight_allows_the_headers_that_were_asked_for() -> None:
    assert preflight("*", APP, {"access-control-request-headers": "X-Token, content-type"}) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "X-Token, content-type",
        "vary": "Access-Control-Request-Headers",
    }


def test_a_preflight_of_a_named_origin_varies_by_both() -> None:
    assert preflight(APP, APP, {"access-control-request-headers": "x-token"}) == {
        "access-control-allow-origin": APP,
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "x-token",
        "vary": "Origin, Access-Control-Request-Headers",
    }


def test_a_preflight_tells_what_the_record_says() -> None:
    cors = Cors(APP, methods="GET, POST,OPTIONS", allowed_headers=["x-token"], credentials=True, max_age=0)
    assert preflight(cors, APP, {"access-control-request-headers": "x-other"}) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST,OPTIONS",
        "access-control-allow-headers": "x-token",
        "access-control-max-age": "0",
        "vary": "Origin",
    }


def test_a_preflight_without_wanted_headers_lists_none() -> None:
    assert "access-control-allow-headers" not in preflight(APP, APP)


def test_an_empty_list_of_allowed_headers_allows_none() -> None:
    answer = preflight(Cors(APP, allowed_headers=[]), APP, {"access-control-request-headers": "x-token"})
    assert "access-control-allow-headers" not in answer


def test_a_refused_preflight_tells_nothing() -> None:
    answer = preflight(APP, "https://evil.example", {"access-control-request-headers": "x-token"})
    assert answer == {"vary": "Origin, Access-Control-Request-Headers"}


@pytest.mark.parametrize("wanted", ["x\r\nset-cookie: a=b", "x\x00", "\xe9", "x;y", '"x"'])
def test_what_is_no_list_of_header_names_is_not_reflected(wanted: str) -> None:
    assert "access-control-allow-headers" not in preflight("*", APP, {"access-control-request-headers": wanted})


@pytest.mark.parametrize(("length", "reflected"), [(4096, True), (4097, False)])
def test_a_reflected_list_of_headers_is_bounded(length: int, reflected: bool) -> None:
    answer = preflight("*", APP, {"access-control-request-headers": "x" * length})
    assert ("access-control-allow-headers" in answer) is reflected


# The refusal


def test_the_refusal_names_the_fix() -> None:
    assert policy(None).refusal(APP) == (
        'Origin https://app.example is not allowed; pass cors="https://app.example" to Server(...) to allow it'
    )


def test_the_refusal_of_a_configured_server_says_what_to_add() -> None:
    assert policy("https://a.example").refusal(APP) == (
        'Origin https://app.example is not allowed; add "https://app.example" to the option cors of Server(...) '
        "to allow it"
    )


def test_following_the_refusals_advice_allows_the_origin() -> None:
    advised = re.search(r'cors="([^"]+)"', policy(None).refusal("null"))
    assert advised is not None
    assert allowed(advised[1], "null")


@pytest.mark.parametrize(
    "hostile", ["https://x\r\nSet-Cookie: a=b", "\x1b[31mred", "x" * 100_000, 'a", **evil', "\u202eabc", "\ud800"]
)
def test_hostile_text_is_escaped_and_cut_in_the_refusal(hostile: str) -> None:
    for cors in (None, APP):
        text = policy(cors).refusal(hostile)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 300
        assert "pass cors=" not in text
        assert "add " not in text


# Wrong options


@pytest.mark.parametrize(
    "cors",
    [
        5,
        b"https://app.example",
        object(),
        Cors,
        {"origin": "*"},
        [5],
        [True],
        [None],
        [["https://app.example"]],
        re.compile(b"x"),
        [re.compile(b"x")],
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(cors: Any) -> None:
    with pytest.raises(TypeError, match="option 'cors'"):
        policy(cors)


@pytest.mark.parametrize("cors", [_asynchronous, [_asynchronous]])
def test_a_coroutine_function_is_refused_by_name(cors: Any) -> None:
    with pytest.raises(TypeError, match=r"option 'cors' .*coroutine"):
        policy(cors)


@pytest.mark.parametrize(
    "cors",
    [
        "",
        "example.com",
        "localhost:3000",
        "https://",
        "https://example.com/app",
        "https://example.com//",
        "https://example.com?x",
        "https://example.com:port",
        "https://example.com:70000",
        "https://user@example.com",
        "https://*.example.com",
        "https://a.example, https://b.example",
        "https://a.example\r\nx: y",
        "NULL",
        ["https://a.example", "b.example"],
    ],
)
def test_what_is_no_origin_is_refused_by_name(cors: Any) -> None:
    with pytest.raises(ValueError, match="option 'cors'"):
        policy(cors)


def test_the_message_about_a_wildcard_host_names_the_pattern() -> None:
    with pytest.raises(ValueError, match=r"re\.compile"):
        policy("https://*.example.com")


def test_a_host_outside_ascii_is_to_be_written_in_its_ascii_form() -> None:
    with pytest.raises(ValueError, match=r"option 'cors'.*xn--"):
        policy("https://b\xfccher.example")
    assert allowed("https://xn--bcher-kva.example", "https://xn--bcher-kva.example")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"origin": 5}, TypeError),
        ({"origin": "example.com"}, ValueError),
        ({"methods": 5}, TypeError),
        ({"methods": [5]}, TypeError),
        ({"methods": None}, TypeError),
        ({"methods": ["GET\r\n"]}, ValueError),
        ({"methods": [""]}, ValueError),
        ({"allowed_headers": ["x y"]}, ValueError),
        ({"allowed_headers": "x:y"}, ValueError),
        ({"allowed_headers": 5}, TypeError),
        ({"exposed_headers": ["x\n"]}, ValueError),
        ({"exposed_headers": None}, TypeError),
        ({"credentials": "yes"}, TypeError),
        ({"credentials": 1}, TypeError),
        ({"max_age": "60"}, TypeError),
        ({"max_age": 1.5}, TypeError),
        ({"max_age": True}, TypeError),
        ({"max_age": -1}, ValueError),
    ],
)
def test_a_wrong_field_of_the_record_is_refused_by_name(fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="option 'cors'"):
        Cors(**fields)
