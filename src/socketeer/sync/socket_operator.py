"""How to send to the server, in blocking code: the flags that stand between ``socket`` and ``emit``."""

from __future__ import annotations

from typing import Any

from socketeer.client.socket_operator import ClientOperator as AsyncOperator
from socketeer.handling.emitting import AckCallback
from socketeer.sync.portal import Portal
from socketeer.sync.threads import Worker

__all__ = ["ClientOperator"]


class ClientOperator:
    """Hold how to send to the server; never changes, so it can be kept and used again, by any thread."""

    __slots__ = ("_operator", "_portal", "_worker")

    def __init__(self, portal: Portal, worker: Worker, operator: AsyncOperator) -> None:
        self._portal = portal
        self._worker = worker
        self._operator = operator

    def _with(self, operator: AsyncOperator) -> ClientOperator:
        return ClientOperator(self._portal, self._worker, operator)

    def timeout(self, seconds: float) -> ClientOperator:
        """Limit the wait for an acknowledgement."""
        return self._with(self._operator.timeout(seconds))

    def compress(self, compress: bool) -> ClientOperator:
        """Say whether the packet may be compressed, where the options and the server let it be."""
        return self._with(self._operator.compress(compress))

    @property
    def volatile(self) -> ClientOperator:
        """Drop the event if it cannot leave at once."""
        return self._with(self._operator.volatile)

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event, without waiting; see :meth:`ClientSocket.emit`.

        After ``timeout()``, ``ack`` is called once: with an ``AckTimeout`` or ``Disconnected``, or with None and the
        arguments of the acknowledgement.
        """
        self._portal.post(self._operator.emit, event, *args, ack=self._worker.threaded(ack))

    def send(self, *args: Any, ack: AckCallback | None = None) -> None:
        """Send a ``message`` event."""
        self.emit("message", *args, ack=ack)

    write = send

    def emit_with_ack(self, event: str | int, *args: Any) -> Any:
        """Send an event and wait for the server's answer; see :meth:`ClientSocket.emit_with_ack`.

        Raises ``AckTimeout`` after ``timeout()``.
        """
        return self._portal.run(self._operator.emit_with_ack, event, *args)
