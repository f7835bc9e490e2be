"""The polling transport of a client: one GET always waits for packets, and POSTs take what is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

from socketeer.client.network import HttpResponse
from socketeer.engine.session import CloseCode, State
from socketeer.engine.websocket import CLOSING_HANDSHAKE
from socketeer.exceptions import PacketError, TransportError
from socketeer.protocol.packets import EnginePacket
from socketeer.transports.driver import Driver

if TYPE_CHECKING:
    from socketeer.engine.session import Session

__all__ = ["Exchange", "Polling", "check_response", "is_binary"]

_log = logging.getLogger("socketeer.client")

_CLOSE: Final = EnginePacket(b"1")
_ENDS: Final = (b"41", b"1")
"""How packets begin that end a namespace or the session: Node's server forgets events that it gets together with it."""
_BINARY_BODY = "application/octet-stream"
_SHOWN = 1000

Exchange = Callable[[str, bytes, str], Awaitable[HttpResponse]]
"""Make a request of the session from its method, its body and its content type."""


def check_response(response: HttpResponse, method: str) -> None:
    """Raise TransportError for a response that is no success."""
    if response.status != 200:
        text = response.body.decode(errors="replace")[:_SHOWN]
        where = f" (to {response.header('location')})" if 300 <= response.status < 400 else ""
        raise TransportError(f"{method} refused: HTTP {response.status}{where} {text}".rstrip(), response.status, text)


def is_binary(response: HttpResponse) -> bool:
    """Tell whether a payload is one of bytes."""
    return response.header("content-type").startswith(_BINARY_BODY)


