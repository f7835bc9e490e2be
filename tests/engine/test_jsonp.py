"""JSONP on values: scripts that a page runs, forms that it sends, and whose page it may be."""

from __future__ import annotations

import json
import re
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.handshake import Admission
from socketeer.engine.http import Response
from socketeer.engine.jsonp import read_form, write_script
from socketeer.engine.session import State
from socketeer.exceptions import PacketError
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, request, state_of

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])
FORM = "application/x-www-form-urlencoded"
TEXTS = [
    "plain",
    'quotes " \' ` and \\ backslashes \\\\ \\" </script><!--',
    "line\nfeed \r\n \u2028 \u2029 \x00 \x7f",
    "written \\n twice \\\\n thrice \\\\\\n",
    "é 本 🦊 + % & = %41 a b",
]


def form(payload: str) -> bytes:
    """Write a form as the official clients do, and browsers after them."""
    escaped = payload.replace("\\n", "\\\\n").replace("\n", "\\n")
    return b"d=" + quote_plus(escaped).encode()


def payload_of(revision: Revision, *packets: str) -> str:
    if revision is REVISION_5:
        return "\x1e".join(packets)
    return "".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets)


# Scripts


@pytest.mark.parametrize("text", TEXTS)
def test_a_script_is_one_call_with_one_string(text: str) -> None:
    script = write_script(text.encode(), "7")
    found = re.fullmatch(rb'___eio\[7\]\((".*")\);', script)
    assert found is not None
    assert json.loads(found[1]) == text
    assert script.isascii()
    assert re.search(rb"[\x00-\x1f]", script) is None


def test_half_a_surrogate_pair_gets_through() -> None:
    assert write_script("\ud83e".encode("utf-8", "surrogatepass"), "0") == b'___eio[0]("\\ud83e");'


@pytest.mark.parametrize(
    ("j", "number"),
    [
        ("0", "0"),
        ("12", "12"),
        ("0](alert(1));//", "01"),
        ("", ""),
        ("abc", ""),
        ("1\n2", "12"),
        ("\u0661", ""),
        ("1,2", "12"),
    ],
)
def test_nothing_but_digits_of_the_number_gets_into_the_script(j: str, number: str) -> None:
    harness = EngineHarness()
    _, _, polling = harness.open_polling(j=j)
    harness.engine.sessions["session-1"].write(b"4x", ())
    assert Poll(polling).answer().body == f'___eio[{number}]("4x");'.encode()


@REVISIONS
def test_the_answers_say_what_they_are(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling(revision, j="3")
    session.write(b'42["\xe2\x82\xac"]', (b"\x00\xff",))
    response = Poll(polling).answer()
    assert dict(response.headers) == {
        b"content-type": b"text/javascript; charset=UTF-8",
        b"x-content-type-options": b"nosniff",
        b"cache-control": b"no-store",
    }
    payload = json.loads(response.body.removeprefix(b"___eio[3](").removesuffix(b");"))
    binary = "bAP8=" if revision is REVISION_5 else "b4AP8="
    if revision is REVISION_5:
        assert payload == f'42["€"]\x1e{binary}'
    else:
        assert payload == rf'12:42["\u20ac"]6:{binary}'


# Forms


@pytest.mark.parametrize("text", TEXTS)
@REVISIONS
def test_a_form_carries_packets(revision: Revision, text: str) -> None:
    harness = EngineHarness()
    _, receiver, polling = harness.open_polling(revision, j="0")
    written = json.dumps(text, ensure_ascii=False)  # where clients write no newline but an escaped one
    assert harness.post(polling, form(payload_of(revision, f"4{written}", "4b")), FORM).body == b"ok"
    assert receiver.received == [written, "b"]


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"d=4a", b"4a"),
        (b"d=4a%0Ab", b"4a\nb"),
        (rb"d=4a\nb", b"4a\nb"),
        (rb"d=4a\\nb", rb"4a\nb"),
        (rb"d=4a\\\nb", rb"4a\\nb"),
        (b"d=%5C%6e", b"\n"),
        (b"d=%zz%", b"%zz%"),
        (b"d=%FF", b"\xff"),
        (b"d=", b""),
        (b"d", b""),
        (b"x=1&d=4a+b&y", b"4a b"),
        (b"d=a=b", b"a=b"),
        (b"&" * 15 + b"d=4", b"4"),
    ],
)
def test_what_a_form_holds(body: bytes, payload: bytes) -> None:
    assert read_form(body) == payload


@pytest.mark.parametrize("body", [b"", b"4a", b"D=4", b"d=4&d=5", b"e=4", b"&" * 16 + b"d=4", b"%64=4"])
def test_a_form_that_holds_no_payload(body: bytes) -> None:
    with pytest.raises(PacketError):
        read_form(body)


@pytest.mark.parametrize("body", [b"", b"4a", b"d=", b"d=x", b"d=%FF"])
@REVISIONS
def test_a_bad_form_ends_the_session(revision: Revision, body: bytes) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision, j="0")
    assert harness.post(polling, body, FORM).status == 400
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["parse error"]


@given(st.text().filter(lambda text: "\\\n" not in text))
def test_any_text_goes_through_a_form_and_a_script(text: str) -> None:
    # But a backslash before a newline, which clients write as they write a backslash and an n: JSON has neither.
    assert read_form(form(text)).decode() == text
    script = write_script(text.encode(), "1")
    assert json.loads(script.removeprefix(b"___eio[1](").removesuffix(b");")) == text


@given(st.binary())
def test_any_body_is_a_form_or_breaks_the_protocol(body: bytes) -> None:
    try:
        payload = read_form(body)
    except PacketError:
        return
    assert len(payload) <= len(body)


# Whose page it is


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # no browser, or one that cannot be told from none
        ({"referer": "http://localhost/page"}, True),
        ({"referer": "https://localhost/page?x"}, True),  # TLS may end at a proxy
        ({"referer": "https://evil.example/http://localhost/"}, False),
        ({"referer": "https://evil.example"}, False),
        ({"referer": "nonsense"}, False),
        ({"referer": "https://ev\x00il.example/"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "same-origin", "referer": "http://localhost/"}, True),
        ({"sec-fetch-site": "cross-site", "referer": "https://friend.example/"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "https://friend.example"}, True),
        ({"origin": "https://evil.example", "referer": "https://friend.example/"}, False),
    ],
)
@pytest.mark.parametrize("sid", [None, "session-1"])
def test_a_script_of_another_origin_is_refused(headers: dict[str, str], allowed: bool, sid: str | None) -> None:
    harness = EngineHarness(cors="https://friend.example")
    harness.open_polling()
    query = {"EIO": "3", "transport": "polling", "j": "0"} | ({} if sid is None else {"sid": sid})
    answer = harness.engine.check(request(query, headers=headers))
    assert isinstance(answer, Admission if allowed else Response)
    del query["j"]  # only scripts come without the name of their origin
    assert isinstance(harness.engine.check(request(query, headers=headers)), Admission) or "origin" in headers


def test_all_origins_may_be_allowed_to_load_scripts() -> None:
    harness = EngineHarness(cors="*")
    query = {"EIO": "3", "transport": "polling", "j": "0"}
    for headers in ({"referer": "https://any.example/"}, {"sec-fetch-site": "cross-site"}):
        assert harness.engine.check(request(query, headers=headers)) == Admission(None, REVISION_4)
