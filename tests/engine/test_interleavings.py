"""Whatever the order of emits, polls, posts, upgrade steps and closes: each packet arrives once and in order.

The client below does what the protocol allows, at any moment. What a session does by itself (heartbeats, timeouts)
happens too, because time passes. In half of the runs the client may also misbehave or break off; then a session may
end, but the client still sees a prefix of what was sent, in order and without a gap.
"""

from __future__ import annotations

import base64

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from socketeer.engine.session import Session, State
from socketeer.engine.websocket import CLOSING_HANDSHAKE
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, RecordingReceiver, RecordingWire, state_of, timers_in

OPTIONS = {"ping_interval": 25.0, "ping_timeout": 20.0, "upgrade_timeout": 10.0, "close_timeout": 30.0}


class Peers(RuleBasedStateMachine):
    """Be both ends of one session."""

    harness: EngineHarness
    session: Session
    receiver: RecordingReceiver
    revision: Revision

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str | bytes] = []
        self.arrived: list[str | bytes] = []
        self.posted: list[str | bytes] = []
        self.poll: Poll | None = None
        self.posting: bytes | None = None
        self.wire: RecordingWire | None = None
        self.paused = False  # the client has been probed and polls no more
        self.probed = False
        self.upgraded = False
        self.abnormal = False  # the client, or time, ended the session
        self.closed_at: float | None = None  # when the server began to close
        self.finished = False  # the client has seen the end

    @initialize(revision=st.sampled_from([REVISION_4, REVISION_5]))
    def open(self, revision: Revision) -> None:
        self.revision = revision
        self.harness = EngineHarness(**OPTIONS)
        self.session, self.receiver, self.polling = self.harness.open_polling(revision)

    # -- the server

    @rule(binary=st.booleans())
    def emit(self, binary: bool) -> None:
        number = len(self.sent)
        was_open = state_of(self.session) is State.OPEN
        text = f"4text {number}"
        attachments = (b"binary %d" % number,) if binary else ()
        self.session.write(text.encode(), attachments)
        if was_open:
            self.sent += [text, *attachments]

    @precondition(lambda self: len(self.sent) > 2)
    @rule()
    def close(self) -> None:
        if state_of(self.session) is State.OPEN:
            self.closed_at = self.harness.time.now
        self.session.close("forced close")

    # -- a client on polling

    def may_poll(self) -> bool:
        return self.poll is None and not self.paused and not self.upgraded and not self.finished

    @precondition(may_poll)
    @rule()
    def begin_poll(self) -> None:
        self.poll = Poll(self.polling)

    @precondition(lambda self: self.poll is not None and not self.poll.waits)
    @rule()
    def end_poll(self) -> None:
        poll, self.poll = self.poll, None
        assert poll is not None
        if poll.answer().status == 200:
            self.take(poll.packets())
        else:
            self.finished = True
            assert state_of(self.session) is State.CLOSED

    def take(self, packets: list[str | bytes]) -> None:
        for packet in packets:
            assert not self.finished, f"{packet!r} behind the close packet"
            if packet == "1":
                self.finished = True
            elif packet not in ("2", "3", "6"):
                self.arrived.append(packet)

    @precondition(lambda self: self.posting is None and not self.upgraded and not self.finished)
    @rule(count=st.integers(1, 3), binary=st.booleans())
    def begin_post(self, count: int, binary: bool) -> None:
        if self.polling.begin_post("text/plain") is not None:
            assert state_of(self.session) is State.CLOSED
            return
        packets = []
        for _ in range(count):
            number = len(self.posted)
            if binary:
                self.posted.append(b"posted %d" % number)
                packets.append(self.in_base64(b"posted %d" % number))
            else:
                self.posted.append(f"posted {number}")
                packets.append(f"4posted {number}")
        self.posting = self.body(packets)

    def in_base64(self, data: bytes) -> str:
        return ("b4" if self.revision is REVISION_4 else "b") + base64.b64encode(data).decode()

    def body(self, packets: list[str]) -> bytes:
        if self.revision is REVISION_4:
            return "".join(f"{len(packet)}:{packet}" for packet in packets).encode()
        return "\x1e".join(packets).encode()

    @precondition(lambda self: self.posting is not None)
    @rule()
    def end_post(self) -> None:
        body, self.posting = self.posting, None
        assert body is not None
        self.polling.end_post(body, "text/plain")

    @precondition(lambda self: not self.finished and self.posting is None)
    @rule()
    def beat(self) -> None:
        """Send what the client owes to the heartbeat."""
        packet = "3" if self.revision.server_pings else "2"
        if self.upgraded:
            assert self.wire is not None
            self.wire.text(packet)
        else:
            self.harness.post(self.polling, self.body([packet]))

    # -- the upgrade

    @precondition(lambda self: not self.upgraded and not self.finished)
    @rule()
    def go_on_with_the_upgrade(self) -> None:
        """Take the next step, where it is the client's turn."""
        if self.wire is None:
            if state_of(self.session) is State.OPEN:
                self.wire = self.harness.probe(self.session)
        elif not self.wire.open:
            self.forget_probe()
        elif not self.probed:
            self.wire.text("2probe")
            assert self.wire.drain() == ["3probe"]
            self.probed = self.paused = True
        elif self.poll is None and self.posting is None:
            self.swap()
        elif self.poll is not None and self.poll.waits:
            self.harness.time.advance(0.15)
            assert self.poll.woken or not self.wire.open, "the session did not release the poll"

    def swap(self) -> None:
        assert self.wire is not None
        self.wire.text("5")
        self.upgraded = True

    def probing(self) -> bool:
        return self.wire is not None and self.wire.open and not self.upgraded

    @precondition(lambda self: self.probing() and len(self.sent) > 4)
    @rule(how=st.sampled_from(["wrong packet", "lost"]))
    def break_the_probe(self, how: str) -> None:
        wire = self.wire
        assert wire is not None
        if how == "lost":
            wire.lose()
        else:
            wire.text("4too early")
        assert not wire.open
        self.forget_probe()

    def forget_probe(self) -> None:
        """Go on polling, and perhaps try again: as a client does when it loses the new WebSocket."""
        self.wire = None
        self.probed = self.paused = False

    # -- a client on WebSocket

    @precondition(lambda self: self.upgraded and not self.finished)
    @rule()
    def say(self) -> None:
        assert self.wire is not None
        if state_of(self.session) is State.OPEN:
            said = f"said {len(self.posted)}"
            self.posted.append(said)
            self.wire.text(f"4{said}")

    @precondition(lambda self: self.upgraded and not self.finished)
    @rule()
    def read(self) -> None:
        assert self.wire is not None
        frames = self.wire.drain()
        frame_mark = self.revision.codec.frame(b"")
        self.take([frame[len(frame_mark) :] if isinstance(frame, bytes) else frame for frame in frames])
        if not self.wire.open:
            self.finished = True
            self.wire.lose()

    # -- both

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0, 7.0, 19.0]))
    def wait(self, seconds: float) -> None:
        self.harness.time.advance(seconds)
        if self.wire is not None and not self.upgraded and not self.wire.open:
            self.forget_probe()

    @precondition(lambda self: len(self.sent) > 8 and not self.finished)  # else few runs would get anywhere
    @rule(how=st.sampled_from(["close packet", "abort", "overlap", "garbage", "lost"]))
    def misbehave(self, how: str) -> None:
        self.abnormal = True
        if self.upgraded:
            assert self.wire is not None
            if how == "close packet":
                self.wire.text("1")
            elif how == "garbage":
                self.wire.text("9")
            else:
                self.wire.lose()
        elif how == "abort" and self.poll is not None and self.poll.waits:
            self.poll = None
            self.polling.abort_get()
        elif how == "overlap" and self.poll is not None and self.poll.response is None:
            assert Poll(self.polling).answer().status == 400
        elif self.posting is None:
            packet = "1" if how == "close packet" else "9"
            self.harness.post(self.polling, self.body([packet]))

    # -- what holds whatever happens

    def may_have_lost(self) -> bool:
        """Tell whether packets may be missing: the session ended abnormally, or the client let its time pass."""
        if self.abnormal or "ping timeout" in self.receiver.reasons:
            return True
        patience = CLOSING_HANDSHAKE if self.upgraded else OPTIONS["close_timeout"]
        return self.closed_at is not None and self.harness.time.now - self.closed_at >= patience

    @invariant()
    def in_order_and_once(self) -> None:
        assert self.arrived == self.sent[: len(self.arrived)]
        assert self.receiver.received == self.posted[: len(self.receiver.received)]

    @invariant()
    def told_once(self) -> None:
        assert len(self.receiver.closings) == (state_of(self.session) is not State.OPEN)
        assert (self.session.id in self.harness.engine.sessions) == (state_of(self.session) is not State.CLOSED)

    @invariant()
    def few_timers(self) -> None:
        alive = state_of(self.session) is not State.CLOSED
        probing = self.session.probe is not None
        assert timers_in(self.harness.time.wheel) <= alive + 2 * probing

    def teardown(self) -> None:
        """Let the client fetch what is left: then nothing may be missing."""
        if self.posting is not None:
            self.end_post()
        may_have_lost = self.may_have_lost()
        for _ in range(10):
            self.fetch()
        self.in_order_and_once()
        if not may_have_lost:
            assert self.arrived == self.sent
            assert self.finished == (self.closed_at is not None)
            if self.closed_at is None:
                assert self.receiver.received == self.posted
        self.harness.time.advance(100)
        assert state_of(self.session) is State.CLOSED
        assert timers_in(self.harness.time.wheel) == 0

    def fetch(self) -> None:
        """Do one step towards having everything."""
        if self.upgraded:
            if not self.finished:
                self.read()
        elif self.poll is not None and not self.poll.waits:
            self.end_poll()
        elif self.probing() and self.probed:
            if self.poll is None:
                self.swap()
            else:
                self.harness.time.advance(0.2)  # the session releases it
        elif self.may_poll() and state_of(self.session) is not State.CLOSED:
            self.begin_poll()


TestInterleavings = Peers.TestCase
TestInterleavings.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
