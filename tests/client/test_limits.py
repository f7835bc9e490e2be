"""Each limit of the client at its bound, and one past it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer import ClientSocket
from tests.client.scripted import Frames, Talk, handshake, scripted
from tests.client.servers import ONCE, Farm, Peer, eventually, in_loop

EITHER = pytest.mark.parametrize("transport", ["polling", "websocket"])


@pytest.fixture(params=ONCE)
def server(request: pytest.FixtureRequest, farm: Farm) -> Peer:
    """Return each kind of server once."""
    return farm.peer(request.param)


class Losses:
    """Collect why a socket is disconnected."""

    def __init__(self, socket: ClientSocket) -> None:
        self.told: list[tuple[str, str | None]] = []
        socket.on("disconnect", lambda *args: self.told.append(args))

    async def next(self) -> tuple[str, str]:
        """Wait for a loss, and give the reason and the description."""
        await eventually(lambda: self.told)
        reason, description = self.told.pop(0)
        return reason, str(description)


@EITHER
@in_loop
async def test_the_largest_message(server: Peer, transport: str) -> None:
    text = '42["flood",0,""]'
    more = len("16:") if server.eio == 3 and transport == "polling" else 0
    limit = 2000
    fits = limit - len(text) - (len("2000:") if more else 0)
    async with server.open("", transport, max_http_buffer_size=limit) as socket:
        losses = Losses(socket)
        for size in (fits, fits + 1):
            await socket.emit_with_ack("echo")
            await asyncio.sleep(0.01)  # so that the answer comes alone
            socket.emit("flood", 1, size)
            if size == fits:
                assert (await socket.receive(5)).args == [0, "x" * size]
        reason, description = await losses.next()
        assert reason == "transport error"
        assert "max_http_buffer_size" in description or "1009" in description  # by picows, where that is sooner
        await socket
        assert await socket.emit_with_ack("echo", 1) == 1


@EITHER
@in_loop
async def test_the_most_attachments(server: Peer, transport: str) -> None:
    async with server.open("", transport, max_attachments=2) as socket:
        losses = Losses(socket)
        assert await socket.emit_with_ack("echo", b"1", b"2") == (b"1", b"2")
        with pytest.raises(ValueError, match="attachments"):
            socket.emit("echo", b"1", b"2", b"3")
    async with server.open("", transport, max_attachments=2) as receiver, server.open("", "websocket") as sender:
        losses = Losses(receiver)
        room = f"attachments {receiver.id}"
        await receiver.emit_with_ack("join", room)
        sender.emit("room emit", room, "news", b"1", b"2")
        assert await receiver.receive(5) == ("news", [b"1", b"2"])
        sender.emit("room emit", room, "news", b"1", b"2", b"3")
        assert await losses.next() == ("parse error", "3 attachments, at most 2 are allowed")


@in_loop
async def test_no_attachments_at_all(ours: Peer) -> None:
    async with ours.open("", "websocket", max_attachments=0) as socket:
        with pytest.raises(ValueError, match="attachments"):
            socket.emit("echo", b"")
        assert await socket.emit_with_ack("echo", "text") == "text"


@EITHER
@in_loop
async def test_the_largest_packet(server: Peer, transport: str) -> None:
    header = '61-0[{"_placeholder":true,"num":0}]'  # of the acknowledgement
    header = f"4{header}"
    limit = 500
    async with server.open("", transport, max_packet_bytes=limit) as socket:
        losses = Losses(socket)
        fits = b"x" * (limit - len(header))
        assert await socket.emit_with_ack("echo", fits) == fits
        socket.emit("echo", fits + b"xx", ack=print)
        reason, description = await losses.next()
        assert (reason, "max_packet_bytes" in description) == ("parse error", True)


@in_loop
async def test_the_most_fragments() -> None:
    def fragments(text: bytes, count: int) -> bytes:
        frames = [bytes([0, 1]) + text[i : i + 1] for i in range(count - 1)]
        frames[0] = b"\1" + frames[0][1:]
        last = text[count - 1 :]
        return b"".join(frames) + bytes([0x80, len(last)]) + last

    async def script(talk: Talk) -> None:
        await talk.join()
        websocket = talk.websocket
        assert isinstance(websocket, Frames)
        websocket.write(fragments(b'42["fits"]', 5))
        await talk.receive()
        websocket.write(fragments(b'42["too many"]', 6))
        await talk.receive()

    async with scripted(script) as peer, peer.connect("", "websocket", max_fragments=5) as socket:
        losses = Losses(socket)
        assert await socket.receive(5) == ("fits", [])
        socket.emit("go")
        reason, description = await losses.next()
        assert (reason, "fragments" in description) == ("transport error", True)


@EITHER
@in_loop
async def test_the_most_unsent_bytes(transport: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.join()
        talk.deaf = True
        await asyncio.sleep(10)

    async with scripted(script) as peer:
        socket = peer.connect("", transport, max_buffered_bytes=10_000_000, close_timeout=0.1)
        losses = Losses(socket)
        async with socket:
            chunk = "x" * 999_900
            for _ in range(10):
                socket.emit("news", chunk)
            await asyncio.sleep(0.02)
            assert (losses.told, socket.connected) == ([], True)
            for _ in range(20):  # some of which the system takes
                if socket.connected:
                    socket.emit("news", chunk)
                    await asyncio.sleep(0)
            reason, description = await losses.next()
            assert (reason, "more than max_buffered_bytes" in description) == ("transport error", True)


@EITHER
@in_loop
async def test_the_time_for_attachments(transport: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.join()
        talk.send('451-["news",{"_placeholder":true,"num":0}]')
        await asyncio.sleep(0.03)
        talk.send(b"in time")
        await talk.receive()
        talk.send('451-["news",{"_placeholder":true,"num":0}]')
        await talk.receive()

    async with scripted(script) as peer:
        socket = peer.connect("", transport, attachment_timeout=0.3)
        losses = Losses(socket)
        async with socket:
            assert await socket.receive(5) == ("news", [b"in time"])
            socket.emit("go")
            assert await losses.next() == ("parse error", "attachments did not arrive within attachment_timeout")


@in_loop
async def test_the_most_events_before_the_namespace_is_joined() -> None:
    async def script(talk: Talk) -> None:
        talk.send(handshake())
        assert await talk.receive() == "40"
        for number in range(4):
            talk.send(f'42["early",{number}]')
        talk.send('40{"sid":"the-id"}')
        await talk.receive()

    async with scripted(script) as peer:
        for limit, kept in ((4, 4), (3, 3), (0, 0)):
            early: list[Any] = []
            socket = peer.connect("", "websocket", max_waiting_events=limit)
            socket.on("early", early.append)
            async with socket:
                assert early == list(range(kept))
