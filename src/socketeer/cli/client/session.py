"""A connection with its namespaces: opened, shown, sent to and closed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from socketeer.cli.client.happenings import (
    Connected,
    Disconnected,
    Failed,
    Happening,
    Packet,
    Received,
    Refused,
    Retrying,
    Upgraded,
)
from socketeer.cli.client.lines import Emission
from socketeer.cli.client.talk import Show, Talk
from socketeer.cli.connecting import Target, connect_to, explain
from socketeer.exceptions import TransportError

__all__ = ["EventNames", "Session", "Settings", "end_by_sigterm"]

_MAX_NAMES = 200
_MAX_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Settings:
    """Say how to wait for acknowledgements, in seconds, and what to answer to events that ask for one, if anything."""

    timeout: float
    reply: list[Any] | None = None


def end_by_sigterm() -> None:
    """Let SIGTERM cancel the running task, so that the server is told and the terminal left as it was."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


class EventNames:
    """Remember the events that passed, the latest ones first, and not more than a menu has use for."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: object) -> None:
        """Remember an event."""
        if not isinstance(name, str) or len(name) > _MAX_LENGTH:
            return
        self._names.pop(name, None)
        self._names[name] = None
        if len(self._names) > _MAX_NAMES:
            del self._names[next(iter(self._names))]

    def __iter__(self) -> Iterator[str]:
        return reversed(self._names)


class Session:
    """Hold a connection, the namespaces that were joined over it, and which of them is spoken to.

    To be made inside the event loop; it connects at once.
    """

    def __init__(self, target: Target, show: Show, settings: Settings) -> None:
        self.url = target.url
        self.raw = False
        """Whether packets are shown as they pass."""
        self.events = EventNames()
        self._show_any = show
        self._timeout = settings.timeout
        self._reply = settings.reply
        self._attempts = 0
        self._told_of_retry = False
        self._let_in = False
        socket = connect_to(target)
        self.manager = socket.io
        self.manager.on("open", self._opened)
        self.manager.on("close", self._closed)
        self.current = Talk(socket, self._show, self._timeout, self._reply)
        self.talks = {socket.nsp: self.current}

    async def close(self) -> None:
        """Leave every namespace, behind what is still to be sent, and close the connection."""
        for talk in self.talks.values():
            talk.socket.disconnect()
        await self.manager.wait_closed()

    def switch(self, namespace: str) -> Talk:
        """Speak to another namespace from now on, and join it if need be."""
        if namespace not in self.talks:
            socket = self.manager.socket(namespace, auth=self.current.socket.auth)
            self.talks[namespace] = Talk(socket, self._show, self._timeout, self._reply)
        self.current = self.talks[namespace]
        return self.current

    def set_timeout(self, seconds: float) -> None:
        """Wait so long for acknowledgements from now on."""
        self._timeout = seconds
        for talk in self.talks.values():
            talk.timeout = seconds

    def emit(self, emission: Emission) -> asyncio.Future[Exception | None]:
        """Send an event to the namespace of the moment; see :meth:`Talk.emit`."""
        outcome = self.current.emit(emission)
        self.events.add(emission.event)
        return outcome

    def unsent(self) -> int:
        """Count the bytes that wait to be sent."""
        engine = self.manager.engine
        return 0 if engine is None else engine.transport.unsent()

    def describe(self) -> dict[str, str]:
        """Say what is known of the connection."""
        talk, engine = self.current, self.manager.engine
        socket = talk.socket
        state = "connected" if socket.connected else "waiting to connect" if socket.active else "not connected"
        about = {
            "url": self.url,
            "namespace": f"{socket.nsp}, {state}",
            "id": socket.id or "none",
            "events": f"{talk.received} received, {talk.sent} sent, {talk.asked} of them to be answered",
            "answers": "none yet" if talk.latency is None else f"the last one took {talk.latency * 1000:.1f} ms",
        }
        if engine is not None:
            about["transport"] = engine.transport.name
            about["session"] = f"{engine.id}, Engine.IO {engine.protocol}"
        return about

    def _show(self, happening: Happening) -> None:
        if isinstance(happening, Received):
            self.events.add(happening.event)
        self._let_in |= isinstance(happening, Connected | Refused)
        self._show_any(happening)
        if isinstance(happening, Failed | Disconnected):  # the manager decides what next when all have been told
            self._told_of_retry = False
            asyncio.get_running_loop().call_soon(self._tell_of_retry)

    def _opened(self) -> None:
        engine = self.manager.engine
        assert engine is not None
        self._attempts = 0
        self._let_in = False
        engine.on("upgrade", lambda transport: self._show(Upgraded(transport.name)))
        engine.on("packet", lambda packet: self._passed(packet, outgoing=False))
        engine.on("packet_create", lambda packet: self._passed(packet, outgoing=True))

    def _closed(self, reason: str, description: Any = None) -> None:
        """Tell of a connection that no namespace was joined over: to these, nothing has happened."""
        talk = self.current
        if not self._let_in and talk.socket.active:
            why = str(description or f"{reason}, before the namespace was joined")
            self._show(Failed(talk.socket.nsp, explain(TransportError(why))))

    def _passed(self, packet: Any, *, outgoing: bool) -> None:
        if self.raw:
            self._show(Packet(outgoing, packet.type, packet.data))

    def _tell_of_retry(self) -> None:
        """Show when the next attempt to connect will be, once for all namespaces."""
        delay = self.manager.next_attempt
        if delay is not None and not self._told_of_retry:
            self._told_of_retry = True
            self._attempts += 1
            self._show_any(Retrying(self._attempts, delay))
