"""Socket.IO packets as JSON text with binary attachments (Socket.IO protocol, revisions 4 and 5).

Text form: ``<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]``. A Socket.IO packet always travels in an Engine.IO
``message`` packet, so encoded text starts with that packet's type digit ``4``, and decoding starts behind it: nothing
is copied twice on its way. Text stays UTF-8 bytes from the socket to the JSON parser and back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from socketeer.exceptions import PacketError
from socketeer.protocol.checks import check_payload
from socketeer.protocol.packets import RESERVED_EVENTS, Packet, PacketType
from socketeer.protocol.values import simplify

__all__ = [
    "MOST_DIGITS",
    "decode",
    "dump",
    "dump_arguments",
    "dump_event",
    "encode",
    "load",
    "loads",
    "restore",
    "split_query",
]

MOST_DIGITS = 15
"""The most digits of an ack id or of an attachment count: below 2**53, so exact in every peer."""

_HEADS = tuple(b"4%d" % kind for kind in PacketType)
_BINARY_OFFSET = 3
"""BINARY_EVENT is EVENT + 3, BINARY_ACK is ACK + 3."""
_BINARY = (bytes, bytearray, memoryview)

_HEAD = re.compile(rb"4([0-6])(?:([0-9]{1,%d})-)?(?:(/[^,]*),?)?([0-9]{1,%d})?" % (MOST_DIGITS, MOST_DIGITS))
_TYPES = {
    b"0": (PacketType.CONNECT, False),
    b"1": (PacketType.DISCONNECT, False),
    b"2": (PacketType.EVENT, False),
    b"3": (PacketType.ACK, False),
    b"4": (PacketType.CONNECT_ERROR, False),
    b"5": (PacketType.EVENT, True),
    b"6": (PacketType.ACK, True),
}
"""What the digit of a type stands for, and whether attachments may follow."""
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS
"""orjson sees what an instance holds itself: the defaults of its class may be missing there."""
loads = orjson.loads
"""Parse most JSON; :func:`load` parses what this refuses with a ValueError, if it is JSON at all."""
_dumps = orjson.dumps


def dump(value: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """Encode ``value`` as JSON; take bytes-like objects out of it and give them in the order of their placeholders.

    Raises ``TypeError`` for what JSON cannot say.
    """
    attachments: list[bytes] = []
    try:
        return _dumps(value, _placeholders_into(attachments), _OPTIONS), tuple(attachments)
    except TypeError:
        attachments = []
    try:
        text = _dumps(value, _placeholders_into(attachments), _OPTIONS | orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        if "surrogates" not in str(error) and "Recursion" not in str(error):
            raise TypeError(f"not serializable as JSON: {error.__cause__ or error}") from None
        # A lone surrogate has no UTF-8 form, but JSON can escape it, as JavaScript does; and what was received, however
        # deep, can be sent again.
        attachments = []
        replace = _placeholders_into(attachments)
        try:
            text = json.dumps(value, default=replace, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as reason:
            raise TypeError(f"not serializable as JSON: {reason}") from None
    return text, tuple(attachments)


def dump_event(event: Any, args: tuple[Any, ...]) -> bytes | None:
    """Encode an event of JSON values only; None for any other, which takes a longer way."""
    if event.__class__ is str and event not in RESERVED_EVENTS and not (args and args[-1].__class__ is bytes):
        try:
            return _dumps([event, *args], None, _OPTIONS)
        except TypeError:
            pass
    return None


def dump_arguments(value: Any) -> bytes | None:
    """Encode what a handler returned as the arguments of an acknowledgement, if it is JSON values only.

    None is no argument, a tuple several.
    """
    try:
        if value is None:
            return b"[]"
        if value.__class__ is bytes:
            return None
        return _dumps(value if value.__class__ is tuple else [value], None, _OPTIONS)
    except TypeError:
        return None


def _placeholders_into(attachments: list[bytes]) -> Callable[[Any], Any]:
    def replace(value: Any) -> Any:
        if isinstance(value, _BINARY):
            attachments.append(bytes(value))
            return {"_placeholder": True, "num": len(attachments) - 1}
        return simplify(value)

    return replace


def encode(kind: PacketType, namespace: str, id: int | None = None, body: bytes = b"", attachments: int = 0) -> bytes:
    """Put a packet together, from the Engine.IO type digit to the JSON ``body``.

    ``kind`` is EVENT or ACK also where there are attachments.
    """
    if attachments:
        head = b"%b%d-" % (_HEADS[kind + _BINARY_OFFSET], attachments)
    else:
        head = _HEADS[kind]
    if namespace != "/":
        head += namespace.encode() + b","
    if id is not None:
        head += b"%d" % id
    return head + body


def load(text: bytes) -> Any:
    """Parse JSON.

    Raises PacketError for anything else, and for what is nested too deep.
    """
    try:
        return loads(text)
    except orjson.JSONDecodeError as error:
        reason = str(error)
    if b"\\u" in text or b"\xed" in text:
        # The fast parser refuses lone surrogates, which JavaScript strings may contain: escaped or, from the text codec
        # of older clients, as three bytes.
        try:
            return json.loads(text.decode("utf-8", "surrogatepass"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            reason = str(error)
    raise PacketError(f"invalid JSON: {reason}")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def decode(data: bytes, max_attachments: int) -> Packet:
    """Decode the text of a packet whose Engine.IO type digit stands at index 0.

    Raises PacketError for whatever breaks the protocol. A binary packet comes back as EVENT or ACK with its number of
    ``attachments``: its data is complete only after :func:`restore`. The work is linear in the length of ``data``.
    """
    head = _HEAD.match(data)
    if head is None:
        raise PacketError("unknown packet type")
    digit, count, name, number = head.groups()
    kind, binary = _TYPES[digit]
    if binary is (count is None):
        raise PacketError("a number of attachments is for binary packets, and each of them has one")
    attachments = int(count or 0)
    if attachments > max_attachments:
        raise PacketError(f"{attachments} attachments, at most {max_attachments} are allowed")
    namespace = "/" if name is None else _text_of(name)
    id = None if number is None else int(number)
    end = head.end()
    has_payload = end < len(data)
    if has_payload and data[end : end + 1].isdigit():
        raise PacketError("a number has too many digits")
    payload = load(data[end:]) if has_payload else None
    check_payload(kind, payload, id, has_payload=has_payload)
    return Packet(kind, namespace, payload, id, attachments)


def _text_of(namespace: bytes) -> str:
    try:
        return namespace.decode()
    except UnicodeDecodeError:
        raise PacketError("a namespace is not UTF-8") from None


def split_query(namespace: str) -> tuple[str, str]:
    """Cut the query off a namespace, as clients of revision 4 send it: ``/admin?token=1``."""
    name, _, query = namespace.partition("?")
    return name, query


def restore(payload: list[Any], attachments: Sequence[bytes]) -> list[Any]:
    """Put ``attachments`` where the placeholders of ``payload`` stand; change it in place and give it back.

    Raises PacketError where a placeholder's number names no attachment.
    """
    waiting: list[Any] = [payload]
    while waiting:
        container = waiting.pop()
        for key, value in container.items() if container.__class__ is dict else enumerate(container):
            if value.__class__ is dict and value.get("_placeholder") is True:
                container[key] = _attachment(value.get("num"), attachments)  # in place: the size does not change
            elif value.__class__ is dict or value.__class__ is list:
                waiting.append(value)
    return payload


def _attachment(number: Any, attachments: Sequence[bytes]) -> bytes:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(attachments):
        raise PacketError("a placeholder names no attachment")
    return attachments[number]
