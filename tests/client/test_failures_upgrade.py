"""Upgrades that are interrupted, at each of their steps: by a cut, or by a network that lets nothing through."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.client.servers import Peer, eventually, in_loop, running
from tests.support.proxy import RESET

BEAT = {"pingInterval": 300, "pingTimeout": 4000}
HANDED_OVER = 5
"""The last step, with which the client hands over: request, answer, ``2probe``, ``3probe``, ``5``."""


@dataclass
class Fault:
    """Say at which step what happens to the first WebSocket."""

    step: int
    half: bool
    """Whether half of that step still gets through."""
    stall: bool
    """Whether nobody is told."""

    @property
    def reset(self) -> bool:
        """Tell whether the connection is cut by RST, not by FIN: by turns."""
        return self.step % 2 == self.half


class Relay:
    """Hand every connection on to a server's, but for the fault."""

    def __init__(self, port: int, fault: Fault) -> None:
        self.happened = asyncio.Event()
        self.over = asyncio.Event()
        self._target = port
        self._fault = fault
        self._step = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen until the block ends, and give the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.over.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = writer, far_writer
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            fragile = b"upgrade: websocket" in head.lower() and not self._step
            await self._hand_on(head, far_writer, ends, fragile)
            back = asyncio.ensure_future(self._pump(far_reader, writer, ends, fragile))
            await asyncio.gather(self._pump(reader, far_writer, ends, fragile), back, return_exceptions=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for end in ends:
                end.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        fragile: bool,
    ) -> None:
        while data := await reader.read(65536):
            await self._hand_on(data, writer, ends, fragile)
        if fragile and self._fault.stall and self.happened.is_set():
            await self.over.wait()
        writer.close()

    async def _hand_on(
        self,
        data: bytes,
        writer: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        fragile: bool,
    ) -> None:
        fault = self._fault
        self._step += fragile
        if fragile and self._step >= fault.step:
            if fault.half and self._step == fault.step:
                writer.write(data[: len(data) // 2])
                await writer.drain()
            self.happened.set()
            if fault.stall:
                await self.over.wait()
            for end in ends:
                if fault.reset:
                    end.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, RESET)
                end.transport.abort()
            raise ConnectionError
        writer.write(data)
        await writer.drain()


async def check(peer: Peer, fault: Fault) -> None:
    """Emit while the upgrade is interrupted."""
    relay, tag, count = Relay(peer.port, fault), str(fault), 0
    survives = fault.step < HANDED_OVER
    patience = 2.0 if survives and fault.stall else 20.0
    async with relay.listening() as port, peer.open("", port=port, upgrade_timeout=patience) as socket:
        reasons: list[str] = []
        socket.on("disconnect", lambda reason: reasons.append(reason))
        session: Any = socket.io.connection and socket.io.connection.session
        while session.probe is not None or not relay.happened.is_set():
            socket.emit("record", [tag, count])
            count += 1
            await asyncio.sleep(0.01)
        await eventually(lambda: survives or reasons)
        await socket
        await eventually(lambda: socket.transport == ("polling" if survives else "websocket"))
        recorded = [number for its, number in await socket.emit_with_ack("recorded") if its == tag]
        if survives:
            assert (reasons, recorded) == ([], list(range(count))), fault
        else:
            assert reasons == ["ping timeout" if fault.stall else "transport close"], fault
            assert recorded == sorted(set(recorded)), fault


@pytest.mark.parametrize("name", ["node 4", "node 2", "fast", "portable"])
def test_an_upgrade_is_interrupted(name: str) -> None:
    """Until the client hands over, its polling goes on as if nothing had been; then the connection is made anew."""
    steps = range(1, HANDED_OVER + 1)

    @in_loop
    async def main() -> None:
        await asyncio.gather(*(check(peer, Fault(*fault)) for fault in product(steps, (False, True), (False, True))))

    with running(name, **BEAT) as peer:
        main()
