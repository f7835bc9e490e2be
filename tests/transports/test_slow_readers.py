"""Clients that do not read: they cost a bounded amount of memory, lose their connection, and hold nobody up."""

from __future__ import annotations

import queue
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from socketeer import Server
from tests.support.raw import Client
from tests.support.serving import Running, serving
from tests.wire.peers import eventually

BLOB = "x" * 100_000


class Crowd:
    """Hold a server, a client that does not read, and one that does."""

    def __init__(self, io: Server, running: Running, transport: str) -> None:
        self.io = io
        self.running = running
        self.ends: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        io.event("disconnect")(lambda socket, *args: self.ends.put((socket.id, *args)))
        io.event("sync")(lambda socket: None)
        self.slow = Client(running.port, transport=transport)
        self.slow_id = self.slow.join()
        self.quick = Client(running.port)
        self.quick_id = self.quick.join()


@contextmanager
def crowd(lane: str, transport: str, **options: Any) -> Iterator[Crowd]:
    io = Server(**options)
    with serving(io, lane) as running:
        crowd = Crowd(io, running, transport)
        try:
            yield crowd
        finally:
            crowd.slow.close()
            crowd.quick.close()


def memory() -> int:
    """Give how many bytes of memory this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_client_that_does_not_read_is_closed_past_the_bound(lane: str, transport: str) -> None:
    bound = 5_000_000
    with crowd(lane, transport, max_buffered_bytes=bound) as both:
        before = memory()
        peak = 0
        emitted = 0
        while both.ends.empty():
            assert emitted < 2000, "200 MB, and still not closed"
            both.io.emit("flood", BLOB)
            emitted += 1
            assert both.quick.event() == ["flood", BLOB]
            peak = max(peak, memory() - before)
        id, reason, description = both.ends.get(timeout=20)
        assert (id, reason) == (both.slow_id, "transport error")
        assert "max_buffered_bytes" in description
        assert emitted * len(BLOB) > bound / 2
        assert peak < bound + 40_000_000
        assert both.quick.silent()
        eventually(lambda: list(both.io.sockets.sockets) == [both.quick_id])


def test_the_reason_is_in_the_debug_log(lane: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "socketeer.engine"), crowd(lane, "websocket", max_buffered_bytes=200_000) as both:
        while both.ends.empty():
            both.running.call(lambda: both.io.to(both.slow_id).emit("flood", BLOB))
    assert any("max_buffered_bytes" in record.getMessage() for record in caplog.records)


def test_volatile_events_do_not_pile_up(lane: str) -> None:
    with crowd(lane, "websocket", max_buffered_bytes=2_000_000) as both:
        for n in range(300):
            both.io.volatile.emit("flood", n, BLOB)
            both.io.to(both.quick_id).emit("seen", n)
            while both.quick.event()[:2] != ["seen", n]:
                pass
        assert both.ends.empty()
        both.io.emit("last")
        seen = []
        while (event := both.slow.event()) != ["last"]:
            seen.append(event[1])
        assert seen == sorted(set(seen))
        assert 0 < len(seen) < 300
        assert both.slow.silent()


def test_a_client_that_catches_up_is_not_closed(lane: str) -> None:
    with crowd(lane, "websocket", max_buffered_bytes=2_000_000) as both:
        for turn in range(10):
            for n in range(10):
                both.io.to(both.slow_id).emit("flood", turn, n, BLOB)
            time.sleep(0.02)
            assert [event[1:3] for event in both.slow.events(10)] == [[turn, n] for n in range(10)]
        assert both.ends.empty()
        assert both.slow.silent()


def test_one_event_may_be_larger_than_the_bound_of_what_waits(lane: str) -> None:
    with crowd(lane, "websocket", max_buffered_bytes=1000) as both:
        both.io.to(both.quick_id).emit("x", "y" * 500)
        assert both.quick.event() == ["x", "y" * 500]
        assert both.quick.silent()


@pytest.mark.parametrize("end", ["put out", "closed"])
def test_a_client_that_does_not_read_can_be_put_out(lane: str, end: str) -> None:
    with crowd(lane, "websocket", close_timeout=0.5) as both:
        for _ in range(140):  # more than the buffers of both ends take, less than the bound
            both.io.to(both.slow_id).emit("flood", BLOB)
        if end == "put out":
            both.io.in_(both.slow_id).disconnect_sockets(close=True)
        else:
            both.running.run(both.io.close())
        assert both.ends.get(timeout=20)[1] in ("server namespace disconnect", "server shutting down")
        eventually(lambda: len(both.io.engine.sessions) == (end == "put out"), 8)