class Polling:
    """Fetch packets, and send those that wait, by requests; ``binary`` says that bodies may be bytes.

    ``max_payload`` limits one POST: packets that would go beyond it take the next.
    """

    name = "polling"

    def __init__(
        self, session: Session, exchange: Exchange, driver: Driver, *, binary: bool, max_payload: int | None
    ) -> None:
        self._session = session
        self._exchange = exchange
        self._driver = driver
        self._binary = binary
        self._max_payload = max_payload
        self._queue: list[EnginePacket] = []
        self._size = 0  # of what waits and of what is on its way
        self._fetching: asyncio.Task[None] | None = None
        self._posting: asyncio.Task[None] | None = None
        self._due = False  # whether a POST begins with the next round of the event loop
        self._pausing: Callable[[], None] | None = None

    # -- from the server

    def start(self) -> None:
        """Begin to poll."""
        self._fetching = self._run(self._fetch())

    def _run(self, exchanges: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Make requests; give the task as long as it has something to do."""
        task = self._driver.spawn(exchanges)
        assert task is not None
        task.add_done_callback(self._check_cancelled)
        return None if task.done() else task

    def _check_cancelled(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # by somebody who cancels whatever there is, unless the session is over anyway
            self._session.end("transport error", "a request was cancelled")

    async def _fetch(self) -> None:
        session = self._session
        try:
            while self._polls:
                response = await self._exchange("GET", b"", "")
                check_response(response, "GET")
                self.take(session.revision.codec.decode_payload(response.body, binary=is_binary(response)))
        except TransportError as error:
            session.end("transport error", str(error))
        except PacketError as error:
            session.end("parse error", str(error))
        self._fetching = None
        self._check_over()
        self._check_paused()

    @property
    def _polls(self) -> bool:
        """Tell whether another GET is due; behind the last packet of a closing session nothing comes."""
        state = self._session.state
        return self._pausing is None and (state is State.OPEN or (state is State.CLOSING and bool(self._queue)))

    def take(self, packets: Sequence[EnginePacket]) -> None:
        """Hand on what a response carried."""
        session = self._session
        for data, binary in packets:
            if session.state is State.CLOSED:
                break
            if binary:
                session.receive_binary(data)
            else:
                session.receive_text(data)

    # -- to the server

    @property
    def writable(self) -> bool:
        """Tell whether a packet would leave at once."""
        return not (self._size or self._queue or self._pausing)

    @property
    def waiting(self) -> list[EnginePacket]:
        """Give the packets that wait for a POST."""
        return list(self._queue)

    def unsent(self) -> int:
        """Count the bytes that the server has not taken yet."""
        return self._size

    def send(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Queue a text packet, if it is not empty, and the binary messages that belong to it."""
        if text:
            self._queue.append(EnginePacket(text))
            self._size += len(text)
        for data in attachments:
            self._queue.append(EnginePacket(data, True))
            self._size += len(data)
        if self._size > self._session.options.max_buffered_bytes:
            self._session.overflow(self._size)
        else:
            self._post_soon()

    def send_packet(self, packet: EnginePacket) -> None:
        """Queue one packet."""
        self._queue.append(packet)
        self._size += len(packet.data)
        self._post_soon()

    def _post_soon(self) -> None:
        if not (self._due or self._posting or self._pausing):
            self._due = True
            self._driver.call_soon(self._begin_posting)

    def _begin_posting(self) -> None:
        self._due = False
        if self._queue and self._posting is None and self._pausing is None:
            self._posting = self._run(self._post())

    async def _post(self) -> None:
        session = self._session
        try:
            while self._queue and self._pausing is None and session.state is not State.CLOSED:
                batch = self._next_batch()
                if session.conn is not None:
                    session.conn.flushing(batch)
                body, content_type = session.revision.codec.encode_payload(batch, binary=self._binary)
                check_response(await self._exchange("POST", body, content_type), "POST")
                self._size -= sum(len(packet.data) for packet in batch)
                if session.conn is not None:
                    session.conn.flushed()
        except TransportError as error:
            session.end("transport error", str(error))
        self._posting = None
        self._check_over()
        self._check_paused()

    def _check_over(self) -> None:
        """End a closing session once the server has its last packet, and has let go of the GET that waits."""
        session = self._session
        if session.state is not State.CLOSING or self._queue or self._posting is not None:
            return
        if self._fetching is None:
            session.end("forced close")
        else:
            session.end_within(min(CLOSING_HANDSHAKE, session.options.close_timeout))

    def _next_batch(self) -> list[EnginePacket]:
        """Take as many packets as one POST may carry, and one at least."""
        most, size, count = self._max_payload, 0, 0
        for data, binary in self._queue:
            size += 1 + (4 * len(data) // 3 + 4 if binary else len(data))
            if count and ((most is not None and size > most) or data.startswith(_ENDS)):
                break
            count += 1
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    # -- the end

    def pause(self, then: Callable[[], None]) -> None:
        """Call ``then`` once no request is under way; none begins any more."""
        self._pausing = then
        self._check_paused()

    def resume(self) -> None:
        """Go on after all."""
        if self._pausing is None:
            return
        self._pausing = None
        if self._session.state is not State.CLOSED:
            if self._session.state is State.CLOSING:  # and the close packet was left to the upgrade
                self._queue.append(_CLOSE)
            if self._fetching is None:
                self.start()
            self._post_soon()

    def _check_paused(self) -> None:
        if self._pausing is not None and self._fetching is None and self._posting is None:
            self._pausing()

    def hand_over(self) -> list[EnginePacket]:
        """Give what waits to the transport that takes over."""
        queue, self._queue, self._size = self._queue, [], 0
        return queue

    def close(self) -> None:
        """Send a close packet behind what waits; an upgrade that is nearly done takes it over instead."""
        session = self._session
        session.end_within(session.options.close_timeout)
        if self._pausing is None:
            session.drop_probe()
            self.send_packet(_CLOSE)

    def abandon(self, code: CloseCode) -> None:
        """Stop at once: requests under way are given up."""
        self._queue.clear()
        current = asyncio.current_task()
        for task in (self._fetching, self._posting):
            if task is not None and task is not current:
                task.cancel()

    def let_go(self) -> None:
        """Keep the session for the tasks that are about to end."""
