"""The packets of the load as the bytes of the wire: what a client writes, and what has to come back."""

from dataclasses import dataclass
from itertools import cycle

OPEN = b"0{"
PING = b"2"
PONG = b"3"
CONNECT = b"40"
CONNECTED = b"40{"

TEXT, BINARY, CLOSE, WS_PING, WS_PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_MASK = b"\x37\xfa\x21\x3d"
_ACKNOWLEDGED = b"431[]"
_PLACEHOLDER = b'{"_placeholder":true,"num":0}'


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client sends for one message, masked, and what every client that it concerns gets."""

    request: bytes
    answer: bytes


def echo(size: int, binary: bool) -> Exchange:
    """Return an event of ``size`` bytes, or with an attachment of so many, that comes back as it is."""
    return _binary(b'451-["echo",', b'451-["echo",', size) if binary else _text(_event("echo", size))


def ack(size: int, binary: bool) -> Exchange:
    """Return an event that is acknowledged with what it carries."""
    if binary:
        return _binary(b'451-1["ack",', b"461-1[", size)
    request = _filled(b'421["ack","', size)
    return _text(request, b"431[" + request[len(b'421["ack",') :])


def echo_packet(size: int) -> bytes:
    """Return the packet of such an event, which has no frame in a polling request."""
    return _event("echo", size)


def item(size: int) -> Exchange:
    """Return an event with an object of two fields that comes back as it is."""
    return _text(_filled(b'42["item",{"count":1,"text":"', size, b'"}]'))


def broadcast(size: int) -> Exchange:
    """Return an event that goes to every client."""
    return _text(_event("broadcast", size))


def room(size: int) -> Exchange:
    """Return an event that goes to the clients in the room ``few``."""
    return _text(_filled(b'42["room","few","', size + len(b'"few",')), _event("room", size))


def membership(name: str, rooms: list[str]) -> Exchange:
    """Return an event, ``join`` or ``leave``, that is acknowledged when it is done for all of ``rooms``."""
    names = ",".join(f'"{room}"' for room in rooms)
    return _text(f'421["{name}",[{names}]]'.encode(), _ACKNOWLEDGED)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame, with a mask that never changes: frames are made once and sent often."""
    masked = bytes(byte ^ key for byte, key in zip(payload, cycle(_MASK), strict=False))
    return _head(opcode, _MASKED, len(payload)) + _MASK + masked


def _served(opcode: int, payload: bytes) -> bytes:
    return _head(opcode, 0, len(payload)) + payload


def _head(opcode: int, mask: int, length: int) -> bytes:
    if length < 126:
        return bytes((_FINAL | opcode, mask | length))
    if length < 1 << 16:
        return bytes((_FINAL | opcode, mask | 126)) + length.to_bytes(2, "big")
    return bytes((_FINAL | opcode, mask | 127)) + length.to_bytes(8, "big")


def take_frame(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take one whole frame of a server off the buffer: its opcode and its payload."""
    if len(buffer) < 2:
        return None
    start, length = 2, buffer[1]
    if length >= 126:
        start = 4 if length == 126 else 10
        length = int.from_bytes(buffer[2:start], "big")
    end = start + length
    if len(buffer) < end:
        return None
    taken = buffer[0] & 0x0F, bytes(buffer[start:end])
    del buffer[:end]
    return taken


def _event(name: str, size: int) -> bytes:
    """Return an EVENT packet of ``size`` bytes in all, with one text for an argument."""
    return _filled(b'42["%s","' % name.encode(), size)


def _text(request: bytes, answer: bytes | None = None) -> Exchange:
    return Exchange(frame(TEXT, request), _served(TEXT, request if answer is None else answer))


def _binary(request: bytes, answer: bytes, size: int) -> Exchange:
    attachment = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    request, answer = (head + _PLACEHOLDER + b"]" for head in (request, answer))
    return Exchange(
        frame(TEXT, request) + frame(BINARY, attachment), _served(TEXT, answer) + _served(BINARY, attachment)
    )


def _filled(head: bytes, size: int, tail: bytes = b'"]') -> bytes:
    padding = size - len(head) - len(tail)
    if padding < 1:
        raise ValueError(f"a packet of {size} bytes has no room for a text")
    return head + b"x" * padding + tail


COLLECT = _text(b'421["collect"]', _ACKNOWLEDGED)
PINGED = _served(TEXT, PING)
