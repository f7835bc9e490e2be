"""The connection below a socket as an application sees it: ``socket.conn``, a client's ``io.engine``. No I/O.

A :class:`Conn` is made when it is first asked for, and a session whose packets nobody listens to does not know of it:
the first listener gives the session another class, whose methods tell the listeners.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from socketeer.engine.events import Events
from socketeer.engine.session import ObservedSession, Session, State, Transport, is_utf8
from socketeer.exceptions import PacketError
from socketeer.protocol.packets import EnginePacket

if TYPE_CHECKING:
    from socketeer.engine.http import Request
    from socketeer.engine.timers import Timer

__all__ = ["Conn", "ConnPacket", "conn_of"]

_log = logging.getLogger("socketeer.engine.session")

F = TypeVar("F", bound=Callable[..., Any])

_TYPES = dict(zip(b"0123456", ("open", "close", "ping", "pong", "message", "upgrade", "noop"), strict=True))
_PACKET_EVENTS = frozenset({"packet", "packet_create", "data", "message", "heartbeat", "flush", "drain"})
_EVENTS = _PACKET_EVENTS | {"open", "upgrading", "upgrade", "error", "close"}
_REASONS = frozenset({"transport error", "transport close", "forced close", "ping timeout", "parse error"})
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.1
"""How soon, and how seldom, a WebSocket is asked whether everything has left."""


@dataclass(frozen=True, slots=True)
class ConnPacket:
    """Hold an Engine.IO packet for listeners."""

    type: str
    """One of ``open``, ``close``, ``ping``, ``pong``, ``message``, ``upgrade`` and ``noop``."""
    data: str | bytes


def _show(packet: EnginePacket) -> ConnPacket:
    if packet.binary:
        return ConnPacket("message", packet.data)
    return ConnPacket(_TYPES[packet.data[0]], packet.data[1:].decode(errors="replace"))


class Conn:
    """Be the Engine.IO connection between a server and one client, with all its namespaces, as either side has it.

    | event | arguments | when |
    |---|---|---|
    | ``open`` |  | the handshake is over (for listeners of the engine's ``connection``) |
    | ``packet`` | ``ConnPacket`` | a packet came, before it is acted upon |
    | ``packet_create`` | ``ConnPacket`` | a packet is about to be queued |
    | ``data`` | ``str`` or ``bytes`` | a message came; ``message`` is the same |
    | ``heartbeat`` |  | the other side showed that it lives |
    | ``upgrading`` | transport | a WebSocket was asked for beside polling |
    | ``upgrade`` | transport | the connection moved to it |
    | ``flush`` | list of packets | these go to the transport |
    | ``drain`` |  | they went |
    | ``error`` | description | the connection broke; ``close`` follows |
    | ``close`` | reason, description | the connection is over |

    A listener runs where the event happens and cannot be async.
    """

    __slots__ = ("_callbacks", "_delay", "_events", "_forwards", "_leftover", "_session", "_settling", "_timer")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._events = Events(_EVENTS)
        self._forwards: dict[str, Callable[..., object]] = {}
        self._callbacks: list[Callable[[], object]] = []
        self._settling = False
        self._timer: Timer | None = None
        self._delay = _FIRST_LOOK
        self._leftover: list[EnginePacket] = []

    # -- what it is

    @property
    def id(self) -> str:
        """Give the id of the session, which is a secret of the client."""
        return self._session.id

    @property
    def protocol(self) -> int:
        """Give the revision of Engine.IO: 4, or 3 with clients or servers 1.x and 2.x."""
        return self._session.revision.engine

    @property
    def transport(self) -> Transport:
        """Give the transport of the moment, whose ``name`` is ``polling`` or ``websocket``."""
        return self._session.transport

    @property
    def upgraded(self) -> bool:
        """Tell whether the connection began on polling and has left it."""
        return self._session.transport.name == "websocket" and not self._session.request.upgrade

    @property
    def ready_state(self) -> str:
        """Give ``open``, ``closing`` or ``closed``."""
        return self._session.state.value

    @property
    def request(self) -> Request:
        """Give the request of the handshake."""
        return self._session.request

    @property
    def remote_address(self) -> str:
        """Give the address that the handshake came from."""
        return self._session.request.address

    @property
    def write_buffer(self) -> list[ConnPacket]:
        """Give the packets that wait for a poll; once the connection is closed, those that no poll fetched."""
        waiting = self._session.transport.waiting if self._session.state is not State.CLOSED else self._leftover
        return [_show(packet) for packet in waiting]

    # -- what it does

    def send(
        self,
        data: str | bytes | bytearray | memoryview,
        *,
        compress: bool = True,
        callback: Callable[[], object] | None = None,
    ) -> None:
        """Send an Engine.IO message, beside those of Socket.IO; does nothing once the connection is closing.

        ``callback`` is called once the message has left this process, at the earliest before this returns; callbacks
        are called in order, and dropped when the connection is lost. To be called in the server's thread.
        """
        if not isinstance(data, str | bytes | bytearray | memoryview):
            raise TypeError(f"a message is str or bytes, not {data!r:.100}")
        text, attachments = (b"4" + data.encode(), ()) if isinstance(data, str) else (b"", (bytes(data),))
        session = self._session
        if session.state is not State.OPEN:
            return
        if callback is not None:
            self._callbacks.append(callback)
        session.write(text, attachments, compress)
        self._settle()

    write = send

    def close(self, discard: bool = False) -> None:
        """Close the connection behind what is queued; with ``discard`` now, and without it."""
        if discard:
            self._session.end("forced close")
        else:
            self._session.close("forced close")

    # -- listeners

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, listener: F) -> F: ...
    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at each ``event``; as a decorator without one.

        Raises ``UsageError`` for an event that does not exist.
        """
        self._observe(event)
        return self._events.on(event) if listener is None else self._events.on(event, listener)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, listener: F) -> F: ...
    def once(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at the next ``event`` only."""
        self._observe(event)
        return self._events.once(event) if listener is None else self._events.once(event, listener)

    def off(self, event: str | None = None, listener: Callable[..., Any] | None = None) -> None:
        """Remove one listener, every listener of an event, or all."""
        self._events.off(event, listener)

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Give the listeners of an event."""
        return self._events.listeners(event)

    def _observe(self, event: str) -> None:
        session = self._session
        if event in _PACKET_EVENTS and not isinstance(session, ObservedSession):
            session.__class__ = ObservedSession
            session.transport = session.transport  # the way out is another one now

    def forward(self, event: str, function: Callable[..., object]) -> None:
        """Call ``function`` at each ``event``, behind the listeners, and whatever :meth:`off` removes."""
        self._observe(event)
        self._forwards[event] = function

    # -- from the session

    def fire(self, event: str, *args: Any) -> None:
        """Tell the listeners of an event."""
        self._events.fire(event, *args)
        if event in self._forwards:
            self._forwards[event](*args)

    def read(self, data: bytes, *, binary: bool = False) -> ConnPacket | None:
        """Tell of a packet before it is acted upon; None for one that the session will refuse."""
        if not binary and data[:1] == b"b":
            try:
                data, binary = self._session.revision.codec.decode_base64(data), True
            except PacketError:
                return None
        if not binary and (not data or data[0] not in _TYPES or not is_utf8(data)):
            return None
        packet = _show(EnginePacket(data, binary))
        self.fire("packet", packet)
        return packet

    def done(self, packet: ConnPacket | None) -> None:
        """Tell what a packet was, after it was acted upon."""
        if packet is None:
            return
        if packet.type == "message":
            self.fire("data", packet.data)
            self.fire("message", packet.data)
        elif packet.type == ("pong" if self._session.pings else "ping"):
            self.fire("heartbeat")

    def created(self, packets: Sequence[EnginePacket]) -> None:
        """Tell of packets that are about to be queued."""
        if self._events.has("packet_create"):
            for packet in packets:
                self.fire("packet_create", _show(packet))

    def flushing(self, packets: Sequence[EnginePacket]) -> None:
        """Tell of packets that go to the transport."""
        if self._events.has("flush") or "flush" in self._forwards:
            self.fire("flush", [_show(packet) for packet in packets])

    def flushed(self) -> None:
        """Tell that they went."""
        self.fire("drain")
        self._settle()

    def ending(self) -> None:
        """Keep what nobody has fetched for listeners of ``close``."""
        self._leftover = self._session.transport.waiting

    def ended(self, reason: str, description: str | None) -> None:
        """Tell of the end, and drop the callbacks of what has not left."""
        self._callbacks.clear()
        self._session.wheel.stop(self._timer)
        reason = reason if reason in _REASONS else "forced close"
        if reason in ("transport error", "parse error"):
            self.fire("error", description)
        self.fire("close", reason, description)

    def _settle(self) -> None:
        """Call the callbacks where everything has left; on a WebSocket, look again a little later where not."""
        session = self._session
        if self._settling:
            return
        self._settling = True
        while self._callbacks and not session.transport.unsent():
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                try:
                    callback()
                except Exception:
                    _log.exception("the callback of a message failed")
        self._settling = False
        if self._callbacks and self._timer is None and session.transport.name == "websocket":
            self._timer = session.wheel.call_later(self._delay, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._delay = min(2 * self._delay, _LAST_LOOK) if self._session.transport.unsent() else _FIRST_LOOK
        self._settle()


def conn_of(session: Session) -> Conn:
    """Give the connection of a session, which is the same one each time."""
    if session.conn is None:
        session.conn = Conn(session)
    return session.conn
