"""One namespace of a connection: what happens there is shown, what is typed is sent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from socketeer.cli.client.happenings import (
    Answered,
    Connected,
    Disconnected,
    Failed,
    Happening,
    Received,
    Refused,
    Replied,
    Unanswered,
)
from socketeer.cli.client.lines import Emission
from socketeer.cli.connecting import explain
from socketeer.client import ClientSocket
from socketeer.exceptions import ConnectionRefused

__all__ = ["Show", "Talk"]

Show = Callable[[Happening], None]
Question = tuple[str | float, Callable[..., None]]
_MAX_QUESTIONS = 1000


class Talk:
    """Show what happens in a namespace, and send to it.

    Events of the server that ask for an acknowledgement get ``reply`` where there is one, and else wait for
    :meth:`answer`.
    """

    def __init__(self, socket: ClientSocket, show: Show, timeout: float, reply: list[Any] | None = None) -> None:
        self.socket = socket
        self.timeout = timeout
        self.asked = 0
        """How many events wait for their acknowledgement."""
        self.received = 0
        self.sent = 0
        self.latency: float | None = None
        """How long the last acknowledgement took."""
        self._show = show
        self._reply = reply
        self._questions: deque[Question] = deque(maxlen=_MAX_QUESTIONS)
        socket.on("connect", self._connected)
        socket.on("connect_error", self._not_connected)
        socket.on("disconnect", self._disconnected)
        socket.on_any(self._received)

    # -- what is sent

    def emit(self, emission: Emission) -> asyncio.Future[Exception | None]:
        """Send an event; the future has why it was not acknowledged, or None. It is done where that was not asked for.

        Raises ``TypeError`` and ``UsageError`` for what cannot be sent.
        """
        outcome: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        socket = self.socket.volatile if emission.volatile else self.socket
        if not emission.ack:
            socket.emit(emission.event, *emission.args)
            outcome.set_result(None)
        else:
            socket.timeout(self.timeout).emit(emission.event, *emission.args, ack=self._listener(emission, outcome))
            self.asked += 1
        self.sent += 1
        return outcome

    def _listener(self, emission: Emission, outcome: asyncio.Future[Exception | None]) -> Callable[..., None]:
        started = time.perf_counter()

        def answered(error: Exception | None, *args: Any) -> None:
            self.asked -= 1
            where, event = self.socket.nsp, emission.event
            if error is None:
                self.latency = time.perf_counter() - started
                self._show(Answered(where, event, args, self.latency))
            else:
                self._show(Unanswered(where, event, str(error)))
            if not outcome.done():
                outcome.set_result(error)

        return answered

    def answer(self, args: list[Any]) -> bool:
        """Acknowledge the oldest event of the server that waits for it; False if there is none.

        Raises ``TypeError`` for what cannot be sent.
        """
        if not self._questions:
            return False
        event, ack = self._questions[0]
        ack(*args)
        self._questions.popleft()
        self._show(Replied(self.socket.nsp, event, tuple(args)))
        return True

    # -- what happens

    def _connected(self) -> None:
        socket = self.socket
        self._show(Connected(socket.nsp, socket.id, socket.transport, socket.recovered))

    def _not_connected(self, error: Exception) -> None:
        if isinstance(error, ConnectionRefused):
            self._show(Refused(self.socket.nsp, error.message, error.data))
        else:
            self._show(Failed(self.socket.nsp, explain(error)))

    def _disconnected(self, reason: str, description: Any = None) -> None:
        self._questions.clear()
        self._show(Disconnected(self.socket.nsp, reason, None if description is None else str(description)))

    def _received(self, event: str | float, *args: Any, ack: Callable[..., None] | None) -> None:
        self.received += 1
        self._show(Received(self.socket.nsp, event, args, ack is not None))
        if ack is not None:
            self._questions.append((event, ack))
            if self._reply is not None:
                self.answer(self._reply)
