"""A clock that only tests turn, and the two ends of the engine: wires and receivers that keep what they are given.

Everything here stands where a driver or a server would stand; between them works the engine itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from socketeer.engine.handshake import Admission, Engine
from socketeer.engine.http import Request, Response
from socketeer.engine.polling import Polling
from socketeer.engine.session import Session, State
from socketeer.engine.timers import TICK, TimerWheel
from socketeer.engine.websocket import DEAF, Sink
from socketeer.exceptions import PacketError
from socketeer.options import ServerOptions
from socketeer.protocol.packets import EnginePacket
from socketeer.protocol.revisions import REVISION_5, Revision

__all__ = [
    "EngineHarness",
    "Poll",
    "RecordingReceiver",
    "RecordingWire",
    "VirtualTime",
    "packets_of",
    "request",
    "state_of",
    "timers_in",
]


class VirtualTime:
    """Be the clock of a timer wheel and the event loop that turns it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.wakes: list[float] = []
        self.turns = 0
        self.wheel = TimerWheel(lambda: self.now, self.wakes.append)

    def advance(self, seconds: float) -> None:
        """Let time pass; the wheel turns at each of its deadlines and nowhere else."""
        end = self.now + seconds
        while (deadline := self.wheel.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.turns += 1
            self.wheel.advance()
        self.now = end

    def pass_deadline(self, seconds: float) -> None:
        """Let ``seconds`` pass, and the tick by which a timer may be late."""
        self.advance(seconds + TICK)


def state_of(session: Session) -> State:
    """Give the state of a session, which a type checker takes to stay what it was if it is read directly."""
    return session.state


def timers_in(wheel: TimerWheel) -> int:
    """Count the timers that are set."""
    return sum(len(timers) for timers in wheel._slots.values())


class RecordingWire:
    """Keep the frames that are sent; ``backlog`` is what the operating system is said not to have taken."""

    def __init__(self) -> None:
        self.sink: Sink = DEAF
        self.congested = False
        self.backlog = 0
        self.frames: list[str | bytes] = []
        self.ending: list[str] = []
        self.code: int | None = None

    @property
    def open(self) -> bool:
        """Tell whether nobody has begun to close it."""
        return not self.ending

    def send_text(self, data: bytes, compress: bool = True) -> None:
        """Keep a text frame, which has to be UTF-8."""
        assert self.open, f"a frame behind the close frame: {data!r}"
        self.frames.append(data.decode())

    def send_packet(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Keep a packet's frames."""
        if text:
            self.send_text(text)
        for data in attachments:
            self.send_binary(data)

    def send_binary(self, data: bytes, compress: bool = True) -> None:
        """Keep a binary frame."""
        assert self.open, f"a frame behind the close frame: {data!r}"
        self.frames.append(data)

    def unsent(self) -> int:
        """Give the backlog."""
        return self.backlog

    def is_writable(self) -> bool:
        """Tell whether there is no backlog."""
        return not self.backlog

    def close(self, code: int = 1000) -> None:
        """Keep that a close frame was sent, and its code."""
        self.ending.append("close")
        self.code = code

    def disconnect(self) -> None:
        """Keep that the connection was closed."""
        self.ending.append("disconnect")

    def abort(self) -> None:
        """Keep that the connection was cut."""
        self.ending.append("abort")

    # -- what the peer does

    def text(self, data: str) -> None:
        """Receive a text frame."""
        self.sink.receive_text(data.encode())

    def binary(self, data: bytes) -> None:
        """Receive a binary frame."""
        self.sink.receive_frame(data)

    def lose(self, reason: str = "transport close", description: str | None = None) -> None:
        """Lose the connection."""
        self.sink.end(reason, description)

    def drain(self) -> list[str | bytes]:
        """Give the frames sent since the last time."""
        frames, self.frames = self.frames, []
        return frames


class RecordingReceiver:
    """Keep what a session receives; a text in ``bad`` is refused as one that breaks the protocol."""

    def __init__(self) -> None:
        self.received: list[str | bytes] = []
        self.closings: list[tuple[str, str | None]] = []
        self.bad: set[str | bytes] = set()
        self.on_message: Callable[[str | bytes], None] = lambda message: None
        self.on_closed: Callable[[], None] = lambda: None

    def receive_text(self, data: bytes) -> None:
        """Keep a text message without its type digit."""
        assert data[:1] == b"4"
        self._receive(data[1:].decode())

    def receive_binary(self, data: bytes) -> None:
        """Keep a binary message."""
        self._receive(bytes(data))

    def _receive(self, message: str | bytes) -> None:
        assert not self.closings, f"{message!r} after the session was closed"
        if message in self.bad:
            raise PacketError("bad message")
        self.received.append(message)
        self.on_message(message)

    def session_closed(self, reason: str, description: str | None) -> None:
        """Keep the reason."""
        self.closings.append((reason, description))
        self.on_closed()

    @property
    def reasons(self) -> list[str]:
        """Give the reasons for which the session was closed: one at most if all is well."""
        return [reason for reason, _ in self.closings]


class Poll:
    """Be one GET as a driver serves it: woken first, answered in the next round of its event loop."""

    def __init__(self, polling: Polling) -> None:
        self._polling = polling
        self.woken = 0
        self.response = polling.begin_get(self._wake)

    def _wake(self) -> None:
        self.woken += 1

    @property
    def waits(self) -> bool:
        """Tell whether the GET has no answer and none on its way."""
        return self.response is None and not self.woken

    def answer(self) -> Response:
        """Give the answer of a GET that has one or was woken."""
        if self.response is None:
            assert self.woken == 1, f"a GET was woken {self.woken} times"
            self.response = self._polling.take()
        return self.response

    def packets(self) -> list[str | bytes]:
        """Give the packets of a good answer."""
        response = self.answer()
        assert response.status == 200, response
        binary = (b"content-type", b"application/octet-stream") in response.headers
        body = response.body
        if body.startswith(b"___eio["):
            body = json.loads(body[body.index(b"(") + 1 : -2]).encode()
        return packets_of(self._polling._session.revision.codec.decode_payload(body, binary=binary))


def packets_of(packets: Sequence[EnginePacket]) -> list[str | bytes]:
    """Write text packets as str, binary messages as bytes."""
    return [packet.data if packet.binary else packet.data.decode() for packet in packets]


def request(
    query: Mapping[str, str], method: str = "GET", *, upgrade: bool = False, headers: Mapping[str, str] | None = None
) -> Request:
    """Build a request for the engine."""
    return Request(method, "/socket.io/", query, {"host": "localhost", **(headers or {})}, upgrade=upgrade)


class EngineHarness:
    """Run an engine on virtual time, with receivers that keep what comes."""

    def __init__(self, **options: Any) -> None:
        self.time = VirtualTime()
        self.options = ServerOptions.from_keywords(options)
        self.requests: list[Request] = []
        self.receivers: dict[str, RecordingReceiver] = {}
        numbers = itertools.count(1)
        self.engine = Engine(self.options, self.time.wheel, self, lambda: f"session-{next(numbers)}")

    def session_opened(self, session: Session, request: Request) -> None:
        """Give the session a receiver."""
        session.receiver = self.receivers[session.id] = RecordingReceiver()
        self.requests.append(request)

    def open_polling(self, revision: Revision = REVISION_5, **query: str) -> tuple[Session, RecordingReceiver, Polling]:
        """Open a session on polling and fetch its handshake."""
        asked = request({"EIO": str(revision.engine), "transport": "polling", **query})
        assert self.engine.check(asked) == Admission(None, revision)
        polling = self.engine.open_polling(asked, revision)
        (first,) = Poll(polling).packets()
        assert isinstance(first, str)
        assert first.startswith('0{"sid":"session-')
        session = self.engine.sessions[first.split('"')[3]]
        return session, self.receivers[session.id], polling

    def open_websocket(self, revision: Revision = REVISION_5) -> tuple[Session, RecordingReceiver, RecordingWire]:
        """Open a session on a WebSocket and read its handshake."""
        asked = request({"EIO": str(revision.engine), "transport": "websocket"}, upgrade=True)
        assert self.engine.check(asked) == Admission(None, revision)
        wire = RecordingWire()
        session = self.engine.open_websocket(asked, revision, wire)
        (first,) = wire.drain()
        assert isinstance(first, str)
        assert first.startswith('0{"sid":"session-')
        return session, self.receivers[session.id], wire

    def probe(self, session: Session) -> RecordingWire:
        """Open a WebSocket for the upgrade of ``session``."""
        query = {"EIO": str(session.revision.engine), "transport": "websocket", "sid": session.id}
        asked = request(query, upgrade=True)
        assert self.engine.check(asked) == Admission(session, session.revision)
        wire = RecordingWire()
        self.engine.open_probe(session, wire)
        return wire

    def upgrade(self, session: Session) -> RecordingWire:
        """Go through a whole upgrade."""
        wire = self.probe(session)
        wire.text("2probe")
        assert wire.drain() == ["3probe"]
        wire.text("5")
        return wire

    def post(self, polling: Polling, body: bytes, content_type: str = "text/plain;charset=UTF-8") -> Response:
        """Make a POST as a driver does."""
        return polling.begin_post(content_type) or polling.end_post(body, content_type)
