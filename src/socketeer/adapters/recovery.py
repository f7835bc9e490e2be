"""The adapter for one process that lets clients come back: it keeps what they missed, and what belonged to them."""

from __future__ import annotations

import hmac
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple

from socketeer.adapters.base import PLAIN, Flags, LostSession, Member, Selection
from socketeer.adapters.memory import MemoryAdapter
from socketeer.engine.timers import Timer, TimerWheel
from socketeer.multiplex.encoded import Body, Encoded
from socketeer.options import ConnectionStateRecovery

__all__ = ["RecoveringAdapter"]


class _Kept(NamedTuple):
    """Hold a packet that somebody may miss."""

    packet: Encoded
    selection: Selection
    sent: float
    size: int


class _Lost(NamedTuple):
    session: LostSession
    lost: float


class RecoveringAdapter(MemoryAdapter):
    """Keep the rooms of one namespace, its recent packets, and what belongs to clients that lost their connection.

    A packet's offset counts the packets of the namespace up to it, in hexadecimal behind a mark that no other one has.
    ``grace`` is how long a connection may be dead before that is noticed, and a new one on its way in: packets sent
    meanwhile may be missed too.
    """

    def __init__(
        self,
        namespace: str,
        members: Mapping[str, Member],
        recovery: ConnectionStateRecovery,
        wheel: TimerWheel,
        grace: float,
        generate_id: Callable[[], str],
    ) -> None:
        super().__init__(namespace, members)
        self._recovery = recovery
        self._wheel = wheel
        self._lifetime = recovery.max_disconnection_duration
        self._grace = grace
        self._mark = f"{generate_id()[:4]}."
        self._kept: deque[_Kept] = deque()
        self._size = 0
        self._first = 0  # the number of the first packet that is kept
        self._gap = 0  # packets with a lower number may be missing although they are not old
        self._lost: OrderedDict[bytes, _Lost] = OrderedDict()  # by the digest of the secret, oldest first
        self._sweeper = Timer(self._sweep)
        self._sweeping = False

    # -- packets

    def broadcast(self, body: Body, selection: Selection, flags: Flags = PLAIN) -> None:
        """Send an event to every socket selected, and keep it unless it is volatile."""
        if flags.volatile:
            marked = self.stamp(body).event(self.namespace)
        else:
            marked = body.marked(self._offset(self.position() + 1)).event(self.namespace)
            self._keep(marked, selection)
        plain: Encoded | None = None
        for member in self.select(selection):
            if member.recovers:
                member.deliver(marked, flags)
            else:
                plain = plain or body.event(self.namespace)
                member.deliver(plain, flags)

    def stamp(self, body: Body, session: LostSession | None = None) -> Body:
        """Give an event that is not kept as it has to be sent.

        A client takes the string at the end of the last event, or else its name, for the offset.
        """
        if isinstance(body.args[-1], _NO_TEXT):
            return body
        return body.marked(self._offset(self.position() if session is None else session.since))

    def _offset(self, count: int) -> str:
        return f"{self._mark}{count:x}"

    def _keep(self, packet: Encoded, selection: Selection) -> None:
        recovery = self._recovery
        size = len(packet.text) + sum(map(len, packet.attachments))
        self._kept.append(_Kept(packet, selection, self._wheel.clock(), size))
        self._size += size
        while len(self._kept) > recovery.max_packets or self._size > recovery.max_bytes:
            self._drop_first()
            self._gap = self._first
        self._begin_to_sweep()

    def _drop_first(self) -> None:
        self._size -= self._kept.popleft().size
        self._first += 1

    # -- clients

    def position(self) -> int:
        """Give the number of the next packet: a client that is up to date has missed nothing before it."""
        return self._first + len(self._kept)

    def persist(self, session: LostSession) -> None:
        """Keep what belongs to a client that lost its connection; the oldest goes where there is no room."""
        self._lost[_digest(session.pid)] = _Lost(session, self._wheel.clock())
        if len(self._lost) > self._recovery.max_sessions:
            self._lost.popitem(last=False)
        self._begin_to_sweep()

    async def restore(self, pid: str, offset: str | None) -> LostSession | None:
        """Give what was kept for the client that knows the secret, for good."""
        lost = self._lost.pop(_digest(pid), None)
        if lost is None or not hmac.compare_digest(lost.session.pid.encode(), pid.encode("utf-8", "replace")):
            return None
        if self._wheel.clock() - lost.lost > self._lifetime:
            return None
        session = lost.session
        if offset is not None:
            count = self._count(offset)
            if count is None:
                return None
            session.since = max(session.since, count)  # it may be that of a packet of an earlier session
        return session if self.covers(session) else None

    def covers(self, session: LostSession) -> bool:
        """Tell whether no packet that a client may have missed was forgotten for want of room."""
        return bool(session.since >= self._gap)

    def _count(self, offset: str) -> int | None:
        """Read an offset; None for what is none."""
        digits = offset.removeprefix(self._mark)
        if digits == offset or not 0 < len(digits) <= 16 or not set(digits) <= _HEXADECIMAL:
            return None
        count = int(digits, 16)
        return count if count <= self.position() else None

    def missed(self, session: LostSession) -> list[Encoded]:
        """Give the packets for a client that were sent since it was lost."""
        rooms = set(session.rooms)
        start = max(session.since - self._first, 0)
        return [
            kept.packet
            for kept in list(self._kept)[start:]
            if (not kept.selection.rooms or rooms.intersection(kept.selection.rooms))
            and rooms.isdisjoint(kept.selection.except_)
        ]

    # -- forgetting

    def is_empty(self) -> bool:
        """Tell whether nobody can come back."""
        return not self._lost

    def _begin_to_sweep(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._wheel.start(self._sweeper, min(self._lifetime, _MOST_SWEEP))

    def _sweep(self) -> None:
        """Forget clients that may no longer come back, and packets that nobody who may has missed."""
        now = self._wheel.clock()
        while self._lost and now - next(iter(self._lost.values())).lost > self._lifetime:
            self._lost.popitem(last=False)
        while self._kept and now - self._kept[0].sent > self._lifetime + self._grace:
            self._drop_first()
        self._sweeping = False
        if self._lost or self._kept:
            self._begin_to_sweep()
        if not self._lost:
            self.on_empty()

    async def close(self) -> None:
        """Forget everything."""
        self._wheel.stop(self._sweeper)
        self._sweeping = False
        self._lost.clear()
        while self._kept:
            self._drop_first()
        self._gap = self._first


_HEXADECIMAL = frozenset("0123456789abcdef")
_NO_TEXT = (int, float, list, tuple, dict, bytes, bytearray, memoryview, type(None))
"""What is never written as a string, as enumerations and dates may be."""
_MOST_SWEEP = 60.0
"""The longest time between two sweeps, in seconds."""


def _digest(pid: str) -> bytes:
    # The table is asked for digests, so that the time it takes says nothing of the secrets in it.
    return sha256(pid.encode("utf-8", "replace")).digest()
