"""permessage-deflate (RFC 7692): what is agreed upon in the handshake, and messages pressed and unpressed. No I/O."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from socketeer.options import PerMessageDeflate

__all__ = ["Agreement", "Deflate", "Deflater", "Inflater", "InvalidData", "TooLarge"]

_NAME = "permessage-deflate"
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"({_TOKEN})"))?')
_EXTENSION = re.compile(rf"[ \t]*({_TOKEN})")
_BETWEEN = re.compile(r"[ \t]*(?:,[ \t,]*|\Z)")
_BITS = re.compile(r"[89]|1[0-5]")

_TAIL = b"\x00\x00\xff\xff"
"""What ends each message and is left off on the wire (section 7.2.1)."""
_EMPTY = b"\x00"
"""What an empty message is (section 7.2.3.6), of which zlib says nothing where it has just ended another."""
_LEAST_BITS = 9
"""The smallest window of zlib's raw format: it knows no 8 there, and a client may ask for that."""
_KEPT = 16
"""How many messages are kept in their pressed form for further recipients."""

_Parameters = list[tuple[str, str | None]]


class InvalidData(Exception):
    """Report a message that cannot be decompressed."""


class TooLarge(Exception):
    """Report a message that is larger than is allowed."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Hold what was agreed upon for one WebSocket, and the answer that says so."""

    deflate: Deflate
    answer: bytes
    bits: int
    """The window with which this side compresses."""
    server_takes_over: bool
    """Whether this side compresses a message with what it remembers of those before."""
    client_takes_over: bool
    """Whether the client does."""


class Deflate:
    """Compress for the WebSockets of one server, as its options say.

    Without context takeover a message looks the same to every recipient: it is compressed once, and kept until
    :meth:`forget`.
    """

    __slots__ = ("_kept", "options")

    def __init__(self, options: PerMessageDeflate) -> None:
        self.options = options
        self._kept: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def negotiate(self, header: str) -> Agreement | None:
        """Choose the first acceptable offer of a ``Sec-WebSocket-Extensions`` header; None where there is none.

        An offer with a parameter that is unknown, is given twice or has a wrong value is declined (section 7.1), and
        a header that is malformed offers nothing.
        """
        for name, parameters in _parse(header):
            if name == _NAME and (agreement := self._accept(parameters)) is not None:
                return agreement
        return None

    def _accept(self, parameters: _Parameters) -> Agreement | None:
        offer = dict(parameters)
        if len(offer) < len(parameters) or not all(_is_valid(name, value) for name, value in parameters):
            return None
        options = self.options
        asked = offer.get("server_max_window_bits")
        bits = min(options.window_bits, int(asked) if asked is not None else 15)
        if bits < _LEAST_BITS:
            return None
        server_forgets = options.server_no_context_takeover or "server_no_context_takeover" in offer
        client_forgets = options.client_no_context_takeover or "client_no_context_takeover" in offer
        answer = _NAME
        if server_forgets:
            answer += "; server_no_context_takeover"
        if client_forgets:
            answer += "; client_no_context_takeover"
        if asked is not None or bits < 15:
            answer += f"; server_max_window_bits={bits}"
        return Agreement(self, answer.encode(), bits, not server_forgets, not client_forgets)

    @property
    def keeps(self) -> bool:
        """Tell whether there is something to forget."""
        return bool(self._kept)

    def compress_once(self, data: bytes, bits: int) -> bytes:
        """Compress a message on its own; the same object again costs nothing."""
        key = (id(data), bits)  # the object is kept too, so that its id stays its own
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[key] = (data, Deflater(self.options.level, bits).compress(data))
        return kept[1]

    def forget(self) -> None:
        """Drop what is kept."""
        self._kept.clear()


def _is_valid(name: str, value: str | None) -> bool:
    if name in ("server_no_context_takeover", "client_no_context_takeover"):
        return value is None
    if name == "client_max_window_bits" and value is None:
        return True
    return name in ("server_max_window_bits", "client_max_window_bits") and bool(_BITS.fullmatch(value or ""))


def _parse(header: str) -> list[tuple[str, _Parameters]]:
    """Split the header into extensions and their parameters (RFC 6455 section 9.1); nothing where it is malformed."""
    extensions: list[tuple[str, _Parameters]] = []
    position = 0
    while position < len(header):
        match = _EXTENSION.match(header, position)
        if match is None:
            return []
        parameters: _Parameters = []
        extensions.append((match[1].lower(), parameters))
        position = match.end()
        while (match := _PARAMETER.match(header, position)) is not None:
            parameters.append((match[1].lower(), match[2] or match[3]))
            position = match.end()
        match = _BETWEEN.match(header, position)
        if match is None:
            return []
        position = match.end()
    return extensions


class Deflater:
    """Compress messages, each with what is remembered of those before."""

    __slots__ = ("_stream",)

    def __init__(self, level: int, bits: int) -> None:
        self._stream = zlib.compressobj(level, zlib.DEFLATED, -bits)

    def compress(self, data: bytes) -> bytes:
        """Compress one message."""
        message = self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        return message[: -len(_TAIL)] or _EMPTY


class Inflater:
    """Decompress messages; ``takes_over`` tells whether the client remembers those before."""

    __slots__ = ("_stream", "_takes_over")

    def __init__(self, *, takes_over: bool) -> None:
        self._takes_over = takes_over
        self._stream = zlib.decompressobj(-15)

    def decompress(self, data: bytes, most: int) -> bytes:
        """Decompress one message of at most ``most`` bytes.

        Raises ``TooLarge`` without going on for a larger one, and ``InvalidData`` for what is not compressed at all.
        """
        stream = self._stream
        try:
            message = stream.decompress(data + _TAIL, most + 1)
        except zlib.error as error:
            raise InvalidData(str(error)) from None
        if len(message) > most:
            raise TooLarge
        if stream.eof and stream.unused_data.lstrip(b"\x00") not in (_TAIL[2:], b""):
            raise InvalidData("data behind the final block")  # a block may call itself final (section 7.2.3.4)
        if stream.eof or not self._takes_over:
            self._stream = zlib.decompressobj(-15)
        return message
