"""The two sides of a connection: a host that does as it is told, links that keep what they get, and a client's wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socketeer.engine.http import Request
from socketeer.engine.session import Session
from socketeer.multiplex.encoded import Format, JsonFormat
from socketeer.multiplex.server import ServerConnection
from socketeer.options import ServerOptions
from socketeer.protocol.revisions import REVISION_5, Revision
from tests.support.virtual import EngineHarness, RecordingWire, request

__all__ = ["ConnectionHarness", "KeepingHost", "KeepingLink"]


class KeepingLink:
    """Keep what comes for one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.events: list[tuple[list[Any], int | None]] = []
        self.acks: list[tuple[int, list[Any]]] = []
        self.endings: list[tuple[str, str | None]] = []
        self.on_event: Callable[[list[Any]], None] = lambda args: None

    def receive_event(self, args: list[Any], id: int | None) -> None:
        """Keep an event."""
        assert not self.endings, f"{args!r} for a link that was left"
        self.events.append((args, id))
        self.on_event(args)

    def receive_ack(self, id: int, args: list[Any]) -> None:
        """Keep an acknowledgement."""
        assert not self.endings, f"an acknowledgement for a link that was left: {args!r}"
        self.acks.append((id, args))

    def left(self, reason: str, description: str | None = None) -> None:
        """Keep the reason."""
        self.endings.append((reason, description))

    @property
    def reasons(self) -> list[str]:
        """Give the reasons for which it was left: one at most if all is well."""
        return [reason for reason, _ in self.endings]


class KeepingHost:
    """Let every client in at once, but for the namespaces in ``unknown``, ``slow`` and ``forbidden``."""

    def __init__(self, written: Format | None = None) -> None:
        self.format = written or JsonFormat(10)
        self.options = ServerOptions()
        self.asked: list[tuple[str, Any, str]] = []
        self.links: dict[str, KeepingLink] = {}
        self.unknown: set[str] = set()
        self.slow: set[str] = set()
        self.forbidden: dict[str, tuple[str, Any]] = {}
        self.closed: list[ServerConnection] = []
        self.on_connect: Callable[[ServerConnection, str], None] = lambda connection, namespace: None

    def connect(self, connection: ServerConnection, namespace: str, auth: Any, query: str) -> None:
        """Decide."""
        assert connection.is_joining(namespace)
        self.asked.append((namespace, auth, query))
        if namespace in self.unknown:
            return  # it has to find out first whether there is such a namespace
        link = self.links[namespace] = KeepingLink(namespace)
        connection.set_joining(namespace, link)
        self.on_connect(connection, namespace)
        if namespace in self.forbidden:
            connection.refuse(namespace, *self.forbidden[namespace])
        elif namespace not in self.slow and not link.endings:
            self.let_in(connection, namespace)

    def let_in(self, connection: ServerConnection, namespace: str) -> None:
        """Accept a client that had to wait."""
        connection.accept(namespace, self.links[namespace], f"id of {namespace}")

    def connection_closed(self, connection: ServerConnection) -> None:
        """Keep the connection."""
        self.closed.append(connection)


class ConnectionHarness(EngineHarness):
    """Run one connection over a WebSocket, on virtual time."""

    def __init__(self, revision: Revision = REVISION_5, host: KeepingHost | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.host = host or KeepingHost()
        self.host.options = self.options
        self.wire = RecordingWire()
        asked = request({"EIO": str(revision.engine), "transport": "websocket"}, upgrade=True)
        self.session = self.engine.open_websocket(asked, revision, self.wire)
        handshake = self.wire.frames.pop(0)
        assert str(handshake).startswith("0{")

    def session_opened(self, session: Session, request: Request) -> None:
        """Put the connection on the session."""
        self.connection = ServerConnection(session, self.host)

    @property
    def links(self) -> dict[str, KeepingLink]:
        """Give the link last made for each namespace."""
        return self.host.links

    def send(self, *frames: str | bytes) -> None:
        """Receive frames from the client; bytes are the content of a binary message."""
        for frame in frames:
            if isinstance(frame, str):
                self.wire.text(frame)
            else:
                self.wire.binary(self.session.revision.codec.frame(frame))

    def assert_broken(self, words: str = "") -> None:
        """Check that the client lost its connection over breaking the protocol, and that everybody was told once."""
        assert not self.wire.open
        assert self.engine.clients_count == 0
        assert self.host.closed == [self.connection]
        assert self.connection.links == {}
        assert self.reasons() <= {"parse error", "client namespace disconnect"}
        for link in self.links.values():
            assert len(link.endings) <= 1
            if link.endings and link.endings[0][0] == "parse error":
                assert words in (link.endings[0][1] or "")

    def reasons(self) -> set[str]:
        """Give the reasons for which links were left."""
        return {reason for link in self.links.values() for reason in link.reasons}
