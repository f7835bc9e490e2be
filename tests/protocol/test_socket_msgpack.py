"""Socket.IO packets as MessagePack: what is written, what is read, and what a hostile client may send."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.exceptions import PacketError
from socketeer.protocol.packets import Packet, PacketType
from socketeer.protocol.parsers import check_packet
from socketeer.protocol.socket_msgpack import MSGPACK

EVENT, ACK, CONNECT, CONNECT_ERROR = PacketType.EVENT, PacketType.ACK, PacketType.CONNECT, PacketType.CONNECT_ERROR


def written(packet: Packet) -> bytes:
    (message,) = MSGPACK.encode(packet)
    assert isinstance(message, bytes)
    return message


def read(message: bytes | str) -> Packet:
    return check_packet(MSGPACK.decoder().add(message))


def packed(**fields: Any) -> bytes:
    data: bytes = msgpack.packb({"type": 2, "nsp": "/", "data": ["x"], **fields})
    return data


@pytest.mark.parametrize(
    ("packet", "fields"),
    [
        (Packet(CONNECT, "/", {"sid": "s"}), {"type": 0, "nsp": "/", "data": {"sid": "s"}}),
        (Packet(CONNECT, "/chat"), {"type": 0, "nsp": "/chat"}),
        (Packet(PacketType.DISCONNECT, "/chat"), {"type": 1, "nsp": "/chat"}),
        (Packet(EVENT, "/", ["x", b"raw"]), {"type": 2, "nsp": "/", "data": ["x", b"raw"]}),
        (Packet(EVENT, "/", ["x"], 0), {"type": 2, "nsp": "/", "data": ["x"], "id": 0}),
        (Packet(ACK, "/", [], 7), {"type": 3, "nsp": "/", "data": [], "id": 7}),
        (Packet(CONNECT_ERROR, "/", {"message": "no"}), {"type": 4, "nsp": "/", "data": {"message": "no"}}),
    ],
)
def test_a_packet_is_one_map(packet: Packet, fields: dict[str, Any]) -> None:
    assert msgpack.unpackb(written(packet)) == fields


def whole_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.datetimes(timezones=st.just(UTC)).map(whole_milliseconds),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(VALUES), st.none() | st.integers(0, 2**53 - 1), st.sampled_from(["/", "/chat", "/é"]))
def test_what_is_written_can_be_read(args: list[Any], id: int | None, namespace: str) -> None:
    packet = Packet(EVENT, namespace, ["x", *args], id)
    assert read(written(packet)) == packet


def array(data: bytes) -> bytes:
    """Return what the JavaScript library writes for the bytes of a typed array."""
    return b"\xc7" + bytes((len(data), 0)) + data


@pytest.mark.parametrize("data", [b"", b"\0", b"\1", b"\0" * 8, b"\0\0\0\0abcd", b"abc", b"\xd7" * 200])
def test_the_bytes_of_typed_arrays(data: bytes) -> None:
    date, undefined = b"\xd7\x00" + (data if len(data) == 8 else bytes(8)), b"\xd4\x00\x00"
    name = b"\xd9" + bytes([len(date) + len(undefined) + 1]) + b"x" + b"y" * (len(date) + len(undefined))
    values = [array(data), date, array(data), undefined, array(data), undefined, array(b"\0"), date]
    packet = read(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x99" + name + b"".join(values))
    kinds = [value.__class__ for value in packet.data[1:]]
    assert kinds == [bytes, datetime, bytes, type(None), bytes, type(None), bytes, datetime]
    assert [value for value in packet.data[1:] if isinstance(value, bytes)] == [data, data, data, b"\0"]


def test_a_date_beyond_all_dates_is_none() -> None:
    assert read(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x\xd7\x00\x7f" + b"\xff" * 7).data == ["x", None]


def test_looking_for_extensions_is_linear() -> None:
    dates = (b"\xd7\x00" + b"\0" * 8) * 20_000
    packet = read(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd" + (20_001).to_bytes(4) + b"\xa1x" + dates)
    assert packet.data[1:] == [datetime(1970, 1, 1, tzinfo=UTC)] * 20_000


def test_dates_and_undefined_as_the_javascript_library_writes_them() -> None:
    date = b"\xd7\x00" + struct.pack(">q", 1_700_000_000_123)
    before = b"\xd7\x00" + struct.pack(">q", -1)
    data = b"\x95\xa1x\xd4\x00\x00" + date + before + b"\xd4\x05a"
    packet = read(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data" + data)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1_700_000_000_123)
    assert packet.data[:4] == ["x", None, moment, datetime(1969, 12, 31, 23, 59, 59, 999000, UTC)]
    assert packet.data[4] == msgpack.ExtType(5, b"a")
    assert date in written(Packet(EVENT, "/", ["x", moment]))
    east = moment.astimezone(tz=timezone(timedelta(hours=5)))
    assert date in written(Packet(EVENT, "/", ["x", east]))
    timestamp: bytes = msgpack.packb(["x", msgpack.Timestamp(1_700_000_000, 0)])
    assert read(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data" + timestamp).data[1] == datetime(
        2023, 11, 14, 22, 13, 20, tzinfo=UTC
    )


def test_what_a_client_may_leave_out_or_add() -> None:
    assert read(msgpack.packb({"type": 0})) == Packet(CONNECT, "/")
    assert read(packed(options={"compress": True}, extra=1, id=None)) == Packet(EVENT, "/", ["x"])
    assert read(packed(type=5, data=["x", b"raw"], attachments=1)) == Packet(EVENT, "/", ["x", b"raw"])
    assert read(packed(type=6, id=1)) == Packet(ACK, "/", ["x"], 1)
    assert read(packed(data=["x", {1: "a", b"k": 2}])).data == ["x", {1: "a", b"k": 2}]


def test_lone_surrogates_go_through() -> None:
    packet = Packet(EVENT, "/", ["x", "\ud83d"])
    assert read(written(packet)) == packet


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [2**64]])
def test_numbers_that_have_no_form_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="not serializable as MessagePack"):
        written(Packet(EVENT, "/", ["x", value]))


def nested(depth: int) -> bytes:
    return b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x" + b"\x91" * depth + b"\xc0"


WRONG: dict[str, list[Any]] = {
    "type": [-1, 7, 2**63, True, False, None, "2", 2.0, [], {}],
    "nsp": [1, None, b"/", [], True],
    "id": [-1, 2**53, 2**64 - 1, True, "1", 1.0, [], b"1"],
    "data": [None, "x", {}, [], 1, b"x", [None], [True], [[]], [b"x"]],
    "CONNECT": ["x", [], 1, True, b"x"],
}
HOSTILE = {
    "nothing": b"",
    "text": "42[]",
    "truncated": packed()[:-1],
    "more behind": packed() + b"\xc0",
    "no map": msgpack.packb(["x"]),
    "a number": b"\x02",
    "never used": b"\xc1",
    "a long array": b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\xff\xff\xff\xff",
    "a long map": b"\xdf\xff\xff\xff\xff",
    "a long string": b"\x83\xa4type\x02\xa3nsp\xdb\xff\xff\xff\xff/",
    "long bytes": b"\x83\xa4type\x02\xa4data\xc6\xff\xff\xff\xff",
    "a long extension": b"\x83\xa4type\x02\xa4data\xc9\xff\xff\xff\xff\x00",
    "deep": nested(100_000),
    "a map as key": b"\x81\x80\xc0",
    "an array as key": b"\x81\x91\xc0\xc0",
    "no text": b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1\xff",
    "a timestamp beyond all": b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x\xc7\x0c\xff" + b"\xff" * 12,
    "a timestamp of no size": b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x\xd4\xff\x00",
    "no type": msgpack.packb({"nsp": "/", "data": ["x"]}),
    **{f"type {value!r}": packed(type=value) for value in WRONG["type"]},
    **{f"nsp {value!r}": packed(nsp=value) for value in WRONG["nsp"]},
    **{f"id {value!r}": packed(id=value) for value in WRONG["id"]},
    **{f"data {value!r}": packed(data=value) for value in WRONG["data"]},
    **{f"reserved {name}": packed(data=[name]) for name in ("connect", "disconnecting", "newListener")},
    **{f"CONNECT {value!r}": packed(type=0, data=value) for value in WRONG["CONNECT"]},
    "CONNECT with an id": packed(type=0, data={}, id=1),
    "DISCONNECT with data": packed(type=1),
    "DISCONNECT with an id": msgpack.packb({"type": 1, "nsp": "/", "id": 1}),
    "ACK without an id": packed(type=3),
    "ACK of no array": packed(type=3, id=1, data="x"),
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_packet(message: Any) -> None:
    with pytest.raises(PacketError):
        read(message)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_refused(data: bytes) -> None:
    for message in (data, b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data" + data):
        try:
            packet = read(message)
        except PacketError:
            continue
        assert isinstance(packet.namespace, str)
