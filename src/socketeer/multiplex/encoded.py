"""Socket.IO packets that are encoded once for all their recipients, and the two formats in which they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from socketeer.protocol import socket_json
from socketeer.protocol.packets import Packet, PacketType
from socketeer.protocol.parsers import Decoder, Parser

__all__ = ["Body", "Encoded", "Format", "JsonBody", "JsonFormat", "ParserFormat"]

_MESSAGE = b"4"

_EVENT: Final = PacketType.EVENT
_ACK: Final = PacketType.ACK


class Encoded(NamedTuple):
    """Hold a packet's text, which starts with the digit of its Engine.IO type or is empty, and its binary messages.

    ``args`` are the name and the arguments of an event.
    """

    text: bytes
    attachments: tuple[bytes, ...] = ()
    args: Sequence[Any] = ()


class Body(Protocol):
    """Hold the name and the arguments of an event, encoded as far as that does not depend on the recipient."""

    @property
    def args(self) -> list[Any]:
        """The name and the arguments."""

    def event(self, namespace: str, id: int | None = None) -> Encoded:
        """Make it an EVENT; ``id`` asks for an acknowledgement."""

    def marked(self, offset: str) -> Body:
        """Give the same with one more argument, by which the client says what it got last."""


class Format(Protocol):
    """Write packets."""

    def body(self, args: list[Any], namespace: str) -> Body:
        """Encode an event, which most likely is for ``namespace``.

        Raises ``TypeError`` for what cannot be written, and ``ValueError`` for more binary values than are allowed.
        """

    def ack(self, args: list[Any], namespace: str, id: int) -> Encoded:
        """Encode an acknowledgement; raises what :meth:`body` does."""

    def packet(self, kind: PacketType, namespace: str, data: Any = None) -> Encoded:
        """Encode a packet that is not an event: CONNECT, DISCONNECT or CONNECT_ERROR."""

    def prefix(self, namespace: str, kind: PacketType = _EVENT) -> bytes | None:
        """Give what stands before the id and the JSON of every plain event or acknowledgement of a namespace.

        None where they are no JSON.
        """

    def decoder(self) -> Decoder | None:
        """Make the decoder of one connection; None where its packets are JSON, which the connection reads itself."""


# -- JSON


class JsonBody(NamedTuple):
    """Hold an event as JSON and attachments."""

    text: bytes
    attachments: tuple[bytes, ...]
    args: list[Any]

    def event(self, namespace: str, id: int | None = None) -> Encoded:
        """Make it an EVENT; ``id`` asks for an acknowledgement."""
        attachments = self.attachments
        text = socket_json.encode(_EVENT, namespace, id, self.text, len(attachments))
        return Encoded(text, attachments, self.args)

    def marked(self, offset: str) -> JsonBody:
        """Give the same with one more argument, a string that needs no escaping."""
        return JsonBody(b'%b,"%b"]' % (self.text[:-1], offset.encode()), self.attachments, self.args)


class JsonFormat:
    """Write packets as JSON text, with binary values as attachments behind it."""

    def __init__(self, max_attachments: int) -> None:
        self._max_attachments = max_attachments

    def body(self, args: list[Any], namespace: str = "/") -> JsonBody:
        """Encode an event; a JavaScript peer would close the connection over too many attachments."""
        text, attachments = socket_json.dump(args)
        if len(attachments) > self._max_attachments:
            raise self._too_many(attachments)
        return JsonBody(text, attachments, args)

    def ack(self, args: list[Any], namespace: str, id: int) -> Encoded:
        """Encode an acknowledgement."""
        text, attachments = socket_json.dump(args)
        if not attachments and namespace == "/":  # most of them by far
            return Encoded(b"43%d%b" % (id, text))
        if len(attachments) > self._max_attachments:
            raise self._too_many(attachments)
        return Encoded(socket_json.encode(_ACK, namespace, id, text, len(attachments)), attachments)

    def _too_many(self, attachments: tuple[bytes, ...]) -> ValueError:
        most = self._max_attachments
        return ValueError(f"{len(attachments)} binary values in one packet, max_attachments allows {most}")

    def packet(self, kind: PacketType, namespace: str, data: Any = None) -> Encoded:
        """Encode a packet that is not an event. Raises ``TypeError`` for binary values: there they have no place."""
        body, attachments = (b"", ()) if data is None else socket_json.dump(data)
        if attachments:
            raise TypeError(f"a packet of the type {kind.name} cannot carry binary values")
        return Encoded(socket_json.encode(kind, namespace, body=body))

    def prefix(self, namespace: str, kind: PacketType = _EVENT) -> bytes:
        """Give what stands before the id and the JSON of every plain event or acknowledgement of a namespace."""
        return socket_json.encode(kind, namespace)

    def decoder(self) -> None:
        """Give none: the connection reads JSON itself."""


# -- other parsers


class _ParserBody:
    """Hold an event for a parser, which sees whole packets only."""

    __slots__ = ("_event", "_format", "_namespace", "_offset", "args")

    def __init__(
        self, parser: ParserFormat, args: list[Any], namespace: str | None = None, offset: tuple[str, ...] = ()
    ) -> None:
        self._format = parser
        self.args = args
        self._offset = offset
        self._namespace: str | None = None
        self._event = Encoded(b"")
        if namespace is not None:
            self._event = self.event(namespace)
            self._namespace = namespace

    def event(self, namespace: str, id: int | None = None) -> Encoded:
        if id is None and namespace == self._namespace:
            return self._event
        packet = Packet(_EVENT, namespace, [*self.args, *self._offset], id)
        return self._format.encode(packet)._replace(args=self.args)

    def marked(self, offset: str) -> Body:
        return _ParserBody(self._format, self.args, None, (offset,))


class ParserFormat:
    """Write packets with a parser that the application names."""

    def __init__(self, parser: Parser) -> None:
        if not (callable(getattr(parser, "encode", None)) and callable(getattr(parser, "decoder", None))):
            raise TypeError(f"option 'parser' takes an object with encode() and decoder(), not {parser!r}")
        self._parser = parser

    def body(self, args: list[Any], namespace: str) -> Body:
        """Encode an event now, so that the caller hears of what cannot be, and keep it for other namespaces."""
        return _ParserBody(self, args, namespace)

    def ack(self, args: list[Any], namespace: str, id: int) -> Encoded:
        """Encode an acknowledgement."""
        return self.encode(Packet(_ACK, namespace, args, id))

    def packet(self, kind: PacketType, namespace: str, data: Any = None) -> Encoded:
        """Encode a packet that is not an event."""
        return self.encode(Packet(kind, namespace, data))

    def prefix(self, namespace: str, kind: PacketType = _EVENT) -> None:
        """Give none."""

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""
        return self._parser.decoder()

    def encode(self, packet: Packet) -> Encoded:
        """Encode a packet. Raises ``TypeError`` for messages that cannot be sent in one go."""
        messages = tuple(self._parser.encode(packet))
        text = b""
        if messages and isinstance(messages[0], str):
            text = _MESSAGE + messages[0].encode("utf-8", "surrogatepass")
            messages = messages[1:]
        attachments = tuple(message for message in messages if isinstance(message, bytes))
        if len(attachments) < len(messages) or not (text or attachments):
            raise TypeError("a parser must give one text or none, and then binary messages")
        return Encoded(text, attachments)
