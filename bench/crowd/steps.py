"""What every crowd does, whatever the library: connect, idle, ask, and take what is broadcast.

The parent tells each step by a line on standard input, and gets its figures by one on standard output. The programs of
other libraries run in an environment of their own: nothing here needs more than Python.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import uvloop

PAGE = os.sysconf("SC_PAGE_SIZE")
TEXT = "x" * 64
PATIENCE = 30.0
AT_ONCE = 20
"""How many clients connect at a time."""


class Client(Protocol):
    """Be one client of the library."""

    async def connect(self, url: str, transports: Sequence[str] | None) -> None:
        """Connect, and return once the main namespace is joined."""

    def on_broadcast(self, handler: Callable[[Any], None]) -> None:
        """Register a handler of the event ``broadcast``."""

    async def ask(self, text: str) -> Any:
        """Send the event ``ack`` and return the server's answer."""

    def tell(self, text: str) -> Awaitable[None] | None:
        """Send the event ``broadcast``."""

    def transport(self) -> str:
        """Name the transport of the moment."""

    async def disconnect(self) -> None:
        """Disconnect."""


def run(make: Callable[[], Client]) -> None:
    """Be the program of one library."""
    url, count, transports = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_steps(make, url, count, transports if transports != ["default"] else None))


async def _steps(make: Callable[[], Client], url: str, count: int, transports: Sequence[str] | None) -> None:
    received = 0
    arrived = asyncio.Event()  # with everybody

    def receive(value: Any) -> None:
        nonlocal received
        received += 1
        if received % count == 0:
            arrived.set()

    warm = make()
    await warm.connect(url, transports)
    await warm.ask(TEXT)
    await warm.disconnect()
    gc.collect()
    before, cpu = _resident(), time.process_time()
    clients = [make() for _ in range(count)]
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(client.connect(url, transports) for client in clients[first : first + AT_ONCE]))
    connecting = time.process_time() - cpu
    for client in clients:
        client.on_broadcast(receive)
    wanted = "polling" if transports == ["polling"] else "websocket"
    while {client.transport() for client in clients} != {wanted}:  # noqa: ASYNC110  # no library has an event for it
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    gc.collect()
    _tell(memory=(_resident() - before) / count, connecting=connecting / count)
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        cpu, begin = time.process_time(), time.perf_counter()
        if line[0] == "idle":
            await asyncio.sleep(float(line[1]))
            events = count
        elif line[0] == "ask":
            events = sum(await asyncio.gather(*(_ask(client, begin + float(line[1])) for client in clients)))
        else:
            events = 0
            for _ in range(int(line[1])):
                arrived.clear()
                done = clients[0].tell(TEXT)
                if done is not None:
                    await done
                async with asyncio.timeout(PATIENCE):
                    await arrived.wait()
                events += count
        _tell(cpu=time.process_time() - cpu, events=events, wall=time.perf_counter() - begin)
    await asyncio.gather(*(client.disconnect() for client in clients))


async def _ask(client: Client, until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await client.ask(TEXT)
        count += 1
    return count


def _resident() -> int:
    return PAGE * int(Path("/proc/self/statm").read_text().split()[1])


def _tell(**figures: float) -> None:
    print(json.dumps(figures), flush=True)
