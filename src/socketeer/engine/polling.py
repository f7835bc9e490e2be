"""The polling transport of a session: packets wait here until a GET fetches them. No I/O.

The driver of a GET calls :meth:`Polling.begin_get`; where there is nothing to send yet it keeps the connection open,
and :meth:`Polling.take` gives the answer once the driver has been woken. Between the wake-up and the answer further
packets join the payload, so that a burst of events leaves in one response.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from socketeer.engine.http import ErrorCode, Response, error_response
from socketeer.engine.jsonp import SCRIPT_HEADERS, read_form, write_script
from socketeer.engine.session import CloseCode, State
from socketeer.exceptions import PacketError
from socketeer.protocol.packets import EnginePacket

if TYPE_CHECKING:
    from socketeer.engine.session import Session

__all__ = ["Polling"]

_log = logging.getLogger("socketeer.engine.polling")

_CLOSING: Final = State.CLOSING
_CLOSED: Final = State.CLOSED

_CLOSE, _NOOP = EnginePacket(b"1"), EnginePacket(b"6")
_BINARY_BODY = "application/octet-stream"
_OK = Response(200, ((b"content-type", b"text/html"), (b"cache-control", b"no-store")), b"ok")


def _ignore() -> None:
    """Stop nothing: the body is there already."""


class Polling:
    """Hold the packets that wait for a GET, and the GET that waits for packets.

    ``binary`` tells whether the client takes binary bodies (Engine.IO 3 without ``b64``); ``jsonp`` is the number of
    the function that a JSONP client wants to be called.
    """

    __slots__ = (
        "_binary",
        "_buffer",
        "_buffered",
        "_compress",
        "_last",
        "_posting",
        "_session",
        "_wake",
        "_woken",
        "jsonp",
        "post_cancelled",
    )

    name = "polling"

    def __init__(self, session: Session, *, binary: bool, jsonp: str | None = None) -> None:
        self._session = session
        self._binary = binary
        self.jsonp = jsonp
        self._compress = False
        self._buffer: list[EnginePacket] = []
        self._buffered = 0
        self._wake: Callable[[], None] | None = None
        self._woken = False
        self._posting: Callable[[], object] | None = None  # stops the reading of a body
        self.post_cancelled = False
        self._last = _CLOSE  # what a waiting GET gets when the session ends

    @property
    def session_id(self) -> str:
        """Give the id of the session."""
        return self._session.id

    # -- to the client

    @property
    def writable(self) -> bool:
        """Tell whether a GET waits and nothing is on its way to it."""
        return self._wake is not None and not self._woken

    @property
    def waiting(self) -> list[EnginePacket]:
        """Give the packets that wait for a GET."""
        return self._buffer.copy()

    def unsent(self) -> int:
        """Count the bytes of the packets that wait for a GET."""
        return self._buffered

    def send(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Buffer a text packet, if it is not empty, and its binary attachments next to each other.

        A payload may be compressed if any of its packets may.
        """
        if compress:
            self._compress = True
        if text:
            self._buffer.append(EnginePacket(text))
            self._buffered += len(text)
        for data in attachments:
            self._buffer.append(EnginePacket(data, True))
            self._buffered += len(data)
        if self._buffered > self._session.options.max_buffered_bytes:
            self._session.overflow(self._buffered)
        else:
            self.release()

    def release(self) -> None:
        """Answer a waiting GET; with a noop where there is nothing else, as an upgrade needs it."""
        if self._wake is not None and not self._woken:
            self._woken = True
            self._wake()

    def hand_over(self) -> list[EnginePacket]:
        """Give away what no GET has fetched: the session moves to another transport."""
        packets, self._buffer, self._buffered = self._buffer, [], 0
        _log.debug("%s hands over %d packets", self.session_id, len(packets))
        self._last = _NOOP
        self.release()
        return packets

    def close(self) -> None:
        """Send what is buffered with the GET that waits or the next one, and the close packet with the one after.

        A JavaScript client that finds both in one payload closes before it has passed on the messages.
        """
        self.release()
        self._session.end_within(self._session.options.close_timeout)

    def abandon(self, code: CloseCode) -> None:
        """Release a waiting GET and a POST that is being read: the session is over."""
        self._buffer.clear()
        self.release()
        if self._posting is not None:
            cancel, self._posting = self._posting, None
            self.post_cancelled = True
            cancel()

    def let_go(self) -> None:
        """Keep the session, which is over: requests may still be under way that ask for it."""

    # -- from the client

    def begin_get(self, wake: Callable[[], None]) -> Response | None:
        """Begin a GET.

        Gives the answer where there is one now. Otherwise the GET waits: ``wake`` is called once, and then
        :meth:`take` has the answer. A second GET while one waits ends the session.
        """
        session = self._session
        if self._wake is not None:
            self._end("overlap from client: two GET requests at a time")
            return error_response(ErrorCode.BAD_REQUEST)
        if session.state is _CLOSED or session.transport is not self:
            return error_response(ErrorCode.BAD_REQUEST)
        self._wake = wake
        if self._buffer or session.state is _CLOSING:
            return self.take()
        self._woken = False
        return None

    def take(self) -> Response:
        """Give the payload for the GET that waits, and end its wait."""
        self._wake = None
        self._woken = False
        packets, self._buffer, self._buffered = self._buffer, [], 0
        session = self._session
        if packets and session.conn is not None:
            session.conn.flushing(packets)
            session.conn.flushed()
        if not packets:
            if session.state is _CLOSING and session.transport is self:
                session.end("forced close")
            packets = [self._last if session.state is _CLOSED else _NOOP]
        compress, self._compress = self._compress, False
        body, content_type = session.revision.codec.encode_payload(packets, binary=self._binary)
        if self.jsonp is not None:
            return Response(200, SCRIPT_HEADERS, write_script(body, self.jsonp), compress)
        headers = ((b"content-type", content_type.encode()), (b"cache-control", b"no-store"))
        return Response(200, headers, body, compress)

    def abort_get(self) -> None:
        """Take note that the client gave up its GET: the session ends."""
        if self._wake is not None:
            self._wake = None
            self._end("poll connection closed prematurely")

    def begin_post(self, content_type: str, cancel: Callable[[], object] = _ignore) -> Response | None:
        """Begin a POST, before its body is read; ``cancel`` stops the reading when the session ends.

        Gives the answer where the request is refused. A second POST while one is being read ends the session.
        """
        session = self._session
        if session.state is _CLOSED or session.transport is not self:
            return error_response(ErrorCode.BAD_REQUEST)
        if self._posting is not None:
            session.end("transport error", "overlap from client: two POST requests at a time")
            return error_response(ErrorCode.BAD_REQUEST)
        if _is_binary(content_type) and session.revision.server_pings:
            session.end("transport error", "binary body, which this revision has not")
            return error_response(ErrorCode.BAD_REQUEST)
        self._posting = cancel
        return None

    def end_post(self, body: bytes, content_type: str) -> Response:
        """Take the body of the POST that :meth:`begin_post` let in."""
        self._posting = None
        session = self._session
        if session.state is _CLOSED:
            return error_response(ErrorCode.BAD_REQUEST)
        binary = _is_binary(content_type)
        try:
            if self.jsonp is not None and not binary:
                body = read_form(body)
            packets = session.revision.codec.decode_payload(body, binary=binary)
        except PacketError as error:
            session.end("parse error", str(error))
            return error_response(ErrorCode.BAD_REQUEST)
        for packet in packets:
            if packet.binary:
                session.receive_binary(packet.data)
            else:
                if packet.data == _CLOSE.data:
                    self._last = _NOOP
                    if session.state is _CLOSING:
                        session.end("forced close")
                session.receive_text(packet.data)
        return _OK

    def abort_post(self, reason: str) -> None:
        """Take note that the body of a POST did not arrive, or was too large: the session ends."""
        self._posting = None
        self._end(reason)

    def _end(self, reason: str) -> None:
        _log.debug("%s: %s", self.session_id, reason)
        if self._session.transport is self:  # not where the session has moved on meanwhile
            self._session.end("transport error", reason)


def _is_binary(content_type: str) -> bool:
    return content_type[: len(_BINARY_BODY)].lower() == _BINARY_BODY
