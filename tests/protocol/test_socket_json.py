"""Socket.IO packets as bytes: the text form, JSON, binary placeholders, and all that is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.exceptions import PacketError
from socketeer.protocol import socket_json
from socketeer.protocol.packets import RESERVED_EVENTS, Packet, PacketType
from tests.protocol.work import WatchedBytes, assert_linear

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = PacketType
MOST = 10

json_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
any_json = st.recursive(
    json_leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
not_a_placeholder = st.text().filter(lambda key: key != "_placeholder")  # which nothing tells from a real one
with_binary = st.recursive(
    json_leaves | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(not_a_placeholder, inner, max_size=4),
    max_leaves=15,
)
namespaces = st.just("/") | st.text(st.characters(blacklist_characters=",", codec="utf-8")).map(lambda name: f"/{name}")
event_names = st.text().filter(lambda name: name not in RESERVED_EVENTS) | st.integers(0, 2**31)
ids = st.none() | st.integers(0, 10**15 - 1)


def decode(data: bytes | str, most: int = MOST) -> Packet:
    return socket_json.decode(data if isinstance(data, bytes) else data.encode(), most)


def encode(kind: PacketType, namespace: str, id: int | None, value: Any) -> tuple[bytes, tuple[bytes, ...]]:
    body, attachments = socket_json.dump(value)
    return socket_json.encode(kind, namespace, id, body, len(attachments)), attachments


# The text form.


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        ("40", Packet(CONNECT)),
        ('40{"token":"x"}', Packet(CONNECT, data={"token": "x"})),
        ("40{}", Packet(CONNECT, data={})),
        ("40/admin", Packet(CONNECT, "/admin")),
        ("40/admin,", Packet(CONNECT, "/admin")),
        ('40/admin,{"a":1}', Packet(CONNECT, "/admin", {"a": 1})),
        ("40/admin?token=1&x=2,", Packet(CONNECT, "/admin?token=1&x=2")),
        ("41", Packet(DISCONNECT)),
        ("41/admin,", Packet(DISCONNECT, "/admin")),
        ("41/admin", Packet(DISCONNECT, "/admin")),
        ('42["a"]', Packet(EVENT, data=["a"])),
        ('42["a",1,"2",{"3":[true,null]}]', Packet(EVENT, data=["a", 1, "2", {"3": [True, None]}])),
        ('420["a"]', Packet(EVENT, data=["a"], id=0)),
        ('4212["a"]', Packet(EVENT, data=["a"], id=12)),
        ('42/admin,456["a"]', Packet(EVENT, "/admin", ["a"], 456)),
        ('42/,["a"]', Packet(EVENT, "/", ["a"])),
        ('42/né/😀,["a"]', Packet(EVENT, "/né/😀", ["a"])),
        ("430[]", Packet(ACK, data=[], id=0)),
        ('43/admin,7["x"]', Packet(ACK, "/admin", ["x"], 7)),
        ('44{"message":"no"}', Packet(CONNECT_ERROR, data={"message": "no"})),
        ('44/admin,"Not authorized"', Packet(CONNECT_ERROR, "/admin", "Not authorized")),
        (
            '452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
            Packet(EVENT, "/", ["a", {"_placeholder": True, "num": 0}, {"_placeholder": True, "num": 1}], None, 2),
        ),
        ('451-/admin,8["a",{"_placeholder":true,"num":0}]',
         Packet(EVENT, "/admin", ["a", {"_placeholder": True, "num": 0}], 8, 1)),
        ('461-9[{"_placeholder":true,"num":0}]', Packet(ACK, "/", [{"_placeholder": True, "num": 0}], 9, 1)),
    ],
)  # fmt: skip
def test_every_form_of_a_packet_is_read(data: str, packet: Packet) -> None:
    assert decode(data) == packet


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (b"40", (CONNECT, "/", None, b"", 0)),
        (b'40{"sid":"x"}', (CONNECT, "/", None, b'{"sid":"x"}', 0)),
        (b"41/admin,", (DISCONNECT, "/admin", None, b"", 0)),
        (b'42["a"]', (EVENT, "/", None, b'["a"]', 0)),
        (b'42/admin,0["a"]', (EVENT, "/admin", 0, b'["a"]', 0)),
        (b'43456[1,"2"]', (ACK, "/", 456, b'[1,"2"]', 0)),
        ('44/né,"no"'.encode(), (CONNECT_ERROR, "/né", None, b'"no"', 0)),
        (b'452-/admin,1["a"]', (EVENT, "/admin", 1, b'["a"]', 2)),
        (b"461-3[]", (ACK, "/", 3, b"[]", 1)),
    ],
)
def test_every_form_of_a_packet_is_written(
    data: bytes, arguments: tuple[PacketType, str, int | None, bytes, int]
) -> None:
    assert socket_json.encode(*arguments) == data


def test_binary_events_come_back_as_events() -> None:
    assert decode('451-["a",{"_placeholder":true,"num":0}]').type is EVENT
    assert decode('461-0[{"_placeholder":true,"num":0}]').type is ACK


def test_no_attachments_at_all_are_a_complete_packet() -> None:
    assert decode('450-["a"]') == Packet(EVENT, data=["a"])
    assert decode('460-1["a"]') == Packet(ACK, data=["a"], id=1)


@pytest.mark.parametrize(
    "name", ["__proto__", "constructor", "hasOwnProperty", "toString", "error", "message", "", "\u2028", "\x00"]
)
def test_event_names_have_no_magic(name: str) -> None:
    assert decode(f"42[{json.dumps(name)}]").data == [name]


@pytest.mark.parametrize(("text", "name"), [("1", 1), ("0", 0), ("-3", -3), ("1.5", 1.5)])
def test_an_event_name_may_be_a_number(text: str, name: float) -> None:
    assert decode(f"42[{text}]").data == [name]


# What is refused.


@pytest.mark.parametrize(
    "data", ["", "4", "47", "48[]", "49", "4abc", "4a", "4 0", "4-", "4/", '4["a"]', "4\x02", "4\u0662"]
)
def test_an_unknown_type_is_refused(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        "42",
        "42{}",
        "42[]",
        "42null",
        "421",
        '42"a"',
        "42true",
        '42{"0":"a"}',
        "42/admin,",
        "42/admin,{}",
        "42/admin",
        "4212",
    ],
)
def test_the_payload_of_an_event_is_an_array_with_a_name(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


@pytest.mark.parametrize(
    "name", ['{"toString":1}', "{}", "[]", '["a"]', "null", "true", "false", '{"_placeholder":true,"num":0}']
)
@pytest.mark.parametrize("head", ["42", "450-", "451-"])
def test_an_event_name_is_a_string_or_a_number(head: str, name: str) -> None:
    with pytest.raises(PacketError):
        decode(f"{head}[{name}]")


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
@pytest.mark.parametrize("head", ["42", "421", "450-", "42/admin,"])
def test_a_reserved_event_name_is_refused(head: str, name: str) -> None:
    with pytest.raises(PacketError, match="reserved"):
        decode(f'{head}["{name}",1]')


def test_the_reserved_names_are_those_of_the_reference() -> None:
    expected = {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
    assert expected == RESERVED_EVENTS


@pytest.mark.parametrize(
    "data", ["40[]", '40"x"', "40null", "401", "40true", "40/a,[]", "400{}", "40/a,1", "40/a,1{}", "40{", "40x"]
)
def test_the_payload_of_connect_is_an_object(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


@pytest.mark.parametrize("data", ["41{}", "41[]", '41"x"', "41null", "411", "41/a,{}", "41/a,1", "41["])
def test_disconnect_has_no_payload(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


@pytest.mark.parametrize(
    "data", ["43", "43[]", "431", "431{}", '431"x"', "431null", "43/a,[]", "460-[]", "461-0{}", "43-1[]"]
)
def test_an_ack_is_an_id_and_an_array(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


@pytest.mark.parametrize("data", ["441", '441{"message":"x"}', "44/a,1"])
def test_a_connect_error_has_no_id(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


@pytest.mark.parametrize(
    "data", ['42abc["a"]', '42-1["a"]', '421.5["a"]', '42+1["a"]', '421 2["a"]', '421e3["a"]', '42٣["a"]', '42 1["a"]']
)
def test_an_ack_id_is_decimal_digits(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


def test_the_digits_of_an_ack_id_are_bounded() -> None:
    assert decode('42999999999999999["a"]').id == 10**15 - 1
    with pytest.raises(PacketError):
        decode('421000000000000000["a"]')


@pytest.mark.parametrize(
    "data",
    ["45", "46", '45["a"]', '45-["a"]', "451", "451-", '45a-["a"]', '45 1-["a"]', '45-1-["a"]', '451.0-["a"]',
     '45/a,1-["a"]', '451["a"]', '451_["a"]', '45+1-["a"]', '45٣-["a"]', "450-", "450-{}", "46-0[]", '450-0-["a"]'],
)  # fmt: skip
def test_a_binary_packet_declares_its_attachments(data: str) -> None:
    with pytest.raises(PacketError):
        decode(data)


@pytest.mark.parametrize("count", ["11", "99", "5999999", "59999999999", "999999999999999", "9" * 400, "9" * 100_000])
def test_more_attachments_than_allowed_are_refused(count: str) -> None:
    with pytest.raises(PacketError):
        decode(f'45{count}-["a"]')


def test_the_limit_of_attachments_is_the_callers() -> None:
    assert decode('4510-["a"]').attachments == 10
    assert decode('453-["a"]', 3).attachments == 3
    for most, data in ((2, '453-["a"]'), (0, '451-["a"]')):
        with pytest.raises(PacketError, match="attachments"):
            decode(data, most)
    assert decode('450-["a"]', 0).attachments == 0


@pytest.mark.parametrize(
    "json_text",
    ["[", "]", '["a"', '["a",]', '["a"]]', '["a"] x', "['a']", '["a" 1]', '["\x01"]', '["\\ud800",NaN]', '["a",NaN]',
     '["a",Infinity]', '["\\ud800",-Infinity]', '["\\x"]', '["a\\u12"]', '\ufeff["a"]', '["a"]\x00', "[" * 100_000,
     '["\\u0061",' + "[" * 100_000, '["\\ud800",' + "1" * 5000 + "]"],
)  # fmt: skip
def test_what_is_not_json_is_refused(json_text: str) -> None:
    with pytest.raises(PacketError):
        decode("42" + json_text)


@pytest.mark.parametrize(
    "text", [b'["\xff"]', b'["\\u0061\xff"]', b'["\xed"]', b'["\xed\xa0"]', b'["\xc0\x80"]', b'["\xf5\x80\x80\x80"]']
)
def test_text_that_is_not_utf_8_is_refused(text: bytes) -> None:
    with pytest.raises(PacketError):
        decode(b"42" + text)


def test_a_namespace_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(PacketError):
        decode(b'42/\xff,["a"]')


def test_utf_16_is_not_json_text() -> None:
    text = '["\u755c"]'.encode("utf-16-le")
    assert b"\\u" in text  # so it gets as far as the lenient parser, which could guess the encoding
    with pytest.raises(PacketError):
        decode(b"42" + text)


@pytest.mark.parametrize("text", [b'["\\ud800"]', b'["\xed\xa0\x80"]'])
def test_lone_surrogates_are_legal(text: bytes) -> None:
    assert decode(b"42" + text).data == ["\ud800"]


@pytest.mark.parametrize(
    "data", ['42["😀\\ud83d\\ude00\u2028\\u0000"]'.encode(), b'42["\xf0\x9f\x98\x80\\uD83D\\uDE00\xe2\x80\xa8\\u0000"]']
)
def test_text_beyond_the_basic_plane_is_read(data: bytes) -> None:
    assert decode(data).data == ["😀😀\u2028\x00"]


# Work.


def test_the_work_of_decoding_is_linear() -> None:
    assert_linear(lambda data: socket_json.decode(data, MOST), lambda n: b"40/" + b"-" * n, 10_000)
    assert_linear(lambda data: socket_json.decode(data, MOST), lambda n: b"41/" + b"7" * n + b",", 10_000)


@pytest.mark.parametrize("head", [b"42", b"43", b"45", b"46", b"450-", b"42/a,", b"40", b"41", b"44", b"451-/a,"])
def test_a_run_of_digits_is_refused_after_a_constant_amount_of_work(head: bytes) -> None:
    for size in (1000, 1_000_000):
        touched = [0]
        with pytest.raises(PacketError):
            socket_json.decode(WatchedBytes.watch(head + b"7" * size, touched), MOST)
        assert touched[0] < 150


def test_a_run_of_dashes_is_refused() -> None:
    for head in (b"42", b"45", b"451-", b"4"):
        with pytest.raises(PacketError):
            decode(head + b"-" * 1_000_000)


# Placeholders.


def test_bytes_become_placeholders_in_the_order_of_their_attachments() -> None:
    text, attachments = socket_json.dump(["a", b"x", {"k": [bytearray(b"y"), {"z": memoryview(b"z")}]}, b""])
    assert attachments == (b"x", b"y", b"z", b"")
    assert json.loads(text) == [
        "a",
        {"_placeholder": True, "num": 0},
        {"k": [{"_placeholder": True, "num": 1}, {"z": {"_placeholder": True, "num": 2}}]},
        {"_placeholder": True, "num": 3},
    ]
    assert b" " not in text


def test_attachments_are_copies() -> None:
    buffer = bytearray(b"before")
    _, attachments = socket_json.dump([buffer])
    buffer[:] = b"after!"
    assert attachments == (b"before",)


def test_attachments_are_put_where_their_placeholders_stand() -> None:
    payload = ["a", {"_placeholder": True, "num": 1}, {"deep": [[{"_placeholder": True, "num": 0}]]}, {"num": 0}]
    assert socket_json.restore(payload, [b"zero", b"one"]) == ["a", b"one", {"deep": [[b"zero"]]}, {"num": 0}]


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(
    "number", ["-1", "2", "1000000000", '"x"', '"0"', "true", "false", "1.5", "0.0", "null", "[]", "{}"]
)
def test_a_placeholder_names_one_of_the_attachments(number: str, count: int) -> None:
    payload = json.loads(f'["a",{{"_placeholder":true,"num":{number}}}]')
    with pytest.raises(PacketError):
        socket_json.restore(payload, [b"x"] * count)


def test_a_placeholder_has_a_number() -> None:
    with pytest.raises(PacketError):
        socket_json.restore(["a", {"_placeholder": True}], [b"x"])


@pytest.mark.parametrize("mark", [False, None, 1, "true", [], {}])
def test_only_true_makes_a_placeholder(mark: Any) -> None:
    payload = ["a", {"_placeholder": mark, "num": 0}]
    assert socket_json.restore(payload, [b"x"]) == ["a", {"_placeholder": mark, "num": 0}]


def test_deep_payloads_are_restored_without_recursion() -> None:
    payload: list[Any] = ["a", {"_placeholder": True, "num": 0}]
    for _ in range(50_000):
        payload = [payload]
    inner: Any = socket_json.restore(payload, [b"x"])
    while len(inner) == 1:
        inner = inner[0]
    assert inner == ["a", b"x"]


# What the server sends.


@pytest.mark.parametrize("value", [object(), {1, 2}, {"a": [{3}]}, [b"x", object()], {b"k": 1}, {(1, 2): 3}])
def test_what_json_cannot_say_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        socket_json.dump(value)


def test_a_value_that_contains_itself_is_a_type_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError):
        socket_json.dump(loop)


def test_json_is_compact_and_utf_8() -> None:
    assert socket_json.dump(["é😀", {"a": 1, "b": [True, None]}]) == ('["é😀",{"a":1,"b":[true,null]}]'.encode(), ())


def test_numbers_are_keys_as_in_javascript() -> None:
    assert socket_json.dump({1: "a", 2.5: "b"}) == (b'{"1":"a","2.5":"b"}', ())


def test_not_a_number_is_null_as_in_javascript() -> None:
    assert socket_json.dump([math.nan, math.inf]) == (b"[null,null]", ())


def test_a_lone_surrogate_is_escaped() -> None:
    text, attachments = socket_json.dump(["\ud800", b"x", "😀"])
    assert attachments == (b"x",)
    assert text.isascii()
    assert json.loads(text) == ["\ud800", {"_placeholder": True, "num": 0}, "😀"]


@pytest.mark.parametrize(
    ("namespace", "parts"),
    [("/admin?token=1&x=%20", ("/admin", "token=1&x=%20")), ("/admin", ("/admin", "")), ("/a?b?c", ("/a", "b?c"))],
)
def test_a_query_is_cut_off_a_namespace(namespace: str, parts: tuple[str, str]) -> None:
    assert socket_json.split_query(namespace) == parts


# Round trips and arbitrary input.


@given(namespaces, ids, event_names, st.lists(any_json, max_size=3))
def test_events_round_trip(namespace: str, id: int | None, name: Any, arguments: list[Any]) -> None:
    data, attachments = encode(EVENT, namespace, id, [name, *arguments])
    assert attachments == ()
    assert decode(data) == Packet(EVENT, namespace, [name, *arguments], id)


@given(namespaces, st.integers(0, 10**15 - 1), st.lists(with_binary, max_size=3))
def test_acks_with_binary_round_trip(namespace: str, id: int, values: list[Any]) -> None:
    data, attachments = encode(ACK, namespace, id, values)
    packet = decode(data, len(attachments))
    assert (packet.type, packet.namespace, packet.id, packet.attachments) == (ACK, namespace, id, len(attachments))
    assert socket_json.restore(packet.data, attachments) == values


@given(namespaces, st.dictionaries(st.text(), any_json))
def test_connects_round_trip(namespace: str, auth: dict[str, Any]) -> None:
    data, _ = encode(CONNECT, namespace, None, auth)
    assert decode(data) == Packet(CONNECT, namespace, auth)


pieces = st.sampled_from(
    [b"4", b"5", b"0", b"1", b"2", b"-", b"/", b",", b"[", b"]", b"{", b"}", b'"', b'"a"', b":", b"\\ud800",
     b"\xed\xa0\x80", b'{"_placeholder":true,"num":0}', b"\xff", b"9" * 20, b" "]
)  # fmt: skip


@given(
    st.binary()
    | st.lists(pieces, max_size=12).map(b"".join)
    | st.lists(pieces, max_size=12).map(lambda p: b"42" + b"".join(p))
)
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        packet = decode(data)
    except PacketError:
        return
    assert packet.namespace.startswith("/")
    assert 0 <= packet.attachments <= MOST
    if packet.type in (EVENT, ACK):
        assert isinstance(packet.data, list)


numbers = st.integers(-3, 5) | st.booleans() | st.floats() | st.text() | st.none()
marked = st.recursive(
    st.none() | st.builds(lambda number: {"_placeholder": True, "num": number}, numbers),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(marked), st.lists(st.binary(), max_size=3))
def test_any_payload_is_restored_or_refused(payload: list[Any], attachments: list[bytes]) -> None:
    try:
        restored = socket_json.restore(payload, attachments)
    except PacketError:
        return
    waiting: list[Any] = [restored]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            assert value.get("_placeholder") is not True
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
