"""The packets of the load, as the bytes of the wire."""

OPEN = b"0{"
PING = b"2"
PONG = b"3"
CONNECT = b"40"
CONNECTED = b"40{"

COLLECT = b'421["collect"]'
COLLECTED = b"431[]"


def event(name: str, size: int) -> bytes:
    """Return an EVENT packet of ``size`` bytes in all, with one text for an argument."""
    return _filled(b'42["%s","' % name.encode(), size)


def ack_request(size: int) -> bytes:
    """Return an ``ack`` event of ``size`` bytes that asks for an acknowledgement."""
    return _filled(b'421["ack","', size)


def ack_answer(request: bytes) -> bytes:
    """Return the answer to ``request``: the same text, under the same id."""
    return b"431[" + request[len(b'421["ack",') :]


def _filled(head: bytes, size: int) -> bytes:
    padding = size - len(head) - 2
    if padding < 1:
        raise ValueError(f"a packet of {size} bytes has no room for a text")
    return head + b"x" * padding + b'"]'
